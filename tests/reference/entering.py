"""What is entered at an instant: contracts chosen from the prices known then, lots by account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, partial
from typing import Any

from tests.reference.positions import Position, leg_id
from tests.reference.recording import Instrument, Recording
from tests.reference.strikes import FRESH, Skip, quoted, reference_price, strike_of
from tests.reference.waiting import Pending

Table = dict[str, Any]


@dataclass(frozen=True)
class Slot:
    """A leg on one account, and its lots there."""

    leg: Table
    number: int
    account: str
    lots: int


def slots(strategy: Table) -> list[Slot]:
    """All that the allocations ask for, leg by leg."""
    found = []
    for number, leg in enumerate(strategy["legs"]):
        for allocation in strategy["allocations"]:
            if "leg_lots" in allocation:
                lots = allocation["leg_lots"].get(leg_id(leg, number), 0)
            else:
                lots = allocation["lots"] * leg.get("ratio", 1)
            if lots:
                found.append(Slot(leg, number, allocation["account"], lots))
    return found


def expiry_of(strategy: Table, leg: Table, day: Recording) -> date | None:
    """None: not listed."""
    rule = leg.get("expiry")
    if rule is None:
        rule = {"series": "monthly"} if leg["type"] == "FUT" else strategy.get("expiry", {})
    listed = day.expiries(rule.get("series", "monthly" if leg["type"] == "FUT" else "weekly"))
    offset = rule.get("offset", 0)
    return listed[offset] if offset < len(listed) else None


class Choice:
    """Contracts chosen from one snapshot; ``has`` are those legs have already, by id, from which wings are measured."""

    def __init__(self, strategy: Table, day: Recording, at: int, has: dict[str, Instrument] | None = None) -> None:
        self.strategy, self.day, self.at, self.resolved = strategy, day, at, dict(has or {})
        self.reference: Callable[[], Decimal] = cache(partial(_reference, strategy, day, at))

    def contract(self, leg: Table, number: int, expiry: date | None = None) -> Instrument:
        """With a fresh price; ``expiry`` where it is not to be chosen.

        Raises:
            Skip: there is none.
        """
        expiry = expiry or expiry_of(self.strategy, leg, self.day)
        if expiry is None:
            raise Skip("not_listed")
        strike = None
        self._find_what_it_is_measured_from(leg)
        if leg["type"] != "FUT":
            strike = strike_of(leg, expiry, self.reference, self.resolved, self.day, self.at)
        instrument = Instrument(expiry, leg["type"], strike)
        quoted(self.day, instrument, self.at)
        self.resolved[leg_id(leg, number)] = instrument
        return instrument

    def _find_what_it_is_measured_from(self, leg: Table) -> None:
        """The leg of a wing may not be held on this account; its strike is then chosen now."""
        wing_of = leg.get("strike", {}).get("leg")
        for number, other in enumerate(self.strategy["legs"]):
            if leg_id(other, number) == wing_of and wing_of not in self.resolved:
                self.contract(other, number)

    def require_spot(self, legs: list[Table]) -> None:
        """Rules on the underlying need to know where it was."""
        measured = [leg.get(rule, {}) for leg in legs for rule in ("stop", "target")]
        if any(unit.startswith("underlying") for rule in measured for unit in rule):
            self.require_known_spot()

    def require_known_spot(self) -> None:
        spot = self.day.spot.known(self.at)
        if spot is None or spot.age > FRESH:
            raise Skip("no_reference_price")

    def require_clear_premium(self, planned: list[tuple[Slot, Instrument]]) -> None:
        """Of each scope a percentage is taken in."""
        uses_it = any("premium_percent" in self.strategy.get(rule, {}) for rule in ("stop", "target"))
        if not uses_it or self.strategy.get("premium_base", "auto") != "auto":
            return
        by_account = self.strategy.get("per") == "account"
        for account in {slot.account if by_account else None for slot, _ in planned}:
            net, gross = Decimal(0), Decimal(0)
            for slot, instrument in planned:
                if instrument.type != "FUT" and account in (None, slot.account):
                    value = quoted(self.day, instrument, self.at) * slot.lots * self.day.lot_size[instrument]
                    net += value if slot.leg["side"] == "BUY" else -value
                    gross += value
            if abs(net) * 10 < gross:
                raise Skip("premium_base_unclear")


def bought_or_sold(pending: Pending, instrument: Instrument, day: Recording, at: int) -> Position:
    """What a marketable order sent now becomes."""
    price = day.of(instrument).traded(at)
    assert price is not None
    spot = day.spot.known(at)
    return Position(
        leg=pending.leg,
        number=pending.number,
        account=pending.account,
        side=pending.side,
        way=pending.way,
        instrument=instrument,
        lots=pending.lots,
        quantity=pending.lots * day.lot_size[instrument],
        entry_number=pending.entry_number,
        entry_time=at,
        entry_price=price,
        spot_at_entry=spot.price if spot else None,
        best=price,
    )


def _reference(strategy: Table, day: Recording, at: int) -> Decimal:
    rule = strategy.get("expiry", {})
    expiries = day.expiries(rule.get("series", "weekly"))[rule.get("offset", 0) :]
    return reference_price(strategy.get("reference", "spot"), expiries[0] if expiries else None, day, at)
