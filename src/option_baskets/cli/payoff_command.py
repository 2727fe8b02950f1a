"""``baskets payoff``: what the strategies of a basket file would make and risk, entered at a recorded instant."""

from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from option_baskets.cli.valuing import FOLDER, PICTURE, RecordedDay, finite, instant_options

if TYPE_CHECKING:
    from option_baskets.adapters.basket_file import BasketFile
    from option_baskets.domain.basket import Strategy
    from option_baskets.engine.prospect import Prospect


@click.command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", "directory", type=FOLDER, required=True, help="Folder of recorded sessions.")
@instant_options
@click.option("--strategy", "name", metavar="NAME", help="Only this one.")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    callback=finite,
    default=0.0,
    help="Draw the earlier curve that many days on.",
)
@click.option(
    "--volatility",
    "shift",
    type=float,
    callback=finite,
    default=0.0,
    metavar="POINTS",
    help="And move every volatility.",
)
@click.option("--png", type=PICTURE, help="Draw the curves into this picture.")
def command(
    file: Path,
    directory: Path,
    day: datetime | None,
    at: time | None,
    rate: float,
    facts: Path | None,
    name: str | None,
    days: float,
    shift: float,
    png: Path | None,
) -> None:
    """Show what the strategies of a basket file would make and risk, entered at a recorded instant.

    Strikes are resolved as the engine would, at --at, or at each strategy's own entry time. The curves are profit at
    the earliest expiry and now (--days later), over the net premium and the charges of entering and leaving. Margins
    are estimates. docs/chain-and-payoff.md says how the numbers are made.

    \b
    Examples:
      baskets payoff examples/straddle-0920.toml --data data/nifty-2022 --date 2022-06-10 --at 09:20
      baskets payoff examples/conservative-income.toml --data data/simulated --strategy "Iron condor" --png condor.png
      baskets payoff examples/straddle-0920.toml --data data/nifty-2022 --days 2 --volatility 3
    """
    from rich.console import Console

    from option_baskets.adapters.basket_file import load_basket_file
    from option_baskets.cli.payoff_view import curves_of, show_margins, show_plan
    from option_baskets.domain.errors import Invalid, Refused

    recorded = RecordedDay.opened(directory, day, rate=rate, facts=facts)
    found = load_basket_file(file, recorded.facts.names)
    console = Console(highlight=False)
    plans = []
    for strategy in wanted(found, name):
        try:
            plans.append(_planned(found, strategy, recorded, at))
        except Refused as refusal:
            console.print(f"{strategy.name}: {refusal}", style="yellow", markup=False, soft_wrap=True)
    if not plans:
        raise Invalid(f"no strategy of {file} can be entered on {recorded.date} at that time; try another --at")
    for plan in plans:
        show_plan(console, plan, curves_of(plan, days=days, shift=shift / 100))
    show_margins(console, plans)
    if png:
        from option_baskets.cli.plotting import save_payoffs

        save_payoffs(png, [curves_of(plan, days=days, shift=shift / 100) for plan in plans])
        console.print(f"picture in {png}", markup=False, soft_wrap=True)


def wanted(found: "BasketFile", name: str | None) -> Sequence["Strategy"]:
    """The file's strategies, or the one of that name.

    Raises:
        Invalid: it has none of that name.
    """
    from option_baskets.domain.errors import Invalid

    chosen = [strategy for strategy in found.strategies if name is None or strategy.name.lower() == name.lower()]
    if not chosen:
        names = ", ".join(strategy.name for strategy in found.strategies)
        raise Invalid(f"there is no strategy {name!r} in that file; it has {names}", where="--strategy")
    return chosen


def _planned(found: "BasketFile", strategy: "Strategy", recorded: RecordedDay, at: time | None) -> "Prospect":
    """Raises Refused: with the reason for which the engine would not enter."""
    from option_baskets.cli.dynamic_wording import units_to_begin_with
    from option_baskets.engine.prospect import prospect_of

    return prospect_of(
        strategy,
        found.of(strategy),
        recorded.valued(at or strategy.schedule.entry),
        charges_as={account.id: account.charges_as for account in found.accounts},
        units=units_to_begin_with(found, strategy),
    )
