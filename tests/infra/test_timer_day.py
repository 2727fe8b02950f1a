"""Whole days of the timer, from 09:00 to the close: its machine as it is deployed, its functions as they are, no time.

The machine is interpreted (``step_functions``), the functions are asked on a simulated clock over a real table, and the
watchdog looks every minute, as its schedule has it do.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from infra.entry_points import SESSION, TIMER
from infra.timer_machine import EVENTS_OF_A_RETRY, HISTORY_QUOTA, LEAD_SECONDS, definition, events
from option_baskets.adapters.aws.bus import Part, part_of
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.facts import load
from option_baskets.cloud import Cloud, Settings
from option_baskets.domain.cadence import events_at, instants
from option_baskets.domain.events import Event, EventType, MarketPhase
from option_baskets.domain.facts import Facts, SessionKind, Span
from option_baskets.domain.session import IST, Session, session_on
from option_baskets.lambdas import session, timer, watchdog
from tests.infra.step_functions import (
    ACCOUNT,
    BUS,
    REGION,
    Ended,
    Function,
    State,
    StepFunctions,
    Throttled,
    in_process,
)

FACTS = load()
CADENCE = load_cadence()
SHARDS = 2
MINUTE = timedelta(minutes=1)
COLD_START = timedelta(milliseconds=400)
BEFORE_THE_AUCTION, NOW = date(2026, 1, 5), date(2026, 11, 23)
"""An ordinary day until 15:30, and one until 15:40."""
HOLIDAY, MUHURAT, RECOVERY = date(2026, 1, 26), date(2025, 10, 21), date(2024, 3, 2)
SCHEDULE = EventType.SCHEDULE_STRATEGY_TRIGGER
IN_ORDER = (
    MarketPhase.PRE_OPEN,
    MarketPhase.MARKET_OPEN,
    MarketPhase.EARLY_TRADING,
    MarketPhase.ACTIVE_TRADING,
    MarketPhase.LUNCH_BREAK,
    MarketPhase.AFTERNOON_TRADING,
    MarketPhase.PRE_CLOSE,
)
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"


class Platform(Cloud):
    """Over a table in a file, in simulated time, and with this process's AWS."""

    def __init__(self, table: Any, clock: Any, facts: Facts) -> None:
        super().__init__(Settings(shards=SHARDS, bus=BUS, market="stored"), table, clock, clock, None)
        self.facts = facts
        self.aws: StepFunctions

    async def service(self, name: str, endpoint: str | None = None) -> Service:
        return await self.aws.service(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    at: datetime
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong in a day."""

    bus_away: tuple[datetime, datetime] | None = None
    hung_from: datetime | None = None
    """The day's first execution is not woken any more."""
    second_start: datetime | None = None
    """Somebody starts the day's timer as the schedule did."""
    stuck: datetime | None = None
    """The turn that is called then never returns."""
    throttled: Callable[[datetime, int], bool] = lambda at, attempt: False
    """Whether there is no room for a turn, by the time and how many attempts in a row were refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is left of a day."""

    session: Session | None
    published: Sequence[Published]
    ended: Mapping[str, Ended]
    """Executions by name, those that did not hang."""
    started: Mapping[str, datetime]
    """When the watchdog started which."""
    wakes: Sequence[datetime]
    pauses: Sequence[float]
    refused: int
    """Starts by hand that were."""

    @property
    def events(self) -> list[Event]:
        """Those of everybody and of the first shard."""
        return [each.part.event for each in self.published if not each.part.shard]

    @property
    def counts(self) -> Counter[tuple[EventType, datetime]]:
        return Counter((event.type, event.at) for event in self.events)


class Day:
    """Plays one: the watchdog starts the timer at 09:00 and looks after it every minute until the day is over."""

    def __init__(self, clock: SimulatedClock, platform: Platform, day: date, faults: Faults) -> None:
        self._clock = clock
        self._platform = platform
        self._day = day
        self._faults = faults
        self._refused = 0
        self._is_stuck = False

    def functions(self) -> Mapping[str, Function]:
        return {
            "session": Function(work=self._session, limit=timedelta(seconds=SESSION.timeout)),
            "timer": Function(work=self._turn, limit=timedelta(seconds=TIMER.timeout)),
        }

    async def _session(self, state: State) -> State:
        await self._clock.pause(COLD_START)
        return await session.first(self._platform, date.fromisoformat(state["date"]))

    async def _turn(self, state: State) -> State:
        if self._faults.throttled(self._clock.now(), self._refused):
            self._refused += 1
            raise Throttled
        self._refused = 0
        await self._clock.pause(COLD_START)
        stuck = self._faults.stuck
        if stuck is not None and self._clock.now() >= stuck and not self._is_stuck:
            self._is_stuck = True
            await asyncio.Event().wait()
        return await timer.turned(self._platform, date.fromisoformat(state["date"]))

    def takes_events(self) -> bool:
        away = self._faults.bus_away
        return away is None or not away[0] <= self._clock.now() < away[1]

    def is_hung(self, execution: str) -> bool:
        since = self._faults.hung_from
        return execution == self._day.isoformat() and since is not None and self._clock.now() >= since

    async def played(self, aws: StepFunctions) -> Played:
        trading = session_on(self._platform.facts, self._day)
        last = (trading.close if trading else at(self._day, "09:00")) + 5 * MINUTE
        started: dict[str, datetime] = {}
        refused = 0
        minute = at(self._day, "09:00")
        while minute <= last:
            await self._clock.sleep_until(minute)
            if minute == self._faults.second_start:
                refused += not await watchdog.seen_to(self._platform, aws.machine, minute, is_start=True)
            name = await watchdog.seen_to(self._platform, aws.machine, minute, is_start=not started)
            if name:
                started[name] = minute
            minute += MINUTE
        hung = {self._day.isoformat()} if self._faults.hung_from else set()
        entries = zip(aws.taken, aws.published, strict=True)
        return Played(
            session=trading,
            published=[Published(at=when, part=part_of(json.loads(entry["Detail"]))) for when, entry in entries],
            ended={name: await aws.ended(name) for name in aws.executions if name not in hung},
            started=started,
            wakes=aws.wakes,
            pauses=aws.pauses,
            refused=refused,
        )


class Table(SqliteTable):
    """In the place of DynamoDB's, of which the platform keeps the connection."""

    dynamo = None


def at(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), IST)


def play(folder: Path, day: date, faults: Faults | None = None, facts: Facts = FACTS) -> Played:
    """A day with its faults."""
    folder.mkdir(exist_ok=True)

    async def main(clock: SimulatedClock) -> Played:
        table = Table.open(folder / "tables.sqlite", now=clock.now, threaded=False, durable=False)
        platform = Platform(table, clock, facts)
        it = Day(clock, platform, day, faults or Faults())
        platform.aws = aws = StepFunctions(
            clock, it.functions(), definition(session=f"{ARN}session", timer=f"{ARN}timer")
        )
        aws.takes_events, aws.is_hung = it.takes_events, it.is_hung
        hand_over(aws)
        return await it.played(aws)

    with in_process() as hand_over:
        return run_simulated(main, at(day, "08:59"))


def in_cadence(session: Session) -> Counter[tuple[EventType, datetime]]:
    return Counter(
        (event.type, event.at)
        for tick in instants(session, CADENCE.boundary)
        for event in events_at(CADENCE, session, tick)
    )


def of_minutes(played: Played, *minutes: str) -> Counter[tuple[EventType, datetime]]:
    """What may be left out at these minutes, because a newer one was published: all but triggers."""
    assert played.session is not None
    return Counter(
        (event.type, event.at)
        for minute in minutes
        for event in events_at(CADENCE, played.session, at(played.session.date, minute))
        if event.type is not SCHEDULE
    )


def dead_at_two(tmp_path: Path, until: str) -> Played:
    """The bus takes nothing from 14:00 until a time."""
    return play(tmp_path, MUHURAT, Faults(bus_away=(at(MUHURAT, "14:00"), at(MUHURAT, until))))


# ---------------------------------------------------------------- days on which nothing goes wrong


@pytest.mark.parametrize(
    ("day", "ticks", "phases"),
    [
        (
            BEFORE_THE_AUCTION,
            390,
            ["09:00", "09:15", "09:30", "10:30", "13:00", "14:00", "15:20"],
        ),
        (NOW, 400, ["09:00", "09:15", "09:30", "10:30", "13:00", "14:00", "15:30"]),
    ],
    ids=["until 15:30", "until 15:40"],
)
def test_an_ordinary_day_has_every_event_once_at_its_minute_and_in_its_phase(
    tmp_path: Path, day: date, ticks: int, phases: Sequence[str]
) -> None:
    played = play(tmp_path, day)
    assert played.session is not None
    assert played.counts == in_cadence(played.session)
    assert len({event.at for event in played.events}) == ticks
    late = {each.part.event.at for each in played.published if each.at != each.part.event.at}
    assert late == {played.session.starts}  # the timer itself begins with it
    assert {event.at for event in played.events if event.late} == late
    begins: dict[MarketPhase, datetime] = {}
    for event in played.events:
        begins.setdefault(event.phase, event.at)
    assert begins == dict(zip(IN_ORDER, (at(day, phase) for phase in phases), strict=True))
    assert played.started == {day.isoformat(): at(day, "09:00")}
    assert played.wakes == [
        each - timedelta(seconds=LEAD_SECONDS)
        for each in (*instants(played.session, CADENCE.boundary), played.session.close)
    ]
    (execution,) = played.ended.values()
    assert execution.status == "SUCCEEDED"
    assert len(execution.history) == events(ticks + 1)


def test_what_is_about_everybody_is_published_once_a_shard_and_prices_once(tmp_path: Path) -> None:
    played = play(tmp_path, MUHURAT)
    for event in played.events:
        shards = [each.part.shard for each in played.published if each.part.event == event]
        assert shards == ([None] if event.type is EventType.REFRESH_MARKET_DATA else list(range(SHARDS)))


def test_a_holiday_ends_in_the_first_state(tmp_path: Path) -> None:
    played = play(tmp_path, HOLIDAY)
    assert not played.published
    assert not played.wakes
    ((name, execution),) = played.ended.items()
    assert (name, execution.status) == ("2026-01-26", "SUCCEEDED")
    assert execution.history.count("TaskSucceeded") == 1


@pytest.mark.parametrize(
    ("day", "ticks", "first", "opens", "breaks"),
    [
        (MUHURAT, 75, "13:30", "13:45", None),
        (RECOVERY, 105 + 15, "09:00", "09:15", ("09:59", "11:30")),
    ],
    ids=["Muhurat", "two windows"],
)
def test_a_special_day_begins_a_quarter_before_its_open_and_has_no_tick_between_two_windows(
    tmp_path: Path, day: date, ticks: int, first: str, opens: str, breaks: tuple[str, str] | None
) -> None:
    played = play(tmp_path, day)
    assert played.session is not None
    assert played.counts == in_cadence(played.session)
    minutes = sorted({event.at for event in played.events})
    assert (len(minutes), minutes[0]) == (ticks, at(day, first))
    stops = [event.at for event in played.events if event.type is EventType.CHECK_STOP_LOSS]
    assert stops[0] == at(day, opens)
    gaps = [(one, two) for one, two in pairwise(minutes) if two - one != MINUTE]
    assert gaps == ([(at(day, breaks[0]), at(day, breaks[1]))] if breaks else [])
    assert list(played.started.values()) == [at(day, "09:00")]
    (execution,) = played.ended.values()
    assert len(execution.history) == events(ticks + 1)


@pytest.mark.skipif(os.environ.get("FULL") != "1", reason="FULL=1 plays it; its turns are those of other days")
def test_a_day_until_midnight_uses_a_third_of_the_history_an_execution_may_have(tmp_path: Path) -> None:
    long = replace(
        FACTS.special_sessions[date(2026, 3, 5)],
        date=NOW,
        kind=SessionKind.NORMAL,
        windows=(Span(start=time(9, 15), end=time(23, 55)),),
    )
    played = play(tmp_path, NOW, facts=replace(FACTS, special_sessions={NOW: long}))
    assert played.session is not None
    assert played.counts == in_cadence(played.session)
    (execution,) = played.ended.values()
    assert len(execution.history) == events(896) == 8075 < HISTORY_QUOTA / 3


# ---------------------------------------------------------------- timers that die


@pytest.mark.parametrize(
    ("back", "dead", "restarts"),
    [("14:00:30", ["14:00"], ["14:01"]), ("14:02:30", ["14:00", "14:01", "14:02"], ["14:01", "14:02", "14:03"])],
    ids=["for half a minute", "for two and a half"],
)
def test_a_timer_that_dies_is_followed_within_a_minute_by_one_that_makes_up_for_what_was_missed(
    tmp_path: Path, back: str, dead: Sequence[str], restarts: Sequence[str]
) -> None:
    played = dead_at_two(tmp_path, back)
    assert played.session is not None
    assert list(played.started.values()) == [at(MUHURAT, each) for each in ("09:00", *restarts)]
    assert [each.status for each in played.ended.values()] == ["FAILED"] * len(restarts) + ["SUCCEEDED"]
    assert [each.history.count("TaskFailed") for each in played.ended.values()] == [2] * len(restarts) + [0]
    # Of what was due while there was no bus, and at the minute of the restart, a type's newest is published: it sees
    # all that the others would have. Triggers all are: each plans entries that no other does.
    due = [at(MUHURAT, each) for each in (*dead, restarts[-1])]
    missed = [event for minute in due for event in events_at(CADENCE, played.session, minute)]
    newest = {event.type: event.at for event in missed}
    superseded = Counter(
        (event.type, event.at) for event in missed if event.type is not SCHEDULE and event.at < newest[event.type]
    )
    assert superseded
    assert played.counts == in_cadence(played.session) - superseded
    late = {(event.type, event.at) for event in played.events if event.late}
    assert late == {(event.type, event.at) for event in missed} - superseded.keys()


def test_a_timer_started_by_hand_beside_the_one_of_the_day_is_refused(tmp_path: Path) -> None:
    played = play(tmp_path, MUHURAT, Faults(second_start=at(MUHURAT, "14:00")))
    assert played.session is not None
    assert played.refused == 1
    assert len(played.ended) == 1
    assert played.counts == in_cadence(played.session)


def test_a_timer_that_is_not_woken_any_more_is_found_and_followed_though_it_still_runs(tmp_path: Path) -> None:
    played = play(tmp_path, MUHURAT, Faults(hung_from=at(MUHURAT, "13:59")))
    assert played.session is not None
    assert played.started == {"2025-10-21": at(MUHURAT, "09:00"), "2025-10-21-2": at(MUHURAT, "14:01")}
    assert {name: each.status for name, each in played.ended.items()} == {"2025-10-21-2": "SUCCEEDED"}
    assert not in_cadence(played.session) - played.counts - of_minutes(played, "14:00")
    assert max(played.counts.values()) == 1


def test_a_function_that_never_returns_is_ended_and_what_it_owed_is_emitted_by_the_timer_that_follows(
    tmp_path: Path,
) -> None:
    played = play(tmp_path, MUHURAT, Faults(stuck=at(MUHURAT, "13:59:55")))
    assert played.session is not None
    assert played.started["2025-10-21-2"] == at(MUHURAT, "14:01")
    assert [each.status for each in played.ended.values()] == ["SUCCEEDED", "SUCCEEDED"]
    assert played.ended["2025-10-21"].history.count("TaskFailed") == 1
    assert not in_cadence(played.session) - played.counts - of_minutes(played, "14:00")
    # Both go on, each publishes what is due; whoever handles an event twice does nothing the second time.
    assert set(played.counts.values()) == {1, 2}


# ---------------------------------------------------------------- no room for the function


def test_a_turn_for_which_there_is_no_room_is_tried_again_and_no_tick_is_lost_or_doubled(tmp_path: Path) -> None:
    def at_two(now: datetime, refused: int) -> bool:
        return at(MUHURAT, "13:59:50") < now < at(MUHURAT, "14:00:40") and refused < 3

    played = play(tmp_path, MUHURAT, Faults(throttled=at_two))
    assert played.session is not None
    assert played.counts == in_cadence(played.session)
    assert [seconds <= most for seconds, most in zip(played.pauses, (1, 2, 4), strict=True)] == [True] * 3
    (execution,) = played.ended.values()
    assert execution.status == "SUCCEEDED"
    assert len(execution.history) == events(76) + 3 * EVENTS_OF_A_RETRY


def test_a_day_on_which_every_turn_finds_no_room_at_first_is_whole_and_on_time(tmp_path: Path) -> None:
    played = play(tmp_path, MUHURAT, Faults(throttled=lambda now, refused: refused < 1))
    assert played.session is not None
    assert played.counts == in_cadence(played.session)
    assert not [each for each in played.published if each.at != each.part.event.at]
    (execution,) = played.ended.values()
    assert len(execution.history) == events(76, retries=1)


def test_a_timer_for_which_there_is_no_room_for_minutes_dies_and_is_followed_when_there_is(tmp_path: Path) -> None:
    def until_two_past(now: datetime, refused: int) -> bool:
        return at(MUHURAT, "13:59:50") < now < at(MUHURAT, "14:02:30")

    played = play(tmp_path, MUHURAT, Faults(throttled=until_two_past))
    assert played.session is not None
    assert [each.status for each in played.ended.values()].count("SUCCEEDED") == 1
    assert played.ended[list(played.ended)[-1]].status == "SUCCEEDED"
    triggers = {what: count for what, count in played.counts.items() if what[0] is SCHEDULE}
    assert triggers == {what: count for what, count in in_cadence(played.session).items() if what[0] is SCHEDULE}
    assert not in_cadence(played.session) - played.counts - of_minutes(played, "14:00", "14:01", "14:02")
