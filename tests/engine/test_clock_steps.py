"""A machine whose clock is set amid the day, by minutes: no entry too early, none twice, no exit that waits for it."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.clock import RealClock, SimulatedClock, run_simulated
from option_baskets.domain.ids import Action
from option_baskets.domain.session import IST
from option_baskets.engine.rates import Bucket, Rate, Urgency
from option_baskets.ports import Clock
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, Embedded
from tests.engine.test_store_failure import STOPPED, THREE, assert_flat_and_nothing_doubled, run_of
from tests.engine.tiny_day import DAY, Act, instant, play_day, record

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SLOW = Behaviour(latency=0.2 * SECOND, jitter=0.5 * SECOND, lost_answers=0.2, slow_book=SECOND)
Steps = Mapping[str, int]
"""True time of day → minutes by which the clock is put forward then (back: below zero)."""


def set_at(truth: Clock, steps: Steps) -> RealClock:
    def wall() -> datetime:
        now = truth.now()
        return now + sum((by * MINUTE for at, by in steps.items() if now >= instant(at)), timedelta())

    return RealClock(zone=IST, wall=wall)


def with_clock_set(steps: Steps) -> Callable[..., Embedded]:
    """The engine's machine; the exchange has a clock of its own, which is right."""

    def machine(**given: Any) -> Embedded:
        truth, market = given["clock"], given["market"]
        exchange = PaperExchange.open(
            given["data"] / PAPER_FILE,
            market.feed,
            truth,
            fills=market.fills,
            is_trading=market.is_trading,
            threaded=False,
            durable=False,
        )
        return Embedded(**{**given, "clock": set_at(truth, steps), "exchange": exchange})

    return machine


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), STOPPED)


FORTH_AND_BACK = {"09:17:00.3": 2, "09:20:00.3": -4, "09:27:30": 3, "09:34:00.3": -3}
BACK_AND_FORTH = {"09:17:00.3": -3, "09:25:00.3": 4, "09:27:30": -2, "09:36:00.3": 2}


@pytest.mark.parametrize("steps", [FORTH_AND_BACK, BACK_AND_FORTH], ids=["forth and back", "back and forth"])
def test_set_during_entry_and_exit_and_between_ticks_the_day_ends_flat_and_nothing_is_doubled(
    days: Path, tmp_path: Path, steps: Steps
) -> None:
    played = play_day(
        days,
        tmp_path / "data",
        THREE,
        rate=Rate(per_second=4, kept_for_exits=2),
        behaviour={"one": SLOW, "two": SLOW},
        machine_of=with_clock_set(steps),
    )
    assert_flat_and_nothing_doubled(played)
    assert all(each.run.status.is_over for each in played.day.runs)
    assert all(order.state.is_final for order in played.orders)
    book = dict(played.book("tag, filled"))
    assert {order.intent.id: order.filled for order in played.orders if order.broker_order_id} == book
    for name, entry in (("early", "09:17"), ("amid", "09:23"), ("late", "09:31")):
        run = run_of(played, name)
        first = [order.intent for order in played.orders if order.intent.run_id == run.id and not order.intent.attempt]
        assert all(intent.decided_at >= instant(entry) for intent in first if intent.action is Action.ENTER)


def seconds_of_a_stop(days: Path, data: Path, steps: Steps) -> float:
    """True seconds from the stop at 09:22 until nothing of it is open."""
    ended: list[float] = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:22"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        while any(
            each.open
            for run in await machine.books.runs_on(LOCAL_USER, DAY)
            for each in run.positions
            if each.leg == "short"
        ):
            await machine.clock.pause(SECOND / 4)
        ended.append(loop.time() - began)

    acts: list[Act] = [look]
    play_day(
        days,
        data,
        THREE,
        rate=Rate(per_second=1, kept_for_exits=0),
        behaviour=dict.fromkeys(("one", "two"), Behaviour(lost_answers=1, lost_updates=1, slow_book=5 * SECOND)),
        machine_of=with_clock_set(steps),
        acts=acts,
    )
    return ended[0]


def test_an_exit_takes_no_longer_when_the_clock_is_put_back_amid_it(days: Path, tmp_path: Path) -> None:
    """Its answer is lost, so it is read from the order book with pauses, at a rate of one call a second."""
    usual = seconds_of_a_stop(days, tmp_path / "usual", {})
    assert usual > 1
    assert seconds_of_a_stop(days, tmp_path / "back", {"09:22:00.5": -10}) <= usual + 1


def test_a_bucket_does_not_stall_when_the_clock_is_put_back(tmp_path: Path) -> None:
    async def main(clock: SimulatedClock) -> None:
        bucket = Bucket(set_at(clock, {"09:20:01.5": -10}), Rate(per_second=2, kept_for_exits=0))
        wanted = 9
        while wanted:
            wanted -= await bucket.take(wanted, Urgency.EXIT)
        assert clock.now() - instant("09:20") <= 6 * SECOND

    run_simulated(main, instant("09:20"))
