"""Wakes at every boundary of a day and stops at its close. What was missed is made up for, marked late."""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from option_baskets.domain.cadence import Cadence, instants
from option_baskets.domain.events import Tick
from option_baskets.domain.session import Session
from option_baskets.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    at: datetime
    """The scheduled instant."""
    late: bool
    """It was over before the timer began, or the next one was due before anybody had time for this one."""


async def boundaries(
    clock: Clock, schedule: Iterable[datetime], length: timedelta
) -> AsyncIterator[tuple[Boundary, ...]]:
    """Yield every instant of the ascending schedule once, never before it: all that are due now, oldest first.

    Usually that is one. There are several after a crash, a long pause of the consumer, or a step of the clock forward;
    a step back makes it wait and repeats nothing. Each wait is computed from the schedule, so no lateness adds up.
    """
    pending = deque(schedule)
    began = clock.now()
    while pending:
        await clock.sleep_until(pending[0])
        now = clock.now()
        due = []
        while pending and pending[0] <= now:
            at = pending.popleft()
            due.append(Boundary(at=at, late=at < began or now - at >= length))
        if due:
            yield tuple(due)


async def ticks(
    session: Session, clock: Clock, cadence: Cadence, *, resume_after: datetime | None = None
) -> AsyncIterator[tuple[Tick, ...]]:
    """The session's ticks as they fall due, from the timer's start until the close.

    Started in the middle of the day it first yields what was missed, all at once and late. ``resume_after`` is the
    last tick known to be finished; none: nothing of this day is.
    """
    schedule = instants(session, cadence.boundary, after=resume_after)
    async for due in boundaries(clock, schedule, cadence.boundary):
        yield tuple(Tick(at=boundary.at, phase=session.phase(boundary.at), late=boundary.late) for boundary in due)
