"""The embedded engine with indexes that lag behind, as those of DynamoDB may."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.ports import Index, Item, Page, TableName, Write


class LaggingTable:
    """What is read by primary key is as it is now; what is read by an index is as it was ``lag`` ago.

    The indexes are those of a second file, which commits reach late. Opened on tables that already hold something, as
    after a restart, the indexes still show what they showed when they were left, for ``lag`` longer.
    """

    def __init__(self, table: SqliteTable, now: Callable[[], datetime], lag: timedelta) -> None:
        self.table = table
        self.lag = lag
        self._now = now
        behind = Path(f"{table.file.path}.behind")
        is_restart = behind.exists()
        self._behind = SqliteTable.open(behind, now=now, threaded=False, durable=False)
        self._waiting: list[tuple[datetime, Sequence[Write] | None]] = [(now(), None)] if is_restart else []
        """What the indexes have not seen yet; None stands for all that was in the tables then."""

    @property
    def requests(self) -> Any:
        return self.table.requests

    async def purge(self) -> int:
        return await self.table.purge()

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        return await self.table.get(table, pk, sk)

    async def query(self, table: TableName, pk: str, *, index: Index = Index.PRIMARY, **how: Any) -> Page:
        if index is Index.PRIMARY:
            return await self.table.query(table, pk, index=index, **how)
        self.table.requests["query", index] += 1
        await self.catch_up(self._now() - self.lag)
        return await self._behind.query(table, pk, index=index, **how)

    async def commit(self, writes: Sequence[Write]) -> None:
        await self.catch_up(self._now() - self.lag)
        await self.table.commit(writes)
        self._waiting.append((self._now(), writes))

    async def catch_up(self, until: datetime | None = None) -> None:
        """Show in the indexes what was committed up to ``until``; everything, if not given."""
        while self._waiting and (until is None or self._waiting[0][0] <= until):
            _, writes = self._waiting.pop(0)
            if writes is None:
                self._copy()
            else:
                await self._behind.commit([replace(write, expected=None) for write in writes])

    def _copy(self) -> None:
        self._waiting.clear()
        with (
            closing(sqlite3.connect(self.table.file.path)) as source,
            closing(sqlite3.connect(self._behind.file.path)) as target,
        ):
            source.backup(target)

    async def close(self) -> None:
        await self.table.close()
        await self._behind.close()
