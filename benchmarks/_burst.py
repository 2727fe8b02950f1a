"""Many orders due at one minute on the real clock, as an instrument: who orders what, and when each order was where."""

import asyncio
import contextlib
import cProfile
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.clock import RealClock, run_real, run_simulated
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import (
    Basket,
    BrokerAccount,
    LegSpec,
    Schedule,
    Strategy,
    Strike,
    StrikeRule,
)
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Order, OrderState
from option_baskets.domain.run import RunStatus
from option_baskets.domain.session import IST, Session, session_on
from option_baskets.engine.rates import Rate
from option_baskets.ports import Clock, Item, Page, Put, Table, TableName, Write
from option_baskets.store import codec
from option_baskets.store.keys import ORDER
from option_baskets.wiring import PAPER_FILE, Embedded, Market, spare_the_collector

DAY = date(2026, 11, 19)
BOUNDARY = datetime(2026, 11, 19, 9, 20, tzinfo=IST)
LEGS = 4
RATE = Rate()
_LIMIT = timedelta(seconds=60)
_LEADS = (8, 20, 60)
"""Seconds before the boundary at which the process starts; the missed triggers claim the runs in this time, and where
that is too short on a busy machine, the next is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """So many users, each with accounts on which each of the user's iron condors trades once."""

    users: int
    accounts: int
    strategies: int

    @property
    def orders(self) -> int:
        return self.users * self.accounts * self.orders_an_account

    @property
    def orders_an_account(self) -> int:
        return self.strategies * LEGS


@dataclass(frozen=True, slots=True)
class Times:
    """Of one order, in seconds from the boundary."""

    user: str
    account: str
    sent: float
    """When its broker was called, by the exchange's own book."""
    journaled: float
    """When the commit that has it as filled was done."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """One burst. CPU is from just before the boundary until the last order is journaled as accepted."""

    unfinished: int
    cpu: float
    main_cpu: float
    peak_calls: int
    commits: int
    orders: list[Times]

    @property
    def seconds(self) -> float:
        """From the boundary until the last order was answered and journaled."""
        return max(each.journaled for each in self.orders)

    @property
    def sent(self) -> list[float]:
        """When the exchange was called with each order, ascending."""
        return sorted(each.sent for each in self.orders)


Beside = Callable[[Embedded, Clock, Session], AbstractAsyncContextManager[object]]
"""What else goes on in the process from its start to the end of the burst."""


def _alone(_: Embedded, __: Clock, ___: Session) -> AbstractAsyncContextManager[object]:
    return contextlib.nullcontext()


def measure(size: Size, *, slow: Mapping[tuple[str, str], Behaviour] | None = None) -> Seen:
    """A burst in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="baskets-burst-") as folder:
        return run(Path(folder), size, slow=slow)


def simulate(size: Size, *, slow: Mapping[tuple[str, str], Behaviour] | None = None) -> Seen:
    """The burst where computing and writing take no time: all that is left of its seconds is waiting."""
    lead = timedelta(seconds=_LEADS[0])
    with tempfile.TemporaryDirectory(prefix="baskets-burst-") as folder:
        return run_simulated(
            lambda clock: _trade(Path(folder), size, clock, slow or {}, None, _alone, threaded=False), BOUNDARY - lead
        )


def run(
    folder: Path,
    size: Size,
    *,
    slow: Mapping[tuple[str, str], Behaviour] | None = None,
    profile: cProfile.Profile | None = None,
    beside: Beside = _alone,
) -> Seen:
    """A burst in an empty folder; both books stay there. ``slow`` accounts behave otherwise than perfectly."""

    def trade(trial: Path, lead: int) -> Seen:
        return run_real(_burst(trial, size, timedelta(seconds=lead), slow or {}, profile, beside))

    for lead in _LEADS[:-1]:
        trial = folder / f"lead-{lead}"
        with contextlib.suppress(TimeoutError):
            return _kept(folder, trial, trade(trial, lead))
    trial = folder / "lead"
    return _kept(folder, trial, trade(trial, _LEADS[-1]))


def _kept(folder: Path, trial: Path, seen: Seen) -> Seen:
    for file in trial.iterdir():
        file.rename(folder / file.name)
    return seen


async def _burst(
    folder: Path,
    size: Size,
    lead: timedelta,
    slow: Mapping[tuple[str, str], Behaviour],
    profile: cProfile.Profile | None,
    beside: Beside,
) -> Seen:
    facts = load()
    loading = Embedded(
        data=folder, market=still_market(facts), clock=RealClock(), facts=facts, rate=RATE, durable=False
    )
    await _fill_books(loading, size)
    await loading.close()
    return await _trade(folder, size, RealClock(1.0, BOUNDARY - lead), slow, profile, beside, threaded=True)


def still_market(facts: Facts) -> Market:
    session = session_on(facts, DAY)
    assert session is not None
    return Market(
        feed=_Still(SimulatedFeed(facts, seed=7).known(BOUNDARY)),
        fills=QuotedFills(depth=None, top_lots=10_000),
        is_trading=lambda _, at: session.is_trading(at),
    )


async def _trade(
    folder: Path,
    size: Size,
    clock: Clock,
    slow: Mapping[tuple[str, str], Behaviour],
    profile: cProfile.Profile | None,
    beside: Beside,
    *,
    threaded: bool,
) -> Seen:
    """Run the day from a little before the boundary until every run is entered. Books that are not there are filled."""
    facts = load()
    session = session_on(facts, DAY)
    assert session is not None
    machine = Embedded(
        data=folder,
        market=still_market(facts),
        clock=clock,
        facts=facts,
        rate=RATE,
        threaded=threaded,
        durable=threaded,
    )
    if not await machine.books.all_accounts():
        await _fill_books(machine, size)
    for (user, account), behaviour in slow.items():
        machine.exchange.broker(account, user=user, behaviour=behaviour)
    machine.books.table = watched = _Watched(machine.table, clock)
    try:
        async with beside(machine, clock, session):
            return await _watch(folder, size, machine, clock, session, watched, profile)
    finally:
        await machine.close()


async def _watch(
    folder: Path,
    size: Size,
    machine: Embedded,
    clock: Clock,
    session: Session,
    watched: "_Watched",
    profile: cProfile.Profile | None,
) -> Seen:
    day = await machine.trading_day()
    running = asyncio.create_task(day.run(session))
    runs = day.trading.runs
    spare_the_collector()
    try:
        await clock.sleep_until(BOUNDARY - timedelta(seconds=0.05))
        waiting = [(run.user_id, run.id) for run in runs.all()]
        if len(waiting) != size.users * size.strategies:
            raise TimeoutError(f"only {len(waiting)} runs were claimed before the boundary")
        watched.commits.clear()
        process, thread = time.process_time(), time.thread_time()
        if profile:
            profile.enable()
        while waiting and clock.now() < BOUNDARY + _LIMIT:
            await asyncio.sleep(0.005)
            while waiting and runs.get(waiting[-1]).status is RunStatus.ACTIVE:
                waiting.pop()
        if profile:
            profile.disable()
        cpu, main_cpu = time.process_time() - process, time.thread_time() - thread
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return Seen(
        unfinished=len(waiting),
        cpu=cpu,
        main_cpu=main_cpu,
        peak_calls=max(broker.peak_calls for broker in machine.exchange.accounts.values()),
        commits=len(watched.commits),
        orders=_times(folder, watched.commits),
    )


def _times(folder: Path, commits: Sequence[tuple[datetime, Sequence[Write]]]) -> list[Times]:
    with contextlib.closing(sqlite3.connect(folder / PAPER_FILE)) as book:
        sent = {tag: datetime.fromisoformat(at) for tag, at in book.execute("SELECT tag, placed_at FROM orders")}
    found: dict[str, Times] = {}
    for at, writes in commits:
        for write in writes:
            if isinstance(write, Put) and write.table is TableName.HISTORY and ORDER in write.item.sk:
                order = codec.decode(write.item.body, Order)
                intent = order.intent
                if order.state is OrderState.FILLED and intent.id not in found:
                    found[intent.id] = Times(
                        intent.user_id,
                        intent.account,
                        (sent[intent.id] - BOUNDARY).total_seconds(),
                        (at - BOUNDARY).total_seconds(),
                    )
    return list(found.values())


async def _fill_books(machine: Embedded, size: Size) -> None:
    books = machine.books
    for number in range(size.users):
        user = f"user-{number:04d}"
        await books.save_basket(user, Basket(id="b", name="Burst", capital=Decimal(1_000_000)))
        for account in range(size.accounts):
            await books.save_account(user, BrokerAccount(id=f"account-{account}"))
        for strategy in range(size.strategies):
            await books.save_strategy(user, condor(strategy))
            for account in range(size.accounts):
                allocation = Allocation(
                    id=f"condor-{strategy}.account-{account}",
                    strategy_id=f"condor-{strategy}",
                    account=f"account-{account}",
                    units=1,
                    priority=account,
                )
                await books.save_allocation(user, allocation)


def condor(number: int) -> Strategy:
    def leg(leg_id: str, side: Side, type_: ContractType, offset: int) -> LegSpec:
        return LegSpec(id=leg_id, side=side, type=type_, strike=Strike(rule=StrikeRule.ATM, offset=offset))

    legs = (
        leg("1", Side.SELL, ContractType.CE, 2 + number),
        leg("2", Side.SELL, ContractType.PE, 2 + number),
        leg("3", Side.BUY, ContractType.CE, 6 + number),
        leg("4", Side.BUY, ContractType.PE, 6 + number),
    )
    schedule = Schedule(entry=BOUNDARY.time(), exit=datetime(2026, 11, 19, 15, 15, tzinfo=IST).time())
    return Strategy(
        id=f"condor-{number}", basket_id="b", name=f"condor {number}", underlying="NIFTY", schedule=schedule, legs=legs
    )


class _Still:
    """A market that does not move in these seconds, so that every order fills at once and none is chased."""

    def __init__(self, known: Snapshot) -> None:
        self._known = known

    async def snapshot(self, at: datetime) -> Snapshot:
        return self._known

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        return None


@dataclass(slots=True)
class _Watched:
    """A table that notes when each commit was done."""

    table: Table
    clock: Clock
    commits: list[tuple[datetime, Sequence[Write]]] = field(default_factory=list)

    async def commit(self, writes: Sequence[Write]) -> None:
        await self.table.commit(writes)
        self.commits.append((self.clock.now(), writes))

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        return await self.table.get(table, pk, sk)

    async def query(self, table: TableName, pk: str, **how: Any) -> Page:
        return await self.table.query(table, pk, **how)

    async def close(self) -> None:
        await self.table.close()
