"""Sending: nothing is handed to a broker that is not journaled as SENDING, and nothing twice."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from option_baskets.domain.errors import Refused, Unavailable, Unclear
from option_baskets.domain.order import Intent, Order, OrderReport, OrderState, advance
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import Approved, approve
from option_baskets.engine.answers import Answers
from option_baskets.engine.lines import Lines, account_of
from option_baskets.engine.orders import HeldOrders
from option_baskets.engine.rates import Urgency
from option_baskets.engine.runs import OpenRuns
from option_baskets.engine.second_look import found_at_broker
from option_baskets.engine.starts import Starts
from option_baskets.ports import Clock
from option_baskets.store.health import Health

LOG = logging.getLogger(__name__)


Approve = Callable[[Intent], Awaitable[Approved]]


async def _approved(intent: Intent) -> Approved:
    return approve(intent)


class Sender:
    """The only caller of ``Broker.place``. ``unclear`` is called with the id of an order of which nobody knows
    whether it left."""

    def __init__(
        self,
        *,
        lines: Lines,
        runs: OpenRuns,
        orders: HeldOrders,
        starts: Starts,
        answers: Answers,
        clock: Clock,
        health: Health,
        unclear: Callable[[str], None],
    ) -> None:
        self._lines = lines
        self._runs = runs
        self._orders = orders
        self._starts = starts
        self._answers = answers
        self._clock = clock
        self._health = health
        self._unclear = unclear
        self._approve: Approve = _approved

    def approve_by(self, approve: Approve) -> None:
        """Ask this before every order that leaves; it raises Refused where one may not."""
        self._approve = approve

    async def send(self, orders: Sequence[Order], urgency: Urgency, until: datetime | None) -> None:
        """As ``Desk.send``."""
        begun = [order for order in orders if self._starts.is_begun(order)]
        ready = await self._starts.confirmed(begun, urgency)
        granted = self._clock.now()
        calls = [asyncio.create_task(self._place(order, urgency, granted)) for order in ready]
        try:
            await self._send_created(orders, urgency, until, calls)
        finally:
            if calls:
                await asyncio.gather(*calls)

    async def _send_created(
        self,
        orders: Sequence[Order],
        urgency: Urgency,
        until: datetime | None,
        calls: list[asyncio.Task[None]],
    ) -> None:
        """Journal and send what is only CREATED; the calls under way are added to ``calls``."""
        pending = [order.intent.id for order in orders if order.state is OrderState.CREATED]
        while pending:
            granted = await self._lines.bucket(orders[0].intent).take(len(pending), urgency)
            if until is not None and self._clock.now() > until:
                break
            batch, pending = pending[:granted], pending[granted:]
            ready = await self._starts.confirmed(await self._mark_sending(batch), urgency)
            now = self._clock.now()
            if len(ready) == 1 and not pending and not calls:
                await self._place(ready[0], urgency, now)
            else:
                calls += [asyncio.create_task(self._place(order, urgency, now)) for order in ready]

    async def _mark_sending(self, batch: Sequence[str]) -> list[Order]:
        """Journal the batch as SENDING, durably; whatever is not CREATED any more is left out and never sent again."""
        first = self._orders[batch[0]].intent
        async with self._runs.lock((first.user_id, first.run_id)):
            created = [order for order in map(self._orders.__getitem__, batch) if order.state is OrderState.CREATED]
            if created:
                now = self._clock.now()
                await self._orders.journal(advance(order, OrderState.SENDING, now) for order in created)
                self._starts.are_begun(created)
        return [self._orders[order.intent.id] for order in created]

    async def _place(self, order: Order, urgency: Urgency, granted: datetime) -> None:
        """Hand the order over, with the token it was granted at that instant."""
        intent = order.intent
        try:
            report = await self._there_already(intent)
            if report is None:
                await self._lines.bucket(intent).confirm(granted, 1, urgency)
                report = await self._lines.broker(intent).place(await self._approve(intent))
        except Refused as refusal:
            await self._answers.conclude(intent.id, OrderState.REJECTED, refusal.reason, str(refusal))
        except Unavailable as error:
            await self._answers.conclude(intent.id, OrderState.REJECTED, Reason.ACCOUNT_UNAVAILABLE, str(error))
        except Unclear as error:
            await self._lost(intent.id, str(error))
        except Exception as error:  # whatever it was, the order may have left before it
            LOG.exception("placing %s", intent.id)
            await self._lost(intent.id, f"{type(error).__name__}: {error}")
        else:
            await self._answers.report(intent.user_id, report)

    async def _there_already(self, intent: Intent) -> OrderReport | None:
        """What the broker has of it, where the journal may not know; see ``second_look.py``."""
        if self._health.is_writable and (account_of(intent), intent.id) not in self._lines.unknown:
            return None
        return await found_at_broker(intent, self._lines, self._runs)

    async def _lost(self, intent_id: str, message: str) -> None:
        if await self._answers.unknown(intent_id, message):
            self._unclear(intent_id)
