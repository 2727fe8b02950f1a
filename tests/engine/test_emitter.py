"""The emitter: the events of a tick once each, marks around them, and after an absence only what is still of use."""

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.bus import InProcessBus
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Halt
from option_baskets.domain.events import Event, EventType, MarketPhase, Tick
from option_baskets.domain.facts import Span
from option_baskets.domain.session import IST, session_of
from option_baskets.engine.emitter import Emitter
from option_baskets.engine.timer import ticks
from option_baskets.store.records import TickState
from option_baskets.store.runs import Runs

DAY = date(2026, 1, 5)
SESSION = session_of(DAY, Span.parse("09:15-15:30"))
CADENCE = load_cadence()
REFRESH, STOPS = EventType.REFRESH_MARKET_DATA, EventType.CHECK_STOP_LOSS
DUPLICATES, SCHEDULE = EventType.CHECK_DUPLICATE_ORDERS, EventType.SCHEDULE_STRATEGY_TRIGGER


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(DAY, time(hour, minute, second), IST)


@pytest.fixture(params=[False, True], ids=["same thread", "writer thread"])
def marks(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The marks on disk, which outlive a process."""
    table = SqliteTable.open(tmp_path / "book.sqlite", now=lambda: at(9), threaded=request.param, durable=False)
    yield Runs(table)
    asyncio.run(table.close())


def states(marks: Runs) -> dict[datetime, TickState]:
    return {mark.tick.at: mark.state for mark in asyncio.run(marks.last_ticks(DAY))}


class Process:
    """One life of the process: everything but the marks is new."""

    def __init__(self, marks: Runs, *, dies_in: datetime | None = None) -> None:
        self.handled: list[Event] = []
        self._dies_in = dies_in
        bus = InProcessBus(on_error=self._failed)
        for type_ in EventType:
            bus.subscribe(type_, self._handle)
        self.emitter = Emitter(bus, marks, CADENCE, SESSION)

    def live(self, start: datetime) -> list[Event]:
        run_simulated(self._day, start)
        return self.handled

    async def _day(self, clock: SimulatedClock) -> None:
        await self.emitter.run(ticks(SESSION, clock, CADENCE, resume_after=await self.emitter.resume_after()))

    async def _handle(self, event: Event) -> None:
        if event.at == self._dies_in:
            raise Halt("killed")
        self.handled.append(event)

    def _failed(self, event: Event, error: Exception) -> None:
        raise error


def test_a_day_s_events_are_published_once_each_and_counted(marks: Runs) -> None:
    process = Process(marks)
    handled = process.live(at(9))
    assert process.emitter.counts == {SCHEDULE: 78, STOPS: 375, DUPLICATES: 345, REFRESH: 360}
    assert len(set(handled)) == len(handled) == sum(process.emitter.counts.values())
    assert len(states(marks)) == 390
    assert set(states(marks).values()) == {TickState.DONE}


def test_a_tick_whose_events_were_not_all_handled_is_emitted_again_after_the_crash(marks: Runs) -> None:
    with pytest.raises(Halt):
        Process(marks, dies_in=at(10, 30)).live(at(9))
    assert states(marks)[at(10, 30)] == TickState.EMITTED
    handled = Process(marks).live(at(10, 30, 20))
    assert [(event.type, event.at, event.late) for event in handled[:4]] == [
        (REFRESH, at(10, 30), True),
        (STOPS, at(10, 30), True),
        (DUPLICATES, at(10, 30), True),
        (SCHEDULE, at(10, 30), True),
    ]
    assert not any(event.late for event in handled[4:])
    assert set(states(marks).values()) == {TickState.DONE}


def test_missed_stop_checks_become_one_and_every_missed_schedule_is_emitted_late(marks: Runs) -> None:
    with pytest.raises(Halt):
        Process(marks, dies_in=at(10, 31)).live(at(9))
    handled = Process(marks).live(at(10, 46, 5))
    late = [event for event in handled if event.late]
    assert [(event.type, event.at) for event in late] == [
        (REFRESH, at(10, 46)),
        (STOPS, at(10, 46)),
        (DUPLICATES, at(10, 46)),
        (SCHEDULE, at(10, 35)),
        (SCHEDULE, at(10, 40)),
        (SCHEDULE, at(10, 45)),
    ]
    assert handled[len(late)].at == at(10, 47)


def test_the_one_late_check_of_a_type_is_the_newest_that_was_due(marks: Runs) -> None:
    with pytest.raises(Halt):
        Process(marks, dies_in=at(13)).live(at(9))
    late = [event for event in Process(marks).live(at(13, 3, 30)) if event.late]
    assert [(event.type, event.at) for event in late] == [
        (REFRESH, at(13, 2)),
        (STOPS, at(13, 3)),
        (DUPLICATES, at(13, 2)),
        (SCHEDULE, at(13)),
    ]


def test_the_marks_of_another_day_are_not_taken_for_this_one_s(marks: Runs) -> None:
    yesterday = Tick(at=at(15, 29) - timedelta(days=1), phase=MarketPhase.PRE_CLOSE)
    run_simulated(lambda clock: marks.mark_tick(yesterday, TickState.DONE), at(9))
    assert len(Process(marks).live(at(9))) == 78 + 375 + 345 + 360
