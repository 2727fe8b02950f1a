"""A leg on one account, and the prices its own rules fire at: the table of "Out of a leg"."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.recording import Bar, Instrument, Recording

Table = dict[str, Any]
FLIPPED = {"BUY": "SELL", "SELL": "BUY"}


@dataclass
class Position:
    """One entry of a leg on one account."""

    leg: Table
    number: int
    """The leg's place in the strategy, from 0."""
    account: str
    side: str
    """A reverse flips it."""
    instrument: Instrument
    lots: int
    quantity: int
    entry_number: int
    entry_time: int
    entry_price: Decimal
    spot_at_entry: Decimal | None
    best: Decimal
    """The most favourable price since the entry."""
    way: str = "at its minute"
    """How it was entered."""
    at_cost: bool = False
    exit_time: int | None = None
    exit_price: Decimal | None = None
    exit_reason: str | None = None

    @property
    def sign(self) -> int:
        """+1 where a rising price is a profit."""
        return 1 if self.side == "BUY" else -1

    @property
    def is_open(self) -> bool:
        return self.exit_time is None

    def profit(self, last: Decimal) -> Decimal:
        price = last if self.exit_price is None else self.exit_price
        return (price - self.entry_price) * self.quantity * self.sign


@dataclass(frozen=True)
class Hit:
    price: Decimal | None
    """None: a marketable order is sent."""


def leg_id(leg: Table, number: int) -> str:
    return str(leg.get("id", number + 1))


# ---------------------------------------------------------------- levels


def _trailed(position: Position) -> tuple[Decimal, int] | None:
    """The stop on the leg's own price where trailing has brought it, and the steps that took."""
    stop = position.leg.get("stop", {})
    if "points" in stop:
        distance = Decimal(stop["points"])
    elif "percent" in stop:
        distance = position.entry_price * stop["percent"] / 100
    else:
        return None
    steps = 0
    trail = position.leg.get("trail")
    if trail is not None:
        unit = position.entry_price / 100 if trail["unit"] == "percent" else Decimal(1)
        gain = (position.best - position.entry_price) * position.sign
        steps = int(Fraction(gain) // (Fraction(trail["every"]) * Fraction(unit)))
        distance -= steps * trail["by"] * unit
    return position.entry_price - position.sign * distance, steps


def _stop_level(position: Position) -> Decimal | None:
    trailed = _trailed(position)
    if not position.at_cost:
        return trailed[0] if trailed else None
    if trailed is None:
        return position.entry_price
    tighter = min if position.side == "SELL" else max
    return tighter(trailed[0], position.entry_price)


def stop_reason(position: Position) -> str:
    """``trail`` if trailing had moved the level that fired."""
    trailed = _trailed(position)
    moved = trailed is not None and trailed[1] > 0 and trailed[0] == _stop_level(position)
    return "trail" if moved else "stop"


# ---------------------------------------------------------------- firing


def stopped(position: Position, day: Recording, at: int) -> Hit | None:
    level = _stop_level(position)
    if level is not None and (hit := _reached(position, day, at, level, against=True)):
        return hit
    if position.at_cost:
        return None
    return _underlying_reached(position, day, at, position.leg.get("stop", {}), against=True)


def target_reached(position: Position, day: Recording, at: int) -> Hit | None:
    target = position.leg.get("target", {})
    distance = None
    if "points" in target:
        distance = Decimal(target["points"])
    elif "percent" in target:
        distance = position.entry_price * target["percent"] / 100
    if distance is not None:
        return _reached(position, day, at, position.entry_price + position.sign * distance, against=False)
    return _underlying_reached(position, day, at, target, against=False)


def best_now(position: Position, day: Recording, at: int) -> Decimal:
    bar = _bar(position, day, at)
    if bar is None:
        return position.best
    inside = position.leg.get("price", "ltp") == "ltp" and bar.high is not None
    if position.sign > 0:
        return max(position.best, bar.high if inside and bar.high is not None else bar.close)
    return min(position.best, bar.low if inside and bar.low is not None else bar.close)


def _bar(position: Position, day: Recording, at: int) -> Bar | None:
    """The bar that ends now, if there is one; a leg without one is looked at when its next has ended."""
    return day.of(position.instrument).bars.get(at - 1)


def _reached(position: Position, day: Recording, at: int, level: Decimal, *, against: bool) -> Hit | None:
    bar = _bar(position, day, at)
    if bar is None:
        return None
    up = (position.sign > 0) != against  # the price has to rise to it

    def beyond(price: Decimal) -> bool:
        return price >= level if up else price <= level

    if position.leg.get("price", "ltp") == "close" or bar.open is None:
        return Hit(None) if beyond(bar.close) else None
    if beyond(bar.open):
        return Hit(bar.open)
    extreme = bar.high if up else bar.low
    assert extreme is not None
    return Hit(level) if beyond(extreme) else None


def _underlying_reached(position: Position, day: Recording, at: int, rule: Table, *, against: bool) -> Hit | None:
    entry, spot = position.spot_at_entry, day.spot.known(at)
    if entry is None or spot is None:
        return None
    if "underlying_points" in rule:
        distance = Decimal(rule["underlying_points"])
    elif "underlying_percent" in rule:
        distance = entry * rule["underlying_percent"] / 100
    else:
        return None
    gains_on_rise = (position.sign > 0) == (position.instrument.type != "PE")
    up = gains_on_rise != against
    move = spot.price - entry if up else entry - spot.price
    return Hit(None) if move >= distance else None
