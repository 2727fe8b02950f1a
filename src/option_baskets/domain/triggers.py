"""Whether a price sets an entry off, and the range a price makes before it may.

A move fires at or beyond its level, a break strictly beyond its range, both at a last price or close. Nothing is set
off by a stale price: it may not decide an entry.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.money import ZERO
from option_baskets.domain.pending import Pending, Trigger
from option_baskets.domain.reference import is_fresh
from option_baskets.domain.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Price:
    """A sum of prices; of a lone price also the extremes of its bar, if all of that came after the waiting began."""

    last: Decimal
    as_of: datetime
    """Of its newest part."""
    is_fresh: bool
    """Every part of it is."""
    low: Decimal
    high: Decimal


def watched(run: Run, market: Snapshot) -> tuple[Run, tuple[Pending, ...]]:
    """The run once its pending entries have seen the snapshot, and those it set off, now due; the very same run if it
    changed none."""
    underlying = run.strategy.underlying
    pending = tuple(_seen(each, underlying, market) for each in run.pending)
    if all(after is before for after, before in zip(pending, run.pending, strict=True)):
        return run, ()
    due = tuple(each for each, before in zip(pending, run.pending, strict=True) if each.due != before.due)
    return replace(run, pending=pending), due


def _seen(pending: Pending, underlying: str, market: Snapshot) -> Pending:
    if pending.trigger is None or pending.due is not None:
        return pending
    if fires(pending.trigger, underlying, market):
        return replace(pending, due=market.at)
    trigger = widened(pending.trigger, underlying, market)
    return pending if trigger is pending.trigger else replace(pending, trigger=trigger)


def fires(trigger: Trigger, underlying: str, market: Snapshot) -> bool:
    """Whether the price known now sets the entry off. A sum counts as new as soon as one of its prices is."""
    price = _known(trigger, underlying, market)
    if price is None or not price.is_fresh or price.as_of <= trigger.since:
        return False
    high = trigger.high if trigger.fires_high else None
    low = trigger.low if trigger.fires_low else None
    if trigger.recording is None:
        return (high is not None and price.last >= high) or (low is not None and price.last <= low)
    if price.as_of <= trigger.recording:
        return False
    return (high is not None and price.last > high) or (low is not None and price.last < low)


def widened(trigger: Trigger, underlying: str, market: Snapshot) -> Trigger:
    """The trigger with its range up to the snapshot; the very same if the price adds nothing to it.

    A bar adds its high and low if it began and ended inside the range, one that began before it only its close.
    """
    if trigger.recording is None:
        return trigger
    price = _known(trigger, underlying, market)
    if price is None or not trigger.since < price.as_of <= trigger.recording:
        return trigger
    low = price.low if trigger.low is None else min(trigger.low, price.low)
    high = price.high if trigger.high is None else max(trigger.high, price.high)
    return trigger if (low, high) == (trigger.low, trigger.high) else replace(trigger, low=low, high=high)


def _known(trigger: Trigger, underlying: str, market: Snapshot) -> _Price | None:
    """None where a part of it has no price."""
    quotes: list[tuple[Quote, int]] = []
    for each in trigger.prices:
        quote = market.spot(underlying) if each.contract is None else market.quote(each.contract)
        if quote is None:
            return None
        quotes.append((quote, each.weight))
    last = sum((quote.last * weight for quote, weight in quotes), ZERO)
    low, high = last, last
    bar = quotes[0][0].bar
    if trigger.is_of_one_price and bar is not None and bar.start >= trigger.since:
        low = last if bar.low is None else bar.low
        high = last if bar.high is None else bar.high
    return _Price(
        last=last,
        as_of=max(quote.as_of for quote, _ in quotes),
        is_fresh=all(is_fresh(quote, market) for quote, _ in quotes),
        low=low,
        high=high,
    )
