"""What every Bus keeps to. A new adapter is added to ``buses`` and passes as it is."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from option_baskets.adapters.embedded.bus import InProcessBus
from option_baskets.domain.errors import Halt, Unavailable
from option_baskets.domain.events import Event, EventType, MarketPhase, Priority
from option_baskets.domain.session import IST
from option_baskets.ports import Bus, Handler

AT = datetime(2026, 1, 5, 9, 20, tzinfo=IST)
Failures = list[tuple[Event, Exception]]


def event(type_: EventType, priority: Priority = Priority.NORMAL, at: datetime = AT) -> Event:
    return Event(type=type_, at=at, phase=MarketPhase.MARKET_OPEN, priority=priority)


@pytest.fixture
def failures() -> Failures:
    return []


@pytest.fixture(params=["in-process"])
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


async def test_an_event_reaches_the_handlers_of_its_type_and_no_other(bus: Bus) -> None:
    stops: list[Event] = []
    prices: list[Event] = []
    bus.subscribe(EventType.CHECK_STOP_LOSS, noting(stops))
    bus.subscribe(EventType.REFRESH_MARKET_DATA, noting(prices))
    await bus.publish([event(EventType.CHECK_STOP_LOSS)])
    assert stops == [event(EventType.CHECK_STOP_LOSS)]
    assert prices == []


async def test_an_event_nobody_wants_is_no_error(bus: Bus, failures: Failures) -> None:
    await bus.publish([event(EventType.CHECK_STOP_LOSS)])
    assert failures == []


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


async def test_a_handler_that_fails_stops_no_other_and_is_reported(bus: Bus, failures: Failures) -> None:
    handled: list[Event] = []
    bus.subscribe(EventType.REFRESH_MARKET_DATA, failing(lambda: Unavailable("no feed")))
    bus.subscribe(EventType.REFRESH_MARKET_DATA, noting(handled))
    bus.subscribe(EventType.CHECK_STOP_LOSS, noting(handled))
    prices, stops = event(EventType.REFRESH_MARKET_DATA), event(EventType.CHECK_STOP_LOSS)
    await bus.publish([prices, stops])
    assert handled == [prices, stops]
    assert [(event, str(error)) for event, error in failures] == [(prices, "no feed")]


async def test_a_halt_is_not_swallowed(bus: Bus, failures: Failures) -> None:
    bus.subscribe(EventType.CHECK_STOP_LOSS, failing(lambda: Halt("the journal cannot be written")))
    with pytest.raises(Halt):
        await bus.publish([event(EventType.CHECK_STOP_LOSS)])
    assert failures == []
