"""``baskets audit``: its three forms, its filters, a file written whole, and an engine that is at work beside."""

import csv
import io
import json
import sqlite3
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.cli import main
from option_baskets.cli.audit_view import COLUMNS
from option_baskets.wiring import PAPER_FILE, TRADING_FILE
from tests.engine.tiny_day import QUIET, SPREAD, call, play_day, record, steady

HEADER = "time,actor,what,strategy,run,account,leg,contract,side,quantity,price,cause,order,detail"
DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def audit(data: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["audit", "--from", "2026-11-24", "--data", str(data), *map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The books of a spread on two accounts, entered and left."""
    folder = tmp_path_factory.mktemp("audit")
    play_day(record(folder / "days", {**QUIET, call(): steady("100", at0925="130")}), folder / "data", SPREAD)
    return folder / "data"


def test_the_csv_has_the_documented_header_and_fills_that_are_the_exchange_s(data: Path) -> None:
    result = audit(data, "--format", "csv")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == HEADER == ",".join(COLUMNS)
    assert HEADER in DOCUMENT.read_text(encoding="utf-8")
    filled: defaultdict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for row in csv.DictReader(io.StringIO(result.output)):
        if row["what"] == "fill":
            sign = 1 if row["side"] == "BUY" else -1
            units, rupees = filled[row["account"], row["side"]]
            quantity = int(row["quantity"])
            filled[row["account"], row["side"]] = units + sign * quantity, rupees + quantity * Decimal(row["price"])
    with sqlite3.connect(data / PAPER_FILE) as book:
        lines = book.execute("SELECT account, side, filled, value FROM orders").fetchall()
    expected: defaultdict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for account, side, units, value in lines:
        before, rupees = expected[account, side]
        expected[account, side] = before + (units if side == "BUY" else -units), rupees + Decimal(value)
    assert filled == expected
    assert len(expected) == 4


def test_json_has_the_same_rows_and_nothing_as_null(data: Path) -> None:
    rows = json.loads(audit(data, "--format", "json").output)
    sheet = list(csv.DictReader(io.StringIO(audit(data, "--format", "csv").output)))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows] == sheet
    assert rows[0]["price"] is None
    assert json.loads(audit(data, "--format", "json", "--account", "nobody").output) == []


def test_filters_take_a_name_or_an_id(data: Path) -> None:
    by_name, by_id = (audit(data, "--format", "csv", "--strategy", name).output for name in ("spread", "spread.spread"))
    assert by_name == by_id
    assert len(by_name.splitlines()) > 20
    mine = list(csv.DictReader(io.StringIO(audit(data, "--format", "csv", "--account", "two").output)))
    assert {row["account"] for row in mine} == {"two"}
    run = list(csv.DictReader(io.StringIO(audit(data, "--format", "csv", "--run", mine[-1]["run"]).output)))
    assert {row["run"] for row in run} == {"2026-11-24#spread.spread#0"}


def test_the_table_is_a_line_a_row(data: Path) -> None:
    lines = audit(data).output.splitlines()
    assert lines[0] == "Tuesday 24 November 2026"
    (closed,) = [line for line in lines if "exit_decided" in line and "on two" in line and "leg short" in line]
    assert closed.startswith("09:35:00.000  engine    exit_decided")
    assert closed.endswith("SELL 65 NIFTY 24-Nov-2026 26000 CE at 130.00  time")
    assert "nothing is recorded there" in audit(data, "--account", "nobody").output


def test_a_file_is_written_whole(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "audit.csv"
    result = audit(data, "--format", "csv", "--out", out)
    assert result.exit_code == 0, result.output
    assert out.read_text(encoding="utf-8").splitlines()[0] == HEADER
    assert [path.name for path in out.parent.iterdir()] == ["audit.csv"]


def test_it_reads_while_an_engine_is_writing(data: Path) -> None:
    """Another process is in the middle of a transaction: what is committed is read, and nothing waits."""
    before = audit(data, "--format", "csv").output
    writer = sqlite3.connect(data / TRADING_FILE, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM execution_history")
    try:
        assert audit(data, "--format", "csv").output == before
    finally:
        writer.execute("ROLLBACK")
        writer.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "2026-11-23"], "2026-11-23 is before 2026-11-24"),
        (["--data", "{empty}"], "has no books"),
    ],
)
def test_what_it_cannot_do_it_says(data: Path, tmp_path: Path, options: list[str], said: str) -> None:
    result = audit(data, *(each.format(empty=tmp_path) for each in options))
    assert result.exit_code == 1
    assert said in result.output
