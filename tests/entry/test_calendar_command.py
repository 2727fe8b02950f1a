"""What ``baskets calendar`` prints, with the package's facts and with a folder of a user's own rows."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.cli import main


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> "Calendar":
    monkeypatch.setenv("COLUMNS", "100")
    return Calendar()


class Calendar:
    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["calendar", *arguments])

    def month(self, month: str, facts: Path | None = None) -> str:
        result = self.run("--month", month, *(("--facts", str(facts)) if facts else ()))
        assert result.exit_code == 0, result.output
        return result.output


def row(output: str, start: str) -> str:
    """The row that begins so, with what it has on following lines, in single spaces."""
    match = re.search(rf"^ {re.escape(start)}.*\n(?: {{12,}}\S.*\n)*", output, re.MULTILINE)
    assert match, f"no row {start!r} in\n{output}"
    return " ".join(match.group().split())


def test_this_month_has_its_sessions_holidays_expiries_and_lots(calendar: Calendar) -> None:
    november = calendar.month("2026-11")
    assert row(november, "Tue 03 Nov") == "Tue 03 Nov 09:15-15:40 NIFTY 65"
    assert row(november, "Sun 08 Nov") == "Sun 08 Nov 18:15-19:15, Muhurat, not confirmed"
    assert row(november, "Tue 10 Nov") == "Tue 10 Nov closed: Diwali Balipratipada"
    assert row(november, "Mon 23 Nov") == (
        "Mon 23 Nov 09:15-15:40 monthly: NIFTY 65, BANKNIFTY 30, FINNIFTY 60, MIDCPNIFTY 120, NIFTYNXT50 25"
    )
    assert row(november, "NIFTY ") == "NIFTY NSE 03, 09, 17 23 65 3510 50"
    assert "Sat " not in november


def test_no_line_is_longer_than_the_screen(calendar: Calendar) -> None:
    months = [f"{year}-{month:02}" for year in (2024, 2026) for month in range(1, 13)]
    assert max(len(line) for month in months for line in calendar.month(month).splitlines()) <= 100


def test_a_change_of_hours_inside_a_month_shows_on_its_days(calendar: Calendar) -> None:
    december = calendar.month("2026-12")
    assert row(december, "Fri 04 Dec") == "Fri 04 Dec 09:15-15:40"
    assert row(december, "Mon 07 Dec") == "Mon 07 Dec 09:15-15:45"
    assert "07 Dec to 31 Dec: a contract stops at 15:30 on its expiry day." in december
    assert "07 Dec to 31 Dec: the hours are not confirmed by an exchange circular." in december


def test_a_year_without_known_holidays_is_said_to_be_one(calendar: Calendar) -> None:
    assert "The holidays of 2027 are not known" in calendar.month("2027-03")
    assert "No expiry rule of this month is known" in calendar.month("2022-06")


def test_without_a_month_it_is_the_present_one(calendar: Calendar) -> None:
    result = calendar.run()
    assert result.exit_code == 0
    assert re.match(r"[A-Z][a-z]+ 20\d\d  hours in IST", result.output)


def test_a_month_of_another_shape_is_refused_with_an_example(calendar: Calendar) -> None:
    result = calendar.run("--month", "2026-13")
    assert result.exit_code == 2
    assert "'2026-13' is not a month; write it as 2026-11" in result.output


def test_rows_of_a_users_folder_take_effect(calendar: Calendar, tmp_path: Path) -> None:
    (tmp_path / "lots.csv").write_text(
        "underlying,series,lot,first_expiry\nNIFTY,weekly,75,2027-01-05\nNIFTY,monthly,75,2027-01-26\n"
    )
    (tmp_path / "holidays.csv").write_text("date,name,exchanges\n2027-01-19,Election,NSE;BSE\n2027-01-22,Test,NSE\n")
    january = calendar.month("2027-01", tmp_path)
    assert row(january, "Tue 05 Jan").endswith("NIFTY 75")
    assert row(january, "Mon 18 Jan").endswith("NIFTY 75")
    assert row(january, "Tue 19 Jan") == "Tue 19 Jan closed: Election"
    assert row(january, "Fri 22 Jan") == "Fri 22 Jan NSE closed: Test; BSE 09:15-15:45"
    assert row(calendar.month("2027-01"), "Tue 19 Jan").endswith("NIFTY 65")


def test_what_is_wrong_in_a_users_folder_is_told_all_at_once(calendar: Calendar, tmp_path: Path) -> None:
    (tmp_path / "holidays.csv").write_text("date,name,exchanges\n19-01-2027,Election,NSE\n2027-01-20,Strike,MCX\n")
    (tmp_path / "lot.csv").write_text("underlying,lot\n")
    result = calendar.run("--month", "2027-01", "--facts", str(tmp_path))
    assert result.exit_code == 1
    assert "holidays.csv row 2: date '19-01-2027' is not a date; write it as 2026-11-23" in result.output
    assert "holidays.csv row 3: exchanges 'MCX' is not one of NSE, BSE" in result.output
    assert "lot.csv: is not a table of facts; the tables are sessions.csv, holidays.csv" in result.output
