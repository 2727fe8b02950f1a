"""Entries that come later: one batch an account, after what is being closed, unwound alone, all of it accounted for."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import LegPosition, RunStatus
from option_baskets.engine.rates import Rate
from option_baskets.ports import Put
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.small_market import chain
from tests.engine.test_day import FullOnce
from tests.engine.test_recovery import Killed, Life, assert_journal_is_the_exchanges_book, being_sent, dying, text
from tests.engine.tiny_day import (
    DAY,
    LOT,
    QUIET,
    SPREAD,
    STRADDLE,
    Played,
    Prices,
    call,
    instant,
    play_day,
    put,
    record,
    steady,
)

AGAIN = STRADDLE.replace(
    "stop = { percent = 25 }", 'stop = { percent = 25 }\n  on_stop = { reenter = "asap", times = 2 }', 1
)
"""The sold call is stopped at 25 % and sold again at once, twice at most; the put is not."""

STOPPED_ONCE: Prices = {**QUIET, call(): steady("100", at0922="130")}
"""The call closes at 130 in the bar that ends at 09:23; its price stays there."""

WAITING = SPREAD.partition('  [[strategies.allocations]]\n  account = "two"')[0].replace(
    'exit = "09:35"', 'exit = "09:35"\nwait = { points = 5 }'
)
"""The spread is sold once its net premium, 60 at 09:20, is 65 or more."""

RISING: Prices = {**QUIET, call(): steady("100", at0922="110")}
"""It is 70 in the bar that ends at 09:23."""

WOKEN = """
[basket]
name = "Woken"
capital = 500000
mode = "paper"
[[accounts]]
id = "one"
[[strategies]]
name = "woken"
underlying = "NIFTY"
entry = "09:20"
exit = "09:35"
  [[strategies.legs]]
  id = "put"
  side = "SELL"
  type = "PE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  on_stop = { wakes = ["wing", "short"] }
  [[strategies.legs]]
  id = "far"
  side = "BUY"
  type = "PE"
  strike = { rule = "atm", offset = 2 }
  [[strategies.legs]]
  id = "short"
  side = "SELL"
  type = "CE"
  lazy = true
  strike = { rule = "atm" }
  [[strategies.legs]]
  id = "wing"
  side = "BUY"
  type = "CE"
  lazy = true
  strike = { rule = "of_leg", leg = "short", points = 100 }
  [[strategies.allocations]]
  account = "one"
  lots = 2
"""
"""A sold put with its wing; its stop wakes a call spread."""

PUT_STOPPED: Prices = {**QUIET, put(): steady("80", at0922="110"), put(25900): steady("30")}


def position(played: Played, leg: str, number: int = 0, account: str = "one") -> LegPosition:
    return played.run.position((leg, account, number))


def refusing(quiet: Played, leg: str, number: int) -> Behaviour:
    """An account that refuses this one entry of a day and nothing else of it."""
    tags = {
        (order.intent.leg, order.intent.entry_number, str(order.intent.action)): order.intent.id
        for order in quiet.orders
    }
    for seed in range(100_000):
        behaviour = Behaviour(seed=seed, rejections=0.2)
        if {name for name, tag in tags.items() if behaviour.rejects(tag)} == {(leg, number, "ENTER")}:
            return behaviour
    raise AssertionError("no such seed")


# ---------------------------------------------------------------- when


def test_what_waits_is_entered_together_at_the_instant_it_is_due_hedges_first(tmp_path: Path) -> None:
    played = play_day(record(tmp_path / "days", RISING), tmp_path / "data", WAITING)
    assert [row[:2] for row in played.book("side, strike")][:2] == [("BUY", "26100"), ("SELL", "26000")]
    for leg, price in (("short", 110), ("wing", 40)):
        assert position(played, leg).entry_time == instant("09:23")
        assert position(played, leg).entry_price == price
    assert played.run.status is RunStatus.CLOSED
    assert played.run.pending == ()


def test_what_never_comes_by_the_exit_is_skipped_and_told(tmp_path: Path) -> None:
    played = play_day(record(tmp_path / "days", QUIET), tmp_path / "data", WAITING)
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.NOT_TRIGGERED)
    assert "65" in played.run.detail
    assert {(short.leg, short.quantity) for short in played.run.shortfalls} == {("short", 2 * LOT), ("wing", 2 * LOT)}
    assert [(each.reason, each.at) for each in played.day.refusals] == [(Reason.NOT_TRIGGERED, instant("09:35"))]
    assert played.book("tag") == []


def test_a_leg_stopped_in_the_bar_that_ends_at_t_is_entered_again_at_t(tmp_path: Path) -> None:
    played = play_day(record(tmp_path / "days", STOPPED_ONCE), tmp_path / "data", AGAIN)
    first, again = position(played, "1"), position(played, "1", 1)
    assert (first.exit_reason, first.exit_time) == (ExitReason.STOP, instant("09:23"))
    assert (again.entry_time, again.entry_price, again.lots) == (instant("09:23"), Decimal(130), 2)
    assert again.exit_reason is ExitReason.TIME


def test_an_entry_again_waits_until_the_exit_before_it_is_filled(tmp_path: Path) -> None:
    """The answer to every order takes two seconds: out at 09:23:02, in again at :04."""
    slow = {"one": Behaviour(latency=timedelta(seconds=2))}
    played = play_day(record(tmp_path / "days", STOPPED_ONCE), tmp_path / "data", AGAIN, behaviour=slow)
    placed = [
        (side, at[11:19]) for side, strike, type_, at in played.book("side, strike, type, placed_at") if type_ == "CE"
    ]
    assert placed[:3] == [("SELL", "09:20:00"), ("BUY", "09:23:00"), ("SELL", "09:23:02")]


def test_nothing_is_entered_again_at_the_exit(tmp_path: Path) -> None:
    """The stop fires in the bar that ends at 09:35, the exit."""
    prices: Prices = {**QUIET, call(): steady("100", at0934="130")}
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", AGAIN)
    assert position(played, "1").exit_reason is ExitReason.STOP
    assert len(played.run.positions) == 2


def test_a_pause_ends_what_waits(tmp_path: Path) -> None:
    async def pause(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:21:30"))
        (run,) = await machine.books.runs_on(LOCAL_USER, DAY)
        plan = await machine.books.plan(LOCAL_USER, run.strategy.id)
        assert plan is not None
        await machine.books.save_strategy(LOCAL_USER, replace(plan.strategy, paused=True))

    played = play_day(record(tmp_path / "days", RISING), tmp_path / "data", WAITING, acts=[pause])
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.PAUSED)
    assert {each.reason for each in played.day.refusals} == {Reason.PAUSED}
    assert played.book("tag") == []


def test_a_contract_chosen_when_it_is_due_has_to_have_a_fresh_price_then(tmp_path: Path) -> None:
    """The call at the money of 09:23 has its last price at 09:20."""
    prices: Prices = {**PUT_STOPPED, call(): steady("100", end="09:20")}
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", WOKEN)
    assert {(short.leg, short.reason) for short in played.run.shortfalls} == {
        ("short", Reason.STALE_QUOTE),
        ("wing", Reason.STALE_QUOTE),
    }
    assert {short.at for short in played.run.shortfalls} == {instant("09:23")}
    assert position(played, "far").exit_reason is ExitReason.TIME
    assert played.run.status is RunStatus.CLOSED


def test_what_cannot_be_sent_within_the_grace_is_not_begun(tmp_path: Path) -> None:
    """600 orders at 7 a second take 86 seconds."""
    sliced = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT, freeze_quantity=LOT)
    days = record(tmp_path / "days", RISING, listings=sliced)
    played = play_day(days, tmp_path / "data", WAITING.replace("lots = 2", "lots = 300"), rate=Rate())
    assert played.book("tag") == []
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.RATE_LIMIT)
    assert sum(short.quantity for short in played.run.shortfalls) == 600 * LOT


def test_many_orders_take_more_than_one_commit_and_are_each_sent_once(tmp_path: Path) -> None:
    sliced = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT, freeze_quantity=LOT)
    days = record(tmp_path / "days", RISING, listings=sliced)
    played = play_day(days, tmp_path / "data", WAITING.replace("lots = 2", "lots = 100"))
    assert len(set(played.book("tag"))) == len(played.book("tag")) == 400
    assert {position(played, leg).entered for leg in ("short", "wing")} == {100 * LOT}
    assert played.alerts == []


# ---------------------------------------------------------------- what fails


def test_a_refused_entry_again_touches_nothing_that_is_held(tmp_path: Path) -> None:
    days = record(tmp_path / "days", STOPPED_ONCE)
    quiet = play_day(days, tmp_path / "quiet", AGAIN)
    played = play_day(days, tmp_path / "data", AGAIN, behaviour={"one": refusing(quiet, "1", 1)})
    assert position(played, "1", 1).entered == 0
    assert position(played, "2").exit_reason is ExitReason.TIME
    (short,) = played.run.shortfalls
    assert (short.leg, short.quantity, short.reason) == ("1", 2 * LOT, Reason.BROKER_REJECTED)
    assert played.run.status is RunStatus.CLOSED


def test_a_batch_that_fails_unwinds_itself_and_nothing_else(tmp_path: Path) -> None:
    """The put's stop wakes a call spread; its short is refused, so its wing goes; the bought put stays."""
    days = record(tmp_path / "days", PUT_STOPPED)
    quiet = play_day(days, tmp_path / "quiet", WOKEN)
    assert {leg: position(quiet, leg).batch for leg in ("put", "far", "short", "wing")} == {
        "put": 0,
        "far": 0,
        "short": 1,
        "wing": 1,
    }
    played = play_day(days, tmp_path / "data", WOKEN, behaviour={"one": refusing(quiet, "short", 0)})
    wing = position(played, "wing")
    assert (wing.exit_reason, wing.exit_time) == (ExitReason.UNWIND, instant("09:23"))
    assert position(played, "short").entered == 0
    assert position(played, "far").exit_reason is ExitReason.TIME
    assert [short.leg for short in played.run.shortfalls] == ["short"]


def test_a_batch_whose_hedge_is_refused_sends_no_short(tmp_path: Path) -> None:
    days = record(tmp_path / "days", PUT_STOPPED)
    quiet = play_day(days, tmp_path / "quiet", WOKEN)
    played = play_day(days, tmp_path / "data", WOKEN, behaviour={"one": refusing(quiet, "wing", 0)})
    assert [row for row in played.book("side, strike, type") if row == ("SELL", "26000", "CE")] == []
    assert {short.leg for short in played.run.shortfalls} == {"short", "wing"}
    assert position(played, "far").exit_reason is ExitReason.TIME


def test_a_later_short_whose_cover_is_not_held_is_refused(tmp_path: Path) -> None:
    """The wing is refused at 09:20 and the strategy keeps what it gets; the short waits for its price and comes due."""
    days = record(tmp_path / "days", RISING)
    basket = WAITING.replace("wait = { points = 5 }\n", 'on_failure = "keep"\n').replace(
        'id = "short"', 'id = "short"\n  wait = { points = 5 }'
    )
    quiet = play_day(days, tmp_path / "quiet", basket)
    assert position(quiet, "short").entry_time == instant("09:23")
    played = play_day(days, tmp_path / "data", basket, behaviour={"one": refusing(quiet, "wing", 0)})
    assert {(short.leg, short.reason) for short in played.run.shortfalls} == {
        ("wing", Reason.BROKER_REJECTED),
        ("short", Reason.NOT_COVERED),
    }
    assert [side for (side,) in played.book("side")] == ["BUY"]


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_every_kind_never_double_a_later_order_and_never_leave_a_short_alone(
    tmp_path: Path, seed: int
) -> None:
    days = record(tmp_path / "days", PUT_STOPPED)
    faults = Behaviour(
        seed=seed,
        rejections=0.15,
        partial_fills=0.4,
        lost_answers=0.4,
        latency=timedelta(milliseconds=300),
        jitter=timedelta(seconds=1),
    )
    basket = WOKEN.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 180')
    played = play_day(days, tmp_path / "data", basket, behaviour={"one": faults})
    assert_journal_is_the_exchanges_book(played)
    assert played.run.is_flat
    held = {each.leg: each.entered for each in played.run.positions}
    if held.get("short"):
        assert held["wing"] == 2 * LOT
    missing = {short.leg: short.quantity for short in played.run.shortfalls}
    for each in played.run.positions:
        assert each.entered + missing.get(each.leg, 0) == 2 * LOT


# ---------------------------------------------------------------- killed in between


BOTH = (
    AGAIN.replace("09:20", "09:17")
    .replace("09:35", "09:22")
    .replace('exit = "09:22"', 'exit = "09:22"\nwait = { points = 5 }')
)
"""The straddle waits for 5 points more, the call is stopped and sold again at once."""


@pytest.fixture(scope="module")
def short_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prices: Prices = {
        "NIFTY": steady("26010", end="09:26"),
        call(): steady("100", end="09:26", at0917="105", at0919="140"),
        put(): steady("80", end="09:26"),
    }
    return record(tmp_path_factory.mktemp("days"), prices, hours="09:15-09:26")


@pytest.fixture(scope="module")
def whole(short_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play_day(short_days, tmp_path_factory.mktemp("whole"), BOTH)


def test_the_whole_day_waits_enters_stops_and_enters_again(whole: Played) -> None:
    assert position(whole, "1").entry_time == instant("09:18")
    assert (position(whole, "1").exit_reason, position(whole, "1").exit_time) == (ExitReason.STOP, instant("09:20"))
    assert position(whole, "1", 1).entry_time == instant("09:20")
    assert position(whole, "1", 1).exit_time == instant("09:22")
    assert {each.batch for each in whole.run.positions} == {1, 2}


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", range(4))
def test_killed_after_any_commit_a_later_entry_is_neither_lost_nor_doubled(
    short_days: Path, whole: Played, tmp_path: Path, part: int
) -> None:
    """The day ends as if nothing had happened, but for orders that were being sent: they are absent, and unwound."""
    survived = False
    for number in range(1 + part, 1000, 4):
        life = Life(number)
        data = tmp_path / str(number)
        try:
            play_day(short_days, data, BOTH, machine_of=dying(table=life))
            survived = True
            break
        except Killed:
            pass
        resumed = play_day(short_days, data, BOTH)
        assert_journal_is_the_exchanges_book(resumed)
        assert resumed.run.is_flat
        assert resumed.run.pending == ()
        assert resumed.run.status.is_over
        sending = being_sent(life, resumed)
        assert sending == sorted(o.intent.id for o in resumed.orders if o.state is OrderState.ABSENT)
        if not sending:
            assert text(resumed) == text(whole), f"after commit {number}"
    assert survived
    assert number >= 20


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_entry_that_was_due_before_the_crash_and_is_late_after_it_is_refused(
    short_days: Path, tmp_path: Path
) -> None:
    """Killed by the commit that makes it due, started again two minutes later with a grace of one."""
    basket = BOTH.replace('exit = "09:22"', 'exit = "09:24"')
    for number in range(1, 1000):
        data = tmp_path / str(number)
        try:
            play_day(short_days, data, basket, machine_of=dying(table=(life := Life(number))))
        except Killed:
            if any(b'"due":"2026' in write.item.body for write in life.last if isinstance(write, Put)):
                break
    resumed = play_day(short_days, data, basket, begin=instant("09:20:30"))
    assert {(short.leg, short.reason) for short in resumed.run.shortfalls} == {
        ("1", Reason.LATE_ENTRY),
        ("2", Reason.LATE_ENTRY),
    }
    assert (resumed.run.status, resumed.run.reason) == (RunStatus.SKIPPED, Reason.LATE_ENTRY)
    assert resumed.book("tag") == []


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_later_order_the_exchange_took_before_the_crash_is_found_in_its_book(
    short_days: Path, whole: Played, tmp_path: Path
) -> None:
    """The third order buys the stopped call back, the fourth sells it again; the two before went out together."""
    for number in (3, 4):
        data = tmp_path / str(number)
        with pytest.raises(Killed):
            play_day(short_days, data, BOTH, machine_of=dying(orders=Life(number)))
        resumed = play_day(short_days, data, BOTH)
        assert text(resumed) == text(whole), f"after order {number}"
        assert_journal_is_the_exchanges_book(resumed)


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_between_the_commits_of_a_large_later_entry_its_missing_orders_are_journaled(tmp_path: Path) -> None:
    """60 lots a leg, one an order: 120 entries; the run, its history and the first 90 are one commit."""
    sliced = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT, freeze_quantity=LOT)
    days = record(tmp_path / "days", RISING, listings=sliced)
    basket = WAITING.replace("lots = 2", "lots = 60")
    whole = play_day(days, tmp_path / "whole", basket)
    for number in range(1, 1000):
        life = Life(number)
        with pytest.raises(Killed):
            play_day(days, tmp_path / str(number), basket, machine_of=dying(table=life))
        if len(life.last) > 90:
            break
    resumed = play_day(days, tmp_path / str(number), basket)
    assert text(resumed) == text(whole)
    assert_journal_is_the_exchanges_book(resumed)


def test_whichever_commit_fails_once_a_day_with_later_entries_ends_flat_and_accounted_for(
    short_days: Path, tmp_path: Path
) -> None:
    tables: list[FullOnce] = []

    def machine(number: int) -> type[Embedded]:
        class Machine(Embedded):
            def __init__(self, **given: Any) -> None:
                super().__init__(**given)
                table: Any = FullOnce(self.table, number)
                tables.append(table)
                self.table, self.books = table, Books(table)

        return Machine

    number = 7
    while True:
        number += 1
        played = play_day(short_days, tmp_path / str(number), BOTH, machine_of=machine(number))
        if tables[-1].left > 0:
            break
        assert played.alerts, f"commit {number}"
        if not played.day.runs:
            continue
        assert played.run.is_flat, f"commit {number}"
        assert (played.run.status.is_over, played.run.pending) == (True, ()), f"commit {number}"
        book = {tag: (state, filled) for tag, state, filled in played.book("tag, state, filled")}
        assert book == {each.intent.id: (each.state, each.filled) for each in played.orders if each.broker_order_id}
        for each in played.run.positions:
            missing = sum(short.quantity for short in played.run.shortfalls if short.leg == each.leg)
            assert each.entered + missing >= 2 * LOT, f"commit {number}"
    assert number > 20


# ---------------------------------------------------------------- kept


KEEPING = STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\non_failure = "keep"')


def test_what_was_filled_stays_and_is_watched_where_the_strategy_keeps_it(tmp_path: Path) -> None:
    """The put is refused; the call is stopped at 125 all the same."""
    days = record(tmp_path / "days", STOPPED_ONCE)
    quiet = play_day(days, tmp_path / "quiet", KEEPING)
    played = play_day(days, tmp_path / "data", KEEPING, behaviour={"one": refusing(quiet, "2", 0)})
    assert (position(played, "1").exit_reason, position(played, "1").exit_price) == (ExitReason.STOP, Decimal(130))
    (short,) = played.run.shortfalls
    assert (short.leg, short.quantity, short.reason) == ("2", 2 * LOT, Reason.BROKER_REJECTED)
    assert played.run.status is RunStatus.CLOSED


CONDOR = (
    WOKEN.replace("  lazy = true\n", "")
    .replace('  on_stop = { wakes = ["wing", "short"] }\n', "")
    .replace('exit = "09:35"', 'exit = "09:35"\non_failure = "keep"')
)


def test_a_short_whose_cover_fails_is_not_sent_and_the_others_are(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {**QUIET, put(25900): steady("30")})
    quiet = play_day(days, tmp_path / "quiet", CONDOR)
    played = play_day(days, tmp_path / "data", CONDOR, behaviour={"one": refusing(quiet, "wing", 0)})
    held = {each.leg: each.entered for each in played.run.positions}
    assert held == {"put": 2 * LOT, "far": 2 * LOT, "short": 0, "wing": 0}
    assert {(short.leg, short.reason) for short in played.run.shortfalls} == {
        ("wing", Reason.BROKER_REJECTED),
        ("short", Reason.BROKER_REJECTED),
    }
    assert {each.exit_reason for each in played.run.positions if each.entered} == {ExitReason.TIME}


def test_where_everything_is_refused_nothing_is_kept(tmp_path: Path) -> None:
    days = record(tmp_path / "days", QUIET)
    played = play_day(days, tmp_path / "data", KEEPING, behaviour={"one": Behaviour(rejections=1)})
    assert (played.run.status, played.run.reason) == (RunStatus.FAILED, Reason.BROKER_REJECTED)
