"""Edits that store several plans at once: one commit, decided again when somebody was faster, and done once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import MAX_STRATEGIES, Strategy
from option_baskets.domain.errors import Conflict, Invalid, NotFound
from option_baskets.ports import Index, Table, Write
from option_baskets.store.books import Books
from option_baskets.store.edits import Change, Standing
from option_baskets.store.records import Editor
from tests.engine.plans import allocation, basket, instant, strategy

USER = "asha"


def now() -> datetime:
    return instant("09:00")


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqliteTable]:
    table = SqliteTable.open(tmp_path / "table.db", now=now, durable=False)
    yield table
    await table.close()


@pytest.fixture
async def books(table: SqliteTable) -> Books:
    books = Books(table).edited_by(Editor(actor=USER, cause="api", now=now))
    await books.save_basket(USER, basket())
    return books


def new(number: int = 0) -> tuple[Strategy, tuple[Allocation, ...]]:
    name = f"straddle-{number}"
    return strategy(name), (allocation(name), allocation(name, "angel-1", priority=1))


async def as_new(_: Standing) -> Change:
    plan, allocations = new()
    return Change(strategy=plan, allocations=allocations)


async def test_a_strategy_with_its_allocations_is_one_commit(table: SqliteTable, books: Books) -> None:
    table.requests.clear()
    made = await books.save_plans(USER, as_new)
    assert table.requests["commit", None] == 1
    assert made.strategy is not None
    (due,) = await books.due(time(9, 20))
    assert (due.strategy, due.allocations) == (made.strategy, made.allocations)
    assert {made.strategy.version, *(each.version for each in made.allocations)} == {1}


async def test_a_change_that_is_refused_in_part_stores_nothing(books: Books) -> None:
    plan, (first, second) = new()

    async def decide(_: Standing) -> Change:
        return Change(strategy=plan, allocations=(first, replace(second, version=3)))

    with pytest.raises(Conflict):
        await books.save_plans(USER, decide)
    assert (await books.strategies(USER), await books.allocations(USER)) == ([], [])
    assert await books.occupied_entry_minutes() == ()


async def test_moving_the_entry_takes_along_what_the_change_does_not_name(books: Books) -> None:
    made = await books.save_plans(USER, as_new)
    assert made.strategy is not None
    later = replace(strategy("straddle-0", entry="11:00"), version=1)
    changed = replace(made.allocations[0], units=7)

    async def decide(_: Standing) -> Change:
        return Change(strategy=later, allocations=(changed,))

    after = await books.save_plans(USER, decide)
    (due,) = await books.due(time(11, 0))
    assert due.allocations == (after.allocations[0], made.allocations[1])
    assert (due.allocations[0].units, await books.due(time(9, 20))) == (7, [])


async def test_a_change_is_decided_again_by_what_somebody_faster_stored(table: SqliteTable, books: Books) -> None:
    elsewhere = Books(table)  # another process: it shares the table and no lock
    seen: list[int] = []

    async def decide(standing: Standing) -> Change:
        there = await standing.strategies("income")
        seen.append(len(there))
        if len(seen) == 1:
            await elsewhere.save_strategy(USER, strategy("faster"))
        return Change(strategy=strategy(f"after-{len(there)}"))

    made = await books.save_plans(USER, decide)
    assert made.strategy is not None
    assert (seen, made.strategy.id) == ([0, 1], "after-1")


async def test_asked_twice_under_one_name_it_is_made_once(books: Books) -> None:
    number = 0

    async def decide(_: Standing) -> Change:
        nonlocal number
        number += 1
        plan, allocations = new(number)
        return Change(strategy=plan, allocations=allocations)

    first = await books.save_plans(USER, decide, once="k1")
    assert await books.save_plans(USER, decide, once="k1") == first
    assert await books.save_plans(USER, decide, once="k2") != first
    assert [each.id for each in await books.strategies(USER)] == ["straddle-1", "straddle-2"]


async def test_what_is_asked_again_is_shown_as_it_is_now_and_made_anew_once_it_is_gone(books: Books) -> None:
    first = await books.save_plans(USER, as_new, once="k1")
    assert first.strategy is not None
    edited = await books.save_strategy(USER, replace(first.strategy, name="renamed"))
    assert (await books.save_plans(USER, as_new, once="k1")).strategy == edited
    await books.delete_strategy(USER, edited.id)
    again = await books.save_plans(USER, as_new, once="k1")
    assert (again.strategy, len(again.allocations)) == (first.strategy, 2)


async def test_many_at_once_fill_a_basket_and_no_more(books: Books) -> None:
    async def one(number: int) -> Change:
        async def decide(_: Standing) -> Change:
            plan, allocations = new(number)
            return Change(strategy=plan, allocations=allocations)

        return await books.save_plans(USER, decide)

    outcomes = await asyncio.gather(*(one(number) for number in range(13)), return_exceptions=True)
    assert sum(isinstance(each, Change) for each in outcomes) == MAX_STRATEGIES
    assert sum(isinstance(each, Invalid) for each in outcomes) == 3
    assert len(await books.allocations(USER)) == 2 * MAX_STRATEGIES


async def test_users_who_edit_at_once_do_not_make_each_other_decide_again(tmp_path: Path) -> None:
    """All strategies of a shard are counted in one item, which each of these commits changes."""
    table = SqliteTable.open(tmp_path / "many.db", now=now, durable=False)
    books, users, decided = Books(table), [f"user-{number}" for number in range(40)], []

    async def edit(user: str) -> None:
        async def decide(_: Standing) -> Change:
            decided.append(user)
            return Change(strategy=strategy("straddle-0"))

        await books.save_basket(user, basket())
        await books.save_plans(user, decide)

    await asyncio.gather(*map(edit, users))
    assert sorted(decided) == sorted(users)
    assert len(await books.due(time(9, 20))) == len(users)
    await asyncio.gather(*(books.delete_strategy(user, "straddle-0") for user in users))
    assert await books.occupied_entry_minutes() == ()
    await table.close()


@pytest.mark.parametrize("delete", ["basket", "strategy", "allocation"])
async def test_a_delete_of_another_version_is_a_conflict(books: Books, delete: str) -> None:
    await books.save_basket(USER, basket("empty"))
    await books.save_plans(USER, as_new)
    deletes = {
        "basket": (books.delete_basket, "empty"),
        "strategy": (books.delete_strategy, "straddle-0"),
        "allocation": (books.delete_allocation, "straddle-0.angel-1"),
    }
    call, name = deletes[delete]
    with pytest.raises(Conflict, match="stored version 1, edited version 2"):
        await call(USER, name, version=2)
    await call(USER, name, version=1)


async def test_plans_are_read_again_only_after_an_edit_of_somebody_else(table: SqliteTable, books: Books) -> None:
    async def saved(number: int) -> list[str]:
        seen: list[str] = []

        async def decide(standing: Standing) -> Change:
            seen[:] = [each.id for each in await standing.strategies("income")]
            plan, allocations = new(number)
            return Change(strategy=plan, allocations=allocations)

        table.requests.clear()
        await books.save_plans(USER, decide)
        return seen

    await saved(0)
    assert await saved(1) == ["straddle-0"]
    assert table.requests["query", Index.PRIMARY] == 0
    await books.delete_strategy(USER, "straddle-0")
    assert await saved(2) == ["straddle-1"]
    await Books(table).save_strategy(USER, strategy("elsewhere"))
    assert await saved(3) == ["elsewhere", "straddle-1", "straddle-2"]
    await books.save_basket(USER, replace(basket(), version=1, paused=True))
    assert await saved(4) == ["elsewhere", "straddle-1", "straddle-2", "straddle-3"]
    assert table.requests["query", Index.PRIMARY] == 0
    stored = await books.plan(USER, "straddle-4")
    assert stored is not None
    assert stored.basket.paused


class Losing:
    """A table that says of one commit that it lost, to another that was there first."""

    def __init__(self, table: SqliteTable, first: Books) -> None:
        self._table, self._first = table, first
        self.is_losing = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        if self.is_losing:
            self.is_losing = False
            await self._first.save_strategy(USER, strategy("first"))
        await self._table.commit(writes)


async def test_what_a_lost_commit_would_have_stored_is_not_remembered(table: SqliteTable, books: Books) -> None:
    losing = Losing(table, Books(table))
    mine = Books(cast(Table, losing))
    await mine.save_strategy(USER, strategy("mine"))
    losing.is_losing = True
    await mine.save_strategy(USER, strategy("second"))
    names: list[str] = []

    async def decide(standing: Standing) -> Change:
        names[:] = [each.id for each in await standing.strategies("income")]
        return Change(strategy=strategy("third"))

    await mine.save_plans(USER, decide)
    assert names == ["first", "mine", "second"]


@given(st.lists(st.tuples(st.sampled_from("bsade"), st.integers(0, 2), st.integers(0, 1)), max_size=12))
@settings(max_examples=40, deadline=None)
async def test_what_is_remembered_is_what_is_stored(steps: list[tuple[str, int, int]]) -> None:
    """Any edits of two processes: what an edit sees is what a fresh look at the table finds."""
    with TemporaryDirectory() as folder:
        table = SqliteTable.open(Path(folder) / "t.db", now=now, threaded=False, durable=False)
        both = (Books(table), Books(table))
        for kind, number, process in steps:
            with contextlib.suppress(Conflict, Invalid, NotFound):
                await step(both[process], kind, number)
            for books in both:
                await check_standing(table, books)
        await table.close()


async def step(books: Books, kind: str, number: int) -> None:
    name = f"straddle-{number}"
    match kind:
        case "b":
            found = await books.basket(USER, "income")
            await books.save_basket(USER, basket(version=found.version if found else 0, paused=number == 1))
        case "s":
            before = await books.strategy(USER, name)
            entry = f"1{number}:00" if before is None else "13:00"
            await books.save_strategy(
                USER, replace(strategy(name, entry=entry), version=before.version if before else 0)
            )
        case "a":
            await books.save_allocation(USER, allocation(name))
        case "d":
            await books.delete_strategy(USER, name)
        case _:
            await books.delete_allocation(USER, allocation(name).id)


async def check_standing(table: SqliteTable, books: Books) -> None:
    fresh = Books(table)

    class Seen(Exception):
        pass

    async def decide(standing: Standing) -> Change:
        assert await standing.basket("income") == await fresh.basket(USER, "income")
        assert list(await standing.strategies("income")) == await fresh.strategies(USER)
        assert list(await standing.all_allocations()) == await fresh.allocations(USER)
        raise Seen

    with contextlib.suppress(Seen):
        await books.save_plans(USER, decide)
