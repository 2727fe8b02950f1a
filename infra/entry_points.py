"""The functions as data: what each runs, may read, write and call. Tests hold the templates against it."""

from dataclasses import dataclass
from enum import StrEnum

from option_baskets.domain.events import EventType
from option_baskets.ports import TableName

CONFIGURATIONS, HISTORY = TableName.CONFIGURATIONS, TableName.HISTORY
IDENTITY, PAPER_EXCHANGE = TableName.IDENTITY, TableName.PAPER_EXCHANGE


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
    """One function, ``option_baskets.lambdas.{module}.handler``. What may be written may be read too.

    All write configurations: whoever is first stores the number of shards.
    """

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
    writes=_of(CONFIGURATIONS),
)
TIMER = EntryPoint(
    name="timer",
    module="timer",
    does="One turn of the timer: sleeps to the boundary, emits the events of its tick",
    timeout=70,
    writes=_of(CONFIGURATIONS),
    sends=frozenset({QueueName.EXITS}),
)
WATCHDOG = EntryPoint(
    name="watchdog",
    module="watchdog",
    does="Starts the day's timer, and starts it again where it died",
    timeout=30,
    writes=_of(CONFIGURATIONS),
)
SCHEDULE = EntryPoint(
    name="schedule",
    module="schedule",
    does="Claims the runs that are due and queues each to its instant",
    timeout=60,
    memory=1769,
    writes=_of(CONFIGURATIONS, HISTORY),
    sends=frozenset(QueueName),
    serves=EventType.SCHEDULE_STRATEGY_TRIGGER,
)
STOPS = EntryPoint(
    name="stops",
    module="stops",
    does="Every minute: has the rules of everybody with an open run looked at, and looks for lost wake-ups",
    timeout=60,
    memory=1769,
    writes=_of(CONFIGURATIONS),
    sends=frozenset(QueueName),
    serves=EventType.CHECK_STOP_LOSS,
)
DUPLICATES = EntryPoint(
    name="duplicates",
    module="duplicates",
    does="Every minute: has everybody's accounts compared with their brokers",
    timeout=60,
    memory=1024,
    writes=_of(CONFIGURATIONS),
    sends=frozenset({QueueName.ENTRIES}),
    serves=EventType.CHECK_DUPLICATE_ORDERS,
)
QUOTES = EntryPoint(
    name="quotes",
    module="quotes",
    does="Every minute: one snapshot of every price",
    timeout=50,
    memory=1769,
    writes=_of(CONFIGURATIONS),
    serves=EventType.REFRESH_MARKET_DATA,
)
ENTRIES = EntryPoint(
    name="entries",
    module="worker",
    does="Works for a user whose run is to be entered",
    timeout=300,
    memory=1769,
    reads=_of(IDENTITY),
    writes=_of(CONFIGURATIONS, HISTORY, PAPER_EXCHANGE),
    sends=frozenset(QueueName),
    secrets=Secrets.OPENS,
    calls_brokers=True,
    drains=QueueName.ENTRIES,
)
EXITS = EntryPoint(
    name="exits",
    module="worker",
    does="Works for a user who has something to close, or to look at",
    timeout=300,
    memory=1769,
    reads=_of(IDENTITY),
    writes=_of(CONFIGURATIONS, HISTORY, PAPER_EXCHANGE),
    sends=frozenset(QueueName),
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
    reads=_of(PAPER_EXCHANGE),
    writes=_of(CONFIGURATIONS, HISTORY, IDENTITY),
    sends=frozenset(QueueName),
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
    """How a queue hands out its wake-ups."""

    batch: int
    receives: int
    """After so many a wake-up is in the dead-letter queue. One that finds its user's lease held is received again."""
    visible_after: int
    """Seconds until one that was received and not finished is received again: the worker's timeout and a little.

    Not the six times that AWS advises, and no hurry either: what a dead worker left, the sweep of the next minute
    finds in the inbox and sends a wake-up of its own for.
    """


DELIVERIES = {
    QueueName.ENTRIES: Delivery(batch=10, receives=5, visible_after=ENTRIES.timeout + 10),
    QueueName.EXITS: Delivery(batch=1, receives=10, visible_after=EXITS.timeout + 10),
}
