"""Which days a strategy trades on, and its instants there."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.adapters.facts import load
from option_baskets.domain.basket import Holding, Schedule, Strategy, Weekday
from option_baskets.domain.due import carried_exit, is_due, latest_mis_exit, latest_mis_exits, times
from option_baskets.domain.errors import Refused
from option_baskets.domain.facts import SessionKind, Span
from option_baskets.domain.instrument import listed_expiries
from option_baskets.domain.reasons import Reason
from option_baskets.domain.session import (
    IST,
    Session,
    at,
    contract_close,
    next_session_day,
    session_of,
    session_on,
    trading_days_after,
)

TUESDAY = date(2026, 11, 24)
SATURDAY = date(2026, 11, 28)
EXPIRY = date(2026, 11, 26)
FACTS = load()
TO_1530, LATER = date(2026, 12, 8), date(2026, 12, 29)


def session(day: date = TUESDAY, hours: str = "09:15-15:40", kind: SessionKind = SessionKind.NORMAL) -> Session:
    return session_of(day, *map(Span.parse, hours.split(",")), kind=kind)


def plan(
    entry: str = "09:20",
    exit_: str = "15:15",
    days: tuple[Weekday, ...] = tuple(Weekday),
    dte: tuple[int, ...] = (),
    special: bool = False,
) -> Strategy:
    schedule = Schedule(entry=time.fromisoformat(entry), exit=time.fromisoformat(exit_), days=days, dte=dte)
    return Strategy(
        id="s", basket_id="b", name="s", underlying="NIFTY", schedule=schedule, legs=(), special_sessions=special
    )


def due(strategy: Strategy, on: Session, expiry: date | None = EXPIRY) -> bool:
    """Two trading days are left to the expiry of Thursday."""
    return is_due(strategy, on, expiry, lambda until: (until - on.date).days)


@pytest.mark.parametrize(
    ("days", "dte", "expected"),
    [
        (tuple(Weekday), (), True),
        ((Weekday.TUE,), (), True),
        ((Weekday.MON, Weekday.WED), (), False),
        (tuple(Weekday), (2,), True),
        (tuple(Weekday), (0, 1), False),
        ((Weekday.MON,), (2,), False),
        ((Weekday.TUE,), (0, 2), True),
    ],
)
def test_weekday_and_dte_must_both_hold(days: tuple[Weekday, ...], dte: tuple[int, ...], expected: bool) -> None:
    assert due(plan(days=days, dte=dte), session()) is expected


def test_with_a_dte_and_nothing_listed_it_is_not_due() -> None:
    assert not due(plan(dte=(0,)), session(), expiry=None)
    assert due(plan(), session(), expiry=None)


@pytest.mark.parametrize("kind", [SessionKind.FULL_SPECIAL, SessionKind.MUHURAT, SessionKind.DISASTER_RECOVERY])
def test_a_special_session_is_for_those_who_ask_and_weekdays_do_not_matter_there(kind: SessionKind) -> None:
    special = session(SATURDAY, "09:15-10:00,11:30-12:30", kind)
    assert not due(plan(), special)
    assert due(plan(days=(Weekday.MON,), special=True), special)


def test_dte_holds_on_a_special_session_too() -> None:
    special = session(SATURDAY, kind=SessionKind.FULL_SPECIAL)
    assert not is_due(plan(dte=(0,), special=True), special, date(2026, 12, 1), lambda _: 1)
    assert is_due(plan(dte=(1,), special=True), special, date(2026, 12, 1), lambda _: 1)


def test_a_normal_session_on_a_saturday_has_no_weekday() -> None:
    assert not due(plan(), session(SATURDAY))


def test_times_are_on_the_exchanges_clock() -> None:
    found = times(FACTS, plan(), session())
    assert found.entry == datetime(2026, 11, 24, 9, 20, tzinfo=IST)
    assert found.exit == datetime(2026, 11, 24, 15, 15, tzinfo=IST)
    assert found.note == ""


@pytest.mark.parametrize(
    ("exit_", "hours", "moved"),
    [
        ("15:39", "09:15-15:40", "15:39"),
        ("15:40", "09:15-15:40", "15:38"),
        ("15:15", "09:15-12:30", "12:28"),
        ("11:00", "09:15-10:00,11:30-12:30", "12:28"),
        ("09:50", "09:15-10:00,11:30-12:30", "09:50"),
    ],
)
def test_an_exit_outside_the_session_is_two_minutes_before_its_close_and_says_so(
    exit_: str, hours: str, moved: str
) -> None:
    found = times(FACTS, plan(exit_=exit_), session(hours=hours))
    assert f"{found.exit:%H:%M}" == moved
    assert bool(found.note) is (moved != exit_)
    if found.note:
        assert found.note.startswith(f"exit moved from {exit_} to {moved}")


# ---------------------------------------------------------------- holding


def holding(kind: Holding, *, enter: int | None = None, leave: int | None = None, settle: bool = False) -> Strategy:
    strategy = plan(entry="09:45", exit_="10:15")
    schedule = replace(strategy.schedule, holding=kind, enter_before=enter, exit_before=leave)
    return replace(strategy, schedule=schedule, settle=settle)


def on(day: date) -> Session:
    found = session_on(FACTS, day)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("entered", "left"),
    [
        (date(2026, 11, 19), date(2026, 11, 20)),
        (date(2026, 11, 20), date(2026, 11, 23)),  # a weekend
        (date(2026, 11, 23), date(2026, 11, 25)),  # Prakash Gurpurb on Tuesday
        (date(2026, 11, 6), date(2026, 11, 9)),  # the Muhurat session of Sunday the 8th does not count
        (date(2024, 1, 19), date(2024, 1, 20)),  # a whole special session on Saturday does
        (date(2024, 3, 1), date(2024, 3, 4)),  # a recovery session on Saturday the 2nd does not
        (date(2025, 1, 31), date(2025, 2, 1)),  # the Budget on Saturday
    ],
)
def test_the_next_day_is_the_next_that_counts(entered: date, left: date) -> None:
    found = times(FACTS, holding(Holding.NEXT_DAY), on(entered), [date(2026, 12, 29)])
    assert found.exit == at(left, time(10, 15))
    assert found.note == ""


def test_positional_days_are_counted_back_from_the_earliest_expiry() -> None:
    """The weekly of Tuesday 1 December 2026; before it lie 30, 27, 26 and 25 November; the 24th is a holiday."""
    strategy, expiries = holding(Holding.POSITIONAL, enter=5, leave=2), [date(2026, 12, 29), date(2026, 12, 1)]
    due = [
        day
        for day in (date(2026, 11, number) for number in range(16, 31))
        if session_on(FACTS, day) is not None
        and is_due(strategy, on(day), expiries[1], lambda until, day=day: trading_days_after(FACTS, day, until))  # type: ignore[misc]
    ]
    assert due == [date(2026, 11, 23)]
    assert times(FACTS, strategy, on(due[0]), expiries).exit == at(date(2026, 11, 27), time(10, 15))


def test_a_positional_strategy_is_not_entered_again_in_a_session_that_does_not_count() -> None:
    """Friday 6 and Sunday 8 November 2026 lie equally far before the expiry of the 10th; only one is a trading day."""
    strategy = replace(holding(Holding.POSITIONAL, enter=2, leave=0), special_sessions=True)
    muhurat = on(date(2026, 11, 8))
    assert muhurat.kind is SessionKind.MUHURAT
    assert is_due(strategy, on(date(2026, 11, 6)), date(2026, 11, 10), lambda _: 2)
    assert not is_due(strategy, muhurat, date(2026, 11, 10), lambda _: 2)


def test_an_exit_after_a_legs_expiry_is_refused_unless_the_leg_may_settle() -> None:
    tuesday, expiries = on(date(2026, 12, 1)), [date(2026, 12, 1), date(2026, 12, 29)]
    with pytest.raises(Refused) as refused:
        times(FACTS, holding(Holding.NEXT_DAY), tuesday, expiries)
    assert refused.value.reason is Reason.EXIT_AFTER_EXPIRY
    assert times(FACTS, holding(Holding.NEXT_DAY, settle=True), tuesday, expiries).exit.date() == date(2026, 12, 2)


@pytest.mark.parametrize(
    ("exit_", "settle", "expiries", "left"),
    [
        ("15:25", False, [TO_1530], "15:25"),
        ("15:30", False, [TO_1530], "15:28"),
        ("15:40", False, [TO_1530, LATER], "15:28"),
        ("15:40", False, [LATER], "15:40"),
        ("15:45", False, [LATER], "15:43"),
        ("15:40", True, [TO_1530, LATER], "15:40"),
        ("15:45", True, [TO_1530], "15:45"),
        ("15:45", True, [TO_1530, LATER], "15:28"),
    ],
)
def test_from_december_2026_a_contract_stops_earlier_on_its_expiry_day_and_exits_mind_it(
    exit_: str, settle: bool, expiries: list[date], left: str
) -> None:
    """Tuesday 8 December: the session is 09:15 to 15:45, the expiring contract stops at 15:30."""
    strategy = replace(plan(exit_=exit_), settle=settle)
    assert f"{times(FACTS, strategy, on(TO_1530), expiries).exit:%H:%M}" == left


def test_a_contract_given_an_earlier_date_is_left_by_then() -> None:
    """Entered to be left on Thursday; on Wednesday morning the contract expires that day."""
    strategy, wednesday = holding(Holding.NEXT_DAY), date(2023, 6, 28)
    found = carried_exit(FACTS, strategy, date(2023, 6, 27), [wednesday], on(wednesday))
    assert found == (at(wednesday, time(10, 15)), "")
    late = carried_exit(FACTS, holding(Holding.INTRADAY), date(2023, 6, 27), [wednesday], on(wednesday))
    assert late is None


CALENDAR = [date(2023, 1, 1) + timedelta(days=number) for number in range(4 * 365)]
SESSIONS = [on(day) for day in CALENDAR if session_on(FACTS, day) is not None]


@given(
    entered=st.sampled_from(SESSIONS[:-40]),
    kind=st.sampled_from(Holding),
    days=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    expiry=st.integers(0, 3),
    moment=st.times(time(9, 15), time(15, 45)),
    settle=st.booleans(),
)
def test_no_exit_falls_outside_a_session_of_a_trading_day(
    entered: Session, kind: Holding, days: tuple[int, int], expiry: int, moment: time, settle: bool
) -> None:
    """Over every session of 2023 to 2026; after the expiry only where it may be."""
    listed = listed_expiries(FACTS, "NIFTY", entered.date)
    expiries = [listed[min(expiry, len(listed) - 1)].date, listed[-1].date]
    strategy = holding(kind, enter=max(days), leave=min(days), settle=settle)
    strategy = replace(strategy, schedule=replace(strategy.schedule, exit=moment))
    try:
        found = times(FACTS, strategy, entered, expiries)
    except Refused as refused:
        assert refused.reason is Reason.EXIT_AFTER_EXPIRY and not settle and kind is Holding.NEXT_DAY
        assert next_session_day(FACTS, entered.date) > expiries[0]
        return
    day = session_on(FACTS, found.exit.date())
    assert day is not None
    assert day.counts or day.date == entered.date
    assert found.exit.date() >= entered.date
    waits_for_settlement = settle and all(each == day.date for each in expiries)
    assert day.is_trading(found.exit) or waits_for_settlement
    if not settle:
        assert all(found.exit < contract_close(FACTS, day, each) for each in expiries if each >= day.date)
        assert found.exit.date() <= min(expiries)
    if kind is Holding.NEXT_DAY:
        assert found.exit.date() == next_session_day(FACTS, entered.date)
    if kind is Holding.POSITIONAL:
        left = trading_days_after(FACTS, found.exit.date(), expiries[0])
        assert left == min(*days, trading_days_after(FACTS, entered.date, expiries[0]))


# ---------------------------------------------------------------- MIS


def test_an_mis_exit_leaves_ten_minutes_until_the_broker_squares_off() -> None:
    assert latest_mis_exit(FACTS, "zerodha", TUESDAY) == time(15, 15)
    assert latest_mis_exit(FACTS, "nobody", TUESDAY) is None
    assert latest_mis_exits(FACTS) == {"angelone": time(15, 5), "shoonya": time(15, 5), "zerodha": time(15, 15)}
