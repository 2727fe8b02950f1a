"""The short form of ``make chaos``."""

from pathlib import Path

import pytest

from tests.chaos.lives import compare


@pytest.mark.parametrize(("seed", "power"), [(10, False), (11, True)], ids=["killed", "without power"])
def test_a_day_with_twenty_kills_trades_what_an_uninterrupted_day_does(seed: int, power: bool, tmp_path: Path) -> None:
    """No order lost, doubled or unknown, no short without its hedge, everybody flat, every lot accounted for."""
    day = compare(tmp_path, seed, kills=20, power=power)
    assert day.faults == []
    assert len(day.kills) >= 15
    assert len(day.excused) <= 1
