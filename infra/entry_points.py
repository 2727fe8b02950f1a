"""The functions as data: what each runs, may read, write and call. Tests hold the templates against it."""

from dataclasses import dataclass
from enum import StrEnum

from option_baskets.domain.events import EventType
from option_baskets.ports import TableName

CONFIGURATIONS, HISTORY, IDENTITY = TableName.CONFIGURATIONS, TableName.HISTORY, TableName.IDENTITY


class Package(StrEnum):
    """What a function needs, a layer each. The web framework alone would double an event handler's cold start."""

    EVENTS = "events"
    API = "api"

    @property
    def layers(self) -> tuple["Package", ...]:
        return (Package.EVENTS,) if self is Package.EVENTS else (Package.EVENTS, Package.API)


class QueueName(StrEnum):
    """Exits have their own, so that none waits behind an entry."""

    ENTRIES = "entries"
    EXITS = "exits"


class Secrets(StrEnum):
    """What a function may do with secrets of broker accounts."""

    NONE = "none"
    OPENS = "opens"
    SEALS_AND_OPENS = "seals and opens"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """One function, ``option_baskets.lambdas.{module}.handler``. What may be written may be read too."""

    name: str
    module: str
    does: str
    timeout: int
    """Seconds."""
    memory: int = 512
    """MB; a core is given in proportion, a whole one at 1769."""
    package: Package = Package.EVENTS
    reads: frozenset[TableName] = frozenset()
    writes: frozenset[TableName] = frozenset()
    sends: frozenset[QueueName] = frozenset()
    secrets: Secrets = Secrets.NONE
    calls_brokers: bool = False
    """Leaves by the static address, where there is one."""
    serves: EventType | None = None
    """The type of event on the bus that it handles."""
    drains: QueueName | None = None

    @property
    def handler(self) -> str:
        return f"option_baskets.lambdas.{self.module}.handler"


def _of(*names: TableName) -> frozenset[TableName]:
    return frozenset(names)


SESSION = EntryPoint(
    name="session",
    module="session",
    does="First state of the timer: today's windows, or that there are none",
    timeout=30,
    reads=_of(CONFIGURATIONS),
)
TIMER = EntryPoint(
    name="timer",
    module="timer",
    does="One turn of the timer: sleeps to the boundary, emits the events of its tick",
    timeout=70,
    writes=_of(CONFIGURATIONS),
)
WATCHDOG = EntryPoint(
    name="watchdog",
    module="watchdog",
    does="Starts the day's timer, and starts it again where it died",
    timeout=30,
    reads=_of(CONFIGURATIONS),
)
SCHEDULE = EntryPoint(
    name="schedule",
    module="schedule",
    does="Claims the runs that are due and queues each to its instant",
    timeout=60,
    memory=1024,
    writes=_of(CONFIGURATIONS, HISTORY),
    sends=frozenset({QueueName.ENTRIES, QueueName.EXITS}),
    serves=EventType.SCHEDULE_STRATEGY_TRIGGER,
)
STOPS = EntryPoint(
    name="stops",
    module="stops",
    does="Every minute: rules of all open runs; what they close goes to the exits queue",
    timeout=60,
    memory=1769,
    writes=_of(CONFIGURATIONS, HISTORY),
    sends=frozenset({QueueName.ENTRIES, QueueName.EXITS}),
    serves=EventType.CHECK_STOP_LOSS,
)
DUPLICATES = EntryPoint(
    name="duplicates",
    module="duplicates",
    does="Every minute: each account's order book and positions beside the journal",
    timeout=60,
    memory=1024,
    reads=_of(IDENTITY),
    writes=_of(CONFIGURATIONS, HISTORY),
    sends=frozenset({QueueName.EXITS}),
    secrets=Secrets.OPENS,
    calls_brokers=True,
    serves=EventType.CHECK_DUPLICATE_ORDERS,
)
QUOTES = EntryPoint(
    name="quotes",
    module="quotes",
    does="Every minute: one snapshot of every price",
    timeout=50,
    memory=1024,
    reads=_of(IDENTITY),
    writes=_of(CONFIGURATIONS),
    secrets=Secrets.OPENS,
    calls_brokers=True,
    serves=EventType.REFRESH_MARKET_DATA,
)
ENTRIES = EntryPoint(
    name="entries",
    module="worker",
    does="Enters runs at their instant",
    timeout=90,
    memory=1024,
    reads=_of(IDENTITY),
    writes=_of(CONFIGURATIONS, HISTORY),
    sends=frozenset({QueueName.ENTRIES, QueueName.EXITS}),
    secrets=Secrets.OPENS,
    calls_brokers=True,
    drains=QueueName.ENTRIES,
)
EXITS = EntryPoint(
    name="exits",
    module="worker",
    does="Closes runs, shorts first, until flat",
    timeout=90,
    memory=1024,
    reads=_of(IDENTITY),
    writes=_of(CONFIGURATIONS, HISTORY),
    sends=frozenset({QueueName.ENTRIES, QueueName.EXITS}),
    secrets=Secrets.OPENS,
    calls_brokers=True,
    drains=QueueName.EXITS,
)
API = EntryPoint(
    name="api",
    module="api",
    does="The HTTP API",
    timeout=29,
    memory=1024,
    package=Package.API,
    writes=_of(CONFIGURATIONS, HISTORY, IDENTITY),
    sends=frozenset({QueueName.ENTRIES, QueueName.EXITS}),
    secrets=Secrets.SEALS_AND_OPENS,
    calls_brokers=True,
)
LIVE = EntryPoint(
    name="live",
    module="live",
    does="What changes in the history, to the users' WebSockets",
    timeout=30,
    writes=_of(CONFIGURATIONS),
)
SOCKET = EntryPoint(
    name="socket",
    module="socket",
    does="WebSockets that come and go; whoever connects proves who they are",
    timeout=15,
    writes=_of(CONFIGURATIONS),
    package=Package.API,
)

ENTRY_POINTS = (
    SESSION, TIMER, WATCHDOG, SCHEDULE, STOPS, DUPLICATES, QUOTES, ENTRIES, EXITS, API, LIVE, SOCKET,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a queue hands out its messages. Redelivered is what was received and not finished for ``visible_after``."""

    batch: int
    receives: int
    """After so many a message is in the dead-letter queue."""
    visible_after: int
    """Seconds; the worker's timeout and a little, not the six times AWS advises: a run waits for it."""


DELIVERIES = {
    QueueName.ENTRIES: Delivery(batch=10, receives=3, visible_after=ENTRIES.timeout + 10),
    QueueName.EXITS: Delivery(batch=1, receives=10, visible_after=EXITS.timeout + 10),
}
