"""What every function has in common: one event loop and one ``Cloud`` a process, for all requests it serves."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeVar

from option_baskets.cloud import Cloud, Settings
from option_baskets.lambdas.measured import Measured
from option_baskets.lambdas.traced import begin_logging, traced

T = TypeVar("T")

_cloud: Cloud | None = None
_measured: Measured | None = None


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The one of this process, also for what asks for the current one."""
    begin_logging()
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    return made


async def opened() -> Cloud:
    """The process's part of the platform; what it does is measured."""
    global _cloud, _measured  # noqa: PLW0603  connections outlast a request, which is what makes the next one fast
    if _cloud is None:
        _cloud = await Cloud.open(Settings.of(os.environ))
        _measured = Measured.of(_cloud)
    return _cloud


async def _done(work: Callable[[Cloud], Awaitable[T]]) -> T:
    cloud = await opened()
    async with cloud.at_work():
        return await work(cloud)


def run(work: Callable[[Cloud], Awaitable[T]], context: object = None) -> T:
    """Do the work of one request and return what it makes."""
    running = loop()
    with traced(context):
        try:
            return running.run_until_complete(_done(work))
        finally:
            flush()


def measured() -> Measured:
    """What was measured in this process; to be asked for in work."""
    assert _measured is not None
    return _measured


def flush() -> None:
    """Write what was measured in this request."""
    if _measured is not None:
        _measured.flush()


async def forget() -> None:
    """Close what this process holds, for tests that are several."""
    global _cloud, _measured  # noqa: PLW0603
    if _cloud is not None:
        await _cloud.close()
    _cloud = _measured = None
