"""The order desk: journal, send, and apply what brokers say. Nothing is sent that is not journaled as SENDING.

An intent is handed to a broker's API at most once. What a broker reports is cumulative and applied idempotently, and
the order, its fill and the position it changes are committed together.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from option_baskets.domain.contract import Side
from option_baskets.domain.errors import Invalid, NotFound, Unavailable, Unclear
from option_baskets.domain.order import Fill, Intent, Order, OrderReport, OrderState, advance, apply
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import approve
from option_baskets.domain.run import Run, with_fills
from option_baskets.engine.rates import Bucket, Urgency
from option_baskets.engine.runs import OpenRuns, RunKey
from option_baskets.ports import Broker, Clock, Write
from option_baskets.store.books import Books
from option_baskets.store.records import Alert, Level

LOG = logging.getLogger(__name__)

AccountKey = tuple[str, str]
"""(user id, account id)."""

SETTLE_READS = 3
SETTLE_EVERY = timedelta(seconds=10)
"""An order of unknown fate is absent after three good reads over thirty seconds without its tag."""
CANCEL_EVERY = timedelta(seconds=1)
_WRITES_A_COMMIT = 99
"""Beside the run's own."""
_ORDERS_A_COMMIT = 90
_REPORTS_A_COMMIT = 30
"""Each may write an order, a fill and an alert; a commit takes 100 writes."""


@dataclass(frozen=True, slots=True)
class _Next:
    """Orders that begin once a wave is filled, by intent id."""

    wave: Sequence[str]
    following: Sequence[str]
    urgency: Urgency
    until: datetime


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
        self._books = books
        self._runs = runs
        self.brokers = brokers
        self._buckets = buckets
        self._clock = clock
        self.orders: dict[str, Order] = {}
        self._of_run: defaultdict[RunKey, list[str]] = defaultdict(list)
        self._inbox: defaultdict[RunKey, list[OrderReport]] = defaultdict(list)
        self._begun: set[str] = set()
        """Journaled as SENDING and not yet handed to their broker by this process."""
        self._next: dict[tuple[RunKey, str], _Next] = {}
        self._final: dict[str, asyncio.Event] = {}
        self._background: set[asyncio.Task[None]] = set()

    def take_up(self, orders: Iterable[Order]) -> None:
        """Hold orders that are already in the journal."""
        for order in orders:
            intent = order.intent
            if intent.id not in self.orders:
                self._of_run[intent.user_id, intent.run_id].append(intent.id)
            self.orders[intent.id] = order

    def forget_finished(self) -> None:
        """Let go of the orders of runs that are over; the journal has them."""
        for key in [key for key in self._of_run if key not in self._runs]:
            for intent_id in self._of_run.pop(key):
                del self.orders[intent_id]
            self._inbox.pop(key, None)

    def of_run(self, key: RunKey) -> tuple[Order, ...]:
        return tuple(self.orders[intent_id] for intent_id in self._of_run[key])

    def capacity(self, account: AccountKey, within: timedelta) -> int | None:
        """How many entries the account's rate lets through in that time; None: as many as you like."""
        return self._buckets[account].entries(within)

    def begun(self, orders: Sequence[Order], urgency: Urgency) -> list[Order]:
        """New orders of one account, SENDING as far as its rate allows now: to be journaled so, then given to ``send``.

        It saves them a commit of their own.
        """
        if not orders:
            return []
        account = (orders[0].intent.user_id, orders[0].intent.account)
        granted = self._buckets[account].take_now(len(orders), urgency)
        now = self._clock.now()
        sending = [advance(order, OrderState.SENDING, now) for order in orders[:granted]]
        self._begun.update(order.intent.id for order in sending)
        return [*sending, *orders[granted:]]

    @contextmanager
    def begin_after(
        self, wave: Sequence[Order], following: Sequence[Order], urgency: Urgency, until: datetime
    ) -> Iterator[None]:
        """Meanwhile ``following`` is journaled as SENDING by the very commit that fills the last order of ``wave``.

        All are of one account's part of a run. ``send`` takes them from there.
        """
        intent = wave[0].intent
        place = (intent.user_id, intent.run_id), intent.account
        if following:
            ids = [order.intent.id for order in wave], [order.intent.id for order in following]
            self._next[place] = _Next(*ids, urgency, until)
        try:
            yield
        finally:
            self._next.pop(place, None)

    def _following(self, run: Run, changed: Mapping[str, Order], most: int) -> Iterator[Order]:
        """What begins with these changes: its cover is filled by them, and nothing on the account is to be closed."""
        for account in {order.intent.account for order in changed.values()}:
            after = self._next.get(((run.user_id, run.id), account))
            if after is None or self._clock.now() > after.until:
                continue
            intent = self.orders[after.wave[0]].intent
            batch = run.position((intent.leg, account, intent.entry_number)).batch
            if run.is_closing(account, batch):
                continue
            before = [self.orders[intent_id] for intent_id in after.wave]
            filled = all(changed.get(order.intent.id, order).state is OrderState.FILLED for order in before)
            given_up = any(order.state.is_final and order.state is not OrderState.FILLED for order in before)
            if filled and not given_up:
                orders = [self.orders[intent_id] for intent_id in after.following[:most]]
                begun = self.begun([order for order in orders if order.state is OrderState.CREATED], after.urgency)
                most -= len(orders)
                yield from (order for order in begun if order.state is OrderState.SENDING)

    def written(self, orders: Iterable[Order]) -> tuple[list[Write], list[Order]]:
        """The writes that journal the orders, and the orders to ``take_up`` once they are committed."""
        pairs = [self._books.put_order(order) for order in orders]
        return [write for write, _ in pairs], [order for _, order in pairs]

    async def journal(self, orders: Iterable[Order]) -> None:
        """Commit the orders as they are now, and hold them so; many of them in several commits."""
        every = list(orders)
        for start in range(0, len(every), _ORDERS_A_COMMIT):
            writes, kept = self.written(every[start : start + _ORDERS_A_COMMIT])
            await self._books.commit(*writes)
            self.take_up(kept)

    async def send(self, orders: Sequence[Order], urgency: Urgency, *, until: datetime | None = None) -> None:
        """Send journaled orders of one account that were not sent yet, as fast as its rate allows, all in parallel.

        Returns when every one was answered or its outcome is unknown; those are settled in the background. What could
        not be sent by ``until`` stays CREATED.
        """
        begun = [order for order in orders if order.state is OrderState.SENDING and order.intent.id in self._begun]
        calls = [asyncio.create_task(self._place(order)) for order in await self._confirmed(begun, urgency)]
        pending = [order.intent.id for order in orders if order.state is OrderState.CREATED]
        while pending:
            account = (orders[0].intent.user_id, orders[0].intent.account)
            granted = await self._buckets[account].take(len(pending), urgency)
            if until is not None and self._clock.now() > until:
                break
            batch, pending = pending[:granted], pending[granted:]
            ready = await self._confirmed(await self._mark_sending(batch), urgency)
            if len(ready) == 1 and not pending and not calls:
                await self._place(ready[0])
            else:
                calls += [asyncio.create_task(self._place(order)) for order in ready]
        if calls:
            await asyncio.gather(*calls)

    async def _confirmed(self, begun: Sequence[Order], urgency: Urgency) -> list[Order]:
        """The orders, to be handed over at once: they are journaled as SENDING and have tokens of this very second."""
        if not begun:
            return []
        account = (begun[0].intent.user_id, begun[0].intent.account)
        await self._buckets[account].confirm(begun[0].updated_at, len(begun), urgency)
        ready = [order for order in begun if order.intent.id in self._begun]  # the others were cancelled meanwhile
        self._begun.difference_update(order.intent.id for order in ready)
        return ready

    async def _mark_sending(self, batch: Sequence[str]) -> list[Order]:
        """Journal the batch as SENDING, durably; whatever is not CREATED any more is left out and never sent again."""
        first = self.orders[batch[0]].intent
        async with self._runs.lock((first.user_id, first.run_id)):
            created = [order for order in map(self.orders.__getitem__, batch) if order.state is OrderState.CREATED]
            if created:
                now = self._clock.now()
                await self.journal(advance(order, OrderState.SENDING, now) for order in created)
                self._begun.update(order.intent.id for order in created)
        return [self.orders[order.intent.id] for order in created]

    async def _place(self, order: Order) -> None:
        intent = order.intent
        broker = self.brokers[intent.user_id, intent.account]
        try:
            report = await broker.place(approve(intent))
        except Unavailable as error:
            await self.conclude(intent.id, OrderState.REJECTED, Reason.ACCOUNT_UNAVAILABLE, str(error))
            return
        except Unclear as error:
            await self._unknown(order, str(error))
            return
        except Exception as error:  # whatever it was, the order may have left before it
            LOG.exception("placing %s", intent.id)
            await self._unknown(order, f"{type(error).__name__}: {error}")
            return
        await self.report(intent.user_id, report)

    async def _unknown(self, order: Order, message: str) -> None:
        key = (order.intent.user_id, order.intent.run_id)
        async with self._runs.lock(key):
            now = self.orders[order.intent.id]
            if now.state is not OrderState.SENDING:
                return
            await self.journal([advance(now, OrderState.UNKNOWN, self._clock.now(), message=message)])
        self.settle(order.intent.id)

    def settle(self, intent_id: str) -> None:
        """Find out in the background what became of an order of unknown fate; it is never sent again."""
        self._begin(self._settle(intent_id), name=f"settle {intent_id}")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _settle(self, intent_id: str) -> None:
        intent = self.orders[intent_id].intent
        broker = self.brokers[intent.user_id, intent.account]
        reads = 0
        started = self._clock.now()
        while reads < SETTLE_READS or self._clock.now() - started < SETTLE_READS * SETTLE_EVERY:
            try:
                found = [report for report in await broker.orders() if report.tag == intent_id]
            except (Unavailable, Unclear):
                found = []
            else:
                reads += 1
            if found:
                await self.report(intent.user_id, found[0])
                return
            if intent_id not in self.orders or self.orders[intent_id].state is not OrderState.UNKNOWN:
                return
            await self._clock.sleep_until(self._clock.now() + SETTLE_EVERY)
        await self.conclude(intent_id, OrderState.ABSENT, Reason.ABSENT)

    def _is_unsent(self, order: Order) -> bool:
        """No broker has it yet, for certain."""
        return order.state is OrderState.CREATED or (
            order.state is OrderState.SENDING and order.intent.id in self._begun
        )

    async def conclude(self, intent_id: str, state: OrderState, reason: Reason, message: str = "") -> None:
        """End an order without a broker's report: never sent (CANCELLED), never taken (REJECTED: it could not be
        reached) or nowhere to be found (ABSENT)."""
        order = self.orders[intent_id]
        key = (order.intent.user_id, order.intent.run_id)
        async with self._runs.lock(key):
            order = self.orders[intent_id]
            if not self._may_end(order, state):
                return
            self._begun.discard(intent_id)
            await self.journal([advance(order, state, self._clock.now(), reason=reason, message=message)])
        self._announce(intent_id)

    def _may_end(self, order: Order, state: OrderState) -> bool:
        match state:
            case OrderState.CANCELLED:
                return self._is_unsent(order)
            case OrderState.ABSENT:
                return order.state is OrderState.UNKNOWN
            case _:
                return order.state is OrderState.SENDING

    async def report(self, user_id: str, report: OrderReport) -> None:
        """Apply a broker's report. Reports that arrive while another of the run is committed share one commit.

        Where that commit fails they are forgotten, so that the next look at the order book brings them again.
        """
        order = self.orders.get(report.tag)
        if order is None or (order.intent.user_id, order.intent.account) != (user_id, report.account):
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
                finally:
                    del self._inbox[key][: len(reports)]

    async def _apply(self, key: RunKey, reports: Sequence[OrderReport]) -> None:
        orders: dict[str, Order] = {}
        fills: list[tuple[Intent, Fill]] = []
        writes: list[Write] = []
        alerts: dict[str, Write] = {}
        for report in reports:
            before = orders.get(report.tag, self.orders[report.tag])
            applied = apply(before, report)
            if applied.order is not before:
                orders[report.tag] = applied.order
            if applied.fill is not None:
                fills.append((before.intent, applied.fill))
                writes.append(self._books.put_fill(before.intent, applied.fill))
            if applied.alert:
                LOG.warning("%s", applied.alert)
                alerts[report.tag] = self._books.put_alert(_contradiction(before, report, applied.alert))
        run = with_fills(self._runs.get(key), fills)
        room = _WRITES_A_COMMIT - len(writes) - len(alerts) - len(orders)
        orders |= {order.intent.id: order for order in self._following(run, orders, room)}
        updates, kept = self.written(orders.values())
        writes += [*alerts.values(), *updates]
        returned = [tag for tag in orders if self.orders[tag].state is OrderState.ABSENT]
        await self._runs.change_locked(key, lambda _: (run, writes))
        self.take_up(kept)
        for intent_id in orders:
            self._announce(intent_id)
        for intent_id in returned:
            self._begin(self._abandon(intent_id), name=f"abandon {intent_id}")

    async def _abandon(self, intent_id: str) -> None:
        """Cancel an order that was taken for absent and shows up after all: what it was for is long decided."""
        order = self.orders[intent_id]
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

    def _announce(self, intent_id: str) -> None:
        if self.orders[intent_id].state.is_final and intent_id in self._final:
            self._final.pop(intent_id).set()

    async def until_final(self, intent_ids: Iterable[str]) -> None:
        """Return when every one of the orders is in a final state."""
        for intent_id in intent_ids:
            if not self.orders[intent_id].state.is_final:
                await self._final.setdefault(intent_id, asyncio.Event()).wait()

    async def final_by(self, intent_ids: Sequence[str], at: datetime) -> bool:
        """Whether every one of the orders is final, now or by ``at``."""
        if all(self.orders[intent_id].state.is_final for intent_id in intent_ids):
            return True
        final = asyncio.create_task(self.until_final(intent_ids))
        alarm = asyncio.create_task(self._clock.sleep_until(at))
        await asyncio.wait({final, alarm}, return_when=asyncio.FIRST_COMPLETED)
        final.cancel()
        alarm.cancel()
        return all(self.orders[intent_id].state.is_final for intent_id in intent_ids)

    async def cancel(self, order: Order, urgency: Urgency, reason: Reason) -> None:
        """Ask for an order to be cancelled; returns when it is final, filled or not."""
        intent = order.intent
        if self._is_unsent(order):
            await self.conclude(intent.id, OrderState.CANCELLED, reason)
        while not (now := self.orders[intent.id]).state.is_final:
            if now.broker_order_id:
                await self._buckets[intent.user_id, intent.account].take(1, urgency)
                try:
                    report = await self.brokers[intent.user_id, intent.account].cancel(now.broker_order_id)
                    await self.report(intent.user_id, report)
                except (Invalid, NotFound, Unavailable, Unclear) as error:
                    LOG.warning("cancel of %s: %s", intent.id, error)
            else:
                await self._look(intent)
            await self.final_by([intent.id], self._clock.now() + CANCEL_EVERY)

    async def _look(self, intent: Intent) -> None:
        """Read the order book for an order whose answer was lost."""
        try:
            found = [
                each for each in await self.brokers[intent.user_id, intent.account].orders() if each.tag == intent.id
            ]
        except (Unavailable, Unclear) as error:
            LOG.warning("order book of %s: %s", intent.account, error)
            return
        for report in found[:1]:
            await self.report(intent.user_id, report)

    async def reprice(self, order: Order, limit: Decimal, urgency: Urgency) -> None:
        """Ask for another limit price. An order that is not changed rests as it was; the next look at it tells."""
        intent = order.intent
        await self._buckets[intent.user_id, intent.account].take(1, urgency)
        broker = self.brokers[intent.user_id, intent.account]
        try:
            report = await broker.modify(order.broker_order_id, limit=limit, quantity=intent.quantity)
        except (Invalid, NotFound, Unavailable, Unclear) as error:
            LOG.warning("new price for %s: %s", intent.id, error)
        else:
            await self.report(intent.user_id, report)


def _contradiction(order: Order, report: OrderReport, message: str) -> Alert:
    return Alert(
        user_id=order.intent.user_id,
        at=report.at,
        code="contradiction",
        message=message,
        level=Level.CRITICAL,
        strategy_id=order.intent.strategy_id,
        run_id=order.intent.run_id,
        account=report.account,
        subject=order.intent.id,
    )


def urgency_of_exit(side: Side) -> Urgency:
    """Buying a short back goes before selling a long."""
    return Urgency.SHORT_COVER if side is Side.BUY else Urgency.EXIT
