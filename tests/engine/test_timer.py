"""The cadence table and the timer: which ticks a day has, what each causes, and what happens to those missed."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import RealClock, SimulatedClock, run_simulated
from option_baskets.domain.cadence import Cadence, events_at, instants, planned_until
from option_baskets.domain.errors import Invalid
from option_baskets.domain.events import EventType, MarketPhase, Priority, Tick
from option_baskets.domain.facts import SessionKind, Span
from option_baskets.domain.session import IST, Session, session_of
from option_baskets.engine.timer import ticks

DAY = date(2026, 1, 5)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
CADENCE = load_cadence()
REFRESH, STOPS = EventType.REFRESH_MARKET_DATA, EventType.CHECK_STOP_LOSS
DUPLICATES, SCHEDULE = EventType.CHECK_DUPLICATE_ORDERS, EventType.SCHEDULE_STRATEGY_TRIGGER


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(DAY, time(hour, minute, second), IST)


def day(*spans: str, kind: SessionKind = SessionKind.NORMAL) -> Session:
    return session_of(DAY, *map(Span.parse, spans), kind=kind)


NORMAL = day("09:15-15:30")
MUHURAT = day("18:15-19:15", kind=SessionKind.MUHURAT)
RECOVERY = day("09:15-10:00", "11:45-12:40", kind=SessionKind.DISASTER_RECOVERY)


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize(
    ("session", "count", "schedule", "stops", "duplicates", "refresh"),
    [
        (NORMAL, 390, 78, 375, 345, 360),
        (day("09:15-15:40"), 400, 80, 385, 355, 370),
        (day("09:15-15:45"), 405, 81, 390, 360, 375),
        (MUHURAT, 75, 15, 60, 60, 75),
        (RECOVERY, 115, 23, 100, 100, 115),
    ],
    ids=["until 15:30", "until 15:40", "until 15:45", "Muhurat", "disaster recovery"],
)
def test_a_day_has_exactly_these_ticks_and_events(
    session: Session, count: int, schedule: int, stops: int, duplicates: int, refresh: int
) -> None:
    day_ticks = list(instants(session, CADENCE.boundary))
    events = Counter(event.type for at in day_ticks for event in events_at(CADENCE, session, at))
    assert len(day_ticks) == count
    assert events == {SCHEDULE: schedule, STOPS: stops, DUPLICATES: duplicates, REFRESH: refresh}


def test_a_recovery_day_ticks_from_a_quarter_before_its_open_and_not_between_its_windows() -> None:
    day_ticks = list(instants(RECOVERY, CADENCE.boundary))
    assert day_ticks[0] == at(9)
    assert [tick for tick in day_ticks if at(9, 59) <= tick <= at(11, 45)] == [at(9, 59), at(11, 45)]
    assert day_ticks[-1] == at(12, 39)
    assert next(instants(MUHURAT, CADENCE.boundary)) == at(18)


def test_stops_are_not_checked_before_the_open() -> None:
    assert [event.type for event in events_at(CADENCE, NORMAL, at(9, 5))] == [REFRESH, SCHEDULE]
    assert [event.type for event in events_at(CADENCE, NORMAL, at(9, 14))] == [REFRESH]


def test_over_lunch_prices_and_duplicates_come_every_other_minute_and_stops_every_minute() -> None:
    assert [event.type for event in events_at(CADENCE, NORMAL, at(13, 1))] == [STOPS]
    assert [event.type for event in events_at(CADENCE, NORMAL, at(13, 2))] == [REFRESH, STOPS, DUPLICATES]


def test_priorities_rise_around_the_open_and_before_the_close() -> None:
    def priority(type_: EventType, instant: datetime) -> Priority:
        return next(event.priority for event in events_at(CADENCE, NORMAL, instant) if event.type is type_)

    assert priority(SCHEDULE, at(9, 20)) is Priority.HIGH
    assert priority(SCHEDULE, at(11)) is Priority.NORMAL
    assert priority(SCHEDULE, at(15, 25)) is Priority.HIGH
    assert priority(STOPS, at(15, 19)) is Priority.HIGH
    assert priority(STOPS, at(15, 20)) is Priority.CRITICAL


@pytest.mark.parametrize("session", [NORMAL, MUHURAT, RECOVERY])
def test_at_every_tick_prices_come_first_and_stops_before_the_schedule(session: Session) -> None:
    wanted = [REFRESH, STOPS, SCHEDULE]
    for instant in instants(session, CADENCE.boundary):
        order = [event.type for event in events_at(CADENCE, session, instant)]
        assert [type_ for type_ in order if type_ in wanted] == [type_ for type_ in wanted if type_ in order]


@pytest.mark.parametrize("session", [NORMAL, MUHURAT, RECOVERY])
def test_every_instant_of_a_session_is_planned_by_a_trigger_before_it(session: Session) -> None:
    triggers = [
        instant
        for instant in instants(session, CADENCE.boundary)
        if any(event.type is SCHEDULE for event in events_at(CADENCE, session, instant))
    ]
    reached = triggers[0]
    for trigger in triggers:
        assert reached >= trigger
        reached = planned_until(CADENCE, session, trigger)
    assert triggers[0] < session.open
    assert reached >= session.close
    assert planned_until(CADENCE, NORMAL, at(9, 15)) == at(9, 20)
    assert planned_until(CADENCE, RECOVERY, at(9, 55)) == at(11, 45)


def write(folder: Path, **changes: str) -> Path:
    tables = {"RefreshMarketData": "1m", "CheckStopLoss": "1m", "CheckDuplicateOrders": "1m"} | {
        name: every for name, every in changes.items() if name != "ScheduleStrategyTrigger"
    }
    text = "".join(f'[{name}]\nevery = "{every}"\n' for name, every in tables.items())
    schedule = changes.get("ScheduleStrategyTrigger", "5m")
    path = folder / "cadence.toml"
    path.write_text(text + f'[ScheduleStrategyTrigger]\nevery = "{schedule}"\nlook_ahead = "5m"\n', encoding="utf-8")
    return path


def test_stops_can_be_checked_every_fifteen_seconds(tmp_path: Path) -> None:
    write(tmp_path, CheckStopLoss="15s")
    cadence = load_cadence(tmp_path)
    assert cadence.boundary == 15 * SECOND
    assert [event.type for event in events_at(cadence, NORMAL, at(9, 20, 15))] == [STOPS]
    events = Counter(
        event.type for at in instants(NORMAL, cadence.boundary) for event in events_at(cadence, NORMAL, at)
    )
    assert events == {STOPS: 4 * 390, REFRESH: 390, DUPLICATES: 390, SCHEDULE: 78}


def test_a_folder_without_a_table_uses_the_one_in_the_package(tmp_path: Path) -> None:
    assert load_cadence(tmp_path) == CADENCE


def test_a_table_with_faults_is_refused_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "cadence.toml"
    path.write_text(
        """
        [CheckStopLoss]
        every = "now and then"
        during = "night"
        [RefreshMarketData]
        every = "1m"
        in.LUNCH_BREAK = { every = "0m", piority = "HIGH" }
        in.TEA_TIME = { every = "2m" }
        [ScheduleStrategyTrigger]
        every = "5m"
        look_ahead = "4m"
        priority = "URGENT"
        [CheckWeather]
        every = "1m"
        """,
        encoding="utf-8",
    )
    with pytest.raises(Invalid) as refusal:
        load_cadence(path)
    assert [problem.where.removeprefix("cadence.toml: ") for problem in refusal.value.problems] == [
        "CheckDuplicateOrders",
        "CheckStopLoss.during",
        "CheckStopLoss.every",
        "CheckWeather",
        "RefreshMarketData.in.LUNCH_BREAK.every",
        "RefreshMarketData.in.LUNCH_BREAK.piority",
        "RefreshMarketData.in.TEA_TIME",
        "ScheduleStrategyTrigger.look_ahead",
        "ScheduleStrategyTrigger.priority",
    ]


@pytest.mark.parametrize("content", [b"[", b"\xff"])
def test_a_table_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cadence.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid, match="is no TOML"):
        load_cadence(path)


def test_a_table_that_would_tick_without_pause_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="the shortest is 50 ms"):
        load_cadence(write(tmp_path, CheckStopLoss="7001ms"))


# ---------------------------------------------------------------- the timer


def played(
    start: datetime,
    *,
    work: Callable[[Tick], timedelta] = lambda tick: timedelta(),
    resume_after: datetime | None = None,
    session: Session = NORMAL,
    cadence: Cadence = CADENCE,
) -> list[tuple[datetime, tuple[Tick, ...]]]:
    """(when it was noticed, the ticks) of a day in simulated time, with a consumer that works this long on each."""

    async def main(clock: SimulatedClock) -> list[tuple[datetime, tuple[Tick, ...]]]:
        seen = []
        async for due in ticks(session, clock, cadence, resume_after=resume_after):
            seen.append((clock.now(), due))
            for tick in due:
                await clock.sleep_until(clock.now() + work(tick))
        return seen

    return run_simulated(main, start)


def test_a_whole_day_ticks_on_every_minute_from_nine_until_the_close() -> None:
    seen = played(at(8, 30))
    assert [noticed for noticed, _ in seen] == [at(9) + n * MINUTE for n in range(390)]
    assert all([tick.at for tick in due] == [noticed] and not due[0].late for noticed, due in seen)
    assert [due[0].phase for _, due in seen][::60] == [
        MarketPhase.PRE_OPEN,
        MarketPhase.EARLY_TRADING,
        MarketPhase.ACTIVE_TRADING,
        MarketPhase.ACTIVE_TRADING,
        MarketPhase.LUNCH_BREAK,
        MarketPhase.AFTERNOON_TRADING,
        MarketPhase.AFTERNOON_TRADING,
    ]


def test_a_slow_consumer_delays_no_later_tick() -> None:
    seen = played(at(9), work=lambda tick: 59 * SECOND)
    assert [noticed for noticed, _ in seen] == [at(9) + n * MINUTE for n in range(390)]


def test_a_consumer_that_misses_boundaries_gets_them_at_once_and_the_old_ones_late() -> None:
    seen = played(at(9), work=lambda tick: 150 * SECOND if tick.at == at(11) else timedelta())
    assert [noticed for noticed, due in seen if len(due) > 1] == [at(11, 2, 30)]
    assert next([(tick.at, tick.late) for tick in due] for noticed, due in seen if len(due) > 1) == [
        (at(11, 1), True),
        (at(11, 2), False),
    ]
    assert sum(len(due) for _, due in seen) == 390


def test_a_boundary_noticed_within_its_own_minute_is_not_late() -> None:
    seen = played(at(9), work=lambda tick: 90 * SECOND if tick.at == at(11) else timedelta())
    assert [(tick.at, tick.late) for noticed, due in seen for tick in due if noticed == at(11, 1, 30)] == [
        (at(11, 1), False)
    ]


def test_a_start_in_the_middle_of_the_day_makes_up_for_the_morning() -> None:
    (noticed, missed), (following, due), *_ = played(at(12, 0, 30))
    assert noticed == at(12, 0, 30)
    assert [tick.at for tick in missed] == [at(9) + n * MINUTE for n in range(181)]
    assert all(tick.late for tick in missed)
    assert (following, [tick.at for tick in due], due[0].late) == (at(12, 1), [at(12, 1)], False)


def test_a_restart_yields_exactly_the_ticks_after_the_last_finished_one() -> None:
    seen = played(at(10, 33, 12), resume_after=at(10, 30))
    assert [(tick.at, tick.late) for tick in seen[0][1]] == [(at(10, 31 + n), True) for n in range(3)]
    assert [tick.at for _, due in seen for tick in due] == [at(10, 31) + n * MINUTE for n in range(299)]


def test_a_restart_between_two_windows_waits_for_the_second() -> None:
    seen = played(at(10, 30), resume_after=at(9, 59), session=RECOVERY)
    assert seen[0][0] == at(11, 45)
    assert sum(len(due) for _, due in seen) == 55


def test_after_the_close_what_was_missed_is_yielded_and_the_timer_stops() -> None:
    ((noticed, missed),) = played(at(16), resume_after=at(15, 27))
    assert (noticed, [tick.at for tick in missed]) == (at(16), [at(15, 28), at(15, 29)])
    assert played(at(16), resume_after=at(15, 29)) == []


@pytest.mark.parametrize("step", [7 * MINUTE, -7 * MINUTE], ids=["forward", "back"])
def test_a_step_of_the_wall_clock_loses_and_repeats_no_tick_and_makes_none_early(step: timedelta) -> None:
    async def main(clock: SimulatedClock) -> None:
        wall = RealClock(wall=lambda: clock.now() + (step if clock.now() >= at(10, 0, 30) else timedelta()))
        seen: list[Tick] = []
        async for due in ticks(NORMAL, wall, CADENCE):
            assert all(tick.at <= wall.now() for tick in due)
            seen += due
        assert [tick.at for tick in seen] == [at(9) + n * MINUTE for n in range(390)]
        assert [tick.at for tick in seen if tick.late] == ([at(10, n) for n in range(1, 7)] if step > MINUTE else [])

    run_simulated(main, at(9))


def test_the_table_in_the_documentation_loads_as_written(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "timer.md").read_text(encoding="utf-8")
    block = page.partition("```toml\n")[2].partition("```")[0]
    path = write(tmp_path)
    others = path.read_text(encoding="utf-8").replace('[CheckStopLoss]\nevery = "1m"\n', "")
    path.write_text(others + block, encoding="utf-8")
    assert load_cadence(path).boundary == 15 * SECOND
