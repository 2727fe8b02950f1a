"""The Table port over one SQLite file: an ordered table per TableName, both indexes, conditions checked in SQL."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from sqlite3 import Connection
from typing import Self, TypeVar

from option_baskets.adapters.changes import Follower, nobody
from option_baskets.adapters.embedded.sqlite import Row, SqliteFile
from option_baskets.adapters.embedded.statements import (
    MIGRATIONS,
    SCHEMA,
    bounds,
    cursor_after,
    delete_sql,
    get_sql,
    name_of,
    place,
    put_sql,
    query_sql,
)
from option_baskets.domain.errors import Conflict
from option_baskets.ports import Delete, Index, Item, Page, Put, TableName, Write
from option_baskets.store.limits import key_of, require_key, require_page, require_writable

T = TypeVar("T")

VERSION = 2

_LARGE = (256, 128, 64)
_SMALL = 32
"""Rows go to SQLite many in a statement, which runs without the interpreter: a writer that had to take it back for
every row would wait for the busy event loop as often. Statements have a large size, or any size up to the small."""


class SqliteTable:
    """Both tables in one file, so that one transaction can write to both.

    Args:
        file: opened with ``SCHEMA`` and ``VERSION``; ``SqliteTable.open`` does it.
        now: the time that items expire by.
        committed: told of every commit that is durable.
    """

    def __init__(self, file: SqliteFile, *, now: Callable[[], datetime], committed: Follower = nobody) -> None:
        self.file = file
        self._committed = committed
        self.requests: Counter[tuple[str, Index | None]] = Counter()
        """How often each operation was asked for, by (``get``, ``query`` or ``commit``, index of a query)."""
        self._now = now

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        now: Callable[[], datetime],
        threaded: bool = True,
        durable: bool = True,
        committed: Follower = nobody,
    ) -> Self:
        """Open or create the file (see ``SqliteFile``)."""
        file = SqliteFile.open(
            path, schema=SCHEMA, version=VERSION, migrations=MIGRATIONS, threaded=threaded, durable=durable
        )
        return cls(file, now=now, committed=committed)

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        require_key(pk, sk)
        self.requests["get", None] += 1
        rows = self.file.read(get_sql(table), (pk, sk, self._seconds()))
        return _item(rows[0]) if rows else None

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
        require_page(pk, begins_with, between, limit)
        self.requests["query", index] += 1
        low, high = bounds(begins_with, between)
        parameters: list[object] = [pk, low, high, self._seconds()]
        if cursor is not None:
            parameters += place(cursor, index)
        rows = self.file.read(query_sql(table, index, descending, cursor is not None), (*parameters, limit + 1))
        page = rows[:limit]
        more = len(rows) > limit
        return Page(items=tuple(map(_item, page)), cursor=cursor_after(page[-1], index) if more else None)

    async def commit(self, writes: Sequence[Write]) -> None:
        self.requests["commit", None] += 1
        require_writable(writes)
        if writes:
            await self.file.together(self._apply, writes, self._committed)

    async def purge(self) -> int:
        """Delete what has expired, and return how many items that were. Reads hide them anyway."""
        seconds = self._seconds()
        statements = [f"DELETE FROM {name_of(table)} WHERE expires_at <= ?" for table in TableName]
        return await self.file.write(
            lambda connection: sum(connection.execute(sql, (seconds,)).rowcount for sql in statements)
        )

    async def close(self) -> None:
        await self.file.close()

    def _seconds(self) -> float:
        return self._now().timestamp()

    def _apply(self, connection: Connection, commits: Sequence[Sequence[Write]]) -> list[Conflict | None]:
        """Try the commits as one; where a condition fails undo that, and try each half, until the culprit is alone."""
        connection.execute("SAVEPOINT commits")
        everything = commits[0] if len(commits) == 1 else list(chain.from_iterable(commits))
        held = _write(connection, everything, self._seconds())
        if held:
            connection.execute("RELEASE commits")
            return [None] * len(commits)
        connection.execute("ROLLBACK TO commits")
        connection.execute("RELEASE commits")
        if len(commits) == 1:
            return [self._conflict(connection, commits[0])]
        middle = len(commits) // 2
        return self._apply(connection, commits[:middle]) + self._apply(connection, commits[middle:])

    def _conflict(self, connection: Connection, writes: Sequence[Write]) -> Conflict:
        """Which expectation failed."""
        for write in writes:
            pk, sk = key_of(write)
            rows = connection.execute(get_sql(write.table), (pk, sk, self._seconds())).fetchall()
            found = _item(rows[0]).version if rows else 0
            if write.expected is not None and write.expected != found:
                there = f"version {found}" if found else "nothing"
                wanted = f"version {write.expected}" if write.expected else "nothing"
                return Conflict(f"{write.table} {pk} {sk}: expected {wanted}, found {there}; nothing was written")
        return Conflict(f"a condition of a commit of {len(writes)} writes did not hold; nothing was written")


def _write(connection: Connection, writes: Sequence[Write], seconds: float) -> bool:
    """Write in order; False as soon as a condition does not hold, with part of it written."""
    waiting: dict[TableName, dict[tuple[str, str], Write]] = {table: {} for table in TableName}
    for write in writes:
        mine = waiting[write.table]
        key = key_of(write)
        if key in mine:  # one statement sees the table as it was before, so a key comes once in it
            if not _flush(connection, write.table, mine.values(), seconds):
                return False
            mine.clear()
        mine[key] = write
    return all(_flush(connection, table, mine.values(), seconds) for table, mine in waiting.items() if mine)


def _flush(connection: Connection, table: TableName, writes: Iterable[Write], seconds: float) -> bool:
    """Write in any order what concerns different keys; False if a condition did not hold."""
    puts: list[Put] = []
    deletes: list[tuple[str, str]] = []
    for write in writes:
        if isinstance(write, Put):
            puts.append(write)
        elif write.expected is None:
            deletes.append((write.pk, write.sk))
        elif not _delete_expected(connection, write, seconds):
            return False
    for some in _statements(deletes):
        connection.execute(delete_sql(table, len(some)), list(chain.from_iterable(some)))
    for batch in _statements(puts):
        parameters: list[object] = []
        for put in batch:
            item = put.item
            parameters += (item.pk, item.sk, item.version, item.body)
            parameters += item.gsi1 or _NO_KEY
            parameters += item.gsi2 or _NO_KEY
            parameters += (item.expires_at, put.expected)
        parameters.append(seconds)
        if connection.execute(put_sql(table, len(batch)), parameters).rowcount != len(batch):
            return False
    return True


_NO_KEY = (None, None)


def _delete_expected(connection: Connection, write: Delete, seconds: float) -> bool:
    rows = connection.execute(get_sql(write.table), (write.pk, write.sk, seconds)).fetchall()
    found = _item(rows[0]).version if rows else 0
    connection.execute(delete_sql(write.table, 1), (write.pk, write.sk))
    return found == write.expected


def _statements(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """The rows cut to the sizes statements have."""
    start = 0
    while start < len(rows):
        left = len(rows) - start
        size = next((large for large in _LARGE if large <= left), min(left, _SMALL))
        yield rows[start : start + size]
        start += size


def _item(row: Row) -> Item:
    pk, sk, version, body, gsi1pk, gsi1sk, gsi2pk, gsi2sk, expires_at = row[:9]
    return Item(
        pk=pk,
        sk=sk,
        version=version,
        body=body,
        gsi1=None if gsi1pk is None else (gsi1pk, gsi1sk),
        gsi2=None if gsi2pk is None else (gsi2pk, gsi2sk),
        expires_at=expires_at,
    )
