"""The short form of ``make chaos``."""

from pathlib import Path

import pytest

from tests.chaos.lives import compare


@pytest.mark.parametrize("seed", [10, 11])
def test_a_day_with_twenty_kills_trades_what_an_uninterrupted_day_does(seed: int, tmp_path: Path) -> None:
    """No order lost, doubled or unknown, no short without its hedge, everybody flat, every lot accounted for."""
    day = compare(tmp_path, seed, kills=20)
    assert day.faults == []
    assert len(day.kills) >= 15
    assert len(day.excused) <= 1
