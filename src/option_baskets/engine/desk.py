"""The order desk, through which every order goes: journaled, sent, changed, and kept as its broker says it is.

An intent is handed to a broker's API at most once. What a broker reports is cumulative and applied idempotently, and
the order, its fill and the position it changes are committed together. Whoever decides about orders asks here:
``orders.py`` holds them, ``starts.py`` and ``sending.py`` hand them over, ``answers.py`` applies what is said of them,
``settling.py`` finds out what nobody answered, ``changes.py`` moves and cancels them.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from option_baskets.domain.contract import Side
from option_baskets.domain.order import Order, OrderReport, OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.engine.answers import Answers
from option_baskets.engine.changes import Changes
from option_baskets.engine.lines import AccountKey, Lines
from option_baskets.engine.orders import HeldOrders
from option_baskets.engine.rates import Bucket, Rate, Urgency
from option_baskets.engine.runs import OpenRuns, RunKey
from option_baskets.engine.sending import Approve, Sender
from option_baskets.engine.settling import Settler
from option_baskets.engine.starts import Starts
from option_baskets.ports import Broker, Clock, Write
from option_baskets.store.books import Books

LOG = logging.getLogger(__name__)

__all__ = ["AccountKey", "Desk", "urgency_of_exit"]


class Desk:
    """Orders of every account in hand, by intent id."""

    def __init__(
        self,
        *,
        books: Books,
        runs: OpenRuns,
        brokers: Mapping[AccountKey, Broker],
        buckets: Mapping[AccountKey, Bucket],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._lines = lines = Lines(dict(brokers), dict(buckets))
        self._orders = orders = HeldOrders(books, runs, clock)
        self._starts = starts = Starts(orders, lines, clock, books.health)
        self._answers = answers = Answers(
            books=books, runs=runs, orders=orders, starts=starts, clock=clock, returned=self._abandon
        )
        self._settler = settler = Settler(lines=lines, orders=orders, answers=answers, clock=clock)
        self._sender = Sender(
            lines=lines,
            runs=runs,
            orders=orders,
            starts=starts,
            answers=answers,
            clock=clock,
            health=books.health,
            unclear=self.settle,
        )
        self._changes = Changes(
            books=books,
            runs=runs,
            lines=lines,
            orders=orders,
            starts=starts,
            answers=answers,
            settler=settler,
            clock=clock,
        )
        self._background: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ accounts

    @property
    def brokers(self) -> Mapping[AccountKey, Broker]:
        return self._lines.brokers

    @brokers.setter
    def brokers(self, brokers: Mapping[AccountKey, Broker]) -> None:
        self._lines.brokers = dict(brokers)

    def connect(self, account: AccountKey, broker: Broker, rate: Rate | None) -> None:
        """Send to this account too, at this rate."""
        self._lines.brokers[account] = broker
        self._lines.buckets[account] = Bucket(self._clock, rate)

    def limit(self, account: AccountKey, rate: Rate | None) -> None:
        """Another rate from now on; what of this second and minute is used stays used."""
        self._lines.buckets[account].change(rate)

    def disconnect(self, account: AccountKey) -> None:
        """An account on which nothing of ours is or works is none of ours any more."""
        self._lines.brokers.pop(account, None)
        self._lines.buckets.pop(account, None)

    def capacity(self, account: AccountKey, within: timedelta) -> int | None:
        """How many entries the account's rate lets through in that time; None: as many as you like."""
        return self._lines.buckets[account].entries(within)

    def note_unknown(self, account: AccountKey, tag: str) -> None:
        """The account's order book has an order that the journal has not. Should it be meant once, it is not sent."""
        self._lines.unknown.add((account, tag))

    # ------------------------------------------------------------ orders in hand

    @property
    def orders(self) -> Mapping[str, Order]:
        """By intent id, as they are in the store."""
        return self._orders.by_id

    def take_up(self, orders: Iterable[Order]) -> None:
        """Hold orders that are in the store as they are."""
        self._orders.take_up(orders)

    def forget_finished(self) -> None:
        """Let go of the orders of runs that are over; the store has them."""
        self._orders.forget_finished()
        self._answers.forget_finished()

    def of_run(self, key: RunKey) -> tuple[Order, ...]:
        return self._orders.of_run(key)

    def working(self, account: AccountKey) -> tuple[Order, ...]:
        """Orders of the account that are not final."""
        return self._orders.working(account)

    async def until_final(self, intent_ids: Iterable[str]) -> None:
        """Return when every one of the orders is in a final state."""
        await self._orders.until_final(intent_ids)

    async def final_by(self, intent_ids: Sequence[str], at: datetime) -> bool:
        """Whether every one of the orders is final, now or by ``at``."""
        return await self._orders.final_by(intent_ids, at)

    # ------------------------------------------------------------ journal and send

    def written(self, orders: Iterable[Order]) -> tuple[list[Write], list[Order]]:
        """The writes that journal the orders, and the orders to ``take_up`` once they are committed."""
        return self._orders.written(orders)

    async def journal(self, orders: Iterable[Order]) -> None:
        """Commit the orders as they are now, and hold them so; many of them in several commits."""
        await self._orders.journal(orders)

    def begun(self, orders: Sequence[Order], urgency: Urgency) -> list[Order]:
        """New orders of one account, SENDING as far as its rate allows now: to be journaled so, then given to ``send``.

        It saves them a commit of their own.
        """
        return self._starts.begun(orders, urgency)

    def begin_after(
        self, wave: Sequence[Order], following: Sequence[Order], urgency: Urgency, until: datetime
    ) -> AbstractContextManager[None]:
        """Meanwhile ``following`` is journaled as SENDING by the very commit that fills the last order of ``wave``.

        All are of one account's part of a run. ``send`` takes them from there.
        """
        return self._starts.begin_after(wave, following, urgency, until)

    async def send(self, orders: Sequence[Order], urgency: Urgency, *, until: datetime | None = None) -> None:
        """Send journaled orders of one account that were not sent yet, as fast as its rate allows, all in parallel.

        Returns when every one was answered or its outcome is unknown; those are settled in the background. What could
        not be sent by ``until`` stays CREATED.
        """
        await self._sender.send(orders, urgency, until)

    def approve_by(self, approve: Approve) -> None:
        """Ask this before every order that is handed over; it raises Refused where an entry may not leave."""
        self._sender.approve_by(approve)

    # ------------------------------------------------------------ what became of them

    async def report(self, user_id: str, report: OrderReport) -> None:
        """Apply a broker's report, wherever it comes from. Reports that arrive together share one commit.

        Where that commit fails they are forgotten, so that the next look at the order book brings them again.
        """
        await self._answers.report(user_id, report)

    async def conclude(self, intent_id: str, state: OrderState, reason: Reason, message: str = "") -> None:
        """End an order without a broker's report: never sent (CANCELLED), never taken (REJECTED: it could not be
        reached) or nowhere to be found (ABSENT)."""
        await self._answers.conclude(intent_id, state, reason, message)

    def settle(self, intent_id: str) -> None:
        """Find out in the background what became of an order of unknown fate; it is never sent again."""
        self._begin(self._settler.settle(intent_id), name=f"settle {intent_id}")

    # ------------------------------------------------------------ changing them

    async def cancel(self, order: Order, urgency: Urgency, reason: Reason) -> None:
        """Ask for an order to be cancelled, with growing waits, until it is final, filled or not.

        Returns also when the session is over: then its exchange ends it, and the next look at the order book tells.
        """
        await self._changes.cancel(order, urgency, reason)

    async def reprice(self, order: Order, limit: Decimal, urgency: Urgency) -> None:
        """Ask for another limit price. An order that is not changed rests as it was; the next look at it tells."""
        await self._changes.reprice(order, limit, urgency)

    def trade_until(self, close: datetime) -> None:
        """The session under way ends then."""
        self._changes.until = close

    @property
    def is_busy(self) -> bool:
        """Fates of orders are being read, or abandoned ones cancelled."""
        return bool(self._background)

    async def abandon_all(self) -> None:
        """End what goes on in the background; whoever takes the orders up finds out what became of them."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _abandon(self, intent_id: str) -> None:
        self._begin(self._changes.abandon(intent_id), name=f"abandon {intent_id}")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("%s failed", task.get_name(), exc_info=error)


def urgency_of_exit(side: Side) -> Urgency:
    """Buying a short back goes before selling a long."""
    return Urgency.SHORT_COVER if side is Side.BUY else Urgency.EXIT
