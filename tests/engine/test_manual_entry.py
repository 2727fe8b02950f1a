"""Entered by hand: at once, whatever the schedule says, by the rules and limits of every entry; and once a request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from option_baskets.domain.basket import BrokerAccount, Weekday
from option_baskets.domain.errors import Conflict, NotFound, Refused
from option_baskets.domain.facts import Span
from option_baskets.domain.ids import run_id
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.domain.losses import Over, Rule
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Asked, Run
from option_baskets.domain.session import Session, session_of
from option_baskets.engine.claims import Claims
from option_baskets.engine.manual import enter_now
from option_baskets.store import codec
from option_baskets.store.records import Fence, Leave, Occurrence, What
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.tiny_day import (
    DAY,
    QUIET,
    STRADDLE,
    Act,
    Played,
    Prices,
    call,
    instant,
    play_day,
    put,
    record,
    steady,
)

SESSION = session_of(DAY, Span.parse("09:15-09:40"))
EVERY_SECOND = partial(Embedded, kills_every=timedelta(seconds=1))
LATER = STRADDLE.replace('entry = "09:20"', 'entry = "09:33"')
"""Due at 09:33, which the trigger of 09:30 claims."""


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


async def by_hand(
    machine: Embedded,
    *,
    key: str = "",
    another: bool = False,
    session: Session | None = SESSION,
    user: str = LOCAL_USER,
) -> Run:
    """What somebody asks for who knows nothing of the engine."""
    claims = Claims(books=machine.books, queue=machine.queue, facts=machine.facts, market=machine.feed, session=session)
    (strategy,) = await machine.books.strategies(LOCAL_USER)
    now = machine.clock.now()
    return await enter_now(claims, user, strategy.id, at=now, actor="asha", key=key, another=another)


Deed = Callable[[Embedded], Awaitable[object]]


def at(when: str, deed: Deed) -> Act:
    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(when))
        await deed(machine)

    return act


def refused(when: str, caught: list[str], session: Session | None = SESSION) -> Act:
    """Asks at an instant, and is told why not."""

    async def deed(machine: Embedded) -> None:
        with pytest.raises((Refused, Conflict, NotFound)) as error:
            await by_hand(machine, session=session)
        found = error.value
        caught.append(f"{found.reason}: {found}" if isinstance(found, Refused) else str(found))

    return at(when, deed)


def play(days: Path, tmp_path: Path, *acts: Act, basket: str = LATER) -> Played:
    return play_day(days, tmp_path / "data", basket, acts=acts, machine_of=EVERY_SECOND)


def told(played: Played) -> list[str]:
    """Of each run: its cycle, when it was in and out, and why it was left."""
    lines = []
    for each in played.day.runs:
        run = each.run
        if not run.positions:
            lines.append(f"{run.cycle} {run.status} {run.reason}")
            continue
        leg = run.positions[0]
        assert leg.entry_time is not None
        assert leg.exit_time is not None
        lines.append(f"{run.cycle} {leg.entry_time:%H:%M:%S} {leg.exit_time:%H:%M:%S} {leg.exit_reason}")
    return lines


# ---------------------------------------------------------------- entered


def test_it_is_entered_at_once_and_left_at_its_exit(days: Path, tmp_path: Path) -> None:
    played = play(days, tmp_path, at("09:22:17", by_hand))
    assert told(played) == ["0 09:22:17 09:35:00 time"]
    assert {position.entry_price for position in played.run.positions} == {Decimal(100), Decimal(80)}
    assert played.run.asked == Asked(by="asha")


def test_entered_before_its_minute_it_is_not_entered_again_then(days: Path, tmp_path: Path) -> None:
    """It was the day's run: the trigger of 09:30 finds it claimed."""
    assert len(play(days, tmp_path, at("09:17", by_hand)).book("tag")) == 4


def test_neither_weekday_nor_minute_is_asked(days: Path, tmp_path: Path) -> None:
    basket = STRADDLE.replace('entry = "09:20"', 'entry = "09:16"\ndays = ["MON"]')
    assert told(play(days, tmp_path, at("09:22", by_hand), basket=basket)) == ["0 09:22:00 09:35:00 time"]


def test_the_history_says_who_entered_it(days: Path, tmp_path: Path) -> None:
    found: list[Occurrence] = []

    async def read(machine: Embedded) -> None:
        async for kind, item in machine.books.history(LOCAL_USER, instant("09:22"), instant("09:23")):
            if kind == "EVENT":
                found.append(codec.decode(item.body, Occurrence))

    play(days, tmp_path, at("09:22", by_hand), at("09:24", read))
    assert [(each.cause, each.actor) for each in found if each.what is What.SCHEDULED] == [("manual", "asha")]


def test_edits_between_the_request_and_its_entry_do_not_bring_its_minute_back(days: Path, tmp_path: Path) -> None:
    async def ask_and_edit(machine: Embedded) -> None:
        (strategy,) = await machine.books.strategies(LOCAL_USER)
        await by_hand(machine)
        schedule = replace(strategy.schedule, days=(Weekday.TUE,))
        await machine.books.save_strategy(LOCAL_USER, replace(strategy, schedule=schedule, name="renamed"))

    assert told(play(days, tmp_path, at("09:22", ask_and_edit))) == ["0 09:22:00 09:35:00 time"]


def test_limits_are_asked_where_it_is_entered(days: Path, tmp_path: Path) -> None:
    basket = LATER.replace("  lots = 2\n", "  lots = 2\n  limits = { max_position_value = 1 }\n")
    played = play(days, tmp_path, at("09:22", by_hand), basket=basket)
    assert told(played) == ["0 SKIPPED max_position_value"]
    assert played.book("tag") == []


def test_left_by_hand_it_may_be_entered_again(days: Path, tmp_path: Path) -> None:
    async def leave(machine: Embedded) -> None:
        (strategy,) = await machine.books.strategies(LOCAL_USER)
        now = machine.clock.now()
        await machine.books.save_leave(Leave(user_id=LOCAL_USER, strategy_id=strategy.id, at=now, actor="asha"))

    played = play(days, tmp_path, at("09:22", by_hand), at("09:25:30", leave), at("09:28", by_hand))
    first, second = told(played)
    assert first.startswith("0 09:22:00 09:25:3")
    assert first.endswith(" manual")
    assert second == "100 09:28:00 09:35:00 time"


# ---------------------------------------------------------------- once, and beside others


def test_while_a_run_of_it_is_open_another_has_to_be_asked_for(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []
    another = partial(by_hand, another=True)
    acts = [at("09:22", by_hand), refused("09:24", caught), at("09:25", another), at("09:26", another)]
    played = play(days, tmp_path, *acts)
    assert caught == [
        "straddle has a run open since 24-Nov-2026 09:22; exit it first, or ask for another run beside it"
    ]
    assert told(played) == [
        "0 09:22:00 09:35:00 time",
        "100 09:25:00 09:35:00 time",
        "200 09:26:00 09:35:00 time",
    ]


def test_one_that_is_due_within_minutes_counts_as_open(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []
    played = play(days, tmp_path, refused("09:31", caught), at("09:32", partial(by_hand, another=True)))
    assert caught == ["straddle enters at 09:33; wait for it, or ask for another run beside it"]
    assert told(played) == ["0 09:33:00 09:35:00 time", "100 09:32:00 09:35:00 time"]


def test_one_request_is_one_run_however_often_it_is_sent(days: Path, tmp_path: Path) -> None:
    """At once, later, and when the run is over; a request with another key meets an open run."""
    found: list[Run] = []

    async def thrice(machine: Embedded) -> None:
        found.extend(await asyncio.gather(*(by_hand(machine, key="k1") for _ in range(3))))
        with pytest.raises(Conflict):
            await by_hand(machine, key="k2")

    async def later(machine: Embedded) -> None:
        found.append(await by_hand(machine, key="k1"))

    played = play(days, tmp_path, at("09:22", thrice), at("09:24", later), at("09:36", later))
    assert {run.id for run in found} == {played.run.id}
    assert len(played.book("tag")) == 4


def test_two_at_once_without_keys_are_one_run_and_a_conflict(days: Path, tmp_path: Path) -> None:
    ended: list[object] = []

    async def both(machine: Embedded) -> None:
        ended.extend(await asyncio.gather(by_hand(machine), by_hand(machine), return_exceptions=True))

    played = play(days, tmp_path, at("09:22", both))
    assert sorted(type(each).__name__ for each in ended) == ["Conflict", "Run"]
    assert len(played.book("tag")) == 4


FALLING: Prices = {
    "NIFTY": steady("26010"),
    call(): steady("100", at0922="140", at0924="100", at0927="140"),
    put(): steady("80"),
}
RESTARTING = STRADDLE.replace("  stop = { percent = 25 }\n", "").replace(
    'exit = "09:35"', 'exit = "09:35"\nstop = { rupees = 5000 }\nrestart = { on_stop = 2 }'
)


def test_restarts_of_the_day_s_run_and_of_one_by_hand_do_not_meet(tmp_path: Path) -> None:
    """Both lose 5,200 at 09:28: cycle 0 was restarted once at 09:23, so its next is 2; that of 100 is 101."""
    days = record(tmp_path / "days", FALLING)
    played = play(days, tmp_path, at("09:25", partial(by_hand, another=True)), basket=RESTARTING)
    assert [each.run.cycle for each in played.day.runs] == [0, 1, 100, 101]
    by_cycle = {each.run.cycle: each.run for each in played.day.runs}
    assert by_cycle[0].followed_by == run_id(DAY, by_cycle[0].strategy.id, 1)
    assert by_cycle[100].followed_by == run_id(DAY, by_cycle[0].strategy.id, 101)
    assert (by_cycle[100].asked, by_cycle[101].asked) == (Asked(by="asha"), None)
    assert all(each.run.is_flat for each in played.day.runs)


# ---------------------------------------------------------------- kept out


@pytest.mark.parametrize(
    ("when", "session", "opens"),
    [
        ("09:05", SESSION, "09:15 on 24-Nov-2026"),
        ("09:39:30", None, "09:15 on 25-Nov-2026"),
    ],
)
def test_outside_trading_hours_it_is_refused_and_told_when_it_opens(
    days: Path, tmp_path: Path, when: str, session: Session | None, opens: str
) -> None:
    caught: list[str] = []
    play(days, tmp_path, refused(when, caught, session))
    assert caught == [f"session_closed: nothing is traded at {when[:5]} on 24-Nov-2026; the market opens at {opens}"]


def test_between_two_windows_it_is_told_when_the_second_opens(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []
    two = session_of(DAY, Span.parse("09:15-09:20"), Span.parse("09:30-09:40"))
    play(days, tmp_path, refused("09:25", caught, two))
    assert caught[0].endswith("the market opens at 09:30 on 24-Nov-2026")


def test_in_a_halt_it_is_refused(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []
    halted = replace(SESSION, halts=session_of(DAY, Span.parse("09:21-09:25")).windows)
    play(days, tmp_path, refused("09:22", caught, halted))
    assert caught == ["market_halted: trading is halted from 09:21 to 09:25; nothing is entered"]


def test_from_its_exit_on_it_is_refused(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []
    played = play(days, tmp_path, refused("09:36", caught))
    assert caught == ["at_or_after_exit: the exit of straddle at 09:35 has come; move it first"]
    assert [each.run.cycle for each in played.day.runs] == [0]


@pytest.mark.parametrize("what", ["strategy", "basket"])
def test_paused_it_is_refused_until_it_is_resumed(days: Path, tmp_path: Path, what: str) -> None:
    caught: list[str] = []

    async def pause(machine: Embedded) -> None:
        books = machine.books
        (basket,), (strategy,) = await books.baskets(LOCAL_USER), await books.strategies(LOCAL_USER)
        if what == "basket":
            await books.save_basket(LOCAL_USER, replace(basket, paused=True))
        else:
            await books.save_strategy(LOCAL_USER, replace(strategy, paused=True))

    play(days, tmp_path, at("09:16", pause), refused("09:22", caught))
    name = "straddle" if what == "strategy" else "basket Straddle"
    assert caught == [f"paused: {name} is paused; resume it first"]


@pytest.mark.parametrize("scope", KillScope)
def test_killed_it_is_refused_until_it_is_armed(days: Path, tmp_path: Path, scope: KillScope) -> None:
    caught: list[str] = []
    entered: list[Run] = []

    async def deed(machine: Embedded) -> None:
        books = machine.books
        (basket,), (strategy,) = await books.baskets(LOCAL_USER), await books.strategies(LOCAL_USER)
        names = {KillScope.ACCOUNT: "one", KillScope.BASKET: basket.id, KillScope.STRATEGY: strategy.id}
        subject: Killed = (scope, names.get(scope, ""))
        thrown = Kill(user_id=LOCAL_USER, subject=subject, at=instant("09:16"), actor="ravi", reason="why not")
        await books.save_kill(thrown)
        with pytest.raises(Refused, match="was killed by ravi: why not; arm it first") as error:
            await by_hand(machine)
        caught.append(error.value.reason)
        await books.delete_kill(thrown, at=instant("09:22"), actor="ravi")
        await machine.clock.sleep_until(instant("09:24"))
        entered.append(await by_hand(machine))

    play(days, tmp_path, at("09:22", deed))
    assert caught == [Reason.KILLED]
    assert len(entered) == 1


def test_where_one_of_its_accounts_may_enter_that_one_does(days: Path, tmp_path: Path) -> None:
    async def kill_one(machine: Embedded) -> None:
        books = machine.books
        (allocation,) = await books.allocations(LOCAL_USER)
        await books.save_account(LOCAL_USER, BrokerAccount(id="two"))
        other = replace(allocation, id=f"{allocation.strategy_id}.two", account="two", version=0)
        await books.save_allocation(LOCAL_USER, other)
        subject: Killed = (KillScope.ACCOUNT, "one")
        await books.save_kill(Kill(user_id=LOCAL_USER, subject=subject, at=instant("09:16"), actor="ravi"))

    played = play(days, tmp_path, at("09:16", kill_one), at("09:22", by_hand))
    assert {position.account for position in played.run.positions} == {"two"}
    assert {short.reason for short in played.run.shortfalls} == {Reason.KILLED}


def test_fenced_by_a_limit_of_the_day_it_is_refused(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []

    async def fence(machine: Embedded) -> None:
        fence = Fence(
            user_id=LOCAL_USER,
            day=DAY,
            subject=(Over.ACCOUNT, "one", ""),
            rule=Rule.MAX_DAILY_LOSS,
            at=instant("09:16"),
            loss=Decimal(2),
            limit=Decimal(1),
        )
        await machine.books.commit(machine.books.put_fence(fence))

    play(days, tmp_path, at("09:16", fence), refused("09:22", caught))
    assert caught == ["account_stopped: account_stop: the limit of the day is reached, nothing is entered on one today"]


def test_without_an_allocation_it_is_refused(days: Path, tmp_path: Path) -> None:
    caught: list[str] = []

    async def take_away(machine: Embedded) -> None:
        (allocation,) = await machine.books.allocations(LOCAL_USER)
        await machine.books.delete_allocation(LOCAL_USER, allocation.id)

    play(days, tmp_path, at("09:16", take_away), refused("09:22", caught))
    assert caught == ["account_unknown: no lots of straddle are allocated to any account"]


def test_another_user_s_strategy_does_not_exist(days: Path, tmp_path: Path) -> None:
    async def deed(machine: Embedded) -> None:
        with pytest.raises(NotFound):
            await by_hand(machine, user="asha")

        assert await machine.books.runs_on("asha", DAY) == []

    play(days, tmp_path, at("09:22", deed))
