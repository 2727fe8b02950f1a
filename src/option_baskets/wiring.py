"""Which adapter is used where. Everything above this file knows ports; everything below knows nothing of each other."""

import gc
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from pathlib import Path

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.brokers.fills import FillModel
from option_baskets.adapters.brokers.paper import IsTrading, PaperExchange
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.changes import Changes
from option_baskets.adapters.embedded.bus import InProcessBus
from option_baskets.adapters.embedded.queue import TableQueue
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.second_path import RESERVED, SecondPath
from option_baskets.adapters.two_paths import TwoPathTable
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.cadence import Cadence
from option_baskets.domain.errors import Invalid
from option_baskets.domain.events import Event, EventType
from option_baskets.domain.facts import Facts
from option_baskets.domain.instrument import redated
from option_baskets.domain.price_band import price_band
from option_baskets.domain.session import IST, Session
from option_baskets.engine.assembly import assembled
from option_baskets.engine.day import TradingDay, Watch
from option_baskets.engine.rates import Rate
from option_baskets.engine.report import DayRecord, record_of
from option_baskets.engine.trading import Pace
from option_baskets.ports import Broker, Clock, MarketData
from option_baskets.store.books import Books, Level
from option_baskets.store.health import Health
from option_baskets.store.records import ENGINE, Editor

LOG = logging.getLogger(__name__)

LOCAL_USER = "local"
"""Whose baskets the command line works on."""
TRADING_FILE = "trading.sqlite"
PAPER_FILE = "paper.sqlite"
SECOND_PATH_FILE = "second-path.jsonl"
PAPER = "paper"
"""The broker of accounts that are at no real one."""


def spare_the_collector() -> None:
    """For a process that trades for hours: leave what is loaded out of garbage collection, and look seldom at the rest.

    A burst of orders makes many values that all live on; collecting after every 700 of them takes half its time. And
    the threads that write wait ten times less for a busy event loop: a commit takes the interpreter back six times.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    sys.setswitchinterval(0.0005)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Where prices come from, and how paper orders meet them."""

    feed: MarketData
    fills: FillModel
    is_trading: IsTrading


class Embedded:
    """The platform in one process: SQLite tables, an in-process bus, and a paper exchange with a file of its own.

    ``threaded`` and ``durable`` are for real time; simulated time wants neither thread nor fsync to decide anything.
    ``exchange`` may be one that lives elsewhere. ``second_path`` is the file that is written while the tables cannot
    be, best on another disk. ``kills_every``: how often, in market time, the kill switches that
    others throw are looked at besides at the stop checks; None where nobody can throw one while a day goes on.
    """

    def __init__(
        self,
        *,
        data: Path,
        market: Market,
        clock: Clock,
        facts: Facts,
        rate: Rate | None,
        cadence: Cadence | None = None,
        threaded: bool = True,
        durable: bool = True,
        pace: Pace | None = None,
        exchange: PaperExchange | None = None,
        second_path: Path | None = None,
        kills_every: timedelta | None = None,
    ) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.facts = facts
        self.clock = clock
        self.health = Health()
        self.changes = Changes()
        """Whoever follows them is told of every commit through ``table``."""
        told = self.changes.tell
        self.table = TwoPathTable(
            SqliteTable.open(data / TRADING_FILE, now=clock.now, threaded=threaded, durable=durable, committed=told),
            SecondPath(second_path or data / SECOND_PATH_FILE, reserved=RESERVED if durable else 0, durable=durable),
            clock,
            self.health,
            committed=told,
        )
        self.books = Books(self.table, health=self.health)
        self.queue = TableQueue(self.table, clock)
        """The one that trading receives from: who sends here wakes it."""
        self.exchange = exchange or PaperExchange.open(
            data / PAPER_FILE,
            market.feed,
            clock,
            fills=market.fills,
            is_trading=market.is_trading,
            protection=lru_cache(maxsize=10_000)(partial(price_band, facts)),
            threaded=threaded,
            durable=durable,
        )
        self.cadence = cadence or load_cadence()
        self._market = market
        self._rate = rate
        self._pace = pace or Pace()
        self._kills_every = kills_every

    async def adopt(self, files: Iterable[BasketFile], *, actor: str = ENGINE) -> tuple[str, ...]:
        """Make the stored plans of the local user those of the files; what is equal is left as it is.

        Stored baskets that no file names are paused: nothing enters that was not asked for, and what is open is
        watched. Returns the names of those. Every edit is in the history as the ``actor``'s.
        """
        editor = Editor(actor=actor, cause="files", now=self.clock.now)
        books = Books(self.table, health=self.health, editor=editor)
        await self.table.take_up()
        files = tuple(files)
        names = Counter(file.basket.id for file in files)
        _require_one_limit(files)
        for file in files:
            if names[file.basket.id] > 1:
                raise Invalid(f"two files have a basket named {file.basket.name!r}; rename one", where="basket.name")
            for account in file.accounts:
                stored = await books.account(LOCAL_USER, account.id)
                if stored is None or replace(account, version=stored.version) != stored:
                    await books.save_account(LOCAL_USER, replace(account, version=stored.version if stored else 0))
            found = await books.basket(LOCAL_USER, file.basket.id)
            if found is None or replace(file.basket, version=found.version) != found:
                await books.save_basket(LOCAL_USER, replace(file.basket, version=found.version if found else 0))
            for strategy in file.strategies:
                plan = await books.strategy(LOCAL_USER, strategy.id)
                if plan is None or replace(strategy, version=plan.version) != plan:
                    await books.save_strategy(LOCAL_USER, replace(strategy, version=plan.version if plan else 0))
            for allocation in file.allocations:
                known = await books.allocation(LOCAL_USER, allocation.id)
                if known is None or replace(allocation, version=known.version) != known:
                    version = known.version if known else 0
                    await books.save_allocation(LOCAL_USER, replace(allocation, version=version))
            await _drop_what_is_gone(books, file)
        others = [basket for basket in await books.baskets(LOCAL_USER) if basket.id not in names]
        for basket in others:
            if not basket.paused:
                await books.save_basket(LOCAL_USER, replace(basket, paused=True))
        return tuple(basket.name for basket in others)

    async def trading_day(self, watch: Watch = lambda _, __: None) -> TradingDay:
        """The engine over the accounts there are now, its handlers subscribed. It meets those that come later."""
        await self.table.take_up()
        accounts = {(user, account.id): account for user, account in await self.books.all_accounts()}
        trading = assembled(
            books=self.books,
            feed=self._market.feed,
            clock=self.clock,
            queue=self.queue,
            facts=self.facts,
            accounts=accounts,
            connect=self._connect,
            rate_of=self._rate_of,
            pace=self._pace,
        )

        def failed(event: Event, error: Exception) -> None:
            LOG.error("%s at %s failed", event.type, event.at, exc_info=error)
            message = f"{event.type} of {event.at:%H:%M} failed: {error}"
            for user in sorted({user for user, _ in trading.desk.brokers}):
                trading.start(trading.alert(user, "handler_failed", message, level=Level.CRITICAL), name="alert")

        bus = InProcessBus(failed)
        day = TradingDay(trading=trading, bus=bus, cadence=self.cadence, watch=watch, kills_every=self._kills_every)
        self._tell_of_the_store(day)
        bus.subscribe(EventType.REFRESH_MARKET_DATA, self._match_resting_orders)
        day.subscribe()
        return day

    def broker(self, user_id: str, account: BrokerAccount) -> Broker | None:
        """The account at its own broker; None: there is no connection to that one, and it trades on paper."""
        return self._connect(user_id, account) if account.broker == PAPER else None

    def _connect(self, user_id: str, account: BrokerAccount) -> Broker:
        return self.exchange.broker(account.id, user=user_id)

    def _rate_of(self, account: BrokerAccount) -> Rate | None:
        return self._rate and self._rate.at(account.charges_as)

    def _tell_of_the_store(self, day: TradingDay) -> None:
        """Alert every user of what becomes of the store's health, and end the day where nothing can be kept."""
        trading = day.trading

        def tell(health: Health) -> None:
            if health.halted:
                day.stop()
                return
            code, level, message = "store_writable", Level.WARNING, "the store can be written again; entries go on"
            if not health.is_writable:
                code, level = "store_unwritable", Level.CRITICAL
                message = f"the store cannot be written: {health.cause}; entries stop, exits go on"
            for user in sorted({user for user, _ in trading.desk.brokers}):
                trading.start(trading.alert(user, code, message, level=level), name=code)

        self.health.tell = tell
        if not self.health.is_writable:
            tell(self.health)

    @property
    def feed(self) -> MarketData:
        """What the market shows."""
        return self._market.feed

    async def morning(self, session: Session) -> None:
        """What happens at the exchange before a session: contracts have new dates, and what expired has settled."""
        await self.exchange.follow(session.starts, lambda contract: redated(self.facts, contract, session.date))
        await self.exchange.settle(session.starts, lambda contract: contract.expiry < session.date)

    async def evening(self, session: Session) -> None:
        """What happens at the exchange after a session: what expires that day settles."""
        await self.exchange.settle(session.close, lambda contract: contract.expiry <= session.date)

    async def _match_resting_orders(self, event: Event) -> None:
        await self.exchange.on_market(event.at)

    async def record(self, session: Session, *, with_charges: bool = True) -> DayRecord:
        """The local user's day, accounted for."""
        accounts = {account.id: account for account in await self.books.accounts(LOCAL_USER)}
        return await record_of(
            self.books, self.facts, accounts, user_id=LOCAL_USER, day=session.date, with_charges=with_charges
        )

    async def close(self) -> None:
        await self.exchange.close()
        await self.table.close()


async def _drop_what_is_gone(books: Books, file: BasketFile) -> None:
    strategies = {strategy.id for strategy in file.strategies}
    allocations = {allocation.id for allocation in file.allocations}
    for strategy in await books.strategies(LOCAL_USER, file.basket.id):
        for allocation in await books.current_allocations(LOCAL_USER, strategy.id):
            if allocation.id not in allocations and strategy.id in strategies:
                await books.delete_allocation(LOCAL_USER, allocation.id)
        if strategy.id not in strategies:
            await books.delete_strategy(LOCAL_USER, strategy.id)


def _require_one_limit(files: Iterable[BasketFile]) -> None:
    """Raises Invalid: files give one account different limits, of which the last would win."""
    limits: dict[str, Decimal | None] = {}
    for account in (account for file in files for account in file.accounts):
        known = limits.setdefault(account.id, account.max_daily_loss)
        if known != account.max_daily_loss:
            one, other = (f"{each:f}" if each is not None else "none" for each in (known, account.max_daily_loss))
            found = f"account {account.id} has the limit {one} in one file and {other} in another"
            raise Invalid(f"{found}; write the same in both", where="accounts.max_daily_loss")


async def held_underlyings(data: Path, day: date) -> frozenset[str]:
    """The underlyings of runs that former processes in this data folder left open before a day."""
    if not (data / TRADING_FILE).exists():
        return frozenset()
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: datetime.combine(day, time.min, IST), threaded=False)
    try:
        return frozenset(run.strategy.underlying for run in await Books(table).active_runs() if run.date < day)
    finally:
        await table.close()


async def last_tick(data: Path, day: date) -> datetime | None:
    """The newest tick of a day that a former process in this data folder began; None: none did."""
    if not (data / TRADING_FILE).exists():
        return None
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: datetime.combine(day, time.min, IST), threaded=False)
    try:
        marks = await Books(table).last_ticks(day)
    finally:
        await table.close()
    return marks[-1].tick.at if marks else None


async def newest_session(data: Path) -> date | None:
    """The newest day that any process in this data folder has begun to trade; None: none did."""
    if not (data / TRADING_FILE).exists():
        return None
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: datetime.max.replace(tzinfo=UTC), threaded=False)
    try:
        return await Books(table).newest_session()
    finally:
        await table.close()


async def trade(machine: Embedded, day: TradingDay, session: Session) -> None:
    """One session, from what happens at the exchange before it to what happens there after it."""
    await machine.books.mark_session(session.date)
    await machine.morning(session)
    await day.run(session)
    await machine.evening(session)


async def play(
    machine: Embedded,
    sessions: Sequence[Session],
    *,
    with_charges: bool = True,
    watch: Watch = lambda _, __: None,
    finished: Callable[[Session], None] = lambda _: None,
) -> list[DayRecord]:
    """Trade the sessions one after another and return their records; ``finished`` is told after each new one."""
    day = await machine.trading_day(watch)
    records = []
    begun = [await machine.books.last_ticks(session.date) for session in sessions]
    newest = max((number for number, marks in enumerate(begun) if marks), default=0)
    for number, (session, marks) in enumerate(zip(sessions, begun, strict=True)):
        if number >= newest:  # an earlier one ended before the next began, and what went on is in the books
            # Where a former process was here, simulated time goes on at its last instant, not at the day's beginning.
            await machine.clock.sleep_until(marks[-1].tick.at if marks else session.starts)
            await trade(machine, day, session)
        records.append(await machine.record(session, with_charges=with_charges))
        await machine.table.purge()
        if not marks:
            finished(session)
    return records
