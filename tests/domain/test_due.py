"""Which days a strategy trades on, and its instants there."""

from datetime import date, datetime, time

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.basket import Schedule, Strategy, Weekday
from option_baskets.domain.due import is_due, times
from option_baskets.domain.facts import SessionKind, Span
from option_baskets.domain.session import IST, Session, session_of

TUESDAY = date(2026, 11, 24)
SATURDAY = date(2026, 11, 28)
EXPIRY = date(2026, 11, 26)
FACTS = load()


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
