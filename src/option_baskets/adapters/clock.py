"""The clocks: the machine's, an accelerated one, and a simulated one on a loop of its own. Nothing else reads time.

``SimulatedLoop`` makes every wait of a program take no time: when no task can go on, its time jumps to the next due
timer. One thread, first come first served, no wall time: two runs of one program interleave in one way.
"""

import asyncio
import heapq
import itertools
import math
import select
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar, TypeVarTuple

from option_baskets.domain.errors import Halt, Invalid

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Led = Callable[[datetime | None], datetime]

_MICROSECOND = timedelta(microseconds=1)
LONGEST_NAP = 1.0
"""Seconds after which a sleeper looks at its clock again, so that a step of the machine's clock is noticed."""


def _wall() -> datetime:
    return datetime.now(UTC)


class RealClock:
    """The machine's clock; with a speed or a start, market time that runs from ``start`` at ``speed`` times real time.

    A plain ``RealClock()`` follows the wall clock, also when that is stepped. Any other follows the monotonic clock,
    which nobody steps. ``now()`` is in ``zone``, or in the zone of ``start``.
    """

    def __init__(
        self,
        speed: float = 1,
        start: datetime | None = None,
        *,
        zone: tzinfo = UTC,
        wall: Callable[[], datetime] = _wall,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._speed = _positive(speed)
        self._wall = wall
        self._monotonic = monotonic
        self._zone = zone if start is None else _aware(start).tzinfo
        self._start = start if start is not None or speed == 1 else wall().astimezone(zone)
        self._origin = monotonic()

    def now(self) -> datetime:
        if self._start is None:
            return self._wall().astimezone(self._zone)
        return self._start + timedelta(seconds=self._speed * (self._monotonic() - self._origin))

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now() >= at``. The wait is computed anew from the clock every time, so no error adds up."""
        while (rest := (at - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time gives no event to wait for
            await asyncio.sleep(min(rest / self._speed, LONGEST_NAP))

    async def pause(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds() / self._speed)


class LedClock(RealClock):
    """Market time that is led on, never back: over the hours between two sessions, or from instant to instant.

    Between leads it runs as an accelerated ``RealClock``; with speed None it stands still and only leads move it.
    Whoever sleeps sees a lead at once. It belongs to one event loop.
    """

    def __init__(
        self, start: datetime, speed: float | None = 1, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(1 if speed is None else speed, start, monotonic=monotonic)
        self._is_led_only = speed is None
        self._held = start if speed is None else None
        """Where it stands; None: it runs."""
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._sequence = itertools.count()

    def now(self) -> datetime:
        return super().now() if self._held is None else self._held

    def lead(self, at: datetime) -> None:
        """Go on from ``at`` if that is later than now. Those who slept until then go on in order of their instants."""
        if at > self.now():
            self._start, self._origin = _aware(at).astimezone(self._zone), self._monotonic()
            self._held = None if self._held is None else self._start
        now = self.now()
        while (due := self.due) is not None and due <= now:
            heapq.heappop(self._sleepers)[-1].set_result(None)

    def hold(self) -> None:
        """Stand still from now on; pauses still end."""
        self._held = self.now()

    def go_on(self) -> None:
        """Run again from where it was held. A clock that is only led stays as it is."""
        if self._held is not None and not self._is_led_only:
            self._start, self._origin, self._held = self._held, self._monotonic(), None
            for _, _, sleeper in self._sleepers:  # they lay down without an alarm
                _wake(sleeper)

    @property
    def due(self) -> datetime | None:
        """The first instant that anybody sleeps until."""
        self._drop_those_who_woke()
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep_until(self, at: datetime) -> None:
        loop = asyncio.get_running_loop()
        while (rest := (at - self.now()).total_seconds()) > 0:
            woken = loop.create_future()
            alarm = loop.call_later(rest / self._speed, _wake, woken) if self._held is None else None
            self._drop_those_who_woke()
            heapq.heappush(self._sleepers, (at, next(self._sequence), woken))
            try:
                await woken
            finally:
                if alarm is not None:
                    alarm.cancel()

    async def pause(self, span: timedelta) -> None:
        """Waits in real time, a standing clock included, unless the clock knows no other time than its leads."""
        if self._is_led_only:
            await self.sleep_until(self.now() + span)
        else:
            await super().pause(span)

    def _drop_those_who_woke(self) -> None:
        while self._sleepers and self._sleepers[0][-1].done():
            heapq.heappop(self._sleepers)


class SimulatedClock:
    """The time of a simulated loop: exact to the microsecond, and it stands still while anything is running."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def now(self) -> datetime:
        return self._loop.now()

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - self._loop.now()).total_seconds()))

    async def pause(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, from ``start``; with ``speed`` it also waits 1/speed of every jump for real.

    Timers due at one instant run in the order they were set. Work given to an executor is finished before anything
    else goes on, so its duration decides nothing. Threads the loop does not know of are not waited for.

    ``led`` takes the place of the jump where somebody else has the time: it is given the instant of the next due timer
    (None: there is none) and returns the instant it is then, having called back whatever came meanwhile.

    Raises:
        Halt: no task can ever go on again; the message names those that wait.
    """

    def __init__(self, start: datetime, speed: float | None = None, *, led: Led | None = None) -> None:
        self._start = start
        self._jumps = _Jumps(speed, self._waiting) if led is None else _Led(lambda due: self._led(led, due))
        self._sequence = itertools.count()
        super().__init__(self._jumps)

    def now(self) -> datetime:
        return self._start + self._jumps.elapsed * _MICROSECOND

    def time(self) -> float:
        return self._jumps.elapsed / 1e6

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As the standard loop, which says nothing of the order of timers due together, in whole microseconds."""
        self._check_closed()  # type: ignore[attr-defined]
        timer = _Timer(math.ceil((when - _SLACK) * 1e6) / 1e6, callback, args, self, context)
        timer.sequence = next(self._sequence)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(executor.submit(func, *args).result() if executor else func(*args))
        except Exception as error:  # the caller awaits it, whatever it is
            future.set_exception(error)
        return future

    def _led(self, led: Led, due: int | None) -> int:
        at = led(None if due is None else self._start + due * _MICROSECOND)
        return (at - self._start) // _MICROSECOND

    def _waiting(self) -> str:
        return ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self))) or "nothing"


def run_real(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, on a loop that waits to the microsecond; the standard one rounds up to the millisecond."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Fine())) as runner:
        return runner.run(main)


def run_simulated(
    main: Callable[[SimulatedClock], Coroutine[Any, Any, T]], start: datetime, speed: float | None = None
) -> T:
    """Run ``main`` on a new simulated loop that begins at ``start``, and close it. ``speed`` None: as fast as it goes.

    Raises:
        Halt: everything waits and nothing is due.
        Invalid: the start has no zone, or the speed is not above 0.
    """
    _aware(start)
    if speed is not None:
        _positive(speed)
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(start, speed)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SimulatedLoop)
        return runner.run(main(SimulatedClock(loop)))


_SLACK = 1e-7
"""Seconds by which a float ``when`` may miss its microsecond; holds for about ten years of virtual time."""

_SELECTABLE = 1024
"""``select`` knows no descriptor from here on. The loop's own is made first and is low."""


class _Timer(asyncio.TimerHandle):
    sequence = 0

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self.when(), self.sequence) < (other.when(), other.sequence)


class _Fine(selectors.DefaultSelector):
    """Waits in microseconds, where epoll counts milliseconds: ``select`` waits for the epoll descriptor itself."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0 and self.fileno() < _SELECTABLE:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class _Jumps(selectors.DefaultSelector):
    """A selector that does not wait: it moves ``elapsed`` (whole microseconds) on by the timeout it is given."""

    def __init__(self, speed: float | None, waiting: Callable[[], str]) -> None:
        super().__init__()
        self.elapsed = 0
        self._speed = speed
        self._waiting = waiting
        self._began = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Halt(f"deadlock in simulated time: nothing is due and all tasks wait: {self._waiting()}")
        elapsed = self.elapsed + round(timeout * 1e6)
        if self._speed is not None:
            rest = self._began + elapsed / 1e6 / self._speed - time.monotonic()
            if rest > 0 and (ready := super().select(rest)):
                return ready
        self.elapsed = elapsed
        return []


class _Led(_Jumps):
    """A selector that asks how far time is instead of moving it on."""

    def __init__(self, led: Callable[[int | None], int]) -> None:
        super().__init__(None, str)
        self._led = led

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = selectors.DefaultSelector.select(self, 0)
        if not ready and timeout != 0:
            self.elapsed = self._led(None if timeout is None else self.elapsed + round(timeout * 1e6))
        return ready


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Invalid(f"{at.isoformat()} has no time zone: give one, e.g. {at.isoformat()}+05:30", where="start")
    return at


def _positive(speed: float) -> float:
    if not (speed > 0 and math.isfinite(speed)):
        raise Invalid(f"{speed} is no speed of a clock: give a number above 0, e.g. 60", where="speed")
    return speed
