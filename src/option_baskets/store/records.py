"""What the store keeps beside the domain's own values, and what its reads return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, Strategy
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.events import EventType, Tick
from option_baskets.domain.losses import Rule, Subject
from option_baskets.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A strategy as it is stored: with its basket, so that finding what is due reads nothing else."""

    strategy: Strategy
    basket: Basket


@dataclass(frozen=True, slots=True, kw_only=True)
class DueStrategy:
    """A strategy whose entry minute has come, with all that entering it needs. Whether the day suits is not asked."""

    user_id: str
    basket: Basket
    strategy: Strategy
    allocations: tuple[Allocation, ...]
    """In order of priority, then id."""


class TickState(StrEnum):
    EMITTED = "emitted"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class TickMark:
    tick: Tick
    state: TickState
    events: tuple[EventType, ...] = ()
    """What was published for it; known once it is done."""


class Level(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something a person should know. Equal (at, code, run, account, subject) is the same alert, stored once."""

    user_id: str
    at: datetime
    code: str
    message: str
    level: Level = Level.WARNING
    strategy_id: str = ""
    run_id: str = ""
    account: str = ""
    subject: str = ""
    """What it is about, where one instant may have several: a tag, a contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something risk or a rule did not let pass. Stored once for equal (at, run, account, leg, reason)."""

    user_id: str
    at: datetime
    strategy_id: str
    reason: Reason
    detail: str = ""
    run_id: str = ""
    account: str = ""
    leg: str = ""
    quantity: int = 0
    """Units not traded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """A strategy whose open runs somebody wants closed now; nothing keeps it from entering again another day."""

    user_id: str
    strategy_id: str
    at: datetime
    actor: str
    reason: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """Somebody's accounts or limits are others than the engine has read."""

    user_id: str
    version: int
    """Of the notice."""


ENGINE = "engine"
"""The actor of what nobody asked for by hand."""


class What(StrEnum):
    """What happened, where nothing else in the history says so. Codes never change."""

    SCHEDULED = "scheduled"
    ENTRY_DUE = "entry_due"
    EXIT_DECIDED = "exit_decided"
    EXIT_MOVED = "exit_moved"
    NOT_TRADED = "not_traded"
    CLOSED_OUTSIDE = "closed_outside"
    FENCED = "fenced"
    STARTED = "started"
    RESTARTED = "restarted"
    STOPPED = "stopped"
    BASKET_SAVED = "basket_saved"
    BASKET_DELETED = "basket_deleted"
    STRATEGY_SAVED = "strategy_saved"
    STRATEGY_DELETED = "strategy_deleted"
    ALLOCATION_SAVED = "allocation_saved"
    ALLOCATION_DELETED = "allocation_deleted"
    ACCOUNT_SAVED = "account_saved"
    ACCOUNT_DELETED = "account_deleted"
    LIMITS_SAVED = "limits_saved"
    PAUSED = "paused"
    RESUMED = "resumed"
    KILLED = "killed"
    ARMED = "armed"
    EXIT_ASKED = "exit_asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One leg on one account of an occurrence."""

    account: str
    leg: str = ""
    contract: Contract | None = None
    side: Side | None = None
    """Of the position."""
    quantity: int = 0
    """Units."""
    price: Decimal | None = None
    """The price it was decided by, rupees per unit."""
    cause: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A decision or a deed, who did it and why. Equal (at, strategy, what, run, account, subject) is stored once."""

    user_id: str
    at: datetime
    what: What
    cause: str
    actor: str = ENGINE
    """``engine``, or the name of whoever asked for it."""
    strategy_id: str = ""
    run_id: str = ""
    account: str = ""
    subject: str = ""
    """What it is about, where one instant may have several: a basket, an account, a version."""
    detail: str = ""
    lines: tuple[Line, ...] = ()
    """What it came to, leg by leg; each is a row of the audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Editor:
    """Who edits plans, and why, at what time: it is kept with every edit."""

    actor: str
    cause: str
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Nothing more is entered there on that day, and what is open is closed: a limit was reached."""

    user_id: str
    day: date
    subject: Subject
    rule: Rule
    at: datetime
    loss: Decimal
    """Rupees lost in the day, or fallen from the highest."""
    limit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRecord:
    """The last known prices of one underlying, kept for 300 s for other processes to show."""

    underlying: str
    at: datetime
    spot: Decimal | None
    prices: Mapping[str, Decimal]
    """``Contract.key`` → last price, rupees per unit."""
