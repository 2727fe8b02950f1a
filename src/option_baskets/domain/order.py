"""Intents and orders: one table of transitions, one way to apply what a broker reports."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.basket import Product
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.copies import copied
from option_baskets.domain.ids import Action, intent_id
from option_baskets.domain.money import ZERO
from option_baskets.domain.reasons import ExitReason, Reason


class OrderState(StrEnum):
    CREATED = "CREATED"
    SENDING = "SENDING"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    ABSENT = "ABSENT"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.ABSENT})

_S = OrderState
TRANSITIONS: frozenset[tuple[OrderState, OrderState]] = frozenset(
    {
        (_S.CREATED, _S.SENDING),
        (_S.CREATED, _S.CANCELLED),
        (_S.SENDING, _S.UNKNOWN),
        (_S.UNKNOWN, _S.ABSENT),
        (_S.PARTIAL, _S.PARTIAL),
        # A fill that crossed our cancel, or an abandoned tag that shows up later: rare, real, and never ignored.
        (_S.CANCELLED, _S.FILLED),
        (_S.ABSENT, _S.OPEN),
        (_S.ABSENT, _S.PARTIAL),
        (_S.ABSENT, _S.FILLED),
        (_S.ABSENT, _S.CANCELLED),
        (_S.ABSENT, _S.REJECTED),
    }
    | {
        (before, after)
        for before in (_S.SENDING, _S.UNKNOWN, _S.OPEN, _S.PARTIAL)
        for after in (_S.OPEN, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED)
        if (before, after) not in {(_S.PARTIAL, _S.OPEN), (_S.PARTIAL, _S.REJECTED), (_S.OPEN, _S.OPEN)}
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The decision to send one order. Its id is the broker's tag and names the order for ever."""

    id: str
    user_id: str
    run_id: str
    strategy_id: str
    leg: str
    account: str
    entry_number: int
    action: Action
    attempt: int
    slice_number: int
    contract: Contract
    side: Side
    quantity: int
    """Units, a whole number of lots."""
    limit: Decimal
    """Limit price, rupees per unit, a multiple of the tick."""
    decided_at: datetime
    cause: ExitReason | None = None
    """Why, for an exit; never part of the id."""
    cap: Decimal | None = None
    """The worst price an entry is chased to, rupees per unit; an exit has none."""
    level: Decimal | None = None
    """The price at which a stop or target inside a recorded bar fills; None for a marketable order."""
    product: Product = Product.NRML


def next_attempt(intent: Intent, *, limit: Decimal, at: datetime) -> Intent:
    """The intent ordered anew: another identity, decided at ``at`` with a limit of its own, all else as it was."""
    attempt = intent.attempt + 1
    identity = intent_id(
        user_id=intent.user_id,
        run=intent.run_id,
        leg=intent.leg,
        account=intent.account,
        entry_number=intent.entry_number,
        action=intent.action,
        attempt=attempt,
        slice_number=intent.slice_number,
    )
    return replace(intent, id=identity, attempt=attempt, limit=limit, decided_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What a broker says of an order, now and cumulatively. Reports may be late, repeated or out of order."""

    tag: str
    """Our intent id, or whatever a person or another program wrote; empty where there is none."""
    broker_order_id: str
    account: str
    contract: Contract
    side: Side
    quantity: int
    state: OrderState
    filled: int
    """Units filled so far."""
    value: Decimal
    """Sum of fill price x fill quantity so far, rupees, exact."""
    at: datetime
    limit: Decimal
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Units filled between two reports of one order."""

    intent_id: str
    quantity: int
    value: Decimal
    """Rupees: price x quantity, exact."""
    at: datetime
    number: int
    """Units filled before this one: with the intent id, the identity of the fill."""


class Step(StrEnum):
    """What a change of an order is."""

    ENGINE = "engine"
    """We moved it on: sending it, losing its answer, ending it without a broker."""
    BROKER = "broker"
    """Its broker said so, as an answer, an update or in its order book."""
    CANCEL = "cancel"
    """We asked its broker to cancel it."""
    REPRICE = "reprice"
    """We asked its broker for another limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an order was from an instant on, or what was asked for it. Changes are added and never altered."""

    at: datetime
    step: Step
    state: OrderState
    filled: int = 0
    limit: Decimal | None = None
    """The limit the broker confirmed; of a re-pricing, the one that was asked for."""
    reason: Reason | None = None
    message: str = ""
    """What the broker wrote, or our own account of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An intent as its broker knows it."""

    intent: Intent
    state: OrderState = OrderState.CREATED
    broker_order_id: str = ""
    filled: int = 0
    value: Decimal = ZERO
    limit: Decimal | None = None
    """The limit price the broker last confirmed; None before its first answer."""
    reason: Reason | None = None
    message: str = ""
    updated_at: datetime
    changes: tuple[Change, ...] = ()
    """Everything since it was decided (CREATED), in the order it was learned. They are committed with it."""
    version: int = 0

    @property
    def remaining(self) -> int:
        return self.intent.quantity - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What applying a report did: the order after it, the new fill if any, and an alert if it made no sense."""

    order: Order
    fill: Fill | None = None
    alert: str = ""

    @property
    def changed(self) -> bool:
        return self.fill is not None or bool(self.alert)


def advance(order: Order, state: OrderState, at: datetime, *, reason: Reason | None = None, message: str = "") -> Order:
    """The order in its next state.

    Raises:
        ValueError: the transition is not in the table.
    """
    if (order.state, state) not in TRANSITIONS:
        raise ValueError(f"order {order.intent.id} cannot go from {order.state} to {state}")
    change = Change(
        at=at,
        step=Step.ENGINE,
        state=state,
        filled=order.filled,
        limit=order.limit,
        reason=reason,
        message=message,
    )
    return copied(
        order,
        state=state,
        updated_at=at,
        reason=reason or order.reason,
        message=message or order.message,
        changes=(*order.changes, change),
    )


def asked(
    order: Order, at: datetime, *, limit: Decimal | None = None, reason: Reason | None = None, message: str = ""
) -> Order:
    """The order with a note of what its broker is asked: another limit, or without one its end.

    Asking for the same again and again until there is an answer is noted once.
    """
    step = Step.CANCEL if limit is None else Step.REPRICE
    change = Change(
        at=at,
        step=step,
        state=order.state,
        filled=order.filled,
        limit=order.limit if limit is None else limit,
        reason=reason,
        message=message,
    )
    if order.changes and replace(order.changes[-1], at=at) == change:
        return order
    return replace(order, changes=(*order.changes, change))


def apply(order: Order, report: OrderReport) -> Applied:
    """Apply a broker's cumulative report, idempotently.

    A repeated or older report changes nothing. A report that cannot be true (other contract, more than ordered, a
    transition outside the table) changes nothing and carries an alert.
    """
    intent = order.intent
    if (report.contract, report.side) != (intent.contract, intent.side) or report.filled > intent.quantity:
        return Applied(order=order, alert=f"report of {report.broker_order_id} contradicts intent {intent.id}")
    if order.broker_order_id and report.broker_order_id not in {"", order.broker_order_id}:
        return Applied(order=order)  # a second order with this tag: the duplicate check tells, and ours goes on
    if report.filled < order.filled:
        return Applied(order=order)
    same = report.state is order.state and report.filled == order.filled and report.limit == order.limit
    if same or (order.state.is_final and report.state is order.state and report.filled == order.filled):
        return Applied(order=order)
    given_up = order.state is OrderState.ABSENT
    if order.state.is_final and not given_up and report.filled == order.filled and not report.state.is_final:
        return Applied(order=order)
    if order.state is OrderState.PARTIAL and report.state is OrderState.OPEN:
        return Applied(order=order)
    more_filled = report.filled > order.filled
    repriced = report.limit != order.limit and not order.state.is_final
    if report.state is order.state and not more_filled and report.at < order.updated_at:
        return Applied(order=order)
    allowed = (order.state, report.state) in TRANSITIONS or ((more_filled or repriced) and report.state is order.state)
    if not allowed:
        return Applied(order=order, alert=f"order {intent.id} cannot go from {order.state} to {report.state}")
    fill = None
    if more_filled:
        fill = Fill(
            intent_id=intent.id,
            quantity=report.filled - order.filled,
            value=report.value - order.value,
            at=report.at,
            number=order.filled,
        )
    reason = Reason.BROKER_REJECTED if report.state is OrderState.REJECTED else None
    change = Change(
        at=report.at,
        step=Step.BROKER,
        state=report.state,
        filled=report.filled,
        limit=report.limit,
        reason=reason,
        message=report.message,
    )
    after = replace(
        order,
        state=report.state,
        broker_order_id=report.broker_order_id or order.broker_order_id,
        filled=report.filled,
        value=report.value,
        limit=report.limit,
        message=report.message or order.message,
        updated_at=report.at,
        reason=reason or order.reason,
        changes=(*order.changes, change),
    )
    return Applied(order=after, fill=fill)
