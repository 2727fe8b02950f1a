"""A day without an engine that lasts: events become messages, and every wake-up is a shift of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import SimulatedClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.inbox_queue import InboxQueue
from option_baskets.adapters.table_book import TableBook
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.cadence import events_at, instants
from option_baskets.domain.events import Event
from option_baskets.domain.session import Session
from option_baskets.engine.assembly import Unconnected, assembled
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.dispatch import begin_session, dispatch, end_session
from option_baskets.engine.shift import AHEAD, Shift, woken
from option_baskets.engine.trading import Trading
from option_baskets.ports import Broker, Message
from option_baskets.store.books import Books
from option_baskets.store.leases import Lease, Leases
from option_baskets.store.one_user import BooksOfOne
from option_baskets.wiring import TRADING_FILE
from tests.engine.tiny_day import FACTS

SHARDS = 4


@dataclass(kw_only=True)
class Shop:
    """Everything that outlasts a process: the tables and the exchange. Processes come and go."""

    data: Path
    days: Path
    clock: SimulatedClock
    wakes: int = 1
    """How often each wake-up is delivered."""
    begun: int = 0
    """Shifts that began."""
    names: Iterable[int] = field(default_factory=count)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.feed = RecordedFeed(self.days)
        (day,) = self.feed.sessions()
        self.session: Session = self.feed.session(day)
        self.cadence = load_cadence()
        self.table = SqliteTable.open(self.data / TRADING_FILE, now=self.clock.now, threaded=False, durable=False)
        self.books = Books(self.table, shards=SHARDS)
        self.queue = InboxQueue(self.table, self.clock, shards=SHARDS, wake=self._wake)
        self.inbox = self.queue.inbox
        self.leases = Leases(self.table, self.clock)

    async def exchange(self, user_id: str) -> PaperExchange:
        """The user's part of it, as the table has it."""
        book = await TableBook.open(self.table, user_id, self.session.date)
        return PaperExchange(
            book,
            self.feed,
            self.clock,
            fills=RecordedFills(self.feed),
            is_trading=lambda _, at: self.session.is_open(at),
        )

    def trading(
        self, books: Books, accounts: Mapping[AccountKey, BrokerAccount], exchange: PaperExchange | None = None
    ) -> Trading:
        def connect(user: str, account: BrokerAccount) -> Broker:
            return exchange.broker(account.id, user=user) if exchange else Unconnected(account.id)

        trading = assembled(
            books=books,
            feed=self.feed,
            clock=self.clock,
            queue=self.queue,
            facts=FACTS,
            accounts=accounts,
            connect=connect,
            rate_of=lambda _: None,
        )
        trading.session = self.session
        return trading

    @contextlib.asynccontextmanager
    async def begin(self, lease: Lease) -> AsyncIterator[Shift]:
        self.begun += 1
        books = BooksOfOne(self.table, lease.user_id, shards=SHARDS)
        accounts = {(user, account.id): account for user, account in await books.all_accounts()}
        exchange = await self.exchange(lease.user_id)
        shift = Shift(
            trading=self.trading(books, accounts, exchange),
            user_id=lease.user_id,
            inbox=self.inbox,
            cadence=self.cadence,
            wall=self.clock,
            lease=lease,
            leases=self.leases,
            matching=exchange.on_market,
        )
        try:
            yield shift
        finally:
            await exchange.close()

    async def _wake(self, messages: Sequence[Message]) -> None:
        for message in (each for each in messages for _ in range(self.wakes)):
            task = asyncio.create_task(self._brought(message), name=f"wake {message.id}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _brought(self, message: Message) -> None:
        """A queue that delays, and brings again what was not done."""
        await self.clock.sleep_until(message.at - AHEAD / 2)
        while not await self.receive(message):
            await self.clock.pause(timedelta(seconds=1))

    async def receive(self, message: Message) -> bool:
        holder = f"worker {next(iter(self.names))}"
        return await woken(
            message, holder=holder, leases=self.leases, inbox=self.inbox, wall=self.clock, begin=self.begin
        )

    async def play(self) -> None:
        """The session, tick by tick; handlers of one tick go side by side."""
        session = self.session
        await begin_session(self.trading(self.books, {}), session.starts)
        for at in instants(session, self.cadence.boundary):
            await self.clock.sleep_until(at)
            await asyncio.gather(
                *(dispatch(self.trading(self.books, {}), event, self.cadence) for event in self.events(at))
            )
        await self.clock.sleep_until(session.close)
        await self.quiet()
        await end_session(self.trading(self.books, {}), session.close)
        await self.quiet()

    def events(self, at: datetime) -> Sequence[Event]:
        return events_at(self.cadence, self.session, at)

    async def quiet(self) -> None:
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def close(self) -> None:
        await self.table.close()
