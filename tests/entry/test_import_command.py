"""``baskets import``: what the real files become, what is not taken from them, and what a wrong file ends in."""

import gzip
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.feeds.canonical import INDEX, VIX, Kind, RecordedSession, read, sessions
from option_baskets.adapters.feeds.recorded import RecordedMarket
from option_baskets.cli import main
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.facts import SessionKind
from option_baskets.domain.session import IST

SAMPLE = Path(__file__).parent.parent / "samples" / "vendor-with-bad-rows.csv"
OPTIONS = "nifty_1min_option_close_2022-06-08_2022-07-13.parquet"
INDEX_FILE = "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


def imported(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code != 0
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit), result.exception
    return " ".join(result.output.split())


def closes(session: RecordedSession, type_: str, strike: int | None = None) -> pl.DataFrame:
    rows = session.bars.filter(pl.col("type") == type_)
    return rows if strike is None else rows.filter(pl.col("strike") == Decimal(strike))


def rejections(folder: Path) -> list[tuple[int, str]]:
    return list(pl.read_csv(folder / "rejected.csv").select("row", "reason").iter_rows())


# ---------------------------------------------------------------- minute-close


@pytest.fixture(scope="module")
def nifty(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of all imported NIFTY days, and what the command said."""
    out = tmp_path_factory.mktemp("nifty")
    return out, imported(*minute_close(shared / "data" / "intraday"), "--lot-size", 50, "--out", out).output


def minute_close(folder: Path) -> tuple[object, ...]:
    return ("minute-close", "--options", folder / OPTIONS, "--index", folder / INDEX_FILE, "--underlying", "NIFTY")


@pytest.fixture(scope="module")
def two_days(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first two days of the NIFTY files."""
    folder = tmp_path_factory.mktemp("two-days")
    days = pl.col("date").is_in(["2022-06-08", "2022-06-09"])
    intraday = shared / "data" / "intraday"
    pl.read_parquet(intraday / OPTIONS).filter(days).write_parquet(folder / OPTIONS)
    index = pl.read_csv(intraday / INDEX_FILE, infer_schema=False).filter(days)
    (folder / INDEX_FILE).write_bytes(gzip.compress(index.write_csv().encode()))
    return folder


def test_every_nifty_day_of_2022_holds_each_row_of_its_source_that_lies_in_the_session(
    nifty: tuple[Path, str], shared: Path
) -> None:
    out, said = nifty
    source = pl.read_parquet(shared / "data" / "intraday" / OPTIONS)
    minute = (pl.col("epoch") + int(timedelta(hours=5, minutes=30).total_seconds())) % 86_400 // 60
    source = source.filter(minute.is_between(9 * 60 + 15, 15 * 60 + 29))
    assert len(sessions(out)) == 18
    for day in sessions(out):
        session = read(out / f"{day}.parquet")
        rows = source.filter(pl.col("date") == str(day))
        options = session.bars.filter(pl.col("type") != INDEX)
        assert options.height == rows.height
        theirs = rows.select(pl.col("close").sum().round(2)).item()
        assert float(options["close"].sum()) == pytest.approx(theirs, abs=1e-6)
        assert len(session.listings) == rows.select("strike", "option_type").n_unique() in (80, 120)
        assert {item.lot_size for item in session.listings} == {50}
        assert {str(item.contract.expiry) for item in session.listings} == set(rows["expiry_inferred"])
        assert closes(session, INDEX).height == 2 * 375
    assert "18 sessions" in said


def test_known_prices_of_2022_come_out_to_the_paisa(nifty: tuple[Path, str]) -> None:
    session = read(nifty[0] / "2022-06-30.parquet")
    market = RecordedMarket(session)
    spot = market.snapshot(datetime(2022, 6, 30, 15, 30, tzinfo=IST)).spot("NIFTY")
    assert spot is not None
    assert (spot.last, spot.bar is not None) == (Decimal("15735.90"), True)
    first = RecordedMarket(read(nifty[0] / "2022-06-08.parquet")).snapshot(datetime(2022, 6, 8, 9, 16, tzinfo=IST))
    call = Contract(underlying="NIFTY", expiry=date(2022, 6, 9), type=ContractType.CE, strike=Decimal(15500))
    for quote, price in (
        (first.quote(call), "946.80"),
        (first.spot("NIFTY"), "16446.35"),
        (first.spot(VIX), "19.84"),
    ):
        assert quote is not None
        assert quote.last == Decimal(price)
    assert {item.series for item in session.listings} == {"monthly"}


def test_the_bars_after_the_close_are_rejected_with_file_and_row(nifty: tuple[Path, str]) -> None:
    out, said = nifty
    table = pl.read_csv(out / "rejected.csv")
    assert table.group_by("file", "reason").len().sort("len").rows() == [
        (INDEX_FILE, "outside the session", 2),
        (OPTIONS, "outside the session", 5),
    ]
    assert set(table["start"]) == {"2022-07-11T15:30:00+05:30"}
    assert f"{OPTIONS} row 664869: outside the session" in said
    assert read(out / "2022-07-11.parquet").rejected == {"outside the session": 7}


def test_the_same_files_become_the_same_bytes(nifty: tuple[Path, str], shared: Path, tmp_path: Path) -> None:
    imported(
        *minute_close(shared / "data" / "intraday"), "--lot-size", "NIFTY=50", "--date", "2022-07-11", "--out", tmp_path
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["2022-07-11.parquet", "rejected.csv"]
    for name in ("2022-07-11.parquet", "rejected.csv"):
        assert (tmp_path / name).read_bytes() == (nifty[0] / name).read_bytes()


def test_a_lot_size_nobody_knows_is_asked_for_and_nothing_is_written(two_days: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = refused(*minute_close(two_days), "--out", out)
    assert "NIFTY 2022-06-09: neither the source nor our facts know its lot size on 2022-06-08" in said
    assert "--lot-size NIFTY=N" in said
    assert not out.exists()


def test_given_windows_replace_those_of_our_facts(two_days: Path, tmp_path: Path) -> None:
    arguments = (*minute_close(two_days), "--lot-size", 50, "--date", "2022-06-09", "--out", tmp_path)
    imported(*arguments, "--session", "09:15-10:00,11:30-12:30")
    session = read(tmp_path / "2022-06-09.parquet")
    assert [(f"{each.open:%H:%M}", f"{each.close:%H:%M}") for each in session.session.windows] == [
        ("09:15", "10:00"),
        ("11:30", "12:30"),
    ]
    assert closes(session, INDEX).height == 2 * 105
    said = refused(*arguments)
    assert "other content" in said and "--replace" in said
    imported(*arguments, "--replace")
    assert closes(read(tmp_path / "2022-06-09.parquet"), INDEX).height == 2 * 375


# ---------------------------------------------------------------- ohlcv-vendor


def test_the_vendors_day_of_2017_becomes_contracts_with_expiries_and_minutes(shared: Path, tmp_path: Path) -> None:
    file = shared / "data" / "intraday" / "banknifty_1min_ohlcvoi_2017-04-03.csv.gz"
    assert "--lot-size BANKNIFTY=N" in refused("ohlcv-vendor", file, "--out", tmp_path)
    imported("ohlcv-vendor", file, "--lot-size", 40, "--out", tmp_path)
    session = read(tmp_path / "2017-04-03.parquet")
    with gzip.open(file, "rt") as text:
        source = [line.split(",") for line in text.read().splitlines()[1:]]
    last_minute = sum(fields[2] == "15:30:59" for fields in source)
    assert (last_minute, session.bars.height) == (21, len(source) - 21)
    assert session.rejected == {"outside the session": last_minute}
    futures = {item.contract.expiry: item for item in session.listings if item.contract.type is ContractType.FUT}
    assert sorted(futures) == [date(2017, 4, 27), date(2017, 5, 25), date(2017, 6, 29)]
    assert {item.series for item in futures.values()} == {"monthly"}
    assert sum(item.contract.type.is_option for item in session.listings) == 146
    market = RecordedMarket(session)
    near = futures[date(2017, 4, 27)].contract
    quote = market.snapshot(datetime(2017, 4, 3, 9, 16, tzinfo=IST)).quote(near)
    bar = next(fields for fields in source if fields[0] == "BANKNIFTY-I.NFO" and fields[2] == "9:15:59")
    assert quote is not None and quote.bar is not None
    ours = (quote.bar.open, quote.bar.high, quote.bar.low, quote.bar.close)
    assert ours == tuple(map(Decimal, bar[3:7]))
    assert market.snapshot(datetime(2017, 4, 3, 15, 30, tzinfo=IST)).spot("BANKNIFTY") is None


def test_every_kind_of_bad_row_is_rejected_with_its_line_and_reason_and_the_rest_is_used(tmp_path: Path) -> None:
    said = imported("ohlcv-vendor", SAMPLE, "--lot-size", 40, "--out", tmp_path).output
    assert rejections(tmp_path) == [
        (6, "price zero"),
        (7, "price below zero"),
        (8, "close is not a number"),
        (9, "price missing or not a number"),
        (10, "high below low, open or close"),
        (11, "low above open or close"),
        (12, "price has more than 4 decimals"),
        (13, "volume or open interest below zero"),
        (14, "outside the session"),
        (15, "time is not the end of a minute"),
        (16, "time unreadable"),
        (17, "ticker unreadable"),
        (18, "expiry unreadable"),
        (19, "expired before this day"),
        (20, "8 fields, not 9"),
        (22, "repeated row"),
        (23, "rows of one contract and moment disagree"),
        (24, "rows of one contract and moment disagree"),
        (25, "not a trading day"),
        (26, "price missing or not a number"),
    ]
    session = read(tmp_path / "2017-04-03.parquet")
    assert session.bars.select("type", "close").rows() == [
        ("CE", Decimal("121.05")),
        ("PE", Decimal(91)),
        ("FUT", Decimal("21545.25")),
        ("CE", Decimal(121)),
        ("FUT", Decimal("21645.25")),
    ]
    assert "1 session, 5 bars" in said and "20 rows rejected" in said
    assert f"all 20 are in {tmp_path}" in said


def test_derived_expiries_of_continuous_futures_can_be_given_instead(tmp_path: Path) -> None:
    given = [argument for day in ("2017-04-26", "2017-05-25", "2017-06-28") for argument in ("--future-expiry", day)]
    imported("ohlcv-vendor", SAMPLE, "--lot-size", 40, *given, "--out", tmp_path)
    listed = read(tmp_path / "2017-04-03.parquet").listings
    futures = sorted(str(item.contract.expiry) for item in listed if item.contract.type is ContractType.FUT)
    assert futures == ["2017-04-26", "2017-06-28"]


# ---------------------------------------------------------------- nse-chain


@pytest.fixture(scope="module")
def chain(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chain")
    imported("nse-chain", shared / "data" / "intraday" / "nse_index_chain_5min_2026.parquet", "--out", out)
    return out


def test_chain_snapshots_keep_their_stamps_lots_and_the_special_session(chain: Path, shared: Path) -> None:
    source = pl.read_parquet(shared / "data" / "intraday" / "nse_index_chain_5min_2026.parquet")
    source = source.filter(pl.col("timestamp").str.slice(11) <= "15:30:00")
    for day in sessions(chain):
        session = read(chain / f"{day}.parquet")
        rows = source.filter(pl.col("timestamp").str.starts_with(str(day)))
        moments = rows["timestamp"].n_unique()
        assert session.kind is Kind.SNAPSHOTS
        assert session.bars.height == 2 * rows.height + 3 * moments
        assert session.bars["start"].n_unique() == moments
        untraded = rows.select((pl.col("CE_LTP") == 0).sum() + (pl.col("PE_LTP") == 0).sum()).item()
        assert session.bars.filter(pl.col("type") != INDEX)["close"].null_count() == untraded
        lots = {(item.contract.underlying, item.lot_size) for item in session.listings}
        assert lots == {("NIFTY", 65), ("BANKNIFTY", 30), ("MIDCPNIFTY", 120)}
    kinds = {day: read(chain / f"{day}.parquet").session.kind for day in sessions(chain)}
    assert kinds.pop(date(2026, 2, 1)) is SessionKind.FULL_SPECIAL
    assert set(kinds.values()) == {SessionKind.NORMAL}


def test_a_spot_of_zero_is_missing_and_midcap_has_none_at_all(chain: Path) -> None:
    market = RecordedMarket(read(chain / "2026-01-27.parquet"))
    first, second = (datetime(2026, 1, 27, 10, *moment, tzinfo=IST) for moment in ((3, 31), (11, 48)))
    assert market.snapshot(first).spot("NIFTY") is None
    assert market.snapshot(second - timedelta(microseconds=1)).spot("NIFTY") is None
    spot = market.snapshot(second).spot("NIFTY")
    assert spot is not None and 24_000 < spot.last < 26_000
    assert market.snapshot(market.recorded.session.close).spot("MIDCPNIFTY") is None


def test_snapshots_after_the_close_are_rejected_and_counted(chain: Path, shared: Path) -> None:
    source = pl.read_parquet(shared / "data" / "intraday" / "nse_index_chain_5min_2026.parquet")
    late = source.filter(pl.col("timestamp").str.slice(11) > "15:30:00")
    table = pl.read_csv(chain / "rejected.csv")
    assert set(table["reason"]) == {"outside the session"}
    assert table["row"].n_unique() == late.height
    assert sum(sum(read(chain / f"{day}.parquet").rejected.values()) for day in sessions(chain)) == table.height


# ---------------------------------------------------------------- daily files


def test_untouched_daily_files_and_the_table_made_of_them_become_the_same_session(shared: Path, tmp_path: Path) -> None:
    eod = shared / "data" / "eod"
    days = ("2025-01-02", "2026-02-03", "2026-03-24")
    table = pl.read_parquet(eod / "udiff_index_fo_2025-01_2026-03.parquet").filter(pl.col("TradDt").is_in(days))
    table.write_parquet(tmp_path / "three-days.parquet")
    imported("udiff", tmp_path / "three-days.parquet", "--out", tmp_path / "table")
    imported("udiff", *sorted((eod / "udiff_raw").glob("*/*.csv.gz")), "--out", tmp_path / "raw")
    assert [str(day) for day in sessions(tmp_path / "raw")] == list(days)
    for day in days:
        one, other = (tmp_path / folder / f"{day}.parquet" for folder in ("table", "raw"))
        assert one.read_bytes() == other.read_bytes()


def test_a_daily_file_gives_lot_sizes_volumes_in_units_and_no_price_to_what_was_not_traded(
    shared: Path, tmp_path: Path
) -> None:
    eod = shared / "data" / "eod"
    source = pl.concat(
        pl.read_csv(path, infer_schema=False) for path in sorted((eod / "udiff_raw" / "2025-01-02").glob("*.csv.gz"))
    ).with_columns(pl.col("TtlTradgVol", "NewBrdLotQty").cast(pl.Int64))
    imported("udiff", *sorted((eod / "udiff_raw" / "2025-01-02").glob("*.csv.gz")), "--out", tmp_path)
    session = read(tmp_path / "2025-01-02.parquet")
    assert session.interval == timedelta(hours=6, minutes=15)
    contracts = session.bars.filter(pl.col("type") != INDEX)
    assert contracts.height == source.height == len(session.listings)
    assert contracts["close"].null_count() == source.filter(pl.col("TtlTradgVol") == 0).height
    assert contracts["volume"].sum() == source.select(pl.col("TtlTradgVol") * pl.col("NewBrdLotQty")).sum().item()
    nifty = {(item.contract.expiry, item.lot_size) for item in session.listings if item.contract.underlying == "NIFTY"}
    assert {(date(2025, 1, 2), 75), (date(2025, 1, 30), 25)} <= nifty
    spot = RecordedMarket(session).snapshot(session.session.close).spot("NIFTY")
    assert spot is not None and spot.last == Decimal("24188.65")


def test_a_daily_file_brings_the_final_settlement_prices_of_what_expires_that_day(shared: Path, tmp_path: Path) -> None:
    """NIFTY's weekly expires on 2026-02-03; the exchange prints its final settlement price with every contract."""
    files = sorted((shared / "data" / "eod" / "udiff_raw" / "2026-02-03").glob("*.csv.gz"))
    imported("udiff", *files, "--out", tmp_path)
    assert (tmp_path / "settlements.csv").read_text() == (
        "date,underlying,price,source\n2026-02-03,NIFTY,25727.55,udiff\n"
    )
    imported("udiff", *files, "--out", tmp_path)
    (tmp_path / "settlements.csv").write_text("2026-02-03,NIFTY,25727.50,by hand\n")
    told = refused("udiff", *files, "--out", tmp_path)
    assert "has 25727.50 for NIFTY on 2026-02-03, the source 25727.55" in told


def test_the_old_daily_files_become_sessions_of_index_contracts(shared: Path, tmp_path: Path) -> None:
    legacy = shared / "data" / "eod" / "legacy"
    imported("bhavcopy", legacy / "fo26MAY2023bhav.csv.gz", legacy / "fo17112025.zip", "--out", tmp_path)
    with gzip.open(legacy / "fo26MAY2023bhav.csv.gz", "rt") as text:
        rows = [line.split(",") for line in text.read().splitlines()[1:]]
    index = [fields for fields in rows if fields[0] in {"OPTIDX", "FUTIDX"}]
    old = read(tmp_path / "2023-05-26.parquet")
    assert old.bars.height == len(index) == 4_471
    assert old.bars["oi"].sum() == sum(int(fields[12]) for fields in index)
    future = Contract(underlying="BANKNIFTY", expiry=date(2023, 6, 29), type=ContractType.FUT)
    quote = RecordedMarket(old).snapshot(old.session.close).quote(future)
    assert quote is not None and quote.bar is not None
    assert (quote.bar.open, quote.last) == (Decimal("43784.95"), Decimal("44068.3"))
    zipped = read(tmp_path / "2025-11-17.parquet")
    four = pl.col("underlying").is_in(["NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY"])
    assert zipped.bars.filter(four, pl.col("type") != "FUT").height == 1_860
    lots = {item.contract: item.lot_size for item in zipped.listings}
    put = Contract(underlying="BANKNIFTY", expiry=date(2025, 11, 25), type=ContractType.PE, strike=Decimal(46500))
    assert lots[put] == 35


# ---------------------------------------------------------------- wrong input, full disk


def test_a_file_of_the_wrong_shape_is_named_with_what_it_lacks(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    chain = data / "intraday" / "nse_index_chain_5min_2026.parquet"
    bhavcopy = data / "eod" / "legacy" / "fo26MAY2023bhav.csv.gz"
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(bhavcopy.read_bytes()[:5_000])
    typed = tmp_path / "typed.parquet"
    pl.read_parquet(chain).head(3).with_columns(pl.lit(5).alias("timestamp")).write_parquet(typed)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    out = ("--out", tmp_path / "out")
    cases: Sequence[tuple[tuple[object, ...], str]] = (
        (("minute-close", "--options", chain, "--underlying", "NIFTY"), "has no column epoch, date, expiry_inferred"),
        (("udiff", bhavcopy), "has no column TradDt, FinInstrmTp"),
        (("nse-chain", data / "eod" / "legacy" / "fo17112025.zip"), "fo17112025.zip: cannot be read"),
        (("bhavcopy", broken), "broken.csv.gz: cannot be read"),
        (("bhavcopy", empty), "its columns: none"),
        (("nse-chain", typed), "another type"),
        (("nse-chain", tmp_path / "absent.csv"), "does not exist"),
        (("nse-chain", chain, "--session", "9:15"), "write 09:15-15:30"),
        (("nse-chain", chain, "--session", "09:15-11:00,10:00-12:00"), "overlap"),
        (("nse-chain", chain, "--lot-size", "NIFTY=many"), "is not a number of units"),
        (("nse-chain", chain, "--date", "2026-03-01"), "no session was imported"),
    )
    for arguments, message in cases:
        assert message in refused(*arguments, *out)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_in_a_message_and_leaves_no_half_file(two_days: Path, tmp_path: Path) -> None:
    arguments = (*minute_close(two_days), "--lot-size", 50, "--out", tmp_path)
    imported(*arguments, "--date", "2022-06-08")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    limit = 40_000  # bytes a file; every session is larger, so that writing one ends in EFBIG half-way

    def full_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", "from option_baskets.cli import main; main()", "import", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=full_disk, env=dict(os.environ), check=False
    )
    assert done.returncode == 1
    assert "was not written" in done.stderr and "make room" in done.stderr
    assert "Traceback" not in done.stderr
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    assert "is a file" in refused("ohlcv-vendor", SAMPLE, "--lot-size", 40, "--out", tmp_path / "out")
    assert "not written" in refused("ohlcv-vendor", SAMPLE, "--lot-size", 40, "--out", tmp_path / "out" / "deeper")


@pytest.mark.parametrize("format_", ["", "minute-close", "ohlcv-vendor", "nse-chain", "udiff", "bhavcopy"])
def test_help_has_an_example(format_: str) -> None:
    result = imported(*filter(None, [format_]), "--help")
    assert f"baskets import {format_}".strip() in result.output
    assert "--out data/" in result.output
