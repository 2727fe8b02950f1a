"""``baskets explain`` of limits: how much of each an entry takes, what one ended, and rules alone, without them."""

from pathlib import Path

from tests.engine.tiny_day import STRADDLE, call, record, steady
from tests.entry.test_explain_command import PRICES, basket_of, explained, lines


def limited(limits: str) -> str:
    return STRADDLE.replace("lots = 2", f"lots = 2\n  limits = {{ {limits} }}")


def test_each_limit_of_size_is_told_with_what_the_entry_takes(tmp_path: Path) -> None:
    """Two lots of each leg; 130 x 100 and 130 x 80 are 23,400. 1 % of 500,000 is 5,000, and the margin is far more."""
    days = record(tmp_path / "days", PRICES)
    limits = "max_daily_trades = 2, max_lots = 5, max_position_value = 23400, max_margin_percent = 1"
    told = lines(explained(basket_of(tmp_path, limited(limits)), days))
    assert "one entries a day 2 2" in told
    assert "one lots 5 4" in told
    assert "one position value ₹23,400.00 ₹23,400.00" in told
    (margin,) = [line for line in told if line.startswith("one estimated margin ₹5,000.00 ₹")]
    assert margin.endswith("refused")
    assert any(line.startswith("Skipped: an estimated margin of") and "(max_margin)" in line for line in told)


def test_a_rule_stands_alone_without_the_limit_that_ended_the_day(tmp_path: Path) -> None:
    """At 120, 2,600 and charges are lost at 09:24; the stop alone fires at 125, at 09:27."""
    days = record(tmp_path / "days", {**PRICES, call(): steady("100", at0923="120", at0926="125")})
    text = limited("max_daily_loss = 2500").replace('id = "one"', 'id = "one"\nmax_daily_loss = 2600')
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "At a net loss of ₹2,500 in a day it is closed on one and not entered again." in told
    assert "stop of leg 1 one 125.00 -₹3,250.00 fires at 09:27, out at 125.00" in told
    (call_,) = [line for line in told if line.startswith("one: SELL 130 of leg 1")]
    assert "out at 120.00 at 09:24 (allocation_stop, -₹2,600.00 before charges)" in call_
