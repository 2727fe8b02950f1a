"""A user's own daily loss, over every account and basket: set while a day goes on, fenced, and carried out.

A call is sold at 100 and a put at 80, 2 lots of 65 on account one and 1 lot on account two: 195 units. Rises of the
call from 100 to 140 lose 5,200 rupees on the first, 2,600 on the second, and 140 or so of charges together.
"""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.errors import Conflict
from option_baskets.domain.losses import UserLimits
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.report import as_json
from option_baskets.store import codec
from option_baskets.store.books import Books
from option_baskets.store.records import Occurrence, What
from option_baskets.wiring import LOCAL_USER, TRADING_FILE, Embedded
from tests.engine.test_limits import again, ended, fences, limited, run_of
from tests.engine.test_out_rules import PLAIN, TWO
from tests.engine.test_recovery import Killed, Life, being_sent, dying
from tests.engine.tiny_day import Act, Played, Prices, call, instant, play_day, put, record, steady

EVERY_SECOND = partial(Embedded, kills_every=timedelta(seconds=1))
RISING: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0923="140"), put(): steady("80")}


def limit(loss: str | None, when: str = "09:16", user: str = LOCAL_USER) -> Act:
    """The user sets a limit; nobody tells the engine."""

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(when))
        before = await machine.books.limits(user)
        limits = UserLimits(
            max_daily_loss=None if loss is None else Decimal(loss), version=before.version if before else 0
        )
        await machine.books.save_limits(user, limits, at=machine.clock.now(), actor=user)

    return act


def play(tmp_path: Path, basket: str, *acts: Act, prices: Prices = RISING) -> Played:
    days = record(tmp_path / "days", prices)
    return play_day(days, tmp_path / "data", basket, acts=acts, machine_of=EVERY_SECOND)


# ---------------------------------------------------------------- reached


def test_what_no_account_has_lost_alone_ends_the_day_for_all_of_them_together(tmp_path: Path) -> None:
    """7,800 and charges: more than 7,000, which neither account has lost."""
    played = play(tmp_path, TWO, limit("7000"))
    for account in ("one", "two"):
        for leg, price in (("1", "140.00"), ("2", "80.00")):
            assert ended(played, leg=leg, account=account) == f"user_stop 09:24 {price}"
    (fence,) = fences(played)
    assert fence.startswith("user None max_daily_loss 79")
    assert fence.endswith(" of 7000.00")
    assert played.alerts == ["user_stop"]
    (alert,) = played.day.alerts
    assert alert.message.startswith("everything together has lost 7,9")
    assert alert.message.endswith("the limit is 7,000.00: all of it is closed and not entered again today")


def test_a_limit_above_what_is_lost_ends_nothing(tmp_path: Path) -> None:
    played = play(tmp_path, TWO, limit("8100"))
    assert ended(played) == "time 09:35 140.00"
    assert fences(played) == []


def test_nothing_is_entered_again_that_day(tmp_path: Path) -> None:
    played = play(tmp_path, again(PLAIN, entry="09:30"), limit("5000"))
    assert ended(played) == "user_stop 09:24 140.00"
    second = run_of(played, "second")
    assert (second.status, second.reason) == (RunStatus.SKIPPED, Reason.USER_STOPPED)
    assert second.detail == "no more entries on one today: everything together has made its daily loss"


def test_it_is_named_before_the_account_the_basket_and_the_allocation(tmp_path: Path) -> None:
    loss = "max_daily_loss = 5000"
    played = play(tmp_path, limited(account=loss, basket=loss, allocation=loss), limit("5000"))
    assert ended(played) == "user_stop 09:24 140.00"
    assert [each.split()[0] for each in fences(played)] == ["account", "allocation", "basket", "user"]


def test_a_strategy_that_is_entered_again_after_its_stop_is_not_after_the_user_s(tmp_path: Path) -> None:
    restarts = PLAIN.replace('exit = "09:35"', 'exit = "09:35"\nstop = { rupees = 5000 }\nrestart = { on_stop = 2 }')
    played = play(tmp_path, restarts, limit("5000"))
    assert [each.run.cycle for each in played.day.runs] == [0]


def test_another_user_s_limit_is_none_of_ours(tmp_path: Path) -> None:
    async def asha(machine: Embedded) -> None:
        await machine.books.save_account("asha", BrokerAccount(id="one"))

    assert ended(play(tmp_path, TWO, asha, limit("1", user="asha"))) == "time 09:35 140.00"


# ---------------------------------------------------------------- set, changed and taken away


def test_a_limit_set_when_the_loss_is_there_holds_at_the_next_check(tmp_path: Path) -> None:
    assert ended(play(tmp_path, TWO, limit("7000", when="09:27:30"))) == "user_stop 09:28 140.00"


def test_a_limit_taken_away_before_it_is_reached_ends_nothing(tmp_path: Path) -> None:
    played = play(tmp_path, TWO, limit("7000", when="09:16"), limit(None, when="09:22:30"))
    assert ended(played) == "time 09:35 140.00"


def test_once_it_is_reached_a_higher_limit_lets_nothing_in_that_day(tmp_path: Path) -> None:
    played = play(tmp_path, again(PLAIN, entry="09:30"), limit("5000"), limit("50000", when="09:27"))
    assert run_of(played, "second").reason is Reason.USER_STOPPED


def test_a_limit_that_stood_before_the_day_holds_without_anybody_looking(tmp_path: Path) -> None:
    """No look at the switches: it is read when the day begins."""

    async def at_once(machine: Embedded) -> None:
        await machine.books.save_limits(
            LOCAL_USER, UserLimits(max_daily_loss=Decimal(7000)), at=machine.clock.now(), actor=LOCAL_USER
        )

    played = play_day(record(tmp_path / "days", RISING), tmp_path / "data", TWO, acts=[at_once])
    assert ended(played) == "user_stop 09:24 140.00"


def test_limits_have_versions_and_the_history_says_who_set_them(tmp_path: Path) -> None:
    found: list[Occurrence] = []

    async def act(machine: Embedded) -> None:
        books, at = machine.books, instant("09:16")
        await machine.clock.sleep_until(at)
        one = await books.save_limits(LOCAL_USER, UserLimits(max_daily_loss=Decimal(5)), at=at, actor="asha")
        assert one.version == 1
        two = await books.save_limits(LOCAL_USER, replace(one, max_daily_loss=None), at=at, actor="ravi")
        with pytest.raises(Conflict, match="stored version 2, edited version 1"):
            await books.save_limits(LOCAL_USER, one, at=at, actor="asha")
        assert await books.limits(LOCAL_USER) == two
        async for kind, item in books.history(LOCAL_USER, at, at):
            if kind == "EVENT":
                found.append(codec.decode(item.body, Occurrence))

    play(tmp_path, TWO, act)
    told = [each for each in found if each.what is What.LIMITS_SAVED]
    assert {(each.actor, each.detail) for each in told} == {("asha", "a daily loss of 5.00"), ("ravi", "no daily loss")}


# ---------------------------------------------------------------- restarts

FENCED = again(PLAIN, entry="09:21").replace("09:20", "09:17").replace("09:35", "09:22")
"""In at 09:17, at the limit at 09:19, fenced when the second is due at 09:21."""


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_after_any_commit_the_fence_stands_and_the_day_ends_the_same(tmp_path: Path) -> None:
    prices: Prices = {
        "NIFTY": steady("26010", end="09:24"),
        call(): steady("100", end="09:24", at0918="140"),
        put(): steady("80", end="09:24"),
    }
    days = record(tmp_path / "days", prices, hours="09:15-09:24")
    whole = play_day(days, with_a_limit(tmp_path / "whole"), FENCED)
    assert ended(whole) == "user_stop 09:19 140.00"
    assert run_of(whole, "second").reason is Reason.USER_STOPPED
    compared = 0
    for number in range(1, 1000):
        life, data = Life(number), with_a_limit(tmp_path / str(number))
        try:
            play_day(days, data, FENCED, machine_of=dying(table=life))
            break
        except Killed:
            pass
        resumed = play_day(days, data, FENCED)
        assert all(each.run.is_flat for each in resumed.day.runs)
        if not being_sent(life, resumed):
            compared += 1
            assert json.dumps(as_json([resumed.day])) == json.dumps(as_json([whole.day])), f"after commit {number}"
    assert compared >= 5


def with_a_limit(data: Path) -> Path:
    """A data folder in which the user has limited a day's loss to 5,000."""

    async def save() -> None:
        table = SqliteTable.open(data / TRADING_FILE, now=lambda: instant("08:00"), threaded=False)
        limits = UserLimits(max_daily_loss=Decimal(5000))
        await Books(table).save_limits(LOCAL_USER, limits, at=instant("08:00"), actor=LOCAL_USER)
        await table.close()

    data.mkdir(parents=True)
    asyncio.run(save())
    return data
