"""The clocks: exact, never early, and a simulated loop that takes no time and always does the same."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from option_baskets.adapters.clock import RealClock, SimulatedClock, run_real, run_simulated
from option_baskets.domain.errors import Halt, Invalid
from option_baskets.domain.session import IST
from option_baskets.ports import Clock

NINE = datetime(2026, 1, 5, 9, 0, tzinfo=IST)
MINUTE = timedelta(minutes=1)


def test_simulated_time_is_exact_to_the_microsecond_at_any_instant_of_a_week() -> None:
    instants = sorted(
        NINE + timedelta(microseconds=n) for n in random.Random(7).sample(range(7 * 86_400 * 10**6), 5_000)
    )

    async def main(clock: SimulatedClock) -> None:
        for at in instants:
            await clock.sleep_until(at)
            assert clock.now() == at
            await clock.sleep_until(at + timedelta(microseconds=1))
            assert clock.now() == at + timedelta(microseconds=1)

    run_simulated(main, NINE)


def test_a_sleeper_whose_instant_has_passed_goes_on_at_once() -> None:
    async def main(clock: SimulatedClock) -> datetime:
        await clock.sleep_until(NINE - MINUTE)
        return clock.now()

    assert run_simulated(main, NINE) == NINE


def test_sleepers_due_together_wake_in_the_order_they_lay_down() -> None:
    async def main(clock: SimulatedClock) -> list[int]:
        woken: list[int] = []

        async def sleep(number: int) -> None:
            await clock.sleep_until(NINE + MINUTE * (1 + number % 2))
            woken.append(number)

        await asyncio.gather(*(sleep(number) for number in range(100)))
        return woken

    assert run_simulated(main, NINE) == [*range(0, 100, 2), *range(1, 100, 2)]


def test_sleepers_due_together_wake_in_order_wherever_they_lay_down() -> None:
    async def main(clock: SimulatedClock) -> list[int]:
        woken: list[int] = []

        async def sleep(number: int) -> None:
            await clock.sleep_until(NINE + number * timedelta(microseconds=70_001))
            await clock.sleep_until(NINE + MINUTE)
            woken.append(number)

        await asyncio.gather(*(sleep(number) for number in range(800)))
        return woken

    assert run_simulated(main, NINE) == list(range(800))


def test_two_runs_of_one_program_interleave_in_one_way() -> None:
    async def main(clock: SimulatedClock) -> list[tuple[datetime, int, int]]:
        trace: list[tuple[datetime, int, int]] = []
        lock = asyncio.Lock()

        async def worker(number: int) -> None:
            chance = random.Random(number)
            for step in range(30):
                async with lock:
                    await asyncio.sleep(chance.choice([0, 0, 0.001, 1]))
                await asyncio.to_thread(time.sleep, chance.choice([0, 0, 0.0005]))
                trace.append((clock.now(), number, step))
                await clock.sleep_until(clock.now() + chance.choice([timedelta(), MINUTE]))

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(worker(number))
        return trace

    first, second = run_simulated(main, NINE), run_simulated(main, NINE)
    assert len(first) == 600
    assert first == second


def test_timeouts_are_in_simulated_time() -> None:
    async def main(clock: SimulatedClock) -> datetime:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        return clock.now()

    began = time.monotonic()
    assert run_simulated(main, NINE) == NINE + 60 * MINUTE
    assert time.monotonic() - began < 5


def test_work_in_a_thread_takes_no_simulated_time_and_its_error_reaches_the_caller() -> None:
    async def main(clock: SimulatedClock) -> datetime:
        timer = asyncio.create_task(asyncio.sleep(0.001))
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 7, 0)
        assert not timer.done()
        return clock.now()

    assert run_simulated(main, NINE) == NINE


def test_when_all_wait_and_nothing_is_due_the_loop_halts_and_names_who_waits() -> None:
    async def main(clock: SimulatedClock) -> None:
        task = asyncio.create_task(asyncio.Event().wait(), name="fills of paper-1")
        await task

    with pytest.raises(Halt, match=r"deadlock in simulated time.*fills of paper-1"):
        run_simulated(main, NINE)


def test_at_a_speed_the_simulated_loop_waits_that_much_less() -> None:
    async def main(clock: SimulatedClock) -> datetime:
        await clock.sleep_until(NINE + MINUTE)
        await clock.sleep_until(NINE + 2 * MINUTE)
        return clock.now()

    began = time.monotonic()
    assert run_simulated(main, NINE, speed=1200) == NINE + 2 * MINUTE
    assert 0.1 <= time.monotonic() - began < 1


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    async def main(clock: SimulatedClock) -> None: ...

    with pytest.raises(Invalid, match="speed"):
        RealClock(speed)
    with pytest.raises(Invalid, match="speed"):
        run_simulated(main, NINE, speed=speed)


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="time zone"):
        RealClock(2, NINE.replace(tzinfo=None))


@pytest.mark.parametrize("run", [run_real, asyncio.run])
def test_the_real_clock_wakes_nobody_early(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def main() -> None:
        clock = RealClock()
        start = clock.now()
        for n in range(1, 41):
            at = start + n * timedelta(milliseconds=3)
            await clock.sleep_until(at)
            assert clock.now() >= at
        assert clock.now().tzinfo is UTC

    run(main())


def test_a_real_loop_is_woken_by_a_thread_before_its_timer_is_due() -> None:
    async def main() -> float:
        began = time.monotonic()
        timer = asyncio.create_task(asyncio.sleep(60))
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        timer.cancel()
        return time.monotonic() - began

    assert run_real(main()) < 30


async def test_an_accelerated_clock_starts_where_it_is_told_and_runs_faster() -> None:
    clock = RealClock(1200, NINE)
    began = time.monotonic()
    await clock.sleep_until(NINE + MINUTE)
    assert NINE + MINUTE <= clock.now() < NINE + 10 * MINUTE
    assert clock.now().tzinfo is IST
    assert time.monotonic() - began >= 0.05


class Wall:
    """A wall clock over simulated time that can be stepped and that may run slow."""

    def __init__(self, clock: Clock, pace: float = 1) -> None:
        self._clock = clock
        self._pace = pace
        self.step = timedelta()

    def __call__(self) -> datetime:
        return NINE + (self._clock.now() - NINE) * self._pace + self.step


def test_a_sleeper_notices_within_a_second_that_the_clock_was_put_forward() -> None:
    async def main(clock: SimulatedClock) -> datetime:
        wall = Wall(clock)
        sleeper = asyncio.create_task(RealClock(wall=wall).sleep_until(NINE + 10 * MINUTE))
        await asyncio.sleep(60.5)
        wall.step = 9 * MINUTE
        await sleeper
        return clock.now()

    assert run_simulated(main, NINE) == NINE + timedelta(seconds=61)


def test_a_sleeper_waits_longer_when_the_clock_was_put_back() -> None:
    async def main(clock: SimulatedClock) -> datetime:
        wall = Wall(clock)
        sleeper = asyncio.create_task(RealClock(wall=wall).sleep_until(NINE + MINUTE))
        await asyncio.sleep(59.5)
        wall.step = -5 * MINUTE
        await sleeper
        return clock.now()

    assert run_simulated(main, NINE) == NINE + 6 * MINUTE


def test_a_clock_that_runs_slower_than_the_machine_s_timer_wakes_nobody_early() -> None:
    async def main(clock: SimulatedClock) -> None:
        real = RealClock(wall=Wall(clock, pace=0.9999))
        for n in range(1, 30):
            await real.sleep_until(NINE + n * MINUTE)
            assert timedelta() <= real.now() - (NINE + n * MINUTE) < timedelta(milliseconds=1)

    run_simulated(main, NINE)
