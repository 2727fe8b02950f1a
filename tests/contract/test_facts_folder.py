"""A folder of later revisions: each row in force without code, each bad row named with file, row, value and way out."""

import csv
import re
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.charges import order_charges
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Facts, ListedSeries
from option_baskets.domain.instrument import all_expiries, freeze_quantity, lot_size
from option_baskets.domain.session import next_session_day, session_on

WEEKLY = ListedSeries.WEEKLY


def with_rows(folder: Path, name: str, *lines: str) -> Facts:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load(folder)


def problems(folder: Path, name: str, *lines: str) -> list[str]:
    with pytest.raises(Invalid) as raised:
        with_rows(folder, name, *lines)
    return [str(problem) for problem in raised.value.problems]


def test_an_empty_folder_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path).lots == load().lots


def test_a_later_lot_replaces_the_open_ended_one(tmp_path: Path) -> None:
    facts = with_rows(tmp_path, "lots.csv", "underlying,series,lot,first_expiry", "NIFTY,weekly,75,2027-02-02")
    on = date(2027, 1, 20)
    lots = [lot_size(facts, "NIFTY", date(2027, month, day), WEEKLY, on) for month, day in ((1, 25), (2, 2))]
    assert lots == [65, 75]


def test_a_sudden_holiday_closes_the_exchange_and_moves_the_expiry(tmp_path: Path) -> None:
    facts = with_rows(tmp_path, "holidays.csv", "date,name,exchanges", "2026-12-01,Mourning,NSE;BSE")
    monday = date(2026, 11, 30)
    assert session_on(facts, date(2026, 12, 1)) is None
    assert [each.date for each in all_expiries(facts, "NIFTY", monday, date(2026, 12, 7))] == [monday]


def test_a_holiday_can_be_taken_back(tmp_path: Path) -> None:
    facts = with_rows(
        tmp_path, "holidays.csv", "date,name,exchanges,withdrawn", "2026-11-24,Prakash Gurpurb,NSE;BSE,yes"
    )
    assert next_session_day(facts, date(2026, 11, 23)) == date(2026, 11, 24)


def test_a_new_weekday_holds_from_its_date(tmp_path: Path) -> None:
    facts = with_rows(
        tmp_path, "expiry_rules.csv", "underlying,series,weekday,effective_from", "NIFTY,weekly,Monday,2027-02-01"
    )
    dates = [each.date for each in all_expiries(facts, "NIFTY", date(2027, 1, 18), date(2027, 2, 9))]
    assert dates == [date(2027, 1, 19), date(2027, 1, 26), date(2027, 2, 1), date(2027, 2, 8)]


def test_a_confirmed_muhurat_hour_replaces_the_provisional_one(tmp_path: Path) -> None:
    facts = with_rows(tmp_path, "special_sessions.csv", "date,kind,windows", "2026-11-08,muhurat,18:00-19:00")
    session = session_on(facts, date(2026, 11, 8))
    assert session is not None and f"{session.open:%H:%M}" == "18:00"


def test_a_new_freeze_list_and_a_new_tax_hold_from_their_dates(tmp_path: Path) -> None:
    with_rows(tmp_path, "freeze_quantities.csv", "underlying,quantity,effective_from", "NIFTY,4000,2026-12-01")
    facts = with_rows(
        tmp_path,
        "charges.csv",
        "charge,exchanges,instruments,side,percent,effective_from",
        "stt,NSE;BSE,option,sell,0.2,2027-04-01",
    )
    assert [freeze_quantity(facts, "NIFTY", date(2026, month, 1)) for month in (11, 12)] == [3510, 4000]
    stt = [
        order_charges(
            facts,
            broker="zerodha",
            exchange="NSE",
            type=ContractType.CE,
            side=Side.SELL,
            quantity=1,
            value=Decimal(100),
            on=on,
        ).stt
        for on in (date(2027, 3, 31), date(2027, 4, 1))
    ]
    assert stt == [Decimal("0.15"), Decimal("0.2")]


def test_a_new_underlying_is_known_to_every_table(tmp_path: Path) -> None:
    with_rows(
        tmp_path,
        "underlyings.csv",
        "underlying,exchange,index_name,strike_step,tick",
        "NIFTYFPI,NSE,Nifty India FPI 150,100,0.05",
    )
    facts = with_rows(tmp_path, "lots.csv", "underlying,series,lot", "NIFTYFPI,monthly,1100")
    assert lot_size(facts, "NIFTYFPI", date(2026, 12, 29), "monthly", date(2026, 12, 1)) == 1100


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("lots.csv", ("underlying,series,lot", "NIFTY,weekly,0"), "lots.csv row 2: lot is 0; give a number of units"),
        ("lots.csv", ("underlying,series,lot", "NIFTY,weekly,6.5"), "lots.csv row 2: lot '6.5' is not a whole number"),
        (
            "lots.csv",
            ("underlying,series,lot", "NIFTY,daily,65"),
            "lots.csv row 2: series 'daily' is not one of weekly",
        ),
        (
            "lots.csv",
            ("underlying,series,lot", "NIFY,weekly,65"),
            "lots.csv row 2: underlying 'NIFY' is not known; it is",
        ),
        ("lots.csv", ("underlying,series,lot", "NIFTY,weekly,"), "lots.csv row 2: lot is empty; it needs a value"),
        (
            "lots.csv",
            ("underlying,series,lot", "NIFTY,weekly,1,2"),
            "lots.csv row 2: has 4 values for 3 columns; quote",
        ),
        (
            "lots.csv",
            ("underlying,series,lot,hue", "NIFTY,weekly,65,"),
            "lots.csv: has no column 'hue'; its columns are",
        ),
        (
            "holidays.csv",
            ("date,name,exchanges", "20270105,x,NSE"),
            "holidays.csv row 2: date '20270105' is not a date",
        ),
        ("lots.csv", ("underlying,series", "NIFTY,weekly"), "lots.csv: lacks the column 'lot'; name it in the first"),
        ("sessions.csv", ("hours,final_settlement", "9-15,x"), "sessions.csv row 2: hours '9-15' is not a span of"),
        ("sessions.csv", ("hours,final_settlement", "15:30-09:15,x"), "sessions.csv row 2: hours '15:30-09:15'"),
        (
            "special_sessions.csv",
            ("date,kind,windows", "2027-01-02,full,11:00-12:00;09:15-10:00"),
            "special_sessions.csv row 2: windows '11:00-12:00;09:15-10:00' is out of order",
        ),
        (
            "expiry_rules.csv",
            ("underlying,series,weekday", "NIFTY,weekly,Tue"),
            "expiry_rules.csv row 2: weekday 'Tue' is not one of Monday",
        ),
        (
            "brokerage.csv",
            ("broker,instrument,rupees", "zerodha,option,-20"),
            "brokerage.csv row 2: rupees '-20' is not a number of 0 or more",
        ),
        (
            "lots.csv",
            ("underlying,series,lot,first_expiry,last_expiry", "NIFTY,weekly,65,2027-02-02,2027-01-05"),
            "lots.csv row 2: last_expiry 2027-01-05 is before first_expiry 2027-02-02",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_value_and_the_way_out(
    tmp_path: Path, name: str, lines: tuple[str, ...], message: str
) -> None:
    (found,) = problems(tmp_path, name, *lines)
    assert found.startswith(message)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lots.csv").write_bytes(b"underlying,series\xff\xfe")
    with pytest.raises(Invalid, match=r"lots\.csv: is not CSV in UTF-8"):
        load(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is not a folder"):
        load(tmp_path / "absent")


def test_the_folder_in_the_documentation_works_as_written(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "market-facts.md").read_text(encoding="utf-8")
    written = re.findall(r"^my-facts/(\S+)\n((?:[^`\n]+\n)+)", text, re.MULTILINE)
    for name, lines in written:
        (tmp_path / name).write_text(lines, encoding="utf-8")
    facts = load(tmp_path)
    assert [name for name, _ in written] == ["lots.csv", "holidays.csv"]
    assert lot_size(facts, "NIFTY", date(2027, 1, 5), WEEKLY, date(2027, 1, 4)) == 75
    assert session_on(facts, date(2026, 12, 1)) is None


def test_every_source_a_row_names_is_explained() -> None:
    folder = files("option_baskets") / "facts"
    explained = set(re.findall(r"\b[A-Z]\d+\b", (folder / "README.md").read_text(encoding="utf-8")))
    for path in (each for each in folder.iterdir() if each.name.endswith(".csv")):
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            ids = {source for source in row["sources"].split(";") if "/" not in source}
            assert (ids and ids <= explained) or "/" in row["sources"], (path.name, row)
