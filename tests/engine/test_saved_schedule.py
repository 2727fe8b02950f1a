"""What is saved while a day goes on: entries the trigger has already passed, and what is changed after the claim.

Triggers are at 09:15, 09:20 and so on, each for the five minutes after it. A save claims what lies before the end of
the newest one's.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from option_baskets.adapters.cadence import load_cadence
from option_baskets.domain.basket import Strategy, Weekday
from option_baskets.domain.cadence import newest_trigger, planned_until
from option_baskets.domain.facts import Span
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import session_of
from option_baskets.engine.claims import Claims
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.tiny_day import DAY, QUIET, STRADDLE, Act, Played, instant, play_day, record

SESSION = session_of(DAY, Span.parse("09:15-09:40"))
CADENCE = load_cadence()


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


async def strategy_of(machine: Embedded) -> Strategy:
    (strategy,) = await machine.books.strategies(LOCAL_USER)
    return strategy


async def claimed(machine: Embedded, user: str = LOCAL_USER) -> Run | None:
    """What whoever saves does after it."""
    claims = Claims(books=machine.books, queue=machine.queue, facts=machine.facts, market=machine.feed, session=SESSION)
    strategy = await strategy_of(machine)
    return await claims.claim_saved(user, strategy.id, cadence=CADENCE, now=machine.clock.now())


async def saved(machine: Embedded, **changes: object) -> Run | None:
    """The straddle with these changes, and what its save has claimed; ``entry`` and ``days`` are of its schedule."""
    strategy = await strategy_of(machine)
    if "entry" in changes:
        changes["entry"] = time.fromisoformat(str(changes["entry"]))
    scheduled = {key: changes.pop(key) for key in ("entry", "days") if key in changes}
    schedule = replace(strategy.schedule, **scheduled)  # type: ignore[arg-type]
    await machine.books.save_strategy(LOCAL_USER, replace(strategy, schedule=schedule, **changes))  # type: ignore[arg-type]
    return await claimed(machine)


def at(when: str, **changes: object) -> Act:
    """The straddle saved with these changes at an instant, by somebody who knows nothing of the engine."""

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(when))
        await saved(machine, **dict(changes))

    return act


def play(days: Path, tmp_path: Path, acts: Iterable[Act], *, entry: str = "09:20") -> Played:
    return play_day(days, tmp_path / "data", STRADDLE.replace("09:20", entry), acts=[*acts])


def entered(played: Played) -> str:
    assert played.run.status is RunStatus.CLOSED
    (moment,) = {f"{position.entry_time:%H:%M:%S}" for position in played.run.positions}
    assert len(played.book("tag")) == 4, "two sold once, and bought back"
    return moment


def skipped(played: Played) -> Reason | None:
    assert played.run.status is RunStatus.SKIPPED
    assert played.book("tag") == []
    return played.run.reason


# ---------------------------------------------------------------- claimed by the save


def test_an_entry_the_trigger_has_passed_is_made_when_the_save_comes_before_its_minute(
    days: Path, tmp_path: Path
) -> None:
    """It was for 09:35, and is saved for 09:18 at 09:16: the trigger of 09:15 has looked at that minute already."""
    assert entered(play(days, tmp_path, [at("09:16", entry="09:18")], entry="09:34")) == "09:18:00"


def test_a_save_some_seconds_before_a_trigger_claims_for_it_whatever_the_trigger_sees(
    days: Path, tmp_path: Path
) -> None:
    """An index may show it to the trigger of 09:20 too late."""
    found = []

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:19:40"))
        found.append(await saved(machine, entry="09:24"))

    assert entered(play(days, tmp_path, [act], entry="09:34")) == "09:24:00"
    (run,) = found
    assert run is not None
    assert (run.status, run.entry_at) == (RunStatus.SCHEDULED, instant("09:24"))


def test_what_a_trigger_will_see_is_left_to_it(days: Path, tmp_path: Path) -> None:
    found = []

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:17"))
        found.append(await saved(machine, entry="09:24"))

    assert entered(play(days, tmp_path, [act], entry="09:34")) == "09:24:00"
    assert found == [None]


def test_the_trigger_and_any_number_of_saves_claim_one_run(days: Path, tmp_path: Path) -> None:
    """Claimed by the trigger at 09:15, saved twice before its minute and once after it."""
    acts = [at("09:16"), at("09:17", name="renamed"), at("09:20:30")]
    assert entered(play(days, tmp_path, acts)) == "09:20:00"


def test_the_end_of_a_pause_brings_back_an_entry_the_trigger_left_out(days: Path, tmp_path: Path) -> None:
    async def pause(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:05"))
        await saved(machine, paused=True)

    assert entered(play(days, tmp_path, [pause, at("09:18", paused=False)])) == "09:20:00"


def test_an_allocation_that_comes_last_has_its_strategy_entered(days: Path, tmp_path: Path) -> None:
    async def act(machine: Embedded) -> None:
        (allocation,) = await machine.books.allocations(LOCAL_USER)
        await machine.clock.sleep_until(instant("09:05"))
        await machine.books.delete_allocation(LOCAL_USER, allocation.id)
        await machine.clock.sleep_until(instant("09:19:59"))
        await machine.books.save_allocation(LOCAL_USER, replace(allocation, version=0))
        assert await claimed(machine) is not None

    assert entered(play(days, tmp_path, [act])) == "09:20:00"


def test_a_day_it_is_not_due_on_stays_without_a_run(days: Path, tmp_path: Path) -> None:
    played = play_day(
        days,
        tmp_path / "data",
        STRADDLE.replace("09:20", "09:34"),
        acts=[at("09:16", entry="09:18", days=frozenset({Weekday.MON}))],
    )
    assert played.day.runs == ()
    assert played.book("tag") == []


@pytest.mark.parametrize("when", ["08:30", "09:40", "09:50"])
def test_outside_a_session_nothing_is_claimed(days: Path, tmp_path: Path, when: str) -> None:
    """Before its first trigger that one sees to it; after the close there is nothing to enter."""
    found = []

    async def act(machine: Embedded) -> None:
        if machine.clock.now() < instant(when):
            await machine.clock.sleep_until(instant(when))
        claims = Claims(
            books=machine.books, queue=machine.queue, facts=machine.facts, market=machine.feed, session=SESSION
        )
        strategy = await strategy_of(machine)
        found.append(await claims.claim_saved(LOCAL_USER, strategy.id, cadence=CADENCE, now=instant(when)))

    play(days, tmp_path, [act])
    assert found == [None]


# ---------------------------------------------------------------- changed after the claim


def test_an_entry_moved_earlier_after_the_claim_is_made_at_its_new_minute_and_once(days: Path, tmp_path: Path) -> None:
    assert entered(play(days, tmp_path, [at("09:16", entry="09:18")])) == "09:18:00"


def test_an_entry_moved_back_and_then_earlier_again_is_made_at_the_last_minute_it_was_given(
    days: Path, tmp_path: Path
) -> None:
    """At 09:20 it was put off to 09:33; the trigger of 09:20 has passed 09:24 when it is moved there."""
    assert entered(play(days, tmp_path, [at("09:18", entry="09:33"), at("09:21", entry="09:24")])) == "09:24:00"


def test_a_trigger_sees_to_it_too_that_a_claimed_entry_is_made_earlier(days: Path, tmp_path: Path) -> None:
    """Whoever saved it died before the claim: put off to 09:33 at 09:20, moved to 09:29, seen at 09:25."""

    async def moved_and_no_more(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:21"))
        strategy = await strategy_of(machine)
        schedule = replace(strategy.schedule, entry=time(9, 29))
        await machine.books.save_strategy(LOCAL_USER, replace(strategy, schedule=schedule))

    assert entered(play(days, tmp_path, [at("09:18", entry="09:33"), moved_and_no_more])) == "09:29:00"


@pytest.mark.parametrize(("when", "entry"), [("09:18", "09:16"), ("09:19:30", "09:19")])
def test_an_entry_moved_to_a_minute_that_is_over_is_not_made_today(
    days: Path, tmp_path: Path, when: str, entry: str
) -> None:
    """Not in the grace of that minute either."""
    assert skipped(play(days, tmp_path, [at(when, entry=entry)])) is Reason.LATE_ENTRY


def test_what_was_never_claimed_and_is_moved_to_a_minute_that_is_over_has_no_run(days: Path, tmp_path: Path) -> None:
    assert play(days, tmp_path, [at("09:17", entry="09:16")], entry="09:34").day.runs == ()


def test_a_pause_after_the_save_has_claimed_takes_effect_at_the_minute(days: Path, tmp_path: Path) -> None:
    acts = [at("09:16", entry="09:18"), at("09:17:59", paused=True)]
    assert skipped(play(days, tmp_path, acts, entry="09:34")) is Reason.PAUSED


def test_a_delete_after_the_save_has_claimed_takes_effect_at_the_minute(days: Path, tmp_path: Path) -> None:
    async def delete(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:17"))
        await machine.books.delete_strategy(LOCAL_USER, (await strategy_of(machine)).id)

    played = play(days, tmp_path, [at("09:16", entry="09:18"), delete], entry="09:34")
    assert skipped(played) is Reason.DELETED


def test_an_edit_after_the_save_has_claimed_is_what_is_entered(days: Path, tmp_path: Path) -> None:
    async def double(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:17"))
        (allocation,) = await machine.books.allocations(LOCAL_USER)
        await machine.books.save_allocation(LOCAL_USER, replace(allocation, units=3))

    played = play(days, tmp_path, [at("09:16", entry="09:18"), double], entry="09:34")
    assert {position.lots for position in played.run.positions} == {3}


# ---------------------------------------------------------------- the newest trigger


def test_the_newest_trigger_and_its_window_hold_every_instant_of_a_session() -> None:
    session = session_of(DAY, Span.parse("09:15-11:00"), Span.parse("12:30-13:30"))
    moment = session.starts
    while moment < session.close:
        trigger = newest_trigger(CADENCE, session, moment)
        assert trigger is not None
        assert trigger <= moment < planned_until(CADENCE, session, trigger)
        moment += timedelta(seconds=20)


def test_before_the_first_trigger_there_is_none() -> None:
    before: datetime = SESSION.starts - timedelta(seconds=1)
    assert newest_trigger(CADENCE, SESSION, before) is None
    assert newest_trigger(CADENCE, SESSION, SESSION.starts) == SESSION.starts
