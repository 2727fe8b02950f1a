"""``baskets payoff``: legs, numbers, curves, margins and a picture of what a file would do on a recorded day."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

from option_baskets.cli import main

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
STRADDLE = EXAMPLES / "straddle-0920.toml"
AT = ("--date", "2022-06-10", "--at", "09:20")

CALENDAR = """
format = 1
[basket]
name = "Two expiries"
capital = 500000
[[accounts]]
id = "z1"
[[strategies]]
name = "Calendar"
underlying = "NIFTY"
entry = "14:00"
exit = "14:40"
naked = true
  [[strategies.legs]]
  id = "near"
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  [[strategies.legs]]
  id = "far"
  side = "BUY"
  type = "CE"
  strike = { rule = "atm" }
  expiry = { series = "weekly", offset = 1 }
  [[strategies.allocations]]
  account = "z1"
  lots = 2
"""


def payoff(*arguments: object, columns: int = 100) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["payoff", *map(str, arguments)])


def shown(*arguments: object, columns: int = 100) -> str:
    result = payoff(*arguments, columns=columns)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_straddle_of_the_example_is_what_can_be_worked_out_by_hand(june_10: Path) -> None:
    """Two lots of 50 sold at 156.40 and 153.55 on 16,300; charges of four orders take 149.67 off."""
    output = shown(STRADDLE, "--data", june_10, *AT)
    assert "SELL 16-Jun 16300 CE     2   -100  156.40  18.15" in output
    assert "net premium received 30,995.00  charges, both ways, 149.67" in output
    assert "most to make +30,845.33  most to lose unbounded" in output
    off = (156.40 + 153.55) - 149.67 / 100
    low, high = re.findall(r"break-even ([\d,.]+) .*?, ([\d,.]+) ", output)[0]
    assert float(low.replace(",", "")) == pytest.approx(16_300 - off, abs=0.006)
    assert float(high.replace(",", "")) == pytest.approx(16_300 + off, abs=0.006)
    assert re.search(r"probability of profit 57 %, were the index lognormal around the forward at 18\.24 %", output)
    assert "at expiry, 16-Jun" in output and "now, 10-Jun 09:20" in output


def test_the_margin_is_labelled_an_estimate_and_is_that_of_the_formula(june_10: Path) -> None:
    output = shown(STRADDLE, "--data", june_10, *AT)
    assert "Margin, estimated" in output
    assert "An estimate from public rates, not the broker's figure" in output
    spot, credit = 16_308.95, 30_995.0
    risk = (spot * 1.093 - 16_300) * 100 - credit
    exposure = 0.02 * spot * 200
    expected = [f"{each:,.0f}" for each in (risk, exposure, 0.0, risk + exposure, risk + exposure + credit)]
    lines = {cells[0]: cells[1:] for line in output.splitlines() if len(cells := line.split()) == 6}
    assert lines["zerodha-1"] == expected
    assert lines["basket"] == expected


def test_every_strategy_is_shown_and_margins_add_up_over_accounts(muhurat: Path) -> None:
    output = shown(EXAMPLES / "conservative-income.toml", "--data", muhurat, "--at", "14:00")
    assert re.search(r"^Iron condor  NIFTY at 2025-10-21 14:00:00", output, re.MULTILINE)
    assert "most to lose" in output and "(the index at 0)" in output
    assert re.search(r"BUY  28-Oct FUT +5 +\+375 ", output)
    lines = [cells for line in output.splitlines() if len(cells := line.split()) == 6 and cells[1][0].isdigit()]
    amounts = {cells[0]: [float(cell.replace(",", "")) for cell in cells[1:]] for cells in lines if "-" in cells[0]}
    total = next([float(cell.replace(",", "")) for cell in cells[1:]] for cells in lines if cells[0] == "basket")
    assert set(amounts) == {"zerodha-1", "angelone-1", "finvasia-1"}
    np.testing.assert_allclose(np.sum(list(amounts.values()), axis=0), total, atol=3.0)


def test_one_strategy_can_be_named_and_an_earlier_curve_moved_in_time_and_volatility(muhurat: Path) -> None:
    which = ("--data", muhurat, "--at", "14:00", "--strategy", "iron CONDOR")
    output = shown(EXAMPLES / "conservative-income.toml", *which, "--days", 2, "--volatility", 3)
    assert "Covered call" not in output
    assert "23-Oct 14:00, volatility +3 points" in output


def test_two_expiries_end_with_the_earlier_and_their_loss_is_bounded(muhurat: Path, tmp_path: Path) -> None:
    file = tmp_path / "calendar.toml"
    file.write_text(CALENDAR, encoding="utf-8")
    output = shown(file, "--data", muhurat)
    assert "at 2025-10-21 14:00:00" in output  # without --at, its own entry
    assert "net premium paid" in output and "unbounded" not in output
    assert len(re.findall(r"\([+-]\d\.\d\d %\)", output)) == 2


def test_the_picture_has_profit_loss_and_todays_line(june_10: Path, tmp_path: Path) -> None:
    picture = tmp_path / "straddle.png"
    shown(STRADDLE, "--data", june_10, *AT, "--png", picture)
    pixels = (imread(picture)[:, :, :3] * 255).round().astype(int)
    assert pixels.shape[:2] == (928, 1600)
    for colour in ("2a8c55", "c6433f", "2f6fb5"):
        wanted = [int(colour[place : place + 2], 16) for place in (0, 2, 4)]
        assert (np.abs(pixels - wanted).max(axis=2) <= 2).sum() > 500


def test_it_fits_a_terminal_of_eighty_columns(muhurat: Path) -> None:
    output = shown(EXAMPLES / "conservative-income.toml", "--data", muhurat, "--at", "14:00", columns=80)
    drawn = [line for line in output.splitlines() if "│" in line or "SELL" in line or "zerodha-1" in line]
    assert drawn and "…" not in output
    assert max(map(len, drawn)) <= 80


def test_what_the_engine_would_not_enter_is_told_and_is_an_error_if_nothing_is_left(june_10: Path) -> None:
    result = payoff(EXAMPLES / "conservative-income.toml", "--data", june_10, *AT, "--strategy", "Covered call")
    assert result.exit_code != 0
    said = " ".join(result.output.split())
    assert "Covered call: leg future: NIFTY has 0 listed monthly expiries" in said
    assert "no strategy of" in said and "try another --at" in said


def test_a_strategy_that_its_schedule_would_not_trade_that_day_is_shown_and_says_so(
    june_10: Path, tmp_path: Path
) -> None:
    """2022-06-10 was a Friday."""
    assert "not due" not in shown(STRADDLE, "--data", june_10, *AT)
    text = STRADDLE.read_text(encoding="utf-8").replace(', "FRI"]', "]").replace("0920 straddle", "Four [red]days")
    (tmp_path / "four.toml").write_text(text, encoding="utf-8")
    output = shown(tmp_path / "four.toml", "--data", june_10, *AT)
    assert "Four [red]days  NIFTY at" in output
    assert "not due on this day by its own schedule" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--strategy", "Condor"), "there is no strategy 'Condor' in that file; it has 0920 straddle"),
        (("--volatility", "nan"), "nan is not a number to reckon with"),
        (("--days", "9"), "9 days lie beyond the earliest expiry, in 6.26"),
        (("--png", "straddle.txt"), "'straddle.txt' does not end in a kind of picture"),
    ],
)
def test_a_slip_is_told_with_the_way_out(june_10: Path, arguments: tuple[str, ...], says: str) -> None:
    result = payoff(STRADDLE, "--data", june_10, *AT, *arguments)
    assert result.exit_code != 0
    assert says in " ".join(result.output.split())


def test_without_matplotlib_a_picture_says_what_to_install(june_10: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from option_baskets.cli import main; main()"
    words = ["smile", str(june_10), "--at", "09:20", "--png", str(tmp_path / "s.png")]
    found = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "pictures need matplotlib: pip install 'option-baskets[plot]'" in found.stderr
    assert "implied volatility in %" in found.stdout
