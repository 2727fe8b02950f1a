"""From ticks to events. A tick is marked before and after, so that a restart knows which were not finished."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Protocol

from option_baskets.domain.cadence import Cadence, events_at
from option_baskets.domain.events import Event, EventType, Tick
from option_baskets.domain.session import Session
from option_baskets.ports import Bus
from option_baskets.store.records import TickMark, TickState


class TickMarks(Protocol):
    """The durable record of a day's ticks: EMITTED before the handlers of its events run, DONE after all have."""

    async def mark_tick(self, tick: Tick, state: TickState, events: tuple[EventType, ...] = ()) -> None:
        """Return once the mark is on disk."""
        ...

    async def last_ticks(self, day: date) -> Sequence[TickMark]:
        """The marks of the day."""
        ...


class Emitter:
    """Publishes what the cadence table makes of the ticks of one session.

    After an absence every ScheduleStrategyTrigger that was missed is emitted, late, because each plans entries no
    other does (an entry past its grace is then skipped with a reason). Of the other types only the newest missed one
    is: they look at the present state, so the last sees all that the earlier ones would have.
    """

    def __init__(self, bus: Bus, marks: TickMarks, cadence: Cadence, session: Session) -> None:
        self._bus = bus
        self._marks = marks
        self._cadence = cadence
        self._session = session
        self.counts: Counter[EventType] = Counter()
        """Events published so far, by type."""

    async def resume_after(self) -> datetime | None:
        """The newest finished tick of the session; the timer goes on behind it. None: no tick is finished."""
        marks = await self._marks.last_ticks(self._session.date)
        return max((mark.tick.at for mark in marks if mark.state is TickState.DONE), default=None)

    async def run(self, ticks: AsyncIterator[Sequence[Tick]]) -> None:
        async for due in ticks:
            await self.emit(due)

    async def emit(self, due: Sequence[Tick]) -> None:
        """Mark the ticks that are due, publish their events together and mark the ticks done, oldest first."""
        for tick in due:
            await self._marks.mark_tick(tick, TickState.EMITTED)
        events = self._events(due)
        await self._bus.publish(events)
        self.counts.update(event.type for event in events)
        for tick in due:
            published = tuple(event.type for event in events if event.at == tick.at)
            await self._marks.mark_tick(tick, TickState.DONE, published)

    def _events(self, due: Sequence[Tick]) -> tuple[Event, ...]:
        every: list[Event] = []
        newest: dict[EventType, Event] = {}
        for tick in due:
            for event in events_at(self._cadence, self._session, tick.at, late=tick.late):
                if event.type is EventType.SCHEDULE_STRATEGY_TRIGGER:
                    every.append(event)
                else:
                    newest[event.type] = event
        return tuple(sorted((*every, *newest.values()), key=self._cadence.order))
