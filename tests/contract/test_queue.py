"""What every Queue must do, in simulated time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.queue import TableQueue
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.inbox_queue import InboxQueue
from option_baskets.domain.errors import Conflict
from option_baskets.ports import Item, Message, Put, Queue, Table, TableName

START = datetime(2026, 11, 24, 3, 45, tzinfo=UTC)
Scenario = Callable[[Table, SimulatedClock], Awaitable[None]]
Opener = Callable[[Table, SimulatedClock], Queue]
ADAPTERS: dict[str, Opener] = {"table": TableQueue, "inbox": InboxQueue}


@pytest.fixture(params=ADAPTERS)
def open_queue(request: pytest.FixtureRequest) -> Opener:
    return ADAPTERS[request.param]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Run a scenario from ``START`` on a loop in simulated time, over a table that stays between scenarios."""

    def play(scenario: Scenario) -> None:
        async def main(clock: SimulatedClock) -> None:
            table = SqliteTable.open(tmp_path / "table.db", now=clock.now, threaded=False, durable=False)
            await scenario(table, clock)
            await table.close()

        run_simulated(main, START)

    return play


def message(name: str, seconds: float) -> Message:
    return Message(
        id=name,
        at=START + timedelta(seconds=seconds),
        kind="enter",
        body={"user_id": "u", "run": f"2026-11-24#{name}#0"},
    )


async def send(table: Table, queue: Queue, *messages: Message) -> None:
    await table.commit([queue.write(each) for each in messages])
    await queue.sent(messages)


async def received(queue: Queue, clock: SimulatedClock, count: int, *, done: bool = True) -> list[tuple[str, float]]:
    """(id, seconds after the start) of the next messages."""
    found: list[tuple[str, float]] = []
    async for each in queue.receive():
        found.append((each.id, (clock.now() - START).total_seconds()))
        if done:
            await queue.done(each)
        if len(found) == count:
            break
    return found


def test_messages_come_at_their_instant_in_order_of_instant_and_id(
    play: Callable[[Scenario], None], open_queue: Opener
) -> None:
    async def scenario(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        await send(table, queue, message("c", 20), message("b", 5), message("a", 5), message("late", -60))
        assert await received(queue, clock, 4) == [("late", 0), ("a", 5), ("b", 5), ("c", 20)]

    play(scenario)


def test_a_message_comes_back_whole(play: Callable[[Scenario], None], open_queue: Opener) -> None:
    async def scenario(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        sent = message("a", 1.000001)
        await send(table, queue, sent)
        assert await anext(queue.receive()) == sent
        assert clock.now() == sent.at

    play(scenario)


def test_an_earlier_message_wakes_a_receiver_that_waits_for_a_later_one(
    play: Callable[[Scenario], None], open_queue: Opener
) -> None:
    async def scenario(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        waiting = asyncio.create_task(received(queue, clock, 3))
        await clock.sleep_until(START + timedelta(seconds=1))
        await send(table, queue, message("later", 30))
        await clock.sleep_until(START + timedelta(seconds=10))
        await send(table, queue, message("earlier", 20), message("overdue", 3))
        assert await waiting == [("overdue", 10), ("earlier", 20), ("later", 30)]

    play(scenario)


def test_a_message_sent_twice_is_received_once(play: Callable[[Scenario], None], open_queue: Opener) -> None:
    async def scenario(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        await send(table, queue, message("a", 1))
        await send(table, queue, message("a", 1), message("b", 2))
        assert await received(queue, clock, 2) == [("a", 1), ("b", 2)]

    play(scenario)


def test_a_message_sent_anew_for_another_instant_comes_then(
    play: Callable[[Scenario], None], open_queue: Opener
) -> None:
    async def scenario(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        waiting = asyncio.create_task(received(queue, clock, 2))
        await clock.sleep_until(START + timedelta(seconds=0.5))
        await send(table, queue, message("a", 1), message("b", 2))
        await send(table, queue, message("a", 3))
        assert await waiting == [("b", 2), ("a", 3)]

    play(scenario)


def test_what_was_not_done_is_received_again_after_a_restart(
    play: Callable[[Scenario], None], open_queue: Opener
) -> None:
    async def first(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        await send(table, queue, message("done", 1), message("begun", 2), message("not due", 60))
        assert await received(queue, clock, 1) == [("done", 1)]
        assert await received(queue, clock, 1, done=False) == [("begun", 2)]

    async def second(table: Table, clock: SimulatedClock) -> None:
        assert await received(open_queue(table, clock), clock, 2) == [("begun", 2), ("not due", 60)]

    play(first)
    play(second)


def test_a_message_whose_commit_failed_was_never_sent(play: Callable[[Scenario], None], open_queue: Opener) -> None:
    async def scenario(table: Table, clock: SimulatedClock) -> None:
        queue = open_queue(table, clock)
        claim = Put(table=TableName.CONFIGURATIONS, item=Item(pk="u", sk="RUN", body=b"{}"), expected=0)
        await table.commit([claim, queue.write(message("first", 1))])
        with pytest.raises(Conflict):
            await table.commit([claim, queue.write(message("second", 1))])
        await send(table, queue, message("last", 5))
        assert await received(queue, clock, 2) == [("first", 1), ("last", 5)]

    play(scenario)
