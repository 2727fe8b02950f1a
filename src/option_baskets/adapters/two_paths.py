"""A table with a second path: while it cannot be written, commits go to a file, and are merged once it can be again."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from option_baskets.adapters.changes import Follower, nobody
from option_baskets.adapters.second_path import SecondPath
from option_baskets.domain.errors import Conflict, Halt, Unavailable, Unclear, Unwritable
from option_baskets.ports import Clock, Index, Item, Page, Put, Table, TableName, Write
from option_baskets.store import codec, keys
from option_baskets.store.health import Health
from option_baskets.store.limits import key_of, require_page, require_writable, size_of
from option_baskets.store.second_path import begins_entry
from option_baskets.store.unclear import commit_surely

LOG = logging.getLogger(__name__)

AGAIN_EVERY = timedelta(seconds=5)
"""How often it is tried whether the table can be written again."""
_WRITES_AT_ONCE = 100
_BYTES_AT_ONCE = 3 * 1024 * 1024

_Key = tuple[TableName, str, str]


class KeptTable(Table, Protocol):
    """A table that also deletes what has expired."""

    requests: Counter[tuple[str, Index | None]]

    async def purge(self) -> int: ...


class TwoPathTable:
    """The Table port. What the file holds is read over the table, so nobody sees that it is not there yet.

    Only one process may write what the engine writes (runs, orders, fills): of an item in both, the file's is the
    newer. While the table cannot be written nothing that begins an entry is taken (Unwritable). Where neither can be
    written nothing is taken any more (Halt).
    """

    def __init__(
        self, table: KeptTable, second: SecondPath, clock: Clock, health: Health, *, committed: Follower = nobody
    ) -> None:
        """``committed`` is told of what goes to the file; the table tells of what it takes itself."""
        self.table = table
        self._committed = committed
        self.second = second
        self.health = health
        self._clock = clock
        self._over: dict[_Key, Write] = {}
        self._turn = asyncio.Lock()
        self._trying: asyncio.Task[None] | None = None
        self._sealed = False
        """The disk did not confirm a write: this process leaves the table alone."""
        for writes in second.left:
            self._cover(writes)

    @property
    def requests(self) -> Counter[tuple[str, Index | None]]:
        return self.table.requests

    async def take_up(self) -> None:
        """Merge what a former process left in the file; where that cannot be done yet, go on as it did."""
        if not self._over or not self.health.is_writable:
            return
        try:
            await self._merge()
        except (Unavailable, Unclear, Halt) as error:
            self._fall_back(error)

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        over = self._over.get((table, pk, sk))
        if over is None:
            return await self.table.get(table, pk, sk)
        return over.item if isinstance(over, Put) and not self._is_expired(over.item) else None

    async def query(
        self,
        table: TableName,
        pk: str,
        *,
        index: Index = Index.PRIMARY,
        begins_with: str = "",
        between: tuple[str, str] | None = None,
        descending: bool = False,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page:
        if not self._over and not (cursor or "").startswith(_OURS):
            return await self.table.query(
                table,
                pk,
                index=index,
                begins_with=begins_with,
                between=between,
                descending=descending,
                limit=limit,
                cursor=cursor,
            )
        require_page(pk, begins_with, between, limit)
        start = int(cursor.removeprefix(_OURS)) if cursor is not None and cursor.startswith(_OURS) else 0
        if cursor is not None and not start:
            raise Unavailable("the table became unwritable amid a query; ask again from the beginning")
        found = [
            item
            async for item in self._all(table, pk, index, begins_with, between)
            if (table, item.pk, item.sk) not in self._over
        ]
        found += self._covering(table, pk, index, begins_with, between)
        found.sort(key=lambda item: (_sort(item, index).encode(), item.pk, item.sk), reverse=descending)
        end = start + limit
        return Page(items=tuple(found[start:end]), cursor=f"{_OURS}{end}" if end < len(found) else None)

    async def commit(self, writes: Sequence[Write]) -> None:
        """As the table's; Unwritable is an Unavailable: nothing was written.

        Raises:
            Halt: neither table nor file takes it.
        """
        in_doubt = False
        while True:
            if self.health.halted:
                raise Halt(self.health.halted)
            if self.health.is_writable:
                try:
                    await commit_surely(self.table, writes)
                except Unwritable:
                    raise
                except (Unavailable, Unclear, Halt) as error:
                    in_doubt = not isinstance(error, Unavailable)
                    self._fall_back(error)
                else:
                    return
            async with self._turn:
                if not self.health.is_writable:
                    require_writable(writes)
                    await self._commit_aside(writes, in_doubt)
                    return

    async def purge(self) -> int:
        """As the table's; what cannot be deleted now stays hidden."""
        if not self.health.is_writable:
            return 0
        with contextlib.suppress(Unavailable):
            return await self.table.purge()
        return 0

    async def close(self) -> None:
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        if self._over and not self._sealed and not self.health.halted:
            try:
                await self._merge()
            except (Unavailable, Unclear, Halt) as error:
                LOG.critical("%s is left to be merged at the next start: %s", self.second.path, error)
        self.second.close()
        await self.table.close()

    # ------------------------------------------------------------ the way down

    def _fall_back(self, error: Exception) -> None:
        if not self.health.is_writable:
            return
        LOG.critical(
            "the store cannot be written: %s; entries stop, exits go on and are kept in %s", error, self.second.path
        )
        self._sealed = isinstance(error, Halt)
        self.health.fail(str(error))
        if not self._sealed:
            self._trying = asyncio.create_task(self._try_again(), name="merge of the second path")

    async def _commit_aside(self, writes: Sequence[Write], in_doubt: bool) -> None:
        """Write it to the file; ``in_doubt``: the table may have it."""
        if self.health.halted:
            raise Halt(self.health.halted)
        if begins_entry(writes):
            raise Unwritable(f"nothing is entered while the store cannot be written: {self.health.cause}")
        for write in writes:
            await self._require_expected(write, in_doubt)
        try:
            self.second.append(writes, self._clock.now())
        except Unavailable as error:
            halted = (
                f"neither the store nor its second path can be written: nothing more is sent. The store: "
                f"{self.health.cause}. The second path: {error}. What is open stays open: close it with "
                "baskets kill --direct or in the broker's app, mend the disks, and start again"
            )
            LOG.critical("%s", halted)
            self.health.halt(halted)
            raise Halt(halted) from error
        self._cover(writes)
        self._committed(writes)

    async def _require_expected(self, write: Write, in_doubt: bool) -> None:
        """Raises Conflict. A table that cannot even be read has no other writer either."""
        if write.expected is None:
            return
        pk, sk = key_of(write)
        try:
            found = await self.get(write.table, pk, sk)
        except Unavailable:
            return
        version = 0 if found is None else found.version
        if version == write.expected:
            return
        if in_doubt and isinstance(write, Put) and found is not None and _equal(write.item, found):
            return
        wanted, there = (f"version {each}" if each else "nothing" for each in (write.expected, version))
        raise Conflict(f"{write.table} {pk} {sk}: expected {wanted}, found {there}; nothing was written")

    def _cover(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._over[write.table, *key_of(write)] = write

    # ------------------------------------------------------------ and back

    async def _try_again(self) -> None:
        while not self.health.is_writable and not self.health.halted:
            await self._clock.pause(AGAIN_EVERY)
            try:
                await self.table.commit(
                    [_probe(self._clock.now())]
                )  # beside the commits: a slow refusal holds up nobody
                await self._merge()
            except (Unavailable, Unclear):
                continue
            except Halt:
                self._sealed = True
                return

    async def _merge(self) -> None:
        """Write the last state of everything in the file to the table, then put the file aside.

        It may be cut off anywhere and done again: the outcome is the same.
        """
        async with self._turn:
            for batch in _batches(list(self._over.values())):
                await self.table.commit(batch)
            count = len(self._over)
            aside = self.second.put_aside(self._clock.now())
            self._over.clear()
            if aside is not None:
                LOG.warning("the store can be written: %s items were merged, their lines are kept in %s", count, aside)
            self.health.recover()

    # ------------------------------------------------------------ reading over the table

    async def _all(
        self, table: TableName, pk: str, index: Index, begins_with: str, between: tuple[str, str] | None
    ) -> AsyncIterator[Item]:
        cursor: str | None = None
        while True:
            page = await self.table.query(
                table, pk, index=index, begins_with=begins_with, between=between, cursor=cursor
            )
            for item in page.items:
                yield item
            cursor = page.cursor
            if cursor is None:
                return

    def _covering(
        self, table: TableName, pk: str, index: Index, begins_with: str, between: tuple[str, str] | None
    ) -> Iterator[Item]:
        for (name, _, _), write in self._over.items():
            if name is not table or not isinstance(write, Put) or self._is_expired(write.item):
                continue
            place = _place(write.item, index)
            if place is None or place[0] != pk or not place[1].startswith(begins_with):
                continue
            sort = place[1].encode()
            if between is None or between[0].encode() <= sort <= between[1].encode():
                yield write.item

    def _is_expired(self, item: Item) -> bool:
        return item.expires_at is not None and item.expires_at <= self._clock.now().timestamp()


_OURS = "second path "
"""Begins the cursors of pages that are read over the table."""


def _place(item: Item, index: Index) -> tuple[str, str] | None:
    match index:
        case Index.PRIMARY:
            return item.pk, item.sk
        case Index.ALLOCATIONS_BY_STRATEGY:
            return item.gsi1
        case Index.USER_EXECUTION_SCHEDULE:
            return item.gsi2


def _sort(item: Item, index: Index) -> str:
    place = _place(item, index)
    assert place is not None
    return place[1]


def _probe(now: datetime) -> Put:
    pk, sk = keys.PROBE
    return Put(table=TableName.CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(now)))


def _unconditional(write: Write) -> Write:
    return write if write.expected is None else replace(write, expected=None)


def _equal(one: Item, other: Item) -> bool:
    return (one.version, one.body) == (other.version, other.body)


def _batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """The writes without their conditions, as many together as a commit takes."""
    batch: list[Write] = []
    size = 0
    for write in writes:
        plain = _unconditional(write)
        more = size_of(plain.item) if isinstance(plain, Put) else 0
        if batch and (len(batch) == _WRITES_AT_ONCE or size + more > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(plain)
        size += more
    if batch:
        yield batch
