"""The group-commit writer: what is acknowledged is on disk, what failed left nothing, what is wrong is said."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from option_baskets.adapters.embedded import statements
from option_baskets.adapters.embedded.sqlite import SqliteFile
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Conflict, Unavailable
from option_baskets.ports import Index, Item, Put, TableName

SCHEMA = "CREATE TABLE IF NOT EXISTS entry (name TEXT PRIMARY KEY, body BLOB NOT NULL)"
Work = Callable[[sqlite3.Connection], int]


def insert(name: str, size: int = 1) -> Work:
    def work(connection: sqlite3.Connection) -> int:
        return connection.execute("INSERT INTO entry VALUES (?, ?)", (name, bytes(size))).rowcount

    return work


@pytest.fixture(params=["threaded", "inline"])
async def file(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteFile]:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1, threaded=request.param == "threaded")
    yield file
    await file.close()


def names(file: SqliteFile) -> list[str]:
    return [name for (name,) in file.read("SELECT name FROM entry ORDER BY name")]


async def test_a_write_returns_its_result_once_others_can_read_it(file: SqliteFile) -> None:
    assert await file.write(insert("a")) == 1
    with sqlite3.connect(file.path) as other:
        assert other.execute("SELECT name FROM entry").fetchall() == [("a",)]
    other.close()


async def test_a_work_that_fails_leaves_no_trace_and_stops_no_other(file: SqliteFile) -> None:
    def half_done(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO entry VALUES ('half', x'00')")
        raise Conflict("the second half does not hold")

    outcomes = await asyncio.gather(
        file.write(insert("a")),
        file.write(half_done),
        file.write(insert("a")),
        file.write(insert("b")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, Conflict, sqlite3.IntegrityError, int]
    assert names(file) == ["a", "b"]


async def test_writes_of_one_moment_share_transactions(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    commits: list[str] = []
    await file.write(lambda connection: connection.set_trace_callback(commits.append))
    await asyncio.gather(*(file.write(insert(str(number))) for number in range(200)))
    # How many join the first groups depends on the threads; without groups there would be 200.
    assert sum(statement.startswith("COMMIT") for statement in commits) < 100
    assert len(names(file)) == 200
    await file.close()


async def test_closing_finishes_what_is_pending(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    writes = [asyncio.create_task(file.write(insert(str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    await file.close()
    assert [await write for write in writes] == [1] * 20
    again = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    assert len(names(again)) == 20
    await again.close()


async def test_a_caller_that_gave_up_does_not_hold_up_the_others(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    gate = threading.Event()
    first = asyncio.create_task(file.write(lambda _: gate.wait()))
    await asyncio.sleep(0)
    hasty = asyncio.create_task(file.write(insert("hasty")))
    patient = asyncio.create_task(file.write(insert("patient")))
    await asyncio.sleep(0)
    hasty.cancel()
    gate.set()
    async with asyncio.timeout(5):
        assert (await first, await patient) == (True, 1)
    assert names(file) == ["hasty", "patient"]
    await file.close()


async def test_a_table_on_a_full_disk_writes_nothing_of_a_commit_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    small = Put(table=TableName.CONFIGURATIONS, item=Item(pk="u", sk="small", body=b"{}"))
    large = Put(table=TableName.HISTORY, item=Item(pk="u", sk="large", body=bytes(300_000)))

    now = datetime(2026, 11, 24, tzinfo=UTC)
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: now)
    await table.file.write(lambda connection: connection.execute("PRAGMA max_page_count = 30").fetchall())
    with pytest.raises(Unavailable, match="disk is full"):
        await table.commit([small, large])
    assert await table.get(TableName.CONFIGURATIONS, "u", "small") is None
    await table.file.write(lambda connection: connection.execute("PRAGMA max_page_count = 10000").fetchall())
    await table.commit([small, large])
    assert await table.get(TableName.CONFIGURATIONS, "u", "small") == small.item
    assert await table.get(TableName.HISTORY, "u", "large") == large.item
    await table.close()


async def test_a_full_disk_is_said_and_leaves_nothing_half_written(file: SqliteFile) -> None:
    await file.write(insert("before"))
    await file.write(lambda connection: connection.execute("PRAGMA max_page_count = 8").fetchall())

    def two_rows(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO entry VALUES ('small', x'00')")
        return insert("large", 100_000)(connection)

    with pytest.raises(Unavailable, match="disk is full; free some space"):
        await file.write(two_rows)
    assert names(file) == ["before"]
    await file.write(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall())
    await file.write(two_rows)
    assert names(file) == ["before", "large", "small"]


async def test_a_file_held_by_another_program_is_unavailable_and_then_free_again(
    file: SqliteFile, tmp_path: Path
) -> None:
    await file.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchall())
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="another program holds the file"):
        await file.write(insert("a"))
    assert names(file) == []
    other.execute("ROLLBACK")
    other.close()
    assert await file.write(insert("a")) == 1


async def test_a_newer_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    await SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=3).close()
    with pytest.raises(Unavailable, match=r"format 3, this program knows 2.*update the program"):
        SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=2)


async def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    await file.write(insert("kept"))
    await file.close()
    wider = SCHEMA + "; CREATE TABLE IF NOT EXISTS added (name TEXT)"
    file = SqliteFile.open(tmp_path / "book.db", schema=wider, version=2)
    assert (names(file), file.read("SELECT * FROM added")) == (["kept"], [])
    await file.close()


STEPS = {
    2: "ALTER TABLE entry ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",
    3: "UPDATE entry SET note = name || ' of version 2'; CREATE TABLE added (name TEXT)",
}


@pytest.mark.parametrize("old", [1, 2])
async def test_a_file_of_any_older_version_takes_every_step_that_it_lacks(tmp_path: Path, old: int) -> None:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    await file.write(insert("kept"))
    await file.close()
    await SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=old, migrations=STEPS).close()
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=3, migrations=STEPS)
    assert file.read("SELECT name, note FROM entry") == [("kept", "kept of version 2")]
    assert file.read("PRAGMA user_version") == [(3,)]
    await file.close()


async def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    await file.write(insert("kept"))
    await file.close()
    with pytest.raises(Unavailable, match="no such table"):
        SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=3, migrations={**STEPS, 3: "DELETE FROM absent"})
    file = SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)
    assert file.read("SELECT * FROM entry") == [("kept", b"\x00")]
    await file.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book.db").write_text("dear diary, today I lost money again" * 10)
    with pytest.raises(Unavailable, match="not a SQLite file"):
        SqliteFile.open(tmp_path / "book.db", schema=SCHEMA, version=1)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="check that its folder exists"):
        SqliteFile.open(tmp_path / "nowhere" / "book.db", schema=SCHEMA, version=1)


@pytest.mark.parametrize("name", TableName)
@pytest.mark.parametrize("index", Index)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("continued", [False, True])
def test_no_query_of_the_table_scans_or_sorts(name: TableName, index: Index, descending: bool, continued: bool) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(statements.SCHEMA)
    sql = statements.query_sql(name, index, descending, continued)
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, [None] * sql.count("?"))]
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH") and "USING INDEX" in plan[0]
    connection.close()
