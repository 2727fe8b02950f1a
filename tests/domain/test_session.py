"""Is it a trading day, which hours, which phase, how many trading days to an expiry."""

import csv
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.events import MarketPhase
from option_baskets.domain.facts import Facts, SessionKind, Span
from option_baskets.domain.session import (
    IST,
    Session,
    contract_close,
    next_session_day,
    previous_session_day,
    session_of,
    session_on,
    spot_frozen,
    trading_days_after,
)

TODAY = date(2026, 11, 23)
DISASTER_RECOVERY = date(2024, 3, 2)
BUDGET_SUNDAY = date(2026, 2, 1)
MUHURAT = date(2026, 11, 8)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load()


def held(facts: Facts, day: date) -> Session:
    session = session_on(facts, day)
    assert session is not None
    return session


def ist(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), IST)


@pytest.mark.parametrize(
    ("day", "close"),
    [
        (date(2017, 4, 3), "15:30"),
        (date(2022, 6, 30), "15:30"),
        (date(2026, 7, 31), "15:30"),
        (date(2026, 8, 3), "15:40"),
        (TODAY, "15:40"),
        (date(2026, 12, 4), "15:40"),
        (date(2026, 12, 7), "15:45"),
    ],
)
def test_the_close_is_the_one_of_its_time(facts: Facts, day: date, close: str) -> None:
    session = held(facts, day)
    assert (session.open, session.close, session.starts) == (ist(day, "09:15"), ist(day, close), ist(day, "09:00"))
    assert session.counts and not session.is_special


def test_weekends_and_holidays_have_no_session(facts: Facts) -> None:
    closed = [date(2026, 11, 21), date(2026, 11, 22), date(2026, 11, 24), date(2026, 11, 10), date(2024, 5, 20)]
    assert [session_on(facts, day, exchange) for day in closed for exchange in ("NSE", "BSE")] == [None] * 10


def test_a_weekday_before_the_known_holidays_has_its_normal_session(facts: Facts) -> None:
    republic_day = date(2022, 1, 26)
    assert held(facts, republic_day).close == ist(republic_day, "15:30")


def test_a_disaster_recovery_session_has_two_windows_and_a_pause_between(facts: Facts) -> None:
    session = held(facts, DISASTER_RECOVERY)
    trading = [session.is_trading(ist(DISASTER_RECOVERY, clock)) for clock in ("09:15", "10:00", "11:30", "12:30")]
    assert trading == [True, False, True, False]
    assert session.is_special and not session.counts
    assert session.starts == ist(DISASTER_RECOVERY, "09:00")


def test_full_special_sessions_count_as_trading_days_and_muhurat_does_not(facts: Facts) -> None:
    budget, muhurat = held(facts, BUDGET_SUNDAY), held(facts, MUHURAT)
    assert (budget.kind, budget.is_special, budget.counts) == (SessionKind.FULL_SPECIAL, True, True)
    assert (muhurat.kind, muhurat.is_special, muhurat.counts) == (SessionKind.MUHURAT, True, False)


def test_the_muhurat_timer_starts_a_quarter_of_an_hour_before_the_open(facts: Facts) -> None:
    session = held(facts, MUHURAT)
    assert (session.starts, session.open, session.close) == tuple(
        ist(MUHURAT, clock) for clock in ("18:00", "18:15", "19:15")
    )


def test_live_trading_from_the_recovery_site_at_normal_hours_is_an_ordinary_day(facts: Facts) -> None:
    session = held(facts, date(2026, 3, 5))
    assert session.kind is SessionKind.NORMAL and len(session.windows) == 1


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ("08:59:59", MarketPhase.CLOSED),
        ("09:00", MarketPhase.PRE_OPEN),
        ("09:15", MarketPhase.MARKET_OPEN),
        ("09:30", MarketPhase.EARLY_TRADING),
        ("10:30", MarketPhase.ACTIVE_TRADING),
        ("13:00", MarketPhase.LUNCH_BREAK),
        ("14:00", MarketPhase.AFTERNOON_TRADING),
        ("15:29:59", MarketPhase.AFTERNOON_TRADING),
        ("15:30", MarketPhase.PRE_CLOSE),
        ("15:39:59", MarketPhase.PRE_CLOSE),
        ("15:40", MarketPhase.CLOSED),
    ],
)
def test_each_phase_begins_at_its_minute(facts: Facts, clock: str, phase: MarketPhase) -> None:
    assert held(facts, TODAY).phase(ist(TODAY, clock)) is phase


def test_a_phase_is_the_same_whatever_zone_the_instant_is_written_in(facts: Facts) -> None:
    assert held(facts, TODAY).phase(ist(TODAY, "13:30").astimezone(UTC)) is MarketPhase.LUNCH_BREAK


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ("08:59", MarketPhase.CLOSED),
        ("09:00", MarketPhase.PRE_OPEN),
        ("09:20", MarketPhase.ACTIVE_TRADING),
        ("09:55", MarketPhase.ACTIVE_TRADING),
        ("10:30", MarketPhase.CLOSED),
        ("11:30", MarketPhase.ACTIVE_TRADING),
        ("12:20", MarketPhase.PRE_CLOSE),
        ("12:30", MarketPhase.CLOSED),
    ],
)
def test_special_windows_are_active_trading_until_the_last_ten_minutes(
    facts: Facts, clock: str, phase: MarketPhase
) -> None:
    assert held(facts, DISASTER_RECOVERY).phase(ist(DISASTER_RECOVERY, clock)) is phase


def test_pre_close_precedes_every_other_phase() -> None:
    day = date(2025, 10, 21)
    short = session_of(day, Span.parse("09:15-09:35"))
    assert [short.phase(ist(day, clock)) for clock in ("09:24", "09:25", "09:31")] == [
        MarketPhase.MARKET_OPEN,
        MarketPhase.PRE_CLOSE,
        MarketPhase.PRE_CLOSE,
    ]


def test_windows_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="out of order"):
        session_of(TODAY, Span.parse("11:30-12:30"), Span.parse("09:15-10:00"))
    with pytest.raises(ValueError, match="at least one window"):
        session_of(TODAY)


def test_days_to_expiry_skip_holidays_and_muhurat_and_count_full_special_sessions(facts: Facts) -> None:
    assert trading_days_after(facts, TODAY, TODAY) == 0
    assert trading_days_after(facts, date(2026, 11, 20), TODAY) == 1
    assert trading_days_after(facts, TODAY, date(2026, 11, 25)) == 1
    assert trading_days_after(facts, date(2026, 11, 6), date(2026, 11, 9)) == 1  # Muhurat between
    assert trading_days_after(facts, date(2026, 1, 30), date(2026, 2, 3)) == 3  # Budget Sunday between


def test_the_next_and_the_previous_day_step_over_what_does_not_count(facts: Facts) -> None:
    assert next_session_day(facts, TODAY) == date(2026, 11, 25)
    assert previous_session_day(facts, date(2026, 11, 9)) == date(2026, 11, 6)
    assert next_session_day(facts, date(2026, 1, 30)) == BUDGET_SUNDAY
    assert previous_session_day(facts, date(2024, 5, 21)) == date(2024, 5, 17)


def test_an_index_contract_stops_earlier_on_its_expiry_day_from_december_2026(facts: Facts) -> None:
    day = date(2026, 12, 8)
    session = held(facts, day)
    assert contract_close(facts, session, day) == ist(day, "15:30")
    assert contract_close(facts, session, date(2026, 12, 15)) == ist(day, "15:45")
    assert contract_close(facts, session, day, is_index_option=False) == ist(day, "15:45")
    assert contract_close(facts, held(facts, TODAY), TODAY) == ist(TODAY, "15:40")


def test_the_index_is_frozen_while_the_cash_market_is_in_its_closing_auction(facts: Facts) -> None:
    window = spot_frozen(facts, held(facts, TODAY))
    assert window is not None
    assert (window.open, window.close) == (ist(TODAY, "15:15"), ist(TODAY, "15:35"))
    assert spot_frozen(facts, held(facts, date(2026, 7, 31))) is None


def test_our_tables_know_what_the_calendar_libraries_miss(facts: Facts, shared: Path) -> None:
    with (shared / "market" / "calendar_library_check.csv").open(encoding="utf-8") as file:
        claims = {(row["date"], row["discrepancy"]) for row in csv.DictReader(file)}
    checked = 0
    for text, discrepancy in claims:
        if len(text) != len("2026-11-08"):
            continue
        session = session_on(facts, date.fromisoformat(text))
        if discrepancy == "special session missing":
            assert session is not None and session.is_special, text
        elif discrepancy == "library open, exchange closed":
            assert session is None, text
        elif discrepancy.startswith("library closed, exchange open"):
            assert session is not None and not session.is_special, text
        checked += 1
    assert checked == 15
