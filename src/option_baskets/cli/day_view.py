"""How a day is shown in a terminal: what happened and why, and what is left after charges."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from option_baskets.domain.contract import Side
from option_baskets.domain.money import ZERO, rupees
from option_baskets.domain.run import LegPosition, Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.engine.attribution import is_on
from option_baskets.engine.report import DayRecord, Profit
from option_baskets.store.records import Level

_STYLE = {RunStatus.SKIPPED: "yellow", RunStatus.FAILED: "red", RunStatus.CLOSED: ""}

_ALIKE = 3
"""Alerts of one kind that a day shows one by one."""

_WAYS_OUT = {
    "no_settlement_price": "a line DATE,UNDERLYING,PRICE,SOURCE in settlements.csv beside the recorded days settles it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    at: datetime
    what: str
    """entered, a reason of exit, skipped …"""
    strategy: str
    account: str = ""
    text: str = ""
    style: str = ""
    rank: int = 0
    """Order of what happened at one instant: exits, then hedges, then shorts."""


def show_day(console: Console, day: DayRecord) -> None:
    """The timeline and the result of one session."""
    events = ", ".join(f"{count} {name}" for name, count in day.events.items())
    runs = "1 run" if len(day.runs) == 1 else f"{len(day.runs)} runs"
    console.print(f"\n[bold]{day.date:%A %d %B %Y}[/]  {runs}, {day.orders} orders")
    console.print(f"[dim]{events}[/]")
    console.print(_timeline(day))
    console.print()
    show_result(console, day)


def show_result(console: Console, day: DayRecord) -> None:
    """Profit by strategy and account, what is held on, then what a person should look at."""
    console.print(_profits(day))
    for line in _carried(day):
        console.print(line)
    for run in day.runs:
        if run.unknown:
            names = ", ".join(run.unknown)
            console.print(f"[yellow]charge_unknown[/] {run.run.strategy.name}: no rate in force for {names}")
    for division in day.units:
        for share in division.shares:
            console.print(Text(f"{division.policy.id}: {share.name} {share.why}", style="dim"))
        if division.note:
            console.print(Text(f"{division.policy.id}: {division.note}", style="yellow"))
    for line in _alerts(day):
        console.print(line)


def _alerts(day: DayRecord) -> Iterator[Text]:
    """By kind as they came, the first few of each; the record has them all."""
    kinds = dict.fromkeys(alert.code for alert in day.alerts)
    for code in kinds:
        alike = [alert for alert in day.alerts if alert.code == code]
        for alert in alike[:_ALIKE]:
            style = "bold red" if alert.level is Level.CRITICAL else "yellow"
            yield Text(f"{_clock(alert.at)} {alert.code}: {alert.message}", style=style)
        if len(alike) > _ALIKE:
            yield Text(f"… and {len(alike) - _ALIKE} more {code}; --json has them all", style="dim")
        if code in _WAYS_OUT:
            yield Text(_WAYS_OUT[code], style="dim")


def show_days(console: Console, days: Sequence[DayRecord]) -> None:
    """One line a session, for replays of several."""
    table = _table("date", "entered", "orders", right=("gross", "charges", "net"))
    for day in days:
        own = [run.run for run in day.runs if run.run.date == day.date]
        entered = sum(1 for run in own if any(leg.entered for leg in run.positions))
        row = (f"{day.date:%a} {day.date}", f"{entered} of {len(own)} runs", str(day.orders))
        table.add_row(*row, *_money(day.profit))
    total = sum((day.profit for day in days), Profit(gross=ZERO, charges=ZERO))
    table.add_section()
    table.add_row(
        "1 session" if len(days) == 1 else f"{len(days)} sessions",
        "",
        str(sum(day.orders for day in days)),
        *_money(total),
    )
    console.print(table)
    without = Counter(
        (run.run.reason, run.run.status)
        for day in days
        for run in day.runs
        if run.run.reason is not None and run.run.status.is_over
    )
    for (reason, status), count in sorted(without.items()):
        text = f"{count} {'run' if count == 1 else 'runs'} {status.lower()}: {reason}"
        console.print(Text(text, style=_STYLE.get(status, "red")))
    if without:
        console.print("[dim]--timeline, or a single --date, tells more[/]")


def _table(*left: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=name in {"date", "time", "account"})
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _timeline(day: DayRecord) -> Table:
    table = _table("time", "strategy", "account", "what", "")
    of_day = (each for run in day.runs for each in of_run(run.run) if is_on(each.at, day.date))
    happenings = sorted(of_day, key=lambda each: (each.at, each.rank))
    for each in happenings:
        what = Text(each.what, style=each.style)
        table.add_row(_clock(each.at), each.strategy, each.account, what, each.text)
    return table


def of_run(run: Run) -> Iterator[Happening]:
    """Everything that happened to a run so far, in no order."""
    name = _name(run)
    if _waited_in_vain(run):
        yield from _skipped_late(name, run)
        return
    if run.status in {RunStatus.SKIPPED, RunStatus.FAILED}:
        yield Happening(
            at=run.entry_at,
            what=f"{run.status.lower()} {run.reason}",
            strategy=name,
            text=run.detail,
            style=_STYLE[run.status],
        )
    for pending in run.pending:
        if pending.trigger is not None:
            text = f"leg {pending.leg}: {pending.detail}"
            yield Happening(
                at=pending.trigger.since, what="wait", strategy=name, account=pending.account, text=text, style="dim"
            )
    for leg in run.positions:
        if leg.entry_time is not None:
            text = f"{leg.side} {leg.entered // leg.lot_size} {_short(leg)} at {_price(leg.entry_price)}"
            yield Happening(
                at=leg.entry_time,
                what="enter",
                strategy=name,
                account=leg.account,
                text=text,
                style="cyan",
                rank=1 if leg.side is Side.BUY else 2,
            )
        for external in leg.external:
            text = f"{external.quantity} units of {_short(leg)} closed without an order of ours, counted at "
            text += f"{_price(external.price)}, the last price known"
            yield Happening(
                at=external.at, what="external", strategy=name, account=leg.account, text=text, style="yellow"
            )
        if leg.exit_time is not None and not leg.open:
            yield _exit(name, leg, leg.exit_time)
    for short in run.shortfalls:
        text = f"leg {short.leg}: {short.quantity} units not traded: {short.detail}"
        yield Happening(
            at=short.at or run.entry_at,
            what=short.reason,
            strategy=name,
            account=short.account,
            text=text,
            style="yellow",
        )


def _waited_in_vain(run: Run) -> bool:
    """It was skipped for what all of its legs missed, which is told once, when it was known."""
    return run.status is RunStatus.SKIPPED and {each.reason for each in run.shortfalls} == {run.reason}


def _skipped_late(name: str, run: Run) -> Iterator[Happening]:
    for at, detail in dict.fromkeys((each.at, each.detail) for each in run.shortfalls):
        what = f"{run.status.lower()} {run.reason}"
        yield Happening(at=at or run.entry_at, what=what, strategy=name, text=detail, style=_STYLE[run.status])


def _name(run: Run) -> str:
    """With its cycle where the whole strategy was entered again."""
    return f"{run.strategy.name} #{run.cycle}" if run.cycle else run.strategy.name


def _exit(name: str, leg: LegPosition, at: datetime) -> Happening:
    text = (
        f"{'settled' if leg.settlement else leg.side.opposite} {leg.exited // leg.lot_size} {_short(leg)} "
        f"at {_price(leg.exit_price)} "
        f"({rupees(leg.gross):+,})"
    )
    style = "green" if leg.gross >= 0 else "magenta"
    return Happening(at=at, what=f"exit {leg.exit_reason}", strategy=name, account=leg.account, text=text, style=style)


def _short(leg: LegPosition) -> str:
    """The contract without the year, e.g. ``NIFTY 30-Jun 15850 CE``."""
    contract = leg.contract
    strike = f" {contract.strike:f}" if contract.strike is not None else ""
    return f"{contract.underlying} {contract.expiry:%d-%b}{strike} {contract.type}"


def _profits(day: DayRecord) -> Table:
    table = _table("strategy", "account", "status", right=("gross", "charges", "net"))
    basket = None
    for record in day.runs:
        run = record.run
        if run.basket.name != basket:
            basket = run.basket.name
            table.add_row(Text(basket, style="bold"))
        status = Text(run.status.lower(), style=_STYLE.get(run.status, "red"))
        if not record.profits:
            table.add_row(f"  {_name(run)}", "", status, "", "", "")
        for account, profit in record.profits.items():
            table.add_row(f"  {_name(run)}", account, status, *_money(profit))
    for account, amount in day.rounding.items():
        if amount:
            table.add_row("  rupee rounding", account, "", *_money(Profit(gross=ZERO, charges=amount)))
    table.add_section()
    table.add_row("total", "", "", *_money(day.profit))
    return table


def _carried(day: DayRecord) -> Iterator[Text]:
    """What is held after the close, at the last price known there."""
    for record in day.runs:
        for leg in record.run.positions:
            if leg.open:
                text = f"carried  {record.run.strategy.name} on {leg.account}: {leg.side} {leg.open // leg.lot_size} "
                text += f"{_short(leg)} at {_price(leg.entry_price)}, marked at {_price(leg.mark)}"
                if leg.mark is not None:
                    text += f" ({rupees(leg.unrealised(leg.mark)):+,} open)"
                yield Text(text, style="cyan")


def _money(profit: Profit) -> tuple[Text, Text, Text]:
    return _amount(profit.gross), _amount(profit.charges, plain=True), _amount(profit.net)


def _amount(amount: Decimal | None, *, plain: bool = False) -> Text:
    if amount is None:
        return Text("unknown", style="yellow")
    style = "" if plain or not amount else "green" if amount > 0 else "red"
    return Text(f"{rupees(amount):,}", style=style)


def _price(value: Decimal | None) -> str:
    return "-" if value is None else f"{rupees(value):,}"


def _clock(at: datetime) -> str:
    local = at.astimezone(IST)
    return f"{local:%H:%M:%S}"


class Live:
    """Prints what happened since the last tick, while the day goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[Happening] = set()

    def __call__(self, at: datetime, runs: Sequence[Run]) -> None:
        day = at.astimezone(IST).date()
        new = {each for run in runs for each in of_run(run) if is_on(each.at, day)} - self._seen
        self._seen |= new
        for each in sorted(new, key=lambda each: (each.at, each.rank, each.strategy, each.account, each.text)):
            what = Text(f"{each.what:<12}", style=each.style)
            place = f"{each.strategy} on {each.account}" if each.account else each.strategy
            self._console.print(Text(f"{_clock(each.at)}  "), what, f"{place}  {each.text}", sep="", highlight=False)
        if not new and at.minute % 15 == 0:
            held = sum(1 for run in runs for position in run.positions if position.open)
            self._console.print(f"[dim]{_clock(at)}  {held} positions open[/]", highlight=False)
