"""What the live stream says: one type a message, as it stands in docs/stream.md and in the published schemas.

Amounts and prices are strings with exact decimals (``Rupees``, ``Price``); Greeks are JSON numbers; instants have their
offset, of the exchange's clock. ``null`` means: not known, or not (yet) so. A message with a ``seq`` is told once and
in order; one without replaces the one of its type before it.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.events import MarketPhase
from option_baskets.domain.ids import Action
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import RunStatus
from option_baskets.store import codec
from option_baskets.store.records import Level, What

Rupees = Annotated[str, Meta(description="Rupees, 2 decimals.", pattern=r"^-?[0-9]+\.[0-9]{2}$", examples=["1250.00"])]
Price = Annotated[
    str, Meta(description="Rupees per unit, 4 decimals.", pattern=r"^-?[0-9]+\.[0-9]{4}$", examples=["61.0500"])
]
Number = Annotated[
    int | None, Meta(description="Its number, one more than the one before; null: it replaces the last of its type.")
]
At = Annotated[datetime, Meta(description="When it happened, on the exchange's clock.", tz=True)]
Time = Annotated[datetime, Meta(description="On the exchange's clock.", tz=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractTold:
    underlying: str
    expiry: date
    strike: Annotated[str, Meta(description="Index points.", examples=["26000"])] | None
    """None: a future."""
    type: ContractType


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTold:
    """An order as it is now. Of two with one ``order_id`` the higher ``version`` is the newer."""

    order_id: str
    run_id: str
    strategy_id: str
    account: str
    leg: str
    entry_number: int
    action: Action
    cause: ExitReason | None
    """Why, of an exit."""
    contract: ContractTold
    side: Side
    quantity: int
    """Units."""
    filled: int
    price: Price | None
    """Average of its fills."""
    limit: Price
    """The limit its broker confirmed last, or the one it is to be sent with."""
    state: OrderState
    reason: Reason | None
    detail: str
    """What its broker wrote, or our own account of it."""
    broker_order_id: str | None
    decided_at: Time
    updated_at: Time
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionTold:
    """A leg on one account: what was intended, what was filled, and what is open."""

    leg: str
    account: str
    entry_number: int
    contract: ContractTold
    side: Side
    lots: int
    quantity: int
    """Units intended."""
    entered: int
    open: int
    entry_time: Time | None
    entry_price: Price | None
    exit_time: Time | None
    exit_price: Price | None
    exit_reason: ExitReason | None
    """What first decided to close it; it may be open still."""
    realised: Rupees
    """On the units closed, before charges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTraded:
    leg: str
    account: str
    quantity: int
    """Units."""
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTold:
    """A run with all its positions, as it is now. Of two with one ``run_id`` the higher ``version`` is the newer."""

    run_id: str
    date: date
    cycle: int
    basket_id: str
    basket: str
    strategy_id: str
    strategy: str
    underlying: str
    entry_at: Time
    exit_at: Time
    status: RunStatus
    reason: Reason | None
    detail: str
    positions: tuple[PositionTold, ...]
    not_traded: tuple[NotTraded, ...]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTold:
    id: str
    """The alert's, as in GET /options/alerts."""
    at: Time
    level: Level
    code: str
    message: str
    strategy_id: str | None
    run_id: str | None
    account: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTold:
    """One leg on one account of what was decided."""

    account: str
    leg: str
    contract: ContractTold | None
    side: Side | None
    quantity: int
    price: Price | None
    """The price it was decided by."""
    cause: str
    detail: str


# ---------------------------------------------------------------- told once, in order


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMessage:
    """An order was decided, sent, answered, filled, changed or ended."""

    type: Literal["order"] = "order"
    seq: Number = None
    at: At
    order: OrderTold


@dataclass(frozen=True, slots=True, kw_only=True)
class FillMessage:
    """Units of an order were filled. (``order_id``, ``filled_before``) is told once."""

    type: Literal["fill"] = "fill"
    seq: Number = None
    at: At
    order_id: str
    strategy_id: str
    quantity: int
    price: Price
    value: Rupees
    filled_before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMessage:
    """A run or a position of it changed."""

    type: Literal["run"] = "run"
    seq: Number = None
    at: At
    run: RunTold


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """Something a person should look at."""

    type: Literal["alert"] = "alert"
    seq: Number = None
    at: At
    alert: AlertTold


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalMessage:
    """Something risk or a rule did not let pass."""

    type: Literal["refusal"] = "refusal"
    seq: Number = None
    at: At
    id: str
    strategy_id: str
    run_id: str | None
    account: str | None
    leg: str | None
    quantity: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage:
    """A decision or a deed, who did it and why; codes are in docs/audit.md."""

    type: Literal["event"] = "event"
    seq: Number = None
    at: At
    id: str
    what: What
    cause: str
    actor: str
    strategy_id: str | None
    run_id: str | None
    account: str | None
    subject: str
    detail: str
    lines: tuple[LineTold, ...]


# ---------------------------------------------------------------- what replaces itself


@dataclass(frozen=True, slots=True, kw_only=True)
class TickMessage:
    """A boundary of the trading day's timer."""

    type: Literal["tick"] = "tick"
    seq: None = None
    at: At
    date: date
    phase: MarketPhase
    late: bool
    """It was missed, and made up for after a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Rupees of the day."""

    realised: Rupees
    """On units closed on the day, before charges."""
    unrealised: Rupees | None
    """On units open now, since they were entered. null: something open has no price."""
    charges: Rupees | None
    """null: a rate is not known."""
    net: Rupees | None
    """Realised less charges."""
    mtm: Rupees | None
    """Net and unrealised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartMade:
    """A strategy on one account."""

    basket_id: str
    strategy_id: str
    account: str
    made: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketMade:
    basket_id: str
    made: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMade:
    account: str
    made: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionMade:
    """An open position at the last price known."""

    run_id: str
    leg: str
    account: str
    entry_number: int
    price: Price | None
    unrealised: Rupees | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitMessage:
    """What the user made today, as GET /options/pnl says it."""

    type: Literal["pnl"] = "pnl"
    seq: None = None
    at: At
    date: date
    total: Amounts
    """Everything; among its charges also what rounding adds on each account's contract note."""
    strategies: tuple[PartMade, ...]
    baskets: tuple[BasketMade, ...]
    accounts: tuple[AccountMade, ...]
    positions: tuple[PositionMade, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivities:
    """Rupees: ``delta`` a point of the index, ``gamma`` a point squared, ``theta`` a calendar day, ``vega`` a
    volatility point."""

    delta: float
    gamma: float
    theta: float
    vega: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionGreeks:
    run_id: str
    leg: str
    account: str
    entry_number: int
    greeks: Sensitivities | None
    """Of the whole position. null: no price, or one that implies none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyGreeks:
    """What a strategy holds of one underlying."""

    strategy_id: str
    underlying: str
    greeks: Sensitivities | None
    """null: a position has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderlyingGreeks:
    """What the user holds of one underlying."""

    underlying: str
    spot: Annotated[str, Meta(description="Index points.", examples=["26012.45"])] | None
    greeks: Sensitivities | None
    """null: a position has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GreeksMessage:
    """What is open, in sensitivities."""

    type: Literal["greeks"] = "greeks"
    seq: None = None
    at: At
    underlyings: tuple[UnderlyingGreeks, ...]
    strategies: tuple[StrategyGreeks, ...]
    positions: tuple[PositionGreeks, ...]


# ---------------------------------------------------------------- of the connection itself


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotMessage:
    """Everything as it stands. Messages go on with the number after ``seq``."""

    type: Literal["snapshot"] = "snapshot"
    seq: int
    at: At
    epoch: str
    """The sequence that ``seq`` counts in; say both to resume."""
    date: date
    phase: MarketPhase
    runs: tuple[RunTold, ...]
    """Those that are not over, and those of today."""
    orders: tuple[OrderTold, ...]
    """Those that may still be filled."""
    alerts: tuple[AlertTold, ...]
    """Of today, in order of time."""
    pnl: ProfitMessage
    greeks: GreeksMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetMessage:
    """What was missed cannot be told any more: forget what you have; a snapshot follows."""

    type: Literal["reset"] = "reset"
    seq: None = None
    at: At
    reason: Literal["another_epoch", "too_long_ago", "ahead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumedMessage:
    """Nothing was missed: what was told meanwhile follows, beginning with the number after yours."""

    type: Literal["resumed"] = "resumed"
    seq: None = None
    at: At
    epoch: str
    missed: int
    """How many messages that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatMessage:
    """The connection lives, though there was nothing to tell."""

    type: Literal["heartbeat"] = "heartbeat"
    seq: None = None
    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMessage:
    """The token has expired or its login has ended; nothing is told until a fresh one is sent."""

    type: Literal["token"] = "token"
    seq: None = None
    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningMessage:
    """On AWS, the answer to a token: what is written from now on is told; read everything else from the API now."""

    type: Literal["listening"] = "listening"
    seq: None = None
    at: At
    until: Time
    """When the token ends; send a fresh one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingMessage:
    """On AWS, before the connection is closed: why, as there are no close codes."""

    type: Literal["closing"] = "closing"
    seq: None = None
    at: At
    reason: Literal["malformed", "unauthenticated", "another_user", "too_many", "failed"]


Once = OrderMessage | FillMessage | RunMessage | AlertMessage | RefusalMessage | EventMessage
"""Numbered."""
Replaced = TickMessage | ProfitMessage | GreeksMessage
OfConnection = HeartbeatMessage | TokenMessage | ListeningMessage | ClosingMessage
Message = Once | Replaced | SnapshotMessage | ResetMessage | ResumedMessage | OfConnection
MESSAGES: tuple[type, ...] = (
    OrderMessage,
    FillMessage,
    RunMessage,
    AlertMessage,
    RefusalMessage,
    EventMessage,
    TickMessage,
    ProfitMessage,
    GreeksMessage,
    SnapshotMessage,
    ResetMessage,
    ResumedMessage,
    HeartbeatMessage,
    TokenMessage,
    ListeningMessage,
    ClosingMessage,
)


class Ending(StrEnum):
    """Why nothing more is told, though the client is there."""

    TOO_SLOW = "too_slow"
    FAILED = "failed"
    CLOSED = "closed"


def line(message: Message) -> str:
    """A message as it is sent; a frame has one or more, a line each."""
    return codec.encode(message).decode()
