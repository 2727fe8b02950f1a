"""Accounts that are saved, edited and removed while a day goes on; nobody tells the engine but by the store."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.contract import Side
from option_baskets.domain.kill import Kill, KillScope
from option_baskets.domain.losses import Over, Rule
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.day import TradingDay
from option_baskets.engine.rates import Rate
from option_baskets.store import codec
from option_baskets.store.records import Fence, Occurrence, What
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, Embedded
from tests.engine.test_saved_schedule import claimed
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

EVERY_SECOND = partial(Embedded, kills_every=timedelta(seconds=1))
"""A machine that looks for what others write."""


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


async def added(machine: Embedded, account: BrokerAccount, lots: int = 1) -> None:
    """The account, and so many lots of the straddle on it."""
    await machine.books.save_account(LOCAL_USER, account)
    (allocation, *_) = await machine.books.allocations(LOCAL_USER)
    other = replace(allocation, id=f"{allocation.strategy_id}.{account.id}", account=account.id, units=lots, version=0)
    await machine.books.save_allocation(LOCAL_USER, other)


def adds(when: str, name: str = "two", lots: int = 1, **changes: object) -> Act:
    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(when))
        await added(machine, BrokerAccount(id=name, **changes), lots)  # type: ignore[arg-type]

    return act


def sold(played: Played, account: str) -> list[tuple[str, int]]:
    """(When, units) of what the account sold to open, by the exchange's book."""
    rows = played.book("account, side, placed_at, filled")
    return [(at[11:19], filled) for name, side, at, filled in rows if (name, side) == (account, "SELL")]


# ---------------------------------------------------------------- saved


@pytest.mark.parametrize("when", ["09:10", "09:16", "09:19:59"])
def test_an_account_saved_in_the_day_trades_at_the_next_entry(days: Path, tmp_path: Path, when: str) -> None:
    """Before its strategy is claimed, after it, and a second before it enters; nothing but the entry looks for it."""
    played = play_day(days, tmp_path / "data", acts=[adds(when)])
    assert sold(played, "one") == [("09:20:00", 130)] * 2
    assert sold(played, "two") == [("09:20:00", 65)] * 2
    assert played.leg("1", "two").exit_time == instant("09:35")
    assert played.run.shortfalls == ()


def test_what_it_reports_of_its_own_accord_is_heard(days: Path, tmp_path: Path) -> None:
    """Its answers are lost and its book is not read before 09:21: the fills come as updates, at once."""
    lost = {"two": Behaviour(lost_answers=1.0, slow_book=timedelta(seconds=40))}
    played = play_day(days, tmp_path / "data", acts=[adds("09:19")], behaviour=lost)
    assert played.leg("1", "two").entry_time == instant("09:20")
    entries = [order for order in played.orders if order.intent.account == "two" and order.intent.side is Side.SELL]
    assert {order.updated_at for order in entries} == {instant("09:20")}


def test_its_book_is_compared_with_ours_every_minute_from_then_on(days: Path, tmp_path: Path) -> None:
    standings = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:30:30"))
        standings.append({account: standing.read_at for (_, account), standing in DAYS[-1].trading.standings.items()})

    play_day(days, tmp_path / "data", acts=[adds("09:19"), look], machine_of=Watched)
    ((_, read_at),) = [each for each in standings[0].items() if each[0] == "two"]
    assert read_at is not None
    assert read_at >= instant("09:30")


DAYS: list[TradingDay] = []


class Watched(Embedded):
    """A machine whose day a test can look at."""

    async def trading_day(self, *args: object) -> TradingDay:
        DAYS.append(await super().trading_day(*args))  # type: ignore[arg-type]
        return DAYS[-1]


def test_a_user_who_comes_in_the_middle_of_the_day_trades_beside_the_others(days: Path, tmp_path: Path) -> None:
    """Basket, strategy, account and allocation at 09:17, for 09:19; nobody but the local user was there before."""
    found: list[Run] = []
    told: list[Occurrence] = []

    async def asha(machine: Embedded) -> None:
        books = machine.books
        await machine.clock.sleep_until(instant("09:17"))
        (basket,), (strategy,) = await books.baskets(LOCAL_USER), await books.strategies(LOCAL_USER)
        (allocation,) = await books.allocations(LOCAL_USER)
        await books.save_basket("asha", replace(basket, version=0))
        schedule = replace(strategy.schedule, entry=time(9, 19))
        await books.save_strategy("asha", replace(strategy, schedule=schedule, version=0))
        await books.save_account("asha", BrokerAccount(id="one"))
        await books.save_allocation("asha", replace(allocation, version=0))
        assert await claimed(machine, "asha") is not None
        await machine.clock.sleep_until(instant("09:36"))
        found.extend(await books.runs_on("asha", DAY))
        async for kind, item in books.history("asha", instant("09:00"), instant("09:36")):
            if kind == "EVENT":
                told.append(codec.decode(item.body, Occurrence))

    played = play_day(days, tmp_path / "data", acts=[asha])
    (run,) = found
    assert run.status is RunStatus.CLOSED
    assert {position.entry_time for position in run.positions} == {instant("09:19")}
    assert [each.at for each in told if each.what is What.STARTED] == [instant("09:19")]
    assert {position.exit_time for position in run.positions} == {instant("09:35")}
    assert played.leg("1").entry_time == instant("09:20")
    connection = sqlite3.connect(played.data / PAPER_FILE)
    assert connection.execute("SELECT user, COUNT(*) FROM orders GROUP BY user ORDER BY user").fetchall() == [
        ("asha", 4),
        ("local", 4),
    ]


def test_the_kill_switch_reaches_an_account_that_came_later(days: Path, tmp_path: Path) -> None:
    async def kill(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25:10"))
        subject = (KillScope.ACCOUNT, "two")
        await machine.books.save_kill(Kill(user_id=LOCAL_USER, subject=subject, at=instant("09:25:10"), actor="asha"))

    played = play_day(days, tmp_path / "data", acts=[adds("09:19"), kill], machine_of=EVERY_SECOND)
    assert {played.leg(leg, "two").exit_reason for leg in ("1", "2")} == {ExitReason.KILL}
    assert {played.leg(leg, "one").exit_reason for leg in ("1", "2")} == {ExitReason.TIME}


def test_a_fence_that_was_raised_before_the_account_was_there_holds(days: Path, tmp_path: Path) -> None:
    """As after its removal: it made its loss, went, and comes back under its name."""

    async def fence(machine: Embedded) -> None:
        fence = Fence(
            user_id=LOCAL_USER,
            day=DAY,
            subject=(Over.ACCOUNT, "two", ""),
            rule=Rule.MAX_DAILY_LOSS,
            at=instant("09:15"),
            loss=Decimal(6000),
            limit=Decimal(5000),
        )
        await machine.clock.sleep_until(instant("09:16"))
        await machine.books.commit(machine.books.put_fence(fence))

    played = play_day(days, tmp_path / "data", acts=[fence, adds("09:19")])
    assert sold(played, "two") == []
    assert [each.reason for each in played.day.refusals] == [Reason.ACCOUNT_STOPPED]
    assert sold(played, "one") == [("09:20:00", 130)] * 2


def test_after_a_restart_the_account_is_there_from_the_start(days: Path, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    async def die(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25:30"))
        raise Interrupted

    with pytest.raises(ExceptionGroup):
        play_day(days, tmp_path / "data", acts=[adds("09:19"), die])
    played = play_day(days, tmp_path / "data", begin=instant("09:27"), basket=WITH_TWO)
    assert played.leg("1", "two").exit_time == instant("09:35")
    assert sold(played, "two") == [("09:20:00", 65)] * 2


WITH_TWO = (
    STRADDLE.replace('id = "one"\n', 'id = "one"\n[[accounts]]\nid = "two"\n')
    + '  [[strategies.allocations]]\n  account = "two"\n  lots = 1\n'
)


# ---------------------------------------------------------------- edited

RISING: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0923="140"), put(): steady("80")}
"""5,200 rupees are lost from 09:24 on."""


def edits(when: str, **changes: object) -> Act:
    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(when))
        account = await machine.books.account(LOCAL_USER, "one")
        assert account is not None
        await machine.books.save_account(LOCAL_USER, replace(account, **changes))  # type: ignore[arg-type]

    return act


def test_a_limit_given_to_an_account_in_the_day_holds_at_the_next_check(tmp_path: Path) -> None:
    days = record(tmp_path / "days", RISING)
    limit = edits("09:26:30", max_daily_loss=Decimal(5000))
    played = play_day(days, tmp_path / "data", NO_STOPS, acts=[limit], machine_of=EVERY_SECOND)
    assert played.leg("1").exit_reason is ExitReason.ACCOUNT_STOP
    assert played.leg("1").exit_time == instant("09:27")


def test_a_limit_taken_away_in_time_lets_the_account_go_on(tmp_path: Path) -> None:
    days = record(tmp_path / "days", RISING)
    limited = NO_STOPS.replace('id = "one"\n', 'id = "one"\nmax_daily_loss = 5000\n')
    taken = edits("09:22:30", max_daily_loss=None)
    played = play_day(days, tmp_path / "data", limited, acts=[taken], machine_of=EVERY_SECOND)
    assert played.leg("1").exit_reason is ExitReason.TIME


NO_STOPS = STRADDLE.replace("  stop = { percent = 25 }\n", "")


def test_the_rate_of_an_account_follows_its_broker(days: Path, tmp_path: Path) -> None:
    """At Zerodha a second takes 7 entries, at Angel One 6: in one second of grace one strategy more can be sent."""
    found: list[int | None] = []

    async def look(machine: Embedded) -> None:
        for when in ("09:16", "09:18"):
            await machine.clock.sleep_until(instant(when))
            found.append(DAYS[-1].trading.desk.capacity((LOCAL_USER, "one"), timedelta(seconds=1)))

    play_day(
        days,
        tmp_path / "data",
        rate=Rate(),
        acts=[edits("09:17", charges_as="angelone"), look],
        machine_of=partial(Watched, kills_every=timedelta(seconds=1)),
    )
    assert found == [7, 6]


def test_a_notice_is_taken_away_once_it_is_followed(days: Path, tmp_path: Path) -> None:
    left = []

    async def look(machine: Embedded) -> None:
        for when in ("09:16:00.5", "09:16:03"):
            await machine.clock.sleep_until(instant(when))
            left.append([each.user_id for each in (await machine.books.kills())[2]])

    play_day(days, tmp_path / "data", acts=[edits("09:16:00.5"), look], machine_of=EVERY_SECOND)
    assert left == [[LOCAL_USER], []]


def test_a_notice_of_an_edit_that_came_meanwhile_stays(days: Path, tmp_path: Path) -> None:
    async def act(machine: Embedded) -> None:
        books = machine.books
        await machine.clock.sleep_until(instant("09:16"))
        await books.save_account(LOCAL_USER, BrokerAccount(id="two"))
        (first,) = (await books.kills())[2]
        await books.save_account(LOCAL_USER, BrokerAccount(id="three"))
        await books.delete_notice(first)
        (second,) = (await books.kills())[2]
        assert second.version > first.version
        await books.delete_notice(second)
        assert (await books.kills())[2] == []

    play_day(days, tmp_path / "data", acts=[act])


# ---------------------------------------------------------------- removed


def test_an_account_that_was_removed_is_let_go_and_may_come_back(days: Path, tmp_path: Path) -> None:
    known: list[bool] = []

    async def act(machine: Embedded) -> None:
        books = machine.books
        await books.save_account(LOCAL_USER, BrokerAccount(id="spare"))
        for when, deed in (("09:16", books.delete_account), ("09:18", None)):
            await machine.clock.sleep_until(instant(when))
            known.append((LOCAL_USER, "spare") in DAYS[-1].trading.desk.brokers)
            if deed is not None:
                await deed(LOCAL_USER, "spare")
        await added(machine, BrokerAccount(id="spare"))

    played = play_day(
        days, tmp_path / "data", acts=[act], machine_of=partial(Watched, kills_every=timedelta(seconds=1))
    )
    assert known == [True, False]
    assert sold(played, "spare") == [("09:20:00", 65)] * 2


# ---------------------------------------------------------------- what it costs


def test_nothing_of_accounts_is_read_while_nothing_of_them_changes(days: Path, tmp_path: Path) -> None:
    """Once the day has begun: the entry, the checks, the reconciliations and 1,440 looks at the switches."""
    asked: list[str] = []
    found: list[str] = []

    class Counting(Embedded):
        async def trading_day(self, *args: object) -> TradingDay:
            day = await super().trading_day(*args)  # type: ignore[arg-type]
            table = self.books.table
            get, query = table.get, table.query

            class Told:
                def __getattr__(self, name: str) -> object:
                    return getattr(table, name)

                async def get(self, of: object, pk: str, sk: str) -> object:
                    asked.append(sk)
                    return await get(of, pk, sk)  # type: ignore[arg-type]

                async def query(self, of: object, pk: str, **how: object) -> object:
                    asked.append(str(how.get("begins_with", "")))
                    return await query(of, pk, **how)  # type: ignore[arg-type]

            day.trading.books.table = Told()  # type: ignore[assignment]
            return day

    async def from_the_open_on(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:15"))
        asked.clear()
        await machine.clock.sleep_until(instant("09:39"))
        found.extend(asked)

    play_day(
        days,
        tmp_path / "data",
        acts=[from_the_open_on],
        machine_of=partial(Counting, kills_every=timedelta(seconds=1)),
    )
    assert len(found) > 1400
    assert [each for each in found if each.startswith(("ACCOUNT", "LIMITS"))] == []


def test_a_day_with_an_account_that_comes_in_it_is_the_same_twice(days: Path, tmp_path: Path) -> None:
    def day(name: str) -> Sequence[tuple[object, ...]]:
        played = play_day(days, tmp_path / name, acts=[adds("09:16")], rate=Rate(), machine_of=EVERY_SECOND)
        return played.book("account, tag, side, strike, type, quantity, filled, value, placed_at, updated_at")

    assert day("one") == day("two")
