"""The live stream: what is told of a commit, to whom, in which order, and what a client that was away is told."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.changes import Changes
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.second_path import SecondPath
from option_baskets.adapters.two_paths import TwoPathTable
from option_baskets.domain.errors import Conflict, TooMany, Unavailable
from option_baskets.domain.events import MarketPhase, Tick
from option_baskets.domain.order import Fill, Order, OrderState
from option_baskets.engine.live import EVERYBODY, told
from option_baskets.engine.live_channel import REMEMBERED, Subscription
from option_baskets.engine.live_format import rupees_told
from option_baskets.engine.live_hub import CONNECTIONS, KEPT, Hub
from option_baskets.engine.live_messages import Ending
from option_baskets.engine.profits import profits_of
from option_baskets.ports import Item, Put, TableName, Write
from option_baskets.store.books import Alert, Books, TickState
from option_baskets.store.health import Health
from option_baskets.wiring import LOCAL_USER, TRADING_FILE, Embedded
from tests.engine import plans
from tests.engine.small_market import SmallMarket
from tests.engine.tiny_day import DAY, FACTS, LISTED, STRADDLE, Prices, call, instant, play_day, put, record, steady

MOVING: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0924="130"), put(): steady("80", at0930="60")}
"""The call's stop is hit in the bar of 09:24; the put is bought back at 09:35."""
CLOSE = instant("09:40")


@dataclass
class Client:
    """Keeps what it is told, and what it makes of it as docs/stream.md says."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    epoch: str = ""
    seq: int = 0
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def follow(self, subscription: Subscription) -> None:
        try:
            while (frame := await subscription.next()) is not None:
                for text in frame.split("\n"):
                    self.hear(json.loads(text))
        finally:
            subscription.close()

    def hear(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        match message["type"]:
            case "snapshot":
                self.epoch, self.seq = message["epoch"], message["seq"]
                self.runs = {run["run_id"]: run for run in message["runs"]}
                self.orders = {order["order_id"]: order for order in message["orders"]}
                self.alerts = {alert["id"]: alert for alert in message["alerts"]}
                self.newest |= {"pnl": message["pnl"], "greeks": message["greeks"]}
                return
            case "run":
                self.runs[message["run"]["run_id"]] = message["run"]
            case "order":
                self.orders[message["order"]["order_id"]] = message["order"]
            case "alert":
                self.alerts[message["alert"]["id"]] = message["alert"]
            case "tick" | "pnl" | "greeks":
                self.newest[message["type"]] = message
        if message["seq"] is not None:
            assert message["seq"] == self.seq + 1, "a gap or a double"
            self.seq = message["seq"]

    @property
    def numbered(self) -> list[dict[str, Any]]:
        return [each for each in self.messages if each["seq"] is not None and each["type"] != "snapshot"]

    def types(self) -> list[str]:
        return [each["type"] for each in self.messages]


def hub_of(machine: Embedded) -> Hub:
    return Hub(
        books=machine.books,
        facts=machine.facts,
        feed=machine.feed,
        market=machine.clock,
        wall=machine.clock,
        session=lambda: None,
        epoch="test",
    )


@contextlib.asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def beside(
    days: Path, data: Path, act: Callable[[Embedded, Hub], Coroutine[Any, Any, None]], basket: str = STRADDLE
) -> None:
    """Play the day with a hub, and the act beside it."""

    async def with_hub(machine: Embedded) -> None:
        hub = hub_of(machine)
        machine.changes.follow(hub.committed)
        async with running(hub):
            await act(machine, hub)

    play_day(days, data, basket, acts=[with_hub])


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", MOVING)


# ---------------------------------------------------------------- what is told of an item


def items_of(data: Path) -> list[tuple[TableName, Item]]:
    found = []
    with contextlib.closing(sqlite3.connect(data / TRADING_FILE)) as file:
        for table in (TableName.CONFIGURATIONS, TableName.HISTORY):
            rows = file.execute(f"SELECT pk, sk, version, body FROM {table.replace('-', '_')}")
            found += [(table, Item(pk=pk, sk=sk, version=version, body=body)) for pk, sk, version, body in rows]
    return found


def test_of_every_item_of_a_day_its_own_user_is_told_or_nobody(days: Path, tmp_path: Path) -> None:
    play_day(days, tmp_path / "data")
    heard: dict[str, set[str]] = {}
    silent = set()
    for table, item in items_of(tmp_path / "data"):
        found = told(table, item, CLOSE)
        if found is None:
            silent.add(item.sk.split("#")[0] if table is TableName.CONFIGURATIONS else item.sk.split("#")[2])
            continue
        heard.setdefault(found.message.type, set()).add(found.user_id)
        assert found.user_id == item.pk or (found.user_id == EVERYBODY and found.message.type == "tick")
    assert heard == {
        "order": {LOCAL_USER},
        "fill": {LOCAL_USER},
        "run": {LOCAL_USER},
        "event": {LOCAL_USER},
    }
    assert silent >= {"ENTRY", "EXIT", "BASKET", "STRATEGY", "LEG_ALLOCATION", "ACCOUNT", "EDITS"}
    assert not silent & {"ORDER", "FILL", "RUN", "EVENT", "ALERT", "RISK"}


def test_a_tick_is_told_when_it_is_emitted_and_not_when_it_is_done(days: Path, tmp_path: Path) -> None:
    client = Client()

    async def act(machine: Embedded, hub: Hub) -> None:
        following = asyncio.create_task(client.follow(await hub.subscribe("somebody")))
        await machine.clock.sleep_until(CLOSE + timedelta(seconds=1))
        following.cancel()

    beside(days, tmp_path / "data", act)
    ticks = [each for each in client.messages if each["type"] == "tick"]
    assert [each["at"][11:16] for each in ticks][-3:] == ["09:37", "09:38", "09:39"]
    assert len({each["at"] for each in ticks}) == len(ticks) >= 39
    assert {each["date"] for each in ticks} == {DAY.isoformat()}
    assert ticks[-1]["phase"] == "PRE_CLOSE"


# ---------------------------------------------------------------- a whole day


@pytest.mark.parametrize("joins", ["09:01", "09:20:00.000001", "09:25", "09:34:59", "09:39"])
def test_a_client_that_joins_at_any_time_ends_with_what_the_store_has(days: Path, tmp_path: Path, joins: str) -> None:
    client = Client()
    stored: dict[str, Any] = {}

    async def act(machine: Embedded, hub: Hub) -> None:
        await machine.clock.sleep_until(instant(joins))
        following = asyncio.create_task(client.follow(await hub.subscribe(LOCAL_USER)))
        await machine.clock.sleep_until(CLOSE - timedelta(seconds=1))
        stored["runs"] = await machine.books.runs_on(LOCAL_USER, DAY)
        stored["orders"] = await machine.books.orders_of_run(LOCAL_USER, stored["runs"][0].id)
        market = await machine.feed.snapshot(machine.clock.now())
        stored["profits"] = await profits_of(
            machine.books, FACTS, user_id=LOCAL_USER, day=DAY, today=DAY, market=market
        )
        following.cancel()

    beside(days, tmp_path / "data", act)
    (run,) = stored["runs"]
    (shown,) = client.runs.values()
    assert (shown["status"], shown["version"]) == ("CLOSED", run.version)
    assert [each["open"] for each in shown["positions"]] == [0, 0]
    assert {each["exit_reason"] for each in shown["positions"]} == {"stop", "time"}
    for order in stored["orders"]:
        if order.intent.id in client.orders:  # what was final when it came is in no snapshot
            known = client.orders[order.intent.id]
            assert (known["state"], known["version"]) == ("FILLED", order.version)
    total, made = client.newest["pnl"]["total"], stored["profits"].total
    assert (total["realised"], total["charges"]) == (rupees_told(made.realised), rupees_told(made.charges))
    assert total["unrealised"] == "0.00"
    assert client.newest["pnl"]["positions"] == []


def test_what_is_open_is_valued_at_every_tick_and_after_every_fill(days: Path, tmp_path: Path) -> None:
    client = Client()

    async def act(machine: Embedded, hub: Hub) -> None:
        following = asyncio.create_task(client.follow(await hub.subscribe(LOCAL_USER)))
        await machine.clock.sleep_until(CLOSE)
        following.cancel()

    beside(days, tmp_path / "data", act)
    profits = [each for each in client.messages if each["type"] == "pnl"]
    entered = next(each for each in profits if each["positions"])
    assert entered["at"] < "2026-11-24T09:20:01"
    assert {each["unrealised"] for each in entered["positions"]} == {"0.00"}
    stopped = next(each for each in profits if each["total"]["realised"] != "0.00")
    assert stopped["at"] < "2026-11-24T09:25:01"
    greeks = [each for each in client.messages if each["type"] == "greeks" and each["positions"]]
    both = next(each for each in greeks if len(each["positions"]) == 2)
    assert both["underlyings"][0]["underlying"] == "NIFTY"
    # Sold at the money, a straddle loses with every move and gains with every day.
    assert both["underlyings"][0]["greeks"]["gamma"] < 0 < both["underlyings"][0]["greeks"]["theta"]


def test_whoever_comes_back_is_told_what_was_missed_once_and_in_order(days: Path, tmp_path: Path) -> None:
    stays, leaves = Client(), Client()

    async def act(machine: Embedded, hub: Hub) -> None:
        following = [asyncio.create_task(client.follow(await hub.subscribe(LOCAL_USER))) for client in (stays, leaves)]
        for back in ("09:22", "09:25:00.2", "09:35:00.1"):
            await machine.clock.sleep_until(instant(back) - timedelta(minutes=1, seconds=59))
            following[1].cancel()
            await machine.clock.sleep_until(instant(back))
            again = await hub.subscribe(LOCAL_USER, (leaves.epoch, leaves.seq))
            following[1] = asyncio.create_task(leaves.follow(again))
        await machine.clock.sleep_until(CLOSE)
        for task in following:
            task.cancel()

    beside(days, tmp_path / "data", act)
    assert leaves.types().count("resumed") == 3
    assert leaves.types().count("snapshot") == 1
    assert leaves.numbered == stays.numbered
    assert {"order", "fill", "run", "event"} <= {each["type"] for each in stays.numbered}
    assert (leaves.runs, leaves.orders) == (stays.runs, stays.orders)
    assert leaves.newest["pnl"] == stays.newest["pnl"]


# ---------------------------------------------------------------- one table, by hand


@dataclass
class Quiet:
    """A machine's table and a hub, and nobody who trades."""

    table: SqliteTable
    books: Books
    hub: Hub
    changes: Changes
    clock: SimulatedClock

    async def alert(self, user_id: str, subject: str) -> None:
        await self.books.commit(self.books.put_alert(alert(user_id, self.clock.now(), subject)))


def alert(user_id: str, at: datetime, subject: str) -> Alert:
    return Alert(user_id=user_id, at=at, code="test", message=f"something about {subject}", subject=subject)


def quietly(folder: Path, act: Callable[[Quiet], Coroutine[Any, Any, None]]) -> None:
    """Run the act over an empty table, in simulated time."""

    async def main(clock: SimulatedClock) -> None:
        changes = Changes()
        table = SqliteTable.open(folder / "file", now=clock.now, threaded=False, durable=False, committed=changes.tell)
        books = Books(table)
        hub = Hub(
            books=books,
            facts=FACTS,
            feed=SmallMarket(LISTED),
            market=clock,
            wall=clock,
            session=lambda: None,
            epoch="test",
        )
        changes.follow(hub.committed)
        async with running(hub):
            await act(Quiet(table=table, books=books, hub=hub, changes=changes, clock=clock))
        await table.close()

    run_simulated(main, instant("09:00"))


def test_a_user_is_told_nothing_of_another_and_everybody_of_the_ticks(tmp_path: Path) -> None:
    clients = {"asha": Client(), "asha2": Client(), "ash": Client()}

    async def act(quiet: Quiet) -> None:
        following = [
            asyncio.create_task(client.follow(await quiet.hub.subscribe(user))) for user, client in clients.items()
        ]
        for user in ("asha", "asha2", "nobody"):
            await quiet.alert(user, f"what is {user}'s")
        tick = Tick(at=instant("09:15"), phase=MarketPhase.MARKET_OPEN)
        await quiet.books.mark_tick(tick, TickState.EMITTED)
        await quiet.books.mark_tick(tick, TickState.DONE)
        await quiet.clock.pause(timedelta(seconds=1))
        for task in following:
            task.cancel()

    quietly(tmp_path, act)
    said = {user: [each["alert"]["message"] for each in client.numbered] for user, client in clients.items()}
    assert said == {"asha": ["something about what is asha's"], "asha2": ["something about what is asha2's"], "ash": []}
    assert [client.types().count("tick") for client in clients.values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("place", "why"),
    [(("another.1", 3), "another_epoch"), (("test.1", 99_999), "ahead"), (("test.1", 1), "too_long_ago")],
)
def test_what_cannot_be_told_any_more_is_reset_with_a_whole_snapshot(
    tmp_path: Path, place: tuple[str, int], why: str
) -> None:
    client = Client()

    async def act(quiet: Quiet) -> None:
        stays = await quiet.hub.subscribe("asha")
        assert await stays.next() is not None
        for number in range(REMEMBERED + 5):
            await quiet.alert("asha", f"{number}")
            await asyncio.sleep(0)
        await quiet.clock.pause(timedelta(seconds=1))
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha", place)))
        await quiet.alert("asha", "the next")
        await quiet.clock.pause(timedelta(seconds=1))
        following.cancel()

    quietly(tmp_path, act)
    assert client.types()[:3] == ["reset", "snapshot", "alert"]
    assert client.messages[0]["reason"] == why
    assert len(client.messages[1]["alerts"]) == REMEMBERED + 5
    assert client.messages[2]["seq"] == client.messages[1]["seq"] + 1


def test_a_client_that_takes_nothing_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    client = Client()

    async def act(quiet: Quiet) -> None:
        slow = await quiet.hub.subscribe("asha")
        assert await slow.next() is not None
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha")))
        for number in range(REMEMBERED + 1):
            await quiet.alert("asha", f"{number}")
            await quiet.clock.pause(timedelta(milliseconds=1))
        assert await slow.next() is None
        assert slow.ending is Ending.TOO_SLOW
        assert quiet.hub.counts() == (2, 1)
        slow.close()
        assert quiet.hub.counts() == (1, 1)
        following.cancel()

    quietly(tmp_path, act)
    assert len(client.numbered) == REMEMBERED + 1


def test_of_what_is_behind_only_the_newest_profit_is_sent_and_all_that_is_numbered(tmp_path: Path) -> None:
    async def act(quiet: Quiet) -> None:
        slow = await quiet.hub.subscribe("asha")
        assert await slow.next() is not None
        for number in range(5):
            await quiet.alert("asha", f"{number}")
            await quiet.clock.pause(timedelta(seconds=5))
        frame = await slow.next()
        assert frame is not None
        types = [json.loads(text)["type"] for text in frame.split("\n")]
        assert types == ["alert"] * 5 + ["pnl", "greeks"]
        slow.close()

    quietly(tmp_path, act)


def test_a_version_that_was_not_told_yet_is_told_of_no_more(tmp_path: Path) -> None:
    client = Client()

    async def act(quiet: Quiet) -> None:
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha")))
        await quiet.clock.pause(timedelta(seconds=1))
        order = plans.order(plans.run(), instant("09:20"))
        for state in (OrderState.SENDING, OrderState.OPEN, OrderState.PARTIAL):
            write, order = quiet.books.put_order(replace(order, state=state))
            await quiet.books.commit(write)  # nothing else runs in between: commits here do not wait
        await quiet.clock.pause(timedelta(seconds=1))
        write, order = quiet.books.put_order(replace(order, state=OrderState.FILLED))
        await quiet.books.commit(write)
        await quiet.clock.pause(timedelta(seconds=1))
        following.cancel()

    quietly(tmp_path, act)
    told_of = [(each["seq"], each["order"]["state"], each["order"]["version"]) for each in client.numbered]
    assert told_of == [(1, "PARTIAL", 3), (2, "FILLED", 4)]


def test_what_the_table_tells_twice_is_told_once(tmp_path: Path) -> None:
    """As when what was kept aside is merged; and what is older than what is known is not told at all."""
    client = Client()

    async def act(quiet: Quiet) -> None:
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha")))
        first, order = quiet.books.put_order(plans.order(plans.run(), instant("09:20")))
        second, _ = quiet.books.put_order(replace(order, state=OrderState.OPEN))
        fill = quiet.books.put_fill(order.intent, fill_of(order))
        note = quiet.books.put_alert(alert("asha", quiet.clock.now(), "it"))
        for writes in ([second, fill, note], [first], [second, fill, note]):
            quiet.hub.committed(writes)
            await quiet.clock.pause(timedelta(seconds=1))
        following.cancel()

    quietly(tmp_path, act)
    assert [each["type"] for each in client.numbered] == ["order", "fill", "alert"]
    assert client.numbered[0]["order"]["state"] == "OPEN"


def fill_of(order: Order) -> Fill:
    quantity = order.intent.quantity
    return Fill(
        intent_id=order.intent.id, quantity=quantity, value=order.intent.limit * quantity, at=instant("09:21"), number=0
    )


def test_where_nobody_listens_nothing_is_kept_and_nothing_told_of_what_was_before(tmp_path: Path) -> None:
    client = Client()

    async def act(quiet: Quiet) -> None:
        await quiet.alert("asha", "before")
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha")))
        await quiet.clock.pause(timedelta(seconds=1))
        following.cancel()

    quietly(tmp_path, act)
    assert client.numbered == []
    assert [each["message"] for each in client.alerts.values()] == ["something about before"]


def test_a_user_has_a_limit_of_connections_and_others_have_theirs(tmp_path: Path) -> None:
    async def act(quiet: Quiet) -> None:
        held = [await quiet.hub.subscribe("asha") for _ in range(CONNECTIONS)]
        with pytest.raises(TooMany):
            await quiet.hub.subscribe("asha")
        await quiet.hub.subscribe("ravi")
        held[0].close()
        await quiet.hub.subscribe("asha")

    quietly(tmp_path, act)


@pytest.mark.parametrize(("away", "first"), [(KEPT - 10, "resumed"), (KEPT + 10, "reset")])
def test_a_sequence_outlives_its_last_client_for_a_while(tmp_path: Path, away: float, first: str) -> None:
    client = Client()

    async def act(quiet: Quiet) -> None:
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha")))
        await quiet.alert("asha", "one")
        await quiet.clock.pause(timedelta(seconds=10))
        following.cancel()
        await quiet.clock.pause(timedelta(seconds=1))
        await quiet.alert("asha", "two")
        await quiet.clock.pause(timedelta(seconds=away - 1))
        client.messages.clear()
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha", (client.epoch, client.seq))))
        await quiet.clock.pause(timedelta(seconds=1))
        following.cancel()

    quietly(tmp_path, act)
    assert client.types()[0] == first
    assert len(client.alerts) == 2


def test_an_item_that_cannot_be_read_ends_the_clients_who_then_begin_anew(tmp_path: Path) -> None:
    client = Client()

    async def act(quiet: Quiet) -> None:
        broken = await quiet.hub.subscribe("asha")
        assert await broken.next() is not None
        item = Item(pk="asha", sk="RUN#2026-11-24#straddle#0", body=b"{}")
        quiet.hub.committed([Put(table=TableName.CONFIGURATIONS, item=item)])
        assert await broken.next() is None
        assert broken.ending is Ending.FAILED
        following = asyncio.create_task(client.follow(await quiet.hub.subscribe("asha", ("test.1", 0))))
        await quiet.alert("asha", "after")
        await quiet.clock.pause(timedelta(seconds=1))
        following.cancel()

    quietly(tmp_path, act)
    assert client.types()[:3] == ["reset", "snapshot", "alert"]


# ---------------------------------------------------------------- what is committed


async def test_a_commit_is_told_of_also_where_nobody_waits_for_it(tmp_path: Path) -> None:
    seen: list[Sequence[Write]] = []
    arrived = asyncio.Event()

    def follow(writes: Sequence[Write]) -> None:
        seen.append(writes)
        arrived.set()

    table = SqliteTable.open(tmp_path / "file", now=lambda: datetime(2026, 11, 24, tzinfo=UTC), committed=follow)
    write = Put(table=TableName.HISTORY, item=Item(pk="asha", sk="a", body=b"1"))
    committing = asyncio.create_task(table.commit([write]))
    await asyncio.sleep(0)
    committing.cancel()
    await arrived.wait()
    assert committing.cancelled()
    assert seen == [[write]]
    assert await table.get(TableName.HISTORY, "asha", "a") is not None
    await table.close()


@pytest.mark.parametrize("threaded", [False, True])
async def test_what_failed_is_not_told_and_a_follower_that_fails_fails_no_commit(
    tmp_path: Path, threaded: bool
) -> None:
    changes = Changes()
    seen: list[Sequence[Write]] = []

    def fails(_: Sequence[Write]) -> None:
        raise KeyError("a bug")

    changes.follow(fails)
    changes.follow(seen.append)
    table = SqliteTable.open(
        tmp_path / "file", now=lambda: datetime(2026, 11, 24, tzinfo=UTC), threaded=threaded, committed=changes.tell
    )
    write = Put(table=TableName.HISTORY, item=Item(pk="asha", sk="a", body=b"1"), expected=0)
    await table.commit([write])
    with pytest.raises(Conflict):
        await table.commit([write])
    assert seen == [[write]]
    changes.unfollow(seen.append)
    await table.commit([Put(table=TableName.HISTORY, item=Item(pk="asha", sk="b", body=b"1"))])
    assert len(seen) == 1
    await table.close()


def test_what_is_kept_aside_is_told_when_it_is_on_disk(tmp_path: Path) -> None:
    seen: list[Sequence[Write]] = []

    class Full(SqliteTable):
        async def commit(self, writes: Sequence[Write]) -> None:
            raise Unavailable("the disk is full")

    async def main(clock: SimulatedClock) -> None:
        file = SqliteTable.open(tmp_path / "file", now=clock.now, threaded=False).file
        second = SecondPath(tmp_path / "aside.jsonl", reserved=0, durable=False)
        table = TwoPathTable(Full(file, now=clock.now), second, clock, Health(), committed=seen.append)
        write = Put(table=TableName.HISTORY, item=Item(pk="asha", sk="2026#s#ALERT#a", body=b"1"))
        await table.commit([write])
        assert seen == [[write]]
        await table.close()

    run_simulated(main, instant("09:00"))
