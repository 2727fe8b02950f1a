"""One turn of a timer that lives elsewhere: what a minute's boundaries are due, and when the next turn is.

The state goes round between turns; what a day has emitted is in the marks of its ticks, so a turn that is done twice,
or by two timers at once, emits the same ticks, and a timer begun anew goes on behind the last.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from option_baskets.domain.cadence import Cadence, instants
from option_baskets.domain.events import Tick
from option_baskets.domain.session import Session
from option_baskets.engine.emitter import Emitter
from option_baskets.engine.timer import boundaries
from option_baskets.ports import Clock

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What the timer waits for."""

    wake: datetime
    """The boundary of the next turn."""
    done: bool = False
    """The day is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """A session's turns. ``morning`` and ``evening`` are what is done at its beginning and after its close."""

    session: Session
    cadence: Cadence
    clock: Clock
    emitter: Emitter
    morning: Callable[[datetime], Awaitable[None]]
    evening: Callable[[datetime], Awaitable[None]]

    async def first(self) -> Next:
        """Where to begin, or to go on behind what an earlier timer of the day has emitted."""
        return self._next(await self.emitter.resume_after())

    async def turn(self) -> Next:
        """Emit what falls due in this minute, and whatever was missed before it."""
        after = await self.emitter.resume_after()
        pending = list(instants(self.session, self.cadence.boundary, after=after))
        if not pending:
            await self.clock.sleep_until(self.session.close)
            await self.evening(self.session.close)
            return Next(wake=self.session.close, done=True)
        if after is None:
            await self.clock.sleep_until(pending[0])
            await self.morning(self.session.starts)
        end = _minute_of(max(pending[0], self.clock.now())) + _MINUTE
        now = [at for at in pending if at < end]
        async for due in boundaries(self.clock, now, self.cadence.boundary):
            await self.emitter.emit(
                [Tick(at=each.at, phase=self.session.phase(each.at), late=each.late) for each in due]
            )
            after = due[-1].at
        return self._next(after)

    def _next(self, after: datetime | None) -> Next:
        following = next(instants(self.session, self.cadence.boundary, after=after), None)
        return Next(wake=following or self.session.close)


def _minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
