"""Legs, and the rules that legs and strategies share, as tables of a basket file."""

from collections.abc import Iterable, Mapping
from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from option_baskets.domain.basket import ExpiryRule, LegSpec, Strike
from option_baskets.domain.entry_rules import Again, Breakout, Move
from option_baskets.domain.exit_rules import Distance, PriceUsed, Scope, Trail

T = TypeVar("T")
Table = dict[str, Any]


def leg_table(leg: LegSpec) -> Table:
    return written(
        id=leg.id,
        side=leg.side,
        type=leg.type,
        ratio=leg.ratio,
        strike=_strike(leg.strike),
        expiry=expiry_table(leg.expiry),
        stop=_distance(leg.stop),
        target=_distance(leg.target),
        trail=_trail(leg.trail),
        price=unless(leg.price, PriceUsed.LTP),
        square_off=unless(leg.square_off, Scope.LEG),
        wait=move_table(leg.wait),
        breakout=breakout_table(leg.breakout),
        lazy=unless(leg.lazy, False),
        on_stop=_again(leg.on_stop),
        on_target=_again(leg.on_target),
    )


def expiry_table(rule: ExpiryRule | None) -> Table | None:
    return None if rule is None else written(series=rule.series, offset=rule.offset)


def move_table(move: Move | None) -> Table | None:
    return None if move is None else written(points=move.points, percent=move.percent)


def breakout_table(rule: Breakout | None) -> Table | None:
    return None if rule is None else written(until=rule.until, side=rule.side)


def _strike(strike: Strike | None) -> Table | None:
    if strike is None:
        return None
    return written(
        rule=strike.rule,
        leg=strike.leg,
        pick=strike.pick,
        offset=strike.offset,
        points=strike.points,
        percent=strike.percent,
        value=strike.value,
        **{"from": strike.low, "to": strike.high},
        k=strike.k,
    )


def _distance(distance: Distance | None) -> Table | None:
    if distance is None:
        return None
    of = "underlying_" if distance.underlying else ""
    return written(**{f"{of}percent": distance.percent, f"{of}points": distance.points})


def _trail(trail: Trail | None) -> Table | None:
    if trail is None:
        return None
    unit = "percent" if trail.every.points is None else "points"
    return written(unit=unit, every=getattr(trail.every, unit), by=getattr(trail.by, unit))


def _again(again: Again | None) -> Table | None:
    if again is None:
        return None
    times = None if again.reenter is None else again.times
    return written(reenter=again.reenter, times=times, **(move_table(again.move) or {}), wakes=unless(again.wakes, ()))


# ---------------------------------------------------------------- values


def written(**keys: object) -> Table:
    """The keys that have a value, as a file has it."""
    return {key: _plain(value) for key, value in keys.items() if value is not None}


def unless(value: T, usual: T) -> T | None:
    """The value, or None where it is what a reader takes anyway."""
    return None if value == usual else value


def _plain(value: object) -> object:
    match value:
        case StrEnum():
            return value.value
        case Decimal():
            return int(value) if value == value.to_integral_value() else value.normalize()
        case time():
            return f"{value:%H:%M}"
        case Mapping():
            return dict(value)
        case str():
            return value
        case Iterable():
            return [_plain(each) for each in value]
        case _:
            return value
