"""Stops, targets, trails and locks, from tables. Rules that contradict each other are told with what to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.exit_rules import (
    Amount,
    Distance,
    Lock,
    Mtm,
    Per,
    PremiumBase,
    PriceUsed,
    Scope,
    StrategyExits,
    Trail,
)

_DISTANCES = {
    "percent": "25",
    "points": "25",
    "underlying_percent": "0.5",
    "underlying_points": "100",
}
_AMOUNTS = {"rupees": "5000", "premium_percent": "30"}


class _Unit(StrEnum):
    POINTS = "points"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegExits:
    """What a leg's table says of leaving it."""

    stop: Distance | None
    target: Distance | None
    trail: Trail | None
    price: PriceUsed
    square_off: Scope


def read_leg_exits(fields: Fields) -> LegExits:
    return LegExits(
        stop=_distance(fields, "stop"),
        target=_distance(fields, "target"),
        trail=_trail(fields),
        price=fields.choice("price", PriceUsed, PriceUsed.LTP, PriceUsed.LTP),
        square_off=fields.choice("square_off", Scope, Scope.LEG, Scope.LEG),
    )


def read_strategy_exits(fields: Fields) -> StrategyExits:
    """What stands in the strategy's own table; ``check_strategy_exits`` holds it against the legs."""
    return StrategyExits(
        stop=_amount(fields, "stop"),
        target=_amount(fields, "target"),
        lock=_lock(fields),
        mtm=fields.choice("mtm", Mtm, Mtm.GROSS, Mtm.GROSS),
        per=fields.choice("per", Per, Per.RUN, Per.RUN),
        premium_base=fields.choice("premium_base", PremiumBase, PremiumBase.AUTO, PremiumBase.AUTO),
        move_stop_to_cost=fields.flag("move_stop_to_cost"),
    )


# ---------------------------------------------------------------- of a leg


def _distance(fields: Fields, key: str) -> Distance | None:
    table = fields.table(key, "{ percent = 25 }", required=False)
    if table is None:
        return None
    values = {
        unit: table.decimal(unit, example, Decimal(example), positive=True) for unit, example in _DISTANCES.items()
    }
    table.close()
    given = table.only_one(tuple(values), f"{key} = {{ percent = 25 }}")
    if given is None:
        return Distance(percent=Decimal(25))
    underlying = given.startswith("underlying_")
    if given.endswith("percent"):
        return Distance(percent=values[given], underlying=underlying)
    return Distance(points=values[given], underlying=underlying)


def _trail(fields: Fields) -> Trail | None:
    table = fields.table("trail", '{ unit = "points", every = 10, by = 5 }', required=False)
    if table is None:
        return None
    unit = table.choice("unit", _Unit, _Unit.POINTS)
    every = table.decimal("every", "10", positive=True)
    by = table.decimal("by", "5", positive=True)
    table.close()
    if table.is_sound and by > every:
        table.add("by", f"{by} is more than every = {every}: the stop would overtake the price; write at most {every}")
    if unit is _Unit.POINTS:
        return Trail(every=Distance(points=every), by=Distance(points=by))
    return Trail(every=Distance(percent=every), by=Distance(percent=by))


def check_leg_exits(fields: Fields, leg: LegSpec) -> None:
    """Tell rules of one leg that contradict each other or could never fire."""
    for key, rule, against in (("stop", leg.stop, True), ("target", leg.target, False)):
        if leg.is_reversed or rule is None or rule.percent is None:
            continue
        if rule.percent >= 100 and fields.is_good("side"):
            _check_reach(fields, leg, key, rule.percent, underlying=rule.underlying, against=against)
    if leg.trail is not None and leg.stop is None:
        fields.add("trail", "a trail moves a stop and this leg has none; write one, for example stop = { points = 30 }")
    if leg.trail is not None and leg.stop is not None and leg.stop.underlying:
        way_out = "write the stop in points or percent, or remove the trail"
        fields.add("trail", f"a trail follows the leg's own price, and its stop is on the underlying; {way_out}")
    if leg.price is PriceUsed.CLOSE and not any(rule and not rule.underlying for rule in (leg.stop, leg.target)):
        fields.add("price", '"close" has no rule to serve: no stop or target is on the leg\'s own price; remove it')
    if leg.square_off is Scope.ALL and leg.stop is None and leg.target is None:
        fields.add("square_off", '"all" never happens: this leg has no stop and no target; add one or remove it')


def _check_reach(fields: Fields, leg: LegSpec, key: str, percent: Decimal, *, underlying: bool, against: bool) -> None:
    """A rule that only a price of zero or less would fire never fires."""
    rises_in_favour = (leg.side is Side.BUY) == (not underlying or leg.type is not ContractType.PE)
    if rises_in_favour != against:
        return
    what = f"a {leg.side} leg reaches it at a price of zero or less"
    if underlying:
        what = "it would need an underlying at zero or less"
    name = "underlying_percent" if underlying else "percent"
    fields.add(f"{key}.{name}", f"{percent} can never fire: {what}; write less than 100 or remove it")


# ---------------------------------------------------------------- of a strategy


def _amount(fields: Fields, key: str) -> Amount | None:
    table = fields.table(key, "{ rupees = 5000 }", required=False)
    if table is None:
        return None
    values = {
        unit: table.decimal(unit, example, Decimal(example), positive=True, decimals=2 if unit == "rupees" else 4)
        for unit, example in _AMOUNTS.items()
    }
    table.close()
    given = table.only_one(tuple(values), f"{key} = {{ rupees = 5000 }}")
    if given == "premium_percent":
        return Amount(premium_percent=values[given])
    return Amount(rupees=values["rupees"])


def _lock(fields: Fields) -> Lock | None:
    table = fields.table("lock", "{ at = 3000, keep = 1000 }", required=False)
    if table is None:
        return None
    at = table.decimal("at", "3000", positive=True, decimals=2)
    keep = table.decimal("keep", "1000", positive=False, decimals=2)
    if table.is_sound and keep >= at:
        table.add("keep", f"{keep} is not below at = {at}: it would close the moment it is reached; write less")
    trail = table.table("trail", "{ every = 1000, by = 500 }", required=False)
    if trail is None:
        table.close()
        return Lock(at=at, keep=keep)
    every = trail.decimal("every", "1000", positive=True, decimals=2)
    by = trail.decimal("by", "500", positive=True, decimals=2)
    trail.close()
    if trail.is_sound and by > every:
        trail.add(
            "by", f"{by} is more than every = {every}: what is kept would overtake the profit; write at most {every}"
        )
    table.close()
    return Lock(at=at, keep=keep, every=every, by=by)


def check_strategy_exits(fields: Fields, exits: StrategyExits, legs: Sequence[LegSpec]) -> None:
    """Tell rules of a strategy that contradict each other or its legs."""
    if not exits.reads_mtm:
        for key, value, usual in (("mtm", exits.mtm, Mtm.GROSS), ("per", exits.per, Per.RUN)):
            if value is not usual:
                fields.add(key, f'"{value}" has no rule to serve: the strategy has no stop, target or lock; remove it')
    if exits.premium_base is not PremiumBase.AUTO and not exits.reads_premium:
        what = "no stop or target is in premium_percent"
        fields.add("premium_base", f'"{exits.premium_base}" has no rule to serve: {what}; write one or remove it')
    target = exits.target.rupees if exits.target is not None else None
    if exits.lock is not None and target is not None and exits.lock.at >= target:
        first = f"the target of {target} closes everything first"
        fields.add("lock.at", f"{exits.lock.at} is never locked: {first}; write less, or a higher target")
    _check_premium(fields, exits, legs)
    if exits.move_stop_to_cost:
        _check_cost(fields, legs)


def _check_premium(fields: Fields, exits: StrategyExits, legs: Sequence[LegSpec]) -> None:
    sides = {leg.side for leg in legs if leg.type.is_option and not leg.lazy}
    comes_again = any(leg.lazy or leg.reentries for leg in legs)
    for key, rule, only in (("stop", exits.stop, Side.BUY), ("target", exits.target, Side.SELL)):
        if rule is None or rule.premium_percent is None or not legs:
            continue
        if not sides:
            fields.add(f"{key}.premium_percent", "the strategy has no option legs and so no premium; write rupees")
        elif comes_again or len(legs) > sum(leg.type.is_option for leg in legs):
            continue
        elif sides == {only} and rule.premium_percent >= 100:
            what = "all that was paid is lost" if only is Side.BUY else "all that was received is kept"
            never = f"{rule.premium_percent} can never fire: {what} only at prices of zero"
            fields.add(f"{key}.premium_percent", f"{never}; write less than 100 or remove it")


def _check_cost(fields: Fields, legs: Sequence[LegSpec]) -> None:
    """Every sold leg has a stop that can be moved, and another leg can be stopped before it."""
    before = len(fields.report.problems)
    for index, leg in enumerate(legs):
        if leg.side is not Side.SELL:
            continue
        if leg.stop is None:
            way_out = "write one, for example stop = { percent = 25 }, or remove move_stop_to_cost"
            fields.add(f"legs[{index}]", f"move_stop_to_cost needs a stop on every sold leg; {way_out}")
        elif leg.stop.underlying:
            way_out = "write it in points or percent, or remove move_stop_to_cost"
            fields.add(f"legs[{index}].stop", f"a stop on the underlying cannot move to the entry price; {way_out}")
    movable = [leg.id for leg in legs if leg.side is Side.SELL]
    starters = [leg.id for leg in legs if leg.stop is not None]
    is_moved = any(mover != starter for mover in movable for starter in starters)
    if legs and not is_moved and len(fields.report.problems) == before:
        what = "it takes a leg that is stopped and another that is sold"
        fields.add("move_stop_to_cost", f"there is no stop to move: {what}; remove it")
