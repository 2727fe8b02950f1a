"""How many lots go where: allocations, expanded to lots per leg and sliced at the freeze quantity."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from option_baskets.domain.basket import Strategy

MAX_LOTS = 10_000
"""Of one leg on one account: more is a slip of the keyboard, far above any exchange position limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationLimits:
    """What a strategy may risk on one account. None: no limit."""

    max_daily_loss: Decimal | None = None
    """Rupees of net loss since the previous close at which this part is left."""
    max_daily_trades: int | None = None
    """Entry intents a day, before slicing."""
    max_position_value: Decimal | None = None
    """Rupees: the sum of price x quantity over its open legs and those about to be entered."""
    max_margin_percent: Decimal | None = None
    """Margin of its positions in percent of the basket's capital."""
    max_lots: int | None = None
    """Lots open at once over all legs, those about to be entered included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """(strategy, broker account) → lots, in one of five ways: exactly one of the fields up to ``dynamic`` is set."""

    id: str
    strategy_id: str
    account: str
    units: int | None = None
    """Units of the strategy; a leg trades ratio x units lots. ``lots`` in files."""
    leg_lots: Mapping[str, int] | None = None
    """Leg id → lots; a leg that is absent is not traded on this account."""
    multiplier: Decimal | None = None
    """Times the strategy's base units, rounded down to whole units; never leg by leg, which would break the hedge."""
    weight: int | None = None
    """Its share of the strategy's base units, which are split over all its allocations with a weight."""
    dynamic: str | None = None
    """The basket's policy that sets the strategy's units every day; they are split evenly over its allocations."""
    priority: int = 0
    """Lower goes first where order matters."""
    limits: AllocationLimits = AllocationLimits()
    version: int = 0

    def __post_init__(self) -> None:
        kinds = (self.units, self.leg_lots, self.multiplier, self.weight, self.dynamic)
        if sum(kind is not None for kind in kinds) != 1:
            known = "lots, leg_lots, multiplier, weight or dynamic"
            raise ValueError(f"allocation to {self.account}: give {known}, and only one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Whole units of a strategy on one account, and the fraction of a unit that a multiplier left over."""

    whole: int
    dropped: Decimal = Decimal(0)


def policy_of(allocations: Iterable[Allocation]) -> str | None:
    """The policy that sets the units of these allocations of one strategy, if there is one."""
    return next((each.dynamic for each in allocations if each.dynamic is not None), None)


def units_by_allocation(
    strategy: Strategy, allocations: Collection[Allocation], today: int | None = None
) -> dict[str, Units]:
    """Allocation id → its units. ``allocations`` are all of the strategy; those in lots of legs have no units.

    The units of those with a weight add up to the strategy's base units: each gets its share rounded down, and the
    units that remain go to the largest remainders, of equal ones to the lower priority number, then the lower id.
    Those with a policy share in the same way what it gives the strategy ``today``; None, where no day is meant: a unit
    each.
    """
    found: dict[str, Units] = {}
    weighted: list[Allocation] = []
    dynamic: list[Allocation] = []
    for each in allocations:
        if each.units is not None:
            found[each.id] = Units(whole=each.units)
        elif each.multiplier is not None:
            wanted = each.multiplier * strategy.units
            found[each.id] = Units(whole=int(wanted), dropped=wanted % 1)
        elif each.weight is not None:
            weighted.append(each)
        elif each.dynamic is not None:
            dynamic.append(each)
    split = _split(strategy.units, weighted) | _split(len(dynamic) if today is None else today, dynamic)
    return found | {id_: Units(whole=whole) for id_, whole in split.items()}


def _split(total: int, weighted: Iterable[Allocation]) -> dict[str, int]:
    """By weight; without one all count alike."""
    weights = {each.id: each.weight or 1 for each in sorted(weighted, key=lambda each: (each.priority, each.id))}
    of_all = sum(weights.values())
    shares = {id_: divmod(total * weight, of_all) for id_, weight in weights.items()}
    remaining = total - sum(whole for whole, _ in shares.values())
    largest = sorted(shares, key=lambda id_: -shares[id_][1])[:remaining]
    return {id_: whole + (id_ in largest) for id_, (whole, _) in shares.items()}


def lots_by_leg(
    strategy: Strategy, allocation: Allocation, allocations: Collection[Allocation], today: int | None = None
) -> dict[str, int]:
    """Lots of every traded leg on the allocation's account, in the strategy's leg order. Never zero or negative.

    ``allocations`` are all of the strategy, this one among them: those with a weight or a policy depend on each other.
    ``today`` as in ``units_by_allocation``.
    """
    if allocation.leg_lots is not None:
        wanted = {leg.id: allocation.leg_lots.get(leg.id, 0) for leg in strategy.legs}
    else:
        units = units_by_allocation(strategy, allocations, today)[allocation.id].whole
        wanted = {leg.id: leg.ratio * units for leg in strategy.legs}
    return {leg: lots for leg, lots in wanted.items() if lots > 0}


def dropped_units(strategy: Strategy, allocations: Collection[Allocation]) -> tuple[str, ...]:
    """A sentence for every account whose multiplier leaves a fraction of a unit that is not traded."""
    units = units_by_allocation(strategy, allocations)
    base = f"{strategy.units} unit{'s' * (strategy.units != 1)}"
    return tuple(
        f"{each.account}: {each.multiplier:f} x {base} is {own.whole + own.dropped:f}; "
        f"{own.whole} traded, {own.dropped:f} dropped"
        for each in allocations
        if each.multiplier is not None and (own := units[each.id]).dropped
    )


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
