"""Finding what is due: the naive way beside ours, and 50,000 strategies of one minute, on both engines.

Naive: a query for a user's strategies, then for each its basket, itself, its legs and its allocations. Ours: a query of
the minute's partition. DynamoDB is ministack here, an emulator in one Python process on the same machine: its times say
nothing of AWS. Read units are what DynamoDB charges for the items read: 1 for every 4 KB by key, half by an index.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from datetime import time as moment
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.contract.engines import Engine, missing, opened, started
from tests.engine.plans import DAY, run

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, LegSpec, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.session import IST
from option_baskets.ports import Index, Item, Page, Put, TableName, Write
from option_baskets.ports import Table as TablePort
from option_baskets.store import codec
from option_baskets.store.books import Books, Plan
from option_baskets.store.limits import size_of

CONFIGURATIONS = TableName.CONFIGURATIONS
NOW = datetime(2026, 11, 24, 3, 45, tzinfo=UTC)
ENTRY, EXIT = moment(9, 20), moment(15, 15)
TRIGGERS = 78
"""A day's look-aheads, one in five minutes."""
USERS, EACH, SHARDS = 10_000, 5, 16
LEGS = "NAIVE_LEG#"


class Meter:
    """A table that counts requests and the read units DynamoDB charges: whole 4 KB, an index half."""

    def __init__(self, table: TablePort) -> None:
        self._table = table
        self.requests = 0
        self.units = 0.0

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        item = await self._table.get(table, pk, sk)
        self._count([item] if item else [], 1.0)
        return item

    async def query(self, table: TableName, pk: str, *, index: Index = Index.PRIMARY, **how: Any) -> Page:
        page = await self._table.query(table, pk, index=index, **how)
        self._count(page.items, 1.0 if index is Index.PRIMARY else 0.5)
        return page

    async def commit(self, writes: Sequence[Write]) -> None:
        await self._table.commit(writes)

    async def close(self) -> None:
        await self._table.close()

    def _count(self, items: Iterable[Item], price: float) -> None:
        self.requests += 1
        self.units += price * max(1, ceil(sum(map(size_of, items)) / 4096))


@dataclass(frozen=True)
class Figure:
    requests: int
    units: float
    seconds: float
    found: int


def strategy(number: int, basket: str = "b0") -> Strategy:
    legs = tuple(
        LegSpec(id=str(n), side=side, type=type_, strike=Strike(rule=StrikeRule.ATM, offset=offset))
        for n, (side, type_, offset) in enumerate(
            [
                (Side.SELL, ContractType.CE, 2),
                (Side.SELL, ContractType.PE, 2),
                (Side.BUY, ContractType.CE, 6),
                (Side.BUY, ContractType.PE, 6),
            ]
        )
    )
    schedule = Schedule(entry=ENTRY, exit=EXIT)
    name = f"s{number:03}"
    return Strategy(id=name, basket_id=basket, name=name, underlying="NIFTY", schedule=schedule, legs=legs)


def allocation(of: Strategy, account: str) -> Allocation:
    return Allocation(id=f"{of.id}.{account}", strategy_id=of.id, account=account, units=1)


async def measured(table: TablePort, work: Callable[[Meter], Awaitable[int]]) -> Figure:
    meter = Meter(table)
    started_at = time.perf_counter()
    found = await work(meter)
    return Figure(meter.requests, meter.units, time.perf_counter() - started_at, found)


# ---------------------------------------------------------------- one user, a hundred strategies


async def save_user(table: TablePort) -> None:
    books = Books(table)
    for number in range(100):
        home = f"b{number // 10}"
        if number % 10 == 0:
            await books.save_basket("asha", Basket(id=home, name=home, capital=Decimal(500_000)))
        await books.save_strategy("asha", strategy(number, home))
        for account in ("zerodha-1", "angel-1"):
            await books.save_allocation("asha", allocation(strategy(number), account))
        legs = [
            Item(pk="asha", sk=f"{LEGS}s{number:03}#{leg.id}", body=codec.encode(leg)) for leg in strategy(number).legs
        ]
        await table.commit([Put(table=CONFIGURATIONS, item=item) for item in legs])
    for plan in await books.strategies("asha"):
        await books.claim(run("asha", plan))


async def naive(meter: Meter) -> int:
    books = Books(meter)
    found = 0
    for listed in await books.strategies("asha"):
        basket = await books.basket("asha", listed.basket_id)
        plan = await books.plan("asha", listed.id)
        legs = await meter.query(CONFIGURATIONS, "asha", begins_with=f"{LEGS}{listed.id}#")
        allocations = await books.allocations("asha", listed.id)
        assert basket and plan and len(legs.items) == 4 and len(allocations) == 2
        found += plan.strategy.schedule.entry == ENTRY
    return found


async def once(meter: Meter) -> int:
    return len(await Books(meter).due(ENTRY))


async def day(meter: Meter) -> int:
    """All look-aheads of a day: registers, and the minutes that are in them."""
    books = Books(meter)
    opening = datetime.combine(DAY, moment(9, 0), IST)
    found = 0
    for trigger in (opening + timedelta(minutes=5 * number) for number in range(TRIGGERS)):
        entries, exits = await books.occupied_entry_minutes(), await books.occupied_exit_minutes(DAY)
        for minute in (trigger + timedelta(minutes=ahead) for ahead in range(1, 6)):
            if minute.time() in entries:
                found += len(await books.due(minute.time()))
            if minute.time() in exits:
                found += len(await books.due_exits(minute))
    return found


# ---------------------------------------------------------------- one minute, fifty thousand strategies


async def fill_minute(table: TablePort, users: int) -> None:
    """As ``save_strategy`` and ``save_allocation`` write it, without the reads by which they guard an edit."""
    books = Books(table, shards=SHARDS)
    basket = Basket(id="b0", name="b0", capital=Decimal(500_000), version=1)
    writes: list[Write] = []
    limit = asyncio.Semaphore(4)

    async def commit(some: Sequence[Write]) -> None:
        async with limit:
            await table.commit(some)

    for number in range(users):
        user = f"user-{number:05}"
        for each in range(EACH):
            plan = Plan(strategy=replace(strategy(each), version=1), basket=basket)
            writes.append(books._put_strategy(user, plan, expected=0))
            mine = replace(allocation(plan.strategy, "zerodha-1"), version=1)
            writes.append(books._put_allocation(user, plan.strategy, mine, expected=0))
    await asyncio.gather(*(commit(writes[first : first + 100]) for first in range(0, len(writes), 100)))


async def minute(meter: Meter) -> int:
    return len(await Books(meter, shards=SHARDS).due(ENTRY))


# ---------------------------------------------------------------- both engines


async def engines(folder: Path, engine: Engine | None) -> dict[str, dict[str, Figure]]:
    found: dict[str, dict[str, Figure]] = {}
    for name in ("SQLite", *(["ministack"] if engine else [])):
        figures = found[name] = {}
        for part in ("user", "minute"):
            home = folder / f"{name[:6]}-{part}"
            home.mkdir()
            table: TablePort
            if name == "SQLite":
                table = SqliteTable.open(home / "table.db", now=lambda: NOW, durable=False)
            else:
                assert engine is not None
                table = await opened(engine, home, lambda: NOW)
            if part == "user":
                await save_user(table)
                figures["naive, once"] = await measured(table, naive)
                figures["ours, once"] = await measured(table, once)
                figures["ours, a whole day"] = await measured(table, day)
            else:
                await fill_minute(table, USERS)
                figures["one minute"] = await measured(table, minute)
            await table.close()
    return found


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baskets-discovery-")))
        engine = None if missing() else stack.enter_context(started(folder))
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        found = asyncio.run(engines(folder, engine))
    console = Console()
    console.print(
        _table(
            f"100 strategies of one user ({TRIGGERS} look-aheads a day)",
            found,
            ["naive, once", "ours, once", "ours, a whole day"],
        )
    )
    console.print(
        _table(f"{USERS:,} users x {EACH} strategies due at {ENTRY:%H:%M}, {SHARDS} shards", found, ["one minute"])
    )
    if engine is None:
        console.print(missing())


def _table(title: str, found: dict[str, dict[str, Figure]], rows: Sequence[str]) -> Table:
    table = Table(title=title)  # "found" of a whole day are entries and exits
    table.add_column("what")
    table.add_column("engine")
    for column in ("requests", "units", "seconds", "found", "found/s"):
        table.add_column(column, justify="right")
    for row in rows:
        for engine, figures in found.items():
            each = figures[row]
            table.add_row(
                row,
                engine,
                f"{each.requests:,}",
                f"{each.units:,.1f}",
                f"{each.seconds:,.3f}",
                f"{each.found:,}",
                f"{each.found / each.seconds:,.0f}",
            )
    return table


if __name__ == "__main__":
    main()
