"""What is counted and measured, for Prometheus. No label names a user or anything of theirs."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from option_baskets.api.condition import Condition, EngineState
from option_baskets.domain.events import Tick
from option_baskets.domain.order import OrderState
from option_baskets.ports import Put, TableName, Write

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_OFFSETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0)


class Metrics:
    """Of one process.

    Args:
        condition: looked at whenever somebody asks for the figures.
        streamed: clients of the live stream, and how many were dropped; None: there is no stream.
    """

    def __init__(
        self,
        condition: Callable[[], Condition] = Condition,
        *,
        streamed: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which says when it was first counted
        self.registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "option_baskets_http_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._offsets = Histogram(
            "option_baskets_tick_offset_seconds",
            "Market seconds from a boundary to the instant the timer woke for it; ticks made up for are left out.",
            buckets=_OFFSETS,
            registry=registry,
        )
        self._ticks = Counter("option_baskets_ticks", "Ticks of the timer.", ("late",), registry=registry)
        self._refusals = Counter("option_baskets_refusals", "Refusals, by code.", ("reason",), registry=registry)
        self._alerts = Counter("option_baskets_alerts", "Alerts, by code.", ("code",), registry=registry)
        self._fills = Counter("option_baskets_fills", "Fills.", registry=registry)
        self._info = Gauge("option_baskets_info", "1; its label is the version.", ("version",), registry=registry)
        registry.register(_OfCondition(condition, streamed))

    def started(self, version: str) -> None:
        self._info.labels(version).set(1)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request is over. ``route`` is its template, never the path that was asked for."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def ticked(self, tick: Tick, now: datetime) -> None:
        """The timer woke for a tick."""
        self._ticks.labels("yes" if tick.late else "no").inc()
        if not tick.late:
            self._offsets.observe((now - tick.at).total_seconds())

    def committed(self, writes: Sequence[Write]) -> None:
        """Count what of a commit a person should know how often it happens."""
        for write in writes:
            if not isinstance(write, Put) or write.table is not TableName.HISTORY or write.item.version != 1:
                continue
            parts = write.item.sk.split("#", 3)
            if len(parts) < 4:
                continue
            name = parts[3].split("#", 1)[0]
            match parts[2]:
                case "RISK":
                    self._refusals.labels(name).inc()
                case "ALERT":
                    self._alerts.labels(name).inc()
                case "FILL":
                    self._fills.inc()

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self.registry)


class _OfCondition:
    """Gauges of what is looked at, not counted."""

    def __init__(self, condition: Callable[[], Condition], streamed: Callable[[], tuple[int, int]] | None) -> None:
        self._condition = condition
        self._streamed = streamed

    def collect(self) -> Iterable[Metric]:
        now = self._condition()
        return chain(self._engine(now), self._orders(now), self._streams())

    def _engine(self, now: Condition) -> Iterable[Metric]:
        states = GaugeMetricFamily("option_baskets_engine", "1 at the state the engine is in.", labels=("state",))
        for state in EngineState:
            states.add_metric((state.value,), float(now.engine is state))
        yield states
        writable = not now.unwritable
        yield GaugeMetricFamily("option_baskets_store_writable", "1 while the store can be written.", float(writable))
        yield GaugeMetricFamily("option_baskets_queued_messages", "Messages that wait for their instant.", now.queued)

    def _orders(self, now: Condition) -> Iterable[Metric]:
        orders = GaugeMetricFamily(
            "option_baskets_orders", "Orders in hand, of runs that are not over, by state.", labels=("state",)
        )
        for state in OrderState:
            orders.add_metric((state.value,), now.orders.get(state.value, 0))
        yield orders
        unknown = now.orders.get(OrderState.UNKNOWN.value, 0)
        yield GaugeMetricFamily("option_baskets_orders_unknown", "Orders in hand of which nobody knows.", unknown)

    def _streams(self) -> Iterable[Metric]:
        if self._streamed is not None:
            clients, dropped = self._streamed()
            yield GaugeMetricFamily("option_baskets_stream_clients", "Clients of the live stream.", clients)
            yield GaugeMetricFamily("option_baskets_stream_dropped", "Clients that were too slow, so far.", dropped)
