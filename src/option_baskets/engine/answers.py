"""What brokers say of orders, applied: idempotent, and committed with the fills and positions it changes."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from option_baskets.domain.errors import Unwritable
from option_baskets.domain.order import Fill, Intent, Order, OrderReport, OrderState, advance, is_given_up
from option_baskets.domain.reasons import Reason
from option_baskets.domain.reported import Applied, apply
from option_baskets.domain.run import with_fills
from option_baskets.engine.lines import account_of
from option_baskets.engine.orders import HeldOrders
from option_baskets.engine.runs import OpenRuns, RunKey
from option_baskets.engine.starts import Starts
from option_baskets.ports import Clock, Write
from option_baskets.store.books import Books
from option_baskets.store.records import Alert, Level

LOG = logging.getLogger(__name__)

_WRITES_A_COMMIT = 99
"""Beside the run's own."""
_REPORTS_A_COMMIT = 30
"""Each may write an order, a fill and an alert; a commit takes 100 writes."""


class Answers:
    """Every change of an order that is not ours to decide, and the ends that need no broker.

    ``returned`` is called with the id of an order that had ended without its broker, and that its broker has after all.
    """

    def __init__(
        self,
        *,
        books: Books,
        runs: OpenRuns,
        orders: HeldOrders,
        starts: Starts,
        clock: Clock,
        returned: Callable[[str], None],
    ) -> None:
        self._books = books
        self._runs = runs
        self._orders = orders
        self._starts = starts
        self._clock = clock
        self._returned = returned
        self._inbox: defaultdict[RunKey, list[OrderReport]] = defaultdict(list)

    def forget_finished(self) -> None:
        for key in [key for key in self._inbox if key not in self._runs]:
            del self._inbox[key]

    async def report(self, user_id: str, report: OrderReport) -> None:
        """Apply a broker's report. Reports that arrive while another of the run is committed share one commit.

        Where that commit fails they are forgotten, so that the next look at the order book brings them again.
        """
        order = self._orders.by_id.get(report.tag)
        if order is None or account_of(order.intent) != (user_id, report.account):
            return
        key = (user_id, order.intent.run_id)
        known = (report.state, report.filled, report.limit) == (order.state, order.filled, order.limit)
        if key not in self._runs or known or report in self._inbox[key]:
            return
        self._inbox[key].append(report)
        async with self._runs.lock(key):
            if self._inbox[key]:
                await asyncio.sleep(0)  # answers that came together are all here now
            while reports := self._inbox[key][:_REPORTS_A_COMMIT]:
                try:
                    await self._apply(key, reports)
                except Unwritable:  # the store failed at that; it is known now, so nothing begins with them
                    await self._apply(key, reports)
                finally:
                    del self._inbox[key][: len(reports)]

    async def _apply(self, key: RunKey, reports: Sequence[OrderReport]) -> None:
        orders: dict[str, Order] = {}
        fills: list[tuple[Intent, Fill]] = []
        writes: list[Write] = []
        alerts: dict[tuple[str, str], Write] = {}
        for report in reports:
            before = orders.get(report.tag, self._orders[report.tag])
            applied = apply(before, report)
            if applied.order is not before:
                orders[report.tag] = applied.order
            if applied.fill is not None:
                fills.append((before.intent, applied.fill))
                writes.append(self._books.put_fill(before.intent, applied.fill))
            if applied.alert:
                LOG.warning("%s", applied.alert)
                alerts[report.tag, applied.code] = self._books.put_alert(_alert(before, report, applied))
        run = with_fills(self._runs.get(key), fills)
        room = _WRITES_A_COMMIT - len(writes) - len(alerts) - len(orders)
        orders |= {order.intent.id: order for order in self._starts.following(run, orders, room)}
        updates, kept = self._orders.written(orders.values())
        writes += [*alerts.values(), *updates]
        returned = [
            order.intent.id
            for order in map(self._orders.__getitem__, orders)
            if order.state.is_final and is_given_up(order)
        ]
        await self._runs.change_locked(key, lambda _: (run, writes))
        self._orders.take_up(kept)
        for intent_id in returned:
            self._returned(intent_id)

    # ------------------------------------------------------------ without a broker's report

    async def unknown(self, intent_id: str, message: str) -> bool:
        """Journal that nobody knows whether it left; whether that is so."""
        intent = self._orders[intent_id].intent
        async with self._runs.lock((intent.user_id, intent.run_id)):
            order = self._orders[intent_id]
            if order.state is not OrderState.SENDING:
                return False
            await self._orders.journal([advance(order, OrderState.UNKNOWN, self._clock.now(), message=message)])
        return True

    async def conclude(self, intent_id: str, state: OrderState, reason: Reason, message: str = "") -> None:
        """End an order without a broker's report: never sent (CANCELLED), never taken (REJECTED: it could not be
        reached) or nowhere to be found (ABSENT). Where it has moved on meanwhile, nothing happens."""
        intent = self._orders[intent_id].intent
        async with self._runs.lock((intent.user_id, intent.run_id)):
            order = self._orders[intent_id]
            if self._may_end(order, state):
                self._starts.withdraw(intent_id)
                await self._orders.journal([advance(order, state, self._clock.now(), reason=reason, message=message)])

    def _may_end(self, order: Order, state: OrderState) -> bool:
        match state:
            case OrderState.CANCELLED:
                return self._starts.is_unsent(order)
            case OrderState.ABSENT:
                return order.state is OrderState.UNKNOWN
            case _:
                return order.state is OrderState.SENDING


def _alert(order: Order, report: OrderReport, applied: Applied) -> Alert:
    return Alert(
        user_id=order.intent.user_id,
        at=report.at,
        code=applied.code,
        message=applied.alert,
        level=Level.CRITICAL,
        strategy_id=order.intent.strategy_id,
        run_id=order.intent.run_id,
        account=report.account,
        subject=order.intent.id,
    )
