"""``baskets run``: what it refuses, the recorded market, one process a folder, and what a signal leaves behind."""

import asyncio
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.cli import main
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, TRADING_FILE
from tests.engine.tiny_day import DAY, QUIET, SPREAD, call, instant, record, steady


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["run", *map(str, arguments)])


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """The short call costs 130 instead of 100 from 09:25 on."""
    return record(tmp_path / "days", {**QUIET, call(): steady("100", at0925="130")})


@pytest.fixture
def spread(tmp_path: Path) -> Path:
    """May be entered as late as a busy machine gets to it."""
    file = tmp_path / "spread.toml"
    text = SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 800')
    file.write_text("format = 1\n" + text, encoding="utf-8")
    return file


def outcome(out: Path) -> list[tuple[Any, ...]]:
    (session,) = json.loads(out.read_text(encoding="utf-8"))["sessions"]
    names = ("leg", "account", "quantity", "entry_price", "exit_price", "exit_reason")
    return [tuple(leg[name] for name in names) for each in session["runs"] for leg in each["legs"]]


def test_a_recorded_day_in_simulated_time_is_what_replay_makes_of_it(days: Path, spread: Path, tmp_path: Path) -> None:
    ran, replayed = tmp_path / "ran.json", tmp_path / "replayed.json"
    result = run(spread, "--market", f"recorded:{days}", "--speed", "max", "--data", tmp_path / "data", "--json", ran)
    assert result.exit_code == 0, result.output
    line = ["replay", str(days), "--basket", str(spread), "--json", str(replayed)]
    assert CliRunner().invoke(main, line).exit_code == 0
    assert ran.read_bytes() == replayed.read_bytes()
    assert {leg[-1] for leg in outcome(ran)} == {"time"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--date", "2026-11-24"], "2026-11-24 has no session (Prakash Gurpurb); the next is on 2026-11-25"),
        (["--date", "2026-11-22"], "2026-11-22 has no session (a weekend)"),
        (["--date", "2020-01-02"], "2020-01-02 cannot be simulated; choose a day after"),
        (["--date", "2026-11-20", "--market", "recorded:{days}"], "nothing is recorded for 2026-11-20; the next"),
        (["--date", "2026-11-25", "--market", "recorded:{days}"], "nothing is recorded from 2026-11-25 on"),
        (["--market", "recorded:nowhere"], "there is no folder nowhere"),
        (["--market", "live"], "'live' is neither simulated nor recorded:DIR"),
        (["--date", "2026-11-19", "--speed", "0"], "'0' is neither real, max nor a number above 0"),
        (["--date", "2026-11-19", "--json", "{spread}/out.json"], "cannot write"),
    ],
)
def test_what_cannot_be_run_is_refused_before_a_book_is_opened(
    days: Path, spread: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    filled = [option.format(days=days, spread=spread) for option in options]
    result = run(spread, "--speed", "max", "--data", tmp_path / "data", *filled)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (tmp_path / "data" / PAPER_FILE).exists()


def test_an_index_nobody_can_simulate_is_refused_by_name(spread: Path, tmp_path: Path) -> None:
    spread.write_text(spread.read_text(encoding="utf-8").replace('"NIFTY"', '"BANKEX"'), encoding="utf-8")
    result = run(spread, "--date", "2026-11-19", "--speed", "max", "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert "no level of BANKEX is known" in result.output


def test_two_processes_cannot_trade_in_one_folder(days: Path, spread: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with (data / "lock").open("w+", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("4711")
        held.flush()
        result = run(spread, "--market", f"recorded:{days}", "--speed", "max", "--data", data)
    assert result.exit_code == 1
    assert "process 4711 trades in" in result.output
    assert not (data / PAPER_FILE).exists()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
def test_stopped_once_something_is_held_it_goes_on_to_the_same_end(
    days: Path, spread: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    data, out = tmp_path / "data", tmp_path / "out.json"
    arguments = [spread, "--market", f"recorded:{days}", "--data", data, "--date", DAY]
    program = "from option_baskets.cli import main; main()"
    line = [sys.executable, "-c", program, "run", *map(str, arguments), "--speed", "600"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as process:
        assert process.stdout is not None
        entries = (text for text in process.stdout if "  enter  " in text)
        assert len([next(entries) for _ in range(4)]) == 4, "nothing is on its way now, until 09:35"
        process.send_signal(sent)
        rest = process.stdout.read()
    assert process.returncode == (-signal.SIGKILL if sent is signal.SIGKILL else 0)
    assert ("the same command goes on from here" in rest) == (sent is not signal.SIGKILL)

    result = run(*arguments, "--speed", "max", "--json", out)
    assert result.exit_code == 0, result.output
    assert outcome(out) == [
        ("short", "one", 130, "100.0000", "130.0000", "time"),
        ("short", "two", 65, "100.0000", "130.0000", "time"),
        ("wing", "one", 130, "40.0000", "40.0000", "time"),
        ("wing", "two", 65, "40.0000", "40.0000", "time"),
    ]
    connection = sqlite3.connect(data / PAPER_FILE)
    book = connection.execute("SELECT tag, side, filled FROM orders").fetchall()
    connection.close()
    assert len({tag for tag, _, _ in book}) == len(book) == 8
    assert sum(filled if side == "BUY" else -filled for _, side, filled in book) == 0


async def stored_baskets(data: Path) -> dict[str, bool]:
    """Name to paused, read from the closed books."""
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: instant("09:15"), threaded=False)
    try:
        return {basket.name: basket.paused for basket in await Books(table).baskets(LOCAL_USER)}
    finally:
        await table.close()


def test_a_basket_that_no_file_names_any_more_is_paused_until_one_does(
    days: Path, spread: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    text = spread.read_text(encoding="utf-8")
    name = next(line for line in text.splitlines() if line.startswith("name = "))
    other.write_text(text.replace(name, 'name = "Other"', 1), encoding="utf-8")
    given = ("--market", f"recorded:{days}", "--speed", "max", "--data", tmp_path / "data")
    ours = name.removeprefix('name = "').removesuffix('"')
    for files, paused in (([other], {"Other": False}), ([spread], {"Other": True, ours: False})):
        assert run(*files, *given).exit_code == 0
        assert asyncio.run(stored_baskets(tmp_path / "data")) == paused
    assert run(spread, other, *given).exit_code == 0
    assert asyncio.run(stored_baskets(tmp_path / "data")) == {"Other": False, ours: False}
