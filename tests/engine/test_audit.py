"""The audit: it agrees with the exchange's own book, shows every decision with its price, and one user's alone."""

import asyncio
import inspect
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.adapters.brokers.fills import QuotedFills, RecordedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.domain.dynamic import DynamicPolicy, divide
from option_baskets.domain.ids import Action
from option_baskets.domain.order import RETURNS, TRANSITIONS, Fill, Order, OrderState, Step, advance
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.audit import Only, Row, audit
from option_baskets.store.books import Alert, Books, Listed, Refusal
from option_baskets.store.records import Editor, Occurrence, What
from option_baskets.wiring import LOCAL_USER, TRADING_FILE, Embedded, Market
from tests.contract.engines import opened
from tests.engine.plans import allocation, basket, order, run, strategy
from tests.engine.tiny_day import (
    DAY,
    FACTS,
    LOT,
    QUIET,
    SPREAD,
    STRADDLE,
    Played,
    call,
    instant,
    play_day,
    put,
    record,
    steady,
)

FAULTY = Behaviour(
    latency=timedelta(milliseconds=300),
    jitter=timedelta(seconds=3),
    rejections=0.1,
    partial_fills=0.6,
    busy=0.1,
    lost_requests=0.1,
    lost_answers=0.2,
    server_errors=0.1,
    lost_changes=0.2,
    crossed_cancels=0.3,
    slow_book=timedelta(seconds=8),
    lost_updates=0.3,
    doubled_updates=0.3,
    late_updates=0.3,
)


async def rows_of(data: Path, only: Only | None = None) -> list[Row]:
    """Everything of the tiny day, read from its file alone."""
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: instant("23:00"), threaded=False)
    try:
        return [row async for row in audit(Books(table), LOCAL_USER, *day(), only or Only())]
    finally:
        await table.close()


def day() -> tuple[datetime, datetime]:
    return instant("00:00"), instant("23:59")


def net(played: Played) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """By account and tag what the exchange's own book says was filled: units and rupees."""
    book = played.book("account, tag, filled, value")
    return {(account, tag): (filled, Decimal(value)) for account, tag, filled, value in book if filled}


# ---------------------------------------------------------------- against the exchange


@pytest.mark.parametrize("seed", range(5))
async def test_fills_add_up_to_the_exchange_s_book_and_orders_follow_the_table_whatever_goes_wrong(
    tmp_path: Path, seed: int
) -> None:
    moving = {**QUIET, call(): steady("100", at0924="135", at0930="120"), call(26100): steady("40", at0924="60")}
    behaviour = {account: replace(FAULTY, seed=seed) for account in ("one", "two")}
    basket = SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 90')
    played = await _in_a_thread(
        record(tmp_path / "days", moving), tmp_path / "data", basket, behaviour=behaviour, fills=lambda _: QuotedFills()
    )
    rows = await rows_of(played.data)
    assert rows == sorted(rows, key=lambda row: row.time)
    filled: defaultdict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for row in rows:
        if row.what == "fill":
            assert row.quantity is not None
            assert row.price is not None
            units, rupees = filled[row.account, row.order]
            filled[row.account, row.order] = units + row.quantity, rupees + row.quantity * row.price
    assert {key: (units, rupees.quantize(Decimal("0.01"))) for key, (units, rupees) in filled.items()} == {
        key: (units, rupees.quantize(Decimal("0.01"))) for key, (units, rupees) in net(played).items()
    }
    assert played.orders
    for each in played.orders:
        _require_path(each)
        steps = [row for row in rows if row.order == each.intent.id and row.what.startswith("order.")]
        assert len(steps) == 1 + len(each.changes), "every step is a row"
        assert [row.what for row in steps[:2]] == ["order.decided", f"order.{each.changes[0].state.lower()}"]


def _require_path(order: Order) -> None:
    state, filled = OrderState.CREATED, 0
    for change in order.changes:
        if change.step in {Step.CANCEL, Step.REPRICE}:
            assert change.state is state, "asking changes nothing"
        elif change.state is not state:
            assert (state, change.state) in TRANSITIONS | RETURNS, f"{order.intent.id}: {state} to {change.state}"
        assert change.filled >= filled
        state, filled = change.state, change.filled
    assert (state, filled) == (order.state, order.filled)


async def _in_a_thread(*given: Any, **options: Any) -> Played:
    """A day runs a loop of its own."""
    return await asyncio.to_thread(play_day, *given, **options)


# ---------------------------------------------------------------- decisions


async def test_a_stop_says_at_which_price_and_level_it_closed_what(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {**QUIET, call(): steady("100", at0925="130")})
    played = await _in_a_thread(days, tmp_path / "data")
    rows = await rows_of(played.data)
    decided = [row for row in rows if row.what == "exit_decided"]
    told = [(row.time.astimezone(UTC), row.contract, row.quantity, row.price, row.cause, row.detail) for row in decided]
    assert told == [
        (instant("09:26").astimezone(UTC), call().name, 2 * LOT, Decimal(130), "stop", "level 125.00"),
        (instant("09:35").astimezone(UTC), put().name, 2 * LOT, Decimal(80), "time", ""),
    ]
    assert {(row.actor, row.run, row.account) for row in decided} == {("engine", played.run.id, "one")}
    order = next(row for row in rows if row.what == "order.decided" and row.cause == "stop")
    assert order.time == decided[0].time


async def test_a_day_has_its_beginning_its_plans_its_runs_and_its_end(tmp_path: Path) -> None:
    played = await _in_a_thread(record(tmp_path / "days", QUIET), tmp_path / "data")
    rows = await rows_of(played.data)
    once = ("basket_saved", "strategy_saved", "account_saved", "started", "scheduled", "entered", "ended", "stopped")
    assert [row.what for row in rows if row.what in once] == [
        "account_saved",
        "basket_saved",
        "started",
        "strategy_saved",
        "scheduled",
        "entered",
        "ended",
        "stopped",
    ]
    mine = await rows_of(played.data, Only(account="one"))
    assert mine == [row for row in rows if row.account == "one"]
    assert await rows_of(played.data, Only(run="2026-11-23#x#0")) == []
    assert await rows_of(played.data, Only(strategies=["straddle.straddle"], run=played.run.id)) == [
        row for row in rows if row.run
    ]


async def test_edits_of_plans_name_who_made_which_version(tmp_path: Path) -> None:
    file = tmp_path / "basket.toml"
    file.write_text("format = 1\n" + STRADDLE, encoding="utf-8")
    first = load_basket_file(file, FACTS.names)
    file.write_text("format = 1\n" + STRADDLE.replace('exit = "09:35"', 'exit = "09:30"'), encoding="utf-8")
    second = load_basket_file(file, FACTS.names)
    hand = Hand()
    feed = RecordedFeed(record(tmp_path / "days", QUIET))
    machine = Embedded(
        data=tmp_path / "data",
        market=Market(feed=feed, fills=RecordedFills(feed), is_trading=lambda _, __: False),
        clock=hand,
        facts=FACTS,
        rate=None,
        threaded=False,
        durable=False,
    )
    for minute, files in enumerate(([first], [first], [second], [], [second])):
        hand.time = instant(f"09:0{minute}")
        await machine.adopt(files, actor="asha")
    rows = [row async for row in audit(machine.books, LOCAL_USER, *day())]
    told = [(f"{row.time.astimezone(instant('09:00').tzinfo):%H:%M}", row.what, row.detail) for row in rows]
    assert told[4:] == [
        ("09:02", "strategy_saved", "strategy straddle, version 2"),
        ("09:03", "paused", "basket Straddle, version 2"),
        ("09:04", "resumed", "basket Straddle, version 3"),
    ]
    assert {(row.actor, row.cause) for row in rows} == {("asha", "files")}
    await machine.close()


class Hand:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = instant("09:00")

    def now(self) -> datetime:
        return self.time

    async def sleep_until(self, at: datetime) -> None:
        self.time = max(self.time, at)

    async def pause(self, span: timedelta) -> None:
        self.time += span


# ---------------------------------------------------------------- limits at the moment of sending

WAITING = SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 90')


@pytest.mark.parametrize(
    ("short", "latency", "reason"),
    [
        (steady("100", at0920="160"), 65, Reason.PRICE_FAR),
        ({start: price for start, price in steady("100").items() if start not in {"09:19", "09:20"}}, 5, "stale_quote"),
    ],
)
async def test_a_short_whose_price_went_while_its_hedge_was_filled_is_not_sent(
    tmp_path: Path, short: dict[str, str], latency: int, reason: Reason
) -> None:
    """The answer for the hedge on account one takes its time; account two has entered long before."""
    days = record(tmp_path / "days", {**QUIET, call(): short})
    slow = {"one": Behaviour(latency=timedelta(seconds=latency))}
    played = await _in_a_thread(days, tmp_path / "data", WAITING, behaviour=slow)
    assert (played.leg("short").entered, played.leg("wing").open) == (0, 0), "the hedge is unwound"
    assert played.leg("short", "two").entered == LOT
    (refusal,) = played.day.refusals
    assert (refusal.reason, refusal.account, refusal.leg, refusal.quantity) == (reason, "one", "short", 2 * LOT)
    assert {each.reason for each in played.run.shortfalls} == {reason}
    sides = [(account, side) for account, side in played.book("account, side") if account == "one"]
    assert sides == [("one", "BUY"), ("one", "SELL")], "nothing was sold that was not bought"
    refused = [row for row in await rows_of(played.data) if row.what == "refused"]
    assert [(row.cause, row.account, row.detail) for row in refused] == [(reason, "one", refusal.detail)]


async def test_exits_are_sent_whatever_their_price_is_like(tmp_path: Path) -> None:
    """Nothing has a price after 09:22, so every quote is thirteen minutes old when both are to be left."""
    days = record(
        tmp_path / "days",
        {"NIFTY": steady("26010"), call(): steady("100", end="09:22"), put(): steady("80", end="09:22")},
    )
    played = await _in_a_thread(days, tmp_path / "data")
    exits = [each for each in played.orders if each.intent.action is Action.EXIT]
    assert {each.intent.leg for each in exits} == {"1", "2"}
    assert played.day.refusals == ()


# ---------------------------------------------------------------- one user's alone, on every engine


@pytest.fixture(params=["sqlite", "dynamodb"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Books]:
    """Equal things of three users whose names are alike."""

    def now() -> datetime:
        return instant("09:20")

    table: SqliteTable | DynamoTable
    if request.param == "sqlite":
        table = SqliteTable.open(tmp_path / "table.db", now=now, threaded=False, durable=False)
    else:
        table = await opened(request.getfixturevalue("engine"), tmp_path, now)
    books = Books(table, shards=2, editor=Editor(actor="somebody", cause="files", now=now))
    for user in USERS:
        await _fill(books, user)
    yield books
    await table.close()


USERS = ("asha", "asha2", "ash")


async def _fill(books: Books, user: str) -> None:
    at = instant("09:20")
    await books.save_basket(user, basket())
    await books.save_strategy(user, strategy())
    await books.save_allocation(user, allocation())
    mine = await books.claim(run(user))
    assert mine is not None
    closed = replace(run(user, cycle=1), status=RunStatus.CLOSED)
    position = replace(closed.positions[0], exit_time=at)
    await books.claim(replace(closed, positions=(position,)))
    sent = advance(order(mine, at), OrderState.SENDING, at)
    shared = DynamicPolicy(id="shared", total=4, most=4)
    await books.commit(
        books.put_units(user, divide(shared, [], basket_id="income", capital=Decimal(1), on=DAY)),
        books.put_order(sent)[0],
        books.put_fill(sent.intent, Fill(intent_id=sent.intent.id, quantity=75, value=Decimal(7500), at=at, number=0)),
        books.put_exit(mine, at),
        books.put_carried(mine, DAY),
        books.put_alert(Alert(user_id=user, at=at, code="drift", message=user)),
        books.put_refusal(Refusal(user_id=user, at=at, strategy_id="straddle", reason=Reason.PAUSED, detail=user)),
        books.put_occurrence(Occurrence(user_id=user, at=at, what=What.STARTED, cause="process", detail=user)),
    )


async def test_the_audit_of_a_user_has_nothing_of_another(books: Books) -> None:
    found = {user: [row async for row in audit(books, user, *day())] for user in (*USERS, "as", "bharat")}
    assert found["as"] == found["bharat"] == []
    for user in USERS:
        orders = {row.order for row in found[user] if row.order}
        assert orders == {order(run(user), instant("09:20")).intent.id}
        told = {row.detail for row in found[user] if row.what in {"alert.warning", "refused", "started"}}
        assert told == {user}
        assert sorted((row.what, row.actor) for row in found[user]) == [
            ("alert.warning", "engine"),
            ("allocation_saved", "somebody"),
            ("basket_saved", "somebody"),
            ("ended", "engine"),
            ("fill", "broker"),
            ("order.decided", "engine"),
            ("order.sending", "engine"),
            ("refused", "engine"),
            ("started", "engine"),
            ("strategy_saved", "somebody"),
        ]


GIVEN: dict[str, Any] = {
    "basket_id": "income",
    "strategy_id": "straddle",
    "allocation_id": "straddle.zerodha-1",
    "account_id": "zerodha-1",
    "run_id": run().id,
    "day": DAY,
    "until": DAY,
    "before": instant("23:59"),
    "most": 20,
    "policy": "shared",
    "start": instant("00:00"),
    "end": instant("23:59"),
}


@pytest.mark.parametrize("books", ["sqlite"], indirect=True)
async def test_every_read_of_the_books_that_names_a_user_gives_that_user_s_alone(books: Books) -> None:
    """Whatever read is added is tried here; one that asks for something unknown fails until it is given."""
    reads = {
        name: list(inspect.signature(function).parameters.values())
        for name, function in inspect.getmembers(books, inspect.iscoroutinefunction)
        if not name.startswith(("_", "save_", "delete_")) and "user_id" in inspect.signature(function).parameters
    }
    assert len(reads) > 20
    for name, parameters in reads.items():
        needed = [
            each.name for each in parameters if each.default is inspect.Parameter.empty and each.name != "user_id"
        ]
        for user in (*USERS, "as", "bharat"):
            intent = order(run(user), instant("09:20")).intent.id
            given = {each: {**GIVEN, "intent_id": intent}[each] for each in needed}
            _require_own(user, await getattr(books, name)(user, **given), name)
    stranger = order(run("asha"), instant("09:20")).intent.id
    assert await books.order("asha2", stranger) is None


def _require_own(user: str, found: object, read: str) -> None:
    if isinstance(found, Listed):
        found = list(found.items)
    items = found if isinstance(found, list) else [] if found is None else [found]
    if user not in USERS:
        assert items == [], f"{read} gives {user} what is others'"
    for item in items:
        owner = getattr(item, "user_id", None) or getattr(getattr(item, "intent", None), "user_id", user)
        assert owner == user, f"{read} gives {user} what is {owner}'s"


async def test_the_audit_is_read_a_page_at_a_time(tmp_path: Path) -> None:
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: instant("09:20"), threaded=False, durable=False)
    books = Books(table)
    for first in range(0, 2500, 100):
        started = [
            Occurrence(user_id="asha", at=instant("09:00") + timedelta(seconds=n), what=What.STARTED, cause="process")
            for n in range(first, first + 100)
        ]
        await books.commit(*map(books.put_occurrence, started))
    table.requests.clear()
    rows = audit(books, "asha", *day())
    await anext(rows)
    assert table.requests.total() == 1
    assert 1 + len([row async for row in rows]) == 2500
    assert table.requests.total() == 3
    await table.close()
