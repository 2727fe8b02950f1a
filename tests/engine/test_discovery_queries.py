"""What finding the due costs: one index query for each occupied minute, whatever stands behind it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.ports import Index
from option_baskets.store.books import Books
from tests.engine.plans import DAY, allocation, basket, instant, run, strategy

USER = "asha"
MINUTE = timedelta(minutes=1)
TEN_MINUTES = [f"{hour}:{minute}" for hour in ("09", "10", "11", "12", "13") for minute in (20, 47)]
TRIGGERS = [instant("09:00") + 5 * MINUTE * number for number in range(78)]


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqliteTable]:
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: instant("09:00"), threaded=False, durable=False)
    yield table
    await table.close()


async def save_strategies(books: Books, entries: list[str], exits: list[str]) -> None:
    """100 strategies of one user in ten baskets, two allocations each, spread over the minutes in turn."""
    for number in range(100):
        name, home = f"s{number:03}", f"b{number // 10}"
        if number % 10 == 0:
            await books.save_basket(USER, basket(home))
        entry, exit_ = entries[number % len(entries)], exits[number % len(exits)]
        await books.save_strategy(USER, strategy(name, home, entry, exit_))
        for account in ("zerodha-1", "angel-1"):
            await books.save_allocation(USER, allocation(name, account))


async def play_triggers(books: Books) -> tuple[list[str], list[str]]:
    """A day's look-aheads, each over the five minutes after it; runs are claimed as they are found."""
    entered: list[str] = []
    left: list[str] = []
    for trigger in TRIGGERS:
        ahead = [trigger + MINUTE * number for number in range(1, 6)]
        entries, exits = await books.occupied_entry_minutes(), await books.occupied_exit_minutes(DAY)
        for minute in ahead:
            if minute.time() in entries:
                for due in await books.due(minute.time()):
                    assert len(due.allocations) == 2
                    claimed = await books.claim(run(due.user_id, due.strategy))
                    assert claimed is not None
                    entered.append(due.strategy.id)
            if minute.time() in exits:
                left += [each.strategy.id for each in await books.due_exits(minute)]
    return entered, left


@pytest.mark.parametrize(
    ("entries", "exits", "queries"),
    [
        (["09:20"], ["15:15"], 2),
        (TEN_MINUTES, ["14:30", "15:00", "15:15"], 13),
    ],
    ids=["one entry and one exit minute", "ten entry and three exit minutes"],
)
async def test_a_day_costs_one_index_query_for_each_distinct_minute(
    table: SqliteTable, entries: list[str], exits: list[str], queries: int
) -> None:
    books = Books(table)
    await save_strategies(books, entries, exits)
    table.requests.clear()
    entered, left = await play_triggers(books)
    everything = [f"s{number:03}" for number in range(100)]
    assert (sorted(entered), sorted(left)) == (everything, everything)
    asked = {index: count for (operation, index), count in table.requests.items() if operation == "query"}
    assert asked == {Index.USER_EXECUTION_SCHEDULE: queries}


async def test_a_day_without_strategies_costs_no_query(table: SqliteTable) -> None:
    await play_triggers(Books(table))
    assert {operation for operation, _ in table.requests} == {"get"}


async def test_with_sixteen_shards_a_minute_costs_one_query_each_and_finds_the_same(table: SqliteTable) -> None:
    books = Books(table, shards=16)
    users = [f"user-{number}" for number in range(50)]
    for user in users:
        await books.save_basket(user, basket())
        await books.save_strategy(user, strategy())
    table.requests.clear()
    found = [each.user_id for each in await books.due(instant("09:20").time())]
    assert sorted(found) == sorted(users)
    assert table.requests == {("query", Index.USER_EXECUTION_SCHEDULE): 16}
