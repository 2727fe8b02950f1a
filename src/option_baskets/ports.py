"""What the engine needs of the world. Every adapter of a port passes that port's one contract suite."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.events import Event, EventType
from option_baskets.domain.login import Enrolment, Profile, Tokens
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import OrderReport
from option_baskets.domain.risk import Approved

# ---------------------------------------------------------------- time


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, timezone-aware."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return at the first moment at which ``now() >= at``; never earlier. Returns at once if it is past."""
        ...

    async def pause(self, span: timedelta) -> None:
        """Return when so much time has passed, whatever the clock is set to meanwhile."""
        ...


# ---------------------------------------------------------------- tables


class TableName(StrEnum):
    CONFIGURATIONS = "trading-configurations"
    HISTORY = "execution-history"
    IDENTITY = "broker-accounts"
    """Users, their tokens and the sealed secrets of their broker accounts; nothing that trades."""
    PAPER_EXCHANGE = "paper-exchange"
    """The paper exchange's own book, where it has no file."""


class Index(StrEnum):
    PRIMARY = "primary"
    ALLOCATIONS_BY_STRATEGY = "AllocationsByStrategy"
    USER_EXECUTION_SCHEDULE = "UserExecutionSchedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item. ``body`` is its encoded content; keys, version and expiry are the table's own."""

    pk: str
    sk: str
    body: bytes
    version: int = 1
    gsi1: tuple[str, str] | None = None
    """(partition, sort) in AllocationsByStrategy; None: not in the index."""
    gsi2: tuple[str, str] | None = None
    expires_at: int | None = None
    """Unix seconds; hidden on read from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Write an item whole. ``expected`` is the version that must be there: 0 = none, None = whatever."""

    table: TableName
    item: Item
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    table: TableName
    pk: str
    sk: str
    expected: int | None = None


Write = Put | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    items: tuple[Item, ...]
    cursor: str | None = None
    """Give it back to go on; None at the end. The page after it may be empty."""


class Table(Protocol):
    """Both tables, so that writes that belong together commit together.

    What it takes is in ``store/limits.py``. An impossible key is Invalid to read as to write. An index may lag behind
    its table; what is decided by must be read by primary key.
    """

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        """The item, strongly consistent; None where there is none or it has expired."""
        ...

    async def query(
        self,
        table: TableName,
        pk: str,
        *,
        index: Index = Index.PRIMARY,
        begins_with: str = "",
        between: tuple[str, str] | None = None,
        descending: bool = False,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page:
        """Items of one partition ordered by sort key (bytewise UTF-8). ``between`` is inclusive on both ends.

        A page holds ``limit`` items unless the range ends; by primary key it is strongly consistent.
        """
        ...

    async def commit(self, writes: Sequence[Write]) -> None:
        """Write all or nothing, durably, at most 100 writes, each key at most once.

        Commits of one object that touch the same item follow each other in the order of their calls.

        Raises:
            Conflict: an ``expected`` version did not hold.
            Invalid: more than 100 writes or 4 MB, a key twice, an item over 400 KB, an impossible key.
            Unavailable: the engine cannot take the write now (locked, full, unreachable); nothing was written.
            Unclear: the engine did not answer; read what was to be written before deciding anything.
        """
        ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Work for a due instant. ``id`` makes sending it twice send it once."""

    id: str
    at: datetime
    kind: str
    body: Mapping[str, str]


class Queue(Protocol):
    """Durable: a message sent is received at or after its instant, at least once, until it is marked done."""

    def write(self, message: Message) -> Put:
        """The write that sends the message, for a commit together with what it belongs to."""
        ...

    async def sent(self, messages: Iterable[Message]) -> None:
        """Tell the queue that these messages were committed."""
        ...

    def receive(self) -> AsyncIterator[Message]:
        """Messages in order of (instant, id), each not before its instant."""
        ...

    async def done(self, message: Message) -> None: ...


class Handler(Protocol):
    async def __call__(self, event: Event) -> None: ...


class Bus(Protocol):
    def subscribe(self, type_: EventType, handler: Handler) -> None: ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand the events to their handlers, in order of priority; one failing handler stops no other."""
        ...


# ---------------------------------------------------------------- market and brokers


class MarketData(Protocol):
    async def snapshot(self, at: datetime) -> Snapshot:
        """Every price known at ``at`` (recorded data) or now (live feeds)."""
        ...

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        """The final settlement price, in index points, of the underlying's contracts that expired on a day.

        None where it is not known (yet); never a last price in its place. Asked for after the close of that day only.
        """
        ...


class Broker(Protocol):
    """One account at one broker. Every call may raise Unavailable (nothing happened) or Unclear (nobody knows)."""

    @property
    def account(self) -> str: ...

    async def place(self, approved: Approved) -> OrderReport: ...

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport: ...

    async def cancel(self, broker_order_id: str) -> OrderReport: ...

    async def orders(self) -> tuple[OrderReport, ...]:
        """Every order of the day on this account, ours or not."""
        ...

    async def positions(self) -> Mapping[Contract, int]:
        """Net units per contract."""
        ...

    async def instruments(self, day: date) -> tuple[Listing, ...]: ...

    def updates(self) -> AsyncIterator[OrderReport]:
        """Reports as they happen; may miss or repeat some."""
        ...


# ---------------------------------------------------------------- people and secrets


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, proven by a token. All that entry points know of a user."""

    user_id: str
    """The partition of everything the user owns."""
    role: Role = Role.USER
    session_id: str = ""
    """The login the token comes from."""


class Identity(Protocol):
    async def verify(self, token: str) -> Principal:
        """Who the bearer of an access token is.

        Raises:
            Unauthenticated: it is none of ours, has expired, or its login was ended; the message never says which.
        """
        ...


class SignIn(Protocol):
    """Users and logins of our own, where nobody else keeps them. ``client`` is the address a request came from.

    Every call may raise TooMany. What is asked without a token answers alike, and takes as long, whether there is such
    a user or not.
    """

    async def register(self, email: str, password: str, *, client: str) -> None:
        """Make a user. Where the email has one already nothing happens, and nothing tells.

        Raises:
            Invalid: it is no email, or the password is too short, too long or too easily guessed.
            Forbidden: nobody may register here.
        """
        ...

    async def login(self, email: str, password: str, *, code: str, client: str) -> Tokens:
        """Tokens of a new login; ``code`` is the second factor's or a recovery code, empty without one.

        Raises:
            Unauthenticated: for whatever reason.
        """
        ...

    async def refresh(self, token: str) -> Tokens:
        """New tokens of the same login. A refresh token that was used before ends its login.

        Raises:
            Unauthenticated: for whatever reason.
        """
        ...

    async def logout(self, principal: Principal, *, everywhere: bool) -> None:
        """End the login, or every login of the user, at once."""
        ...

    async def change_password(self, principal: Principal, *, password: str, new_password: str) -> Tokens:
        """End every login of the user and begin a new one.

        Raises:
            Forbidden: the present password is not right.
            Invalid: the new one is too short, too long or too easily guessed.
        """
        ...

    async def enrol(self, principal: Principal, *, password: str) -> Enrolment:
        """A second factor that is asked for from ``confirm`` on; one that was not confirmed is forgotten.

        Raises:
            Forbidden: the password is not right.
            Conflict: there is one already.
        """
        ...

    async def confirm(self, principal: Principal, *, code: str) -> tuple[str, ...]:
        """Ask for the second factor from now on; the recovery codes, each good once in the place of a code.

        Raises:
            Forbidden: the code is not right.
            Conflict: none waits to be confirmed.
        """
        ...

    async def remove_second_factor(self, principal: Principal, *, password: str, code: str) -> None:
        """Ask for no code any more.

        Raises:
            Forbidden: the password or the code is not right.
            Conflict: there is none.
        """
        ...

    async def profile(self, principal: Principal) -> Profile:
        """What the user is told of itself."""
        ...


class Vault(Protocol):
    """Seals secrets with a key that is kept elsewhere than what it seals."""

    async def seal(self, secret: bytes, *, owner: str) -> bytes:
        """Encrypted and authenticated, together with ``owner``: what it belongs to, e.g. ``{user}/{account}``."""
        ...

    async def open(self, sealed: bytes, *, owner: str) -> bytes:
        """The secret.

        Raises:
            Invalid: it was sealed for another owner, by a key that is not known, or was changed.
        """
        ...

    def is_current(self, sealed: bytes) -> bool:
        """Whether it is sealed by the newest key; what is not is sealed anew when keys are rotated."""
        ...
