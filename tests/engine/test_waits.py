"""Waits and breakouts end to end: real orders on the paper exchange, at the instants and prices worked out here.

At 09:20 the call costs 100 and the put 80, the spot is 26,010; 2 lots of 65 each, 130 units, out at 09:35. The bar of
09:22 has ended, and is known, at 09:23.
"""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.report import as_json
from option_baskets.store.records import MarketRecord
from option_baskets.wiring import Embedded
from tests.engine import test_overnight as over_night
from tests.engine.nights import MON, TUE, days, trade
from tests.engine.test_out_rules import ended, flat, legs, play
from tests.engine.test_recovery import Killed, Life, being_sent, dying
from tests.engine.tiny_day import QUIET, SPREAD, Played, Prices, call, instant, play_day, put, record, steady

UP = "wait = { points = 10 }"
EARLY_RANGE = 'breakout = { until = "09:24" }'


def entries(played: Played) -> list[str]:
    """What was entered when and at what price, in the order of the orders."""
    found = [
        (each.entry_time, f"{each.leg} on {each.account} {each.entry_time:%H:%M} {each.entry_price:.2f}")
        for each in played.run.positions
        if each.entry_time is not None
    ]
    return [text for _, text in sorted(found)]


def recorded(played: Played) -> list[str]:
    """What was intended and never entered."""
    return [f"{short.leg} on {short.account} {short.quantity} {short.reason}" for short in played.run.shortfalls]


# ---------------------------------------------------------------- moves


def test_a_leg_that_waits_is_sold_once_its_price_has_risen_so_far(tmp_path: Path) -> None:
    """P = 100, +10. 109.95 is known at 09:22 and short of 110, which is known at 09:24: sold then. The put is not
    concerned and sold at 09:20. Out at 105: (110 - 105) x 130 = 650."""
    played = play(tmp_path, legs(UP), of_call=steady("100", at0921="109.95", at0923="110", at0926="105"))
    assert entries(played) == ["2 on one 09:20 80.00", "1 on one 09:24 110.00"]
    assert ended(played) == "time 09:35 105.00"
    assert played.leg("1").gross == 650
    assert recorded(played) == []


def test_it_fills_at_the_open_of_the_bar_that_starts_when_it_is_due_and_is_checked_at_that_bars_end(
    tmp_path: Path,
) -> None:
    """The bar of 09:23 sees 115 and closes at 108: nothing. That of 09:24 closes at 111: sold at 09:25 at the open of
    112.00, stop 20 % above: 134.40. The bar of 09:24, which decided, had 140; that of 09:25 has 134.40: out there."""
    bars = flat(
        "100",
        at0923=("100", "115", "100", "108"),
        at0924=("108", "140", "108", "111"),
        at0925=("112", "134.40", "110", "113"),
    )
    played = play(tmp_path, legs(f"{UP}\nstop = {{ percent = 20 }}"), of_call=bars)
    assert entries(played)[-1] == "1 on one 09:25 112.00"
    assert ended(played) == "stop 09:26 134.40"


def test_a_leg_that_waits_for_a_fall_in_percent(tmp_path: Path) -> None:
    """-5 % of 80 is 76: 76.05 at 09:23 is not there, 75 at 09:25 is."""
    played = play(tmp_path, legs("", "wait = { percent = -5 }"), of_put=steady("80", at0922="76.05", at0924="75"))
    assert entries(played) == ["1 on one 09:20 100.00", "2 on one 09:25 75.00"]


def test_what_its_price_never_reaches_is_not_entered_and_recorded(tmp_path: Path) -> None:
    """The call comes to 110 in the bar of 09:34, known at 09:35, the exit: no entry at or after it."""
    played = play(tmp_path, legs(UP), of_call=steady("100", at0934="110"))
    assert entries(played) == ["2 on one 09:20 80.00"]
    assert recorded(played) == ["1 on one 130 not_triggered"]
    assert played.run.status is RunStatus.CLOSED


def test_a_run_that_only_waited_is_skipped_as_not_triggered(tmp_path: Path) -> None:
    played = play(tmp_path, legs(UP, UP))
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.NOT_TRIGGERED)
    assert recorded(played) == ["1 on one 130 not_triggered", "2 on one 130 not_triggered"]
    assert played.orders == ()


def test_a_strategy_that_waits_enters_all_legs_on_all_accounts_together_hedges_first(tmp_path: Path) -> None:
    """Sold 100, bought 40: a credit of 60, -10 % is 54. 95 - 40 = 55 at 09:23 is not there, 95 - 41 = 54 at 09:25
    is."""
    basket = SPREAD.replace('exit = "09:35"\n', 'exit = "09:35"\nwait = { percent = -10 }\n')
    prices: Prices = {
        "NIFTY": steady("26010"),
        call(): steady("100", at0922="95"),
        call(26100): steady("40", at0924="41"),
    }
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)
    assert entries(played) == [
        "short on one 09:25 95.00",
        "short on two 09:25 95.00",
        "wing on one 09:25 41.00",
        "wing on two 09:25 41.00",
    ]
    for account in ("one", "two"):
        sides = [side for side, at in played.book("side, account") if at == account]
        assert sides == ["BUY", "SELL", "BUY", "SELL"]


def test_the_contracts_of_a_wait_are_those_of_the_entry_minute(tmp_path: Path) -> None:
    """At 09:20 the money is 26,000. It is 26,050 by 09:24, when the 26000 call has risen to 130 and is sold."""
    spot = steady("26010", at0922="26050")
    played = play(tmp_path, legs("wait = { points = 30 }"), spot=spot, of_call=steady("100", at0923="130"))
    assert entries(played)[-1] == "1 on one 09:24 130.00"
    assert played.leg("1").contract == call(26000)


def test_a_leg_without_a_fresh_price_at_the_entry_minute_skips_the_run(tmp_path: Path) -> None:
    """The call's last bar began at 09:17 and was over at 09:18, two minutes before."""
    bars = dict.fromkeys(("09:15", "09:16", "09:17", "09:25", "09:26"), "100")
    played = play(tmp_path, legs(UP), of_call=bars)
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.STALE_QUOTE)
    assert played.orders == ()


def test_what_is_waited_for_is_among_the_prices_that_are_kept(tmp_path: Path) -> None:
    """Nothing is held at 09:23, and both premiums are there."""
    kept: list[MarketRecord | None] = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:23") + timedelta(seconds=30))
        kept.append(await machine.books.market("NIFTY"))

    days = record(tmp_path / "days", QUIET)
    play_day(days, tmp_path / "data", legs(strategy=UP), acts=[look])
    assert kept[0] is not None
    assert kept[0].prices == {call().key: Decimal(100), put().key: Decimal(80)}


# ---------------------------------------------------------------- breakouts


@pytest.mark.parametrize(
    ("side", "entry"), [("high", "1 on one 09:30 104.05"), ("low", "1 on one 09:27 96.95"), ("either", "")]
)
def test_a_leg_is_entered_when_its_premium_leaves_the_range_on_the_chosen_side(
    tmp_path: Path, side: str, entry: str
) -> None:
    """Known from 09:21 to 09:24: 100, 104, 97, 97. 104 at 09:26 is no break, 96.95 at 09:27 is one of the low,
    104.05 at 09:30 of the high; either takes the first."""
    prices = steady("100", at0921="104", at0922="97", at0925="104", at0926="96.95", at0927="100", at0929="104.05")
    played = play(tmp_path, legs(f'breakout = {{ until = "09:24", side = "{side}" }}'), of_call=prices)
    assert entries(played)[-1] == (entry or "1 on one 09:27 96.95")


def test_a_range_has_the_highs_and_lows_of_its_bars_and_a_break_needs_a_close(tmp_path: Path) -> None:
    """The bar of 09:19 (high 130) was before. 09:20 to 09:23 span 92 to 108. 09:24 sees 120 and closes at 108: no
    break. 09:26 closes at 108.05: entered at 09:27 at the open of 109."""
    bars = flat(
        "100",
        at0919=("100", "130", "60", "100"),
        at0921=("100", "108", "99", "101"),
        at0922=("101", "103", "92", "100"),
        at0924=("100", "120", "80", "108"),
        at0926=("100", "109", "100", "108.05"),
        at0927=("109", "109", "109", "109"),
    )
    assert entries(play(tmp_path, legs(EARLY_RANGE), of_call=bars))[-1] == "1 on one 09:27 109.00"


def test_a_strategy_is_entered_with_the_strikes_of_the_break_of_its_underlying(tmp_path: Path) -> None:
    """Known from 09:21 to 09:24: 26,010 to 26,060. 26,060.05 at 09:27 is a break; the money is then 26,050."""
    prices: Prices = {
        "NIFTY": steady("26010", at0921="26060", at0922="26020", at0924="26060", at0926="26060.05"),
        call(): steady("100"),
        put(): steady("80"),
        call(26050): steady("70"),
        put(26050): steady("95"),
    }
    basket = legs(strategy='breakout = { until = "09:24", side = "high" }')
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)
    assert entries(played) == ["1 on one 09:27 70.00", "2 on one 09:27 95.00"]
    assert [each.contract for each in played.run.positions] == [call(26050), put(26050)]


def test_a_break_at_which_a_leg_cannot_be_chosen_skips_the_run(tmp_path: Path) -> None:
    """The break is at 26,100, where no option has a price."""
    played = play(tmp_path, legs(strategy=EARLY_RANGE), spot=steady("26010", at0926="26100"))
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.NO_QUOTE)
    assert played.orders == ()


def test_an_underlying_without_a_price_cannot_be_waited_for(tmp_path: Path) -> None:
    prices: Prices = {call(): steady("100"), put(): steady("80")}
    basket = legs(strategy=f'reference = "synthetic"\n{EARLY_RANGE}')
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.NO_REFERENCE_PRICE)


# ---------------------------------------------------------------- with other rules


def test_a_strategy_stop_ends_what_waits(tmp_path: Path) -> None:
    """The put at 88 has lost 8 x 130 = 1,040: out at 09:24. The call is at 110 at 09:26, and nothing waits for it."""
    basket = legs(UP, strategy="stop = { rupees = 1000 }")
    played = play(tmp_path, basket, of_put=steady("80", at0923="88"), of_call=steady("100", at0925="110"))
    assert ended(played, "2") == "strategy_stop 09:24 88.00"
    assert recorded(played) == ["1 on one 130 cancelled"]
    assert entries(played) == ["2 on one 09:20 80.00"]


def test_a_percentage_of_the_premium_is_of_the_first_entry_alone(tmp_path: Path) -> None:
    """The put came first: 30 % of 80 x 130 is 3,120. With the call, sold at 110 at 09:24, it would be 7,410.

    At 09:27 the call at 134 has lost 24 x 130 = 3,120: out.
    """
    basket = legs(UP, strategy="stop = { premium_percent = 30 }")
    played = play(tmp_path, basket, of_call=steady("100", at0923="110", at0925="133.95", at0926="134"))
    assert ended(played) == "strategy_stop 09:27 134.00"
    assert ended(played, "2") == "strategy_stop 09:27 80.00"


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_after_every_other_commit_the_range_is_as_wide_as_it_was(tmp_path: Path) -> None:
    """104, 97, 97 and 104 are the range to 09:21, known at 09:18 and on; 104 at 09:22 is inside, 104.05 at 09:23
    is not."""
    basket = legs('breakout = { until = "09:21" }').replace("09:20", "09:17").replace("09:35", "09:25")
    closes = steady("100", end="09:26", at0917="104", at0918="97", at0920="104", at0922="104.05")
    prices: Prices = {"NIFTY": steady("26010", end="09:26"), call(): closes, put(): steady("80", end="09:26")}
    days = record(tmp_path / "days", prices, hours="09:15-09:26")
    whole = play_day(days, tmp_path / "whole", basket)
    assert entries(whole)[-1] == "1 on one 09:23 104.05"
    compared = 0
    for number in range(1, 1000, 2):
        life = Life(number)
        try:
            play_day(days, tmp_path / str(number), basket, machine_of=dying(table=life))
            break
        except Killed:
            pass
        resumed = play_day(days, tmp_path / str(number), basket)
        if not being_sent(life, resumed):
            compared += 1
            assert json.dumps(as_json([resumed.day])) == json.dumps(as_json([whole.day])), f"after commit {number}"
    assert compared >= 3


# ---------------------------------------------------------------- over the night


def test_what_waits_goes_on_waiting_on_the_next_day(tmp_path: Path) -> None:
    """P = 180 on Monday at 09:30, +10: nothing comes to 190 that day. On Tuesday 105 + 85 is there at 09:18, and both
    are sold; out at the exit of 09:20 at 104: (105 - 104) x 130 = 130."""
    monday = over_night.market(steady("100"), steady("80"))
    tuesday = over_night.market(steady("100", at0917="105", at0919="104"), steady("80", at0916="85"))
    folder = days(tmp_path / "days", {MON: monday, TUE: tuesday})
    basket = over_night.NEXT_DAY.replace('exit = "09:20"', f'exit = "09:20"\n{UP}').replace(
        "  stop = { percent = 25 }\n", ""
    )
    nights = trade(folder, tmp_path / "data", basket)
    assert nights.run(MON).status is RunStatus.WAITING
    assert [f"{each.entry_time} {each.exit_time}" for each in nights.run(TUE).positions] == [
        "2026-12-01 09:18:00+05:30 2026-12-01 09:20:00+05:30"
    ] * 2
    assert nights.records[1].profit.gross == 130


def test_what_never_comes_over_two_days_is_skipped_at_the_exit(tmp_path: Path) -> None:
    quiet = over_night.market(steady("100"), steady("80"))
    folder = days(tmp_path / "days", {MON: quiet, TUE: quiet})
    basket = over_night.NEXT_DAY.replace('exit = "09:20"', f'exit = "09:20"\n{UP}')
    nights = trade(folder, tmp_path / "data", basket)
    assert (nights.run(TUE).status, nights.run(TUE).reason) == (RunStatus.SKIPPED, Reason.NOT_TRIGGERED)


WAITS_AS_ONE = (
    SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nwait = { points = 3 }\ntarget = { premium_percent = 90 }')
    .replace('account = "two"\n  lots = 1', 'account = "two"\n  leg_lots = { short = 4 }')
    .replace('underlying = "NIFTY"', 'underlying = "NIFTY"\nnaked = true')
)


def test_whether_the_premium_is_clear_is_judged_over_all_accounts_where_the_strategy_waits(tmp_path: Path) -> None:
    """Sold at 100, bought at 95: 5 of 195 on account one is less than a tenth. With the 4 lots sold at 105 on two the
    run has sold 6 x 105 and bought 2 x 97: 436 of 824, and both enter once 5 has become 8."""
    prices: Prices = {
        "NIFTY": steady("26010"),
        call(): steady("100", at0921="105"),
        call(26100): steady("95", at0921="97"),
    }
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", WAITS_AS_ONE)
    assert entries(played) == [
        "short on one 09:22 105.00",
        "short on two 09:22 105.00",
        "wing on one 09:22 97.00",
    ]
