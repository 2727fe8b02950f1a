"""Approval before sending: a broker takes nothing that did not pass through here.

Entries are approved by account, all of them or none. Nothing ever keeps an exit from being approved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from option_baskets.domain.allocation import AllocationLimits
from option_baskets.domain.errors import Refused
from option_baskets.domain.money import HUNDRED, ZERO, rupees
from option_baskets.domain.order import Intent
from option_baskets.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """An intent that risk let pass. Only ``approve`` and ``approve_entries`` make one."""

    intent: Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An allocation as it would be with the entries that ask for approval, and what it may be.

    Only what a limit reads needs to be known; the rest may be left as it is.
    """

    account: str
    limits: AllocationLimits
    capital: Decimal
    """Of the basket, rupees."""
    stopped: Reason | None = None
    """A loss has ended its day: that of the account, of the basket or its own."""
    trades: int = 0
    """Entry intents of the day, before slicing."""
    lots: int = 0
    value: Decimal = ZERO
    """Price x quantity over its legs, rupees."""
    margin: Decimal | None = None
    """Rupees, estimated; None: some price it needs is not known."""


def approve_entries(intents: Sequence[Intent], exposure: Exposure) -> tuple[Approved, ...]:
    """Approve every entry of one account's part of a run that is decided at one instant.

    Raises:
        Refused: a limit would be passed, or the day has ended there. None of them is approved then.
    """
    for refusal in _refusals(exposure):
        raise refusal
    return tuple(approve(intent) for intent in intents)


def approve(intent: Intent) -> Approved:
    """Approve a well-formed intent: an exit, or an entry whose account's part is approved.

    Raises:
        ValueError: quantity or limit price is not positive; such an order is a defect of ours, not of the market.
    """
    if intent.quantity <= 0 or intent.limit <= 0:
        raise ValueError(f"intent {intent.id}: quantity {intent.quantity} and limit {intent.limit} must be positive")
    return Approved(intent=intent)


_STOPPED = {
    Reason.ACCOUNT_STOPPED: "the account has made its daily loss",
    Reason.BASKET_STOPPED: "the basket has made its daily loss or its drawdown",
    Reason.ALLOCATION_STOPPED: "the strategy has made its daily loss there",
}


def _refusals(exposure: Exposure) -> Iterator[Refused]:
    """Every limit that would be passed; one that is just reached is not."""
    limits, on = exposure.limits, f"on {exposure.account}"
    if exposure.stopped is not None:
        yield Refused(exposure.stopped, f"no more entries {on} today: {_STOPPED[exposure.stopped]}")
    if limits.max_daily_trades is not None and exposure.trades > limits.max_daily_trades:
        what = f"{exposure.trades} entries in a day {on}"
        yield Refused(Reason.MAX_DAILY_TRADES, f"{what}, the limit is {limits.max_daily_trades}")
    if limits.max_lots is not None and exposure.lots > limits.max_lots:
        yield Refused(Reason.MAX_LOTS, f"{exposure.lots} lots {on}, the limit is {limits.max_lots}")
    if limits.max_position_value is not None and exposure.value > limits.max_position_value:
        what = f"a position value of {rupees(exposure.value)} {on}"
        yield Refused(Reason.MAX_POSITION_VALUE, f"{what}, the limit is {rupees(limits.max_position_value)}")
    if limits.max_margin_percent is not None:
        most = exposure.capital * limits.max_margin_percent / HUNDRED
        if exposure.margin is None:
            yield Refused(Reason.MARGIN_UNKNOWN, f"the margin {on} cannot be estimated, and it has a limit")
        elif exposure.margin > most:
            what = f"an estimated margin of {rupees(exposure.margin)} {on}"
            limit = f"{rupees(most)}, {limits.max_margin_percent:f} % of the capital"
            yield Refused(Reason.MAX_MARGIN, f"{what}, the limit is {limit}")
