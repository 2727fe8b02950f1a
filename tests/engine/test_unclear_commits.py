"""A table that does not say whether it wrote: the day is the same, whatever became of each commit."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Conflict, Unavailable, Unclear
from option_baskets.engine.report import as_json
from option_baskets.ports import Item, Put, TableName, Write
from option_baskets.store.unclear import commit_surely
from option_baskets.wiring import Embedded
from tests.engine.test_store_failure import STOPPED, THREE, assert_flat_and_nothing_doubled
from tests.engine.tiny_day import Played, instant, play_day, record


class Mumbling:
    """A table of whose commits so many are written and not confirmed, or neither, as the seed has it."""

    def __init__(self, table: Any, seed: int, *, written: float = 0.4, lost: float = 0.1) -> None:
        self._table = table
        self._random = random.Random(seed)
        self._written = written
        self._lost = lost
        self.unclear = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        draw = self._random.random()
        if draw < self._written + self._lost:
            self.unclear += 1
            if draw < self._written:
                await self._table.commit(writes)
            raise Unclear("nobody knows")
        await self._table.commit(writes)


class Silent(Mumbling):
    """The same, and what it wrote cannot be read."""

    async def get(self, *given: Any) -> Item | None:
        raise Unavailable("no answer")


def play(days: Path, data: Path, wrap: Any = None) -> tuple[Played, Any]:
    tables: list[Any] = []

    async def begin(machine: Embedded) -> None:
        if wrap is not None:
            tables.append(wrap(machine.table.table))
            machine.table.table = tables[0]

    played = play_day(days, data, THREE, acts=[begin])
    return played, tables[0] if tables else None


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), STOPPED)


def test_a_day_of_unclear_commits_is_the_day_without_them(days: Path, tmp_path: Path) -> None:
    whole, _ = play(days, tmp_path / "whole")
    for seed in range(2):
        played, table = play(days, tmp_path / str(seed), lambda table, seed=seed: Mumbling(table, seed))
        assert table.unclear > 50
        assert_flat_and_nothing_doubled(played)
        assert json.dumps(as_json([played.day])) == json.dumps(as_json([whole.day]))


@pytest.fixture
async def table(tmp_path: Path) -> SqliteTable:
    return SqliteTable.open(tmp_path / "table.db", now=lambda: instant("09:15"), threaded=False, durable=False)


def put(version: int, body: bytes = b"{}") -> Put:
    item = Item(pk="u", sk="a", body=body, version=version)
    return Put(table=TableName.HISTORY, item=item, expected=version - 1)


async def test_what_was_written_is_seen_and_not_taken_for_a_conflict(table: SqliteTable) -> None:
    await commit_surely(Mumbling(table, 1, written=1, lost=0), [put(1)])
    await commit_surely(table, [put(2)])


async def test_what_was_not_written_is_written_and_after_three_times_in_vain_still_unclear(table: SqliteTable) -> None:
    with pytest.raises(Unclear):
        await commit_surely(Mumbling(table, 1, written=0, lost=1), [put(1)])
    assert await table.get(TableName.HISTORY, "u", "a") is None


class Once(Mumbling):
    """Only the first commit is unclear, and not written."""

    async def commit(self, writes: Sequence[Write]) -> None:
        self._lost = float(self.unclear == 0)
        await super().commit(writes)


async def test_a_conflict_with_somebody_else_stays_one(table: SqliteTable) -> None:
    await table.commit([put(1, b"theirs")])
    with pytest.raises(Conflict):
        await commit_surely(Once(table, 1, written=0), [put(1, b"ours")])
    item = await table.get(TableName.HISTORY, "u", "a")
    assert item is not None
    assert item.body == b"theirs"


async def test_where_nothing_can_be_read_either_it_is_unclear_and_not_written_twice(table: SqliteTable) -> None:
    silent = Silent(table, 1, written=1, lost=0)
    with pytest.raises(Unclear):
        await commit_surely(silent, [put(1)])
    assert silent.unclear == 1
