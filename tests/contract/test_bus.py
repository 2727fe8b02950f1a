"""What every Bus keeps to, and what one that handles in its own process does besides.

A bus joins the suite by a class like ``InProcess``, in ``KINDS``.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, Self
from uuid import uuid4

import pytest

from option_baskets.adapters.aws.bus import SOURCE, EventBridgeBus
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.embedded.bus import InProcessBus
from option_baskets.domain.errors import Halt, Unavailable
from option_baskets.domain.events import Event, EventType, MarketPhase, Priority
from option_baskets.domain.session import IST
from option_baskets.ports import Bus, Handler
from tests.contract.engines import PATIENCE

AT = datetime(2026, 1, 5, 9, 20, tzinfo=IST)
Failures = list[tuple[Event, Exception]]


def event(type_: EventType, priority: Priority = Priority.NORMAL, at: datetime = AT) -> Event:
    return Event(type=type_, at=at, phase=MarketPhase.MARKET_OPEN, priority=priority)


class Line(Protocol):
    """A bus from end to end."""

    failures: Failures
    """What handlers raised, with the event; it is brought again, or put aside, by whoever brings it."""

    @property
    def bus(self) -> Bus: ...

    async def carry(self, events: list[Event]) -> None:
        """Publish them, and return when each has been handled by everybody it is for."""
        ...


class InProcess:
    def __init__(self) -> None:
        self.failures: Failures = []
        self.bus = InProcessBus(on_error=lambda event, error: self.failures.append((event, error)))

    @classmethod
    @asynccontextmanager
    async def opened(cls, _: pytest.FixtureRequest) -> AsyncIterator[Self]:
        yield cls()

    async def carry(self, events: list[Event]) -> None:
        await self.bus.publish(events)


class OfEventBridge:
    """A rule brings everything of the bus to a queue; what is in it is handed to the handlers of this process."""

    def __init__(self, events: Service, sqs: Service, name: str, queue: str) -> None:
        self.failures: Failures = []
        self.bus = EventBridgeBus(events, name)
        self._sqs = sqs
        self._queue = queue

    @classmethod
    @asynccontextmanager
    async def opened(cls, request: pytest.FixtureRequest) -> AsyncIterator[Self]:
        request.getfixturevalue("aws")
        events, sqs = await Service.open("events", patience=PATIENCE), await Service.open("sqs", patience=PATIENCE)
        name = f"bus-{uuid4().hex}"
        queue = (await sqs.call("create_queue", QueueName=name))["QueueUrl"]
        arn = await sqs.call("get_queue_attributes", QueueUrl=queue, AttributeNames=["QueueArn"])
        await events.call("create_event_bus", Name=name)
        pattern = json.dumps({"source": [SOURCE]})
        await events.call("put_rule", Name="all", EventBusName=name, EventPattern=pattern)
        target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
        await events.call("put_targets", Rule="all", EventBusName=name, Targets=[target])
        yield cls(events, sqs, name, queue)
        await events.close()
        await sqs.close()

    async def carry(self, events: list[Event]) -> None:
        await self.bus.publish(events)
        brought = 0
        while brought < len(events):
            for message in await self._received():
                detail = json.loads(message)["detail"]
                brought += 1
                try:
                    await self.bus.deliver(detail)
                except Unavailable as error:
                    self.failures.append((next(each for each in events if each.type == detail["event"]["type"]), error))
        assert await self._received() == []

    async def _received(self) -> list[str]:
        answer = await self._sqs.call("receive_message", QueueUrl=self._queue, MaxNumberOfMessages=10)
        for each in answer.get("Messages", []):
            await self._sqs.call("delete_message", QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return [each["Body"] for each in answer.get("Messages", [])]


KINDS: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Line]]] = {
    "in-process": InProcess.opened,
    "EventBridge": OfEventBridge.opened,
}


@pytest.fixture(params=KINDS)
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    async with KINDS[request.param](request) as line:
        yield line


@pytest.fixture
def failures() -> Failures:
    return []


@pytest.fixture
def bus(failures: Failures) -> Bus:
    return InProcessBus(on_error=lambda event, error: failures.append((event, error)))


def noting(handled: list[Event]) -> Handler:
    async def handle(event: Event) -> None:
        handled.append(event)

    return handle


def failing(error: Callable[[], Exception]) -> Handler:
    async def handle(event: Event) -> None:
        raise error()

    return handle


# ---------------------------------------------------------------- every bus


async def test_an_event_reaches_the_handlers_of_its_type_whole_and_no_other(line: Line) -> None:
    stops: list[Event] = []
    prices: list[Event] = []
    line.bus.subscribe(EventType.CHECK_STOP_LOSS, noting(stops))
    line.bus.subscribe(EventType.REFRESH_MARKET_DATA, noting(prices))
    sent = replace(event(EventType.CHECK_STOP_LOSS, Priority.CRITICAL), late=True)
    await line.carry([sent])
    assert stops == [sent]
    assert prices == []


async def test_an_event_nobody_wants_is_no_error(line: Line) -> None:
    await line.carry([event(EventType.CHECK_STOP_LOSS)])
    assert line.failures == []


async def test_more_events_than_go_out_at_once_all_arrive(line: Line) -> None:
    handled: list[Event] = []
    line.bus.subscribe(EventType.SCHEDULE_STRATEGY_TRIGGER, noting(handled))
    events = [event(EventType.SCHEDULE_STRATEGY_TRIGGER, at=AT + timedelta(minutes=n)) for n in range(23)]
    await line.carry(events)
    assert sorted(handled, key=lambda each: each.at) == events


async def test_a_handler_that_fails_stops_no_other(line: Line) -> None:
    handled: list[Event] = []
    line.bus.subscribe(EventType.REFRESH_MARKET_DATA, failing(lambda: Unavailable("no feed")))
    line.bus.subscribe(EventType.REFRESH_MARKET_DATA, noting(handled))
    line.bus.subscribe(EventType.CHECK_STOP_LOSS, noting(handled))
    prices, stops = event(EventType.REFRESH_MARKET_DATA), event(EventType.CHECK_STOP_LOSS)
    await line.carry([prices, stops])
    assert sorted(handled, key=lambda each: each.type) == sorted([prices, stops], key=lambda each: each.type)
    assert [(event, str(error)) for event, error in line.failures] == [(prices, "no feed")]


# ---------------------------------------------------------------- in its own process


async def test_the_more_urgent_event_is_handled_first(bus: Bus) -> None:
    handled: list[Event] = []
    for type_ in EventType:
        bus.subscribe(type_, noting(handled))
    schedule = event(EventType.SCHEDULE_STRATEGY_TRIGGER, Priority.HIGH)
    duplicates = event(EventType.CHECK_DUPLICATE_ORDERS, Priority.NORMAL)
    stops = event(EventType.CHECK_STOP_LOSS, Priority.CRITICAL)
    await bus.publish([duplicates, schedule, stops])
    assert handled == [stops, schedule, duplicates]


async def test_equally_urgent_events_are_handled_in_the_order_published(bus: Bus) -> None:
    handled: list[Event] = []
    bus.subscribe(EventType.SCHEDULE_STRATEGY_TRIGGER, noting(handled))
    events = [event(EventType.SCHEDULE_STRATEGY_TRIGGER, at=AT + timedelta(minutes=n)) for n in (3, 1, 2)]
    await bus.publish(events)
    assert handled == events


async def test_publishing_ends_when_every_handler_has_ended(bus: Bus) -> None:
    handled: list[Event] = []
    for _ in range(2):
        bus.subscribe(EventType.CHECK_STOP_LOSS, noting(handled))
    await bus.publish([event(EventType.CHECK_STOP_LOSS)])
    assert len(handled) == 2


async def test_a_halt_is_not_swallowed(bus: Bus, failures: Failures) -> None:
    bus.subscribe(EventType.CHECK_STOP_LOSS, failing(lambda: Halt("the journal cannot be written")))
    with pytest.raises(Halt):
        await bus.publish([event(EventType.CHECK_STOP_LOSS)])
    assert failures == []
