"""What functions measure and write down: CloudWatch's metric lines, and the tick that each order goes back to."""

import io
import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.metrics import NAMESPACE, SERVICE, Measure
from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.domain.events import Event, EventType, MarketPhase, Priority
from option_baskets.domain.order import Order, OrderState
from option_baskets.domain.session import IST
from option_baskets.engine.errand import on_errand, tick_id
from option_baskets.lambdas import measured as module
from option_baskets.lambdas.measured import Measured
from option_baskets.lambdas.traced import as_json
from option_baskets.ports import Item, Put, TableName, Write
from option_baskets.store import codec
from option_baskets.wiring import LOCAL_USER
from tests.engine.plans import order, run
from tests.engine.shifts import Shop
from tests.engine.small_market import HandClock
from tests.engine.tiny_day import FACTS, QUIET, STRADDLE, instant, record

AT = datetime(2026, 11, 23, 9, 20, tzinfo=IST)
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "options-dev")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the module writes to its log, as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    as_json(handler)
    log = logging.getLogger(module.__name__)
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield written
    log.removeHandler(handler)
    log.setLevel(before[0])
    log.propagate = before[1]


def put(kind: str, value: object, version: int = 1) -> Put:
    return Put(
        table=TableName.HISTORY,
        item=Item(pk="asha", sk=f"t#straddle#{kind}#1", body=codec.encode(value), version=version),
    )


def sending(state: OrderState = OrderState.SENDING) -> Put:
    from dataclasses import replace

    return put("ORDER", replace(order(run(), AT), state=state))


def flushed(measured: Measured, capsys: pytest.CaptureFixture[str]) -> Json:
    """The one line of metrics; empty where there is none."""
    capsys.readouterr()
    measured.flush()
    written = capsys.readouterr().out.splitlines()
    assert len(written) <= 1
    found: Json = json.loads(written[0]) if written else {}
    return found


def event(at: datetime, *, late: bool = False) -> Event:
    return Event(
        type=EventType.CHECK_STOP_LOSS, at=at, phase=MarketPhase.MARKET_OPEN, priority=Priority.CRITICAL, late=late
    )


def test_what_is_measured_is_a_line_cloudwatch_reads_in_the_names_the_alarms_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = HandClock(AT)
    measured = Measured(clock)
    clock.move(timedelta(milliseconds=12))
    measured.published([event(AT), event(AT - timedelta(minutes=1))])
    with on_errand("", AT):
        clock.move(timedelta(milliseconds=30))
        measured.committed([sending(), sending(OrderState.CREATED), put("ALERT", "x")])
        clock.move(timedelta(seconds=5))
        measured.committed([sending(), put("RISK", "refused"), put("RISK", "refused", version=2)])
    measured.restarted()
    line = flushed(measured, capsys)
    said = line["_aws"]["CloudWatchMetrics"][0]
    assert (said["Namespace"], said["Dimensions"], line["service"]) == (NAMESPACE, [[SERVICE]], "options-dev")
    units = {each["Name"]: each["Unit"] for each in said["Metrics"]}
    assert units == {
        Measure.BOUNDARY_OFFSET: "Milliseconds",
        Measure.DUE_TO_SENT: "Milliseconds",
        Measure.ORDERS_SENT: "Count",
        Measure.REFUSALS: "Count",
        Measure.TIMER_RESTARTS: "Count",
    }
    values = {name: line[name] for name in units}
    assert values == {
        "BoundaryOffset": [12.0],
        "DueToSent": [42.0],
        "OrdersSent": [1.0, 1.0],
        "Refusals": [1.0],
        "TimerRestarts": [1.0],
    }
    assert flushed(measured, capsys) == {}


def test_a_tick_that_was_missed_says_nothing_of_the_timer(capsys: pytest.CaptureFixture[str]) -> None:
    clock = HandClock(AT + timedelta(minutes=5))
    measured = Measured(clock)
    measured.published([event(AT, late=True)])
    assert flushed(measured, capsys) == {}


class Told:
    """A table that tells of its commits, as DynamoTable does."""

    def __init__(self, table: Any, measured: Measured) -> None:
        self._table = table
        self._measured = measured

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        await self._table.commit(writes)
        self._measured.committed(writes)


def test_every_order_of_a_day_goes_back_to_the_tick_that_had_it_sent(
    tmp_path: Path, lines: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    days = record(tmp_path / "days", QUIET)
    (tmp_path / "data").mkdir()
    metrics: list[Measured] = []

    async def main(clock: SimulatedClock) -> list[Order]:
        shop = Shop(data=tmp_path / "data", days=days, clock=clock)
        try:
            metrics.append(Measured(clock))
            shop.table._table = Told(shop.durable, metrics[0])  # type: ignore[assignment]
            await shop.adopt(LOCAL_USER, parse_basket("format = 1\n" + STRADDLE, FACTS.names))
            await shop.play()
            runs = await shop.books.runs_on(LOCAL_USER, clock.now().date())
            return [each for run in runs for each in await shop.books.orders_of_run(LOCAL_USER, run.id)]
        finally:
            await shop.close()

    orders = run_simulated(main, instant("09:00"))
    sent = {line["order"]: line for line in map(json.loads, lines.getvalue().splitlines())}
    assert orders and sent.keys() == {each.intent.id for each in orders}
    for each in orders:
        tick = sent[each.intent.id]["correlation_id"]
        assert tick.startswith("tick-2")
        assert tick <= tick_id(each.intent.decided_at), "it goes back to something that came after it"
        assert sent[each.intent.id]["run"] == each.intent.run_id
    assert len(flushed(metrics[0], capsys)["OrdersSent"]) == len(orders)
