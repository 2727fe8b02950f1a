"""Approval before sending: a broker takes nothing that did not pass through here.

Entries are approved by account, all of them or none. Nothing ever keeps an exit from being approved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from option_baskets.domain.allocation import AllocationLimits
from option_baskets.domain.errors import Refused
from option_baskets.domain.market import Quote
from option_baskets.domain.money import HUNDRED, ZERO, rupees
from option_baskets.domain.order import Intent
from option_baskets.domain.reasons import Reason
from option_baskets.domain.session import Session


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Far:
    """How far from the last price the limit of an entry may lie, either way: whichever of the two is more."""

    percent: Decimal = Decimal(25)
    """Of the last price; the exchange's own protection begins at 40."""
    least: Decimal = Decimal(5)
    """Rupees per unit."""

    def room(self, last: Decimal) -> Decimal:
        return max(last * self.percent / HUNDRED, self.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known of an entry's contract at the instant it is decided, or is to leave."""

    at: datetime
    quote: Quote | None
    known_at: datetime
    """The instant of the snapshot the quote is from."""
    stale_after: timedelta
    """The age beyond which a quote may not decide an entry."""
    trades_until: datetime
    """When the contract stops trading for good."""
    session: Session | None
    """None: hours are not known, and not asked."""


def require_sendable(intent: Intent, moment: Moment, far: Far) -> None:
    """See that an entry may leave at this moment: its contract trades, its price is known, and its limit is near.

    Raises:
        Refused: ``session_closed``, ``market_halted``, ``no_quote``, ``stale_quote`` or ``price_far``.
    """
    name, quote = intent.contract.name, moment.quote
    _require_trading(name, moment)
    if quote is None:
        raise Refused(Reason.NO_QUOTE, f"{name} has no price any more")
    age = quote.age(moment.known_at)
    if age > moment.stale_after:
        raise Refused(
            Reason.STALE_QUOTE,
            f"the price of {name} is {age.total_seconds():.0f} s old, over {moment.stale_after.total_seconds():g} s",
        )
    distance = abs(intent.limit - quote.last)
    if distance > far.room(quote.last):
        raise Refused(
            Reason.PRICE_FAR,
            f"the limit {intent.limit:f} for {name} is {distance:f} from its last price {quote.last:f}, "
            f"more than {far.room(quote.last).normalize():f}",
        )


def _require_trading(name: str, moment: Moment) -> None:
    session, at = moment.session, moment.at
    if session is None:
        return
    halt = session.halt_at(at)
    if halt is not None:
        raise Refused(Reason.MARKET_HALTED, f"trading is halted from {halt.open:%H:%M} to {halt.close:%H:%M}")
    if not session.is_trading(at):
        raise Refused(Reason.SESSION_CLOSED, f"{name} does not trade in {session.phase(at)}")
    if at >= moment.trades_until:
        raise Refused(Reason.SESSION_CLOSED, f"{name} has stopped trading at {moment.trades_until:%H:%M}")


def approve(intent: Intent) -> Approved:
    """Approve a well-formed intent: an exit, or an entry whose account's part is approved.

    Raises:
        ValueError: quantity or limit price is not positive; such an order is a defect of ours, not of the market.
    """
    if intent.quantity <= 0 or intent.limit <= 0:
        raise ValueError(f"intent {intent.id}: quantity {intent.quantity} and limit {intent.limit} must be positive")
    return Approved(intent=intent)


_STOPPED = {
    Reason.USER_STOPPED: "everything together has made its daily loss",
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
