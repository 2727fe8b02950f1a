"""What a strategy would make and risk, entered at one instant: its resolved legs by account, and the payoff of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import exp, isfinite, nan, sqrt

import numpy as np

from option_baskets.domain.allocation import Allocation, lots_by_leg
from option_baskets.domain.basket import Strategy
from option_baskets.domain.contract import Contract
from option_baskets.domain.money import ZERO
from option_baskets.domain.resolve import resolve
from option_baskets.engine.valuation import Holding, Valuation
from option_baskets.pricing.kernels import Floats
from option_baskets.pricing.payoff import Position, break_evens

_DEVIATIONS = 2.5
UNALLOCATED = ""
"""The account of a strategy that has none yet: one unit of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One strategy, resolved at one instant. Lazy legs are left out: they are not entered with it."""

    strategy: Strategy
    valuation: Valuation
    by_account: Mapping[str, tuple[Holding, ...]]
    charges: Decimal | None
    """Rupees for the round trip on all accounts; None where a rate is not known."""

    @property
    def holdings(self) -> tuple[Holding, ...]:
        """Of all accounts together, one a contract and side, in the order of the legs."""
        joined: dict[tuple[Contract, bool], Holding] = {}
        for holding in (holding for held in self.by_account.values() for holding in held):
            key = (holding.contract, holding.units > 0)
            joined[key] = replace(holding, units=holding.units + (joined[key].units if key in joined else 0))
        return tuple(joined.values())

    @property
    def position(self) -> Position:
        return self.valuation.position(self.holdings, charges=self.charges or ZERO)

    @property
    def volatility(self) -> float:
        """Of the money, in the expiry that ends first; nan without options of it."""
        first = min(holding.contract.expiry for holding in self.holdings)
        underlying = self.strategy.underlying
        if not self.valuation.snapshot.strikes(underlying, first):
            return nan
        return self.valuation.chain(underlying, first).numbers.volatility


def prospect_of(
    strategy: Strategy,
    allocations: Collection[Allocation],
    valuation: Valuation,
    *,
    charges_as: Mapping[str, str],
    units: int | None = None,
) -> Prospect:
    """Entered as the engine would enter it now; a strategy without allocations as one unit, without charges.

    Args:
        charges_as: account → whose brokerage it pays.
        units: of those allocations that a policy sets.

    Raises:
        Refused: the engine would not enter it, with the reason.
    """
    entered = [leg.id for leg in strategy.legs if not leg.lazy]
    contracts = resolve(strategy, valuation.snapshot, valuation.delta, legs=entered).contracts
    by_account: dict[str, tuple[Holding, ...]] = {}
    for allocation in allocations:
        lots = lots_by_leg(strategy, allocation, allocations, units)
        planned = {leg: count for leg, count in lots.items() if leg in entered}
        by_account[allocation.account] = valuation.holdings(strategy, contracts, planned)
    charges: Decimal | None = ZERO
    for account, holdings in by_account.items():
        cost = valuation.round_trip_charges(holdings, charges_as[account])
        charges = None if charges is None or cost is None else charges + cost
    if not any(by_account.values()):
        one = {leg.id: leg.ratio for leg in strategy.legs if leg.id in entered}
        by_account = {UNALLOCATED: valuation.holdings(strategy, contracts, one)}
    return Prospect(strategy=strategy, valuation=valuation, by_account=by_account, charges=charges)


def levels_of(position: Position, volatility: float, count: int) -> Floats:
    """Levels of the index to look at, ascending, some more than ``count``.

    They reach 2.5 standard deviations around the spot, and beyond every strike and near break-even with room; those
    are among them.
    """
    roots = break_evens(position)
    spread = _DEVIATIONS * volatility * sqrt(position.horizon) if isfinite(volatility) else 0.02
    low, high = position.spot * exp(-spread), position.spot * exp(spread)
    strikes = [leg.strike for leg in position.legs if leg.strike is not None]
    places = [*strikes, *(root for root in roots if 0.8 < root / position.spot < 1.25)]
    room = 0.15 * (max([high, *places]) - min([low, *places])) or 0.01 * position.spot
    if places:
        low, high = min(low, min(places) - room), max(high, max(places) + room)
    inner = [place for place in (*strikes, *roots, position.spot) if low < place < high]
    return np.unique(np.concatenate([np.linspace(max(low, 0.0), high, count), inner]))


def deviation_of(position: Position, volatility: float) -> tuple[float, float] | None:
    """Levels one standard deviation off the forward at the horizon; None without a volatility or time."""
    spread = volatility * sqrt(position.horizon)
    if not (isfinite(spread) and spread > 0.0):
        return None
    centre = min(position.legs, key=lambda leg: leg.years).forward
    return centre * exp(-spread), centre * exp(spread)
