"""The canonical form and its reader: what is known at an instant, and nothing later."""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.canonical import (
    INDEX,
    METADATA_KEY,
    ORDER,
    SCHEMA,
    VIX,
    Kind,
    RecordedSession,
    read,
    sessions,
    write,
)
from option_baskets.adapters.feeds.recorded import RecordedFeed, RecordedMarket
from option_baskets.adapters.imports.intake import Options
from option_baskets.adapters.imports.minute_close import minute_close
from option_baskets.domain.contract import Contract, ContractType, Listing
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.domain.facts import SessionKind
from option_baskets.domain.market import Bar, Snapshot
from option_baskets.domain.session import IST, Session, Window

DAY = date(2026, 11, 20)
MINUTE = timedelta(minutes=1)


def option(strike: int, type_: ContractType = ContractType.CE, expiry: date = date(2026, 11, 23)) -> Contract:
    return Contract(underlying="NIFTY", expiry=expiry, type=type_, strike=Decimal(strike))


CALL, PUT = option(26000), option(26000, ContractType.PE)


def at(hour: int, minute: int, second: int = 0, microsecond: int = 0) -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, hour, minute, second, microsecond, tzinfo=IST)


def row(thing: Contract | str, start: datetime, close: str | None, opens: str | None = None) -> tuple[object, ...]:
    """A row; with ``opens`` its high and low are the ends of open and close."""
    price, first = (None if text is None else Decimal(text) for text in (close, opens))
    low, high = sorted((first, price)) if first is not None and price is not None else (None, None)
    identity: tuple[object, ...] = (thing, None, None, INDEX)
    if isinstance(thing, Contract):
        identity = (thing.underlying, thing.expiry, thing.strike, thing.type.value)
    return (start.astimezone(UTC), *identity, first, high, low, price, None, None)


def listing(contract: Contract, series: str = "weekly") -> Listing:
    return Listing(contract=contract, lot_size=65, freeze_quantity=1800, series=series)


def recording(
    *rows: tuple[object, ...],
    kind: Kind = Kind.BARS,
    interval: timedelta = MINUTE,
    listings: tuple[Listing, ...] = (listing(CALL), listing(PUT)),
) -> RecordedSession:
    return RecordedSession(
        session=Session(date=DAY, kind=SessionKind.NORMAL, windows=(Window(open=at(9, 15), close=at(15, 40)),)),
        exchange="NSE",
        kind=kind,
        interval=interval,
        listings=listings,
        source="test",
        bars=pl.DataFrame(rows, schema=SCHEMA, orient="row").sort(ORDER),
        rejected={"price zero": 2},
    )


@pytest.fixture(scope="session")
def real_days(shared: Path) -> dict[date, RecordedSession]:
    """The last expiry day and a quiet day of the 2022 NIFTY minutes, imported."""
    days = frozenset({date(2022, 6, 15), date(2022, 6, 30)})
    intraday = shared / "data" / "intraday"
    intake = minute_close(
        intraday / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet",
        intraday / "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz",
        "NIFTY",
        Options(facts=load(), lot_sizes={"NIFTY": 50}, dates=days),
    )
    return {day.date: day.session for day in intake if day.date and day.session}


# ---------------------------------------------------------------- what is known when


def test_a_bar_is_known_from_its_end_and_not_a_microsecond_sooner() -> None:
    market = RecordedMarket(recording(row(CALL, at(9, 19), "101.25"), row(CALL, at(9, 20), "102")))
    assert market.snapshot(at(9, 19, 59, 999_999)).quote(CALL) is None
    quote = market.snapshot(at(9, 20)).quote(CALL)
    assert quote is not None
    assert (quote.last, quote.as_of) == (Decimal("101.25"), at(9, 20))
    assert market.snapshot(at(9, 20, 59, 999_999)).quote(CALL).last == Decimal("101.25")  # type: ignore[union-attr]
    assert market.snapshot(at(9, 21)).quote(CALL).last == Decimal(102)  # type: ignore[union-attr]


def test_the_bar_is_given_only_at_the_instant_it_ends() -> None:
    market = RecordedMarket(recording(row(CALL, at(9, 19), "102", opens="100"), row(PUT, at(9, 19), "90")))
    call, put = (market.snapshot(at(9, 20)).quote(contract) for contract in (CALL, PUT))
    assert call is not None and put is not None
    assert call.bar == Bar(
        start=at(9, 19), end=at(9, 20), open=Decimal(100), high=Decimal(102), low=Decimal(100), close=Decimal(102)
    )
    assert put.bar == Bar(start=at(9, 19), end=at(9, 20), close=Decimal(90))
    later = market.snapshot(at(9, 20, 30)).quote(CALL)
    assert later is not None and later.bar is None


def test_a_contract_without_a_bar_keeps_its_price_and_grows_older() -> None:
    market = RecordedMarket(
        recording(row(CALL, at(9, 19), "100"), row(PUT, at(9, 19), "90"), row(PUT, at(9, 22), "91"))
    )
    quote = market.snapshot(at(9, 23)).quote(CALL)
    assert quote is not None
    assert (quote.last, quote.bar, quote.age(at(9, 23))) == (Decimal(100), None, 3 * MINUTE)


def test_a_price_of_zero_or_none_is_missing_and_hides_no_earlier_price() -> None:
    market = RecordedMarket(
        recording(
            row(CALL, at(9, 19), "100"),
            row(CALL, at(9, 20), "0"),
            row(PUT, at(9, 20), None),
            row("NIFTY", at(9, 20), "0"),
        )
    )
    snapshot = market.snapshot(at(9, 21))
    assert snapshot.quote(CALL).last == Decimal(100)  # type: ignore[union-attr]
    assert snapshot.quote(PUT) is None
    assert snapshot.spot("NIFTY") is None


def test_a_snapshot_row_is_known_at_its_stamp() -> None:
    rows = row(CALL, at(9, 20, 7), "100"), row(CALL, at(9, 25, 3), "101")
    market = RecordedMarket(recording(*rows, kind=Kind.SNAPSHOTS, interval=timedelta(minutes=5)))
    assert market.snapshot(at(9, 20, 6)).quote(CALL) is None
    quote = market.snapshot(at(9, 20, 7)).quote(CALL)
    assert quote is not None
    assert (quote.last, quote.as_of, quote.bar) == (Decimal(100), at(9, 20, 7), None)
    assert market.fill_price(CALL, at(9, 25, 3)) == Decimal(101)


def test_index_and_volatility_index_are_spots_and_an_unknown_underlying_has_none() -> None:
    market = RecordedMarket(recording(row("NIFTY", at(9, 15), "26010.5"), row(VIX, at(9, 15), "12.25")))
    snapshot = market.snapshot(at(9, 16))
    assert snapshot.spot("NIFTY").last == Decimal("26010.5")  # type: ignore[union-attr]
    assert snapshot.spot(VIX).last == Decimal("12.25")  # type: ignore[union-attr]
    assert snapshot.spot("BANKNIFTY") is None


def test_an_order_fills_at_the_open_of_the_bar_starting_then_or_at_the_known_price() -> None:
    rows = row(CALL, at(9, 19), "102", opens="100"), row(CALL, at(9, 20), "105", opens="103"), row(PUT, at(9, 19), "90")
    market = RecordedMarket(recording(*rows, row(PUT, at(9, 20), "95")))
    assert market.fill_price(CALL, at(9, 20)) == Decimal(103)
    assert market.fill_price(CALL, at(9, 20, 30)) == Decimal(102)
    assert market.fill_price(CALL, at(9, 22)) == Decimal(105)
    assert market.fill_price(PUT, at(9, 20)) == Decimal(90)
    assert market.fill_price(PUT, at(9, 18)) is None


@pytest.mark.parametrize(
    ("kind", "interval", "limit"),
    [
        (Kind.BARS, timedelta(seconds=30), MINUTE),
        (Kind.BARS, MINUTE, MINUTE),
        (Kind.BARS, timedelta(minutes=15), timedelta(minutes=15)),
        (Kind.SNAPSHOTS, timedelta(minutes=5), timedelta(minutes=5)),
    ],
)
def test_a_quote_is_stale_after_a_minute_or_one_longer_interval(
    kind: Kind, interval: timedelta, limit: timedelta
) -> None:
    recorded = recording(row(CALL, at(9, 15), "100"), kind=kind, interval=interval)
    assert RecordedMarket(recorded).snapshot(at(9, 20)).stale_after == limit
    assert RecordedMarket(recorded, stale=2 * MINUTE).snapshot(at(9, 20)).stale_after == 2 * MINUTE


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        RecordedMarket(recording(row(CALL, at(9, 15), "100"))).snapshot(at(9, 20).replace(tzinfo=None))


PRICED = st.tuples(st.integers(0, 20), st.sampled_from([CALL, PUT]), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(st.lists(PRICED, min_size=1, unique_by=lambda each: each[:2]), st.integers(0, 22))
def test_a_snapshot_is_the_last_price_of_the_bars_ended_by_then(
    cells: list[tuple[int, Contract, int]], upto: int
) -> None:
    rows = [row(contract, at(9, 15) + minute * MINUTE, str(price)) for minute, contract, price in cells]
    instant = at(9, 15) + upto * MINUTE
    snapshot = RecordedMarket(recording(*rows)).snapshot(instant)
    for contract in (CALL, PUT):
        ended = sorted(
            (minute, price) for minute, priced, price in cells if priced == contract and minute < upto and price
        )
        quote = snapshot.quote(contract)
        assert (quote and quote.last) == (Decimal(ended[-1][1]) if ended else None)


# ---------------------------------------------------------------- the contract list


def test_the_contract_list_answers_for_expiries_series_strikes_and_listings() -> None:
    month = date(2026, 12, 29)
    future = Contract(underlying="NIFTY", expiry=month, type=ContractType.FUT)
    strikes = (25000, 25500, 25900, 25950, 26000, 26050, 26100, 26500, 27000)
    listings = (
        *(listing(option(strike)) for strike in strikes),
        listing(option(26000, expiry=month), "monthly"),
        listing(future, "monthly"),
    )
    market = RecordedMarket(recording(row(option(26000), at(9, 15), "100"), listings=listings))
    snapshot: Snapshot = market.snapshot(at(9, 20))
    assert snapshot.expiries("NIFTY") == (date(2026, 11, 23), month)
    assert snapshot.monthly_expiries("NIFTY") == (month,)
    assert snapshot.strikes("NIFTY", date(2026, 11, 23)) == tuple(map(Decimal, strikes))
    assert snapshot.strike_step("NIFTY", date(2026, 11, 23)) == 50
    assert snapshot.listing(future) == listing(future, "monthly")
    assert snapshot.listing(PUT) is None
    assert set(snapshot.contracts()) == {item.contract for item in listings}
    assert (snapshot.expiries("SENSEX"), snapshot.strikes("SENSEX", month)) == ((), ())
    with pytest.raises(NotFound, match="1 strikes listed"):
        snapshot.strike_step("NIFTY", month)


# ---------------------------------------------------------------- the file


def test_a_session_reads_back_as_it_was_written_and_equal_sessions_are_equal_bytes(tmp_path: Path) -> None:
    future = Contract(underlying="NIFTY", expiry=date(2026, 12, 29), type=ContractType.FUT)
    half = Contract(underlying="NIFTY", expiry=DAY, type=ContractType.CE, strike=Decimal("26000.5"))
    rows = (
        row(half, at(9, 15), "100.0525", opens="99"),
        row(future, at(9, 15), "26100"),
        row("NIFTY", at(9, 16), "26010.55"),
    )
    recorded = recording(*rows, listings=(listing(half), listing(future, "monthly")))
    path = write(recorded, tmp_path / "a")
    assert path.name == "2026-11-20.parquet"
    back = read(path)
    assert back.bars.equals(recorded.bars)
    for name in ("session", "exchange", "kind", "interval", "source", "rejected"):
        assert getattr(back, name) == getattr(recorded, name)
    assert set(back.listings) == set(recorded.listings)
    assert path.read_bytes() == write(back, tmp_path / "b").read_bytes()
    assert [each.name for each in (tmp_path / "a").iterdir()] == [path.name]


def test_without_replace_another_recording_of_the_date_is_not_overwritten(tmp_path: Path) -> None:
    path = write(recording(row(CALL, at(9, 15), "100")), tmp_path)
    before = path.read_bytes()
    write(recording(row(CALL, at(9, 15), "100")), tmp_path, replace=False)
    with pytest.raises(Invalid, match="other content"):
        write(recording(row(CALL, at(9, 15), "101")), tmp_path, replace=False)
    assert path.read_bytes() == before
    assert sessions(tmp_path) == (DAY,)


def test_a_session_that_breaks_the_form_is_not_written(tmp_path: Path) -> None:
    good = row(CALL, at(9, 15), "100")
    flawed = {
        "outside": recording(good, row(CALL, at(15, 40), "100")),
        "two rows": recording(good, good),
        "negative": recording(row(CALL, at(9, 15), "-1")),
        "not in the contract list": recording(good, listings=(listing(PUT),)),
        "no rows": recording(),
    }
    for message, session in flawed.items():
        with pytest.raises(Invalid, match=message):
            write(session, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_session_is_refused_with_its_name_and_the_way_out(tmp_path: Path) -> None:
    path = write(recording(row(CALL, at(9, 15), "100")), tmp_path)
    whole, header = path.read_bytes(), pl.read_parquet_metadata(path)[METADATA_KEY]
    bars = pl.read_parquet(path)

    def other(name: str, bars: pl.DataFrame, header: str | None) -> Path:
        bars.write_parquet(tmp_path / name, metadata={METADATA_KEY: header} if header else None)
        return tmp_path / name

    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.parquet").write_text("start,close\n")
    (tmp_path / "2026-11-19.parquet").write_bytes(whole)
    cases = {
        tmp_path / "cut.parquet": "cannot be read",
        tmp_path / "text.parquet": "cannot be read",
        tmp_path / "2026-11-19.parquet": "the header says 2026-11-20",
        other("bare.parquet", bars, None): "no session header",
        other("newer.parquet", bars, header.replace('"format":1', '"format":2')): "format is 2, this program reads 1",
        other("damaged.parquet", bars, header[:-20]): "damaged",
        other(
            "windowless.parquet", bars, header.replace('"windows":[[', '"windows":[],"was":[[')
        ): "no session windows",
        other("columns.parquet", bars.drop("oi"), header): "columns missing, unknown or of another type: oi",
        other("floats.parquet", bars.cast({"close": pl.Float64}), header): "another type: close",
    }
    for file, message in cases.items():
        with pytest.raises(Invalid, match=message) as refused:
            read(file)
        assert str(file) in str(refused.value)
        assert "baskets import" in str(refused.value)
    with pytest.raises(NotFound, match=r"nowhere\.parquet"):
        read(tmp_path / "nowhere.parquet")


async def test_the_feed_opens_the_session_of_the_instant_and_says_what_it_has(tmp_path: Path) -> None:
    write(recording(row(CALL, at(9, 15), "100")), tmp_path)
    (tmp_path / "notes.parquet").write_text("not a session")
    feed = RecordedFeed(tmp_path, stale=3 * MINUTE)
    assert feed.sessions() == (DAY,)
    snapshot = await feed.snapshot(at(9, 16).astimezone(UTC))
    assert snapshot.quote(CALL).last == Decimal(100)  # type: ignore[union-attr]
    assert snapshot.stale_after == 3 * MINUTE
    assert feed.session(DAY).close == at(15, 40)
    assert feed.fill_price(CALL, at(9, 16)) == Decimal(100)
    with pytest.raises(NotFound, match="no session of 2026-11-21; it has 1 dates from 2026-11-20"):
        await feed.snapshot(at(9, 16) + timedelta(days=1))
    with pytest.raises(NotFound, match="no directory"):
        RecordedFeed(tmp_path / "nowhere").sessions()


# ---------------------------------------------------------------- real days


def test_on_real_days_nothing_after_the_instant_can_change_a_snapshot(real_days: dict[date, RecordedSession]) -> None:
    for day, recorded in real_days.items():
        whole = RecordedMarket(recorded)
        for minute in (1, 5, 60, 200, 374, 375):
            instant = recorded.session.open + minute * MINUTE
            ended = recorded.bars.filter(pl.col("start") + MINUTE <= instant.astimezone(UTC))
            past = RecordedSession(
                **{name: getattr(recorded, name) for name in RecordedSession.__slots__ if name != "bars"}, bars=ended
            )
            then, now = RecordedMarket(past).snapshot(instant), whole.snapshot(instant)
            assert list(now.contracts()) == list(then.contracts())
            assert [now.quote(each) for each in now.contracts()] == [then.quote(each) for each in then.contracts()]
            assert [now.spot(each) for each in ("NIFTY", VIX)] == [then.spot(each) for each in ("NIFTY", VIX)], day


def test_on_a_real_day_every_quote_is_the_last_close_of_the_source(
    real_days: dict[date, RecordedSession], shared: Path
) -> None:
    path = shared / "data" / "intraday" / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet"
    source = pl.read_parquet(path).filter(pl.col("date") == "2022-06-30")
    market = RecordedMarket(real_days[date(2022, 6, 30)])
    for hour, minute in ((9, 16), (9, 20), (12, 0), (15, 30)):
        instant = datetime(2022, 6, 30, hour, minute, tzinfo=IST)
        ended = source.filter(pl.col("epoch") + 60 <= int(instant.timestamp())).sort("epoch")
        last = ended.group_by("option_type", "strike").agg(pl.col("close").last(), pl.col("epoch").last())
        snapshot = market.snapshot(instant)
        assert last.height > 100
        for type_, strike, close, epoch in last.iter_rows():
            quote = snapshot.quote(option(strike, ContractType(type_), date(2022, 6, 30)))
            assert quote is not None
            assert (quote.last, quote.as_of.timestamp()) == (Decimal(str(close)), epoch + 60)


def test_a_real_days_lookups_cost_less_than_a_second_of_cpu(real_days: dict[date, RecordedSession]) -> None:
    recorded = real_days[date(2022, 6, 30)]
    before = time.process_time()
    market = RecordedMarket(recorded)
    contracts = [item.contract for item in recorded.listings]
    seen = 0
    for minute in range(391):
        snapshot = market.snapshot(recorded.session.open + minute * MINUTE)
        seen += sum(snapshot.quote(contract) is not None for _ in range(2) for contract in contracts)
    assert seen > 90_000
    assert time.process_time() - before < 1.0
