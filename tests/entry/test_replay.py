"""``baskets replay``: real days against an independent witness, kills, and what a person sees and mistypes."""

import fcntl
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.cli import main
from option_baskets.cli.replaying import Replay, write_json
from option_baskets.domain.allocation import lots_by_leg
from option_baskets.engine.report import as_json
from option_baskets.wiring import PAPER_FILE
from tests.engine.tiny_day import DAY, QUIET, SPREAD, STRADDLE, call, record, steady

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
LOT = 50
"""NIFTY in June and July 2022."""
NIFTY_DAYS = [
    *(date(2022, 6, day) for day in (8, 9, 10, 14, 15, 17, 20, 21, 27, 28, 29, 30)),
    *(date(2022, 7, day) for day in (4, 6, 8, 11, 12, 13)),
]


@pytest.fixture(scope="session")
def nifty(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real days in the canonical form, imported once however many workers run the tests."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "nifty-days"
    with (base / "nifty-days.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            intraday = shared / "data" / "intraday"
            sources = {
                "--options": intraday / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet",
                "--index": intraday / "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz",
            }
            arguments = ["import", "minute-close", *(str(part) for pair in sources.items() for part in pair)]
            arguments += ["--underlying", "NIFTY", "--lot-size", str(LOT), "--out", str(folder)]
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 0, result.output
            (folder / "whole").touch()
    return folder


def prepared(days: Path, files: Sequence[Path], first: date | None = None, last: date | None = None) -> Replay:
    return Replay.prepare(
        days, files, first=first, last=last, slippage=Decimal(0), stale=None, with_charges=True, facts=None
    )


def rows(data: Path, sql: str) -> list[dict[str, Any]]:
    """Read the exchange's book as anybody could."""
    connection = sqlite3.connect(data / PAPER_FILE)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


# ---------------------------------------------------------------- every real day


def test_the_days_are_those_that_are_recorded(nifty: Path) -> None:
    assert [date.fromisoformat(path.stem) for path in sorted(nifty.glob("*.parquet"))] == NIFTY_DAYS


@pytest.mark.parametrize("day", NIFTY_DAYS, ids=str)
def test_a_real_day(nifty: Path, tmp_path: Path, day: date) -> None:
    replay = prepared(nifty, EXAMPLES, day, day)
    records = replay.run(tmp_path / "state")
    session: dict[str, Any] = json.loads(json.dumps(as_json(records)))["sessions"][0]
    orders = rows(tmp_path / "state", "SELECT * FROM orders ORDER BY account, number")
    assert session["events"] == {
        "CheckDuplicateOrders": 345,
        "CheckStopLoss": 375,
        "RefreshMarketData": 360,
        "ScheduleStrategyTrigger": 78,
    }
    assert session["alerts"] == []
    assert session["orders"] == len(orders)
    assert_the_witness_agrees(session, orders, rows(tmp_path / "state", "SELECT * FROM fills"))
    assert_every_lot_is_accounted_for(session)
    assert_hedges_first(session, orders)
    write_json(records, tmp_path / "one.json")
    write_json(prepared(nifty, EXAMPLES, day, day).run(None), tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def assert_the_witness_agrees(
    session: dict[str, Any], orders: list[dict[str, Any]], fills: list[dict[str, Any]]
) -> None:
    """The exchange's fills give the same quantities per contract, a flat book, and the same profit."""
    side = {(order["account"], order["number"]): order for order in orders}
    net: Counter[tuple[str, ...]] = Counter()
    cash: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        order = side[fill["account"], fill["number"]]
        sign = 1 if order["side"] == "BUY" else -1
        net[order["account"], order["expiry"], order["strike"], order["type"]] += sign * fill["quantity"]
        cash[order["account"]] -= sign * fill["quantity"] * Decimal(fill["price"])
    assert set(net.values()) <= {0}, "flat at the end"
    assert len({order["tag"] for order in orders}) == len(orders), "no order is there twice"
    legs = [leg for run in session["runs"] for leg in run["legs"]]
    traded: Counter[tuple[str, str, str]] = Counter()
    for leg in legs:
        traded[leg["account"], leg["contract"]["type"], leg["contract"]["strike"]] += 2 * leg["quantity"]
    assert traded == Counter(
        {
            key: sum(o["filled"] for o in orders if (o["account"], o["type"], o["strike"]) == key)
            for key in {(o["account"], o["type"], o["strike"]) for o in orders}
        }
    )
    assert sum(cash.values()) == Decimal(session["gross"])
    of_account: defaultdict[str, Decimal] = defaultdict(Decimal)
    for run in session["runs"]:
        assert sum((Decimal(leg["gross"]) for leg in run["legs"]), Decimal(0)) == Decimal(run["gross"])
        for account in run["accounts"]:
            of_account[account["account"]] += Decimal(account["gross"])
    assert dict(of_account) == dict(cash)


def assert_every_lot_is_accounted_for(session: dict[str, Any]) -> None:
    """Lots traded and lots recorded as not traded are those of the files; of a skipped run nothing is traded.

    What is entered again, or woken, has as many lots as the leg's first entry.
    """
    for path in EXAMPLES:
        file = load_basket_file(path)
        for strategy in file.strategies:
            found = [
                run for run in session["runs"] if (run["basket"], run["strategy"]) == (file.basket.name, strategy.name)
            ]
            for run in found:
                if run["status"] == "SKIPPED":
                    assert run["reason"]
                    assert run["detail"]
                    assert run["legs"] == []
                    continue
                wanted = {
                    (leg, allocation.account): lots * LOT
                    for allocation in file.allocations
                    if allocation.strategy_id == strategy.id
                    for leg, lots in lots_by_leg(strategy, allocation, file.of(strategy)).items()
                }
                have: Counter[tuple[str, str]] = Counter()
                for part in (*run["legs"], *run["not_traded"]):
                    if part.get("entry_number") or strategy.leg(part["leg"]).lazy:
                        assert part["quantity"] == wanted[part["leg"], part["account"]]
                    else:
                        have[part["leg"], part["account"]] += part["quantity"]
                assert have == Counter({key: units for key, units in wanted.items() if not strategy.leg(key[0]).lazy})


def assert_hedges_first(session: dict[str, Any], orders: list[dict[str, Any]]) -> None:
    """Within a minute and an account the exchange numbered a run's bought legs before its sold ones."""
    numbers: defaultdict[tuple[str, str, str, str, str], list[int]] = defaultdict(list)
    for order in orders:
        numbers[order["account"], order["placed_at"], order["type"], order["strike"], order["side"]].append(
            order["number"]
        )
    for run in session["runs"]:
        for account in {leg["account"] for leg in run["legs"]}:
            entered = [leg for leg in run["legs"] if leg["account"] == account]
            first = {
                side: [
                    numbers[account, leg["entry_time"], leg["contract"]["type"], leg["contract"]["strike"], side][0]
                    for leg in entered
                    if leg["side"] == side
                ]
                for side in ("BUY", "SELL")
            }
            if first["BUY"] and first["SELL"]:
                assert max(first["BUY"]) < max(first["SELL"])


# ---------------------------------------------------------------- killed and resumed


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Two quiet days of our own, a Monday and the expiry."""
    folder = tmp_path / "days"
    record(folder, QUIET, day=date(2026, 11, 23))
    return record(folder, {**QUIET, call(): steady("100", at0925="130")})


@pytest.fixture
def spread(tmp_path: Path) -> Path:
    path = tmp_path / "spread.toml"
    path.write_text(f"format = 1\n{SPREAD}", encoding="utf-8")
    return path


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)], env={"COLUMNS": "100"})


@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again_and_resumed_it_writes_the_same_bytes(nifty: Path, tmp_path: Path, seed: int) -> None:
    """SIGKILL at three random instants of the same replay of two days; the fourth start goes to the end."""
    chosen = random.Random(seed)
    files = [part for path in EXAMPLES[:2] for part in ("--basket", path)]
    span = ["--from", "2022-06-08", "--to", "2022-06-09"]
    assert replay(nifty, *files, *span, "--json", tmp_path / "whole.json").exit_code == 0
    state = tmp_path / "state"
    arguments = [nifty, *files, *span, "--state", state, "--json", tmp_path / "resumed.json"]
    line = [sys.executable, "-c", "from option_baskets.cli import main; main()", "replay", *arguments]
    killed = 0
    for _ in range(3):
        with subprocess.Popen(list(map(str, line)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            wait_for_books(state, process)
            time.sleep(chosen.uniform(0, 0.4))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += 1
    assert killed
    result = replay(*arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "resumed.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    tags = [row["tag"] for row in rows(state, "SELECT tag FROM orders")]
    assert len(tags) == len(set(tags))


def wait_for_books(state: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once the process has opened its books, or ended."""
    while process.poll() is None and not (state / PAPER_FILE).exists():
        time.sleep(0.01)


def test_a_finished_state_gives_the_same_record_without_ordering_again(
    days: Path, spread: Path, tmp_path: Path
) -> None:
    state, outs = tmp_path / "state", [tmp_path / "1.json", tmp_path / "2.json"]
    for out in outs:
        assert replay(days, "--basket", spread, "--state", state, "--json", out).exit_code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len(rows(state, "SELECT * FROM orders")) == 2 * 8


@pytest.mark.parametrize(
    "other",
    [["--slippage", "0.5"], ["--date", "2026-11-24"], ["--no-charges"], ["--stale", "30"]],
    ids=lambda each: each[0],
)
def test_a_state_belongs_to_one_replay(days: Path, spread: Path, tmp_path: Path, other: list[str]) -> None:
    state = tmp_path / "state"
    assert replay(days, "--basket", spread, "--state", state).exit_code == 0
    result = replay(days, "--basket", spread, "--state", state, *other)
    assert result.exit_code == 1
    assert "holds a replay of other baskets, days or options" in " ".join(result.output.split())


def test_an_edited_basket_or_a_changed_day_is_another_replay(days: Path, spread: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert replay(days, "--basket", spread, "--state", state).exit_code == 0
    before = spread.read_text(encoding="utf-8")
    spread.write_text(before.replace("lots = 2", "lots = 3"), encoding="utf-8")
    assert replay(days, "--basket", spread, "--state", state).exit_code == 1
    spread.write_text(before, encoding="utf-8")
    assert replay(days, "--basket", spread, "--state", state).exit_code == 0
    record(days, {**QUIET, call(): steady("101")}, day=DAY)
    assert replay(days, "--basket", spread, "--state", state).exit_code == 1


def test_two_processes_cannot_use_one_state(days: Path, spread: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert replay(days, "--basket", spread, "--state", state).exit_code == 0
    with (state / "replay.json").open() as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        result = replay(days, "--basket", spread, "--state", state)
    assert result.exit_code == 1
    assert "another process is replaying" in result.output


# ---------------------------------------------------------------- what a person sees


def test_one_day_is_told_as_a_timeline_and_a_result(days: Path, spread: Path) -> None:
    result = replay(days, "--basket", spread, "--date", "2026-11-24")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "Tuesday 24 November 2026 1 run, 8 orders" in lines
    assert "09:20:00 spread one enter BUY 2 NIFTY 24-Nov 26100 CE at 40.00" in lines
    assert "09:35:00 spread one exit time BUY 2 NIFTY 24-Nov 26000 CE at 130.00 (-3,900.00)" in lines
    entries = [line for line in lines if " enter " in line]
    assert [" BUY " in line for line in entries] == [True, True, False, False], "hedges are listed first"


def test_several_days_are_a_line_each_and_a_total(days: Path, spread: Path) -> None:
    result = replay(days, "--basket", spread)
    assert result.exit_code == 0
    assert "Mon 2026-11-23" in result.output
    assert "Tue 2026-11-24" in result.output
    assert "2 sessions" in result.output


def test_without_charges_net_is_gross(days: Path, spread: Path, tmp_path: Path) -> None:
    assert replay(days, "--basket", spread, "--no-charges", "--json", tmp_path / "out.json").exit_code == 0
    totals = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["totals"]
    assert (totals["charges"], totals["net"]) == ("0.00", totals["gross"])


MISTAKES: list[tuple[list[str], int, str]] = [
    (["DAYS", "--basket", "FILE", "--date", "2022-07-02"], 1, "nothing is recorded for 2022-07-02"),
    (["DAYS", "--basket", "FILE", "--date", "2022-07-02"], 1, "has 2 days, 2026-11-23 to 2026-11-24"),
    (["DAYS", "--basket", "FILE", "--from", "2027-01-01"], 1, "nothing is recorded for 2027-01-01 to the end"),
    (["EMPTY", "--basket", "FILE"], 1, "make some with baskets import or baskets simulate"),
    (["NOWHERE", "--basket", "FILE"], 2, "does not exist"),
    (["DAYS"], 2, "Missing option '--basket'"),
    (["DAYS", "--basket", "BAD"], 1, "bad.toml:3: basket.capitol"),
    (["DAYS", "--basket", "FILE", "--basket", "FILE"], 1, "two files have a basket named 'Spread'"),
    (["DAYS", "--basket", "FILE", "--date", "2026-11-24", "--from", "2026-11-23"], 2, "--from and --to, not both"),
    (["DAYS", "--basket", "FILE", "--date", "yesterday"], 2, "%Y-%m-%d"),
    (["DAYS", "--basket", "FILE", "--speed", "0"], 2, "neither max nor a number above 0"),
    (["DAYS", "--basket", "FILE", "--slippage", "-1"], 2, "not a number of points of 0 or more"),
    (["DAYS", "--basket", "FILE", "--state", "DAYS"], 1, "has other files"),
    (["DAYS", "--basket", "FILE", "--state", "FILE"], 2, "is a file"),
    (["DAYS", "--basket", "FILE", "--json", "FILE/out.json"], 1, "cannot write"),
    (["DAYS", "--basket", "FILE", "--json", "DAYS"], 2, "is a directory"),
    (["DAMAGED", "--basket", "FILE"], 1, "make it again with `baskets import`"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES, ids=lambda each: str(each)[:40])
def test_a_mistake_is_told_in_a_sentence(
    days: Path, spread: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    bad, empty, damaged = tmp_path / "bad.toml", tmp_path / "empty", tmp_path / "damaged"
    bad.write_text('[basket]\nname = "x"\ncapitol = 5\n', encoding="utf-8")
    empty.mkdir()
    damaged.mkdir()
    (damaged / "2026-11-24.parquet").write_bytes(b"PAR1 and nothing else")
    places = {"DAYS": days, "FILE": spread, "BAD": bad, "EMPTY": empty, "NOWHERE": tmp_path / "no", "DAMAGED": damaged}
    told = []
    for each in arguments:
        head, slash, tail = each.partition("/")
        told.append(f"{places.get(head, head)}{slash}{tail}")
    result = replay(*told)
    assert result.exit_code == code, result.output
    assert " ".join(message.split()) in " ".join(result.output.split()).replace("│ ", "")
    assert "Traceback" not in result.output


def test_a_target_that_cannot_be_written_is_told_before_the_days_are_played(days: Path, spread: Path) -> None:
    result = replay(days, "--basket", spread, "--json", spread / "out.json")
    assert result.exit_code == 1
    assert "sessions" not in result.output
    assert str(spread / "out.json") in result.output.replace("\n", "")


def test_the_help_has_lines_to_copy() -> None:
    assert "baskets replay days --basket examples/straddle-0920.toml --date 2022-06-30" in replay("--help").output


# ---------------------------------------------------------------- docs/replay-json.md


def documented() -> Iterator[tuple[str, str]]:
    """(path, key) of every row of the page's tables; the heading above a table says where its keys are."""
    where = ""
    for line in (ROOT / "docs" / "replay-json.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            where = line.partition("`")[2].partition("`")[0]
        elif line.startswith("| `"):
            yield where, line.split("`")[1]


def present(value: Any, where: str = "$") -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from present(each, f"{where}[]")
    elif isinstance(value, dict) and where not in {"$.sessions[].events", "$.sessions[].rounding"}:
        for key, inner in value.items():
            yield where, key
            yield from present(inner, f"{where}.{key}")


_RARE = (
    "not_traded[]",
    "carried[]",
    "settled[]",
    "external[]",
    "alerts[]",
    "fences[]",
    "dynamic",
    "dynamic[]",
    "shares[]",
    "closed_runs[]",
)


def test_every_field_is_documented_and_every_documented_field_is_there(tmp_path: Path) -> None:
    """A run and one that is skipped: nothing of it is carried, settled, refused in part, alerted, fenced or divided."""
    unlisted = STRADDLE.replace('strike = { rule = "atm" }', 'strike = { rule = "atm", offset = 50 }', 1)
    basket, skipped = tmp_path / "spread.toml", tmp_path / "skipped.toml"
    basket.write_text(f"format = 1\n{SPREAD}", encoding="utf-8")
    skipped.write_text(f"format = 1\n{unlisted}", encoding="utf-8")
    days = record(tmp_path / "days", QUIET)
    records = prepared(days, [basket, skipped]).run(None)
    written = json.loads(json.dumps(as_json(records)))
    found = set(present(written))
    optional = {(where, key) for where, key in documented() if where.endswith(_RARE)}
    assert found <= set(documented())
    assert set(documented()) - optional <= found


def test_the_example_of_the_page_is_what_the_program_writes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "replay-json.md").read_text(encoding="utf-8")
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    basket = tmp_path / "spread.toml"
    basket.write_text(
        "format = 1\n" + SPREAD.partition('  [[strategies.allocations]]\n  account = "two"')[0], encoding="utf-8"
    )
    days = record(tmp_path / "days", {**QUIET, call(): steady("100", at0925="130")})
    assert json.loads(json.dumps(as_json(prepared(days, [basket]).run(None)))) == example
