"""Stops, targets and time exits on hand-made days. The numbers are worked out beside each case."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.trading import Pace
from tests.engine.small_market import chain, future
from tests.engine.tiny_day import (
    DAY,
    LISTED,
    LOT,
    QUIET,
    SPREAD,
    STRADDLE,
    Bars,
    Played,
    Prices,
    call,
    instant,
    play_day,
    put,
    record,
    steady,
)

TARGETS = STRADDLE.replace("stop = { percent = 25 }", "stop = { percent = 25 }\n  target = { points = 30 }")
BOUGHT = TARGETS.replace("SELL", "BUY")


def flat(price: str, **bars: tuple[str, str, str, str]) -> dict[str, tuple[str, str, str, str]]:
    """Bars that stand still at ``price``, but those given as ``at0925=(open, high, low, close)``."""
    return {start: bars.get(f"at{start.replace(':', '')}", (price,) * 4) for start in steady(price)}


def play(tmp_path: Path, of_call: Bars, basket: str = STRADDLE, of_put: Bars | None = None, **options: str) -> Played:
    prices: Prices = {"NIFTY": steady("26010"), call(): of_call, put(): of_put or steady("80")}
    return play_day(record(tmp_path / "days", prices), tmp_path / "data", basket, **options)  # type: ignore[arg-type]


def ended(played: Played, leg: str = "1") -> tuple[str, str, str]:
    """Why, when and at what price the leg was closed."""
    position = played.leg(leg)
    assert position.exit_time is not None
    return str(position.exit_reason), f"{position.exit_time:%H:%M:%S}", f"{position.exit_price:.2f}"


# ---------------------------------------------------------------- closes only


def test_a_straddle_with_one_stopped_leg(tmp_path: Path) -> None:
    """Call sold at 100, its stop at 125: the bar from 09:25 closes at 130, known and filled at 09:26.

    2 lots of 65: the call loses (130 - 100) x 130 = 3,900. The put is sold at 80 and bought at 75 at 09:35: + 650.
    """
    played = play(tmp_path, steady("100", at0924="124.95", at0925="130"), of_put=steady("80", at0930="75"))
    assert ended(played, "1") == ("stop", "09:26:00", "130.00")
    assert ended(played, "2") == ("time", "09:35:00", "75.00")
    assert played.leg("1").gross == -3900
    assert played.leg("2").gross == 650
    assert played.day.profit.gross == -3250
    assert played.run.status is RunStatus.CLOSED
    assert played.alerts == []


def test_a_stop_fires_at_its_level_exactly_and_not_a_tick_before(tmp_path: Path) -> None:
    """25 % of 100.20 is 25.05, so the level is 125.25."""
    before = play(tmp_path / "a", steady("100.20", at0925="125.20"))
    there = play(tmp_path / "b", steady("100.20", at0925="125.25"))
    assert ended(before) == ("time", "09:35:00", "125.20")
    assert ended(there) == ("stop", "09:26:00", "125.25")


def test_levels_are_compared_unrounded(tmp_path: Path) -> None:
    """25 % of 100.05 is 25.0125, so the level is 125.0625: 125.05 is below it although no tick lies between."""
    assert ended(play(tmp_path, steady("100.05", at0925="125.05", at0926="125.10")))[1:] == ("09:27:00", "125.10")


def test_slippage_worsens_every_fill(tmp_path: Path) -> None:
    """Sold at 100 - 0.5, so the stop is at 99.5 x 1.25 = 124.375; bought at 130 + 0.5."""
    played = play(tmp_path, steady("100", at0924="124.40"), slippage="0.5")
    assert played.leg("1").entry_price == Decimal("99.5")
    assert ended(played) == ("stop", "09:25:00", "124.90")
    assert played.leg("1").gross == Decimal("-25.4") * 2 * LOT


def test_a_contract_without_a_bar_keeps_its_price_and_is_checked_at_its_next(tmp_path: Path) -> None:
    bars = {start: price for start, price in steady("100", at0924="130").items() if not "09:24" <= start <= "09:27"}
    assert ended(play(tmp_path, bars)) == ("stop", "09:29:00", "130.00")


def test_a_stop_at_the_instant_of_the_exit_names_the_reason(tmp_path: Path) -> None:
    assert ended(play(tmp_path, steady("100", at0934="130"))) == ("stop", "09:35:00", "130.00")


def test_a_price_of_before_the_entry_fires_nothing(tmp_path: Path) -> None:
    """At 09:20 the known price is the close of the bar from 09:19, whatever was before."""
    played = play(tmp_path, steady("300", at0919="100"))
    assert played.leg("1").entry_price == 100
    assert ended(played) == ("time", "09:35:00", "100.00")


def test_a_target_closes_its_leg_alone(tmp_path: Path) -> None:
    played = play(tmp_path, steady("100", at0927="70"), TARGETS)
    assert ended(played, "1") == ("target", "09:28:00", "70.00")
    assert ended(played, "2") == ("time", "09:35:00", "80.00")


# ---------------------------------------------------------------- bars with high and low

INSIDE = [
    # The call is sold at 100: stop 125, target 70.
    (TARGETS, ("110", "126", "109", "112"), ("stop", "125.00")),  # inside: at its level
    (TARGETS, ("127", "131", "126", "128"), ("stop", "127.00")),  # opened beyond: at the open
    (TARGETS, ("100", "101", "69", "75"), ("target", "70.00")),
    (TARGETS, ("65", "90", "60", "80"), ("target", "65.00")),
    (TARGETS, ("100", "126", "69", "90"), ("stop", "125.00")),  # both: the stop is taken
    (TARGETS, ("60", "130", "55", "90"), ("stop", "125.00")),  # opened beyond the target, and both: still the stop
    (TARGETS, ("100", "125", "71", "90"), ("stop", "125.00")),  # touched exactly
    # Bought at 100: stop 75, target 130.
    (BOUGHT, ("100", "101", "74", "80"), ("stop", "75.00")),
    (BOUGHT, ("70", "72", "69", "71"), ("stop", "70.00")),
    (BOUGHT, ("100", "131", "99", "120"), ("target", "130.00")),
    (BOUGHT, ("140", "141", "139", "140"), ("target", "140.00")),
    (BOUGHT, ("100", "131", "74", "120"), ("stop", "75.00")),
]


@pytest.mark.parametrize(("basket", "bar", "expected"), INSIDE)
def test_inside_a_bar(tmp_path: Path, basket: str, bar: tuple[str, str, str, str], expected: tuple[str, str]) -> None:
    """The bar from 09:25; the time of the exit is its end."""
    reason, price = expected
    assert ended(play(tmp_path, flat("100", at0925=bar), basket)) == (reason, "09:26:00", price)


def test_neither_level_is_reached(tmp_path: Path) -> None:
    assert ended(play(tmp_path, flat("100", at0925=("100", "124.95", "70.05", "100")), TARGETS))[0] == "time"


def test_entry_and_time_exit_fill_at_the_open_of_the_bar_that_starts_then(tmp_path: Path) -> None:
    """The spot and the close before T decide; 102 and 103.5 are the opens at 09:20 and 09:35."""
    bars = flat("100", at0920=("102", "104", "101", "103"), at0935=("103.5", "110", "90", "95"))
    played = play(tmp_path, bars)
    assert played.leg("1").entry_price == 102
    assert ended(played) == ("time", "09:35:00", "103.50")


def test_the_first_check_of_an_entry_is_at_the_end_of_its_own_bar(tmp_path: Path) -> None:
    """Sold at the open of 100; the same bar touches 125. The bar before it, with 500, says nothing."""
    bars = flat("100", at0919=("100", "500", "10", "100"), at0920=("100", "126", "99", "100"))
    assert ended(play(tmp_path, bars)) == ("stop", "09:21:00", "125.00")


def test_a_stop_inside_a_bar_slips_beyond_its_level(tmp_path: Path) -> None:
    """Sold at 99.75, stop at 124.6875, bought at that and 0.25."""
    played = play(tmp_path, flat("100", at0925=("110", "126", "109", "112")), slippage="0.25")
    assert played.leg("1").exit_price == Decimal("124.9375")


# ---------------------------------------------------------------- the order of things


def test_at_one_instant_stops_and_time_exits_are_sent_before_entries(tmp_path: Path) -> None:
    """At 09:26 the first strategy's call is stopped, the second goes out and the third enters, on one account."""
    strategy = STRADDLE.partition("[[strategies]]")[2]
    second = strategy.replace('name = "straddle"', 'name = "second"').replace("09:35", "09:26")
    third = strategy.replace('name = "straddle"', 'name = "third"').replace("09:20", "09:26")
    played = play(tmp_path, steady("100", at0925="130"), f"{STRADDLE}[[strategies]]{second}[[strategies]]{third}")
    names = {order.intent.id: (order.intent.strategy_id, order.intent.action) for order in played.orders}
    sent = [names[tag] for tag, at in played.book("tag, placed_at", "number") if "T09:26" in at]
    assert len(sent) == 5
    assert [str(action) for _, action in sent] == ["EXIT"] * 3 + ["ENTER"] * 2
    assert {name.rpartition(".")[2] for name, _ in sent[3:]} == {"third"}


def test_shorts_are_bought_back_before_longs_are_sold(tmp_path: Path) -> None:
    played = play_day(record(tmp_path / "days", QUIET), tmp_path / "data", SPREAD)
    for account in ("one", "two"):
        rows = [row[1:] for row in played.book("account, side, strike", "number") if row[0] == account]
        assert rows == [("BUY", "26100"), ("SELL", "26000"), ("BUY", "26000"), ("SELL", "26100")]


def test_a_sold_future_is_bought_back_after_the_put_it_covers(tmp_path: Path) -> None:
    fut = future("NIFTY", DAY)
    listed = (*LISTED, replace(chain("NIFTY", DAY, [26000], lot_size=LOT, series="monthly")[0], contract=fut))
    basket = SPREAD.replace(
        'id = "wing"\n  side = "BUY"\n  type = "CE"', 'id = "wing"\n  side = "SELL"\n  type = "FUT"'
    )
    basket = basket.replace('strike = { rule = "of_leg", leg = "short", points = 100 }', "").replace(
        'type = "CE"', 'type = "PE"'
    )
    days = record(tmp_path / "days", {**QUIET, fut: steady("26020")}, listings=listed)
    played = play_day(days, tmp_path / "data", basket)
    rows = [row[1:] for row in played.book("account, side, type", "number") if row[0] == "one"]
    assert rows == [("SELL", "FUT"), ("SELL", "PE"), ("BUY", "PE"), ("BUY", "FUT")]


# ---------------------------------------------------------------- an exit is never given up


def rejecting(played: Played, which: str) -> Behaviour:
    """An account that refuses the first exit of the leg and no other order of the day."""
    others = {order.intent.id for order in played.orders if order.intent.account == "one"}
    bad = {order.intent.id for order in played.orders if order.intent.leg == which and order.intent.action == "EXIT"}
    bad &= others
    for seed in range(100_000):
        behaviour = Behaviour(seed=seed, rejections=0.3)
        if {tag for tag in others if behaviour.rejects(tag)} == bad:
            return behaviour
    raise AssertionError("no such seed")


def test_a_refused_exit_is_tried_again_and_the_wing_waits_for_it(tmp_path: Path) -> None:
    days = record(tmp_path / "days", QUIET)
    quiet = play_day(days, tmp_path / "quiet", SPREAD)
    played = play_day(days, tmp_path / "data", SPREAD, behaviour={"one": rejecting(quiet, "short")})
    rows = [row[1:] for row in played.book("account, side, strike, state", "number") if row[0] == "one"]
    assert rows[2] == ("BUY", "26000", "REJECTED")
    assert rows[3] == ("BUY", "26000", "FILLED")
    assert rows[-1] == ("SELL", "26100", "FILLED")
    assert played.run.is_flat
    assert played.run.status is RunStatus.CLOSED
    exits = sorted(
        order.intent.attempt for order in played.orders if order.intent.leg == "short" and order.intent.action == "EXIT"
    )
    assert exits == [0, 0, 1]


def test_an_account_that_refuses_every_exit_raises_the_alarm_and_holds_up_no_other(tmp_path: Path) -> None:
    """All orders of account one are refused from 09:30 on."""
    days = record(tmp_path / "days", QUIET)

    async def turn_bad(machine: object) -> None:
        await machine.clock.sleep_until(instant("09:30"))  # type: ignore[attr-defined]
        machine.exchange.broker("one", behaviour=Behaviour(rejections=1))  # type: ignore[attr-defined]

    played = play_day(days, tmp_path / "data", SPREAD, acts=[turn_bad])
    assert {"slow_exit", "not_closed"} <= set(played.alerts)
    assert played.alerts.count("slow_exit") == 1
    slow = next(alert for alert in played.day.alerts if alert.code == "slow_exit")
    assert slow.at == instant("09:35") + timedelta(seconds=10)
    assert played.leg("short", "one").open == 2 * LOT
    assert played.leg("wing", "one").open == 2 * LOT, "the wing stays while its short is open"
    assert played.leg("short", "two").exit_time == instant("09:35")
    assert played.leg("wing", "two").open == 0


def test_an_exit_that_rests_is_seen_when_it_fills(tmp_path: Path) -> None:
    """Two lots, of which the exchange fills one at once and the other at the next minute."""
    days = record(tmp_path / "days", {**QUIET, call(): steady("100", at0935="101")})

    async def turn_slow(machine: object) -> None:
        await machine.clock.sleep_until(instant("09:30"))  # type: ignore[attr-defined]
        machine.exchange.broker("one", behaviour=Behaviour(partial_fills=1))  # type: ignore[attr-defined]

    pace = Pace(chase_every=timedelta(minutes=30))
    played = play_day(days, tmp_path / "data", SPREAD, acts=[turn_slow], pace=pace)
    short = played.leg("short")
    assert short.exit_time == instant("09:36")
    assert short.exited_value == 100 * LOT + 101 * LOT
    assert played.run.is_flat


def test_an_exit_outside_the_session_is_moved_before_the_close_and_recorded(tmp_path: Path) -> None:
    """The session ends at 09:40, so 15:15 becomes 09:38."""
    played = play(tmp_path, steady("100"), STRADDLE.replace("09:35", "15:15"))
    assert ended(played) == ("time", "09:38:00", "100.00")
    assert "exit moved from 15:15 to 09:38" in played.run.detail


# ---------------------------------------------------------------- nothing later may influence a choice

STEPS = st.lists(st.sampled_from(["95", "100", "110", "124", "126", "60", "71"]), min_size=25, max_size=25)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=STEPS, puts=STEPS, other=STEPS, cut=st.integers(6, 20))
def test_what_is_decided_up_to_an_instant_does_not_depend_on_later_prices(
    tmp_path_factory: pytest.TempPathFactory, calls: list[str], puts: list[str], other: list[str], cut: int
) -> None:
    """Two days with the same bars up to the cut and different ones from it on decide the same until then."""
    folder = tmp_path_factory.mktemp("ahead")
    starts = list(steady("1"))
    known = instant(starts[cut])

    def decided(name: str, first: list[str], second: list[str]) -> list[tuple[object, ...]]:
        prices: Prices = {
            "NIFTY": dict(zip(starts, (str(26010 + 10 * int(step) % 70) for step in first), strict=True)),
            call(): dict(zip(starts, first, strict=True)),
            put(): dict(zip(starts, second, strict=True)),
            call(26050): dict(zip(starts, second, strict=True)),
            put(26050): dict(zip(starts, first, strict=True)),
        }
        played = play_day(record(folder / name, prices), folder / f"{name}-data", TARGETS)
        orders = [order for order in played.orders if order.intent.decided_at <= known]
        return [(order.intent, order.filled, order.value) for order in orders]

    same = [*calls[:cut], *other[cut:]], [*puts[:cut], *reversed(other[cut:])]
    assert decided("one", calls, puts) == decided("two", *same)


def test_the_journal_and_the_positions_agree(tmp_path: Path) -> None:
    played = play(tmp_path, steady("100", at0925="130"))
    filled = [order for order in played.orders if order.state is OrderState.FILLED]
    assert sum(order.filled for order in filled) == sum(
        position.entered + position.exited for position in played.run.positions
    )
    assert {order.intent.cause for order in filled} == {None, ExitReason.STOP, ExitReason.TIME}


def test_an_exit_whose_answer_is_lost_before_the_close_is_still_looked_for_after_it(tmp_path: Path) -> None:
    """Filled at 09:39:36, in the order book at 09:40:01, and in nobody's order book tomorrow."""
    days = record(tmp_path / "days", QUIET)
    lost = Behaviour(
        latency=timedelta(seconds=3), lost_answers=1, lost_updates=1, slow_book=timedelta(seconds=29), seed=2
    )
    late = SPREAD.replace("09:35", "09:39")
    played = play_day(days, tmp_path / "data", late, behaviour=dict.fromkeys(("one", "two"), lost))
    assert {order.state for order in played.orders} == {OrderState.FILLED}
    assert played.run.status is RunStatus.CLOSED
    assert not {"not_closed", "not_settled"} & set(played.alerts)
