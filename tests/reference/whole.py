"""Rules of the whole strategy: what its cycle has made so far against stop, target and lock."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.positions import Position

Table = dict[str, Any]
Marked = Callable[[Position], Fraction]
"""A position's profit so far, realised or at the last price, in rupees."""


class WholeStrategy:
    def __init__(self, strategy: Table) -> None:
        self.rules = strategy
        self.accounts = [allocation["account"] for allocation in strategy["allocations"]]
        self.peaks: dict[str, Fraction] = {}
        self.premiums: dict[str, Decimal] = {}
        """By scope, once its first entry has fixed it."""

    def entered(self, positions: list[Position]) -> None:
        for scope, part in self._scopes(positions).items():
            if part and scope not in self.premiums:
                self.premiums[scope] = self._combined_premium(part)

    def reason(self, positions: list[Position], marked: Marked) -> str | None:
        """What closes everything now, the first in the order of the rules page."""
        rules = self.rules
        if not any(rule in rules for rule in ("stop", "target", "lock")):
            return None
        units = 1
        if rules.get("per") == "unit":
            units = sum(allocation["lots"] for allocation in rules["allocations"])
        fired = set()
        for scope, part in self._scopes(positions).items():
            mtm = sum((marked(position) for position in part), Fraction(0)) / units
            stop, target = self._amount("stop", scope, units), self._amount("target", scope, units)
            if stop is not None and mtm <= -stop:
                fired.add("strategy_stop")
            if "lock" in rules and self._lock_fires(scope, mtm):
                fired.add("lock")
            if target is not None and mtm >= target:
                fired.add("strategy_target")
        return next((reason for reason in ("strategy_stop", "lock", "strategy_target") if reason in fired), None)

    def _scopes(self, positions: list[Position]) -> dict[str, list[Position]]:
        if self.rules.get("per", "run") == "account":
            return {name: [p for p in positions if p.account == name] for name in self.accounts}
        return {"": positions}

    def _combined_premium(self, positions: list[Position]) -> Decimal:
        net, gross = Decimal(0), Decimal(0)
        for position in positions:
            if position.instrument.type != "FUT":
                value = position.entry_price * position.quantity
                net += value * position.sign
                gross += value
        return gross if self.rules.get("premium_base") == "gross" else abs(net)

    def _amount(self, rule: str, scope: str, units: int) -> Fraction | None:
        """In rupees; None: there is no such rule, or it is of a premium that is not fixed yet."""
        amount = self.rules.get(rule)
        if amount is None:
            return None
        if "rupees" in amount:
            return Fraction(amount["rupees"])
        if scope not in self.premiums:
            return None
        return Fraction(self.premiums[scope]) / units * Fraction(amount["premium_percent"]) / 100

    def _lock_fires(self, scope: str, mtm: Fraction) -> bool:
        lock = self.rules["lock"]
        peak = self.peaks[scope] = max(self.peaks.get(scope, mtm), mtm)
        if peak < lock["at"]:
            return False
        keep = Fraction(lock["keep"])
        if "trail" in lock:
            keep += Fraction(lock["trail"]["by"]) * ((peak - lock["at"]) // Fraction(lock["trail"]["every"]))
        return mtm <= keep
