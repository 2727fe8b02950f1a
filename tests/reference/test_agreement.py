"""The engine does what the rules page says, on cases nobody chose."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reference.agreement import blocks, compare, kind_of
from tests.reference.conftest import Days
from tests.reference.tally import Tally

SEED = 1
"""Other seeds are for ``make fuzz``."""
SAMPLE: tuple[tuple[str, int, range], ...] = (
    *(("nifty", block, range(120 * block, 120 * (block + 1))) for block in range(7)),
    ("simulated", 0, range(140)),
    ("banknifty", 0, range(210)),
)
"""Days that follow each other, and the strategies played on them."""
LEAST = 2000
"""Cases of the sample in which a leg entered."""
LEAST_OF_EACH = 20
"""Cases a rule has to be part of, and legs a reason has to close."""


@pytest.mark.parametrize(("kind", "block", "numbers"), SAMPLE, ids=[f"{kind}-{block}" for kind, block, _ in SAMPLE])
def test_engine_and_reference_agree_on_every_entry_exit_price_and_reason(
    kind: str,
    block: int,
    numbers: range,
    days: Days,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, str], None],
) -> None:
    folder = days(kind)
    tally = compare(blocks(folder)[block], SEED, numbers, kind_of(folder), tmp_path)
    assert not tally.disagreements, "\n".join(tally.disagreements[:3])
    assert tally.cases
    whole = _gathered(tally, f"{kind}-{block}", tmp_path_factory)
    if whole is not None:
        record_property("tally", f"engine and reference, seed {SEED}: {whole}")
        assert whole.cases >= LEAST
        assert not whole.seldom(LEAST_OF_EACH)


def _gathered(tally: Tally, name: str, factory: pytest.TempPathFactory) -> Tally | None:
    """All that the sample counted, for the part of it that ends last, on whichever worker; None before."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tallies"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{name}.json").write_text(json.dumps(tally.counts()), encoding="utf-8")
        parts = sorted(folder.glob("*.json"))
        if len(parts) < len(SAMPLE):
            return None
        whole = Tally()
        for part in parts:
            whole.add(Tally.of(json.loads(part.read_text(encoding="utf-8"))))
        return whole
