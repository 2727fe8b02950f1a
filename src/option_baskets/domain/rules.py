"""The rules of a running strategy: one pure step from (run, event, market) to (run, decisions).

At one instant all rules read one snapshot, in a fixed order: leg stops by leg number, leg targets, the time exit. The
first that closes a leg names the reason. Levels are compared unrounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Side
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Evaluate every rule with what is known at ``at``."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitDemanded:
    """Close what is open, on one account or on all: a kill switch, a person, or the unwinding of a failed entry."""

    at: datetime
    reason: ExitReason
    account: str | None = None


Event = Check | ExitDemanded


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The decision to close one position: why, and the price at which it fills if that lies inside a recorded bar."""

    position: tuple[str, str, int]
    reason: ExitReason
    level: Decimal | None = None


def step(run: Run, event: Event, market: Snapshot) -> tuple[Run, tuple[Close, ...]]:
    """The run after the event, and what is to be done. A position already closing is never decided again."""
    decisions: dict[tuple[str, str, int], Close] = {}
    for close in _closes(run, event, market):
        decisions.setdefault(close.position, close)
    if not decisions:
        return run, ()
    positions = tuple(_closing(position, decisions.get(position.key)) for position in run.positions)
    return replace(run, positions=positions), tuple(decisions.values())


def _closing(position: LegPosition, close: Close | None) -> LegPosition:
    return position if close is None else replace(position, exit_reason=close.reason, exit_level=close.level)


def stop_level(leg: LegSpec, entry: Decimal) -> Decimal | None:
    """The price at or beyond which the leg's stop fires: above the entry for a SELL, below it for a BUY. Unrounded."""
    return None if leg.stop is None else entry - leg.side.sign * leg.stop.of(entry)


def target_level(leg: LegSpec, entry: Decimal) -> Decimal | None:
    """The price at or beyond which the leg's target fires. Unrounded."""
    return None if leg.target is None else entry + leg.side.sign * leg.target.of(entry)


def _closes(run: Run, event: Event, market: Snapshot) -> Iterator[Close]:
    """Every rule's decisions, in the order of evaluation."""
    running = [position for position in run.positions if position.exit_reason is None]
    if isinstance(event, ExitDemanded):
        for position in running:
            if event.account in {None, position.account}:
                yield Close(position=position.key, reason=event.reason)
        return
    held = [position for position in running if position.open]
    for position in held:
        leg = run.strategy.leg(position.leg)
        if leg.stop is not None:
            level = stop_level(leg, _entry(position))
            price = _touched(position, level, market, adverse=True)
            if price is not None:
                yield Close(position=position.key, reason=ExitReason.STOP, level=price.level)
    for position in held:
        leg = run.strategy.leg(position.leg)
        if leg.target is not None:
            level = target_level(leg, _entry(position))
            price = _touched(position, level, market, adverse=False)
            if price is not None:
                yield Close(position=position.key, reason=ExitReason.TARGET, level=price.level)
    if event.at >= run.exit_at:
        for position in running:
            yield Close(position=position.key, reason=ExitReason.TIME)


def _entry(position: LegPosition) -> Decimal:
    entry = position.entry_price
    assert entry is not None
    return entry


@dataclass(frozen=True, slots=True)
class _Touch:
    level: Decimal | None
    """The fill price inside the bar; None where the order fills at the market."""


def _touched(position: LegPosition, level: Decimal | None, market: Snapshot, *, adverse: bool) -> _Touch | None:
    """Whether the price has been at or beyond the level since the entry, and where inside a bar that fills.

    A bar with high and low fills at the level, or at its open if it opened beyond; a lone price fills at the market. A
    price no newer than the entry says nothing, and a bar that began before it counts with its close only.
    """
    quote = market.quote(position.contract)
    entered = position.entry_time
    if level is None or quote is None or entered is None or quote.as_of <= entered:
        return None
    rising = (position.side is Side.SELL) == adverse
    open_, extreme = _range(quote, entered, rising)
    if (extreme < level) if rising else (extreme > level):
        return None
    if open_ is None:
        return _Touch(None)
    return _Touch(max(open_, level) if rising else min(open_, level))


def _range(quote: Quote, entered: datetime, rising: bool) -> tuple[Decimal | None, Decimal]:
    bar = quote.bar
    if bar is None or bar.open is None or bar.start < entered:
        return None, quote.last
    extreme = bar.high if rising else bar.low
    return bar.open, quote.last if extreme is None else extreme
