"""``baskets payoff``: what the strategies of a basket file would make and risk, entered at a recorded instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from option_baskets.cli.valuing import FOLDER, PICTURE, RecordedDay, finite, instant_options

if TYPE_CHECKING:
    from option_baskets.adapters.basket_file import BasketFile
    from option_baskets.domain.basket import Strategy
    from option_baskets.engine.valuation import Holding, Valuation
    from option_baskets.pricing.payoff import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One strategy, resolved at one instant."""

    strategy: "Strategy"
    valuation: "Valuation"
    by_account: Mapping[str, tuple["Holding", ...]]
    charges: Decimal | None
    """Rupees for the round trip on all accounts; None where a rate is not known."""

    @property
    def holdings(self) -> tuple["Holding", ...]:
        """Of all accounts together, one a contract and side, in the order of the legs."""
        from dataclasses import replace

        joined: dict[tuple[object, bool], Holding] = {}
        for holding in (holding for held in self.by_account.values() for holding in held):
            key = (holding.contract, holding.units > 0)
            joined[key] = replace(holding, units=holding.units + (joined[key].units if key in joined else 0))
        return tuple(joined.values())

    @property
    def position(self) -> "Position":
        return self.valuation.position(self.holdings, charges=self.charges or Decimal(0))

    @property
    def volatility(self) -> float:
        """Of the money, in the expiry that ends first; nan without options of it."""
        first = min(holding.contract.expiry for holding in self.holdings)
        underlying = self.strategy.underlying
        if not self.valuation.snapshot.strikes(underlying, first):
            return float("nan")
        return self.valuation.chain(underlying, first).numbers.volatility


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


def _planned(found: "BasketFile", strategy: "Strategy", recorded: RecordedDay, at: time | None) -> Plan:
    """Raises Refused: with the reason for which the engine would not enter."""
    from option_baskets.cli.dynamic_wording import units_to_begin_with
    from option_baskets.domain.allocation import lots_by_leg
    from option_baskets.domain.resolve import resolve

    valuation = recorded.valued(at or strategy.schedule.entry)
    entered = [leg.id for leg in strategy.legs if not leg.lazy]
    contracts = resolve(strategy, valuation.snapshot, valuation.delta, legs=entered).contracts
    by_account = {}
    units = units_to_begin_with(found, strategy)
    for allocation in found.of(strategy):
        lots = lots_by_leg(strategy, allocation, found.of(strategy), units)
        planned = {leg: count for leg, count in lots.items() if leg in entered}
        by_account[allocation.account] = valuation.holdings(strategy, contracts, planned)
    charged_as = {account.id: account.charges_as for account in found.accounts}
    charges: Decimal | None = Decimal(0)
    for account, holdings in by_account.items():
        cost = valuation.round_trip_charges(holdings, charged_as[account])
        charges = None if charges is None or cost is None else charges + cost
    return Plan(strategy=strategy, valuation=valuation, by_account=by_account, charges=charges)
