"""The live stream in one process: fed by the table's commits, it tells every user who listens what became of theirs.

It lives on the engine's loop and is the least urgent thing there: it works in slices of a millisecond and lets
everything else go on in between. A user for whom nobody listens costs one look into a dictionary a write.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import TooMany, Unavailable
from option_baskets.domain.events import MarketPhase
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Snapshot
from option_baskets.domain.session import IST, Session
from option_baskets.engine.live import message_of, read
from option_baskets.engine.live_book import LiveBook
from option_baskets.engine.live_channel import Channel, Subscription
from option_baskets.engine.live_messages import Ending, ResetMessage, ResumedMessage, TickMessage, line
from option_baskets.engine.positions import Marks, open_legs
from option_baskets.ports import Clock, Item, MarketData, Put, TableName, Write
from option_baskets.pricing import price_and_greeks
from option_baskets.store import codec, keys
from option_baskets.store.books import Books

LOG = logging.getLogger(__name__)

CONNECTIONS = 10
"""Of one user at once."""
KEPT = 300.0
"""Seconds a sequence goes on after its last client has left."""
VALUED_EVERY = 3.0
"""Seconds between two looks at what is held, where nothing else asks for one."""
GATHERED = timedelta(seconds=0.25)
"""Of real time: how long fills and ticks gather before profits are computed anew; longer where computing them for
everybody would take more than ``SHARE`` of the loop."""
SLICE = 0.001
"""Seconds of work at a time."""
SHARE = 0.1
"""Of the loop: what telling has where others are busy, and profits at most."""
BUSY = 0.001
"""Seconds that others have at a time from which on they are busy."""
A_FRAME = 0.0001
"""Seconds a client that is woken takes to send."""

Why = Literal["another_epoch", "too_long_ago", "ahead"]


class Hub:
    """One process's. ``committed`` follows the table's changes; ``run`` goes on as long as the process serves.

    Args:
        books: what is read when the first client of a user comes.
        feed: the prices the engine trades on.
        market: the clock of trading.
        wall: real time.
        session: the session under way.
        epoch: names this process; another one has another.
    """

    def __init__(
        self,
        *,
        books: Books,
        facts: Facts,
        feed: MarketData,
        market: Clock,
        wall: Clock,
        session: Callable[[], Session | None],
        epoch: str,
    ) -> None:
        self._books = books
        self._facts = facts
        self._feed = feed
        self._market = market
        self._wall = wall
        self._session = session
        self._epochs = (f"{epoch}.{number}" for number in itertools.count(1))
        self._channels: dict[str, Channel] = {}
        self._loading: dict[str, asyncio.Task[LiveBook]] = {}
        self._coming: dict[str, int] = {}
        """Clients that wait for a loading book, by user."""
        self._untold: dict[str, Channel] = {}
        """Channels with something to tell, in the order of writing."""
        self._ticks: list[Item] = []
        self._news = asyncio.Event()
        self._moved = asyncio.Event()
        self._marks: Marks | None = None
        self._dropped = 0

    # ------------------------------------------------------------ in

    def committed(self, writes: Sequence[Write]) -> None:
        """Take note of a commit; nothing is decoded here."""
        if not self._channels:
            return
        for write in writes:
            if not isinstance(write, Put):
                continue
            item = write.item
            channel = self._channels.get(item.pk)
            if channel is not None:
                channel.write(write.table, item)
                self._untold[item.pk] = channel
                self._news.set()
            elif item.pk.startswith(keys.TICKS):
                self._ticks.append(item)
                self._news.set()

    def counts(self) -> tuple[int, int]:
        """Clients there are, and how many were dropped because they were too slow, so far."""
        return sum(len(channel.clients) for channel in self._channels.values()), self._dropped

    async def run(self) -> None:
        """Tell and value until it is cancelled; then every subscription ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell(), name="live stream")
                group.create_task(self._value(), name="live profits")
        finally:
            for channel in self._channels.values():
                channel.end(Ending.CLOSED)

    # ------------------------------------------------------------ out

    async def subscribe(self, user_id: str, after: tuple[str, int] | None = None) -> Subscription:
        """Listen for a user, from a place (epoch, seq) on or from now on with a snapshot.

        Raises:
            TooMany: the user has too many connections.
            Unavailable: the store cannot be read.
        """
        channel = self._channels.get(user_id) or self._opened(user_id)
        coming = self._coming.get(user_id, 0)
        if len(channel.clients) + coming >= CONNECTIONS:
            raise TooMany(f"there are {CONNECTIONS} connections of yours already; close one", retry_after=1)
        self._coming[user_id] = coming + 1
        try:
            await self._loaded(channel)
            marks = await self._marked()
            if channel.book is not None:
                await self._warm(marks, [channel], _Turns())
        finally:
            self._coming[user_id] -= 1
            if not self._coming[user_id]:
                del self._coming[user_id]
        if self._channels.get(user_id) is not channel:
            raise Unavailable("the stream was interrupted; connect again")
        # From here on nothing is awaited: the snapshot stands where the sequence goes on.
        return self._joined(channel, after, marks)

    def _joined(self, channel: Channel, after: tuple[str, int] | None, marks: Marks) -> Subscription:
        now = self._market.now()
        at = now.astimezone(IST)
        assert channel.book is not None
        self._moved.set()
        why = None if after is None else _missed(channel, *after)
        if after is not None and why is None:
            channel.moved = True  # while nobody listened, nothing was valued
            resumed = ResumedMessage(at=at, epoch=channel.epoch, missed=channel.seq - after[1])
            return Subscription(channel, after[1], [line(resumed)], shown=False)
        channel.book.turn(at.date())
        session = self._session()
        snapshot = channel.book.snapshot(
            marks,
            now,
            phase=MarketPhase.CLOSED if session is None else session.phase(now),
            epoch=channel.epoch,
            seq=channel.seq,
        )
        first = [] if why is None else [line(ResetMessage(at=at, reason=why))]
        return Subscription(channel, channel.seq, [*first, line(snapshot)], shown=True)

    def _opened(self, user_id: str) -> Channel:
        channel = self._channels[user_id] = Channel(user_id, next(self._epochs), self._drops)
        channel.left_at = asyncio.get_running_loop().time()
        return channel

    async def _loaded(self, channel: Channel) -> None:
        """Have its book. What is written while it is read waits, and is told after it where it is newer."""
        user_id = channel.user_id
        if channel.book is not None:
            return
        if user_id not in self._loading:
            day = self._market.now().astimezone(IST).date()
            load = LiveBook.load(self._books, self._facts, user_id=user_id, day=day)
            self._loading[user_id] = asyncio.create_task(load, name=f"live book of {user_id}")
        loading = self._loading[user_id]
        try:
            book = await asyncio.shield(loading)
        except Exception:
            self._discard(channel)
            raise
        finally:
            if loading.done():
                self._loading.pop(user_id, None)
        if channel.book is None:
            channel.book = book
            if channel.pending:
                self._untold[user_id] = channel
                self._news.set()

    def _drops(self) -> None:
        self._dropped += 1

    def _discard(self, channel: Channel) -> None:
        if self._channels.get(channel.user_id) is channel:
            del self._channels[channel.user_id]
        self._untold.pop(channel.user_id, None)

    # ------------------------------------------------------------ telling

    async def _tell(self) -> None:
        turns = _Turns()
        while True:
            await self._news.wait()
            self._news.clear()
            turns.begin()
            while self._untold or self._ticks:
                if self._ticks:
                    await self._tick(self._ticks.pop(0), turns)
                    continue
                user_id = next(iter(self._untold))
                channel = self._untold.pop(user_id)
                if channel.book is None:
                    continue
                try:
                    await self._tell_of(channel, channel.book, turns)
                except Exception:
                    # What it would have been told is lost to it: it comes again, and is given everything anew.
                    LOG.exception("the live stream of %s", user_id)
                    self._discard(channel)
                    channel.end(Ending.FAILED)
                else:
                    if channel.pending:
                        self._untold[user_id] = channel

    async def _tell_of(self, channel: Channel, book: LiveBook, turns: "_Turns") -> None:
        """Tell of what is pending, as far as one slice goes."""
        told = False
        while channel.pending and not turns.is_over:
            (table, sk), item = next(iter(channel.pending.items()))
            del channel.pending[table, sk]
            if table is TableName.CONFIGURATIONS and sk.startswith(keys.ACCOUNTS):
                book.learn(codec.decode(item.body, BrokerAccount))
                continue
            written = read(table, item)
            if written is None or not book.take(written):
                continue
            message = message_of(written, self._market.now())
            assert not isinstance(message, TickMessage)
            channel.tell(message)
            told = True
        if told:
            channel.moved = True
            self._moved.set()
        await turns.after(channel.wake() if told else 0)

    async def _tick(self, item: Item, turns: "_Turns") -> None:
        written = read(TableName.CONFIGURATIONS, item)
        if written is None:  # the same tick, done
            return
        message = message_of(written, self._market.now())
        assert isinstance(message, TickMessage)
        text = line(message)
        for channel in tuple(self._channels.values()):
            if channel.book is not None:
                channel.book.turn(message.date)
                channel.moved = channel.moved or channel.book.is_open
            channel.show(message, text)
            await turns.after(channel.wake())
        self._moved.set()

    # ------------------------------------------------------------ profits and Greeks

    async def _value(self) -> None:
        await asyncio.to_thread(price_and_greeks, 1.0, 1.0, 1.0, 1.0, True, kernel="numpy")  # its first call loads it
        turns = _Turns()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VALUED_EVERY):
                    await self._moved.wait()
            self._forget()
            await self._wall.pause(max(GATHERED, timedelta(seconds=turns.spent / SHARE)))
            self._moved.clear()
            turns.begin()
            turns.spent = 0.0
            try:
                await self._look(turns)
            except Exception:
                LOG.exception("the profits of the live stream")

    async def _look(self, turns: "_Turns") -> None:
        now = asyncio.get_running_loop().time()
        due = [channel for channel in self._channels.values() if _is_due(channel, now)]
        if not due:
            return
        marks = await self._marked()
        await self._warm(marks, due, turns)
        for channel in due:
            if channel.book is None:
                continue
            channel.moved, channel.valued_at = False, now
            for message in channel.book.valued(marks, self._market.now()):
                channel.show(message)
            await turns.after(channel.wake())

    async def _marked(self) -> Marks:
        """The market as it is now; one look for everybody."""
        try:
            snapshot = await self._feed.snapshot(self._market.now())
        except Exception as error:  # a feed that is down leaves the last close's marks
            LOG.warning("no prices for the live stream: %s", error)
            return Marks(facts=self._facts, market=None)
        if self._marks is None or self._marks.market is not snapshot:
            self._marks = Marks(facts=self._facts, market=snapshot)
        return self._marks

    async def _warm(self, marks: Marks, channels: Sequence[Channel], turns: "_Turns") -> None:
        """Ask for every price and Greek that will be wanted, a little at a time: all of a chain are milliseconds."""
        books = [channel.book for channel in channels if channel.book is not None]
        held = {contract for book in books for contract in book.contracts()}
        chains = {(contract.underlying, contract.expiry) for contract in held if contract.strike is not None}
        if marks.market is not None:
            for option in _options(marks.market, chains):
                marks.market.quote(option)
                await turns.after(0)
        for book in books:
            for run, position in open_legs(book.runs.values()):
                marks.of(run, position)
                await turns.after(0)

    def _forget(self) -> None:
        """Let go of the sequences nobody has listened to for a while."""
        now = asyncio.get_running_loop().time()
        for channel in tuple(self._channels.values()):
            if channel.clients or channel.user_id in self._coming:
                channel.left_at = now
            elif now - channel.left_at > KEPT:
                self._discard(channel)


class _Turns:
    """Work in slices: between two of them everything else that can go on does.

    While others are busy, as in a burst of orders, it has ``SHARE`` of the loop and falls behind; else it goes on at
    once.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.spent = 0.0
        """Seconds of work in the slices that are over."""
        self.begin()

    def begin(self, away: float = 0.0) -> None:
        """``away``: the seconds that others have just had."""
        self._began = self._loop.time()
        self._sending = 0.0
        self._slice = max(SLICE, away * SHARE)

    @property
    def is_over(self) -> bool:
        return self._worked >= self._slice

    @property
    def _worked(self) -> float:
        return self._loop.time() - self._began + self._sending

    async def after(self, woken: int) -> None:
        """A piece of work is done, and so many clients were woken by it."""
        self._sending += woken * A_FRAME
        worked = self._worked
        if worked < self._slice:
            return
        self.spent += worked
        left = self._loop.time()
        await asyncio.sleep(0)
        away = self._loop.time() - left
        if away - self._sending > BUSY:
            await asyncio.sleep(max(0.0, worked / SHARE - away))
            away = self._loop.time() - left
        self.begin(away)


def _options(market: Snapshot, chains: Iterable[tuple[str, date]]) -> Iterator[Contract]:
    for underlying, expiry in sorted(chains):
        for strike in market.strikes(underlying, expiry):
            for type_ in (ContractType.CE, ContractType.PE):
                yield Contract(underlying=underlying, expiry=expiry, type=type_, strike=strike)


def _is_due(channel: Channel, now: float) -> bool:
    book = channel.book
    if book is None or not channel.clients:
        return False
    return channel.moved or (book.is_open and now - channel.valued_at >= VALUED_EVERY)


def _missed(channel: Channel, epoch: str, seq: int) -> Why | None:
    """Why a client cannot go on after this number; None: it can."""
    if epoch != channel.epoch:
        return "another_epoch"
    if seq > channel.seq:
        return "ahead"
    return None if seq + 1 >= channel.first else "too_long_ago"
