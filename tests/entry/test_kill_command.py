"""``baskets kill``, ``arm`` and ``exit``: against a process that trades, without one, and by the exchange's book."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.cli import main
from option_baskets.engine.direct import Direct, flatten_all
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, Embedded
from tests.engine.test_recovery import Killed
from tests.engine.tiny_day import FACTS, LOT, QUIET, SPREAD, Prices, call, instant, play_day, put, record, steady

LONG_DAY = "09:15-15:30"
LONG: Prices = {
    "NIFTY": steady("26010", end="15:30"),
    call(): steady("100", end="15:30"),
    put(): steady("80", end="15:30"),
    call(26100): steady("40", end="15:30"),
}
SPREAD_UNTIL_THREE = SPREAD.replace("09:35", "15:00").replace("09:20", "09:16")


def baskets(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(main, [command, *map(str, arguments)], catch_exceptions=False)


def said(result: Result) -> str:
    return " ".join(result.output.split())


def positions(data: Path) -> dict[str, int]:
    """Account → units that are not flat, from the exchange's own book."""
    connection = sqlite3.connect(data / PAPER_FILE)
    rows = connection.execute("SELECT account, strike, side, filled FROM orders").fetchall()
    connection.close()
    held: defaultdict[tuple[str, str], int] = defaultdict(int)
    for account, strike, side, filled in rows:
        held[account, strike] += filled if side == "BUY" else -filled
    return {account: sum(1 for (of, _), units in held.items() if of == account and units) for account, _ in held}


@pytest.fixture(scope="module")
def long_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), LONG, hours=LONG_DAY)


@pytest.fixture
def spread(tmp_path: Path) -> Path:
    file = tmp_path / "spread.toml"
    text = SPREAD_UNTIL_THREE.replace('exit = "15:00"', 'exit = "15:00"\nentry_grace_seconds = 800')
    file.write_text("format = 1\n" + text, encoding="utf-8")
    return file


@contextmanager
def trading(spread: Path, days: Path, data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that trades, 400 times faster than real time, once it holds all four legs."""
    program = "from option_baskets.cli import main; main()"
    line = [sys.executable, "-c", program, "run", str(spread), "--market", f"recorded:{days}"]
    line += ["--data", str(data), "--speed", "400"]
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        entries = (text for text in process.stdout if "  enter  " in text)
        assert len([next(entries) for _ in range(4)]) == 4
        yield process
        process.send_signal(signal.SIGTERM)
        process.stdout.read()


def test_a_running_engine_sees_it_within_a_second_and_the_command_ends_when_all_is_flat(
    long_day: Path, spread: Path, tmp_path: Path
) -> None:
    """First one account, which leaves the other; then its strategy by hand; the switch outlasts the process."""
    data = tmp_path / "data"
    with trading(spread, long_day, data):
        began = time.monotonic()
        killed = baskets("kill", "--account", "one", "--no-wait", "--reason", "the wrong file", "--data", data)
        assert killed.exit_code == 0
        while positions(data)["one"]:
            assert time.monotonic() - began < 3, "seen within a second, and closed at once"
        assert positions(data) == {"one": 0, "two": 2}
        watched = baskets("kill", "--account", "one", "--data", data)
        assert watched.exit_code == 0
        assert "account one is killed: nothing is entered there until baskets arm --account one" in said(watched)
        assert "flat: nothing is open" in said(watched)
        left = baskets("exit", "--strategy", "spread", "--data", data)
        assert left.exit_code == 0, left.output
        assert positions(data) == {"one": 0, "two": 0}
        status = said(baskets("kill", "--status", "--data", data))
        assert "account one" in status
        assert "flat" in status
    stopped = said(baskets("kill", "--status", "--data", data))
    assert "account one" in stopped
    assert f"no engine works in {data}" in stopped
    assert baskets("arm", "--account", "one", "--data", data).exit_code == 0
    assert "nothing is killed" in said(baskets("kill", "--status", "--data", data))


# ---------------------------------------------------------------- without an engine


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """The books of a process that died at 09:25, with both accounts in a spread, and the days it traded."""
    record(tmp_path / "days", QUIET)

    async def dies(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25:10"))
        raise Killed

    with pytest.raises(Killed):
        play_day(tmp_path / "days", tmp_path / "data", SPREAD, acts=[dies])
    return tmp_path / "data"


pytestmark = [
    pytest.mark.usefixtures("burial"),
    pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_without_an_engine_it_says_so_and_takes_effect_when_one_starts(held: Path) -> None:
    killed = baskets("kill", "--all", "--data", held)
    assert killed.exit_code == 1
    assert f"no engine works in {held}" in said(killed)
    assert "nobody closes what is open: one: 2 open positions; two: 2 open positions" in said(killed)
    again = play_day(held.parent / "days", held, SPREAD)
    assert positions(held) == {"one": 0, "two": 0}
    assert {position.exit_reason for position in again.run.positions} == {"kill"}
    assert baskets("kill", "--all", "--data", held).exit_code == 0


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("kill", ["--account", "three"], "there is no account 'three'; there are one, two"),
        ("kill", ["--strategy", "none"], "there is no strategy 'none'; there are spread.spread"),
        ("kill", [], "say what: one of --account NAME, --basket NAME, --strategy NAME and --all"),
        ("kill", ["--all", "--basket", "spread"], "say what"),
        ("arm", ["--account", "one"], "nothing is killed"),
        ("kill", ["--direct", "--basket", "spread"], "a broker's book knows no baskets"),
        (
            "kill",
            ["--direct", "--account", "three", "--market", "recorded:{days}"],
            "the exchange has no account three",
        ),
        ("kill", ["--direct", "--all", "--market", "recorded:{days}", "--at", "2026-11-24 08:00"], "nothing is traded"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_there_is(
    held: Path, command: str, options: list[str], message: str
) -> None:
    filled = [option.format(days=held.parent / "days") for option in options]
    result = baskets(command, "--data", held, *filled)
    assert result.exit_code == 1
    assert message in said(result)
    assert "nothing is killed" in said(baskets("kill", "--status", "--data", held))


def test_a_folder_without_books_is_told(tmp_path: Path) -> None:
    assert "there are no books in" in said(baskets("kill", "--all", "--data", tmp_path))
    assert "there is no paper exchange in" in said(baskets("kill", "--direct", "--all", "--data", tmp_path))


# ---------------------------------------------------------------- by the exchange's book


def test_directly_the_book_is_closed_shorts_first_and_the_fence_stands(held: Path) -> None:
    before = book(held)
    options = ("--direct", "--all", "--market", f"recorded:{held.parent / 'days'}", "--data", held)
    result = baskets("kill", *options)
    assert result.exit_code == 0, result.output
    assert positions(held) == {"one": 0, "two": 0}
    new = [row for row in book(held) if row not in before]
    assert [side for account, side, _ in new if account == "one"] == ["BUY", "SELL"]
    assert len({tag for _, _, tag in book(held)}) == len(book(held)), "tags of its own"
    assert "everything" in said(baskets("kill", "--status", "--data", held))
    assert baskets("kill", *options).exit_code == 0
    assert len(book(held)) == len(before) + len(new), "a second time there is nothing to close"
    resumed = play_day(held.parent / "days", held, SPREAD)
    assert positions(held) == {"one": 0, "two": 0}, "the engine that is started later does not close it once more"
    assert resumed.run.is_flat


def test_directly_it_works_without_the_store(held: Path) -> None:
    (held / "trading.sqlite").write_bytes(b"this is no database at all, and long enough to be looked at")
    result = baskets(
        "kill", "--direct", "--account", "two", "--market", f"recorded:{held.parent / 'days'}", "--data", held
    )
    assert result.exit_code == 0, result.output
    assert "no fence is written" in said(result)
    assert positions(held) == {"one": 2, "two": 0}


def test_directly_is_refused_while_a_process_holds_the_folder(held: Path) -> None:
    with (held / "lock").open("w+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        result = baskets("kill", "--direct", "--all", "--data", held)
    assert result.exit_code == 1
    assert "process 4711 trades in" in said(result)
    assert "kill -9 4711" in said(result)
    assert positions(held) == {"one": 2, "two": 2}


def book(data: Path) -> list[tuple[str, str, str]]:
    connection = sqlite3.connect(data / PAPER_FILE)
    rows = connection.execute("SELECT account, side, tag FROM orders ORDER BY placed_at, account, number").fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(),
        Behaviour(lost_answers=1, partial_fills=1, seed=3),
        Behaviour(lost_requests=0.5, rejections=0.3, busy=0.5, crossed_cancels=1, seed=4),
        Behaviour(outages=(Outage(start=instant("09:25"), lasts=instant("09:26") - instant("09:25")),)),
        *(Behaviour(slow_book=instant("09:21") - instant("09:20:30"), partial_fills=1, seed=n) for n in range(3)),
    ],
    ids=["well", "silent", "faulty", "out", *(f"slow{n}" for n in range(3))],
)
def test_directly_it_goes_on_until_flat_whatever_the_broker_does(tmp_path: Path, behaviour: Behaviour) -> None:
    """In simulated time, beside an engine that does not interfere: it is told nothing and its exit is later."""
    days = record(tmp_path / "days", QUIET)

    async def directly(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25:10"))
        brokers = [machine.exchange.broker(account, behaviour=behaviour) for account in ("one", "two")]
        accounts = [
            Direct(
                user_id=LOCAL_USER,
                broker=broker,
                market=machine._market.feed,
                clock=machine.clock,
                facts=FACTS,
                began=machine.clock.now(),
                tell=lambda _: None,
            )
            for broker in brokers
        ]
        assert await flatten_all(accounts) == {"one": {}, "two": {}}
        for broker in brokers:
            broker.behaviour = Behaviour()
        await machine.clock.sleep_until(instant("09:28"))  # whatever still worked would be filled by then
        raise Killed

    with pytest.raises(Killed):
        play_day(days, tmp_path / "data", SPREAD, acts=[directly])
    assert positions(tmp_path / "data") == {"one": 0, "two": 0}
    lots = {"one": 2 * LOT, "two": LOT}
    traded = units(tmp_path / "data")
    assert traded == {(account, side): 2 * lots[account] for account, side in traded}, "nothing is closed twice"


def units(data: Path) -> dict[tuple[str, str], int]:
    """(account, side) → units filled of its two contracts."""
    connection = sqlite3.connect(data / PAPER_FILE)
    rows = connection.execute("SELECT account, side, SUM(filled) FROM orders GROUP BY account, side").fetchall()
    connection.close()
    return {(account, side): filled for account, side, filled in rows}
