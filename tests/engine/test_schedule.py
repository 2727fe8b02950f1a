"""What is due when: claims, grace, edits after the claim, days, sessions and what lies outside them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.domain.basket import Strategy, Weekday
from option_baskets.domain.exit_rules import Distance
from option_baskets.domain.facts import SessionKind
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import RunStatus
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.small_market import chain
from tests.engine.tiny_day import LOT, QUIET, STRADDLE, Played, Prices, call, instant, play_day, put, record, steady

Edit = Callable[[Embedded, Strategy], Awaitable[object]]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


def edited(days: Path, data: Path, edit: Edit, when: str = "09:18") -> Played:
    """The straddle, changed after its run was claimed at 09:15."""

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(when))
        (strategy,) = await machine.books.strategies(LOCAL_USER)
        await edit(machine, strategy)

    return play_day(days, data, STRADDLE, acts=[act])


def skipped(played: Played) -> Reason | None:
    assert played.run.status is RunStatus.SKIPPED
    assert played.book("tag") == []
    assert [refusal.reason for refusal in played.day.refusals] == [played.run.reason]
    return played.run.reason


async def changed(machine: Embedded, strategy: Strategy, **changes: object) -> None:
    await machine.books.save_strategy(LOCAL_USER, replace(strategy, **changes))  # type: ignore[arg-type]


# ---------------------------------------------------------------- late


@pytest.mark.parametrize(("begin", "entered"), [("09:20:30", "09:20:30"), ("09:21:00", "09:21:00")])
def test_a_late_start_within_the_grace_still_enters(days: Path, tmp_path: Path, begin: str, entered: str) -> None:
    played = play_day(days, tmp_path / "data", begin=instant(begin))
    assert played.leg("1").entry_time == instant(entered)
    assert played.leg("1").exit_time == instant("09:35")


def test_after_the_grace_the_run_is_skipped_with_the_reason(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path / "data", begin=instant("09:21:01"))
    assert skipped(played) is Reason.LATE_ENTRY
    assert "due at 09:20:00, seen 61 s later; the grace is 60 s" in played.run.detail


def test_a_process_that_sleeps_over_the_whole_run_neither_enters_nor_exits(days: Path, tmp_path: Path) -> None:
    assert skipped(play_day(days, tmp_path / "data", begin=instant("09:36"))) is Reason.LATE_ENTRY


def test_an_exit_missed_while_nobody_was_there_is_made_up_at_once(days: Path, tmp_path: Path) -> None:
    """The process of the morning ends at 09:25; the next begins at 09:37, two minutes after the exit."""

    class Gone(SystemExit):
        pass

    async def leave(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25"))
        raise Gone

    with pytest.raises(Gone):
        play_day(days, tmp_path / "data", acts=[leave])
    played = play_day(days, tmp_path / "data", begin=instant("09:37"))
    assert played.leg("1").exit_time == instant("09:37")
    assert played.leg("1").exit_reason is ExitReason.TIME
    assert played.run.is_flat


# ---------------------------------------------------------------- changed after the claim


def test_a_pause_after_the_claim_stops_the_entry(days: Path, tmp_path: Path) -> None:
    played = edited(days, tmp_path / "data", lambda machine, plan: changed(machine, plan, paused=True))
    assert skipped(played) is Reason.PAUSED


def test_a_paused_basket_stops_it_too(days: Path, tmp_path: Path) -> None:
    async def pause(machine: Embedded, plan: Strategy) -> None:
        basket = await machine.books.basket(LOCAL_USER, plan.basket_id)
        assert basket is not None
        await machine.books.save_basket(LOCAL_USER, replace(basket, paused=True))

    assert skipped(edited(days, tmp_path / "data", pause)) is Reason.PAUSED


def test_a_deleted_strategy_is_not_entered(days: Path, tmp_path: Path) -> None:
    played = edited(days, tmp_path / "data", lambda machine, plan: machine.books.delete_strategy(LOCAL_USER, plan.id))
    assert skipped(played) is Reason.DELETED


def test_without_its_allocations_it_is_not_entered(days: Path, tmp_path: Path) -> None:
    async def take_away(machine: Embedded, plan: Strategy) -> None:
        for allocation in await machine.books.allocations(LOCAL_USER, plan.id):
            await machine.books.delete_allocation(LOCAL_USER, allocation.id)

    assert skipped(edited(days, tmp_path / "data", take_away)) is Reason.ACCOUNT_UNKNOWN


def test_edited_legs_and_lots_are_those_entered(days: Path, tmp_path: Path) -> None:
    async def edit(machine: Embedded, plan: Strategy) -> None:
        legs = tuple(replace(leg, stop=Distance(points=Decimal(5))) for leg in plan.legs)
        await changed(machine, plan, legs=legs[:1])
        (allocation,) = await machine.books.allocations(LOCAL_USER, plan.id)
        await machine.books.save_allocation(LOCAL_USER, replace(allocation, units=5))

    played = edited(days, tmp_path / "data", edit)
    assert [(position.leg, position.entered) for position in played.run.positions] == [("1", 5 * LOT)]
    assert played.run.strategy.legs[0].stop == Distance(points=Decimal(5))


def test_a_moved_exit_is_the_one_that_counts(days: Path, tmp_path: Path) -> None:
    def earlier(machine: Embedded, plan: Strategy) -> Awaitable[None]:
        return changed(machine, plan, schedule=replace(plan.schedule, exit=time(9, 30)))

    played = edited(days, tmp_path / "data", earlier)
    assert played.leg("1").exit_time == instant("09:30")


def test_a_moved_entry_is_entered_at_its_new_minute_and_once(days: Path, tmp_path: Path) -> None:
    def later(machine: Embedded, plan: Strategy) -> Awaitable[None]:
        return changed(machine, plan, schedule=replace(plan.schedule, entry=time(9, 28)))

    played = edited(days, tmp_path / "data", later)
    assert played.leg("1").entry_time == instant("09:28")
    assert len(played.book("tag")) == 4


def test_a_weekday_taken_away_stops_the_entry(days: Path, tmp_path: Path) -> None:
    def not_today(machine: Embedded, plan: Strategy) -> Awaitable[None]:
        return changed(machine, plan, schedule=replace(plan.schedule, days=(Weekday.FRI,)))

    assert skipped(edited(days, tmp_path / "data", not_today)) is Reason.NOT_DUE


def test_an_open_run_keeps_the_version_it_entered_with(days: Path, tmp_path: Path) -> None:
    def pause(machine: Embedded, plan: Strategy) -> Awaitable[None]:
        return changed(machine, plan, paused=True, schedule=replace(plan.schedule, exit=time(9, 30)))

    played = edited(days, tmp_path / "data", pause, when="09:25")
    assert played.leg("1").exit_time == instant("09:35")
    assert played.run.status is RunStatus.CLOSED


# ---------------------------------------------------------------- which days


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ('days = ["TUE"]', 1),
        ('days = ["MON", "WED"]', 0),
        ("dte = [0]", 1),
        ("dte = [1, 2]", 0),
        ('days = ["TUE"]\ndte = [1]', 0),
        ('expiry = { series = "monthly", offset = 0 }\ndte = [24]', 1),
    ],
)
def test_weekday_and_dte_must_both_hold(tmp_path: Path, line: str, runs: int) -> None:
    """24 November 2026 is a Tuesday and an expiry; 29 December lies 24 trading days on (Christmas is a holiday)."""
    month = date(2026, 12, 29)
    prices = {**QUIET, call(expiry=month): steady("500"), put(expiry=month): steady("400")}
    basket = STRADDLE.replace('exit = "09:35"', f'exit = "09:35"\n{line}')
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)
    assert len(played.day.runs) == runs
    assert len(played.book("tag")) == 4 * runs


@pytest.mark.parametrize("takes_part", [True, False])
def test_a_special_session_is_traded_only_by_those_who_ask_whatever_their_weekdays(
    tmp_path: Path, takes_part: bool
) -> None:
    """A Saturday with two windows."""
    saturday = date(2026, 11, 28)
    closes = {**steady("100", "09:15", "09:30"), **steady("100", "10:00", "10:30")}
    listed = chain("NIFTY", date(2026, 12, 1), range(25700, 26301, 50), lot_size=LOT)
    prices: Prices = {
        "NIFTY": dict.fromkeys(closes, "26010"),
        listed[12].contract: closes,
        listed[13].contract: closes,
    }
    days = record(
        tmp_path / "days",
        prices,
        hours="09:15-09:30,10:00-10:30",
        listings=listed,
        kind=SessionKind.FULL_SPECIAL,
        day=saturday,
    )
    basket = STRADDLE.replace("09:20", "10:01").replace("09:35", "10:20")
    basket = basket.replace('exit = "10:20"', f'exit = "10:20"\nspecial_sessions = {str(takes_part).lower()}')
    played = play_day(days, tmp_path / "data", basket)
    assert len(played.day.runs) == takes_part
    if takes_part:
        assert played.leg("1").entry_time == datetime.combine(saturday, time(10, 1), instant("10:01").tzinfo)


@pytest.mark.parametrize("entry", ["08:30", "09:00", "09:10", "09:40", "14:00"])
def test_an_entry_outside_the_session_is_skipped_and_recorded(days: Path, tmp_path: Path, entry: str) -> None:
    basket = STRADDLE.replace('entry = "09:20"', f'entry = "{entry}"').replace(
        'exit = "09:35"', 'exit = "15:00"\nspecial_sessions = true'
    )
    played = play_day(days, tmp_path / "data", basket)
    assert skipped(played) is Reason.SESSION_CLOSED
    assert f"its entry at {entry} is outside the session" in played.run.detail


def test_an_entry_in_the_pause_between_two_windows_is_skipped(tmp_path: Path) -> None:
    prices = {
        thing: {start: price for start, price in bars.items() if not "09:25" <= start < "09:30"}
        for thing, bars in QUIET.items()
    }
    days = record(tmp_path / "days", prices, hours="09:15-09:25,09:30-09:40")
    played = play_day(days, tmp_path / "data", STRADDLE.replace("09:20", "09:27"))
    assert skipped(played) is Reason.SESSION_CLOSED


def test_the_first_minute_of_a_second_window_is_entered(tmp_path: Path) -> None:
    prices = {
        thing: {start: price for start, price in bars.items() if not "09:25" <= start < "09:30"}
        for thing, bars in QUIET.items()
    }
    days = record(tmp_path / "days", prices, hours="09:15-09:25,09:30-09:40")
    basket = STRADDLE.replace("09:20", "09:31")
    assert play_day(days, tmp_path / "data", basket).leg("1").entry_time == instant("09:31")


def test_at_the_open_itself_no_price_is_known_yet(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path / "data", STRADDLE.replace("09:20", "09:15"))
    assert skipped(played) is Reason.NO_REFERENCE_PRICE


def test_a_run_is_claimed_once_and_its_exit_is_at_its_minute(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path / "data")
    assert [record.run.cycle for record in played.day.runs] == [0]
    assert {order.intent.decided_at for order in played.orders} == {instant("09:20"), instant("09:35")}
    assert played.leg("1").exit_time == instant("09:20") + timedelta(minutes=15)
