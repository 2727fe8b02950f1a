"""``baskets calendar``: what the dated facts say of a month."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.facts import load
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Exchange, Facts, ListedSeries, SessionKind
from option_baskets.domain.instrument import (
    ListedExpiry,
    all_expiries,
    exchange_of,
    freeze_quantity,
    lot_size,
    strike_step,
)
from option_baskets.domain.session import IST, SATURDAY, hours_on, session_on

_KINDS = {
    SessionKind.NORMAL: "",
    SessionKind.FULL_SPECIAL: "special session",
    SessionKind.MUHURAT: "Muhurat",
    SessionKind.DISASTER_RECOVERY: "DR",
}
_UNSURE = ("UNVERIFIED", "conflict", "presumed")


def _month(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:
    try:
        return date.fromisoformat(f"{value}-01") if value else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a month; write it as 2026-11", ctx, param) from None


@click.command
@click.option("--month", callback=_month, metavar="YYYY-MM", help="The month to print (default: this month).")
@click.option(
    "--facts",
    "facts_dir",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with later revisions of the market facts.",
)
def command(month: date | None, facts_dir: Path | None) -> None:
    """Print sessions, holidays, expiries and lot sizes of a month.

    Everything comes from dated tables; docs/market-facts.md says how to add a row of your own.

    \b
    Examples:
      baskets calendar
      baskets calendar --month 2026-12
      baskets calendar --month 2027-01 --facts my-facts
    """
    first = (month or RealClock().now().astimezone(IST).date()).replace(day=1)
    facts = load(facts_dir)
    days = [first + timedelta(days=n) for n in range((_next_month(first) - first).days)]
    expiries = {name: all_expiries(facts, name, days[0], days[-1]) for name in facts.names}
    console = Console(highlight=False)
    console.print(f"[bold]{first:%B %Y}[/]  hours in IST")
    console.print(_sessions(facts, days, expiries))
    console.print(_contracts(facts, days[-1], expiries))
    for note in _notes(facts, days, expiries):
        console.print(f"[dim]{escape(note)}[/]", soft_wrap=True)


def _sessions(facts: Facts, days: list[date], expiries: dict[str, tuple[ListedExpiry, ...]]) -> Table:
    """A row for every weekday, and for a weekend day that is traded."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Day", no_wrap=True)
    table.add_column("Session", min_width=34)
    table.add_column("Expiring, with lot size")
    for day in days:
        session = session_on(facts, day)
        if session is None and day.weekday() >= SATURDAY:
            continue
        style = "dim" if session is None else "bold" if session.is_special else ""
        table.add_row(f"{day:%a %d %b}", escape(_session(facts, day)), _expiring(facts, day, expiries), style=style)
    return table


def _session(facts: Facts, day: date) -> str:
    by_exchange = {exchange: _hours(facts, day, exchange) for exchange in Exchange}
    if len(set(by_exchange.values())) == 1:
        return by_exchange[Exchange.NSE]
    return "; ".join(f"{exchange} {hours}" for exchange, hours in by_exchange.items())


def _hours(facts: Facts, day: date, exchange: Exchange) -> str:
    session = session_on(facts, day, exchange)
    holiday = facts.holidays.get((exchange, day))
    if session is None:
        return f"closed: {holiday.name}" if holiday else "closed"
    hours = " and ".join(f"{window.open:%H:%M}-{window.close:%H:%M}" for window in session.windows)
    return ", ".join(filter(None, (hours, _KINDS[session.kind], _doubt(facts, day))))


def _doubt(facts: Facts, day: date) -> str:
    special = facts.special_sessions.get(day)
    return "not confirmed" if special and any(word in special.status for word in _UNSURE) else ""


def _expiring(facts: Facts, day: date, expiries: dict[str, tuple[ListedExpiry, ...]]) -> str:
    def of(series: ListedSeries) -> str:
        listed = ListedExpiry(date=day, series=series)
        return ", ".join(f"{name} {_lot(facts, name, listed)}" for name, dated in expiries.items() if listed in dated)

    weekly, monthly = of(ListedSeries.WEEKLY), of(ListedSeries.MONTHLY)
    return "; ".join(filter(None, (weekly, monthly and f"monthly: {monthly}")))


def _contracts(facts: Facts, on: date, expiries: dict[str, tuple[ListedExpiry, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("Underlying", "Exchange"):
        table.add_column(column, no_wrap=True)
    for column in ("Weekly", "Monthly", "Lot"):
        table.add_column(column)
    for column in ("Freeze", "Step"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, dated in expiries.items():
        freeze = freeze_quantity(facts, name, on)
        table.add_row(
            name,
            exchange_of(facts, name),
            _days(dated, ListedSeries.WEEKLY),
            _days(dated, ListedSeries.MONTHLY),
            ", ".join(dict.fromkeys(_lot(facts, name, expiry) for expiry in dated)) or "-",
            str(freeze) if freeze else "-",
            f"{strike_step(facts, name, on):f}",
        )
    return table


def _days(expiries: tuple[ListedExpiry, ...], series: ListedSeries) -> str:
    return ", ".join(f"{expiry.date:%d}" for expiry in expiries if expiry.series is series) or "-"


def _lot(facts: Facts, name: str, expiry: ListedExpiry) -> str:
    try:
        return str(lot_size(facts, name, expiry.date, expiry.series, expiry.date))
    except Invalid:
        return "?"


def _notes(facts: Facts, days: list[date], expiries: dict[str, tuple[ListedExpiry, ...]]) -> Iterator[str]:
    if days[0].year not in facts.holiday_years:
        yield f"The holidays of {days[0].year} are not known; days and expiries follow the weekdays alone."
    if not any(expiries.values()):
        yield "No expiry rule of this month is known; recorded data carries its own contract list."
    for hours, group in groupby(days, lambda day: hours_on(facts, day)):
        part = list(group)
        when = f"{part[0]:%d %b} to {part[-1]:%d %b}"
        if any(word in hours.status for word in _UNSURE):
            yield f"{when}: the hours are not confirmed by an exchange circular."
        if hours.expiring_close:
            yield f"{when}: a contract stops at {hours.expiring_close:%H:%M} on its expiry day."
        if hours.spot_frozen:
            yield f"{when}: the index stands still {hours.spot_frozen}, the closing auction of the cash market."
    yield "Lot and freeze are in units; freeze and strike step are those of the month's last day."


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
