"""``baskets simulate``: made-up days in the canonical form, to replay and to test with."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from option_baskets.adapters.feeds.simulated import Scenario
    from option_baskets.domain.facts import Facts

_DAY = click.DateTime(formats=["%Y-%m-%d"])
_FOLDER = click.Path(file_okay=False, path_type=Path)
_SATURDAY = 5


def _spots(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    spots = {}
    for value in values:
        name, _equals, level = value.rpartition("=")
        try:
            spots[name.upper()] = float(level)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a level, such as 24000 or BANKNIFTY=52000") from None
    return spots


@click.command()
@click.option("--from", "first", type=_DAY, required=True, help="First day, e.g. 2026-11-16.")
@click.option("--to", "last", type=_DAY, help="Last day; left out: the first.")
@click.option("--out", type=_FOLDER, required=True, help="Folder of sessions; made if it is not there.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same bytes.")
@click.option(
    "--underlying", "underlyings", multiple=True, metavar="NAME", help="An index; may be repeated.  [default: NIFTY]"
)
@click.option(
    "--spot",
    "spots",
    multiple=True,
    callback=_spots,
    metavar="[NAME=]LEVEL",
    help="Level of an index at the open of the first day; left out: near its real level of that time.",
)
@click.option(
    "--volatility",
    type=float,
    metavar="PERCENT",
    help="Median volatility a year, close to close, e.g. 15; left out: each index's own.",
)
@click.option("--replace", is_flag=True, help="Overwrite sessions that are there and differ.")
@click.option(
    "--facts",
    "extra",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of later market facts.",
)
def command(
    first: datetime,
    last: datetime | None,
    out: Path,
    seed: int,
    underlyings: tuple[str, ...],
    spots: dict[str, float],
    volatility: float | None,
    replace: bool,
    extra: Path | None,
) -> None:
    """Write simulated days in the canonical form: minute bars of the nearest expiries, the index and INDIAVIX.

    Days with one seed belong together: each begins where the one before it ended. docs/simulated-market.md says what
    the days are made of and how they compare with recorded ones.

    \b
    Examples:
      baskets simulate --from 2026-11-16 --to 2026-11-27 --out data/simulated
      baskets simulate --from 2026-11-17 --out data/wild --volatility 35 --seed 7
      baskets simulate --from 2024-06-03 --out data/two --underlying NIFTY --underlying BANKNIFTY
      baskets simulate --from 2026-11-17 --out data/high --spot 30000
    """
    from rich.console import Console

    from option_baskets.adapters import facts
    from option_baskets.adapters.feeds.simulated import Scenario

    names = tuple(dict.fromkeys(name.upper() for name in underlyings)) or ("NIFTY",)
    if "" in spots:
        if len(names) > 1:
            raise click.BadParameter(f"say which index it is of, e.g. {names[0]}={spots['']:g}", param_hint="--spot")
        spots = {**spots, names[0]: spots[""]}
        del spots[""]
    foreign = [name for name in spots if name not in names]
    if foreign:
        raise click.BadParameter(f"{foreign[0]} is not simulated; add --underlying {foreign[0]}", param_hint="--spot")
    if last is not None and last < first:
        raise click.BadParameter(f"{last.date()} is before --from {first.date()}", param_hint="--to")
    scenario = Scenario(
        spot=spots or None, spot_on=first.date(), volatility=None if volatility is None else volatility / 100
    )
    days = [first.date() + timedelta(days=n) for n in range(((last or first) - first).days + 1)]
    _simulate(Console(), facts.load(extra), days, names, out=out, seed=seed, scenario=scenario, replace=replace)


def _simulate(
    console: "Console",
    known: "Facts",
    days: list[date],
    names: tuple[str, ...],
    *,
    out: Path,
    seed: int,
    scenario: "Scenario",
    replace: bool,
) -> None:
    from rich.progress import track

    from option_baskets.adapters.feeds.canonical import write
    from option_baskets.adapters.feeds.settlements import add_settlements
    from option_baskets.adapters.feeds.simulated import SimulatedMarket, refuse_unless_sound
    from option_baskets.adapters.feeds.simulated.recording import record
    from option_baskets.domain.errors import Invalid
    from option_baskets.domain.instrument import exchange_of
    from option_baskets.domain.session import session_on

    refuse_unless_sound(known, days[0], names, scenario)
    refuse_unless_sound(known, days[-1], names, scenario)
    exchange = exchange_of(known, names[0])
    trading = [day for day in days if session_on(known, day, exchange) is not None]
    for day in sorted(set(days) - set(trading)):
        if day.weekday() < _SATURDAY:
            console.print(f"{day:%a %Y-%m-%d} skipped: {known.holidays[exchange, day].name}", highlight=False)
    if not trading:
        raise Invalid(f"no trading day from {days[0]} to {days[-1]}; `baskets calendar` lists them")
    rows = size = 0
    settled: dict[tuple[date, str], tuple[Decimal, str]] = {}
    for day in track(trading, "Simulating", console=console, transient=True, disable=not console.is_terminal):
        market = SimulatedMarket(known, day, seed=seed, underlyings=names, scenario=scenario)
        session = record(market)
        size += write(session, out, replace=replace).stat().st_size
        rows += session.bars.height
        expiring = {each.contract.underlying for each in session.listings if each.contract.expiry == day}
        settled |= {(day, name): (market.settlement(name), "simulated") for name in expiring}
    add_settlements(out, settled, replace=replace)
    span = f"{trading[0]}" if len(trading) == 1 else f"{trading[0]} to {trading[-1]}"
    console.print(
        f"{len(trading)} {'session' if len(trading) == 1 else 'sessions'} of {', '.join(names)}, {span}, seed {seed}:"
        f" {rows:,} bars, {size / 1e6:.1f} MB in {out}",
        highlight=False,
        soft_wrap=True,
    )
