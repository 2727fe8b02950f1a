"""Runs that live longer than a day: restarts between days, settlement, moved exits. Numbers are worked out beside."""

import asyncio
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.basket import Product
from option_baskets.domain.contract import Listing
from option_baskets.domain.order import Order
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import LegPosition, RunStatus
from option_baskets.engine.report import as_json
from option_baskets.wiring import LOCAL_USER, Embedded, held_underlyings
from tests.engine.nights import LISTED, MON, MONTH, THU, TUE, WED, Nights, call, days, on, put, settle, trade
from tests.engine.small_market import chain, future
from tests.engine.tiny_day import Prices, steady

NEXT_DAY = """
[basket]
name = "Overnight"
capital = 500000
[[accounts]]
id = "one"
[[strategies]]
name = "straddle"
underlying = "NIFTY"
entry = "09:30"
exit = "09:20"
holding = "next_day"
days = ["MON"]
expiry = { series = "monthly" }
  [[strategies.legs]]
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  [[strategies.legs]]
  side = "SELL"
  type = "PE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  [[strategies.allocations]]
  account = "one"
  lots = 2
"""
"""Sold on Monday at 09:30, out on the next trading day at 09:20: earlier in the day than it was entered."""

EXPIRING = NEXT_DAY.replace('expiry = { series = "monthly" }', "settle = true").replace("09:20", "15:30")
"""The weekly that expires on the Tuesday, held into its settlement: the exit is when it has stopped trading."""


def market(of_call: dict[str, str], of_put: dict[str, str], expiry: date = MONTH, spot: str = "26010") -> Prices:
    return {"NIFTY": steady(spot), call(expiry): of_call, put(expiry): of_put}


def written(nights: Nights) -> Any:
    """The record of the days as `--json` writes it."""
    return as_json(nights.records)


QUIET = market(steady("100"), steady("80"))
WEEKLY = market(steady("100"), steady("80"), TUE)


# ---------------------------------------------------------------- restarts between days


@pytest.mark.parametrize("together", [False, True], ids=["a process a day", "one process"])
def test_a_run_goes_on_after_the_night_and_is_accounted_for_on_the_day_it_is_closed(
    tmp_path: Path, together: bool
) -> None:
    """2 lots of 65, sold at 100 and 80. Monday closes at 110 and 85, so that 130 x (10 + 5) = 1,950 is lost and open.

    On Tuesday at 09:20 they are bought back at 90 and 84: 130 x (10 - 4) = 780, all of it Tuesday's.
    """
    monday = market(steady("100", at0935="110"), steady("80", at0935="85"))
    tuesday = market(steady("90"), steady("84"))
    folder = days(tmp_path / "days", {MON: monday, TUE: tuesday})
    nights = trade(folder, tmp_path / "data", NEXT_DAY, together=together)
    first, second = nights.records
    assert first.runs[0].run.status is RunStatus.ACTIVE
    assert first.profit.gross == 0
    assert [leg.mark for leg in first.runs[0].run.positions] == [110, 85]
    assert [leg.exit_time for leg in nights.run(TUE).positions] == [on(TUE, "09:20")] * 2
    assert {leg.exit_reason for leg in nights.run(TUE).positions} == {ExitReason.TIME}
    assert second.profit.gross == 780
    assert [run.run.id for record in nights.records for run in record.runs] == [nights.run(MON).id] * 2
    assert nights.held_at_the_exchange == {}
    assert nights.alerts(MON) == nights.alerts(TUE) == []


def test_the_json_shows_what_is_carried_with_its_marks_and_counts_nothing_twice(tmp_path: Path) -> None:
    """As above: the 1,950 rupees that are open on Monday are in no sum."""
    monday = market(steady("100", at0935="110"), steady("80", at0935="85"))
    folder = days(tmp_path / "days", {MON: monday, TUE: market(steady("90"), steady("84")), WED: QUIET})
    nights = trade(folder, tmp_path / "data", NEXT_DAY)
    document = written(nights)
    first, second, third = document["sessions"]
    (run,) = first["runs"]
    assert run["legs"] == []
    assert [(leg["mark"], leg["unrealised"]) for leg in run["carried"]] == [
        ("110.0000", "-1300.00"),
        ("85.0000", "-650.00"),
    ]
    (run,) = second["runs"]
    assert run["entered_on"] == "2026-11-30"
    assert [leg["gross"] for leg in run["legs"]] == ["1300.00", "-520.00"]
    assert run["carried"] == third["runs"] == []
    assert [session["gross"] for session in document["sessions"]] == ["0.00", "780.00", "0.00"]
    assert document["totals"]["gross"] == "780.00"
    assert document["totals"]["runs"] == 1


def test_charges_belong_to_the_day_of_their_order_and_add_up(tmp_path: Path) -> None:
    """Brokerage of 20 rupees an order: two orders a day."""
    folder = days(tmp_path / "days", {MON: QUIET, TUE: market(steady("90"), steady("84"))})
    nights = trade(folder, tmp_path / "data", NEXT_DAY, with_charges=True)
    first, second = (record.profit for record in nights.records)
    assert first.gross == 0
    assert first.charges is not None and second.charges is not None
    assert first.charges > 40 and second.charges > 40
    assert first.net == -first.charges
    assert [record.orders for record in nights.records] == [2, 2]


def test_a_process_killed_at_any_minute_of_the_second_day_leaves_a_run_the_next_one_ends(tmp_path: Path) -> None:
    class Gone(SystemExit):
        pass

    folder = days(tmp_path / "days", {MON: QUIET, TUE: market(steady("90"), steady("84"))})
    for minute in ("09:05", "09:16", "09:20", "09:21"):
        data = tmp_path / minute.replace(":", "")
        trade(folder, data, NEXT_DAY, only=[MON])

        async def leave(machine: Embedded, minute: str = minute) -> None:
            await machine.clock.sleep_until(on(TUE, minute))
            raise Gone

        with pytest.raises(Gone):
            trade(folder, data, NEXT_DAY, only=[TUE], acts={TUE: leave})
        nights = trade(folder, data, NEXT_DAY, only=[TUE])
        assert nights.run(TUE).status is RunStatus.CLOSED
        assert nights.records[0].profit.gross == 780
        assert nights.held_at_the_exchange == {}


def test_trading_the_same_days_again_changes_nothing(tmp_path: Path) -> None:
    """A replay that is resumed after its last day accounts for the days from the store, as they were."""
    monday = market(steady("100", at0935="110"), steady("80"))
    folder = days(tmp_path / "days", {MON: monday, TUE: market(steady("90"), steady("84")), WED: QUIET})
    once = trade(folder, tmp_path / "data", NEXT_DAY, together=True)
    again = trade(folder, tmp_path / "data", NEXT_DAY, together=True)
    assert as_json(again.records) == as_json(once.records)


def test_the_next_process_is_told_which_underlyings_are_held(tmp_path: Path) -> None:
    """So that a simulated market has them, whatever the files of that day trade."""
    folder = days(tmp_path / "days", {MON: QUIET, TUE: QUIET})
    assert asyncio.run(held_underlyings(tmp_path / "data", MON)) == set()
    trade(folder, tmp_path / "data", NEXT_DAY, only=[MON])
    assert asyncio.run(held_underlyings(tmp_path / "data", MON)) == set()
    assert asyncio.run(held_underlyings(tmp_path / "data", TUE)) == {"NIFTY"}
    trade(folder, tmp_path / "data", NEXT_DAY, only=[TUE])
    assert asyncio.run(held_underlyings(tmp_path / "data", WED)) == set()


# ---------------------------------------------------------------- rules go on


def test_a_stop_is_checked_from_the_first_minute_of_the_next_day(tmp_path: Path) -> None:
    """The call's stop is 125; Tuesday's first bar closes at 140, known at 09:16, and there it is bought back."""
    folder = days(tmp_path / "days", {MON: QUIET, TUE: market(steady("140"), steady("80"))})
    nights = trade(folder, tmp_path / "data", NEXT_DAY)
    leg = nights.leg(TUE, "1")
    assert (leg.exit_reason, leg.exit_time, leg.exit_price) == (ExitReason.STOP, on(TUE, "09:16"), Decimal(140))
    assert nights.leg(TUE, "2").exit_time == on(TUE, "09:20")


def test_a_trail_and_a_lock_remember_what_the_day_before_reached(tmp_path: Path) -> None:
    """Sold at 100, stop at 120, 10 down for every 10 in favour: at 70 on Monday it is at 90, and 92 is beyond.

    The other strategy made 130 x 30 = 3,900 on Monday, which arms its lock at 3,000; on Tuesday at 92 it is at 1,040,
    below the 2,000 it keeps.
    """
    trail = NEXT_DAY.replace(
        "stop = { percent = 25 }", 'stop = { points = 20 }\n  trail = { unit = "points", every = 10, by = 10 }', 1
    )
    lock = NEXT_DAY.replace("stop = { percent = 25 }\n", "").replace(
        'holding = "next_day"', 'holding = "next_day"\nlock = { at = 3000, keep = 2000 }'
    )
    monday = market(steady("100", at0934="70"), steady("80"))
    folder = days(tmp_path / "days", {MON: monday, TUE: market(steady("92"), steady("80"))})
    trailed = trade(folder, tmp_path / "trail", trail).leg(TUE, "1")
    assert (trailed.exit_reason, trailed.exit_time) == (ExitReason.TRAIL, on(TUE, "09:16"))
    locked = trade(folder, tmp_path / "lock", lock).run(TUE)
    assert {(leg.exit_reason, leg.exit_time) for leg in locked.positions} == {(ExitReason.LOCK, on(TUE, "09:16"))}


def test_days_on_which_nothing_is_scheduled_watch_what_is_held(tmp_path: Path) -> None:
    """Positional: from 4 trading days before the expiry of 1 December, a Wednesday, to 1 before it, the Monday."""
    wednesday, thursday, friday = date(2026, 11, 25), date(2026, 11, 26), date(2026, 11, 27)
    basket = NEXT_DAY.replace('holding = "next_day"', 'holding = "positional"\nenter_before = 4\nexit_before = 1')
    basket = basket.replace('days = ["MON"]\n', "").replace('expiry = { series = "monthly" }\n', "")
    folder = days(
        tmp_path / "days",
        {wednesday: WEEKLY, thursday: WEEKLY, friday: market(steady("130"), steady("80"), TUE), MON: WEEKLY},
    )
    nights = trade(folder, tmp_path / "data", basket)
    assert [[run.run.date for run in record.runs] for record in nights.records] == [[wednesday]] * 4
    stopped, timed = nights.leg(MON, "1"), nights.leg(MON, "2")
    assert (stopped.exit_reason, stopped.exit_time) == (ExitReason.STOP, on(friday, "09:16"))
    assert (timed.exit_reason, timed.exit_time) == (ExitReason.TIME, on(MON, "09:20"))
    assert [record.profit.gross for record in nights.records] == [0, 0, -130 * 30, 0]


# ---------------------------------------------------------------- what is not there


def test_what_is_not_listed_the_next_day_or_has_no_price_is_told(tmp_path: Path) -> None:
    gone = chain("NIFTY", MONTH, [25900, 26100], lot_size=65, series="monthly")
    folder = days(tmp_path / "days", {MON: QUIET})
    days(folder, {TUE: {"NIFTY": steady("26010"), call(MONTH, 26100): steady("50")}}, listings=gone)
    nights = trade(folder, tmp_path / "data", NEXT_DAY)
    assert nights.alerts(TUE).count("not_listed") == 2
    assert nights.alerts(TUE).count("no_quote") == 2
    assert "not_closed" in nights.alerts(TUE)
    assert not nights.run(TUE).is_flat


def test_an_exit_whose_day_nobody_traded_is_made_up_at_the_next_open(tmp_path: Path) -> None:
    folder = days(tmp_path / "days", {MON: QUIET, WED: QUIET})
    nights = trade(folder, tmp_path / "data", NEXT_DAY)
    assert {leg.exit_time for leg in nights.run(WED).positions} == {on(WED, "09:16")}
    assert nights.alerts(WED) == ["exit_missed"]


def test_an_exit_day_that_becomes_a_holiday_moves_the_exit_to_the_next_trading_day(tmp_path: Path) -> None:
    folder = days(tmp_path / "days", {MON: QUIET, WED: QUIET})
    trade(folder, tmp_path / "data", NEXT_DAY, only=[MON])
    extra = tmp_path / "facts"
    extra.mkdir()
    (extra / "holidays.csv").write_text("date,name,exchanges\n2026-12-01,State funeral,NSE;BSE\n", encoding="utf-8")
    nights = trade(folder, tmp_path / "data", NEXT_DAY, only=[WED], facts=load(extra))
    assert {leg.exit_time for leg in nights.run(WED).positions} == {on(WED, "09:20")}
    assert "exit moved from 01-Dec-2026 09:20 to 02-Dec-2026 09:20" in nights.run(WED).detail
    assert nights.alerts(WED) == ["exit_moved"]


def test_an_exit_outside_the_hours_of_its_day_is_two_minutes_before_their_close(tmp_path: Path) -> None:
    """Planned for 14:00; the day's recorded session ends at 09:40."""
    folder = days(tmp_path / "days", {MON: QUIET, TUE: QUIET})
    nights = trade(folder, tmp_path / "data", NEXT_DAY.replace("09:20", "14:00"))
    assert {leg.exit_time for leg in nights.run(TUE).positions} == {on(TUE, "09:38")}
    assert "exit moved from 14:00 to 09:38, before the close at 09:40" in nights.run(TUE).detail


def test_a_contract_that_is_given_another_date_is_followed_there(tmp_path: Path) -> None:
    """NIFTY's contracts of 29 June 2023 became those of the 28th after the close of the 27th: Bakri Id was moved."""
    tuesday, wednesday = date(2023, 6, 27), date(2023, 6, 28)
    old, new = date(2023, 6, 29), wednesday
    strikes = range(18500, 18801, 50)
    basket = NEXT_DAY.replace('expiry = { series = "monthly" }\n', "").replace('"MON"', '"TUE"')
    listed = chain("NIFTY", old, strikes, lot_size=50), chain("NIFTY", new, strikes, lot_size=50)
    folder = tmp_path / "days"
    for day, expiry, of_day in ((tuesday, old, listed[0]), (wednesday, new, listed[1])):
        prices: Prices = {
            "NIFTY": steady("18660"),
            call(expiry, 18650): steady("100"),
            put(expiry, 18650): steady("80"),
        }
        days(folder, {day: prices}, listings=of_day)
    nights = trade(folder, tmp_path / "data", basket)
    run = nights.run(wednesday)
    assert {leg.contract.expiry for leg in run.positions} == {new}
    assert {leg.exit_time for leg in run.positions} == {on(wednesday, "09:20")}
    assert nights.alerts(wednesday) == ["redated", "redated"]
    assert nights.held_at_the_exchange == {}


# ---------------------------------------------------------------- settlement


def test_options_settle_at_the_final_settlement_price_and_not_at_the_last_tick(tmp_path: Path) -> None:
    """2 lots of 65 sold at 100 and 80. On Tuesday the last prices are 33 and 7; the index settles at 26,040.

    The call pays 40: 130 x (100 - 40) = 7,800. The put pays nothing: 130 x 80 = 10,400. A writer pays no exercise STT.
    """
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: market(steady("33"), steady("7"), TUE)})
    settle(folder, TUE, "26040")
    nights = trade(folder, tmp_path / "data", EXPIRING, with_charges=True)
    run = nights.run(TUE)
    assert run.status is RunStatus.CLOSED
    assert [(leg.exit_reason, leg.exit_price, leg.exit_time) for leg in run.positions] == [
        (ExitReason.EXPIRY, Decimal(40), on(TUE, "09:40")),
        (ExitReason.EXPIRY, Decimal(0), on(TUE, "09:40")),
    ]
    record = nights.records[1]
    assert record.profit.gross == 18200
    assert record.profit.charges == 0
    assert record.orders == 0
    assert nights.held_at_the_exchange == {}
    settled = nights.book("SELECT type, units, price, index_price FROM events WHERE kind = 'settlement' ORDER BY type")
    assert settled == [("CE", 130, "40", "26040"), ("PE", 130, "0", "26040")]


def test_the_buyer_of_an_option_pays_exercise_stt_on_what_it_pays(tmp_path: Path) -> None:
    """Bought at 100 and 80. The call pays 40 x 130 = 5,200: STT of 0.15 % since April 2026 is 7.80, rounded to 8 on
    the day's note. Gross: 130 x (40 - 100) - 130 x 80 = -18,200."""
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: market(steady("33"), steady("7"), TUE)})
    settle(folder, TUE, "26040")
    nights = trade(
        folder,
        tmp_path / "data",
        EXPIRING.replace("SELL", "BUY").replace("percent = 25", "percent = 95"),
        with_charges=True,
    )
    record = nights.records[1]
    assert record.runs[0].profit.gross == -18200
    assert record.runs[0].profit.charges == Decimal("7.80")
    assert record.rounding == {"one": Decimal("0.20")}
    assert record.profit.net == -18208
    (run,) = written(nights)["sessions"][1]["runs"]
    assert [(each["index"], each["price"], each["value"]) for each in run["settled"]] == [
        ("26040.0000", "40.0000", "5200.00"),
        ("26040.0000", "0.0000", "0.00"),
    ]


def test_without_a_final_settlement_price_it_stays_open_until_one_is_known(tmp_path: Path) -> None:
    """Nothing is settled on Tuesday, nor on Wednesday morning; by Thursday the price is there."""
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: WEEKLY, WED: QUIET, THU: QUIET})
    nights = trade(folder, tmp_path / "data", EXPIRING, only=[MON, TUE, WED])
    assert nights.alerts(TUE) == ["no_settlement_price"] * 2
    assert set(nights.alerts(WED)) == {"no_settlement_price"}
    assert not nights.run(WED).is_flat
    assert nights.held_at_the_exchange == {("2026-12-01", "CE"): -130, ("2026-12-01", "PE"): -130}
    settle(folder, TUE, "26040")
    nights = trade(folder, tmp_path / "data", EXPIRING, only=[THU])
    assert [leg.exit_reason for leg in nights.run(THU).positions] == [ExitReason.EXPIRY] * 2
    assert nights.records[0].profit.gross == 18200
    assert nights.held_at_the_exchange == {}


def test_of_a_calendar_the_near_leg_settles_and_the_far_one_goes_on(tmp_path: Path) -> None:
    """The weekly call sold at 100 settles at 40 on Tuesday: 65 x 60 = 3,900. The monthly one, bought at 300, is sold at
    310 on Wednesday: 650."""
    basket = """
[basket]
name = "Calendar"
capital = 500000
[[accounts]]
id = "one"
[[strategies]]
name = "calendar"
underlying = "NIFTY"
entry = "09:30"
exit = "09:20"
holding = "next_day"
settle = true
days = ["TUE"]
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
  expiry = { series = "monthly" }
  [[strategies.allocations]]
  account = "one"
  lots = 1
"""
    tuesday: Prices = {"NIFTY": steady("26010"), call(TUE): steady("100"), call(): steady("300")}
    wednesday: Prices = {"NIFTY": steady("26010"), call(): steady("310")}
    folder = days(tmp_path / "days", {TUE: tuesday, WED: wednesday})
    settle(folder, TUE, "26040")
    nights = trade(folder, tmp_path / "data", basket)
    assert nights.run(TUE).status is RunStatus.ACTIVE
    assert [record.profit.gross for record in nights.records] == [3900, 650]
    assert (nights.leg(WED, "near").exit_reason, nights.leg(WED, "far").exit_reason) == (
        ExitReason.EXPIRY,
        ExitReason.TIME,
    )
    (run,) = written(nights)["sessions"][1]["runs"]
    assert [leg["leg"] for leg in run["legs"]] == ["far"]


def test_an_exit_after_a_legs_expiry_is_refused_unless_it_may_settle(tmp_path: Path) -> None:
    basket = NEXT_DAY.replace('expiry = { series = "monthly" }\n', "").replace('"MON"', '"TUE"')
    folder = days(tmp_path / "days", {TUE: WEEKLY})
    nights = trade(folder, tmp_path / "data", basket)
    run = nights.run(TUE)
    assert (run.status, run.reason) == (RunStatus.SKIPPED, Reason.EXIT_AFTER_EXPIRY)
    assert "its exit on 02-Dec-2026 is after the expiry of a leg on 01-Dec-2026" in run.detail
    assert nights.book("SELECT * FROM orders") == []


def test_what_a_stop_could_not_close_before_the_expiry_settles_too(tmp_path: Path) -> None:
    """The call's stop is at 125 and fires with the last bar, known when trading has ended."""
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: market(steady("100", at0939="140"), steady("80"), TUE)})
    settle(folder, TUE, "26150")
    nights = trade(folder, tmp_path / "data", EXPIRING)
    assert nights.leg(TUE, "1").exit_price == 150
    assert nights.run(TUE).is_flat
    assert nights.run(TUE).status is RunStatus.CLOSED


# ---------------------------------------------------------------- product


@pytest.mark.parametrize(("product", "sent"), [("NRML", Product.NRML), ("MIS", Product.MIS)])
def test_every_order_carries_the_product(tmp_path: Path, product: str, sent: Product) -> None:
    basket = NEXT_DAY.replace('holding = "next_day"', f'product = "{product}"').replace(
        'exit = "09:20"', 'exit = "09:35"'
    )
    folder = days(tmp_path / "days", {MON: QUIET})
    orders: list[Order] = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(on(MON, "09:36"))
        (run,) = await machine.books.runs_on(LOCAL_USER, MON)
        orders.extend(await machine.books.orders_of_run(LOCAL_USER, run.id))

    nights = trade(folder, tmp_path / "data", basket, acts={MON: look})
    assert nights.run(MON).status is RunStatus.CLOSED
    assert [order.intent.product for order in orders] == [sent] * 4


def test_an_mis_exit_too_near_the_brokers_square_off_of_the_day_is_not_entered(tmp_path: Path) -> None:
    """A row of square_offs.csv for the day: the broker begins at 09:40, so that 09:30 is the last exit."""
    basket = NEXT_DAY.replace('holding = "next_day"', 'product = "MIS"').replace('exit = "09:20"', 'exit = "09:35"')
    extra = tmp_path / "facts"
    extra.mkdir()
    row = "broker,at,effective_from,effective_to\nzerodha,09:40,2026-11-30,2026-11-30\n"
    (extra / "square_offs.csv").write_text(row, encoding="utf-8")
    folder = days(tmp_path / "days", {MON: QUIET})
    nights = trade(folder, tmp_path / "data", basket, facts=load(extra))
    assert (nights.run(MON).status, nights.run(MON).reason) == (RunStatus.SKIPPED, Reason.MIS_SQUARE_OFF)
    assert "a MIS exit at 09:35 has to leave by 09:30 at zerodha (account one)" in nights.run(MON).detail


# ---------------------------------------------------------------- futures, and money that adds up


def test_a_future_settles_at_the_index_and_days_add_up_to_the_run(tmp_path: Path) -> None:
    """Bought at 26,050 on Monday; the monthly future settles at 26,040 on Tuesday: 65 x -10 = -650."""
    fut = future("NIFTY", TUE)
    listed = [*LISTED, Listing(contract=fut, lot_size=65, tick=Decimal("0.05"), freeze_quantity=None, series="monthly")]
    basket = (
        EXPIRING.partition("  [[strategies.legs]]")[0]
        + """
  [[strategies.legs]]
  side = "BUY"
  type = "FUT"
  [[strategies.allocations]]
  account = "one"
  lots = 1
"""
    )
    prices: Prices = {"NIFTY": steady("26010"), fut: steady("26050")}
    folder = days(tmp_path / "days", {MON: prices, TUE: prices}, listings=listed)
    settle(folder, TUE, "26040")
    nights = trade(folder, tmp_path / "data", basket, with_charges=True)
    leg = nights.leg(TUE, "1")
    assert (leg.exit_reason, leg.exit_price, leg.gross) == (ExitReason.EXPIRY, Decimal(26040), Decimal(-650))
    assert [record.profit.gross for record in nights.records] == [0, -650]
    assert nights.records[1].profit.charges == 0
    assert nights.held_at_the_exchange == {}


def test_every_field_of_what_is_carried_or_settled_is_documented(tmp_path: Path) -> None:
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: WEEKLY})
    settle(folder, TUE, "26040")
    first, second = written(trade(folder, tmp_path / "data", EXPIRING))["sessions"]
    page = (Path(__file__).parent.parent.parent / "docs" / "replay-json.md").read_text(encoding="utf-8")
    for name, entry in (("carried", first["runs"][0]["carried"][0]), ("settled", second["runs"][0]["settled"][0])):
        section = page.partition(f"`$.sessions[].runs[].{name}[]`")[2].partition("\n## ")[0]
        assert list(entry) == [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]


def test_the_history_has_a_record_of_the_settlement_beside_the_orders(tmp_path: Path) -> None:
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: WEEKLY, WED: QUIET})
    settle(folder, TUE, "26040")
    found: list[LegPosition] = []

    async def look(machine: Embedded) -> None:
        (run,) = await machine.books.runs_on(LOCAL_USER, MON)
        found.extend(await machine.books.settlements_of_run(LOCAL_USER, run.id))

    nights = trade(folder, tmp_path / "data", EXPIRING, acts={WED: look})
    assert found == list(nights.run(TUE).positions)
