"""How often, and how urgently, each event is due in a trading day: a table, read by pure functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import gcd

from option_baskets.domain.events import Event, EventType, MarketPhase, Priority
from option_baskets.domain.session import Session

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InPhase:
    """What is different in one phase; None: as ever."""

    every: timedelta | None = None
    priority: Priority | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """When one type of event is due. Instants are counted from the start of the day's timer."""

    type: EventType
    every: timedelta
    priority: Priority = Priority.NORMAL
    trading_only: bool = False
    """Not before the open."""
    phases: Mapping[MarketPhase, InPhase] = field(default_factory=dict)
    horizon: timedelta = timedelta()
    """How far the handler looks: ahead for ScheduleStrategyTrigger, back for CheckDuplicateOrders."""

    def priority_in(self, phase: MarketPhase) -> Priority:
        exception = self.phases.get(phase)
        return self.priority if exception is None or exception.priority is None else exception.priority

    def every_in(self, phase: MarketPhase) -> timedelta:
        exception = self.phases.get(phase)
        return self.every if exception is None or exception.every is None else exception.every


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """One beat for every type of event, in the order in which events of one priority are handled."""

    beats: tuple[Beat, ...]

    def __getitem__(self, type_: EventType) -> Beat:
        return next(beat for beat in self.beats if beat.type is type_)

    @property
    def boundary(self) -> timedelta:
        """The time between two ticks: the longest that hits every due instant. One minute in the table we ship."""
        lengths = [length for beat in self.beats for length in (beat.every, *map(beat.every_in, beat.phases))]
        return gcd(*(length // _MICROSECOND for length in lengths)) * _MICROSECOND

    def order(self, event: Event) -> tuple[Priority, int, datetime]:
        """Sorts events into handling order: by priority, then as the table lists them, then by instant."""
        return (event.priority, next(n for n, beat in enumerate(self.beats) if beat.type is event.type), event.at)


def instants(session: Session, boundary: timedelta, *, after: datetime | None = None) -> Iterator[datetime]:
    """The day's ticks, ascending: every ``boundary`` from the timer's start until the close, none between windows."""
    for window in session.windows:
        begin = session.starts if window is session.windows[0] else window.open
        if after is not None:
            begin = max(begin, after + _MICROSECOND)
        at = session.starts - (session.starts - begin) // boundary * boundary
        while at < window.close:
            yield at
            at += boundary


def events_at(cadence: Cadence, session: Session, at: datetime, *, late: bool = False) -> tuple[Event, ...]:
    """The events due at a tick, in handling order."""
    phase = session.phase(at)
    since = at - session.starts
    events = [
        Event(type=beat.type, at=at, phase=phase, priority=beat.priority_in(phase), late=late)
        for beat in cadence.beats
        if not since % beat.every_in(phase) and (session.is_trading(at) or not beat.trading_only)
    ]
    return tuple(sorted(events, key=cadence.order))


def newest_trigger(cadence: Cadence, session: Session, at: datetime) -> datetime | None:
    """The last schedule trigger up to an instant; None before the day's first."""
    if at < session.starts:
        return None
    boundary = cadence.boundary
    tick = session.starts + (at - session.starts) // boundary * boundary
    while tick >= session.starts:
        if tick < session.open or session.is_trading(tick):
            events = events_at(cadence, session, tick)
            if any(event.type is EventType.SCHEDULE_STRATEGY_TRIGGER for event in events):
                return tick
        tick -= boundary
    return None


def planned_until(cadence: Cadence, session: Session, at: datetime) -> datetime:
    """The last instant whose entries the schedule trigger at ``at`` plans; the first is the one after ``at``.

    At least the look-ahead, and across a gap between two windows as far as the next trigger, so that every instant
    of the session belongs to a trigger.
    """
    beat = cadence[EventType.SCHEDULE_STRATEGY_TRIGGER]
    for later in instants(session, cadence.boundary, after=at):
        if any(event.type is beat.type for event in events_at(cadence, session, later)):
            return max(at + beat.horizon, later)
    return at + beat.horizon
