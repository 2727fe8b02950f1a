"""Typed reads and writes over a real table: versions, indexes and registers that stay true through every edit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, BrokerAccount, Mode, Strategy
from option_baskets.domain.errors import Conflict, Invalid, NotFound
from option_baskets.domain.events import MarketPhase, Tick
from option_baskets.domain.order import Fill, Order, OrderState, advance
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.store import codec, keys
from option_baskets.store.books import Alert, Books, MarketRecord, Refusal, TickMark, TickState
from tests.engine.plans import CALL, DAY, allocation, basket, instant, order, run, strategy

USER = "asha"


class Hand:
    def __init__(self) -> None:
        self.time = instant("09:00")

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
async def table(tmp_path: Path, hand: Hand) -> AsyncIterator[SqliteTable]:
    table = SqliteTable.open(tmp_path / "table.db", now=hand.now, durable=False)
    yield table
    await table.close()


@pytest.fixture
def books(table: SqliteTable) -> Books:
    return Books(table)


async def stored_plan(books: Books, user: str = USER) -> tuple[Basket, Strategy, Allocation]:
    return (
        await books.save_basket(user, basket()),
        await books.save_strategy(user, strategy()),
        await books.save_allocation(user, allocation()),
    )


# ---------------------------------------------------------------- plans


async def test_what_is_saved_is_read_back_with_its_version(books: Books) -> None:
    saved = await stored_plan(books)
    assert [each.version for each in saved] == [1, 1, 1]
    assert await books.basket(USER, "income") == saved[0]
    assert await books.strategy(USER, "straddle") == saved[1]
    assert await books.allocation(USER, "straddle.zerodha-1") == saved[2]
    assert (await books.baskets(USER), await books.strategies(USER)) == ([saved[0]], [saved[1]])
    assert await books.allocations(USER) == await books.allocations(USER, "straddle") == [saved[2]]


async def test_nobody_sees_the_plans_of_another(books: Books) -> None:
    await stored_plan(books)
    assert (await books.baskets("asha2"), await books.strategies("ash"), await books.allocations("b")) == ([], [], [])
    assert await books.strategy("bharat", "straddle") is None


async def test_a_stale_edit_is_a_conflict_that_says_what_to_do(books: Books) -> None:
    saved, plan, lots = await stored_plan(books)
    await books.save_basket(USER, replace(saved, capital=Decimal(1)))
    with pytest.raises(Conflict, match="read it again"):
        await books.save_basket(USER, replace(saved, capital=Decimal(2)))
    with pytest.raises(Conflict):
        await books.save_strategy(USER, replace(plan, version=0))
    with pytest.raises(Conflict):
        await books.save_allocation(USER, replace(lots, version=5))
    assert (await books.baskets(USER))[0].capital == 1


async def test_an_edit_of_a_basket_reaches_the_copies_and_disturbs_no_editor_of_a_strategy(books: Books) -> None:
    saved, plan, _ = await stored_plan(books)
    paused = await books.save_basket(USER, replace(saved, paused=True, mode=Mode.LIVE))
    assert (await books.due(time(9, 20)))[0].basket == paused
    await books.save_strategy(USER, replace(plan, name="renamed"))
    assert (await books.due(time(9, 20)))[0].basket == paused


async def test_moving_the_entry_moves_the_strategy_its_allocations_and_the_register(books: Books) -> None:
    _, plan, lots = await stored_plan(books)
    moved = await books.save_strategy(USER, replace(strategy(entry="11:45"), version=plan.version))
    assert (await books.occupied_entry_minutes(), await books.due(time(9, 20))) == ((time(11, 45),), [])
    (due,) = await books.due(time(11, 45))
    assert (due.user_id, due.strategy, due.allocations) == (USER, moved, (lots,))


async def test_an_allocation_moves_with_its_strategy_and_priority(books: Books) -> None:
    _, _, first = await stored_plan(books)
    await books.save_strategy(USER, strategy("condor", entry="10:00"))
    second = await books.save_allocation(USER, allocation(account="angel-1", priority=-5))
    assert (await books.due(time(9, 20)))[0].allocations == (second, first)
    third = await books.save_allocation(USER, replace(second, strategy_id="condor"))
    assert (await books.due(time(9, 20)))[0].allocations == (first,)
    assert (await books.due(time(10, 0)))[0].allocations == (third,)
    await books.delete_allocation(USER, third.id)
    assert (await books.due(time(10, 0)))[0].allocations == ()


async def test_due_keeps_the_plans_of_users_apart(books: Books) -> None:
    for user in ("asha", "asha-2", "asha!"):
        await stored_plan(books, user)
        await books.save_strategy(user, strategy("straddle-2"))
    due = await books.due(time(9, 20))
    assert [each.user_id for each in due] == ["asha!", "asha!", "asha", "asha", "asha-2", "asha-2"]
    assert [(each.strategy.id, len(each.allocations)) for each in due] == [("straddle", 1), ("straddle-2", 0)] * 3


async def test_a_minute_leaves_the_register_with_its_last_strategy(books: Books) -> None:
    await stored_plan(books)
    await books.save_strategy(USER, strategy("second"))
    await books.delete_strategy(USER, "straddle")
    assert await books.occupied_entry_minutes() == (time(9, 20),)
    assert await books.allocations(USER) == []
    await books.delete_strategy(USER, "second")
    assert await books.occupied_entry_minutes() == ()


async def test_a_basket_with_strategies_is_not_deleted(books: Books) -> None:
    await stored_plan(books)
    with pytest.raises(Conflict, match="1 strategies; delete them first"):
        await books.delete_basket(USER, "income")
    await books.delete_strategy(USER, "straddle")
    await books.delete_basket(USER, "income")
    assert await books.baskets(USER) == []


async def test_what_does_not_exist_is_not_found(books: Books) -> None:
    with pytest.raises(NotFound, match="save the basket before"):
        await books.save_strategy(USER, strategy())
    with pytest.raises(NotFound, match="save it before its allocations"):
        await books.save_allocation(USER, allocation())
    for delete in (books.delete_basket, books.delete_strategy, books.delete_allocation):
        with pytest.raises(NotFound):
            await delete(USER, "nothing")


async def test_an_eleventh_strategy_is_refused_even_when_all_come_at_once(table: SqliteTable, books: Books) -> None:
    await books.save_basket(USER, basket())
    elsewhere = Books(table)  # another process: it shares the table and no lock
    saves = [(books, elsewhere)[n % 2].save_strategy(USER, strategy(f"s{n:02}")) for n in range(14)]
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert sum(isinstance(outcome, Strategy) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, Invalid) for outcome in outcomes) == 4
    assert len(await books.strategies(USER)) == len(await books.due(time(9, 20))) == 10


async def test_edits_of_two_processes_leave_no_allocation_behind(table: SqliteTable, books: Books) -> None:
    _, plan, _ = await stored_plan(books)
    elsewhere = Books(table)
    await asyncio.gather(
        books.save_strategy(USER, replace(strategy(entry="14:00"), version=plan.version)),
        elsewhere.save_allocation(USER, allocation(account="angel-1")),
        books.save_basket(USER, replace(basket(), version=1, paused=True)),
    )
    assert await books.due(time(9, 20)) == []
    (due,) = await books.due(time(14, 0))
    assert (len(due.allocations), due.basket.paused) == (2, True)


@pytest.mark.parametrize("name", ["a#b", "", "#"])
async def test_an_id_that_would_break_a_key_is_refused(books: Books, name: str) -> None:
    with pytest.raises(Invalid, match="must not be empty or contain '#'"):
        await books.save_basket(USER, basket(name))
    with pytest.raises(Invalid):
        await books.save_basket(name, basket())


async def test_accounts_of_everybody_are_found_at_start(books: Books) -> None:
    for user, account in (("b", "zerodha-1"), ("a", "angel-1"), ("a", "zerodha-1")):
        await books.save_account(user, BrokerAccount(id=account))
    assert [(user, account.id) for user, account in await books.all_accounts()] == [
        ("a", "angel-1"),
        ("a", "zerodha-1"),
        ("b", "zerodha-1"),
    ]
    assert await books.account("b", "zerodha-1") == BrokerAccount(id="zerodha-1", version=1)
    assert [account.id for account in await books.accounts("a")] == ["angel-1", "zerodha-1"]


async def test_a_stale_edit_of_an_account_is_a_conflict(books: Books) -> None:
    saved = await books.save_account(USER, BrokerAccount(id="zerodha-1"))
    changed = await books.save_account(USER, replace(saved, max_daily_loss=Decimal(5000)))
    for stale in (saved, BrokerAccount(id="zerodha-1"), replace(saved, version=9)):
        with pytest.raises(Conflict, match="read it again"):
            await books.save_account(USER, stale)
    assert await books.account(USER, "zerodha-1") == changed == replace(saved, max_daily_loss=Decimal(5000), version=2)


async def test_an_account_is_deleted_only_when_no_allocation_and_no_open_run_trades_on_it(books: Books) -> None:
    _, _, lots = await stored_plan(books)
    saved = await books.save_account(USER, BrokerAccount(id="zerodha-1"))
    claimed = await books.claim(run())
    assert claimed is not None
    with pytest.raises(Conflict, match="1 allocations, 1 open runs"):
        await books.delete_account(USER, "zerodha-1")
    await books.delete_allocation(USER, lots.id)
    with pytest.raises(Conflict, match="0 allocations, 1 open runs"):
        await books.delete_account(USER, "zerodha-1")
    assert await books.account(USER, "zerodha-1") == saved
    await books.save_run(replace(claimed, status=RunStatus.CLOSED))
    with pytest.raises(Conflict, match="read it again"):
        await books.delete_account(USER, "zerodha-1", version=saved.version + 1)
    await books.delete_account(USER, "zerodha-1", version=saved.version)
    assert (await books.accounts(USER), await books.all_accounts()) == ([], [])
    with pytest.raises(NotFound):
        await books.delete_account(USER, "zerodha-1")


async def test_what_others_trade_on_an_account_of_the_same_name_keeps_nobody_from_deleting_theirs(books: Books) -> None:
    await stored_plan(books)
    await books.claim(run())
    for user in ("ash", "asha2"):
        await books.save_account(user, BrokerAccount(id="zerodha-1"))
        await books.delete_account(user, "zerodha-1")


async def test_an_allocation_made_while_its_account_is_deleted_leaves_the_account_or_finds_it_gone(
    table: SqliteTable, books: Books
) -> None:
    _, _, lots = await stored_plan(books)
    await books.delete_allocation(USER, lots.id)
    await books.save_account(USER, BrokerAccount(id="zerodha-1"))
    deleted, made = await asyncio.gather(
        books.delete_account(USER, "zerodha-1"),
        Books(table).save_allocation(USER, allocation()),
        return_exceptions=True,
    )
    there = await books.account(USER, "zerodha-1") is not None
    assert isinstance(made, Allocation)
    assert there == isinstance(deleted, Conflict)


# ---------------------------------------------------------------- runs


async def test_of_many_that_claim_a_run_one_gets_it(books: Books) -> None:
    claims = await asyncio.gather(*(books.claim(run()) for _ in range(50)))
    (won,) = [claim for claim in claims if claim is not None]
    assert won.version == 1
    assert await books.runs_on(USER, DAY) == [won]


async def test_a_claim_whose_extra_write_conflicts_claims_nothing(books: Books) -> None:
    stale = books.put_order(replace(order(run(), instant("09:20")), version=3))[0]
    with pytest.raises(Conflict):
        await books.claim(run(), stale)
    assert await books.run(USER, run().id) is None


async def test_a_run_is_active_and_due_to_exit_until_it_is_over(books: Books) -> None:
    claimed = await books.claim(run())
    assert claimed is not None
    for status in (RunStatus.ENTERING, RunStatus.ACTIVE, RunStatus.EXITING):
        claimed = await books.save_run(replace(claimed, status=status))
        assert await books.active_runs() == await books.due_exits(instant("15:15")) == [claimed]
    assert await books.occupied_exit_minutes(DAY) == (time(15, 15),)
    over = await books.save_run(replace(claimed, status=RunStatus.CLOSED))
    assert (await books.active_runs(), await books.due_exits(instant("15:15"))) == ([], [])
    assert await books.run(USER, over.id) == over


async def test_a_run_whose_exit_is_moved_is_due_at_the_new_minute_only(books: Books) -> None:
    claimed = await books.claim(run())
    assert claimed is not None
    moved = await books.save_run(replace(claimed, exit_at=instant("15:28")))
    assert (await books.due_exits(instant("15:15")), await books.due_exits(instant("15:28"))) == ([], [moved])
    assert await books.occupied_exit_minutes(DAY) == (time(15, 15), time(15, 28))
    assert await books.occupied_exit_minutes(DAY + timedelta(days=1)) == ()


async def test_a_stale_run_is_never_saved_over_a_newer_one(books: Books) -> None:
    claimed = await books.claim(run())
    assert claimed is not None
    newer = await books.save_run(replace(claimed, status=RunStatus.ENTERING))
    with pytest.raises(Conflict):
        await books.save_run(replace(claimed, status=RunStatus.FAILED))
    assert await books.active_runs() == [newer]


async def test_processes_that_note_exit_minutes_at_once_lose_none(table: SqliteTable) -> None:
    shelves = [Books(table) for _ in range(8)]
    exits = [f"15:{minute:02}" for minute in range(8)]
    runs = [run(plan=strategy(f"s{exit_[-1]}", exit_=exit_)) for exit_ in exits]
    await asyncio.gather(*(books.claim(each) for books, each in zip(shelves, runs, strict=True)))
    assert await shelves[0].occupied_exit_minutes(DAY) == tuple(map(time.fromisoformat, exits))


async def test_more_active_runs_than_a_page_holds_are_all_found(books: Books) -> None:
    await asyncio.gather(*(books.claim(run(f"user-{n:04}")) for n in range(1100)))
    assert [each.user_id for each in await books.active_runs()] == [f"user-{n:04}" for n in range(1100)]


async def test_an_item_made_anew_with_an_old_version_is_not_taken_for_the_old_one(books: Books) -> None:
    await books.save_basket(USER, basket(capital=Decimal(1)))
    assert (await books.baskets(USER))[0].capital == 1
    await books.delete_basket(USER, "income")
    await books.save_basket(USER, basket(capital=Decimal(2)))
    assert (await books.baskets(USER))[0].capital == 2


async def test_ticks_and_prices_are_kept_for_those_who_start_later(books: Books, hand: Hand) -> None:
    tick = Tick(at=instant("09:15"), phase=MarketPhase.MARKET_OPEN)
    await books.mark_tick(tick, TickState.EMITTED)
    await books.mark_tick(replace(tick, at=instant("09:16"), late=True), TickState.EMITTED)
    await books.mark_tick(tick, TickState.DONE)
    marks = await books.last_ticks(DAY)
    assert [(mark.tick.at, mark.tick.late, mark.state) for mark in marks] == [
        (instant("09:15"), False, TickState.DONE),
        (instant("09:16"), True, TickState.EMITTED),
    ]
    record = MarketRecord(
        underlying="NIFTY", at=hand.time, spot=Decimal("26001.15"), prices={CALL.key: Decimal("101.05")}
    )
    await books.commit(books.put_market(record))
    assert await books.market("NIFTY") == record
    hand.time += timedelta(seconds=300)
    assert await books.market("NIFTY") is None


# ---------------------------------------------------------------- journal


async def test_an_order_its_fill_and_its_run_commit_together(books: Books) -> None:
    claimed = await books.claim(run())
    assert claimed is not None
    created = order(claimed, instant("09:20"))
    write, stored = books.put_order(created)
    await books.commit(write)
    sending, sent = books.put_order(advance(stored, OrderState.SENDING, instant("09:20")))
    fill = Fill(intent_id=sent.intent.id, quantity=75, value=Decimal("7578.75"), at=instant("09:21"), number=0)
    entering = await books.save_run(
        replace(claimed, status=RunStatus.ENTERING), sending, books.put_fill(sent.intent, fill)
    )
    assert await books.order(USER, sent.intent.id) == sent
    assert await books.orders_of_run(USER, claimed.id) == [sent]
    assert await books.fills_of_run(USER, claimed.id) == [fill]
    with pytest.raises(Conflict):
        await books.save_run(replace(entering, status=RunStatus.ACTIVE), sending)
    assert await books.run(USER, claimed.id) == entering


async def test_the_orders_of_the_last_minutes_are_one_query(books: Books, table: SqliteTable) -> None:
    decided = [instant("09:19"), instant("09:20"), instant("09:22"), instant("09:25"), instant("09:26")]
    orders = [order(run(), at, attempt) for attempt, at in enumerate(decided)]
    fill = Fill(intent_id=orders[1].intent.id, quantity=75, value=Decimal(7500), at=instant("09:21"), number=0)
    await books.commit(*(books.put_order(each)[0] for each in orders), books.put_fill(orders[1].intent, fill))
    table.requests.clear()
    found = await books.orders_between(USER, instant("09:20"), instant("09:25"))
    assert [each.intent.decided_at for each in found] == decided[1:4]
    assert table.requests.total() == 1
    assert await books.orders_between("asha2", instant("09:00"), instant("15:30")) == []
    assert await books.order("bharat", orders[0].intent.id) is None


async def test_alerts_and_refusals_are_read_by_the_exchange_s_day_and_stored_once(books: Books) -> None:
    alerts = [
        Alert(user_id=USER, at=at, code="drift", message="book and broker differ", account="zerodha-1")
        for at in (instant("15:29"), instant("09:15"), datetime(2026, 11, 24, 19, 0, tzinfo=UTC))
    ]
    refusal = Refusal(
        user_id=USER, at=instant("09:20"), strategy_id="straddle", reason=Reason.STALE_QUOTE, run_id=run().id
    )
    await books.commit(*map(books.put_alert, alerts), books.put_refusal(refusal))
    await books.commit(books.put_alert(alerts[0]), books.put_refusal(refusal))
    assert await books.alerts(USER, DAY) == [alerts[1], alerts[0]]
    assert await books.alerts(USER, date(2026, 11, 25)) == [alerts[2]]
    assert await books.refusals(USER, DAY) == [refusal]


# ---------------------------------------------------------------- keys and codec

instants = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
decimals = st.decimals(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(first=instants, second=instants)
def test_timestamps_sort_as_time_does(first: datetime, second: datetime) -> None:
    assert (keys.timestamp(first) < keys.timestamp(second)) == (first < second)
    assert len(keys.timestamp(first)) == 27


@given(st.lists(st.integers(-99_999, 899_999), min_size=2))
def test_priorities_sort_as_numbers_do(priorities: list[int]) -> None:
    ordered = sorted(priorities)
    assert [keys.by_priority(each, "a") for each in ordered] == sorted(keys.by_priority(each, "a") for each in ordered)


def test_a_naive_instant_has_no_timestamp() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        keys.timestamp(datetime(2026, 11, 24))  # noqa: DTZ001


@given(users=st.lists(texts.filter(bool), min_size=1, max_size=5), shards=st.integers(1, 64))
def test_a_user_has_one_shard(users: list[str], shards: int) -> None:
    assert all(0 <= keys.shard_of(user, shards) < shards for user in users)
    assert all(keys.shard_of(user, 1) == 0 for user in users)


@given(name=texts, capital=decimals, version=st.integers(0, 2**31))
def test_any_basket_survives_storage_exactly(name: str, capital: Decimal, version: int) -> None:
    before = Basket(id="b", name=name, capital=capital, version=version)
    after = codec.decode(codec.encode(before), Basket)
    assert after == before
    assert after.capital.as_tuple() == capital.as_tuple()


@given(name=texts, at=instants, limit=decimals, value=decimals, lots=st.dictionaries(texts, st.integers(1, 99)))
def test_any_run_and_order_survive_storage_exactly(
    name: str, at: datetime, limit: Decimal, value: Decimal, lots: dict[str, int]
) -> None:
    plan = replace(strategy(), name=name)
    mine = Allocation(id="a", strategy_id="straddle", account="zerodha-1", leg_lots=lots)
    before = replace(run(plan=plan), allocations=(mine,), exit_at=at, detail=name, reason=Reason.LATE_ENTRY)
    assert codec.decode(codec.encode(before), Run) == before
    sent = order(before, at)
    sent = replace(sent, intent=replace(sent.intent, limit=limit), value=value, message=name)
    assert codec.decode(codec.encode(sent), Order) == sent
    fill = Fill(intent_id="i", quantity=1, value=value, at=at, number=0)
    assert codec.decode(codec.encode(fill), Fill) == fill
    mark = TickMark(tick=Tick(at=at, phase=MarketPhase.LUNCH_BREAK), state=TickState.DONE)
    assert codec.decode(codec.encode(mark), TickMark) == mark


def test_bytes_that_are_no_such_value_say_so() -> None:
    with pytest.raises(ValueError, match="stored Basket cannot be read"):
        codec.decode(b'{"id": 5}', Basket)
