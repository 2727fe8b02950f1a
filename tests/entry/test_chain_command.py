"""``baskets chain``: what it prints of a recorded instant, and what it says to a slip."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.cli import main
from tests.entry.conftest import made


def chain(*arguments: object, columns: int = 100) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["chain", *map(str, arguments)])


def shown(*arguments: object, columns: int = 100) -> str:
    result = chain(*arguments, columns=columns)
    assert result.exit_code == 0, result.output
    return result.output


def rows(output: str) -> dict[str, list[str]]:
    """The table's lines by strike."""
    found = {}
    for line in output.splitlines():
        cells = line.split()
        strikes = [cell for cell in cells if re.fullmatch(r"\d{5}", cell)]
        if len(strikes) == 1 and len(cells) >= 11:
            found[strikes[0]] = cells
    return found


def test_the_recorded_straddle_forward_and_greeks_are_shown_around_the_money(june_10: Path) -> None:
    output = shown(june_10, "--date", "2022-06-10", "--at", "09:20", "--underlying", "NIFTY", "--strikes", 2)
    assert "NIFTY 16-Jun-2022  at 2022-06-10 09:20:00, 6.26 days to its close at 15:30" in output
    assert "spot 16,308.95  forward 16,303.75  straddle 309.95  IV 18.24 %" in output
    table = rows(output)
    assert list(table) == ["16200", "16250", "16300", "16350", "16400"]
    assert " ".join(table["16300"]) == "8.5 -12.3 0.509 18.15 156.40 16300 ATM 153.55 18.25 -0.491 -12.4 8.5"
    assert "ATM" not in " ".join(table["16250"])


def test_it_fits_a_terminal_of_eighty_columns(june_10: Path) -> None:
    output = shown(june_10, "--at", "09:20", columns=80)
    assert "…" not in output
    assert max(map(len, output.splitlines())) <= 80
    assert len(rows(output)) == 21


def test_open_interest_gives_ratio_and_max_pain_and_without_it_they_are_not_said(june_10: Path, muhurat: Path) -> None:
    with_interest = shown(muhurat, "--at", "14:00", "--wide")
    assert re.search(r"PCR \d\.\d\d  max pain \d\d,\d\d0", with_interest)
    assert "gamma" in with_interest and "OI" in with_interest
    assert [len(cells) for cells in rows(with_interest).values()].count(15) == 20  # and the one marked ATM
    without = shown(june_10, "--at", "09:20")
    assert "PCR -  max pain -" in without
    assert "no open interest is recorded" in without


def test_an_expiry_is_chosen_by_number_or_date(muhurat: Path) -> None:
    nearest, second = (shown(muhurat, "--at", "14:00", "--expiry", each).splitlines()[0] for each in ("0", "1"))
    assert nearest.startswith("NIFTY 28-Oct-2025") and second.startswith("NIFTY 04-Nov-2025")
    assert shown(muhurat, "--at", "14:00", "--expiry", "2025-11-04").splitlines()[0] == second


def test_without_day_and_time_it_is_the_close_of_the_last_recorded_day(muhurat: Path) -> None:
    assert "at 2025-10-21 14:45:00" in shown(muhurat)


def test_the_rank_places_the_volatility_between_those_of_earlier_days_open_at_that_time(tmp_path: Path) -> None:
    """Four Muhurat hours; that of 2025 was in the afternoon and has no 18:30."""
    evenings = ("2023-11-12", "2024-11-01", "2026-11-08")
    for seed, day in enumerate((*evenings, "2025-10-21")):
        made("simulate", "--from", day, "--out", tmp_path, "--seed", seed, "--volatility", (8, 40, 18, 30)[seed])
    at = ("--at", "18:30", "--rank", "--date")
    first, second, last = (shown(tmp_path, *at, day) for day in evenings)
    assert "IV rank: needs two earlier recorded days" in first
    assert "IV rank: needs two earlier recorded days" in second
    low, high, now = (float(re.findall(r"IV (\d+\.\d+) %", output)[0]) for output in (first, second, last))
    place = re.findall(r"IV rank (-?\d+), percentile (\d+), of 2 earlier days", last)[0]
    assert abs(int(place[0]) - (now - low) / (high - low) * 100) < 1
    assert int(place[1]) == 50 * ((low < now) + (high < now))


def test_before_the_first_bar_has_ended_no_price_is_known(june_10: Path) -> None:
    output = shown(june_10, "--at", "09:15")
    assert "forward -  straddle -  IV - %" in output
    assert "no price is known yet at that time; try a later --at" in output


def test_on_the_last_minute_of_an_expiry_nothing_is_invented(shared: Path, tmp_path: Path) -> None:
    table = shared / "data" / "intraday" / "nse_index_chain_5min_2026.parquet"
    made("import", "nse-chain", table, "--date", "2026-02-03", "--out", tmp_path)
    output = shown(tmp_path, "--underlying", "nifty", "--strikes", 1)
    assert "NIFTY 03-Feb-2026  at 2026-02-03 15:30:00, it has expired" in output
    assert "IV - %" in output and "risk reversal -  slope -" in output
    assert "Greeks are those of intrinsic value" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--at", "08:00"), "08:00:00 is outside the session of 2025-10-21, 13:45 to 14:45"),
        (("--at", "920"), "'920' is not a time of the day; write it as 09:20"),
        (("--at", "14:00+05:30"), "is not a time of the day"),
        (("--expiry", "99"), "NIFTY has no expiry '99'; those with options are 0: 2025-10-28, 1: 2025-11-04"),
        (("--underlying", "SENSEX"), "no options of SENSEX are recorded that day; there are options of NIFTY"),
        (("--date", "2025-10-22"), "has no session of 2025-10-22; it has 1 dates"),
    ],
)
def test_a_slip_is_told_with_the_way_out(muhurat: Path, arguments: tuple[str, ...], says: str) -> None:
    result = chain(muhurat, *arguments)
    assert result.exit_code != 0
    assert says in " ".join(result.output.split())


def test_an_empty_folder_is_told_how_to_be_filled(tmp_path: Path) -> None:
    assert "make some with baskets import or baskets simulate" in chain(tmp_path).output
