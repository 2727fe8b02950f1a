"""What a replayed day looks like in the terminal: what is told, when, and how often."""

from pathlib import Path

from click.testing import CliRunner

from option_baskets.cli import main
from tests.engine.tiny_day import DAY, QUIET, STRADDLE, call, put, record


def shown(tmp_path: Path, text: str) -> list[str]:
    """The lines of the day with single spaces; two accounts."""
    text = text.replace('id = "one"', 'id = "one"\n[[accounts]]\nid = "two"')
    text += '  [[strategies.allocations]]\n  account = "two"\n  lots = 1\n'
    basket = tmp_path / "basket.toml"
    basket.write_text(f"format = 1\n{text}", encoding="utf-8")
    days = record(tmp_path / "days", QUIET)
    result = CliRunner().invoke(
        main, ["replay", str(days), "--basket", str(basket), "--date", f"{DAY}"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_what_a_strategy_waited_for_in_vain_is_told_once_at_its_exit(tmp_path: Path) -> None:
    """A premium of 180 that would have to come to 90, over two legs and two accounts."""
    told = shown(tmp_path, STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\nwait = { percent = -50 }'))
    waits = "waits for the net premium at 90.00 or less, from 180.00 at 09:20"
    assert [line for line in told if "not_triggered" in line] == [f"09:35:00 straddle skipped not_triggered {waits}"]


def test_legs_that_waited_in_vain_are_told_one_by_one(tmp_path: Path) -> None:
    basket = STRADDLE.replace('type = "CE"', 'type = "CE"\n  wait = { points = 10 }')
    told = shown(tmp_path, basket.replace('type = "PE"', 'type = "PE"\n  wait = { percent = -5 }'))
    assert [line for line in told if "not_triggered" in line] == [
        f"09:35:00 straddle skipped not_triggered waits for {call().name} at 110.00 or more, from 100.00 at 09:20",
        f"09:35:00 straddle skipped not_triggered waits for {put().name} at 76.00 or less, from 80.00 at 09:20",
    ]


def test_alerts_of_one_kind_are_counted_after_the_third_and_say_what_to_write(tmp_path: Path) -> None:
    """Two legs on two accounts expire without a settlement price."""
    told = shown(tmp_path, STRADDLE.replace('exit = "09:35"', 'exit = "15:45"\nsettle = true'))
    alerts = [line for line in told if "no_settlement_price" in line]
    assert len(alerts) == 4
    assert alerts[-1] == "… and 1 more no_settlement_price; --json has them all"
    assert "a line DATE,UNDERLYING,PRICE,SOURCE in settlements.csv beside the recorded days settles it" in told
