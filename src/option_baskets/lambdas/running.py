"""What every function has in common: one event loop and one ``Cloud`` a process, for all requests it serves."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeVar

from option_baskets.cloud import Cloud, Settings

T = TypeVar("T")

_cloud: Cloud | None = None


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _done(work: Callable[[Cloud], Awaitable[T]]) -> T:
    global _cloud  # noqa: PLW0603  connections outlast a request, which is what makes the next one fast
    if _cloud is None:
        _cloud = await Cloud.open(Settings.of(os.environ))
    async with _cloud.at_work():
        return await work(_cloud)


def run(work: Callable[[Cloud], Awaitable[T]]) -> T:
    """Do the work of one request and return what it makes."""
    return _loop().run_until_complete(_done(work))
