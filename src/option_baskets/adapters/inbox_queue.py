"""The Queue port over inboxes (``store/inbox.py``), for where many processes receive: one of them is woken a message.

A message commits to its user's inbox together with what it belongs to. ``wake`` then has somebody come for it a little
before its instant. A wake-up may be lost, late or doubled: what is in the inbox is what is to be done, and ``receive``
finds whatever nobody came for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta

from option_baskets.ports import Clock, Message, Put, Table
from option_baskets.store.inbox import Inbox

Wake = Callable[[Sequence[Message]], Awaitable[None]]
LOOK_EVERY = timedelta(seconds=1)


async def nobody(messages: Sequence[Message]) -> None:
    """Wakes nobody: whoever receives looks by itself."""


class InboxQueue:
    """``wake`` is told of messages after they were committed."""

    def __init__(self, table: Table, clock: Clock, *, shards: int = 1, wake: Wake = nobody) -> None:
        self.inbox = Inbox(table, shards=shards)
        self._clock = clock
        self._wake = wake
        self._sent = asyncio.Event()

    def write(self, message: Message) -> Put:
        return self.inbox.put(message)

    async def sent(self, messages: Iterable[Message]) -> None:
        some = tuple(messages)
        if some:
            self._sent.set()
            await self._wake(some)

    async def receive(self) -> AsyncIterator[Message]:
        """Messages of all users in order of (instant, id), each not before its instant: for one process that needs no
        wake-up. What others send is seen within ``LOOK_EVERY``.
        """
        given: set[tuple[str, str, datetime]] = set()
        while True:
            self._sent.clear()
            coming = await self._coming(self._clock.now() + LOOK_EVERY)
            first = next((each for each in coming if _name(each) not in given), None)
            if first is not None and first.at <= self._clock.now():
                given.add(_name(first))
                yield first
            else:
                await self._pause(first.at if first else self._clock.now() + LOOK_EVERY)

    async def done(self, message: Message) -> None:
        await self.inbox.done(message)

    async def _coming(self, until: datetime) -> list[Message]:
        shards = await asyncio.gather(*(self.inbox.overdue(each, until) for each in range(self.inbox.shards)))
        found = [message for messages in shards for message in messages]
        return sorted(found, key=lambda message: (message.at, message.id))

    async def _pause(self, until: datetime) -> None:
        """Until then, or until something was sent here."""
        alarm = asyncio.ensure_future(self._clock.sleep_until(until))
        news = asyncio.ensure_future(self._sent.wait())
        try:
            await asyncio.wait((alarm, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            news.cancel()


def _name(message: Message) -> tuple[str, str, datetime]:
    return message.body["user_id"], message.id, message.at
