"""A day without an engine that lasts: events become messages, and every wake-up is a shift of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import SimulatedClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.inbox_queue import InboxQueue
from option_baskets.adapters.table_book import TableBook
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.cadence import events_at, instants
from option_baskets.domain.errors import Conflict
from option_baskets.domain.events import Event
from option_baskets.domain.order import OrderReport
from option_baskets.domain.risk import Approved
from option_baskets.domain.session import Session
from option_baskets.engine.assembly import Unconnected, assembled
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.dispatch import begin_session, dispatch, end_session
from option_baskets.engine.messages import AHEAD
from option_baskets.engine.shift import LONGEST, Shift, woken
from option_baskets.engine.trading import Pace, Trading
from option_baskets.ports import Broker, Message, Write
from option_baskets.store.books import Books
from option_baskets.store.inbox import Inbox
from option_baskets.store.leases import Lease, Leases
from option_baskets.store.one_user import BooksOfOne
from option_baskets.wiring import TRADING_FILE
from tests.engine.tiny_day import FACTS

SHARDS = 4


class Dead(Exception):
    """Nothing that a dead process asks for happens."""


@dataclass(kw_only=True)
class Worker:
    """A process: while it lives it sees the tables."""

    name: str
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def sees(self, table: Any) -> Any:
        return _Seen(table, self)


class _Seen:
    def __init__(self, table: Any, worker: Worker) -> None:
        self._table = table
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        if self._worker.dead.is_set():
            raise Dead(self._worker.name)
        return getattr(self._table, name)


class Mortal:
    """A broker whose caller dies with a deadly order in hand, before anything of it has left."""

    def __init__(self, broker: Broker, shop: "Shop", worker: Worker) -> None:
        self._broker = broker
        self._shop = shop
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        if self._worker.dead.is_set():
            raise Dead(self._worker.name)
        return getattr(self._broker, name)

    async def place(self, approved: Approved) -> OrderReport:
        self._shop.handed_over += 1
        if self._shop.handed_over in self._shop.deadly:
            self._shop.deaths += 1
            self._worker.dead.set()
        if self._worker.dead.is_set():
            raise Dead(self._worker.name)
        return await self._broker.place(approved)


class Contested:
    """A table on which somebody else is faster every so many commits of what is versioned."""

    def __init__(self, table: SqliteTable, every: int) -> None:
        self._table = table
        self._every = every
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        if self._every and any(write.expected for write in writes):
            self._count += 1
            if not self._count % self._every:
                raise Conflict("somebody else was faster")
        await self._table.commit(writes)


@dataclass(kw_only=True)
class Shop:
    """Everything that outlasts a process: the tables and the exchange. Processes come and go."""

    data: Path
    days: Path
    clock: SimulatedClock
    wakes: int = 1
    """How often each wake-up is delivered."""
    timers: int = 1
    """How often each event is handled, at once."""
    conflicts_every: int = 0
    """Every so many commits of runs and orders somebody else was faster; 0: never."""
    deadly: frozenset[int] = frozenset()
    """Orders, counted over the day, with which in hand their worker dies: journaled, and not sent."""
    handed_over: int = 0
    deaths: int = 0
    failures: list[Exception] = field(default_factory=list)
    """Of workers that lived; what they did not do was brought again."""
    begun: int = 0
    """Shifts that began."""
    behaviour: Mapping[str, Behaviour] = field(default_factory=dict)
    """Of accounts."""
    longest: timedelta = LONGEST
    """How long a shift may last."""
    pace: Pace = field(default_factory=Pace)
    day: date | None = None
    """Which of the recorded days; None: there is only one."""
    lasted: list[tuple[datetime, timedelta]] = field(default_factory=list)
    """When each shift began, and how long it was at work."""
    lost: frozenset[str] = frozenset()
    """Kinds of messages whose wake-ups are lost."""
    names: Iterator[int] = field(default_factory=count)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.feed = RecordedFeed(self.days)
        day, *_ = [self.day] if self.day else self.feed.sessions()
        self.session: Session = self.feed.session(day)
        self.cadence = load_cadence()
        self.durable = SqliteTable.open(self.data / TRADING_FILE, now=self.clock.now, threaded=False, durable=False)
        self.table = Contested(self.durable, self.conflicts_every)
        self.books = Books(self.table, shards=SHARDS)
        self.queue = InboxQueue(self.table, self.clock, shards=SHARDS, wake=self._wake)
        self.inbox = self.queue.inbox
        self.leases = Leases(self.table, self.clock)

    async def exchange(self, user_id: str) -> PaperExchange:
        """The user's part of it, as the table has it."""
        book = await TableBook.open(self.durable, user_id, self.session.date)
        exchange = PaperExchange(
            book,
            self.feed,
            self.clock,
            fills=RecordedFills(self.feed),
            is_trading=lambda _, at: self.session.is_open(at),
        )
        for account, how in self.behaviour.items():
            exchange.broker(account, user=user_id, behaviour=how)
        return exchange

    def trading(
        self,
        books: Books,
        accounts: Mapping[AccountKey, BrokerAccount],
        exchange: PaperExchange | None = None,
        worker: "Worker | None" = None,
    ) -> Trading:
        def connect(user: str, account: BrokerAccount) -> Broker:
            if exchange is None or worker is None:
                return Unconnected(account.id)
            return Mortal(exchange.broker(account.id, user=user), self, worker)

        trading = assembled(
            books=books,
            feed=self.feed,
            clock=self.clock,
            queue=self.queue,
            facts=FACTS,
            accounts=accounts,
            connect=connect,
            rate_of=lambda _: None,
            pace=self.pace,
        )
        trading.session = self.session
        return trading

    @contextlib.asynccontextmanager
    async def begin(self, lease: Lease, worker: "Worker") -> AsyncIterator[Shift]:
        self.begun += 1
        table = worker.sees(self.table)
        books = BooksOfOne(table, lease.user_id, shards=SHARDS)
        accounts = {(user, account.id): account for user, account in await books.all_accounts()}
        exchange = await self.exchange(lease.user_id)
        shift = Shift(
            trading=self.trading(books, accounts, exchange, worker),
            user_id=lease.user_id,
            inbox=Inbox(table, shards=SHARDS),
            cadence=self.cadence,
            wall=self.clock,
            lease=lease,
            leases=Leases(table, self.clock),
            matching=exchange.on_market,
            longest=self.longest,
        )
        began = self.clock.now()
        try:
            yield shift
        finally:
            self.lasted.append((began, self.clock.now() - began))
            await exchange.close()

    async def _wake(self, messages: Sequence[Message]) -> None:
        for message in (each for each in messages if each.kind not in self.lost for _ in range(self.wakes)):
            task = asyncio.create_task(self._brought(message), name=f"wake {message.id}")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _brought(self, message: Message) -> None:
        """A queue that delays, and brings again what was not done."""
        await self.clock.sleep_until(message.at - AHEAD / 2)
        while not await self._worked(message):
            await self.clock.pause(timedelta(seconds=2))

    async def _worked(self, message: Message) -> bool:
        """A process of its own does it; whether it did."""
        worker = Worker(name=f"worker {next(self.names)}")
        table = worker.sees(self.table)
        working = asyncio.create_task(
            woken(
                message,
                holder=worker.name,
                leases=Leases(table, self.clock),
                inbox=Inbox(table, shards=SHARDS),
                wall=self.clock,
                begin=lambda lease: self.begin(lease, worker),
            )
        )
        dying = asyncio.create_task(worker.dead.wait())
        await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, dying):
            task.cancel()
        result, _ = await asyncio.gather(working, dying, return_exceptions=True)
        if isinstance(result, Exception) and not worker.dead.is_set():
            self.failures.append(result)
        return result is True

    async def adopt(self, user_id: str, file: BasketFile) -> None:
        """Store the plans of a file as a user's."""
        for account in file.accounts:
            await self.books.save_account(user_id, account)
        await self.books.save_basket(user_id, file.basket)
        for strategy in file.strategies:
            await self.books.save_strategy(user_id, strategy)
        for allocation in file.allocations:
            await self.books.save_allocation(user_id, allocation)

    async def play(self, until: datetime | None = None) -> None:
        """The session, tick by tick, or the ticks before an instant; handlers of one tick go side by side."""
        session = self.session
        await begin_session(self.trading(self.books, {}), session.starts)
        for at in instants(session, self.cadence.boundary):
            if until is not None and at >= until:
                await self.quiet()
                return
            await self.clock.sleep_until(at)
            await asyncio.gather(
                *(self._handled(event) for event in self.events(at) for _ in range(self.timers)),
            )
        await self.clock.sleep_until(session.close)
        await self.quiet()
        await end_session(self.trading(self.books, {}), session.close)
        await self.quiet()

    def events(self, at: datetime) -> Sequence[Event]:
        return events_at(self.cadence, self.session, at)

    async def _handled(self, event: Event) -> None:
        """As the bus brings it: again, where the handler failed."""
        for _ in range(3):
            with contextlib.suppress(Conflict):
                await dispatch(self.trading(self.books, {}), event, self.cadence)
                return

    async def quiet(self) -> None:
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def look_back(self, user_id: str) -> None:
        """What the exchange's own book says after the day."""
        book = await TableBook.open(self.durable, user_id, self.session.date)
        self.book = [*book.entries(self.session.date)]
        self.held = [*book.net()]

    async def close(self) -> None:
        await self.durable.close()
