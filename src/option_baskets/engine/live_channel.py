"""What one user is told: a numbered sequence with a bounded memory, and beside it the newest of what replaces itself.

Every client has a place in the sequence and nothing of its own in memory, so a slow one costs as much as a fast one,
until what it has not taken yet is forgotten: then it is ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from option_baskets.domain.copies import copied
from option_baskets.engine.live_book import LiveBook
from option_baskets.engine.live_messages import Ending, Once, Replaced, line
from option_baskets.ports import Item, TableName

REMEMBERED = 2_000
"""Messages a client may be behind, or away."""
REMEMBERED_CHARACTERS = 4_000_000
FRAME_CHARACTERS = 65_536
"""A frame has as many messages as fit, one a line, and at least one."""


class Channel:
    """One user's. ``book`` is None until it is loaded; what is written meanwhile waits in ``pending``."""

    def __init__(self, user_id: str, epoch: str, too_slow: Callable[[], None] = lambda: None) -> None:
        """``too_slow`` is told of every client that is dropped for it."""
        self.too_slow = too_slow
        self.user_id = user_id
        self.epoch = epoch
        self.seq = 0
        """The number of the newest message."""
        self.book: LiveBook | None = None
        self.pending: dict[tuple[TableName, str], Item] = {}
        """The newest version of what was written and is not told yet, in the order of writing."""
        self.clients: set[Subscription] = set()
        self.left_at = 0.0
        """When the last client left, on the loop's clock."""
        self.valued_at = 0.0
        self.moved = True
        """Something was written since its profit was last told."""
        self.newest: dict[str, tuple[int, str]] = {}
        """By type: a stamp that grows with everything shown, and the message."""
        self._stamp = 0
        self._told: deque[str] = deque()
        self._characters = 0

    @property
    def first(self) -> int:
        """The number of the oldest message that is remembered; one more than ``seq`` where none is."""
        return self.seq - len(self._told) + 1

    def write(self, table: TableName, item: Item) -> None:
        """An item to be told of; an older version of it that is not told yet is told of no more."""
        key = (table, item.sk)
        self.pending.pop(key, None)
        self.pending[key] = item

    def tell(self, message: Once) -> None:
        """Give it the next number."""
        self.seq += 1
        text = line(copied(message, seq=self.seq))
        self._told.append(text)
        self._characters += len(text)
        while len(self._told) > REMEMBERED or (self._characters > REMEMBERED_CHARACTERS and len(self._told) > 1):
            self._characters -= len(self._told.popleft())

    def show(self, message: Replaced, text: str | None = None) -> None:
        """Replace the one of its type. ``text``: as it is sent, where that is at hand."""
        self._stamp += 1
        self.newest[message.type] = self._stamp, line(message) if text is None else text

    def wake(self) -> int:
        """Let every client take what is new; returns how many there are."""
        for client in self.clients:
            client.wake()
        return len(self.clients)

    def end(self, ending: Ending) -> None:
        for client in tuple(self.clients):
            client.end(ending)

    def after(self, seq: int) -> Sequence[str]:
        """The messages after a number, oldest first, as many as a frame takes."""
        found: list[str] = []
        size = 0
        for text in islice(self._told, seq + 1 - self.first, None):
            size += len(text)
            if found and size > FRAME_CHARACTERS:
                break
            found.append(text)
        return found

    def shown_after(self, stamp: int) -> tuple[int, Sequence[str]]:
        """What was shown after a stamp, and the newest stamp."""
        return self._stamp, [text for given, text in self.newest.values() if given > stamp]


class Subscription:
    """One client's place in the sequence of its user."""

    def __init__(self, channel: Channel, seq: int, first: Sequence[str], *, shown: bool) -> None:
        """``first`` is sent before anything after ``seq``; ``shown``: it has what was shown so far."""
        self._channel = channel
        self._seq = seq
        self._first = first
        self._stamp = channel.shown_after(0)[0] if shown else 0
        self._wake = asyncio.Event()
        self.ending: Ending | None = None
        """Why ``next`` returned None."""
        channel.clients.add(self)

    async def next(self) -> str | None:
        """The next frame, one message a line, as soon as there is one. None: it has ended."""
        while True:
            frame = self._take()
            if frame is not None or self.ending is not None:
                return frame
            self._wake.clear()
            await self._wake.wait()

    def wake(self) -> None:
        self._wake.set()

    def end(self, ending: Ending) -> None:
        """Nothing more is told; the first reason stays."""
        if self.ending is None:
            self.ending = ending
            if ending is Ending.TOO_SLOW:
                self._channel.too_slow()
        self._wake.set()

    def close(self) -> None:
        """The client is gone."""
        self._channel.clients.discard(self)

    def _take(self) -> str | None:
        if self.ending is not None:
            return None
        if self._first:
            first, self._first = self._first, ()
            return "\n".join(first)
        channel = self._channel
        if self._seq + 1 < channel.first:
            self.end(Ending.TOO_SLOW)
            return None
        lines = list(channel.after(self._seq))
        self._seq += len(lines)
        if self._seq == channel.seq:  # what replaces itself comes after what it is made of
            self._stamp, shown = channel.shown_after(self._stamp)
            lines += shown
        return "\n".join(lines) if lines else None
