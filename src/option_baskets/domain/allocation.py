"""How many lots go where: allocations, expanded to lots per leg and sliced at the freeze quantity."""

from collections.abc import Mapping
from dataclasses import dataclass

from option_baskets.domain.basket import Strategy

MAX_LOTS = 10_000
"""Of one leg on one account: more is a slip of the keyboard, far above any exchange position limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """(strategy, broker account) → lots: ``units`` of the whole strategy, or exactly these ``leg_lots``. One is set."""

    id: str
    strategy_id: str
    account: str
    units: int | None = None
    """Units of the strategy; a leg trades ratio x units lots. ``lots`` in files."""
    leg_lots: Mapping[str, int] | None = None
    """Leg id → lots; a leg that is absent is not traded on this account."""
    priority: int = 0
    """Lower goes first where order matters."""
    version: int = 0

    def __post_init__(self) -> None:
        if (self.units is None) == (self.leg_lots is None):
            raise ValueError(f"allocation to {self.account}: give lots or leg_lots, and only one of them")


def lots_by_leg(strategy: Strategy, allocation: Allocation) -> dict[str, int]:
    """Lots of every traded leg on the allocation's account, in the strategy's leg order. Never zero or negative."""
    if allocation.leg_lots is not None:
        wanted = {leg.id: allocation.leg_lots.get(leg.id, 0) for leg in strategy.legs}
    else:
        assert allocation.units is not None
        wanted = {leg.id: leg.ratio * allocation.units for leg in strategy.legs}
    return {leg: lots for leg, lots in wanted.items() if lots > 0}


def slices(lots: int, lot_size: int, freeze_quantity: int | None) -> tuple[int, ...]:
    """Quantities (units) of the orders for ``lots``: whole lots, each at most the freeze quantity, equal as can be.

    Raises:
        ValueError: one lot is already above the freeze quantity, or a number is not positive.
    """
    if lots <= 0 or lot_size <= 0:
        raise ValueError(f"lots and lot size must be positive, not {lots} and {lot_size}")
    if freeze_quantity is None:
        return (lots * lot_size,)
    most = freeze_quantity // lot_size
    if most == 0:
        raise ValueError(f"one lot of {lot_size} is above the freeze quantity {freeze_quantity}")
    count = -(-lots // most)
    each, larger = divmod(lots, count)
    return tuple((each + (1 if index < larger else 0)) * lot_size for index in range(count))
