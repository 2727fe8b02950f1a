"""One strategy on one day, minute by minute, as the rules page says it. Slow, and meant to be read beside that page.

A strategy is the table of its TOML file, with decimals for numbers. Nothing of the engine is used.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from typing import Any

from tests.reference.recording import Bar, Instrument, Known, Recording
from tests.reference.strikes import FRESH, Skip, quoted, reference_price, strike_of

Table = dict[str, Any]
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


@dataclass
class Position:
    """A leg on one account."""

    leg: Table
    number: int
    account: str
    instrument: Instrument
    lots: int
    quantity: int
    entry_time: int
    entry_price: Decimal
    best: Decimal
    """The most favourable price since the entry."""
    spot_at_entry: Decimal | None
    at_cost: bool = False
    exit_time: int | None = None
    exit_price: Decimal | None = None
    exit_reason: str | None = None

    @property
    def sign(self) -> int:
        """+1 where a rising price is a profit."""
        return 1 if self.leg["side"] == "BUY" else -1

    @property
    def is_open(self) -> bool:
        return self.exit_time is None

    def profit(self, last: Decimal) -> Decimal:
        price = last if self.exit_price is None else self.exit_price
        return (price - self.entry_price) * self.quantity * self.sign


@dataclass
class Outcome:
    """What became of a strategy on a day; ``skipped`` is the code of the reason."""

    skipped: str | None = None
    positions: list[Position] = field(default_factory=list)


def play(strategy: Table, day: Recording) -> Outcome | None:
    """None: not due."""
    if DAYS[day.date.weekday()] not in strategy.get("days", DAYS[:5]):
        return None
    expiries = [_expiry(strategy, leg, day) for leg in strategy["legs"]]
    if "dte" in strategy:
        listed = [expiry for expiry in expiries if expiry is not None]
        if len(listed) < len(expiries) or day.trading_days_until(min(listed)) not in strategy["dte"]:
            return None
    try:
        return Outcome(positions=_Run(strategy, day, enter(strategy, day, expiries)).until_the_end())
    except Skip as skip:
        return Outcome(skipped=str(skip))


def minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _expiry(strategy: Table, leg: Table, day: Recording) -> date | None:
    """None: not listed."""
    rule = leg.get("expiry")
    if rule is None:
        rule = {"series": "monthly"} if leg["type"] == "FUT" else strategy.get("expiry", {})
    listed = day.expiries(rule.get("series", "monthly" if leg["type"] == "FUT" else "weekly"))
    offset = rule.get("offset", 0)
    return listed[offset] if offset < len(listed) else None


# ---------------------------------------------------------------- entry


def enter(strategy: Table, day: Recording, expiries: list[date | None]) -> list[Position]:
    """The positions of a complete entry.

    Raises:
        Skip: nothing is entered.
    """
    at = minutes(strategy["entry"])
    reference = cache(partial(_reference, strategy, day, at))
    resolved: dict[str, Instrument] = {}
    for number, (leg, expiry) in enumerate(zip(strategy["legs"], expiries, strict=True)):
        if expiry is None:
            raise Skip("not_listed")
        strike = None
        if leg["type"] != "FUT":
            strike = strike_of(leg, expiry, reference, resolved, day, at)
        instrument = Instrument(expiry, leg["type"], strike)
        quoted(day, instrument, at)
        resolved[_id(leg, number)] = instrument
    spot = day.spot.known(at)
    measured = [leg.get(rule, {}) for leg in strategy["legs"] for rule in ("stop", "target")]
    if any(unit.startswith("underlying") for rule in measured for unit in rule) and (spot is None or spot.age > FRESH):
        raise Skip("no_reference_price")
    planned = _planned(strategy, resolved, day, at, spot)
    _require_clear_premium(strategy, planned, day, at)
    return planned


def _reference(strategy: Table, day: Recording, at: int) -> Decimal:
    rule = strategy.get("expiry", {})
    expiries = day.expiries(rule.get("series", "weekly"))[rule.get("offset", 0) :]
    return reference_price(strategy.get("reference", "spot"), expiries[0] if expiries else None, day, at)


def _id(leg: Table, number: int) -> str:
    return str(leg.get("id", number + 1))


def _planned(
    strategy: Table, resolved: dict[str, Instrument], day: Recording, at: int, spot: Known | None
) -> list[Position]:
    positions = []
    for number, leg in enumerate(strategy["legs"]):
        instrument = resolved[_id(leg, number)]
        for allocation in strategy["allocations"]:
            if "leg_lots" in allocation:
                lots = allocation["leg_lots"].get(_id(leg, number), 0)
            else:
                lots = allocation["lots"] * leg.get("ratio", 1)
            if not lots:
                continue
            price = day.prices[instrument].traded(at)
            assert price is not None
            positions.append(
                Position(
                    leg=leg,
                    number=number,
                    account=allocation["account"],
                    instrument=instrument,
                    lots=lots,
                    quantity=lots * day.lot_size[instrument],
                    entry_time=at,
                    entry_price=price,
                    best=price,
                    spot_at_entry=spot.price if spot else None,
                )
            )
    return positions


def _require_clear_premium(strategy: Table, planned: list[Position], day: Recording, at: int) -> None:
    uses_it = any("premium_percent" in strategy.get(rule, {}) for rule in ("stop", "target"))
    if not uses_it or strategy.get("premium_base", "auto") != "auto":
        return
    net, gross = Decimal(0), Decimal(0)
    for position in planned:
        if position.instrument.type != "FUT":
            value = quoted(day, position.instrument, at) * position.quantity
            net += value * position.sign
            gross += value
    if abs(net) * 10 < gross:
        raise Skip("premium_base_unclear")


# ---------------------------------------------------------------- the run


class _Run:
    def __init__(self, strategy: Table, day: Recording, positions: list[Position]) -> None:
        self.strategy = strategy
        self.day = day
        self.positions = positions
        self.exit_at = minutes(strategy["exit"])
        self.entry_at = minutes(strategy["entry"])
        self.peaks: dict[str, Fraction] = {}
        self.premiums = {scope: self._combined_premium(parts) for scope, parts in self._scopes().items()}

    def until_the_end(self) -> list[Position]:
        for at in range(self.entry_at + 1, self.exit_at + 1):
            if not any(position.is_open for position in self.positions):
                break
            self._evaluate(at)
        return self.positions

    def _evaluate(self, at: int) -> None:
        """Everything that is looked at at one instant, in the order of the rules page."""
        moved_to_cost = self._strategy_rules(at)
        if at == self.exit_at:
            for position in self._open():
                self._close(position, at, "time")
        for position in moved_to_cost:
            position.at_cost = True
        for position in self._open():
            position.best = self._best(position, at)

    def _open(self) -> list[Position]:
        return [position for position in self.positions if position.is_open]

    def _close(self, position: Position, at: int, reason: str, price: Decimal | None = None) -> None:
        if price is None:
            price = self.day.prices[position.instrument].traded(at)
        position.exit_time, position.exit_price, position.exit_reason = at, price, reason

    def _strategy_rules(self, at: int) -> list[Position]:
        """Strategy rules, then those of the legs; returns whose stops are moved to cost."""
        reason = self._strategy_reason(at)
        if reason is not None:
            for position in self._open():
                self._close(position, at, reason)
        moved = []
        for position in self.positions:
            hit = self._stop_price(position, at) if position.is_open else None
            if hit is not None:
                self._close(position, at, "trail" if self._trail_decides(position) else "stop", hit.price)
                self._square_off(position, at)
                if self.strategy.get("move_stop_to_cost"):
                    moved += [other for other in self.positions if other.account == position.account]
        for position in self.positions:
            hit = self._target_price(position, at) if position.is_open else None
            if hit is not None:
                self._close(position, at, "target", hit.price)
                self._square_off(position, at)
        return [position for position in moved if position.leg["side"] == "SELL"]

    def _square_off(self, position: Position, at: int) -> None:
        if position.leg.get("square_off", "leg") == "all":
            for other in self._open():
                if other.account == position.account:
                    self._close(other, at, "square_off")

    # ------------------------------------------------------------ legs

    def _bar(self, position: Position, at: int) -> Bar | None:
        """The bar that ends now, if there is one; a leg without one is looked at when its next has ended."""
        return self.day.prices[position.instrument].bars.get(at - 1)

    def _best(self, position: Position, at: int) -> Decimal:
        bar = self._bar(position, at)
        if bar is None:
            return position.best
        inside = position.leg.get("price", "ltp") == "ltp" and bar.high is not None
        if position.sign > 0:
            return max(position.best, bar.high if inside and bar.high is not None else bar.close)
        return min(position.best, bar.low if inside and bar.low is not None else bar.close)

    def _trailed(self, position: Position) -> tuple[Decimal, int] | None:
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

    def _stop_level(self, position: Position) -> Decimal | None:
        trailed = self._trailed(position)
        if not position.at_cost:
            return trailed[0] if trailed else None
        if trailed is None:
            return position.entry_price
        tighter = min if position.leg["side"] == "SELL" else max
        return tighter(trailed[0], position.entry_price)

    def _trail_decides(self, position: Position) -> bool:
        trailed = self._trailed(position)
        return trailed is not None and trailed[1] > 0 and trailed[0] == self._stop_level(position)

    def _stop_price(self, position: Position, at: int) -> "_Hit | None":
        level = self._stop_level(position)
        if level is not None and (hit := self._reached(position, at, level, against=True)):
            return hit
        if position.at_cost:
            return None
        return self._underlying_reached(position, at, position.leg.get("stop", {}), against=True)

    def _target_price(self, position: Position, at: int) -> "_Hit | None":
        target = position.leg.get("target", {})
        distance = None
        if "points" in target:
            distance = Decimal(target["points"])
        elif "percent" in target:
            distance = position.entry_price * target["percent"] / 100
        if distance is not None:
            return self._reached(position, at, position.entry_price + position.sign * distance, against=False)
        return self._underlying_reached(position, at, target, against=False)

    def _reached(self, position: Position, at: int, level: Decimal, *, against: bool) -> "_Hit | None":
        bar = self._bar(position, at)
        if bar is None:
            return None
        up = (position.sign > 0) != against  # the price has to rise to it

        def beyond(price: Decimal) -> bool:
            return price >= level if up else price <= level

        if position.leg.get("price", "ltp") == "close" or bar.open is None:
            return _Hit(None) if beyond(bar.close) else None
        if beyond(bar.open):
            return _Hit(bar.open)
        extreme = bar.high if up else bar.low
        assert extreme is not None
        return _Hit(level) if beyond(extreme) else None

    def _underlying_reached(self, position: Position, at: int, rule: Table, *, against: bool) -> "_Hit | None":
        entry, spot = position.spot_at_entry, self.day.spot.known(at)
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
        return _Hit(None) if move >= distance else None

    # ------------------------------------------------------------ the whole strategy

    def _scopes(self) -> dict[str, list[Position]]:
        if self.strategy.get("per", "run") == "account":
            accounts = dict.fromkeys(position.account for position in self.positions)
            return {name: [p for p in self.positions if p.account == name] for name in accounts}
        return {"": self.positions}

    def _combined_premium(self, positions: list[Position]) -> Decimal:
        net, gross = Decimal(0), Decimal(0)
        for position in positions:
            if position.instrument.type != "FUT":
                value = position.entry_price * position.quantity
                net += value * position.sign
                gross += value
        return gross if self.strategy.get("premium_base") == "gross" else abs(net)

    def _mtm(self, positions: list[Position], at: int) -> Decimal:
        total = Decimal(0)
        for position in positions:
            last = self.day.prices[position.instrument].known(at)
            total += position.profit(last.price if last else position.entry_price)
        return total

    def _strategy_reason(self, at: int) -> str | None:
        rules = self.strategy
        if not any(rule in rules for rule in ("stop", "target", "lock")):
            return None
        units = 1
        if rules.get("per") == "unit":
            units = sum(allocation["lots"] for allocation in rules["allocations"])
        fired = set()
        for scope, positions in self._scopes().items():
            mtm = Fraction(self._mtm(positions, at)) / units
            premium = Fraction(self.premiums[scope]) / units
            if "stop" in rules and mtm <= -_amount(rules["stop"], premium):
                fired.add("strategy_stop")
            if "lock" in rules and self._lock_fires(scope, mtm):
                fired.add("lock")
            if "target" in rules and mtm >= _amount(rules["target"], premium):
                fired.add("strategy_target")
        return next((reason for reason in ("strategy_stop", "lock", "strategy_target") if reason in fired), None)

    def _lock_fires(self, scope: str, mtm: Fraction) -> bool:
        lock = self.strategy["lock"]
        peak = self.peaks[scope] = max(self.peaks.get(scope, mtm), mtm)
        if peak < lock["at"]:
            return False
        keep = Fraction(lock["keep"])
        if "trail" in lock:
            keep += Fraction(lock["trail"]["by"]) * ((peak - lock["at"]) // Fraction(lock["trail"]["every"]))
        return mtm <= keep


@dataclass(frozen=True)
class _Hit:
    price: Decimal | None
    """None: a marketable order is sent."""


def _amount(rule: Table, premium: Fraction) -> Fraction:
    if "rupees" in rule:
        return Fraction(rule["rupees"])
    return premium * Fraction(rule["premium_percent"]) / 100
