"""The token bucket: calendar seconds, urgency before age, three tokens kept for exits."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.engine.rates import Bucket, Rate, Urgency
from tests.engine.tiny_day import instant

Taken = list[tuple[str, Urgency, int]]
"""When (seconds), for whom, how many."""


def simulated(main: Callable[[SimulatedClock, Bucket], Awaitable[None]], rate: Rate | None = None) -> None:
    async def run(clock: SimulatedClock) -> None:
        await main(clock, Bucket(clock, rate or Rate()))

    run_simulated(run, instant("09:20"))


async def drain(clock: SimulatedClock, bucket: Bucket, wanted: int, urgency: Urgency, taken: Taken) -> None:
    while wanted:
        granted = await bucket.take(wanted, urgency)
        assert 1 <= granted <= wanted
        taken.append((f"{clock.now():%S.%f}"[:4], urgency, granted))
        wanted -= granted


def test_entries_leave_three_tokens_of_every_second_and_exits_take_them() -> None:
    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        taken: Taken = []
        async with asyncio.TaskGroup() as group:
            group.create_task(drain(clock, bucket, 20, Urgency.SHORT_ENTRY, taken))
            group.create_task(drain(clock, bucket, 3, Urgency.EXIT, taken))
        assert taken == [
            ("00.0", Urgency.SHORT_ENTRY, 7),
            ("00.0", Urgency.EXIT, 3),
            ("01.0", Urgency.SHORT_ENTRY, 7),
            ("02.0", Urgency.SHORT_ENTRY, 6),
        ]

    simulated(main)


def test_exits_alone_use_the_whole_rate() -> None:
    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        taken: Taken = []
        await drain(clock, bucket, 25, Urgency.SHORT_COVER, taken)
        assert [granted for _, _, granted in taken] == [10, 10, 5]

    simulated(main)


def test_who_is_more_urgent_goes_first_however_late_he_asks() -> None:
    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        assert await bucket.take(10, Urgency.EXIT) == 10
        taken: Taken = []
        async with asyncio.TaskGroup() as group:
            for urgency in reversed(Urgency):
                group.create_task(drain(clock, bucket, 4, urgency, taken))
        assert [urgency for _, urgency, _ in taken[:3]] == [Urgency.KILL, Urgency.SHORT_COVER, Urgency.EXIT]
        assert [urgency for at, urgency, _ in taken if at == "02.0"] == [
            Urgency.EXIT,
            Urgency.HEDGE_ENTRY,
            Urgency.SHORT_ENTRY,
        ]

    simulated(main)


def test_a_second_is_a_calendar_second() -> None:
    """Ten at 09:20:00.9 and ten more a tenth of a second later: the exchange counts by the clock."""

    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        await clock.sleep_until(instant("09:20") + timedelta(milliseconds=900))
        assert await bucket.take(10, Urgency.EXIT) == 10
        assert await bucket.take(10, Urgency.EXIT) == 10
        assert clock.now() == instant("09:20:01")

    simulated(main)


def test_one_who_gives_up_waiting_costs_nothing() -> None:
    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        await bucket.take(10, Urgency.EXIT)
        waiting = asyncio.create_task(bucket.take(10, Urgency.KILL))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await bucket.take(10, Urgency.EXIT) == 10
        assert clock.now() == instant("09:20:01")

    simulated(main)


def test_without_a_rate_everything_goes_at_once() -> None:
    async def main(clock: SimulatedClock) -> None:
        bucket = Bucket(clock, None)
        assert await bucket.take(8000, Urgency.SHORT_ENTRY) == 8000
        assert bucket.entries(timedelta(seconds=60)) is None

    run_simulated(main, instant("09:20"))


def test_how_many_entries_fit_into_a_grace() -> None:
    async def main(_: SimulatedClock, bucket: Bucket) -> None:
        assert bucket.entries(timedelta(seconds=30)) == 210
        assert bucket.entries(timedelta(seconds=60)) == 300, "a minute has fewer than sixty times a second"
        assert bucket.entries(timedelta(seconds=150)) == 2 * 300 + 210

    simulated(main)


def test_a_minute_has_no_more_than_its_own_wherever_it_begins() -> None:
    """Entries take 300 of any minute's 400 calls; the rest is for exits, which are never behind them."""

    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        granted: list[datetime] = []

        async def enter() -> None:
            while len(granted) < 700:
                count = await bucket.take(20, Urgency.SHORT_ENTRY)
                granted.extend([clock.now()] * count)

        entering = asyncio.create_task(enter())
        await clock.sleep_until(instant("09:20") + timedelta(seconds=50.5))
        assert len(granted) == 300, "the minute is full for entries"
        for _ in range(10):
            before = clock.now()
            assert await bucket.take(10, Urgency.EXIT) == 10
            assert clock.now() == before, "an exit waits for no entry"
            await clock.sleep_until(before + timedelta(seconds=1))
        await entering
        first = granted[0]
        in_second = Counter(int((at - first).total_seconds()) for at in granted)
        assert max(sum(in_second[n + m] for m in range(60)) for n in range(200)) == 300

    simulated(main)


def test_a_clock_that_steps_keeps_no_exit_waiting() -> None:
    async def main(clock: SimulatedClock, _: Bucket) -> None:
        for minutes in (-5, 5):
            stepping = Stepping(clock)
            bucket = Bucket(stepping, Rate(per_minute=20, kept_for_exits_a_minute=5))
            assert [bucket.take_now(10, Urgency.EXIT) for _ in range(2)] == [10, 0]
            stepping.step = timedelta(minutes=minutes)
            assert bucket.take_now(10, Urgency.EXIT) == 10

    simulated(main)


class Stepping:
    """A clock that somebody sets."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.step = timedelta()

    def now(self) -> datetime:
        return self._clock.now() + self.step

    async def sleep_until(self, at: datetime) -> None:
        await self._clock.sleep_until(at - self.step)

    async def pause(self, span: timedelta) -> None:
        await self._clock.pause(span)


ASKS = st.lists(
    st.tuples(st.sampled_from(list(Urgency)), st.integers(1, 25), st.integers(0, 2500)), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(asks=ASKS, per_second=st.integers(4, 12))
def test_never_more_than_the_rate_in_a_second_and_nobody_waits_for_ever(
    asks: list[tuple[Urgency, int, int]], per_second: int
) -> None:
    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        calls: Counter[datetime] = Counter()
        entries: Counter[datetime] = Counter()

        async def ask(urgency: Urgency, wanted: int, after: int) -> None:
            await clock.sleep_until(instant("09:20") + timedelta(milliseconds=after))
            while wanted:
                granted = await bucket.take(wanted, urgency)
                wanted -= granted
                second = clock.now().replace(microsecond=0)
                calls[second] += granted
                if urgency.is_entry:
                    entries[second] += granted

        async with asyncio.TaskGroup() as group:
            for each in asks:
                group.create_task(ask(*each))
        assert sum(calls.values()) == sum(wanted for _, wanted, _ in asks)
        assert max(calls.values()) <= per_second
        assert max(entries.values(), default=0) <= per_second - 3

    simulated(main, Rate(per_second=per_second))


def test_a_broker_with_a_lower_rate_is_not_asked_for_more() -> None:
    assert Rate().at("zerodha").per_second == 10
    assert Rate().at("angelone").per_second == 9
    assert Rate(per_second=5).at("angelone").per_second == 5


def test_a_token_of_a_second_that_is_over_is_taken_anew_however_often_that_happens() -> None:
    """Granted at 09:20:00; looked at 1.2 s later. The next one is of 09:20:01 at once. No second grants more than it
    has, although all tokens of the first were granted and not spent in it."""

    async def main(clock: SimulatedClock, bucket: Bucket) -> None:
        spent: Counter[str] = Counter()

        async def spend() -> None:
            granted = clock.now()
            await bucket.take(1, Urgency.SHORT_COVER)
            await clock.pause(timedelta(seconds=1.2))
            await bucket.confirm(granted, 1, Urgency.SHORT_COVER)
            spent[f"{clock.now():%S}"] += 1

        await asyncio.gather(*(spend() for _ in range(10)))
        assert spent == {"01": 10}
        assert bucket.take_now(1, Urgency.SHORT_COVER) == 0

    simulated(main)
