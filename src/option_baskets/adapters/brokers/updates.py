"""A stream of order reports that a slow reader may fall behind on, without holding up the account it watches."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from option_baskets.domain.order import OrderReport

KEPT = 100_000
"""Reports a reader may be behind before it misses the oldest."""


class Updates(AsyncIterator[OrderReport]):
    """Reports put in come out in order; after ``end`` the rest come out and iteration stops. One reader."""

    def __init__(self) -> None:
        self._waiting: deque[OrderReport] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self._ended = False

    def put(self, report: OrderReport) -> None:
        self._waiting.append(report)
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def __anext__(self) -> OrderReport:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()
