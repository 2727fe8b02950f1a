"""Settling orders of unknown fate: read from the broker's order book by tag, never sent again."""

import logging
from datetime import timedelta

from option_baskets.domain.errors import Halt, Unavailable, Unclear
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.engine.answers import Answers
from option_baskets.engine.lines import Lines, account_of
from option_baskets.engine.orders import HeldOrders
from option_baskets.ports import Clock

LOG = logging.getLogger(__name__)

GOOD_READS = 3
READS_SPAN = timedelta(seconds=30)
"""An order of unknown fate is absent after so many good readings, the first and the last so far apart, without it."""
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=15)
"""Between readings, doubling: after 0, 1, 3, 7, 15 and 30 seconds."""


class Settler:
    def __init__(self, *, lines: Lines, orders: HeldOrders, answers: Answers, clock: Clock) -> None:
        self._lines = lines
        self._orders = orders
        self._answers = answers
        self._clock = clock

    async def settle(self, intent_id: str) -> None:
        """Return when it is known what became of the order, or that it is nowhere (ABSENT).

        While the book cannot be read, or what it says cannot be kept, it stays UNKNOWN and is looked for again.
        """
        reads = 0
        span = timedelta()  # counted by what was waited, as the clock may be set
        wait = FIRST_WAIT
        while self._is_unknown(intent_id):
            try:
                if await self.look(intent_id) is False:
                    reads += 1
                    if reads >= GOOD_READS and span >= READS_SPAN:
                        await self._answers.conclude(intent_id, OrderState.ABSENT, Reason.ABSENT)
                        continue
            except Halt:
                raise
            except Exception:  # a table that is full: what was found is found again
                LOG.exception("settling %s", intent_id)
            if self._is_unknown(intent_id):
                await self._clock.pause(wait)
                span += wait if reads else timedelta()
                wait = min(2 * wait, LONGEST_WAIT)

    def _is_unknown(self, intent_id: str) -> bool:
        order = self._orders.by_id.get(intent_id)
        return order is not None and order.state is OrderState.UNKNOWN

    async def look(self, intent_id: str) -> bool | None:
        """Read the order book for an order and apply what it says; whether it is there. None: it cannot be read."""
        intent = self._orders[intent_id].intent
        try:
            found = [each for each in await self._lines.order_book(account_of(intent)) if each.tag == intent_id]
        except (Unavailable, Unclear) as error:
            LOG.warning("order book of %s: %s", intent.account, error)
            return None
        except Halt:
            raise
        except Exception:  # an adapter that cannot read what it was answered
            LOG.exception("order book of %s", intent.account)
            return None
        order_id = self._orders[intent_id].broker_order_id
        for report in [each for each in found if order_id in {"", each.broker_order_id}][:1]:
            await self._answers.report(intent.user_id, report)
        return bool(found)
