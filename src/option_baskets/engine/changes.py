"""Changes of orders a broker has: cancelling, and moving the limit. An unclear answer is read up, never assumed."""

import logging
from datetime import timedelta
from decimal import Decimal

from option_baskets.domain.errors import Invalid, NotFound, Unavailable, Unclear
from option_baskets.domain.order import Order, OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.engine.answers import Answers
from option_baskets.engine.lines import Lines
from option_baskets.engine.orders import HeldOrders
from option_baskets.engine.rates import Urgency
from option_baskets.engine.settling import Settler
from option_baskets.engine.starts import Starts
from option_baskets.ports import Clock
from option_baskets.store.books import Books
from option_baskets.store.records import Alert, Level

LOG = logging.getLogger(__name__)

CANCEL_EVERY = timedelta(seconds=1)


class Changes:
    """The only caller of ``Broker.cancel`` and ``Broker.modify``."""

    def __init__(
        self,
        *,
        books: Books,
        lines: Lines,
        orders: HeldOrders,
        starts: Starts,
        answers: Answers,
        settler: Settler,
        clock: Clock,
    ) -> None:
        self._books = books
        self._lines = lines
        self._orders = orders
        self._starts = starts
        self._answers = answers
        self._settler = settler
        self._clock = clock

    async def cancel(self, order: Order, urgency: Urgency, reason: Reason) -> None:
        """As ``Desk.cancel``."""
        intent = order.intent
        if self._starts.is_unsent(order):
            await self._answers.conclude(intent.id, OrderState.CANCELLED, reason)
        while not (now := self._orders[intent.id]).state.is_final:
            if now.broker_order_id:
                await self._lines.turn(intent, urgency)
                try:
                    report = await self._lines.broker(intent).cancel(now.broker_order_id)
                    await self._answers.report(intent.user_id, report)
                except (Invalid, NotFound, Unavailable, Unclear) as error:
                    LOG.warning("cancel of %s: %s", intent.id, error)
            else:
                await self._settler.look(intent.id)
            await self._orders.final_by([intent.id], self._clock.now() + CANCEL_EVERY)

    async def reprice(self, order: Order, limit: Decimal, urgency: Urgency) -> None:
        """As ``Desk.reprice``."""
        intent = order.intent
        await self._lines.turn(intent, urgency)
        try:
            report = await self._lines.broker(intent).modify(
                order.broker_order_id, limit=limit, quantity=intent.quantity
            )
        except (Invalid, NotFound, Unavailable, Unclear) as error:
            LOG.warning("new price for %s: %s", intent.id, error)
        else:
            await self._answers.report(intent.user_id, report)

    async def abandon(self, intent_id: str) -> None:
        """Cancel an order that was taken for absent and shows up after all: what it was for is long decided."""
        order = self._orders[intent_id]
        intent = order.intent
        message = f"order {order.broker_order_id} was taken for absent and is {order.state}: it is cancelled"
        alert = Alert(
            user_id=intent.user_id,
            at=self._clock.now(),
            code="absent_order_found",
            message=message,
            level=Level.CRITICAL,
            strategy_id=intent.strategy_id,
            run_id=intent.run_id,
            account=intent.account,
            subject=intent_id,
        )
        LOG.critical("%s", message)
        await self._books.commit(self._books.put_alert(alert))
        await self.cancel(order, Urgency.EXIT, Reason.ABSENT)
