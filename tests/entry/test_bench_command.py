"""``baskets bench``: it measures the real timer, says what it found, and its arithmetic is right."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from option_baskets.adapters.clock import run_real
from option_baskets.cli import main
from option_baskets.cli.precision import Precision, measured, our_timer


def test_the_timer_is_measured_beside_a_plain_sleep() -> None:
    arguments = ["bench", "timer", "--boundaries", "20", "--length", "0.01", "--no-busy"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    rows = {line.split("idle")[0].strip(): line.split() for line in result.output.splitlines() if " idle " in line}
    assert {"ours", "APScheduler 3", "plain sleep"} <= set(rows)
    assert "met     0 wake-ups before their boundary" in result.output
    assert "of a core at one-minute boundaries (61 wake-ups)" in result.output


def test_work_at_each_boundary_is_done_in_order_and_its_cpu_is_not_the_timer_s() -> None:
    seen: list[datetime] = []

    async def work(at: datetime) -> None:
        seen.append(at)
        sum(range(100_000))

    result = run_real(measured(our_timer, 20, timedelta(milliseconds=10), work))
    assert seen == [seen[0] + n * timedelta(milliseconds=10) for n in range(20)]
    assert seen[0].tzinfo is UTC
    assert result.early == 0
    assert len(result.offsets) == 20


def test_percentiles_are_offsets_that_were_measured() -> None:
    result = Precision(offsets=[float(n) for n in range(200, 0, -1)])
    assert [result.percentile(percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]


@pytest.mark.parametrize("growth", [0.0, 0.5])
def test_offsets_that_grow_are_seen_as_drift(growth: float) -> None:
    result = Precision(offsets=[0.3 + growth * n for n in range(100)])
    assert result.drift == pytest.approx(1000 * growth)
    assert result.moved == pytest.approx(50 * growth)


def test_an_offset_below_zero_counts_as_early() -> None:
    assert Precision(offsets=[-0.001, 0.0, 0.4]).early == 1
