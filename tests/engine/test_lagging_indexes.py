"""Nothing that is decided depends on an index showing what was written a moment ago."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.run import RunStatus
from option_baskets.engine.day import TradingDay
from option_baskets.engine.report import as_json
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.contract.lagging import LaggingTable
from tests.engine.plans import allocation, basket, instant, run, strategy
from tests.engine.tiny_day import LOT, STRADDLE, Played, Prices, call, play_day, put, record, steady

USER = "asha"


class Hand:
    def __init__(self) -> None:
        self.time = instant("09:00")

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def lagging(lag: float) -> type[Embedded]:
    class Lagging(Embedded):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            kept: Any = self.table.table
            self.late = LaggingTable(kept, self.clock.now, timedelta(seconds=lag))
            late: Any = self.late
            self.table.table = late

        async def trading_day(self, *given: Any) -> TradingDay:
            if not await self.books.runs_on(LOCAL_USER, instant("09:00").date()):
                await self.late.catch_up()  # plans and accounts were saved before the day, not within its first second
            return await super().trading_day(*given)

    return Lagging


@pytest.fixture
def days(tmp_path: Path) -> Path:
    moving: Prices = {
        "NIFTY": steady("26010"),
        call(): steady("100", at0924="130"),
        put(): steady("80"),
    }
    return record(tmp_path / "days", moving)


def text(played: Played) -> str:
    return json.dumps(as_json([played.day]))


async def test_the_lag_is_real(tmp_path: Path) -> None:
    hand = Hand()
    inner = SqliteTable.open(tmp_path / "table.db", now=lambda: hand.time, threaded=False, durable=False)
    table = LaggingTable(inner, lambda: hand.time, timedelta(seconds=1))
    hand.pass_(1)
    books = Books(table)
    await books.save_basket(USER, basket())
    await books.save_strategy(USER, strategy())
    assert await books.due(instant("09:20").time()) == []
    hand.pass_(1)
    assert [due.strategy.id for due in await books.due(instant("09:20").time())] == ["straddle"]
    await table.close()


async def test_an_allocation_saved_a_moment_ago_counts_where_it_decides(tmp_path: Path) -> None:
    hand = Hand()
    inner = SqliteTable.open(tmp_path / "table.db", now=lambda: hand.time, threaded=False, durable=False)
    books = Books(LaggingTable(inner, lambda: hand.time, timedelta(seconds=1)))
    await books.save_basket(USER, basket())
    await books.save_strategy(USER, strategy())
    second = await books.save_allocation(USER, allocation(account="b", priority=1))
    first = await books.save_allocation(USER, allocation(account="z", priority=0))
    assert await books.allocations(USER, "straddle") == []
    assert await books.current_allocations(USER, "straddle") == [first, second]
    await books.delete_strategy(USER, "straddle")
    assert await books.allocations(USER) == []
    await books.table.close()


async def test_an_open_run_is_taken_up_in_its_newest_version_and_a_closed_one_not_at_all(tmp_path: Path) -> None:
    hand = Hand()
    inner = SqliteTable.open(tmp_path / "table.db", now=lambda: hand.time, threaded=False, durable=False)
    books = Books(LaggingTable(inner, lambda: hand.time, timedelta(seconds=1)))
    open_, over = await books.claim(run()), await books.claim(run(plan=strategy("condor")))
    assert open_ is not None and over is not None
    hand.pass_(2)
    assert len(await books.active_runs()) == 2
    newest = await books.save_run(replace(open_, status=RunStatus.ACTIVE))
    await books.save_run(replace(over, status=RunStatus.CLOSED))
    assert await books.active_runs() == [newest]
    await books.table.close()


@pytest.mark.parametrize("lag", [0.5, 2.0, 30.0])
def test_a_day_over_lagging_indexes_is_the_same_day(days: Path, tmp_path: Path, lag: float) -> None:
    prompt = play_day(days, tmp_path / "prompt")
    late = play_day(days, tmp_path / "late", machine_of=lagging(lag))
    assert prompt.run.status is RunStatus.CLOSED
    assert text(late) == text(prompt)
    assert late.book("tag, state, filled") == prompt.book("tag, state, filled")


def test_an_allocation_edited_a_moment_before_the_entry_is_entered_as_edited(days: Path, tmp_path: Path) -> None:
    async def edit(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:20") - timedelta(milliseconds=500))
        (mine,) = await machine.books.allocations(LOCAL_USER)
        await machine.books.save_allocation(LOCAL_USER, replace(mine, units=1))

    played = play_day(days, tmp_path / "data", STRADDLE, acts=[edit], machine_of=lagging(2.0))
    assert played.leg("1").entered == LOT


class Gone(SystemExit):
    """Ends the loop at once, as a signal ends a process."""


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("begin", ["09:15", "09:20:30"], ids=["claimed before", "claimed late, and entered at once"])
@pytest.mark.parametrize("seconds", [30.0, 30.3, 270.2])
def test_a_process_that_dies_and_starts_within_the_lag_orders_nothing_twice(
    days: Path, tmp_path: Path, seconds: float, begin: str
) -> None:
    moment = instant("09:20") + timedelta(seconds=seconds)

    async def die(machine: Embedded) -> None:
        await machine.clock.sleep_until(moment)
        raise Gone

    def interrupted(data: Path, machine_of: type[Embedded]) -> Played:
        with pytest.raises(Gone):
            play_day(days, data, acts=[die], begin=instant(begin), machine_of=machine_of)
        return play_day(days, data, begin=moment, machine_of=machine_of)

    late = interrupted(tmp_path / "late", lagging(5.0))
    prompt = interrupted(tmp_path / "prompt", Embedded)
    assert late.run.status is RunStatus.CLOSED
    assert len({tag for (tag,) in late.book("tag")}) == len(late.book("tag")) == 4
    assert text(late) == text(prompt)
