"""``baskets reconcile``: the books beside the exchange's own; it shows and changes nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.cli import main
from option_baskets.domain.contract import Side
from option_baskets.wiring import PAPER_FILE, TRADING_FILE
from tests.engine.test_reconcile import Gone, at_the_exchange, by_hand, die_at
from tests.engine.tiny_day import LOT, QUIET, call, play_day, record


def reconcile(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["reconcile", "--data", str(data), *arguments], env={"COLUMNS": "140"})


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), QUIET)


def test_books_that_agree_are_said_to(days: Path, tmp_path: Path) -> None:
    play_day(days, tmp_path)
    result = reconcile(tmp_path)
    assert result.exit_code == 0, result.output
    assert "orders of 2026-11-24" in result.output
    assert "4 orders, 0 positions: agree" in result.output


def test_what_others_did_while_no_engine_ran_is_shown_and_left_as_it_is(days: Path, tmp_path: Path) -> None:
    with pytest.raises(Gone):
        play_day(days, tmp_path, acts=[die_at("09:25")])
    deeds = [by_hand("09:26", call(), Side.BUY, LOT, tag="APP"), by_hand("09:27", call(26100), Side.BUY, LOT)]
    at_the_exchange(days, tmp_path, "09:26", *deeds)
    result, again = reconcile(tmp_path), reconcile(tmp_path, "--date", "2026-11-24")
    assert result.exit_code == 1
    lines = [line.split() for line in result.output.splitlines()]
    assert ["one", "NIFTY", "24-Nov-2026", "26000", "CE", "-130", "-65", "65"] in lines
    assert ["one", "NIFTY", "24-Nov-2026", "26100", "CE", "+0", "+65", "+65"] in lines
    assert result.output.count("foreign order: BUY 65") == 2
    assert again.output == result.output


def test_of_an_earlier_day_the_orders_of_later_ones_are_not_shown(days: Path, tmp_path: Path) -> None:
    play_day(days, tmp_path)
    result = reconcile(tmp_path, "--date", "2026-11-23")
    assert result.exit_code == 0, result.output
    assert "0 orders, 0 positions: agree" in result.output


def test_a_folder_without_books_is_refused(tmp_path: Path) -> None:
    result = reconcile(tmp_path)
    assert result.exit_code == 1
    assert f"has no {TRADING_FILE}" in result.output
    assert not (tmp_path / PAPER_FILE).exists()
