"""One pure step: levels, the order of evaluation, and what a position that is closing never does again."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Side
from option_baskets.domain.exit_rules import Distance
from option_baskets.domain.levels import stop_level, target_level
from option_baskets.domain.market import Bar, Snapshot
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.rules import Check, Close, Event, ExitDemanded, step
from option_baskets.domain.run import LegPosition, Run, RunStatus, Shortfall, settled
from tests.engine.plans import CALL, instant, run, strategy
from tests.engine.small_market import SmallMarket, chain

ENTERED = instant("09:20")
NOW = instant("09:26")
QUANTITY = 150
LISTED = chain("NIFTY", CALL.expiry, [26000], lot_size=75)

DISTANCES = st.one_of(
    st.decimals("0.05", "90", places=2).map(lambda value: Distance(points=value)),
    st.decimals("0.5", "90", places=2).map(lambda value: Distance(percent=value)),
)


def percent(value: str) -> Distance:
    return Distance(percent=Decimal(value))


def points(value: str) -> Distance:
    return Distance(points=Decimal(value))


def leg(side: Side = Side.SELL, stop: Distance | None = None, target: Distance | None = None) -> LegSpec:
    return replace(strategy().legs[0], side=side, stop=stop, target=target)


def held(spec: LegSpec, entry: str = "100", *, exit_: str = "15:15") -> Run:
    """A run that holds the leg since 09:20, bought or sold at ``entry``."""
    plan = replace(strategy(exit_=exit_), legs=(spec,))
    started = run(plan=plan)
    position = replace(
        started.positions[0],
        side=spec.side,
        entered=QUANTITY,
        entered_value=Decimal(entry) * QUANTITY,
        entry_time=ENTERED,
        entry_final=True,
    )
    return replace(started, status=RunStatus.ACTIVE, positions=(position,))


def priced(last: str, *, at: datetime = NOW, bar: tuple[str, str, str] | None = None) -> SmallMarket:
    """The call costs ``last`` from ``at`` on; ``bar`` is open, high and low of the minute that ended then."""
    market = SmallMarket(LISTED)
    if bar is None:
        market.set(CALL, at, last)
        return market
    opened, high, low = map(Decimal, bar)
    start = at - timedelta(minutes=1)
    made = Bar(start=start, end=at, open=opened, high=high, low=low, close=Decimal(last))
    market.set(CALL, at, last, bar=made)
    return market


def closing(state: Run, event: Event, market: Snapshot) -> tuple[Run, tuple[Close, ...]]:
    """A step of a run that waits for nothing: it only closes."""
    after, decisions = step(state, event, market)
    return after, tuple(decision for decision in decisions if isinstance(decision, Close))


def decided(state: Run, market: SmallMarket, at: datetime = NOW) -> tuple[Close, ...]:
    return closing(state, Check(at=at), market.view(at))[1]


def reasons(state: Run, market: SmallMarket, at: datetime = NOW) -> list[ExitReason]:
    return [close.reason for close in decided(state, market, at)]


# ---------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("side", "distance", "stop", "target"),
    [
        (Side.SELL, percent("25"), "125", "75"),
        (Side.SELL, points("30"), "130", "70"),
        (Side.BUY, percent("25"), "75", "125"),
        (Side.BUY, points("30"), "70", "130"),
    ],
)
def test_levels_lie_against_and_in_favour_of_the_side(side: Side, distance: Distance, stop: str, target: str) -> None:
    spec = leg(side, distance, distance)
    assert stop_level(spec, spec.side, Decimal(100)) == Decimal(stop)
    assert target_level(spec, spec.side, Decimal(100)) == Decimal(target)


def test_a_leg_without_rules_has_no_levels_and_is_closed_by_the_clock_alone() -> None:
    spec = leg()
    assert stop_level(spec, spec.side, Decimal(100)) is None
    assert target_level(spec, spec.side, Decimal(100)) is None
    assert reasons(held(spec), priced("9999")) == []
    assert reasons(held(spec), priced("100", at=instant("15:15")), instant("15:15")) == [ExitReason.TIME]


@given(distance=DISTANCES, entry=st.decimals("1", "999", places=4), side=st.sampled_from(Side))
def test_a_stop_fires_at_its_unrounded_level_and_not_below_it(distance: Distance, entry: Decimal, side: Side) -> None:
    spec = leg(side, stop=distance)
    level = stop_level(spec, spec.side, entry)
    assert level is not None
    if level <= 0:
        return
    sliver = Decimal("0.000001")
    there = f"{level}"
    short_of = f"{level - sliver if side is Side.SELL else level + sliver}"
    assert reasons(held(spec, f"{entry}"), priced(there)) == [ExitReason.STOP]
    assert reasons(held(spec, f"{entry}"), priced(short_of)) == []


# ---------------------------------------------------------------- the order of evaluation


def test_at_one_instant_stop_goes_before_target_before_time() -> None:
    both = leg(Side.SELL, stop=points("5"), target=points("5"))
    exit_ = "09:26"
    wide = priced("100", bar=("100", "106", "94"))
    assert reasons(held(both, exit_=exit_), wide) == [ExitReason.STOP]
    assert reasons(held(replace(both, stop=None), exit_=exit_), wide) == [ExitReason.TARGET]
    assert reasons(held(leg(), exit_=exit_), wide) == [ExitReason.TIME]


def test_what_is_closing_is_never_decided_again() -> None:
    spec = leg(Side.SELL, stop=points("5"))
    after, first = closing(held(spec), Check(at=NOW), priced("110").view(NOW))
    again, second = step(after, Check(at=instant("15:15")), priced("110").view(instant("15:15")))
    assert [close.reason for close in first] == [ExitReason.STOP]
    assert second == ()
    assert again is after
    assert after.positions[0].exit_reason is ExitReason.STOP


def test_a_step_that_decides_nothing_leaves_the_very_same_run() -> None:
    state = held(leg(Side.SELL, stop=points("5")))
    assert step(state, Check(at=NOW), priced("104.95").view(NOW)) == (state, ())


def test_a_demand_closes_everything_on_its_account_and_what_may_still_be_filled() -> None:
    state = held(leg())
    waiting = replace(state.positions[0], account="angelone-1", entered=0, entered_value=Decimal(0), entry_time=None)
    state = replace(state, positions=(*state.positions, waiting))
    demand = ExitDemanded(at=NOW, reason=ExitReason.UNWIND, account="angelone-1")
    after, closes = closing(state, demand, priced("100").view(NOW))
    assert [(close.position[1], close.reason) for close in closes] == [("angelone-1", ExitReason.UNWIND)]
    assert after.positions[0].exit_reason is None
    everywhere = replace(demand, account=None, reason=ExitReason.KILL)
    assert {close.position[1] for close in closing(state, everywhere, priced("100").view(NOW))[1]} == {
        "zerodha-1",
        "angelone-1",
    }


# ---------------------------------------------------------------- which prices count


def test_a_price_no_newer_than_the_entry_fires_nothing() -> None:
    spec = leg(Side.SELL, stop=points("5"))
    assert reasons(held(spec), priced("500", at=ENTERED), ENTERED) == []
    assert reasons(held(spec), priced("500", at=ENTERED), NOW) == []
    assert reasons(held(spec), priced("500", at=ENTERED + timedelta(seconds=1)), NOW) == [ExitReason.STOP]


def test_a_contract_without_any_price_fires_nothing_but_the_clock() -> None:
    spec = leg(Side.SELL, stop=points("5"))
    assert reasons(held(spec), SmallMarket(LISTED)) == []
    assert reasons(held(spec, exit_="09:26"), SmallMarket(LISTED)) == [ExitReason.TIME]


def test_a_bar_that_began_before_the_entry_counts_with_its_close_only() -> None:
    """Entered in the middle of the minute: its high may have been before."""
    spec = leg(Side.SELL, stop=points("5"))
    state = held(spec)
    late = replace(state, positions=(replace(state.positions[0], entry_time=NOW - timedelta(seconds=30)),))
    assert decided(late, priced("100", bar=("100", "300", "99"))) == ()
    (close,) = decided(late, priced("106", bar=("100", "300", "99")))
    assert close.level is None


def test_a_position_that_is_not_filled_yet_has_no_stop() -> None:
    state = held(leg(Side.SELL, stop=points("5")))
    empty = replace(state.positions[0], entered=0, entered_value=Decimal(0), entry_time=None, entry_final=False)
    assert decided(replace(state, positions=(empty,)), priced("500")) == ()


def test_a_stop_arms_at_the_first_fill_on_the_average_so_far() -> None:
    """Half is sold at 100, so the stop is at 125; with the rest at 110 the average is 105 and the stop at 131.25."""
    state = held(leg(Side.SELL, stop=percent("25")))
    half = replace(state.positions[0], entered=75, entered_value=Decimal(7500), entry_final=False)
    whole = replace(half, entered=150, entered_value=Decimal(7500 + 8250), entry_final=True)
    assert reasons(replace(state, positions=(half,)), priced("126")) == [ExitReason.STOP]
    assert reasons(replace(state, positions=(whole,)), priced("126")) == []
    assert reasons(replace(state, positions=(whole,)), priced("131.25")) == [ExitReason.STOP]


BARS = st.tuples(*[st.integers(50, 200)] * 4)


@given(prices=BARS, side=st.sampled_from(Side), stop=st.integers(1, 45), target=st.integers(1, 45))
def test_a_fill_inside_a_bar_lies_in_the_bar_and_is_never_better_for_a_stop_than_its_level(
    prices: tuple[int, ...], side: Side, stop: int, target: int
) -> None:
    opened, close = prices[:2]
    high, low = max(prices), min(prices)
    spec = leg(side, stop=points(str(stop)), target=points(str(target)))
    market = priced(str(close), bar=(str(opened), str(high), str(low)))
    stop_at, target_at = stop_level(spec, spec.side, Decimal(100)), target_level(spec, spec.side, Decimal(100))
    assert stop_at is not None
    assert target_at is not None
    closes = decided(held(spec), market)
    stopped = high >= stop_at if side is Side.SELL else low <= stop_at
    reached = low <= target_at if side is Side.SELL else high >= target_at
    if not closes:
        assert not stopped
        assert not reached
        return
    (found,) = closes
    assert found.reason is (ExitReason.STOP if stopped else ExitReason.TARGET)
    assert found.level is not None
    assert low <= found.level <= high
    beyond_stop = (found.level - stop_at) * -side.sign
    if stopped:
        assert beyond_stop >= 0
        assert beyond_stop == 0 or found.level == opened
    else:
        assert (found.level - target_at) * side.sign >= 0


# ---------------------------------------------------------------- the run's status


def flat(position: LegPosition, reason: ExitReason) -> LegPosition:
    return replace(position, exited=position.entered, exited_value=position.entered_value, exit_reason=reason)


def test_a_run_is_what_its_positions_say() -> None:
    state = held(leg())
    position = state.positions[0]
    entering = replace(state, status=RunStatus.ENTERING)
    assert settled(entering).status is RunStatus.ACTIVE
    pending = replace(entering, positions=(replace(position, entry_final=False),))
    assert settled(pending).status is RunStatus.ENTERING
    closing = replace(state, positions=(replace(position, exit_reason=ExitReason.TIME),))
    assert settled(closing).status is RunStatus.EXITING
    closed = replace(state, positions=(flat(position, ExitReason.TIME),))
    assert settled(closed).status is RunStatus.CLOSED


def test_a_run_of_which_everything_was_unwound_has_failed_with_the_reason_of_what_was_missing() -> None:
    state = held(leg())
    short = Shortfall(leg="2", account="zerodha-1", quantity=150, reason=Reason.BROKER_REJECTED, detail="margin")
    unwound = replace(state, positions=(flat(state.positions[0], ExitReason.UNWIND),), shortfalls=(short,))
    after = settled(unwound)
    assert (after.status, after.reason, after.detail) == (RunStatus.FAILED, Reason.BROKER_REJECTED, "margin")


def test_a_fill_after_everything_was_over_opens_the_run_again() -> None:
    state = held(leg())
    closed = settled(replace(state, positions=(flat(state.positions[0], ExitReason.TIME),)))
    late = replace(closed.positions[0], entered=225, entered_value=Decimal(22500))
    assert settled(replace(closed, positions=(late,))).status is RunStatus.EXITING
    assert settled(closed) is closed


@given(
    entered=st.integers(1, 300),
    exited=st.integers(0, 300),
    entry=st.integers(1, 500),
    exit_=st.integers(1, 500),
    side=st.sampled_from(Side),
)
def test_realised_and_unrealised_add_up_to_the_whole(
    entered: int, exited: int, entry: int, exit_: int, side: Side
) -> None:
    exited = min(entered, exited)
    position = replace(
        held(leg(side)).positions[0],
        entered=entered,
        entered_value=Decimal(entry * entered),
        exited=exited,
        exited_value=Decimal(exit_ * exited),
    )
    total = position.gross + position.unrealised(Decimal(exit_))
    assert abs(total - (exit_ - entry) * entered * side.sign) < Decimal("1e-15")
