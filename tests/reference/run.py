"""One run of a strategy, from its entry to its end, an instant at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

from tests.reference.charges import cost
from tests.reference.entering import Choice, Slot, bought_or_sold, slots
from tests.reference.positions import FLIPPED, Position, best_now, leg_id, stop_reason, stopped, target_reached
from tests.reference.recording import Instrument, Recording
from tests.reference.strikes import FRESH, Skip, fresh
from tests.reference.waiting import Pending, Trigger, back_at, broken, moved, net_premium
from tests.reference.whole import WholeStrategy

Table = dict[str, Any]
Refuses = Callable[[str, list[Position], Recording, int], str | None]
"""Why these may not be entered together on an account at an instant; None: they may."""


@dataclass
class Outcome:
    """What became of a run; ``skipped`` is the code of the reason, if nothing was ever entered."""

    day: date
    cycle: int = 0
    came: str = "first cycle"
    skipped: str | None = None
    waits: bool = False
    """Nothing is held after the last day, and something may still be entered."""
    positions: list[Position] = field(default_factory=list)


class Run:
    def __init__(
        self,
        strategy: Table,
        day: Recording,
        at: int,
        outcome: Outcome,
        *,
        exit_at: int,
        restarts: dict[str, int],
        last: Callable[[Instrument, int], Decimal],
        refuses: Refuses,
    ) -> None:
        self.strategy, self.day, self.outcome = strategy, day, outcome
        self.exit_at, self.restarts = exit_at, restarts
        self.last_price, self.refuses = last, refuses
        self.positions = outcome.positions
        self.pendings: list[Pending] = []
        self.whole = WholeStrategy(strategy)
        self.counts: dict[tuple[int, str, str], int] = {}
        self.woken: set[tuple[int, str]] = set()
        """Lazy legs, by number and account: once is enough."""
        self.cut_off = strategy.get("reenter_until", "24:00")
        self.ended_by: str | None = None
        """The strategy rule that closed everything."""
        self.last_cause = ""
        self.refused: str | None = None
        """Why what was due could not be entered, the first reason."""
        self._first_entry(at)

    @property
    def is_alive(self) -> bool:
        return bool(self.pendings or self.held())

    def held(self) -> list[Position]:
        return [position for position in self.positions if position.is_open]

    def may_come_again(self, at: int) -> bool:
        """Whether the next cycle begins now; asked once."""
        cause = {None: None, "strategy_stop": "on_stop"}.get(self.ended_by, "on_target")
        self.ended_by = None
        if cause is None or at >= min(self.exit_at, self.day.at(self.cut_off)) or not self.restarts.get(cause):
            return False
        self.restarts[cause] -= 1
        self.last_cause = cause
        return True

    # ------------------------------------------------------------ the first entry

    def _first_entry(self, at: int) -> None:
        """Everything that is not lazy: entered, or from now on waited for."""
        wanted = [slot for slot in slots(self.strategy) if not slot.leg.get("lazy")]
        choice = Choice(self.strategy, self.day, at)
        if "breakout" in self.strategy:
            rule = self.strategy["breakout"]
            choice.require_known_spot()
            trigger = broken(self.day.spot, self._spot, at, self.day.at(rule["until"]), rule.get("side", "either"))
            self.pendings = [_pending(slot, at, None, trigger, "strategy breakout") for slot in wanted]
            return
        legs = [(number, leg) for number, leg in enumerate(self.strategy["legs"]) if not leg.get("lazy")]
        chosen = {number: choice.contract(leg, number) for number, leg in legs}
        is_late = "wait" in self.strategy
        choice.require_spot([leg for _, leg in legs if not (is_late or "wait" in leg or "breakout" in leg)])
        choice.require_clear_premium([(slot, chosen[slot.number]) for slot in wanted])
        if "wait" in self.strategy:
            price = net_premium(self._last, [(leg, chosen[number]) for number, leg in legs])
            start = price(at)
            assert start is not None
            trigger = moved(price, start, self.strategy["wait"])
            self.pendings = [_pending(slot, at, chosen[slot.number], trigger, "strategy wait") for slot in wanted]
            return
        due: list[Pending] = []
        for slot in wanted:
            own = self._own_trigger(slot, chosen[slot.number], at)
            way = "at its minute" if own is None else "leg wait" if "wait" in slot.leg else "leg breakout"
            pending = _pending(slot, at, chosen[slot.number], own, way)
            (due if own is None else self.pendings).append(pending)
        entered: list[Position] = []
        for account in dict.fromkeys(pending.account for pending in due):
            batch = self._entered([pending for pending in due if pending.account == account], at)
            if not batch:  # a limit keeps it out, and what waits for a price with it
                self.pendings = [pending for pending in self.pendings if pending.account != account]
            entered += batch
        self._hold(entered)
        if not self.is_alive:
            raise Skip(self.refused or "not_triggered")

    def _own_trigger(self, slot: Slot, instrument: Instrument, at: int) -> Trigger | None:
        price = partial(self._last, instrument)
        if "wait" in slot.leg:
            start = price(at)
            assert start is not None
            return moved(price, start, slot.leg["wait"])
        if "breakout" in slot.leg:
            rule, prices = slot.leg["breakout"], self.day.of(instrument)
            return broken(prices, price, at, self.day.at(rule["until"]), rule.get("side", "either"))
        return None

    def _last(self, instrument: Instrument, at: int) -> Decimal | None:
        return fresh(self.day, instrument, at)

    def _spot(self, at: int) -> Decimal | None:
        known = self.day.spot.known(at)
        return known.price if known and known.age <= FRESH else None

    # ------------------------------------------------------------ one instant

    def evaluate(self, day: Recording, at: int) -> None:
        """Everything that is looked at at one instant, in the order of the rules page."""
        if not self.is_alive:
            return
        self.day = day
        fired: list[tuple[Position, str]] = []
        self._strategy_rules(at)
        to_cost = self._leg_rules(at, fired)
        if at >= self.exit_at:
            self._end(at, "time")
        for position in to_cost:
            position.at_cost = True
        for position in self.held():
            position.best = best_now(position, day, at)
        if not self._is_ended:
            for position, cause in fired:
                self._set_off(position, cause, at)
            self._enter_due(at)

    _is_ended = False

    def _end(self, at: int, reason: str) -> None:
        """Nothing is held or waited for any more."""
        self._is_ended = True
        if self.pendings:
            self.refused = None  # something waited to the end, which is what is told
        self.pendings = []
        for position in self.held():
            self._close(position, at, reason)

    def _close(self, position: Position, at: int, reason: str, price: Decimal | None = None) -> None:
        if price is None:
            price = self.day.of(position.instrument).traded(at)
            if price is None:
                price = self.last_price(position.instrument, at)
        position.exit_time, position.exit_price, position.exit_reason = at, price, reason

    def _strategy_rules(self, at: int) -> None:
        if not self.positions:
            return
        reason = self.whole.reason(self.positions, lambda position: self._marked(position, at))
        if reason is not None:
            self._end(at, reason)
            self.ended_by = reason

    def _marked(self, position: Position, at: int) -> Fraction:
        """What a limit has closed at this instant is not known to be closed: all rules read one snapshot."""
        if position.exit_time == at:
            position = replace(position, exit_time=None, exit_price=None)
        last = self.last_price(position.instrument, at)
        profit = Fraction(position.profit(last))
        if self.strategy.get("mtm") == "net":
            profit -= cost(position, self.day.freeze.get(position.instrument.expiry))
        return profit

    def leave(self, account: str, day: Recording, at: int, reason: str) -> None:
        """The account's part ends, and with it the chain of cycles."""
        self.day, self.restarts = day, {}
        if any(pending.account == account for pending in self.pendings):
            self.refused = None
        self.pendings = [pending for pending in self.pendings if pending.account != account]
        for position in self.held():
            if position.account == account:
                self._close(position, at, reason)

    def _leg_rules(self, at: int, fired: list[tuple[Position, str]]) -> list[Position]:
        """Stops, then targets, legs by number; returns whose stops are moved to cost."""
        moved_to_cost: list[Position] = []
        ordered = sorted(self.positions, key=lambda position: position.number)
        for position in ordered:
            hit = stopped(position, self.day, at) if position.is_open else None
            if hit is not None:
                self._close(position, at, stop_reason(position), hit.price)
                fired.append((position, "stop"))
                self._square_off(position, at)
                if self.strategy.get("move_stop_to_cost"):
                    moved_to_cost += [other for other in self.positions if other.account == position.account]
        for position in ordered:
            hit = target_reached(position, self.day, at) if position.is_open else None
            if hit is not None:
                self._close(position, at, "target", hit.price)
                fired.append((position, "target"))
                self._square_off(position, at)
        return [position for position in moved_to_cost if position.side == "SELL"]

    def _square_off(self, position: Position, at: int) -> None:
        if position.leg.get("square_off", "leg") == "all":
            for other in self.held():
                if other.account == position.account:
                    self._close(other, at, "square_off")
            self.pendings = [pending for pending in self.pendings if pending.account != position.account]

    # ------------------------------------------------------------ in again

    def _set_off(self, position: Position, cause: str, at: int) -> None:
        """What a leg's own stop or target sets off: the leg again, and lazy legs."""
        rule = position.leg.get(f"on_{cause}", {})
        if "reenter" in rule:
            counted = (position.number, position.account, cause)
            if self.counts.get(counted, 0) < rule.get("times", 1):
                self.counts[counted] = self.counts.get(counted, 0) + 1
                self.pendings.append(self._reentry(position, rule, cause, at))
        for slot in slots(self.strategy):
            woken, is_named = (slot.number, slot.account), leg_id(slot.leg, slot.number) in rule.get("wakes", [])
            if is_named and slot.account == position.account and woken not in self.woken:
                self.woken.add(woken)
                self.pendings.append(_pending(slot, at, None, None, "woken"))

    def _entries(self, number: int, account: str) -> int:
        known = [(each.number, each.account) for each in self.positions]
        known += [(each.number, each.account) for each in self.pendings]
        return known.count((number, account))

    def _reentry(self, position: Position, rule: Table, cause: str, at: int) -> Pending:
        kind = rule["reenter"].removesuffix("_reverse")
        instrument = None if kind == "asap" else position.instrument
        trigger = None
        if kind == "cost":
            (first,) = (
                each
                for each in self.positions
                if (each.number, each.account, each.entry_number) == (position.number, position.account, 0)
            )
            instrument = first.instrument
            trigger = back_at(partial(self._last, instrument), first.entry_price, position.side, cause)
        if kind == "momentum":
            assert position.exit_price is not None
            trigger = moved(partial(self._last, position.instrument), position.exit_price, rule)
        return Pending(
            leg=position.leg,
            number=position.number,
            account=position.account,
            side=FLIPPED[position.side] if rule["reenter"].endswith("_reverse") else position.side,
            lots=position.lots,
            entry_number=self._entries(position.number, position.account),
            instrument=instrument,
            expiry=position.instrument.expiry,
            trigger=trigger,
            since=at,
            way=f"{rule['reenter']} after {cause}",
            again=True,
        )

    def _enter_due(self, at: int) -> None:
        if at >= self.day.at(self.cut_off):
            self.pendings = [pending for pending in self.pendings if not pending.again]
        due = [pending for pending in self.pendings if pending.is_due(at) and self._is_news(pending, at)]
        self.pendings = [pending for pending in self.pendings if pending not in due]
        entered: list[Position] = []
        for account in dict.fromkeys(pending.account for pending in due):
            entered += self._entered([pending for pending in due if pending.account == account], at)
        self._hold(entered)

    def _is_news(self, pending: Pending, at: int) -> bool:
        """A re-entry waits for a price that is newer than the exit it follows."""
        if not pending.again or pending.trigger is None or pending.instrument is None:
            return True
        known = self.day.of(pending.instrument).known(at)
        return known is not None and at - known.age > pending.since

    def _entered(self, due: list[Pending], at: int) -> list[Position]:
        """What is due together, whole or not at all."""
        held = [position for position in self.positions if position.account == due[0].account] if due else []
        has = {leg_id(each.leg, each.number): each.instrument for each in held}
        choice = Choice(self.strategy, self.day, at, has)
        entered = []
        try:
            choice.require_spot([pending.leg for pending in due])
            for pending in sorted(due, key=lambda each: each.number):
                instrument = pending.instrument or choice.contract(pending.leg, pending.number, pending.expiry)
                entered.append(bought_or_sold(pending, instrument, self.day, at))
            refusal = self.refuses(due[0].account, entered, self.day, at) if due else None
            if refusal is not None:
                raise Skip(refusal)
        except Skip as skip:
            self.refused = self.refused or str(skip)
            return []
        return entered

    def _hold(self, entered: list[Position]) -> None:
        self.positions += entered
        if entered:
            self.whole.entered(self.positions)

    # ------------------------------------------------------------ expiry

    def settle(self, day: Recording) -> None:
        """At the close of a contract's last day what is open of it is worth what the index settles at."""
        for position in self.held():
            if position.instrument.expiry == day.date and day.settlement is not None:
                self._close(position, day.close, "expiry", _worth(position.instrument, day.settlement))
        if day.close >= self.exit_at and not self.held():
            self._end(day.close, "expiry")


def _worth(instrument: Instrument, index: Decimal) -> Decimal:
    """What the holder of a contract gets for a unit when it expires."""
    if instrument.strike is None:
        return index
    return max(index - instrument.strike if instrument.type == "CE" else instrument.strike - index, Decimal(0))


def _pending(slot: Slot, at: int, instrument: Instrument | None, trigger: Trigger | None, way: str) -> Pending:
    return Pending(
        leg=slot.leg,
        number=slot.number,
        account=slot.account,
        side=slot.leg["side"],
        lots=slot.lots,
        entry_number=0,
        instrument=instrument,
        trigger=trigger,
        since=at,
        way=way,
    )
