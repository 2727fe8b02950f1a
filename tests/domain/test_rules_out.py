"""Trails, stops at cost, square-off and rules of the whole strategy, step by step. Sold or bought at 100, 150 units."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Side
from option_baskets.domain.cover import lost_cover
from option_baskets.domain.exit_rules import (
    Amount,
    Distance,
    Lock,
    Mtm,
    Per,
    PremiumBase,
    PriceUsed,
    Scope,
    StrategyExits,
    Trail,
)
from option_baskets.domain.levels import stop_in_force
from option_baskets.domain.market import Bar
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.rules import Check
from option_baskets.domain.run import Run, RunStatus
from option_baskets.store import codec
from tests.domain.test_rules import closing
from tests.engine.plans import CALL, allocation, instant, run, strategy
from tests.engine.small_market import SmallMarket, chain, option

ENTERED = instant("09:20")
NOW = instant("09:26")
MINUTE = timedelta(minutes=1)
PUT = option("NIFTY", CALL.expiry, 26000, "PE")
LISTED = chain("NIFTY", CALL.expiry, [26000], lot_size=75)


def points(value: int | str) -> Distance:
    return Distance(points=Decimal(value))


def trail(every: int | str, by: int | str) -> Trail:
    return Trail(every=points(every), by=points(by))


def spec(side: Side = Side.SELL, id_: str = "1", **rules: object) -> LegSpec:
    return replace(strategy().legs[0], id=id_, side=side, stop=None, **rules)  # type: ignore[arg-type]


def held(*legs: LegSpec, accounts: tuple[str, ...] = ("one",), **exits: object) -> Run:
    """A run that holds the legs on every account since 09:20, each at 100; the second leg is the put."""
    plan = replace(strategy(), legs=legs, exits=StrategyExits(**exits))  # type: ignore[arg-type]
    first = run(plan=plan).positions[0]
    positions = tuple(
        replace(
            first,
            leg=leg.id,
            account=account,
            contract=PUT if leg.id == "2" else CALL,
            side=leg.side,
            entered=150,
            entered_value=Decimal(15000),
            entry_time=ENTERED,
            entry_final=True,
            entry_spot=Decimal(26010),
        )
        for account in accounts
        for leg in legs
    )
    return replace(run(plan=plan), status=RunStatus.ACTIVE, positions=positions)


def market(at: datetime = NOW, call: str | tuple[str, ...] = "100", put: str = "100") -> SmallMarket:
    """The call closes there, or has (open, high, low, close) in the minute to ``at``; the put closes."""
    made = SmallMarket(LISTED)
    prices = (call,) if isinstance(call, str) else call
    bar = None
    if len(prices) > 1:
        opened, high, low, close = map(Decimal, prices)
        bar = Bar(start=at - MINUTE, end=at, open=opened, high=high, low=low, close=close)
    made.set(CALL, at, prices[-1], bar=bar)
    made.set(PUT, at, put)
    return made


def after(state: Run, at: datetime = NOW, **prices: object) -> tuple[Run, dict[str, ExitReason]]:
    """One check: the run after it, and the reason by leg and account."""
    state, closes = closing(state, Check(at=at), market(at, **prices).view(at))  # type: ignore[arg-type]
    return state, {f"{close.position[0]} {close.position[1]}": close.reason for close in closes}


# ---------------------------------------------------------------- trails


@pytest.mark.parametrize(
    ("side", "best", "steps", "level"),
    [
        (Side.SELL, "90.05", 0, "130"),
        (Side.SELL, "90", 1, "125"),
        (Side.SELL, "79", 2, "120"),
        (Side.BUY, "110", 1, "75"),
        (Side.BUY, "131", 3, "85"),
        (Side.SELL, "140", 0, None),
    ],
)
def test_each_whole_step_in_favour_moves_the_stop(side: Side, best: str, steps: int, level: str | None) -> None:
    """Stop 30 away, 5 for every 10."""
    leg = replace(spec(side), stop=points(30), trail=trail(10, 5))
    state, closed = after(held(leg), call=best)
    assert state.positions[0].trail_steps == steps
    assert bool(closed) is (level is None)
    if level is not None:
        reason = ExitReason.TRAIL if steps else ExitReason.STOP
        assert stop_in_force(leg, state.positions[0]) == (Decimal(level), reason)


PATHS = st.lists(st.integers(40, 128), min_size=1, max_size=12)


@given(path=PATHS, side=st.sampled_from(Side), every=st.integers(1, 20), by=st.integers(1, 20), percent=st.booleans())
def test_a_trailed_level_never_moves_back_and_never_reaches_the_best_price(
    path: list[int], side: Side, every: int, by: int, percent: bool
) -> None:
    by = min(by, every)
    both = [Distance(percent=Decimal(each)) if percent else points(each) for each in (every, by)]
    leg = replace(spec(side), stop=points(30), trail=Trail(every=both[0], by=both[1]))
    state = held(leg)
    best = 100
    level = Decimal(100) - side.sign * 30
    for number, price in enumerate(path):
        state, closed = after(state, NOW + number * MINUTE, call=str(price))
        if closed:
            assert (price - level) * side.sign <= 0
            return
        best = max(best, price) if side is Side.BUY else min(best, price)
        in_force = stop_in_force(leg, state.positions[0])
        assert in_force is not None
        steps = abs(best - 100) // every
        assert in_force[0] == 100 - side.sign * 30 + side.sign * by * steps
        assert (in_force[0] - level) * side.sign >= 0
        assert (best - in_force[0]) * side.sign > 0
        level = in_force[0]


def test_a_percentage_of_an_average_that_does_not_end_is_compared_exactly() -> None:
    """Sold for 100 in 3 units, 33.33…: 10 % of it in favour is a price of 30 exactly."""
    by_percent = Trail(every=Distance(percent=Decimal(10)), by=Distance(percent=Decimal(5)))
    leg = replace(spec(), stop=points(30), trail=by_percent)
    state = held(leg)
    thirds = replace(state.positions[0], entered=3, entered_value=Decimal(100))
    assert after(replace(state, positions=(thirds,)), call="30")[0].positions[0].trail_steps == 1
    assert after(replace(state, positions=(thirds,)), call="30.0001")[0].positions[0].trail_steps == 0


def test_what_the_bar_trailed_counts_from_the_next_bar() -> None:
    leg = replace(spec(), stop=points(30), trail=trail(10, 5))
    state, closed = after(held(leg), call=("100", "125", "78", "90"))
    assert (closed, state.positions[0].trail_steps) == ({}, 2)
    then = NOW + MINUTE
    state, closes = closing(state, Check(at=then), market(then, ("90", "121", "90", "95")).view(then))
    assert [(close.reason, close.level) for close in closes] == [(ExitReason.TRAIL, Decimal(120))]


def test_closes_between_minutes_are_not_known_yet() -> None:
    leg = replace(spec(), stop=points(5), price=PriceUsed.CLOSE)
    late = NOW + timedelta(seconds=20)
    assert after(held(leg), late, call="110")[1] == {}
    assert after(held(replace(leg, price=PriceUsed.LTP)), late, call="110")[1] == {"1 one": ExitReason.STOP}


# ---------------------------------------------------------------- cost and square-off


def test_a_stop_that_is_better_than_cost_stays_and_a_worse_one_becomes_cost() -> None:
    """The put is trailed by 4 steps of 10 to 90, beyond its cost; with one step it is at 120 and becomes 100."""
    legs = (replace(spec(), stop=points(25)), replace(spec(id_="2"), stop=points(30), trail=trail(10, 10)))
    for best, level in (("60", (Decimal(90), ExitReason.TRAIL)), ("90", (Decimal(100), ExitReason.STOP))):
        state, _ = after(held(*legs, move_stop_to_cost=True), put=best)
        state, closed = after(state, NOW + MINUTE, call="125", put=best)
        assert closed == {"1 one": ExitReason.STOP}
        assert stop_in_force(legs[1], state.positions[1]) == level


def test_cost_is_for_sold_legs_on_the_account_of_the_stopped_one() -> None:
    sold, bought = replace(spec(), stop=points(25)), replace(spec(Side.BUY, "2"), stop=points(50))
    state = held(sold, bought, accounts=("one", "two"), move_stop_to_cost=True)
    dear = replace(state.positions[2], entered_value=Decimal(16000))
    state, closed = after(replace(state, positions=(*state.positions[:2], dear, state.positions[3])), call="125")
    assert closed == {"1 one": ExitReason.STOP}
    assert [position.cost_at for position in state.positions] == [None] * 4


def test_a_reversed_leg_whose_stop_is_on_the_underlying_is_moved_to_cost_too() -> None:
    """The bought put came again as a sold one at 100. Once the call is stopped, 100 itself is its stop as well."""
    sold = replace(spec(), stop=points(25))
    reversed_ = replace(spec(Side.BUY, "2"), stop=Distance(points=Decimal(50), underlying=True))
    state = held(sold, reversed_, move_stop_to_cost=True)
    state = replace(state, positions=(state.positions[0], replace(state.positions[1], side=Side.SELL)))
    state, closed = after(state, call="125", put="99")
    assert closed == {"1 one": ExitReason.STOP}
    state, closed = after(state, NOW + MINUTE, call="125", put="99.95")
    assert closed == {}
    assert after(state, NOW + 2 * MINUTE, call="125", put="100")[1] == {"2 one": ExitReason.STOP}


def test_of_two_stops_at_one_instant_the_earlier_leg_squares_off_the_later() -> None:
    first = replace(spec(), stop=points(5), square_off=Scope.ALL)
    second = replace(spec(id_="2"), stop=points(5))
    assert after(held(first, second), call="110", put="110")[1] == {
        "1 one": ExitReason.STOP,
        "2 one": ExitReason.SQUARE_OFF,
    }
    swapped = (replace(first, square_off=Scope.LEG), replace(second, square_off=Scope.ALL))
    assert after(held(*swapped), call="110", put="110")[1] == {"1 one": ExitReason.STOP, "2 one": ExitReason.STOP}


def test_what_is_squared_off_on_one_account_stays_open_on_another() -> None:
    legs = (replace(spec(), stop=points(25), square_off=Scope.ALL), spec(id_="2"))
    state = held(*legs, accounts=("one", "two"))
    dear = replace(state.positions[2], entered_value=Decimal(16000))
    state = replace(state, positions=(*state.positions[:2], dear, state.positions[3]))
    assert after(state, call="126")[1] == {"1 one": ExitReason.STOP, "2 one": ExitReason.SQUARE_OFF}


def test_a_wing_that_closes_all_takes_no_cover_away() -> None:
    short, wing = spec(), replace(spec(Side.BUY, "2"), stop=points(5))
    for scope, lost in ((Scope.LEG, 1), (Scope.ALL, 0)):
        plan = replace(strategy(), legs=(short, replace(wing, square_off=scope)))
        assert len(lost_cover(plan, (allocation(),))) == lost


# ---------------------------------------------------------------- the whole strategy

EVERYTHING: dict[str, Any] = {
    "stop": Amount(rupees=Decimal(1500)),
    "target": Amount(rupees=Decimal(3000)),
    "lock": Lock(at=Decimal(900), keep=Decimal(300)),
}


@pytest.mark.parametrize(
    ("call", "reason"),
    [("110", ExitReason.STRATEGY_STOP), ("109.99", None), ("80", ExitReason.STRATEGY_TARGET), ("80.01", None)],
)
def test_profit_is_compared_exactly_at_the_last_price(call: str, reason: ExitReason | None) -> None:
    closed = after(held(spec(), **EVERYTHING), call=call)[1]
    assert closed == ({} if reason is None else {"1 one": reason})


def test_at_one_instant_the_strategys_stop_goes_before_lock_target_and_legs() -> None:
    """Locked at 900, then 1,500 lost: stop and lock both fire; at 300 made only the lock does."""
    leg = replace(spec(), stop=points(1))
    locked, _ = after(held(leg, **EVERYTHING), call="94")
    assert locked.locked == {"": 0}
    assert after(locked, NOW + MINUTE, call="110")[1] == {"1 one": ExitReason.STRATEGY_STOP}
    assert after(locked, NOW + MINUTE, call="101")[1] == {"1 one": ExitReason.LOCK}
    assert after(locked, NOW + MINUTE, call="98")[1] == {"1 one": ExitReason.LOCK}
    assert after(locked, NOW + MINUTE, call="97.99")[1] == {}


def test_a_leg_without_a_new_price_keeps_its_last_and_suppresses_nothing() -> None:
    made = market(instant("09:21"), put="105")
    made.set(CALL, NOW, "105")
    _, closes = closing(held(spec(), spec(id_="2"), **EVERYTHING), Check(at=NOW), made.view(NOW))
    assert {close.reason for close in closes} == {ExitReason.STRATEGY_STOP}


def test_realised_counts_with_unrealised() -> None:
    """One leg is out with 900 lost; the other's 600 make it 1,500."""
    state = held(spec(), spec(id_="2"), **EVERYTHING)
    out = replace(
        state.positions[0], exited=150, exited_value=Decimal(15900), exit_time=NOW, exit_reason=ExitReason.STOP
    )
    state = replace(state, positions=(out, state.positions[1]))
    assert after(state, put="103.99")[1] == {}
    assert after(state, put="104")[1] == {"2 one": ExitReason.STRATEGY_STOP}


def test_charges_are_taken_off_net_profit_only() -> None:
    check = Check(at=NOW, charges={"one": Decimal(100)})
    for mtm, count in ((Mtm.GROSS, 0), (Mtm.NET, 1)):
        state = held(spec(), mtm=mtm, **EVERYTHING)
        assert len(closing(state, check, market(call="109.5").view(NOW))[1]) == count


@pytest.mark.parametrize(
    ("base", "level"),
    [(PremiumBase.AUTO, "105"), (PremiumBase.NET, "105"), (PremiumBase.GROSS, "115")],
)
def test_a_percentage_is_of_the_premium_of_the_first_entry(base: PremiumBase, level: str) -> None:
    """Sold for 15,000, bought for 7,500: 10 % of 7,500 is 5 a unit, of 22,500 it is 15."""
    state = held(spec(), spec(Side.BUY, "2"), stop=Amount(premium_percent=Decimal(10)), premium_base=base)
    state = replace(state, positions=(state.positions[0], replace(state.positions[1], entered_value=Decimal(7500))))
    short_of = str(Decimal(level) - Decimal("0.01"))
    assert after(state, call=short_of, put="50")[1] == {}
    assert set(after(state, call=level, put="50")[1].values()) == {ExitReason.STRATEGY_STOP}
    partial = replace(state.positions[0], entry_final=False)
    assert after(replace(state, positions=(partial, state.positions[1])), call=level, put="50")[1] == {}


def test_per_account_and_per_unit_read_what_they_say() -> None:
    """Two accounts of 2 lots, a unit is 1 lot: 10 lost a unit of premium is 3,000 in all, 1,500 each, 750 a unit."""
    for per, most in ((Per.RUN, 3000), (Per.ACCOUNT, 1500), (Per.UNIT, 750)):
        state = held(spec(), accounts=("one", "two"), per=per, stop=Amount(rupees=Decimal(most)))
        assert after(state, call="109.99")[1] == {}
        assert set(after(state, call="110")[1]) == {"1 one", "1 two"}


def test_a_lock_is_kept_per_account() -> None:
    state = held(spec(), accounts=("one", "two"), per=Per.ACCOUNT, lock=EVERYTHING["lock"])
    worse = replace(state.positions[1], entered_value=Decimal(14900))
    state, closed = after(replace(state, positions=(state.positions[0], worse)), call="94")
    assert (closed, state.locked) == ({}, {"one": 0})


@given(path=st.lists(st.integers(60, 130), min_size=1, max_size=12), by=st.integers(1, 300))
def test_a_lock_fires_exactly_when_the_profit_is_back_at_what_the_peak_has_locked(path: list[int], by: int) -> None:
    """Arms at 900; for each 300 of the peak above it ``by`` more than 300 is kept. 150 units."""
    lock = Lock(at=Decimal(900), keep=Decimal(300), every=Decimal(300), by=Decimal(by))
    state = held(spec(), lock=lock)
    peak = 0
    for number, price in enumerate(path):
        profit = (100 - price) * 150
        peak = max(peak, profit)
        state, closed = after(state, NOW + number * MINUTE, call=str(price))
        fires = peak >= 900 and profit <= 300 + by * ((peak - 900) // 300)
        assert closed == ({"1 one": ExitReason.LOCK} if fires else {})
        if fires:
            return


def test_what_the_rules_remember_is_stored_with_the_run() -> None:
    leg = replace(spec(), stop=points(30), trail=trail(1, 1))
    state, _ = after(held(leg, move_stop_to_cost=True, **EVERYTHING), call="90")
    moved = replace(state, positions=(replace(state.positions[0], cost_at=NOW),))
    assert moved.locked == {"": 0}
    assert moved.positions[0].trail_steps == 10
    assert codec.decode(codec.encode(moved), Run) == moved


def test_a_check_that_changes_nothing_leaves_the_very_same_run() -> None:
    leg = replace(spec(), stop=points(30), trail=trail(10, 5))
    state, _ = after(held(leg, move_stop_to_cost=True, **EVERYTHING), call="90")
    assert after(state, NOW + MINUTE, call="95")[0] is state
