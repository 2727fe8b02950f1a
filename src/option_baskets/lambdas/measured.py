"""What the functions measure, as CloudWatch reads it from their logs. ``infra/metrics.py`` has the same names."""

import json
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import Metrics, MetricUnit

from option_baskets.cloud import Cloud
from option_baskets.domain.events import Event
from option_baskets.domain.order import Order, OrderState
from option_baskets.engine.errand import errand
from option_baskets.ports import Clock, Put, TableName, Write
from option_baskets.store import codec

if TYPE_CHECKING:
    from option_baskets.engine.trading import Trading

LOG = logging.getLogger(__name__)

NAMESPACE = "OptionBaskets"


class Measured:
    """Of one process. ``flush`` writes a line of all that was measured since the last.

    An order's line in the log has the tick it goes back to, which ``traced`` adds to every line.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._metrics = Metrics(namespace=NAMESPACE)

    @classmethod
    def of(cls, cloud: Cloud) -> "Measured":
        """Follows what a process's part of the platform does."""
        measured = cls(cloud.clock)
        cloud.published = measured.published
        cloud.table.committed = measured.committed
        cloud.over = measured.over
        return measured

    def published(self, events: Sequence[Event]) -> None:
        """Events are on the bus; those of ticks that were missed say nothing of the timer."""
        timely = [event.at for event in events if not event.late]
        if timely:
            self._span("BoundaryOffset", self._clock.now() - max(timely))

    def committed(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if not isinstance(write, Put) or write.table is not TableName.HISTORY:
                continue
            match write.item.sk.split("#")[2:3]:
                case ["ORDER"]:
                    self._order(codec.decode(write.item.body, Order))
                case ["RISK"] if write.item.version == 1:
                    self._count("Refusals")

    def over(self, trading: "Trading") -> None:
        """A shift has ended."""
        self._count("UnknownOrders", sum(each.state is OrderState.UNKNOWN for each in trading.desk.orders.values()))

    def restarted(self) -> None:
        """The timer was found dead."""
        self._count("TimerRestarts")

    def flush(self) -> None:
        if self._metrics.metric_set:
            print(json.dumps(self._metrics.serialize_metric_set(), separators=(",", ":")))
            self._metrics.clear_metrics()

    def _order(self, order: Order) -> None:
        """What is stored as being sent is handed to its broker at once."""
        if order.state is not OrderState.SENDING:
            return
        intent, done_for = order.intent, errand()
        LOG.info(
            "order sent",
            extra={"order": intent.id, "run": intent.run_id, "account": intent.account, "action": intent.action.value},
        )
        self._count("OrdersSent")
        if done_for is not None and not done_for.has_sent:
            done_for.has_sent = True
            self._span("DueToSent", self._clock.now() - done_for.due)

    def _count(self, name: str, count: int = 1) -> None:
        self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)

    def _span(self, name: str, span: timedelta) -> None:
        milliseconds = round(span / timedelta(milliseconds=1), 3)
        self._metrics.add_metric(name=name, unit=MetricUnit.Milliseconds, value=milliseconds)
