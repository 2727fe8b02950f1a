"""Settling orders of unknown fate: read from the broker's order book by tag, never sent again."""

import logging
from datetime import timedelta

from option_baskets.domain.errors import Unavailable, Unclear
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.engine.answers import Answers
from option_baskets.engine.lines import Lines
from option_baskets.engine.orders import HeldOrders
from option_baskets.ports import Clock

LOG = logging.getLogger(__name__)

SETTLE_READS = 3
SETTLE_EVERY = timedelta(seconds=10)
"""An order of unknown fate is absent after three good reads over thirty seconds without its tag."""


class Settler:
    def __init__(self, *, lines: Lines, orders: HeldOrders, answers: Answers, clock: Clock) -> None:
        self._lines = lines
        self._orders = orders
        self._answers = answers
        self._clock = clock

    async def settle(self, intent_id: str) -> None:
        """Return when it is known what became of the order, or that it is nowhere (ABSENT)."""
        reads = 0
        started = self._clock.now()
        while reads < SETTLE_READS or self._clock.now() - started < SETTLE_READS * SETTLE_EVERY:
            if intent_id not in self._orders.by_id or self._orders[intent_id].state is not OrderState.UNKNOWN:
                return
            found = await self.look(intent_id)
            if found:
                return
            reads += found is False
            await self._clock.sleep_until(self._clock.now() + SETTLE_EVERY)
        await self._answers.conclude(intent_id, OrderState.ABSENT, Reason.ABSENT)

    async def look(self, intent_id: str) -> bool | None:
        """Read the order book for an order whose answer was lost, and apply what it says; None: it cannot be read."""
        intent = self._orders[intent_id].intent
        try:
            found = [report for report in await self._lines.broker(intent).orders() if report.tag == intent_id]
        except (Unavailable, Unclear) as error:
            LOG.warning("order book of %s: %s", intent.account, error)
            return None
        for report in found[:1]:
            await self._answers.report(intent.user_id, report)
        return bool(found)
