"""Limits: of losses, which end a day, and of size, which keep an entry out."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.basket_toml import CAPITAL, OF_ACCOUNTS, OF_BASKET
from tests.reference.charges import cost_on
from tests.reference.positions import Position
from tests.reference.recording import Instrument, Recording, date_of

Table = dict[str, Any]
ORDER = ("account_stop", "basket_stop", "allocation_stop")
Last = Callable[[Instrument, int], Decimal]


class Limits:
    """Those of a basket with one strategy. Sums are over all its runs, of earlier days too."""

    def __init__(self, strategy: Table) -> None:
        self.basket, self.account = strategy.get(OF_BASKET, {}), strategy.get(OF_ACCOUNTS, {})
        self.allocations = {each["account"]: each.get("limits", {}) for each in strategy["allocations"]}
        self.fences: dict[str, set[str]] = {}
        """Reasons by account on which nothing more is entered today."""
        self.highest = Fraction(0)
        self.marks: dict[int, Decimal] = {}
        """By position held over the night, its last price of the day before."""

    @property
    def of_losses(self) -> bool:
        return bool(self.basket or self.account or any("max_daily_loss" in each for each in self.allocations.values()))

    def begin(self) -> None:
        """A day."""
        self.fences = {}

    def end(self, day: Recording, positions: Iterable[Position], last: Last) -> None:
        self.marks = {id(each): last(each.instrument, day.close) for each in positions if each.is_open}

    # ------------------------------------------------------------ losses

    def reached(self, day: Recording, at: int, positions: list[Position], last: Last) -> list[tuple[str, str]]:
        """Accounts to leave, each with the reason; the first that closes a leg names it."""
        if not self.of_losses or not positions:
            return []
        today = {account: Fraction(0) for account in self.allocations}
        ever = Fraction(0)
        for each in positions:
            today[each.account] += self._made(each, day, at, last, since_close=True)
            ever += self._made(each, day, at, last, since_close=False)
        found = []
        for account, made in today.items():
            if -made >= self.account.get("max_daily_loss", -made + 1):
                found.append((account, "account_stop"))
        self.highest = max(self.highest, ever)
        fallen = self.basket.get("max_drawdown_percent")
        if -sum(today.values()) >= self.basket.get("max_daily_loss", -sum(today.values()) + 1) or (
            fallen is not None and self.highest - ever >= Fraction(fallen) * CAPITAL / 100
        ):
            found += [(account, "basket_stop") for account in self.allocations]
        for account, made in today.items():
            if -made >= self.allocations[account].get("max_daily_loss", -made + 1):
                found.append((account, "allocation_stop"))
        for account, reason in found:
            self.fences.setdefault(account, set()).add(reason)
        return found

    def _made(self, each: Position, day: Recording, at: int, last: Last, *, since_close: bool) -> Fraction:
        """Net of charges, since the close before or since its entry."""
        if since_close and each.exit_time is not None and date_of(each.exit_time) < day.date:
            return Fraction(0)
        held_over = since_close and date_of(each.entry_time) < day.date
        start = self.marks[id(each)] if held_over else each.entry_price
        price = last(each.instrument, at) if each.exit_price is None else each.exit_price
        profit = Fraction(price - start) * each.quantity * each.sign
        return profit - cost_on(each, day.freeze.get(each.instrument.expiry), None if not since_close else day.date)

    # ------------------------------------------------------------ size

    def refuses(
        self, account: str, entering: list[Position], day: Recording, at: int, positions: list[Position], last: Last
    ) -> str | None:
        """Why these may not be entered together on an account."""
        if account in self.fences:
            return f"{min(self.fences[account], key=ORDER.index)}ped"
        rules = self.allocations[account]
        mine = [each for each in positions if each.account == account]
        together = [each for each in mine if each.is_open] + entering
        trades = len(entering) + sum(1 for each in mine if date_of(each.entry_time) == day.date)
        if trades > rules.get("max_daily_trades", trades):
            return "max_daily_trades"
        lots = sum(each.lots for each in together)
        if lots > rules.get("max_lots", lots):
            return "max_lots"
        value = sum((last(each.instrument, at) * each.quantity for each in together), Decimal(0))
        if value > rules.get("max_position_value", value):
            return "max_position_value"
        return None
