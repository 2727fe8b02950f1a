"""The clock of a process over many days: led on, never back, and whoever sleeps sees it at once."""

import asyncio
import random
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest

from option_baskets.adapters.clock import LedClock
from option_baskets.domain.errors import Invalid
from option_baskets.domain.session import IST

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=IST)
MINUTE = timedelta(minutes=1)
NIGHT = timedelta(hours=17)


class Watch:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def begun(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.ensure_future(work)


def test_it_runs_at_its_speed_before_and_after_a_lead() -> None:
    watch = Watch()
    clock = LedClock(NINE, 60, monotonic=watch)
    watch.seconds += 2
    assert clock.now() == NINE + 2 * MINUTE
    clock.lead(NINE + NIGHT)
    assert clock.now() == NINE + NIGHT
    watch.seconds += 3
    assert clock.now() == NINE + NIGHT + 3 * MINUTE


def test_it_is_never_led_back() -> None:
    watch = Watch()
    clock = LedClock(NINE, 60, monotonic=watch)
    watch.seconds += 10
    clock.lead(NINE + MINUTE)
    assert clock.now() == NINE + 10 * MINUTE


async def test_who_sleeps_over_the_night_goes_on_when_the_clock_is_led_there() -> None:
    clock = LedClock(NINE, 1)
    sleeping = begun(clock.sleep_until(NINE + NIGHT))
    await turns()
    assert not sleeping.done()
    clock.lead(NINE + NIGHT)
    await asyncio.wait_for(sleeping, 1)
    assert NINE + NIGHT <= clock.now() < NINE + NIGHT + MINUTE


async def test_a_lead_wakes_those_who_are_due_in_order_and_nobody_else() -> None:
    clock = LedClock(NINE, None)
    woken: list[int] = []

    async def sleep(number: int) -> None:
        await clock.sleep_until(NINE + number * MINUTE)
        woken.append(number)

    order = [*range(1, 11)]
    random.Random(7).shuffle(order)
    sleepers = [begun(sleep(number)) for number in order]
    await turns()
    assert clock.due == NINE + MINUTE
    clock.lead(NINE + 6 * MINUTE)
    await turns()
    assert woken == [1, 2, 3, 4, 5, 6]
    assert clock.due == NINE + 7 * MINUTE
    for sleeper in sleepers:
        sleeper.cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
    assert clock.due is None


async def test_a_clock_that_is_only_led_stands_still_in_between_and_in_its_pauses() -> None:
    clock = LedClock(NINE, None)
    pausing = begun(clock.pause(MINUTE))
    await asyncio.sleep(0.01)
    assert clock.now() == NINE
    assert not pausing.done()
    clock.lead(NINE + MINUTE)
    await turns()
    assert pausing.done()
    assert clock.now() == NINE + MINUTE


async def test_held_it_stands_still_and_pauses_still_end() -> None:
    watch = Watch()
    clock = LedClock(NINE, 1000, monotonic=watch)
    watch.seconds += 0.06
    clock.hold()
    watch.seconds += 3600
    assert clock.now() == NINE + MINUTE
    await asyncio.wait_for(clock.pause(timedelta(seconds=1)), 1)
    sleeping = begun(clock.sleep_until(NINE + 2 * MINUTE))
    await turns()
    assert not sleeping.done()
    clock.lead(NINE + 2 * MINUTE)
    await turns()
    assert sleeping.done()
    assert clock.now() == NINE + 2 * MINUTE


async def test_held_and_let_go_it_runs_on_from_where_it_stood_and_wakes_its_sleepers() -> None:
    clock = LedClock(NINE, 1000)
    clock.hold()
    held = clock.now()
    sleeping = begun(clock.sleep_until(held + timedelta(seconds=5)))
    await asyncio.sleep(0.02)
    assert clock.now() == held
    clock.go_on()
    await asyncio.wait_for(sleeping, 1)
    assert clock.now() >= held + timedelta(seconds=5)


def test_a_clock_that_is_only_led_is_not_let_go() -> None:
    clock = LedClock(NINE, None)
    clock.go_on()
    assert clock.now() == NINE


async def test_a_running_clock_wakes_its_sleepers_by_itself_and_never_early() -> None:
    clock = LedClock(NINE, 1000)
    at = NINE + timedelta(seconds=20)
    await asyncio.wait_for(clock.sleep_until(at), 1)
    assert clock.now() >= at


async def test_those_who_were_cancelled_are_forgotten() -> None:
    clock = LedClock(NINE, None)
    for number in range(1000):
        sleeper = begun(clock.sleep_until(NINE + MINUTE + timedelta(seconds=number)))
        await asyncio.sleep(0)
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)
    assert clock.due is None
    clock.lead(NINE + NIGHT)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="has no time zone"):
        LedClock(datetime(2026, 11, 23, 9, 0))  # noqa: DTZ001
