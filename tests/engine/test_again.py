"""Entries again and lazy legs, end to end: real orders on the paper exchange and a flat account.

The call is sold (or bought) at 100 and the put at 80 at 09:20, 2 lots of 65 each: 130 units; out at 09:35. A bar
stamped 09:22 ends at 09:23, so what its close sets off happens at 09:23.
"""

from pathlib import Path

import pytest

from option_baskets.domain.run import LegPosition, RunStatus
from tests.engine.test_out_rules import PLAIN, STOP, flat, legs
from tests.engine.tiny_day import SPREAD, Bars, Played, Prices, call, play_day, put, record, steady

BOUGHT = PLAIN.replace("SELL", "BUY")
LAZY = """
  [[strategies.legs]]
  id = "late"
  side = "SELL"
  type = "CE"
  lazy = true
  strike = { rule = "atm", offset = 2 }
"""


def on_stop(rule: str) -> str:
    return f"{STOP}\non_stop = {{ {rule} }}"


def play(tmp_path: Path, basket: str, prices: Prices) -> Played:
    whole: Prices = {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80"), **prices}
    return play_day(record(tmp_path / "days", whole), tmp_path / "data", basket)


def with_lazy(basket: str, more: str = "") -> str:
    head, allocations, tail = basket.partition("  [[strategies.allocations]]")
    return f"{head}{LAZY}{more}\n{allocations}{tail}"


def entries(played: Played, leg: str = "1", account: str = "one") -> list[str]:
    """Every entry of the leg in order, once the whole account is seen to be flat by its orders."""
    held: dict[tuple[str, str], int] = {}
    for name, side, filled, at in played.book("strike || ' ' || type, side, filled, account"):
        held[at, name] = held.get((at, name), 0) + (filled if side == "BUY" else -filled)
    assert held
    assert set(held.values()) == {0}
    assert played.run.status is RunStatus.CLOSED
    assert played.run.pending == ()
    own = [each for each in played.run.positions if (each.leg, each.account) == (leg, account)]
    assert [each.entry_number for each in own] == list(range(len(own)))
    return [told(each) for each in own]


def told(each: LegPosition) -> str:
    assert each.entry_time is not None
    assert each.exit_time is not None
    strike = f"{each.contract.strike:f}"
    inward = f"{each.side} {each.entered} {strike} {each.entry_time:%H:%M} {each.entry_price:.2f}"
    return f"{inward}, {each.exit_reason} {each.exit_time:%H:%M} {each.exit_price:.2f}"


# ---------------------------------------------------------------- asap


def test_at_once_means_the_open_after_the_bar_that_stopped_it_at_strikes_chosen_anew(tmp_path: Path) -> None:
    """Stop 125. The bar 09:22 reaches 126, so it is left at 125, at 09:23. The spot is at 26,060 by then: the money is
    26,050, whose bar 09:23 opens at 90; its own stop is 90 x 1.25 = 112.5 and is never reached."""
    of_call = flat("100", at0922=("100", "126", "99", "120"), at0923=("120",) * 4)
    prices: Prices = {
        "NIFTY": steady("26010", at0922="26060"),
        call(): of_call,
        call(26050): flat("70", at0922=("70", "95", "70", "92"), at0923=("90", "91", "89", "91")),
    }
    played = play(tmp_path, legs(on_stop('reenter = "asap"')), prices)
    assert entries(played) == [
        "SELL 130 26000 09:20 100.00, stop 09:23 125.00",
        "SELL 130 26050 09:23 90.00, time 09:35 70.00",
    ]
    assert entries(played, "2") == ["SELL 130 26000 09:20 80.00, time 09:35 80.00"]


def test_it_is_entered_again_as_often_as_it_says_and_no_more(tmp_path: Path) -> None:
    """Sold at 100, 125 and 160: stopped at 125, at 160 (156.25 passed) and at 200. Twice again is three entries."""
    of_call = steady("100", at0921="125", at0923="160", at0925="200", at0928="150")
    assert entries(play(tmp_path, legs(on_stop('reenter = "asap", times = 2')), {call(): of_call})) == [
        "SELL 130 26000 09:20 100.00, stop 09:22 125.00",
        "SELL 130 26000 09:22 125.00, stop 09:24 160.00",
        "SELL 130 26000 09:24 160.00, stop 09:26 200.00",
    ]


def test_reversed_it_is_bought_and_its_own_stop_lies_below(tmp_path: Path) -> None:
    """Stopped at 125 and bought there; 125 x 0.75 = 93.75 stops the bought one; the second time it is sold."""
    of_call = steady("100", at0921="125", at0923="94", at0924="93.75", at0926="110")
    assert entries(play(tmp_path, legs(on_stop('reenter = "asap_reverse", times = 2')), {call(): of_call})) == [
        "SELL 130 26000 09:20 100.00, stop 09:22 125.00",
        "BUY 130 26000 09:22 125.00, stop 09:25 93.75",
        "SELL 130 26000 09:25 93.75, time 09:35 110.00",
    ]


# ---------------------------------------------------------------- cost

BACK_DOWN = steady("100", at0922="125", at0924="100.05", at0926="100", at0927="98")
BACK_UP = steady("100", at0922="75", at0924="99.95", at0926="100", at0927="103")


@pytest.mark.parametrize(
    ("basket", "of_call", "again"),
    [
        (
            legs(on_stop('reenter = "cost"')),
            BACK_DOWN,
            ["SELL 130 26000 09:20 100.00, stop 09:23 125.00", "SELL 130 26000 09:27 100.00, time 09:35 98.00"],
        ),
        (
            legs(on_stop('reenter = "cost"'), of=BOUGHT),
            BACK_UP,
            ["BUY 130 26000 09:20 100.00, stop 09:23 75.00", "BUY 130 26000 09:27 100.00, time 09:35 103.00"],
        ),
        (
            legs('target = { points = 25 }\non_target = { reenter = "cost" }'),
            BACK_UP,
            ["SELL 130 26000 09:20 100.00, target 09:23 75.00", "SELL 130 26000 09:27 100.00, time 09:35 103.00"],
        ),
        (
            legs('target = { points = 25 }\non_target = { reenter = "cost_reverse" }'),
            BACK_UP,
            ["SELL 130 26000 09:20 100.00, target 09:23 75.00", "BUY 130 26000 09:27 100.00, time 09:35 103.00"],
        ),
        (
            legs('target = { points = 25 }\non_target = { reenter = "cost" }', of=BOUGHT),
            BACK_DOWN,
            ["BUY 130 26000 09:20 100.00, target 09:23 125.00", "BUY 130 26000 09:27 100.00, time 09:35 98.00"],
        ),
    ],
    ids=["stopped short", "stopped long", "short at its target", "reversed", "long at its target"],
)
def test_at_cost_it_waits_until_its_price_is_back(tmp_path: Path, basket: str, of_call: Bars, again: list[str]) -> None:
    """Out at 25 from 100. 5 paise short of 100 is not back; at 100, in the bar 09:26, it is entered again at 09:27."""
    assert entries(play(tmp_path, basket, {call(): of_call})) == again


def test_cost_is_the_average_of_the_first_entry_of_its_own_contract(tmp_path: Path) -> None:
    """The target at 75 enters again at once; stopped at 93.75 (75 x 1.25), the second wait is for 100, not for 75: a
    sold leg that was stopped waits for a price at or below it, and 95 is below already."""
    rules = on_stop('reenter = "cost"') + '\ntarget = { points = 25 }\non_target = { reenter = "asap" }'
    of_call = steady("100", at0921="75", at0923="94", at0925="95")
    assert entries(play(tmp_path, legs(rules), {call(): of_call})) == [
        "SELL 130 26000 09:20 100.00, target 09:22 75.00",
        "SELL 130 26000 09:22 75.00, stop 09:24 94.00",
        "SELL 130 26000 09:25 94.00, time 09:35 95.00",
    ]


# ---------------------------------------------------------------- momentum


@pytest.mark.parametrize(
    ("rule", "again"),
    [
        ('reenter = "momentum", points = 5', "SELL 130 26000 09:25 130.00, time 09:35 110.00"),
        ('reenter = "momentum", percent = -10', "SELL 130 26000 09:27 112.50, time 09:35 110.00"),
        ('reenter = "momentum_reverse", points = 5', "BUY 130 26000 09:25 130.00, time 09:35 110.00"),
    ],
)
def test_with_momentum_it_waits_for_a_move_from_the_average_of_its_exit(tmp_path: Path, rule: str, again: str) -> None:
    """Left at 125: 5 up is 130, reached by the bar 09:24 (129.95 is short of it); 10 % down is 112.5, by 09:26."""
    of_call = steady("100", at0922="125", at0923="129.95", at0924="130", at0925="113", at0926="112.5", at0927="110")
    played = play(tmp_path, legs(on_stop(rule)), {call(): of_call})
    assert entries(played) == ["SELL 130 26000 09:20 100.00, stop 09:23 125.00", again]


def test_over_bars_the_average_of_the_exit_is_the_level_inside_the_bar_and_a_high_enters_nothing(
    tmp_path: Path,
) -> None:
    """Left at 125 inside the bar 09:22, which closes at 120: 5 up is 130. The bar 09:23 has 131 inside and closes at
    129, 09:24 closes at 130; what it sets off is sold at the open of 09:25."""
    of_call = flat(
        "128",
        at0920=("100", "101", "99", "100"),
        at0921=("100",) * 4,
        at0922=("100", "126", "99", "120"),
        at0923=("120", "131", "119", "129"),
        at0924=("129", "130", "128", "130"),
        at0925=("130.5", "131", "127", "128"),
    )
    early = {start: ("100",) * 4 for start in of_call if start < "09:20"}
    played = play(tmp_path, legs(on_stop('reenter = "momentum", points = 5')), {call(): {**of_call, **early}})
    assert entries(played) == [
        "SELL 130 26000 09:20 100.00, stop 09:23 125.00",
        "SELL 130 26000 09:25 130.50, time 09:35 128.00",
    ]


def test_a_reversed_leg_trails_below_its_price(tmp_path: Path) -> None:
    """Bought at 130 after the stop at 09:22, its own stop 30 below at 100; 151 is two steps of 10 in favour, which move
    it by 5 each to 110."""
    trail = 'stop = { points = 30 }\ntrail = { unit = "points", every = 10, by = 5 }'
    rules = f'{trail}\non_stop = {{ reenter = "asap_reverse" }}'
    of_call = steady("100", at0921="130", at0923="151", at0925="110.05", at0927="110")
    assert entries(play(tmp_path, legs(rules), {call(): of_call})) == [
        "SELL 130 26000 09:20 100.00, stop 09:22 130.00",
        "BUY 130 26000 09:22 130.00, trail 09:28 110.00",
    ]


def test_what_is_never_reached_is_no_entry_and_nothing_was_refused(tmp_path: Path) -> None:
    rule = on_stop('reenter = "momentum", points = 6')
    played = play(tmp_path, legs(rule), {call(): steady("100", at0922="125", at0924="130.95")})
    assert entries(played) == ["SELL 130 26000 09:20 100.00, stop 09:23 125.00"]
    assert played.run.shortfalls == ()


# ---------------------------------------------------------------- what sets it off, and until when


def test_stops_and_targets_count_separately(tmp_path: Path) -> None:
    """Once after a stop (125) and once after a target (125 - 25 = 100); the second stop, 100 x 1.25, is the last."""
    rules = on_stop('reenter = "asap"') + '\ntarget = { points = 25 }\non_target = { reenter = "asap" }'
    of_call = steady("100", at0921="125", at0923="100", at0925="125", at0927="100")
    assert entries(play(tmp_path, legs(rules), {call(): of_call})) == [
        "SELL 130 26000 09:20 100.00, stop 09:22 125.00",
        "SELL 130 26000 09:22 125.00, target 09:24 100.00",
        "SELL 130 26000 09:24 100.00, stop 09:26 125.00",
    ]


def test_a_leg_that_is_squared_off_stays_out_and_the_one_that_fired_comes_again(tmp_path: Path) -> None:
    rules = on_stop('reenter = "asap"') + '\nsquare_off = "all"'
    played = play(tmp_path, legs(rules, on_stop('reenter = "asap"')), {call(): steady("100", at0925="125")})
    assert entries(played) == [
        "SELL 130 26000 09:20 100.00, stop 09:26 125.00",
        "SELL 130 26000 09:26 125.00, time 09:35 125.00",
    ]
    assert entries(played, "2") == ["SELL 130 26000 09:20 80.00, square_off 09:26 80.00"]


@pytest.mark.parametrize(("until", "count"), [("09:25", 1), ("09:26", 1), ("09:27", 2)])
def test_nothing_comes_again_at_or_after_the_cut_off(tmp_path: Path, until: str, count: int) -> None:
    """The stop fires at 09:26, the end of the bar 09:25."""
    basket = legs(on_stop('reenter = "asap"'), strategy=f'reenter_until = "{until}"')
    assert len(entries(play(tmp_path, basket, {call(): steady("100", at0925="125")}))) == count


@pytest.mark.parametrize(("until", "count"), [("09:26", 1), ("09:27", 1), ("09:28", 2)])
def test_a_wait_for_cost_ends_at_the_cut_off(tmp_path: Path, until: str, count: int) -> None:
    """The price is back at 09:27."""
    basket = legs(on_stop('reenter = "cost"'), strategy=f'reenter_until = "{until}"')
    assert len(entries(play(tmp_path, basket, {call(): BACK_DOWN}))) == count


def test_nothing_comes_again_at_the_exit_time(tmp_path: Path) -> None:
    played = play(tmp_path, legs(on_stop('reenter = "asap"')), {call(): steady("100", at0934="125")})
    assert entries(played) == ["SELL 130 26000 09:20 100.00, stop 09:35 125.00"]


def test_the_whole_strategy_reads_every_entry_and_ends_what_is_waited_for(tmp_path: Path) -> None:
    """3,250 are lost at the first stop (25 x 130). The second entry, at 125, loses 1,748.50 at 138.45, 4,998.50 in all,
    and 1,755 at 138.50: 5,005."""
    basket = legs(on_stop('reenter = "asap", times = 5'), strategy="stop = { rupees = 5000 }")
    played = play(tmp_path, basket, {call(): steady("100", at0921="125", at0923="138.45", at0925="138.5")})
    assert entries(played) == [
        "SELL 130 26000 09:20 100.00, stop 09:22 125.00",
        "SELL 130 26000 09:22 125.00, strategy_stop 09:26 138.50",
    ]
    assert entries(played, "2") == ["SELL 130 26000 09:20 80.00, strategy_stop 09:26 80.00"]


def test_a_percentage_of_the_premium_stays_one_of_the_first_entry(tmp_path: Path) -> None:
    """30 % of 180 x 130 is 7,020: 3,250 of the first entry and 29 a unit of the second, sold at 125: 154, not 153.95.
    Of the second entry's 205 it would be 7,995."""
    basket = legs(on_stop('reenter = "asap"'), strategy="stop = { premium_percent = 30 }")
    played = play(tmp_path, basket, {call(): steady("100", at0921="125", at0923="153.95", at0925="154")})
    assert entries(played)[1] == "SELL 130 26000 09:22 125.00, strategy_stop 09:26 154.00"


def test_an_entry_again_is_moved_to_its_own_cost_by_the_next_stop_of_another_leg(tmp_path: Path) -> None:
    """The call's stop at 09:22 moves the put's to 80, and not that of the call's own next entry, which stands 130 at
    156.25. The put is stopped at 80 at 09:25; that moves the call's to 125, where it is out at 09:29."""
    basket = legs(on_stop('reenter = "asap"'), STOP, strategy="move_stop_to_cost = true")
    of_call = steady("100", at0921="125", at0922="130", at0923="120", at0928="125")
    played = play(tmp_path, basket, {call(): of_call, put(): steady("80", at0921="70", at0924="80")})
    assert entries(played) == [
        "SELL 130 26000 09:20 100.00, stop 09:22 125.00",
        "SELL 130 26000 09:22 125.00, stop 09:29 125.00",
    ]
    assert entries(played, "2") == ["SELL 130 26000 09:20 80.00, stop 09:25 80.00"]


# ---------------------------------------------------------------- lazy legs


def test_a_lazy_leg_wakes_with_the_stop_that_names_it_at_a_strike_chosen_then(tmp_path: Path) -> None:
    """The spot is at 26,060 when the call is stopped: two steps out of the money is 26,150."""
    prices: Prices = {
        "NIFTY": steady("26010", at0922="26060"),
        call(): steady("100", at0922="125"),
        call(26150): steady("30", at0922="45", at0926="40"),
    }
    played = play(tmp_path, with_lazy(legs(on_stop('wakes = ["late"]'))), prices)
    assert entries(played, "late") == ["SELL 130 26150 09:23 45.00, time 09:35 40.00"]
    assert entries(played) == ["SELL 130 26000 09:20 100.00, stop 09:23 125.00"]


def test_a_lazy_leg_that_nothing_woke_was_never_intended(tmp_path: Path) -> None:
    played = play(tmp_path, with_lazy(legs(on_stop('wakes = ["late"]'))), {call(26100): steady("40")})
    assert entries(played, "late") == []
    assert played.run.shortfalls == ()


def test_two_legs_that_name_it_wake_it_once_and_its_own_stop_enters_it_again(tmp_path: Path) -> None:
    """Woken at 09:23 at 40 by the call's stop; the put's at 09:25 wakes nothing; its own at 50 enters it again."""
    lazy = with_lazy(
        legs(on_stop('wakes = ["late"]'), on_stop('wakes = ["late"]')),
        on_stop('reenter = "asap"'),
    )
    prices: Prices = {
        call(): steady("100", at0922="125"),
        put(): steady("80", at0924="100"),
        call(26100): steady("40", at0927="50"),
    }
    assert entries(play(tmp_path, lazy, prices), "late") == [
        "SELL 130 26100 09:23 40.00, stop 09:28 50.00",
        "SELL 130 26100 09:28 50.00, time 09:35 50.00",
    ]


def test_a_woken_short_is_sent_after_the_wing_that_wakes_with_it(tmp_path: Path) -> None:
    """Both accounts of SPREAD are stopped at 09:23 and each wakes its own lots, 2 and 1: the wing is bought first."""
    woken = """
  [[strategies.legs]]
  id = "short2"
  side = "SELL"
  type = "PE"
  lazy = true
  strike = { rule = "atm" }
  [[strategies.legs]]
  id = "wing2"
  side = "BUY"
  type = "PE"
  lazy = true
  strike = { rule = "of_leg", leg = "short2", points = 100 }
"""
    atm = 'strike = { rule = "atm" }'
    basket = SPREAD.replace(atm, atm + "\n" + on_stop('wakes = ["short2", "wing2"]'), 1)
    basket = basket.replace("  [[strategies.allocations]]", f"{woken}  [[strategies.allocations]]", 1)
    prices: Prices = {call(): steady("100", at0922="125"), call(26100): steady("40"), put(25900): steady("20")}
    played = play(tmp_path, basket, prices)
    assert entries(played, "short2") == ["SELL 130 26000 09:23 80.00, time 09:35 80.00"]
    assert entries(played, "wing2", "two") == ["BUY 65 25900 09:23 20.00, time 09:35 20.00"]
    sent = played.book("account, side, filled, type, substr(placed_at, 1, 16)")
    puts = [row[:3] for row in sent if row[3] == "PE"]
    for account, units in (("one", 130), ("two", 65)):
        own = [(side, filled) for at, side, filled in puts if at == account]
        assert own == [("BUY", units), ("SELL", units), ("BUY", units), ("SELL", units)]
