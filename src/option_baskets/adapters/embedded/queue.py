"""The Queue port over a Table: messages are items, so they commit with what they belong to and survive a restart."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from option_baskets.ports import Clock, Message, Put, Table
from option_baskets.store import messages as stored


class TableQueue:
    """One receiver at a time. It has no thread and no poll, and works in simulated time as in real time.

    Args:
        name: of the queue within the table.
    """

    def __init__(self, table: Table, clock: Clock, *, name: str = "due") -> None:
        self._table = table
        self._clock = clock
        self._name = name
        self._waiting: dict[str, Message] = {}
        """Sent and not yet received, by id."""
        self._order: list[tuple[datetime, str]] = []
        """A heap of the instants and ids of messages waiting; a message sent anew leaves an old entry behind."""
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many messages wait for their instant, as far as this object knows."""
        return len(self._waiting)

    def write(self, message: Message) -> Put:
        return stored.put(self._name, message)

    async def sent(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._add(message)
        self._changed.set()

    async def receive(self) -> AsyncIterator[Message]:
        """Messages in order of (instant, id), each not before its instant; those of an earlier process first of all.

        A message received and not marked ``done`` is received again by the next receiver.
        """
        self._waiting.clear()
        self._order.clear()
        for message in await stored.pending(self._table, self._name):
            self._add(message)
        while True:
            first = self._first()
            if first is not None and first.at <= self._clock.now():
                heapq.heappop(self._order)
                del self._waiting[first.id]
                yield first
            else:
                await self._change(first)

    async def done(self, message: Message) -> None:
        """Forget the message for ever."""
        await self._table.commit([stored.delete(self._name, message)])

    def _add(self, message: Message) -> None:
        self._waiting[message.id] = message
        heapq.heappush(self._order, (message.at, message.id))

    def _first(self) -> Message | None:
        while self._order:
            at, message_id = self._order[0]
            message = self._waiting.get(message_id)
            if message is not None and message.at == at:
                return message
            heapq.heappop(self._order)
        return None

    async def _change(self, first: Message | None) -> None:
        """Return when ``first`` is due or something was sent, whichever comes first."""
        self._changed.clear()
        if first is None:
            await self._changed.wait()
            return
        alarm = asyncio.ensure_future(self._clock.sleep_until(first.at))
        news = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((alarm, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            news.cancel()
