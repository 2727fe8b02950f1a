"""Commits a second with fsync, by one writer and by 32 at once, beside bare sqlite3 writing the same rows.

The limit is a loop in one thread without an event loop: the same table, indexes and settings, the same rows, as many
rows in a transaction as there are writers, one fsync a transaction. Both are measured in turns; the median counts.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from option_baskets.adapters.embedded.sqlite import CHECKPOINT_PAGES
from option_baskets.adapters.embedded.statements import SCHEMA
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.ports import Item, Put, TableName

WRITERS = (1, 32)
TURNS = 5
SECONDS = 1.0
"""About how long one turn takes."""
GOAL = 0.5
NOW = datetime(2026, 11, 24, tzinfo=UTC)
BODY = b"x" * 700
"""As long as an order."""


def order(turn: int, number: int) -> Item:
    name = f"{turn}-{number:07d}"
    return Item(
        pk=f"user-{number % 500:04d}",
        sk=f"2026-11-24T03:50:00.{number:06d}Z#straddle#ORDER#{name}",
        body=BODY,
        gsi1=(f"user-{number % 500:04d}#2026-11-24#straddle#0", f"ORDER#{name}"),
        gsi2=(f"user-{number % 500:04d}#INTENT#{name}", "ORDER"),
    )


async def ours(table: SqliteTable, items: Sequence[Item], writers: int) -> float:
    """Seconds to commit every item on its own, as new, ``writers`` at a time."""
    left = iter(items)

    async def writer() -> None:
        for item in left:
            await table.commit([Put(table=TableName.HISTORY, item=item, expected=0)])

    started = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(writers)))
    return time.perf_counter() - started


def bare(connection: sqlite3.Connection, items: Sequence[Item], together: int) -> float:
    insert = "INSERT INTO execution_history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    started = time.perf_counter()
    for first in range(0, len(items), together):
        connection.execute("BEGIN IMMEDIATE")
        for item in items[first : first + together]:
            assert item.gsi1 is not None and item.gsi2 is not None
            row = (item.pk, item.sk, item.version, item.body, *item.gsi1, *item.gsi2, item.expires_at)
            connection.execute(insert, row)
        connection.execute("COMMIT")
    return time.perf_counter() - started


async def measure(folder: Path) -> list[tuple[int, list[float], list[float]]]:
    """(writers, our commits a second, rows a second of bare sqlite3) of each turn."""
    found = []
    for writers in WRITERS:
        table = SqliteTable.open(folder / f"ours-{writers}.db", now=lambda: NOW)
        with closing(sqlite3.connect(folder / f"bare-{writers}.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.executescript(SCHEMA)
            trial = [order(0, number) for number in range(64 * writers)]
            count = max(64, int(SECONDS * len(trial) / bare(connection, trial, writers)))
            await ours(table, trial, writers)
            mine, limit = [], []
            for turn in range(1, TURNS + 1):
                items = [order(turn, number) for number in range(count)]
                limit.append(count / bare(connection, items, writers))
                mine.append(count / await ours(table, items, writers))
        await table.close()
        found.append((writers, mine, limit))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="baskets-commits-") as folder:
        found = asyncio.run(measure(Path(folder)))
    table = Table(title=f"Commits with fsync, a second, median of {TURNS} turns")
    for column in ("writers", "ours", "bare sqlite3", "ratio", f"goal {GOAL:.0%}"):
        table.add_column(column, justify="right")
    for writers, mine, limit in found:
        ratio = statistics.median(mine) / statistics.median(limit)
        table.add_row(
            str(writers),
            f"{statistics.median(mine):,.0f}",
            f"{statistics.median(limit):,.0f}",
            f"{ratio:.0%}",
            "met" if ratio >= GOAL else "missed",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
