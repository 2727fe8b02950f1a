"""What a piece of work asks of DynamoDB, in its units, and how much CPU it takes: by who is at work.

Units are counted as the developer guide says they are consumed, from the sizes ``store.limits`` counts. An item that
leaves an index, or moves in it, is written there once more.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Generator, Iterable, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from option_baskets.ports import Delete, Index, Item, Page, Put, Table, TableName, Write
from option_baskets.store.limits import key_of, size_of

WHO: ContextVar[str] = ContextVar("who", default="nobody")
"""The function that is at work in this task."""


@dataclass
class Work:
    """What one function did."""

    reads: float = 0.0
    """Read request units."""
    writes: float = 0.0
    """Write request units, of tables and indexes together."""
    requests: int = 0
    cpu: float = 0.0
    """Seconds, without what the table itself took."""
    waited: float = 0.0
    """Seconds of market time in invocations."""
    invocations: int = 0
    records: int = 0
    """Items written that a stream brings to the live function."""
    by_table: Counter[str] = field(default_factory=Counter)
    """Write units of each table, and of each index by the first part of its partition key."""


class Meter:
    """A Table that counts. It knows every item as it was last written."""

    def __init__(self, table: Table, work: defaultdict[str, Work]) -> None:
        self._table = table
        self._work = work
        self.items: dict[tuple[TableName, str, str], Item] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        item: Item | None = await self._unpaid(self._table.get(table, pk, sk))
        self._read([item] if item else [], 1.0)
        return item

    async def query(self, table: TableName, pk: str, *, index: Index = Index.PRIMARY, **how: Any) -> Page:
        page: Page = await self._unpaid(self._table.query(table, pk, index=index, **how))
        self._read(page.items, 1.0 if index is Index.PRIMARY else 0.5)
        return page

    async def commit(self, writes: Sequence[Write]) -> None:
        await self._unpaid(self._table.commit(writes))
        work = self._work[WHO.get()]
        work.requests += 1
        for write in writes:
            self._write(write, work)

    def size(self, table: TableName) -> int:
        """Bytes of all items that are there."""
        return sum(size_of(item) for (where, _, _), item in self.items.items() if where is table)

    async def _unpaid(self, work: Coroutine[Any, Any, Any]) -> Any:
        """SQLite's time is not the function's: there it waits for DynamoDB."""
        before = time.thread_time()
        try:
            return await work
        finally:
            self._work[WHO.get()].cpu -= time.thread_time() - before

    def _read(self, items: Iterable[Item], price: float) -> None:
        work = self._work[WHO.get()]
        work.requests += 1
        work.reads += price * max(1, ceil(sum(map(size_of, items)) / 4096))

    def _write(self, write: Write, work: Work) -> None:
        key = (write.table, *key_of(write))
        before = self.items.pop(key, None)
        after = write.item if isinstance(write, Put) else None
        if after is not None:
            self.items[key] = after
        units = 2 * max(_kilobytes(before), _kilobytes(after), 1)
        work.by_table[str(write.table)] += units
        for name in ("gsi1", "gsi2"):
            for partition, more in _indexed(before, after, name):
                work.by_table[f"{write.table} {name} {partition.partition('#')[0]}"] += more
                units += more
        work.writes += units
        work.records += _is_streamed(write)


def _indexed(before: Item | None, after: Item | None, name: str) -> Iterable[tuple[str, int]]:
    """(partition, units) of what a write changes in an index: one write where the key stays, else one each."""
    old, new = getattr(before, name, None), getattr(after, name, None)
    if old is not None and old == new:
        yield old[0], max(_kilobytes(before), _kilobytes(after))
        return
    if old is not None:
        yield old[0], _kilobytes(before)
    if new is not None:
        yield new[0], _kilobytes(after)


def _kilobytes(item: Item | None) -> int:
    return ceil(size_of(item) / 1024) if item is not None else 0


def _is_streamed(write: Write) -> bool:
    """As the template filters: all of the history, and runs and ticks of the configurations."""
    if isinstance(write, Delete):
        return False
    if write.table is TableName.HISTORY:
        return True
    return write.table is TableName.CONFIGURATIONS and (
        write.item.sk.startswith("RUN#") or write.item.pk.startswith("TICKS#")
    )


class _Timed(Coroutine[Any, Any, Any]):
    """A coroutine whose steps are timed for whoever is at work in its task."""

    def __init__(self, work: defaultdict[str, Work], inner: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._inner = inner

    def send(self, value: Any) -> Any:
        before = time.thread_time()
        try:
            return self._inner.send(value)
        finally:
            self._work[WHO.get()].cpu += time.thread_time() - before

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


def time_tasks(loop: asyncio.AbstractEventLoop, work: defaultdict[str, Work]) -> None:
    """Have every task that is made from now on timed."""

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None, **how: Any
    ) -> asyncio.Task[Any]:
        return asyncio.Task(_Timed(work, coroutine), loop=loop, context=context, **how)

    loop.set_task_factory(make)
