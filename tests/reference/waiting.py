"""Entries that come later or again: what a run still waits for, and what sets it off."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from tests.reference.recording import Instrument, Prices

Table = dict[str, Any]
Trigger = Callable[[int], bool]
"""Whether the prices known at an instant set the entry off."""
Price = Callable[[int], Decimal | None]
"""What is known at an instant; None where it is not known or stale, and decides no entry."""


@dataclass
class Pending:
    """An entry that has not come yet, of one leg on one account."""

    leg: Table
    number: int
    account: str
    side: str
    lots: int
    entry_number: int
    instrument: Instrument | None
    """None: chosen when it is entered."""
    trigger: Trigger | None
    """None: at once."""
    since: int
    """What was decided at an instant is looked at from the next one on."""
    way: str = "at its minute"
    again: bool = False
    """A re-entry, which a cut-off ends."""
    expiry: date | None = None
    """Of a strike chosen anew."""

    def is_due(self, at: int) -> bool:
        return self.trigger is None or (at > self.since and self.trigger(at))


def net_premium(price_of: Callable[[Instrument, int], Decimal | None], legs: list[tuple[Table, Instrument]]) -> Price:
    """What one unit of the strategy's options is sold for less what it is bought for."""

    def price(at: int) -> Decimal | None:
        total = Decimal(0)
        for leg, instrument in legs:
            if instrument.type != "FUT":
                now = price_of(instrument, at)
                if now is None:
                    return None
                total += now * leg.get("ratio", 1) * (1 if leg["side"] == "SELL" else -1)
        return total

    return price


def moved(price: Price, start: Decimal, move: Table) -> Trigger:
    """A move of ``points`` or ``percent`` of the price it starts from; the sign says where to."""
    distance = Decimal(move["points"]) if "points" in move else abs(start) * move["percent"] / 100
    level = start + distance

    def fires(at: int) -> bool:
        now = price(at)
        return now is not None and (now >= level if distance > 0 else now <= level)

    return fires


def back_at(price: Price, level: Decimal, side: str, cause: str) -> Trigger:
    """A price that is back: after a stop a SELL waits until it has fallen, a BUY until it has risen; after a target
    the other way round."""
    falls = (side == "SELL") == (cause == "stop")

    def fires(at: int) -> bool:
        now = price(at)
        return now is not None and (now <= level if falls else now >= level)

    return fires


def broken(prices: Prices, price: Price, start: int, until: int, side: str) -> Trigger:
    """The range is that of the bars of [start, until); a close beyond it after its end breaks it."""
    inside = [bar for minute, bar in prices.bars.items() if start <= minute < until]
    high = max((bar.close if bar.high is None else bar.high for bar in inside), default=None)
    low = min((bar.close if bar.low is None else bar.low for bar in inside), default=None)

    def fires(at: int) -> bool:
        now = price(at)
        if at <= until or now is None or high is None or low is None:
            return False
        above, below = now > high, now < low
        return {"high": above, "low": below, "either": above or below}[side]

    return fires
