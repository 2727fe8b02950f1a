"""A market clock that is an item of the table: whoever writes it leads the time of every process.

For rehearsals: a day that is played on the deployed platform at whatever pace. Pauses, which wait for others and not
for an instant, take real time.
"""

import asyncio
from datetime import datetime, timedelta

from option_baskets.domain.errors import Unavailable
from option_baskets.domain.session import IST
from option_baskets.ports import Item, Put, Table, TableName
from option_baskets.store import codec, keys

LOOK_EVERY = 0.1
"""Seconds."""


def put_time(at: datetime) -> Put:
    """The write that makes it this time."""
    pk, sk = keys.LED_TIME
    return Put(table=TableName.CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(at)))


class ItemClock:
    """``refresh`` reads the time; ``now`` is what was read last. ``follow`` reads it again and again."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._now: datetime | None = None

    def now(self) -> datetime:
        """Raises Unavailable: it was never read."""
        if self._now is None:
            raise Unavailable("the time was not read; somebody has to write it first")
        return self._now

    async def refresh(self) -> None:
        """Raises Unavailable: there is none."""
        item = await self._table.get(TableName.CONFIGURATIONS, *keys.LED_TIME)
        if item is None:
            raise Unavailable("nobody leads the time of this platform; write it, or let it run as time does")
        self._now = codec.decode(item.body, datetime).astimezone(IST)

    async def follow(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(LOOK_EVERY)

    async def sleep_until(self, at: datetime) -> None:
        while self.now() < at:
            await asyncio.sleep(LOOK_EVERY)
            await self.refresh()

    async def pause(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())
