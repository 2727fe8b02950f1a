"""A standing index and a halted market, end to end."""

from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path

import pytest

from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.adapters.feeds.simulated.recording import record as simulated
from option_baskets.domain.facts import Halted, Span
from option_baskets.domain.reasons import Reason
from option_baskets.domain.reference import nearest_strike
from option_baskets.domain.run import RunStatus
from option_baskets.domain.session import IST
from tests.engine.small_market import option
from tests.engine.test_out_rules import PLAIN, ended, legs
from tests.engine.tiny_day import DAY, FACTS, Bars, Played, Prices, call, play_day, put, record, steady

LATE = PLAIN.replace('entry = "09:20"', 'entry = "15:05"').replace('exit = "09:35"', 'exit = "15:38"')
NONE: Prices = {}


def late(price: str, **changes: str) -> dict[str, str]:
    return steady(price, "15:00", "15:40", **changes)


def play_late(tmp_path: Path, basket: str, of_call: Bars, of_put: Bars, *, spot: Bars, more: Prices = NONE) -> Played:
    prices: Prices = {"NIFTY": spot, call(): of_call, put(): of_put, **more}
    return play_day(record(tmp_path / "days", prices, hours="15:00-15:40"), tmp_path / "data", basket)


# ---------------------------------------------------------------- the index stands still from 15:15 to 15:35


def test_a_stop_on_the_underlying_reads_the_synthetic_while_the_index_stands_still(tmp_path: Path) -> None:
    """26,010 at the entry and at 15:15, call less put 20 then: 100 points against the sold call are at 120.

    The bar of 15:17 ends with 159.95 - 40 = 119.95, the bar of 15:18 with 160 - 40 = 120; the index shows nothing.
    """
    played = play_late(
        tmp_path,
        legs("stop = { underlying_points = 100 }", of=LATE),
        late("100", at1517="159.95", at1518="160"),
        late("80", at1517="40"),
        spot=late("26010"),
    )
    assert ended(played) == "stop 15:19 160.00"
    assert ended(played, "2") == "time 15:38 40.00"
    assert played.alerts == []


def test_the_standing_index_itself_fires_nothing(tmp_path: Path) -> None:
    """It jumps by 200 in the bar of 15:20, as a stray print would; parity has not moved. That of 15:35 counts."""
    played = play_late(
        tmp_path,
        legs("stop = { underlying_points = 100 }", of=LATE),
        late("100"),
        late("80"),
        spot=late("26010", at1520="26210", at1522="26010", at1535="26110"),
    )
    assert ended(played) == "stop 15:36 100.00"


def test_strikes_are_measured_from_where_the_synthetic_says_the_index_is(tmp_path: Path) -> None:
    """At 15:20: 26,010 + (160 - 40) - (100 - 80) = 26,110, so 26100 is the money; the index says 26000."""
    played = play_late(
        tmp_path,
        LATE.replace("15:05", "15:20"),
        late("100", at1518="160"),
        late("80", at1518="40"),
        spot=late("26010"),
        more={call(26100): late("90"), put(26100): late("70")},
    )
    assert [position.contract for position in played.run.positions] == [call(26100), put(26100)]


def test_without_a_synthetic_nothing_is_entered_and_rules_on_the_underlying_say_so_once(tmp_path: Path) -> None:
    """The put has no price from 15:16 to 15:35: known until 15:17, stale from 15:18 on."""
    of_put = {start: price for start, price in late("80").items() if not "15:16" <= start < "15:35"}
    spot, stop = late("26010"), legs("stop = { underlying_points = 100 }", of=LATE)
    held = play_late(tmp_path / "a", stop, late("100", at1520="300"), of_put, spot=spot)
    assert ended(held) == "time 15:38 300.00"
    assert held.alerts == ["spot_frozen"]
    skipped = play_late(tmp_path / "b", LATE.replace("15:05", "15:20"), late("100"), of_put, spot=spot)
    assert (skipped.run.status, skipped.run.reason) == (RunStatus.SKIPPED, Reason.NO_REFERENCE_PRICE)


# ---------------------------------------------------------------- a halt from 09:24 to 09:30

HALTED = replace(FACTS, halts={DAY: Halted(date=DAY, windows=(Span.parse("09:24-09:30"),))})
STOP = "stop = { percent = 25 }"


def without_halt(bars: Bars) -> Bars:
    return {start: bar for start, bar in bars.items() if not "09:24" <= start < "09:30"}


def play_halted(tmp_path: Path, basket: str, of_call: Bars, of_put: Bars | None = None) -> Played:
    prices: Prices = {
        "NIFTY": without_halt(steady("26010")),
        call(): without_halt(of_call),
        put(): without_halt(of_put or steady("80")),
    }
    return play_day(record(tmp_path / "days", prices), tmp_path / "data", basket, facts=HALTED)


def test_a_stop_is_judged_at_the_first_price_after_the_halt(tmp_path: Path) -> None:
    """Stop 125. Nothing is known from 09:24 on; the bar of 09:30 closes at 140, known at 09:31."""
    played = play_halted(tmp_path, legs(STOP), steady("100", at0924="140"))
    assert ended(played) == "stop 09:31 140.00"
    assert played.alerts == []


def test_a_stop_decided_as_the_halt_begins_is_held_and_filled_where_the_market_reopens(tmp_path: Path) -> None:
    """The last bar before it closes at 130, known at 09:24; the bar of 09:30 opens at 150."""
    bars = {start: (price,) * 4 for start, price in steady("100", at0923="130", at0930="150").items()}
    played = play_halted(tmp_path, legs(f'{STOP}\nprice = "close"'), bars)
    assert ended(played) == "stop 09:30 150.00"
    assert played.alerts == ["exit_held"]
    assert [at[11:16] for (at,) in played.book("placed_at")] == ["09:20", "09:20", "09:30", "09:35"]


def test_an_exit_due_in_the_halt_is_sent_first_on_reopening(tmp_path: Path) -> None:
    """The exit of one strategy is due at 09:26 and the entry of another at 09:30: the book has the exit first.

    The bar of 09:29 stands for the auction that opens the market again; without it nothing would be fresh at 09:30.
    """
    first = PLAIN.replace('exit = "09:35"', 'exit = "09:26"')
    second = first[first.index("[[strategies]]") :].replace('name = "straddle"', 'name = "second"')
    basket = first + second.replace("09:26", "09:35").replace("09:20", "09:30")
    prices: Prices = {
        thing: {start: bar for start, bar in steady(price).items() if not "09:24" <= start < "09:29"}
        for thing, price in (("NIFTY", "26010"), (call(), "100"), (put(), "80"))
    }
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket, facts=HALTED)
    orders = [f"{at[11:16]} {side}" for at, side in played.book("placed_at, side")]
    assert orders == ["09:20 SELL"] * 2 + ["09:30 BUY"] * 2 + ["09:30 SELL"] * 2 + ["09:35 BUY"] * 2
    reasons = {str(position.exit_reason) for record in played.day.runs for position in record.run.positions}
    assert reasons == {"time"}


@pytest.mark.parametrize(("entry", "status"), [("09:23", "CLOSED"), ("09:24", "SKIPPED"), ("09:29", "SKIPPED")])
def test_nothing_is_entered_in_a_halt(tmp_path: Path, entry: str, status: str) -> None:
    played = play_halted(tmp_path, PLAIN.replace("09:20", entry), steady("100"))
    assert played.run.status == status
    if status == "SKIPPED":
        assert played.run.reason is Reason.MARKET_HALTED
        assert played.run.detail == "trading is halted from 09:24 to 09:30; nothing is entered"
        assert played.orders == ()


def test_a_halt_for_the_rest_of_the_day_leaves_what_is_open_and_says_so(tmp_path: Path) -> None:
    facts = replace(FACTS, halts={DAY: Halted(date=DAY, windows=(Span.parse("09:24-09:40"),))})
    prices: Prices = {
        thing: steady(price, end="09:24") for thing, price in (("NIFTY", "26010"), (call(), "100"), (put(), "80"))
    }
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", PLAIN, facts=facts)
    assert [position.open for position in played.run.positions] == [130, 130]
    assert {"exit_held", "not_closed"} <= set(played.alerts)


def test_the_simulated_market_stands_still_in_a_halt_and_records_nothing_of_it() -> None:
    day = date(2026, 11, 25)
    span = Span.parse("11:00-11:45")
    halted = replace(FACTS, halts={day: Halted(date=day, windows=(span,))})
    feed = SimulatedFeed(halted, seed=3)
    before, inside, last, after = (
        feed.known(datetime.combine(day, time.fromisoformat(clock), IST))
        for clock in ("10:59:59", "11:00", "11:44:59", "11:45")
    )
    spot, expiry = before.spot("NIFTY"), before.expiries("NIFTY")[0]
    assert spot is not None
    contract = option("NIFTY", expiry, nearest_strike(before.strikes("NIFTY", expiry), spot.last), "CE")
    standing = [quote for snapshot in (inside, last) if (quote := snapshot.quote(contract)) is not None]
    assert len({quote.last for quote in standing}) == 1
    assert {(quote.as_of.time(), quote.bid, quote.ask) for quote in standing} == {(span.start, None, None)}
    reopened = after.quote(contract)
    assert reopened is not None and reopened.bid is not None and reopened.as_of.time() == span.end
    starts = {start.astimezone(IST).time() for start in simulated(feed.market(day)).bars["start"].unique().to_list()}
    assert time(10, 59) in starts and time(11, 45) in starts
    assert not any(span.start <= start < span.end for start in starts)
