"""Expiries, lots and freeze quantities against the exchange's own files."""

import csv
import gzip
import json
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Exchange, Facts, ListedSeries
from option_baskets.domain.instrument import (
    ListedExpiry,
    all_expiries,
    exchange_of,
    freeze_quantity,
    listed_expiries,
    lot_size,
    strike_step,
    tick_size,
)

TODAY = date(2026, 11, 23)
WEEKLY, MONTHLY, LONG = ListedSeries


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load()


def dates(listed: tuple[ListedExpiry, ...], *series: ListedSeries) -> list[date]:
    return [expiry.date for expiry in listed if expiry.series in (series or tuple(ListedSeries))]


def test_every_weekly_and_monthly_expiry_and_its_lot_of_2023_to_2026_comes_out_of_the_rules(
    facts: Facts, shared: Path
) -> None:
    with (shared / "market" / "expiry_dates_2023_2026.csv").open(encoding="utf-8") as file:
        expected = [(row["underlying"], row["expiry"], row["series"], int(row["lot"])) for row in csv.DictReader(file)]
    computed = [
        (
            name,
            expiry.date.isoformat(),
            str(expiry.series),
            lot_size(facts, name, expiry.date, expiry.series, expiry.date),
        )
        for name in facts.names
        for expiry in all_expiries(facts, name, date(2023, 1, 1), date(2026, 12, 31))
    ]
    assert len(expected) == 911
    assert sorted(computed) == sorted(expected)


def test_the_contract_list_and_the_lots_of_every_recorded_day_are_those_of_the_exchange_file(
    facts: Facts, shared: Path
) -> None:
    import polars as pl

    path = shared / "data" / "eod" / "udiff_index_fo_2025-01_2026-03.parquet"
    rows = pl.scan_parquet(path).select("TckrSymb", "TradDt", "XpryDt", "NewBrdLotQty").unique().collect()
    seen: dict[tuple[str, date], dict[date, int]] = defaultdict(dict)
    for name, day, expiry, lot in rows.iter_rows():
        seen[name, date.fromisoformat(day)][date.fromisoformat(expiry)] = lot
    assert (len(seen), rows.height) == (4 * 66, sum(map(len, seen.values())))
    for (name, day), lots in seen.items():
        listed = listed_expiries(facts, name, day, long_dated=True)
        assert {each.date: lot_size(facts, name, each.date, each.series, day) for each in listed} == lots, (name, day)


def test_the_contract_list_before_the_june_2023_holiday_was_moved_is_that_of_the_exchange_file(
    facts: Facts, shared: Path
) -> None:
    day = date(2023, 5, 26)
    seen: dict[str, set[date]] = defaultdict(set)
    with gzip.open(shared / "data" / "eod" / "legacy" / "fo26MAY2023bhav.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["INSTRUMENT"] == "OPTIDX":
                seen[row["SYMBOL"]].add(datetime.strptime(row["EXPIRY_DT"], "%d-%b-%Y").date())  # noqa: DTZ007
    names = ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY")
    for name in names:
        last = dates(listed_expiries(facts, name, day))[-1]
        assert dates(listed_expiries(facts, name, day)) == sorted(each for each in seen[name] if each <= last), name


@pytest.mark.parametrize("name", ["NIFTY", "BANKNIFTY"])
def test_the_contract_list_of_july_2025_still_has_thursdays(facts: Facts, shared: Path, name: str) -> None:
    path = shared / "data" / "chain_json" / f"option-chain-indices_{name}_2025-07-17.json.gz"
    texts = json.loads(gzip.decompress(path.read_bytes()))["records"]["expiryDates"]
    seen = [datetime.strptime(text, "%d-%b-%Y").date() for text in texts]  # noqa: DTZ007
    near = [each for each in seen if each < date(2026, 6, 1)]
    listed = listed_expiries(facts, name, date(2025, 7, 17), long_dated=True)
    assert [each for each in dates(listed) if each < date(2026, 6, 1)] == near


def test_lots_traded_on_a_day_of_2025_are_those_of_the_tables(facts: Facts, shared: Path) -> None:
    day = date(2025, 11, 17)
    seen: dict[tuple[str, date], set[int]] = defaultdict(set)
    with ZipFile(shared / "data" / "eod" / "legacy" / "fo17112025.zip") as archive:
        rows = csv.reader(archive.read("op17112025.csv").decode().splitlines())
        for row in rows:
            if row and row[0].strip() == "OPTIDX" and row[1].strip() in facts.names and int(row[11]):
                expiry = datetime.strptime(row[2].strip(), "%d/%m/%Y").date()  # noqa: DTZ007
                seen[row[1].strip(), expiry].add(int(row[10]) // int(row[11]))
    listed = {(name, each.date): each.series for name in facts.names for each in listed_expiries(facts, name, day)}
    traded = {contract: series for contract, series in listed.items() if contract in seen}
    assert len(traded) > 10
    for (name, expiry), series in traded.items():
        assert seen[name, expiry] == {lot_size(facts, name, expiry, series, day)}, (name, expiry)


@pytest.mark.parametrize(
    ("file", "day", "columns"),
    [
        ("kite_instruments_bfo_2025-09.csv.gz", date(2025, 9, 8), ("name", "expiry", "%Y-%m-%d", "lot_size")),
        ("shoonya_NFO_symbols_2023-10-06.txt.zip", date(2023, 10, 6), ("Symbol", "Expiry", "%d-%b-%Y", "LotSize")),
    ],
)
def test_the_contract_lists_and_lots_of_brokers_are_those_of_the_tables(
    facts: Facts, shared: Path, file: str, day: date, columns: tuple[str, str, str, str]
) -> None:
    name_column, expiry_column, form, lot_column = columns
    seen: dict[str, dict[date, int]] = defaultdict(dict)
    for row in csv.DictReader(_lines(shared / "data" / "broker" / file)):
        if row[name_column] in facts.names and row[expiry_column]:
            expiry = datetime.strptime(row[expiry_column], form).date()  # noqa: DTZ007
            seen[row[name_column]][expiry] = int(row[lot_column])
    assert seen
    for name, lots in seen.items():
        listed = listed_expiries(facts, name, day)
        near = {expiry: lot for expiry, lot in lots.items() if expiry <= listed[-1].date}
        assert {each.date: lot_size(facts, name, each.date, each.series, day) for each in listed} == near, name


def _lines(path: Path) -> list[str]:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode().splitlines()
    with ZipFile(path) as archive:
        return archive.read(archive.namelist()[0]).decode().splitlines()


def test_a_contract_keeps_its_old_date_until_the_day_it_was_changed(facts: Facts) -> None:
    before = listed_expiries(facts, "BANKNIFTY", date(2025, 1, 1))
    after = listed_expiries(facts, "BANKNIFTY", date(2025, 1, 2))
    assert dates(before) == [date(2025, 1, 29), date(2025, 2, 26), date(2025, 3, 26)]
    assert dates(after) == [date(2025, 1, 30), date(2025, 2, 27), date(2025, 3, 27)]


def test_a_contract_whose_date_was_changed_twice_is_found_under_each_date(facts: Facts) -> None:
    days = (date(2025, 1, 1), date(2025, 1, 2), date(2025, 8, 29))
    of_september = [
        next(each for each in dates(listed_expiries(facts, "BANKNIFTY", day, long_dated=True)) if each.month == 9)
        for day in days
    ]
    assert of_september == [date(2025, 9, 24), date(2025, 9, 25), date(2025, 9, 30)]


def test_a_holiday_moves_the_expiry_to_the_previous_trading_day(facts: Facts) -> None:
    november = all_expiries(facts, "NIFTY", date(2026, 11, 1), date(2026, 11, 30))
    assert dates(november) == [date(2026, 11, 3), date(2026, 11, 9), date(2026, 11, 17), TODAY]
    assert november[-1].series is MONTHLY


def test_two_lots_of_one_underlying_trade_side_by_side(facts: Facts) -> None:
    day = date(2025, 1, 2)
    assert lot_size(facts, "NIFTY", date(2025, 1, 2), WEEKLY, day) == 75
    assert lot_size(facts, "NIFTY", date(2025, 1, 30), MONTHLY, day) == 25


def test_a_long_dated_contract_is_converted_while_it_is_listed(facts: Facts) -> None:
    expiry = date(2027, 6, 29)
    assert [lot_size(facts, "NIFTY", expiry, LONG, date(2025, 12, day)) for day in (30, 31)] == [75, 65]


def test_the_defaults_the_platform_documents_come_out_on_the_dates_they_were_true(facts: Facts, shared: Path) -> None:
    with (shared / "market" / "user_doc_check.csv").open(encoding="utf-8") as file:
        claims = list(csv.DictReader(file))
    assert len(claims) == 5
    for claim in claims:
        name, lot, weekday = claim["underlying"], int(claim["claim_lot"]), claim["claim_weekday"]
        for series in (WEEKLY, MONTHLY):
            first, last = (date.fromisoformat(claim[f"true_{series}_expiries_{end}"]) for end in ("from", "to"))
            expiries = [each for each in all_expiries(facts, name, first, last) if each.series is series]
            assert (expiries[0].date, expiries[-1].date) == (first, last)
            assert {lot_size(facts, name, each.date, series, each.date) for each in expiries} == {lot}
            assert weekday in {f"{each.date:%A}" for each in expiries}


@pytest.mark.parametrize(
    ("name", "lot", "weekly", "monthly"),
    [
        ("NIFTY", 65, date(2026, 12, 1), date(2026, 11, 23)),
        ("BANKNIFTY", 30, None, date(2026, 11, 23)),
        ("FINNIFTY", 60, None, date(2026, 11, 23)),
        ("MIDCPNIFTY", 120, None, date(2026, 11, 23)),
        ("SENSEX", 20, date(2026, 12, 3), date(2026, 11, 26)),
    ],
)
def test_todays_contracts_have_todays_values(
    facts: Facts, name: str, lot: int, weekly: date | None, monthly: date
) -> None:
    listed = listed_expiries(facts, name, TODAY)
    assert next(iter(dates(listed, WEEKLY)), None) == weekly
    assert dates(listed, MONTHLY)[0] == monthly
    assert {lot_size(facts, name, each.date, each.series, TODAY) for each in listed} == {lot}


def test_the_weekly_of_an_underlying_without_weeklies_is_not_listed(facts: Facts) -> None:
    last_with_weeklies = date(2024, 11, 13)
    assert dates(listed_expiries(facts, "BANKNIFTY", last_with_weeklies), WEEKLY) == [last_with_weeklies]
    assert dates(listed_expiries(facts, "BANKNIFTY", last_with_weeklies + timedelta(days=1)), WEEKLY) == []


def test_an_unknown_lot_names_the_contract_and_the_way_out(facts: Facts) -> None:
    with pytest.raises(Invalid, match=r"NIFTY weekly expiring 2022-06-30.*--lot-size N.*lots\.csv"):
        lot_size(facts, "NIFTY", date(2022, 6, 30), WEEKLY, date(2022, 6, 30))


def test_before_the_first_rule_nothing_is_made_up(facts: Facts) -> None:
    assert listed_expiries(facts, "NIFTY", date(2022, 6, 30)) == ()
    assert freeze_quantity(facts, "NIFTY", date(2022, 6, 30)) is None


@pytest.mark.parametrize("ask", [exchange_of, lambda facts, name: strike_step(facts, name, TODAY)])
def test_an_unknown_underlying_is_named_with_the_known_ones(facts: Facts, ask: object) -> None:
    assert callable(ask)
    with pytest.raises(Invalid, match=r"'NIFY' is not an underlying.*NIFTY, BANKNIFTY"):
        ask(facts, "NIFY")


@pytest.mark.parametrize(
    ("name", "day", "quantity"),
    [
        ("NIFTY", TODAY, 3510),
        ("NIFTY", date(2026, 10, 4), 1800),
        ("BANKNIFTY", date(2025, 9, 1), 900),
        ("BANKNIFTY", date(2025, 11, 3), 600),
        ("SENSEX", TODAY, 1000),
        ("SENSEX", date(2025, 6, 2), None),
    ],
)
def test_the_freeze_quantity_is_the_one_of_the_day(facts: Facts, name: str, day: date, quantity: int | None) -> None:
    assert freeze_quantity(facts, name, day) == quantity


def test_the_step_the_tick_and_the_exchange_belong_to_the_underlying(facts: Facts) -> None:
    assert {name: strike_step(facts, name, TODAY) for name in ("NIFTY", "BANKNIFTY", "MIDCPNIFTY")} == {
        "NIFTY": 50,
        "BANKNIFTY": 100,
        "MIDCPNIFTY": 25,
    }
    assert tick_size(facts, "SENSEX", TODAY) == Decimal("0.05")
    assert (exchange_of(facts, "NIFTY"), exchange_of(facts, "SENSEX")) == (Exchange.NSE, Exchange.BSE)
