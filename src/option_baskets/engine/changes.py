"""Changes of orders a broker has: cancelling, and moving the limit. An unclear answer is read up, never assumed."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from option_baskets.domain.errors import Halt, Invalid, NotFound, Unavailable, Unclear
from option_baskets.domain.order import Order, OrderReport, OrderState, asked
from option_baskets.domain.reasons import Reason
from option_baskets.engine.answers import Answers
from option_baskets.engine.lines import Lines
from option_baskets.engine.orders import HeldOrders
from option_baskets.engine.rates import Urgency
from option_baskets.engine.runs import OpenRuns
from option_baskets.engine.settling import Settler
from option_baskets.engine.starts import Starts
from option_baskets.ports import Broker, Clock
from option_baskets.store.books import Books
from option_baskets.store.records import Alert, Level

LOG = logging.getLogger(__name__)

Call = Callable[[Broker, str], Awaitable[OrderReport]]
"""What is asked of a broker, for the order with this id of its."""
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=8)
"""Before a change is asked for again, doubling each time it is not answered as wished."""


class Changes:
    """The only caller of ``Broker.cancel`` and ``Broker.modify``."""

    def __init__(
        self,
        *,
        books: Books,
        runs: OpenRuns,
        lines: Lines,
        orders: HeldOrders,
        starts: Starts,
        answers: Answers,
        settler: Settler,
        clock: Clock,
    ) -> None:
        self._books = books
        self._runs = runs
        self._lines = lines
        self._orders = orders
        self._starts = starts
        self._answers = answers
        self._settler = settler
        self._clock = clock
        self.until: datetime | None = None
        """When the session ends."""
        self._again: dict[str, tuple[datetime, timedelta]] = {}
        """Not before when, and how long after that, an order whose last new limit was not taken gets another."""

    async def cancel(self, order: Order, urgency: Urgency, reason: Reason) -> None:
        """As ``Desk.cancel``."""
        intent = order.intent
        if self._starts.is_unsent(order):
            await self._answers.conclude(intent.id, OrderState.CANCELLED, reason)
        wait = FIRST_WAIT
        while not (now := self._orders[intent.id]).state.is_final and not self._is_over():
            if now.broker_order_id:
                await self._note(now, reason=reason)
                await self._ask(now, urgency, lambda broker, id_: broker.cancel(id_))
            else:
                await self._settler.look(intent.id)
            await self._orders.final_by([intent.id], self._clock.now() + wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def reprice(self, order: Order, limit: Decimal, urgency: Urgency) -> None:
        """As ``Desk.reprice``."""
        intent = order.intent
        not_before, wait = self._again.pop(intent.id, (self._clock.now(), FIRST_WAIT))
        if self._clock.now() < not_before:
            self._again[intent.id] = not_before, wait
            return
        await self._note(order, limit=limit)
        if not await self._ask(order, urgency, partial(_reprice, limit=limit, quantity=intent.quantity)):
            self._again[intent.id] = self._clock.now() + wait, min(2 * wait, LONGEST_WAIT)

    async def _note(self, order: Order, *, limit: Decimal | None = None, reason: Reason | None = None) -> None:
        """Note on the order what its broker is asked; it is committed with what comes of it."""
        intent = order.intent
        async with self._runs.lock((intent.user_id, intent.run_id)):
            now = self._orders[intent.id]
            if not now.state.is_final:
                self._orders.take_up([asked(now, self._clock.now(), limit=limit, reason=reason)])

    async def _ask(self, order: Order, urgency: Urgency, call: Call) -> bool:
        """Whether the broker has answered; where it is not clear what it did, its order book is read."""
        intent = order.intent
        await self._lines.turn(intent, urgency)
        try:
            report = await call(self._lines.broker(intent), order.broker_order_id)
        except Unavailable as error:  # nothing happened
            LOG.warning("change of %s: %s", intent.id, error)
            return False
        except Halt:
            raise
        except Exception as error:
            is_known = isinstance(error, (Invalid, NotFound, Unclear))
            LOG.warning("change of %s: %s", intent.id, error, exc_info=None if is_known else error)
            await self._settler.look(intent.id)
            return False
        await self._answers.report(intent.user_id, report)
        return True

    def _is_over(self) -> bool:
        """The session is, and its exchange ends what is left."""
        return self.until is not None and self._clock.now() >= self.until

    async def abandon(self, intent_id: str) -> None:
        """Cancel an order that was taken for absent and shows up after all: what it was for is long decided."""
        order = self._orders[intent_id]
        intent = order.intent
        message = f"order {order.broker_order_id} was taken for being at no broker and is {order.state} there"
        message += ": it is cancelled" if not order.state.is_final else ""
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


def _reprice(broker: Broker, broker_order_id: str, *, limit: Decimal, quantity: int) -> Awaitable[OrderReport]:
    return broker.modify(broker_order_id, limit=limit, quantity=quantity)
