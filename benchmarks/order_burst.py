"""8,000 orders due at one minute: from the boundary to the last one accepted by the paper exchange and journaled.

500 users, 2 accounts each, 2 iron condors on both: 8 orders an account, hedges first, 10 calls a second an account of
which 3 are kept for exits, so the eighth order of every account has to wait for the next calendar second. Both books are
files with fsync. Beside it the limit: the same bytes committed to two files by bare sqlite3.
"""

import asyncio
import contextlib
import gc
import resource
import sqlite3
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.clock import RealClock
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
from option_baskets.domain.order import OrderState
from option_baskets.domain.session import IST, session_on
from option_baskets.engine.rates import Rate
from option_baskets.wiring import PAPER_FILE, TRADING_FILE, Embedded, Market

USERS = 500
ACCOUNTS = 2
STRATEGIES = 2
LEGS = 4
ORDERS = USERS * ACCOUNTS * STRATEGIES * LEGS
DAY = date(2026, 11, 19)
BOUNDARY = datetime(2026, 11, 19, 9, 20, tzinfo=IST)
LEAD = timedelta(seconds=8)
"""How long before the boundary the process starts; the missed triggers claim the runs in this time."""


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


async def fill_books(machine: Embedded) -> None:
    books = machine.books
    for number in range(USERS):
        user = f"user-{number:04d}"
        await books.save_basket(user, Basket(id="b", name="Burst", capital=Decimal(1_000_000)))
        for account in range(ACCOUNTS):
            await books.save_account(user, BrokerAccount(id=f"account-{account}"))
        for strategy in range(STRATEGIES):
            await books.save_strategy(user, condor(strategy))
            for account in range(ACCOUNTS):
                allocation = Allocation(
                    id=f"condor-{strategy}.account-{account}",
                    strategy_id=f"condor-{strategy}",
                    account=f"account-{account}",
                    units=1,
                    priority=account,
                )
                await books.save_allocation(user, allocation)


async def burst(folder: Path) -> dict[str, float]:
    facts = load()
    session = session_on(facts, DAY)
    assert session is not None
    feed = SimulatedFeed(facts, seed=7)
    await feed.snapshot(BOUNDARY)
    market = Market(feed=feed, fills=QuotedFills(depth=None, top_lots=10_000), is_trading=lambda _, at: session.is_trading(at))
    loading = Embedded(data=folder, market=market, clock=RealClock(), facts=facts, rate=Rate(), durable=False)
    await fill_books(loading)
    await loading.close()

    clock = RealClock(1.0, BOUNDARY - LEAD)
    machine = Embedded(data=folder, market=market, clock=clock, facts=facts, rate=Rate())
    day = await machine.trading_day()
    running = asyncio.create_task(day.run(session))
    orders = day.trading.desk.orders
    gc.collect()
    gc.freeze()
    await clock.sleep_until(BOUNDARY - timedelta(seconds=0.5))
    claimed = len(day.trading.runs.all())
    cpu = time.process_time()
    seen: dict[str, float] = {"runs claimed before the boundary": float(claimed)}
    marks = {"first 1,000 accepted": 1_000, "half accepted": ORDERS // 2, "7 of 8 accepted": ORDERS * 7 // 8, "all accepted": ORDERS}
    while marks and clock.now() < BOUNDARY + timedelta(seconds=20):
        await asyncio.sleep(0.02)
        done = sum(order.state is OrderState.FILLED for order in orders.values())
        for name in [name for name, count in marks.items() if done >= count]:
            seen[name] = (clock.now() - BOUNDARY).total_seconds()
            del marks[name]
    seen["CPU of the process, all threads"] = time.process_time() - cpu
    seen["orders accepted"] = float(sum(order.state is OrderState.FILLED for order in orders.values()))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await machine.close()
    return seen


def limit(folder: Path) -> float:
    """The rows both books have, committed by bare sqlite3 in groups of 500 with fsync."""
    seconds = 0.0
    for name in (TRADING_FILE, PAPER_FILE):
        source = sqlite3.connect(folder / name)
        target = sqlite3.connect(folder / f"limit-{name}", isolation_level=None)
        target.execute("PRAGMA journal_mode=WAL")
        target.execute("PRAGMA synchronous=FULL")
        for table, ddl in source.execute("SELECT name, sql FROM sqlite_master WHERE type='table' AND sql IS NOT NULL"):
            rows = source.execute(f"SELECT * FROM '{table}'").fetchall()
            if table.startswith("sqlite_") or not rows:
                continue
            target.execute(ddl)
            insert = f"INSERT INTO '{table}' VALUES ({','.join('?' * len(rows[0]))})"
            started = time.perf_counter()
            for first in range(0, len(rows), 500):
                target.execute("BEGIN IMMEDIATE")
                target.executemany(insert, rows[first : first + 500])
                target.execute("COMMIT")
            seconds += time.perf_counter() - started
    return seconds


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="baskets-burst-") as folder:
        seen = asyncio.run(burst(Path(folder)))
        bare = limit(Path(folder))
    table = Table(title=f"{ORDERS:,} orders at one minute ({USERS} users x {ACCOUNTS} accounts)")
    table.add_column("what")
    table.add_column("", justify="right")
    for name, value in seen.items():
        table.add_row(name, f"{value:,.3f} s" if "accepted" in name and name != "orders accepted" or "CPU" in name else f"{value:,.0f}")
    table.add_row("limit: the same rows by bare sqlite3", f"{bare:,.3f} s")
    if "all accepted" in seen:
        table.add_row("ratio to the limit", f"{seen['all accepted'] / bare:,.1f}")
    table.add_row("goal, of which 1.0 s is the rate limit's", "1.500 s")
    table.add_row("peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
