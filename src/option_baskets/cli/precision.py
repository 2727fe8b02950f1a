"""How exactly a timer wakes, measured on this machine's clock: ours, APScheduler 3, and a loop of plain sleeps."""

import asyncio
import math
import resource
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from option_baskets.adapters.clock import RealClock
from option_baskets.engine.timer import boundaries

Work = Callable[[datetime], Awaitable[None]]
"""What the process does at a boundary after the wake-up is measured: the day's stop checks, a progress bar."""

_SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


@dataclass(slots=True, kw_only=True)
class Precision:
    """At least two wake-ups against their boundaries. Milliseconds; above 0 is late, below 0 early."""

    offsets: list[float] = field(default_factory=list)
    cpu: float = 0.0
    """Seconds of CPU the process used from the first boundary to the last, without the work."""

    def percentile(self, percent: float) -> float:
        """The smallest offset that ``percent`` of all do not exceed."""
        ordered = sorted(self.offsets)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

    @property
    def early(self) -> int:
        return sum(offset < 0 for offset in self.offsets)

    @property
    def drift(self) -> float:
        """Milliseconds the offset grows in a thousand boundaries: the slope of a straight line through all."""
        return statistics.linear_regression(range(len(self.offsets)), self.offsets).slope * 1000

    @property
    def moved(self) -> float:
        """Milliseconds between the median offsets of the first and the second half."""
        half = len(self.offsets) // 2
        return statistics.median(self.offsets[-half:]) - statistics.median(self.offsets[:half])

    @property
    def cpu_per_wake(self) -> float:
        """Seconds."""
        return self.cpu / (len(self.offsets) - 1)


Schedule = list[datetime]
Wakes = Callable[[RealClock, Schedule, timedelta], AsyncIterator[tuple[datetime, datetime]]]


async def our_timer(
    clock: RealClock, schedule: Schedule, length: timedelta
) -> AsyncIterator[tuple[datetime, datetime]]:
    """(boundary, when it was noticed), as do the others."""
    async for due in boundaries(clock, schedule, length):
        noticed = clock.now()
        for boundary in due:
            yield boundary.at, noticed


async def apscheduler(
    clock: RealClock, schedule: Schedule, length: timedelta
) -> AsyncIterator[tuple[datetime, datetime]]:
    """APScheduler's interval trigger on this event loop, told to skip and to join nothing.

    Raises:
        ImportError: it is not installed.
    """
    from apscheduler.schedulers.asyncio import AsyncIOScheduler
    from apscheduler.triggers.interval import IntervalTrigger

    woken: asyncio.Queue[datetime] = asyncio.Queue()

    async def job() -> None:
        woken.put_nowait(clock.now())

    scheduler = AsyncIOScheduler(timezone=UTC)
    trigger = IntervalTrigger(seconds=length.total_seconds(), start_date=schedule[0], timezone=UTC)
    scheduler.add_job(
        job,
        trigger,
        next_run_time=schedule[0],
        misfire_grace_time=None,
        coalesce=False,
        max_instances=len(schedule),
    )
    scheduler.start()
    try:
        for at in schedule:
            yield at, await woken.get()
    finally:
        scheduler.shutdown(wait=False)


async def plain_sleep(
    clock: RealClock, schedule: Schedule, length: timedelta
) -> AsyncIterator[tuple[datetime, datetime]]:
    """Sleep one length, do the work, sleep one length."""
    await clock.sleep_until(schedule[0] - length)
    for at in schedule:
        await asyncio.sleep(length.total_seconds())
        yield at, clock.now()


async def measured(wakes: Wakes, count: int, length: timedelta, work: Work) -> Precision:
    """Let ``wakes`` run over ``count`` boundaries on the real clock and do the work at each."""
    clock = RealClock()
    first = clock.now() + max(2 * length, timedelta(milliseconds=100))
    schedule = [first + n * length for n in range(count)]
    result = Precision()
    resumed: float | None = None
    async for at, noticed in wakes(clock, schedule, length):
        result.offsets.append((noticed - at) / timedelta(milliseconds=1))
        if resumed is not None:
            result.cpu += _cpu() - resumed
        await work(at)
        resumed = _cpu()
    return result


@contextmanager
def busy_core() -> Iterator[None]:
    """One core is kept busy by a process of its own, which also ends when this one dies."""
    with subprocess.Popen([sys.executable, "-c", _SPIN]) as process:
        try:
            yield
        finally:
            process.kill()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
