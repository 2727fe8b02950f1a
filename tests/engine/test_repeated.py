"""Whatever is delivered again, and however often, changes nothing: ticks, events, messages, reports."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.events import Event, Tick
from option_baskets.domain.order import OrderReport
from option_baskets.engine.day import TradingDay
from option_baskets.engine.emitter import Emitter
from option_baskets.engine.messages import ENTER_RUN
from option_baskets.engine.report import as_json
from option_baskets.ports import Message
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.small_market import chain
from tests.engine.tiny_day import DAY, LOT, SPREAD, Act, Played, Prices, call, instant, play_day, record, steady

BASKET = SPREAD.replace("09:35", "09:24").replace(
    'strike = { rule = "atm" }', 'strike = { rule = "atm" }\n  stop = { percent = 50 }'
)
"""In at 09:20, the sold call is stopped at 09:22, the wing goes at 09:24."""
SLOW = {account: Behaviour(latency=timedelta(seconds=2)) for account in ("one", "two")}
"""An answer takes two seconds: the hedge is filled at 09:20:02, the short sent then."""
MIDDLE = [instant("09:20") + timedelta(seconds=seconds) for seconds in (1, 3)]
"""While the hedges are on their way, and while the shorts are."""
SLICED = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT)

Days = list[TradingDay]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prices: Prices = {
        "NIFTY": steady("26010", end="09:28"),
        call(): steady("100", end="09:28", at0921="160"),
        call(26100): steady("40", end="09:28"),
    }
    return record(tmp_path_factory.mktemp("days"), prices, hours="09:15-09:28", listings=SLICED)


@pytest.fixture(scope="module")
def once(days: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    played = play_day(days, tmp_path_factory.mktemp("once"), BASKET, behaviour=SLOW)
    assert len(played.book("tag")) == 8
    return played


def machine_with(change: Callable[[Embedded, TradingDay], None], known: Days) -> type[Embedded]:
    """The machine with something changed about its day, which is left in ``known``."""

    class Changed(Embedded):
        async def trading_day(self, *given: Any) -> TradingDay:
            day = await super().trading_day(*given)
            change(self, day)
            known.append(day)
            return day

    return Changed


def same(played: Played, once: Played) -> None:
    assert json.dumps(as_json([played.day])) == json.dumps(as_json([once.day]))
    columns = "account, tag, state, filled, value, placed_at"
    assert sorted(played.book(columns)) == sorted(once.book(columns))


class TwiceBus:
    """Publishes everything twice, one after the other."""

    def __init__(self, bus: Any) -> None:
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, events: Sequence[Event]) -> None:
        await self._bus.publish(events)
        await self._bus.publish(events)


def test_every_event_published_twice_changes_nothing(days: Path, once: Played, tmp_path: Path) -> None:
    def twice(_: Embedded, day: TradingDay) -> None:
        bus: Any = TwiceBus(day.bus)
        day.bus = bus

    known: Days = []
    same(play_day(days, tmp_path / "data", BASKET, behaviour=SLOW, machine_of=machine_with(twice, known)), once)


class ThriceQueue:
    """Hands every message out three times."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def receive(self) -> AsyncIterator[Message]:
        async for message in self._queue.receive():
            for _ in range(3):
                yield message


def test_every_message_delivered_three_times_changes_nothing(days: Path, once: Played, tmp_path: Path) -> None:
    def thrice(_: Embedded, day: TradingDay) -> None:
        queue: Any = ThriceQueue(day.trading.queue)
        day.trading.queue = queue

    known: Days = []
    same(play_day(days, tmp_path / "data", BASKET, behaviour=SLOW, machine_of=machine_with(thrice, known)), once)


def again(known: Days, what: Callable[[Embedded, TradingDay], Any]) -> list[Act]:
    """Do it in the middle of an entry, and after it."""

    def at(moment: Any) -> Act:
        async def act(machine: Embedded) -> None:
            await machine.clock.sleep_until(moment)
            await what(machine, known[-1])

        return act

    return [at(moment) for moment in (*MIDDLE, instant("09:21") + timedelta(seconds=30))]


def test_the_tick_of_an_entry_emitted_again_amid_it_changes_nothing(days: Path, once: Played, tmp_path: Path) -> None:
    async def emit(machine: Embedded, day: TradingDay) -> None:
        session = day.trading.session
        assert session is not None
        emitter = Emitter(day.bus, machine.books, machine.cadence, session)
        for at in (instant("09:15"), instant("09:20"), instant("09:20")):
            await emitter.emit([Tick(at=at, phase=session.phase(at))])

    known: Days = []
    machine = machine_with(lambda _, __: None, known)
    played = play_day(days, tmp_path / "data", BASKET, behaviour=SLOW, acts=again(known, emit), machine_of=machine)
    same(played, once)


def test_the_message_that_enters_a_run_sent_again_amid_its_entry_changes_nothing(
    days: Path, once: Played, tmp_path: Path
) -> None:
    async def send(_: Embedded, day: TradingDay) -> None:
        (run,) = day.trading.runs.in_hand()
        message = Message(
            id=f"again-{day.trading.clock.now():%H%M%S}",
            at=run.entry_at,
            kind=ENTER_RUN,
            body={"user_id": LOCAL_USER, "run_id": run.id},
        )
        await day.trading.queue.sent([message] * 3)

    known: Days = []
    machine = machine_with(lambda _, __: None, known)
    played = play_day(days, tmp_path / "data", BASKET, behaviour=SLOW, acts=again(known, send), machine_of=machine)
    same(played, once)


class ThriceBroker:
    """Every report comes three times, those of before once more with each."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._before: list[OrderReport] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def updates(self) -> AsyncIterator[OrderReport]:
        async for report in self._broker.updates():
            self._before.append(report)
            for each in (report, report, *self._before):
                yield each


def test_every_report_three_times_and_old_ones_again_change_nothing(days: Path, once: Played, tmp_path: Path) -> None:
    def thrice(_: Embedded, day: TradingDay) -> None:
        brokers: Any = {key: ThriceBroker(broker) for key, broker in day.trading.desk.brokers.items()}
        day.trading.desk.brokers = brokers

    known: Days = []
    same(play_day(days, tmp_path / "data", BASKET, behaviour=SLOW, machine_of=machine_with(thrice, known)), once)
