"""The engine does what the rules page says, on cases nobody chose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reference.agreement import compare
from tests.reference.conftest import Days

SEED = 1
"""Other seeds are for ``make fuzz``."""


@pytest.mark.parametrize(
    ("kind", "part", "numbers", "least"),
    [
        ("nifty", slice(0, 9), range(50), 300),
        ("nifty", slice(9, 18), range(50, 100), 300),
        ("simulated", slice(1), range(80), 40),
        ("banknifty", slice(1), range(120), 40),
    ],
    ids=["nifty-june", "nifty-later", "simulated", "banknifty"],
)
def test_engine_and_reference_agree_on_every_entry_exit_price_and_reason(
    kind: str,
    part: slice,
    numbers: range,
    least: int,
    days: Days,
    tmp_path: Path,
    record_property: Callable[[str, str], None],
) -> None:
    tally = compare(days(kind), SEED, numbers, tmp_path, part)
    record_property("tally", f"{kind}, seed {SEED}, strategies {numbers.start} to {numbers.stop - 1}: {tally}")
    assert not tally.disagreements, "\n".join(tally.disagreements[:3])
    assert tally.cases >= least
