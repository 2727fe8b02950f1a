"""``baskets backup`` and ``baskets restore``: what is copied while it is written to is whole, and comes back."""

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.embedded.backup import copy
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.cli import main
from option_baskets.domain.errors import Unavailable
from option_baskets.entrance import IDENTITY_FILE, KEYS_FOLDER
from option_baskets.ports import Item, Put, TableName
from option_baskets.wiring import PAPER_FILE, TRADING_FILE

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CONFIGURATIONS = TableName.CONFIGURATIONS


def open_table(data: Path) -> SqliteTable:
    return SqliteTable.open(data / TRADING_FILE, now=lambda: NOW)


def pair(number: int) -> list[Put]:
    """Two items that are written together."""
    return [Put(table=table, item=Item(pk="u", sk=f"{number:04}", body=b"{}")) for table in TableName]


async def stored(data: Path) -> list[list[str]]:
    table = open_table(data)
    pages = [await table.query(name, "u") for name in TableName]
    await table.close()
    return [[item.sk for item in page.items] for page in pages]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data folder with three pairs, and an exchange's book beside."""
    folder = tmp_path / "data"
    folder.mkdir()
    table = open_table(folder)
    for number in range(3):
        await table.commit(pair(number))
    await table.close()
    with closing(sqlite3.connect(folder / PAPER_FILE)) as paper:
        paper.executescript("CREATE TABLE orders (tag TEXT); INSERT INTO orders VALUES ('a')")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert all(word in result.output for word in words), result.output


async def test_a_backup_restored_elsewhere_has_the_same_books(data: Path, tmp_path: Path) -> None:
    result = run("backup", tmp_path / "out", "--data", data)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [PAPER_FILE, TRADING_FILE]
    assert run("restore", tmp_path / "out", "--data", tmp_path / "new").exit_code == 0
    assert await stored(tmp_path / "new") == await stored(data) == [["0000", "0001", "0002"]] * len(TableName)


async def test_users_are_copied_with_the_books_and_nobody_else_can_read_them(data: Path, tmp_path: Path) -> None:
    users = data / IDENTITY_FILE
    await SqliteTable.open(users, now=lambda: NOW).close()
    users.chmod(0o600)
    (data / KEYS_FOLDER).mkdir()
    assert run("backup", tmp_path / "out", "--data", data).exit_code == 0
    assert stat.S_IMODE((tmp_path / "out" / IDENTITY_FILE).stat().st_mode) == 0o600
    assert not (tmp_path / "out" / KEYS_FOLDER).exists()
    assert run("restore", tmp_path / "out", "--data", tmp_path / "new").exit_code == 0
    assert stat.S_IMODE((tmp_path / "new" / IDENTITY_FILE).stat().st_mode) == 0o600


async def test_a_copy_taken_while_commits_go_on_has_whole_commits_and_holds_nobody_up(
    data: Path, tmp_path: Path
) -> None:
    table = open_table(data)
    stop = asyncio.Event()

    async def write() -> int:
        number = 3
        while not stop.is_set():
            await table.commit(pair(number))
            number += 1
        return number

    writing = asyncio.create_task(write())
    for number in range(3):
        result = await asyncio.to_thread(run, "backup", tmp_path / f"out-{number}", "--data", data)
        assert result.exit_code == 0, result.output
    stop.set()
    assert await writing > 3
    await table.close()
    for number in range(3):
        (tmp_path / f"out-{number}" / TRADING_FILE).chmod(0o600)
        first, *others = await stored(tmp_path / f"out-{number}")
        assert all(other == first for other in others)
        assert len(first) >= 3


async def test_books_that_are_there_are_kept_unless_told_and_then_set_aside(data: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "out", "--data", data)
    table = open_table(data)
    await table.commit(pair(9))
    await table.close()
    refused(run("restore", tmp_path / "out", "--data", data), "has books already", "--replace")
    assert (await stored(data))[0][-1] == "0009"
    result = run("restore", tmp_path / "out", "--data", data, "--replace")
    assert result.exit_code == 0 and "replaced-1" in result.output
    assert (await stored(data))[0] == ["0000", "0001", "0002"]
    assert (await stored(data / "replaced-1"))[0][-1] == "0009"
    assert run("restore", tmp_path / "out", "--data", data, "--replace").exit_code == 0
    assert (data / "replaced-2").is_dir()


async def test_books_in_use_are_not_replaced(data: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "out", "--data", data)
    table = open_table(data)
    await table.commit(pair(9))
    result = await asyncio.to_thread(run, "restore", tmp_path / "out", "--data", data, "--replace")
    refused(result, "another program holds the file; stop it")
    await table.commit(pair(10))
    await table.close()
    assert (await stored(data))[0][-2:] == ["0009", "0010"]
    assert leftovers(data) == []


def leftovers(data: Path) -> list[Path]:
    return [*data.glob("*.part"), *data.glob("replaced-*")]


def spoil(path: Path) -> None:
    """Overwrite the middle of the file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 2048] = b"\xa5" * 2048
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm", [spoil, lambda path: path.write_bytes(path.read_bytes()[:5000])], ids=["spoilt", "cut"]
)
async def test_a_damaged_backup_is_refused_and_nothing_is_touched(
    data: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    table = open_table(data)
    await table.commit(
        [Put(table=CONFIGURATIONS, item=Item(pk="u", sk=f"big-{n}", body=bytes(9000))) for n in range(50)]
    )
    await table.close()
    run("backup", tmp_path / "out", "--data", data)
    harm(tmp_path / "out" / TRADING_FILE)
    before = await stored(data)
    refused(run("restore", tmp_path / "out", "--data", data, "--replace"), "damaged")
    assert await stored(data) == before
    assert leftovers(data) == []


async def test_a_damaged_file_is_not_backed_up_as_if_it_were_whole(data: Path, tmp_path: Path) -> None:
    table = open_table(data)
    await table.commit(
        [Put(table=CONFIGURATIONS, item=Item(pk="u", sk=f"big-{n}", body=bytes(9000))) for n in range(50)]
    )
    await table.close()
    spoil(data / TRADING_FILE)
    refused(run("backup", tmp_path / "out", "--data", data), "damaged")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.part").exists()


def test_what_is_no_backup_and_no_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(run("backup", tmp_path / "out", "--data", tmp_path / "empty"), "no books in", "--data")
    refused(run("restore", tmp_path / "empty", "--data", tmp_path / "new"), "is no backup", "baskets backup")


async def test_a_folder_with_something_in_it_is_not_written_to(data: Path, tmp_path: Path) -> None:
    refused(run("backup", data, "--data", data), "not empty; name a new folder")


def test_a_copy_to_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(Unavailable, match="check that its folder exists"):
        copy(tmp_path / "a.db", tmp_path / "nowhere" / "b.db")
