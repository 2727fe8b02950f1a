"""Intents, orders and reports of them: what each is, and the one table of states."""

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
    OTHER = "OTHER"
    """In reports only: a status of the broker's that its adapter does not know. No order is ever in it."""

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.ABSENT})

_S = OrderState
AT_BROKER = (_S.OPEN, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED)
"""What an order can be at its broker."""

TRANSITIONS: frozenset[tuple[OrderState, OrderState]] = frozenset(
    {
        (_S.CREATED, _S.SENDING),
        (_S.CREATED, _S.CANCELLED),
        (_S.SENDING, _S.UNKNOWN),
        (_S.UNKNOWN, _S.ABSENT),
        (_S.OPEN, _S.PARTIAL),
        (_S.OPEN, _S.FILLED),
        (_S.OPEN, _S.CANCELLED),
        (_S.OPEN, _S.REJECTED),
        (_S.PARTIAL, _S.FILLED),
        (_S.PARTIAL, _S.CANCELLED),
        # A fill that crossed our cancel, or a broker that was wrong: rare, real, and never ignored.
        (_S.CANCELLED, _S.FILLED),
        (_S.REJECTED, _S.FILLED),
    }
    | {(before, after) for before in (_S.SENDING, _S.UNKNOWN) for after in AT_BROKER}
)
"""What an order goes through. Staying in a state, with more filled or another limit, is no transition."""

RETURNS: frozenset[tuple[OrderState, OrderState]] = frozenset(
    (before, after) for before in (_S.CREATED, _S.ABSENT, _S.REJECTED, _S.CANCELLED) for after in AT_BROKER
)
"""And what beside it of an order that was taken for being at no broker, when its broker has it after all.

It has no broker's id. It was absent, could not reach its broker, or was never sent; the last is only so where the
store was set back, by a backup for one.
"""


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


def next_attempt(intent: Intent, *, quantity: int, limit: Decimal, at: datetime) -> Intent:
    """The intent ordered anew: another identity, decided at ``at``, with a quantity and a limit of its own."""
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
    return replace(intent, id=identity, attempt=attempt, quantity=quantity, limit=limit, decided_at=at)


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
    status: str = ""
    """The broker's own word for its state, where that is OTHER."""


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

    @property
    def repricings(self) -> int:
        """How often its broker was asked for another limit."""
        return sum(change.step is Step.REPRICE for change in self.changes)


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


def is_given_up(order: Order) -> bool:
    """It was sent by nobody, or is at no broker as far as we know; so a report of it says that we were wrong."""
    return not order.broker_order_id and (order.state.is_final or order.state is OrderState.CREATED)
