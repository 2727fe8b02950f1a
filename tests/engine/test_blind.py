"""A sold leg whose prices stop coming. The call's last bar is that of 09:25, known from 09:26 on."""

from datetime import timedelta
from pathlib import Path

from option_baskets.engine.trading import Pace
from tests.engine.test_out_rules import PLAIN, ended
from tests.engine.tiny_day import Played, Prices, call, play_day, put, record, steady

TWO_MINUTES = Pace(blind_after=timedelta(minutes=2))


def play(tmp_path: Path, basket: str, pace: Pace) -> Played:
    prices: Prices = {
        "NIFTY": steady("26010"),
        call(): {**steady("100", end="09:26"), **steady("90", start="09:31", end="09:33")},
        put(): steady("80"),
    }
    return play_day(record(tmp_path / "days", prices), tmp_path / "data", basket, pace=pace)


def test_it_is_told_once_for_each_silence(tmp_path: Path) -> None:
    """Silent for two minutes at 09:28; prices again from 09:32; silent once more at 09:35, as the exit is due."""
    played = play(tmp_path, PLAIN, TWO_MINUTES)
    told = [(alert.at.strftime("%H:%M"), alert.subject) for alert in played.day.alerts if alert.code == "blind"]
    assert told == [("09:28", call().key), ("09:35", call().key)]
    assert ended(played) == "time 09:35 90.00"


def test_it_is_left_with_all_legs_of_its_account_where_the_strategy_says_so(tmp_path: Path) -> None:
    basket = PLAIN.replace('exit = "09:35"', 'exit = "09:35"\non_blind = "exit"')
    played = play(tmp_path, basket, TWO_MINUTES)
    assert ended(played) == "blind 09:28 100.00"
    assert ended(played, "2") == "blind 09:28 80.00"
    assert played.run.is_flat


def test_in_a_market_whose_silence_means_nothing_it_is_not_told(tmp_path: Path) -> None:
    assert "blind" not in play(tmp_path, PLAIN, Pace()).alerts
