"""Where the rules of one leg fire: its stop, trailed or moved to cost, and its target; and which prices reach them.

Levels are compared unrounded. Everything here reads one position, its leg and one snapshot.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Side
from option_baskets.domain.exit_rules import Distance, PriceUsed
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A rule of a leg that has fired."""

    reason: ExitReason
    level: Decimal | None = None
    """The price inside a recorded bar at which it fills; None where the order fills at the market."""


def stop_level(leg: LegSpec, side: Side, entry: Decimal) -> Decimal | None:
    """The leg's own price at or beyond which its stop fires at first: above the entry for a SELL, below it for a BUY.

    ``side`` is the position's, which a reverse has flipped. None without a stop, or with one on the underlying.
    """
    return None if leg.stop is None or leg.stop.underlying else entry - side.sign * leg.stop.of(entry)


def target_level(leg: LegSpec, side: Side, entry: Decimal) -> Decimal | None:
    """The leg's own price at or beyond which its target fires; None as for the stop."""
    return None if leg.target is None or leg.target.underlying else entry + side.sign * leg.target.of(entry)


def stop_in_force(leg: LegSpec, position: LegPosition) -> tuple[Decimal, ExitReason] | None:
    """The level of the leg's stop now and the reason it would give: whatever has moved it furthest in favour.

    ``trail`` is the reason only where the trail's level is the one in force.
    """
    entry, sign = _entry(position), position.side.sign
    level = stop_level(leg, position.side, entry)
    if level is None:  # one on the underlying may have been moved to cost all the same, on a bought leg reversed
        return (entry, ExitReason.STOP) if leg.stop is not None and position.cost_at is not None else None
    reason = ExitReason.STOP
    if leg.trail is not None and position.trail_steps:
        level += sign * leg.trail.by.of(entry) * position.trail_steps
        reason = ExitReason.TRAIL
    if position.cost_at is not None and (entry - level) * sign > 0:
        return entry, ExitReason.STOP
    return level, reason


def stopped(leg: LegSpec, position: LegPosition, market: Snapshot) -> Hit | None:
    """Whether the leg's stop fires."""
    if leg.stop is not None and leg.stop.underlying and _underlying_moved(leg.stop, position, market, direction=-1):
        return Hit(reason=ExitReason.STOP)
    in_force = stop_in_force(leg, position)
    if in_force is None:
        return None
    level, reason = in_force
    since = max(_entered(position), position.cost_at or _entered(position))
    return _touched(leg, position, market, level=level, reason=reason, since=since)


def target_reached(leg: LegSpec, position: LegPosition, market: Snapshot) -> Hit | None:
    """Whether the leg's target fires."""
    if leg.target is not None and leg.target.underlying:
        reached = _underlying_moved(leg.target, position, market, direction=1)
        return Hit(reason=ExitReason.TARGET) if reached else None
    level = target_level(leg, position.side, _entry(position))
    if level is None:
        return None
    return _touched(leg, position, market, level=level, reason=ExitReason.TARGET, since=_entered(position))


def trailed(leg: LegSpec, position: LegPosition, market: Snapshot) -> int:
    """The trail's steps with what the snapshot shows, never fewer than before. They count from the next evaluation."""
    if leg.trail is None:
        return 0
    since = _entered(position)
    quote = _price_used(leg, position, market, since)
    if quote is None:
        return position.trail_steps
    best = _range(leg, quote, since, rising=position.side is Side.BUY)[1]
    in_favour = (best * position.entered - position.entered_value) * position.side.sign
    return max(position.trail_steps, leg.trail.steps(position.entered, position.entered_value, in_favour))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietRange:
    """While a price lies between the bounds, both exclusive, a leg's rules on it do nothing: none fires, and the trail
    makes no step. None: there is no bound on that side."""

    underlying: bool
    """The price is the underlying's, in index points; otherwise the leg's own, in rupees per unit."""
    low: Decimal | None = None
    high: Decimal | None = None


def quiet_ranges(leg: LegSpec, position: LegPosition) -> Iterator[QuietRange]:
    """What the rules of a held leg watch, as the position is now."""
    entry, sign = _entry(position), position.side.sign
    in_force, target = stop_in_force(leg, position), target_level(leg, position.side, entry)
    adverse = [] if in_force is None else [in_force[0]]
    favourable = [] if target is None else [target]
    if leg.trail is not None:
        favourable.append(entry + sign * leg.trail.every.of(entry) * (position.trail_steps + 1))
    yield _between(adverse, favourable, sign, underlying=False)
    if position.entry_spot is not None:
        spot, sign = position.entry_spot, sign * position.contract.type.out_of_money
        against = [spot - sign * leg.stop.of(spot)] if leg.stop is not None and leg.stop.underlying else []
        for_it = [spot + sign * leg.target.of(spot)] if leg.target is not None and leg.target.underlying else []
        yield _between(against, for_it, sign, underlying=True)


def _between(adverse: list[Decimal], favourable: list[Decimal], sign: int, *, underlying: bool) -> QuietRange:
    """Levels against the leg lie below the price where it gains from a rise, and above it where it does not."""
    below, above = (adverse, favourable) if sign > 0 else (favourable, adverse)
    return QuietRange(underlying=underlying, low=max(below, default=None), high=min(above, default=None))


def _entry(position: LegPosition) -> Decimal:
    entry = position.entry_price
    assert entry is not None
    return entry


def _entered(position: LegPosition) -> datetime:
    assert position.entry_time is not None
    return position.entry_time


def _underlying_moved(rule: Distance, position: LegPosition, market: Snapshot, *, direction: int) -> bool:
    """Whether the underlying has moved by the rule's distance in favour of the leg (+1) or against it (-1).

    Only its last price counts: what the leg was worth at a high or low inside a minute is not known.
    """
    quote, entry = market.spot(position.contract.underlying), position.entry_spot
    if quote is None or entry is None or quote.as_of <= _entered(position):
        return False
    in_favour = (quote.last - entry) * position.side.sign * position.contract.type.out_of_money
    return in_favour * direction >= rule.of(entry)


def _price_used(leg: LegSpec, position: LegPosition, market: Snapshot, since: datetime) -> Quote | None:
    """The quote the leg's rules look at now; None where there is no newer one than ``since``, or no finished minute."""
    quote = market.quote(position.contract)
    if quote is None or quote.as_of <= since:
        return None
    between_minutes = market.at.second or market.at.microsecond
    return None if leg.price is PriceUsed.CLOSE and between_minutes else quote


def _touched(
    leg: LegSpec, position: LegPosition, market: Snapshot, *, level: Decimal, reason: ExitReason, since: datetime
) -> Hit | None:
    """Whether the price has been at or beyond the level since then, and where inside a bar that fills.

    A bar with high and low fills at the level, or at its open if it opened beyond; a lone price fills at the market. A
    price no newer than ``since`` says nothing, and a bar that began before it counts with its close only.
    """
    quote = _price_used(leg, position, market, since)
    if quote is None:
        return None
    rising = (position.side is Side.SELL) == (reason is not ExitReason.TARGET)
    open_, extreme = _range(leg, quote, since, rising)
    if (extreme < level) if rising else (extreme > level):
        return None
    if open_ is None:
        return Hit(reason=reason)
    return Hit(reason=reason, level=max(open_, level) if rising else min(open_, level))


def _range(leg: LegSpec, quote: Quote, since: datetime, rising: bool) -> tuple[Decimal | None, Decimal]:
    """The open of the bar, where its inside counts, and its extreme in the direction."""
    bar = quote.bar
    if leg.price is PriceUsed.CLOSE or bar is None or bar.open is None or bar.start < since:
        return None, quote.last
    extreme = bar.high if rising else bar.low
    return bar.open, quote.last if extreme is None else extreme
