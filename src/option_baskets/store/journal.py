"""The history: orders as they go through their states, fills, alerts, refusals, entries and exits. Never deleted."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import date, datetime

from option_baskets.domain.copies import copied
from option_baskets.domain.order import Fill, Intent, Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.ports import Index, Item, Put
from option_baskets.store import codec, keys, occurrences
from option_baskets.store.records import Alert, Occurrence, Refusal
from option_baskets.store.shelf import HISTORY, Shelf


class Journal(Shelf):
    """The ``put_…`` functions make writes for a shared ``commit`` and do nothing themselves."""

    def put_order(self, order: Order) -> tuple[Put, Order]:
        """The write that stores the order over the version it carries (0: it must be new), and the order as stored."""
        intent = order.intent
        pk, sk = keys.order(intent.user_id, intent.decided_at, intent.strategy_id, intent.id)
        stored = copied(order, version=order.version + 1)
        item = Item(
            pk=pk,
            sk=sk,
            body=codec.encode(stored),
            version=stored.version,
            gsi1=(keys.of_run(intent.user_id, intent.run_id), keys.order_of_run(intent.id)),
            gsi2=keys.by_intent(intent.user_id, intent.id),
        )
        return Put(table=HISTORY, item=item, expected=order.version), stored

    def put_fill(self, intent: Intent, fill: Fill) -> Put:
        """The write of a fill; the same fill twice is the same item."""
        pk, sk = keys.fill(intent.user_id, fill.at, intent.strategy_id, intent.id, fill.number)
        gsi1 = (keys.of_run(intent.user_id, intent.run_id), keys.fill_of_run(intent.id, fill.number))
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(fill), gsi1=gsi1))

    def put_alert(self, alert: Alert) -> Put:
        name = f"{alert.code}#{_digest(alert.run_id, alert.account, alert.subject)}"
        pk, sk = keys.alert(alert.user_id, alert.at, alert.strategy_id, name)
        gsi1 = (keys.alerts_on(alert.user_id, keys.local(alert.at).date()), sk)
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(alert), gsi1=gsi1))

    def put_refusal(self, refusal: Refusal) -> Put:
        """The RISK item."""
        name = f"{refusal.reason}#{_digest(refusal.run_id, refusal.account, refusal.leg)}"
        pk, sk = keys.refusal(refusal.user_id, refusal.at, refusal.strategy_id, name)
        gsi1 = (keys.refusals_on(refusal.user_id, keys.local(refusal.at).date()), sk)
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(refusal), gsi1=gsi1))

    def put_occurrence(self, occurrence: Occurrence) -> Put:
        """The write of a decision or a deed; the same one twice is the same item."""
        return occurrences.put(occurrence)

    def put_entry(self, run: Run, at: datetime) -> Put:
        """The run as it was when it entered: what was intended, with which version of the plan."""
        pk, sk = keys.entered(run.user_id, at, run.strategy.id, run.id)
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(run)))

    def put_exit(self, run: Run, at: datetime) -> Put:
        """The run as it was when it was over."""
        pk, sk = keys.exited(run.user_id, at, run.strategy.id, run.id)
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(run)))

    def put_settlement(self, run: Run, position: LegPosition) -> Put:
        """What of a position settled at its expiry; the same settlement twice is the same item."""
        settlement = position.settlement
        assert settlement is not None
        name = f"{keys.part(position.account)}#{keys.part(position.leg)}#{position.entry_number}"
        pk, sk = keys.settlement(run.user_id, settlement.at, run.strategy.id, f"{run.id}#{name}")
        gsi1 = (keys.of_run(run.user_id, run.id), f"SETTLEMENT#{name}")
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(position), gsi1=gsi1))

    def put_carried(self, run: Run, day: date) -> Put:
        """The run as it stood at the close of a day after which it goes on."""
        pk, sk = keys.carried(run.user_id, day, run.id)
        return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(run)))

    async def carried_on(self, user_id: str, day: date) -> list[Run]:
        """Runs that went on after the close of the day, as they stood then, sorted by id."""
        pk, _ = keys.carried(user_id, day, "")
        return [codec.decode(item.body, Run) for item in await self._items(HISTORY, pk)]

    async def settlements_of_run(self, user_id: str, run_id: str) -> list[LegPosition]:
        """The run's positions that settled, as they were then."""
        return [codec.decode(item.body, LegPosition) for item in await self._of_run(user_id, run_id, "SETTLEMENT#")]

    async def order(self, user_id: str, intent_id: str) -> Order | None:
        """The order with this tag."""
        pk, sk = keys.by_intent(user_id, intent_id)
        index = Index.USER_EXECUTION_SCHEDULE
        page = await self.table.query(HISTORY, pk, index=index, begins_with=sk, limit=1)
        return self._decode(page.items[0], Order) if page.items else None

    async def orders_of_run(self, user_id: str, run_id: str) -> list[Order]:
        """Sorted by intent id."""
        items = await self._of_run(user_id, run_id, "ORDER#")
        return [self._decode(item, Order) for item in items]

    async def fills_of_run(self, user_id: str, run_id: str) -> list[Fill]:
        """Sorted by intent id, then by the order of filling."""
        return [codec.decode(item.body, Fill) for item in await self._of_run(user_id, run_id, "FILL#")]

    async def orders_between(self, user_id: str, start: datetime, end: datetime) -> list[Order]:
        """Orders decided from ``start`` to ``end``, both included, in order of time: one range of one partition.

        The range also holds the fills and alerts of those minutes; their keys tell, and they are not decoded.
        """
        items = await self._items(HISTORY, user_id, between=keys.between(start, end))
        return [self._decode(item, Order) for item in items if keys.ORDER in item.sk]

    async def ended_between(self, user_id: str, start: datetime, end: datetime) -> list[Run]:
        """Runs as they were when they ended from ``start`` to ``end``, in order of id; the last end of each.

        The range also holds the orders and fills of that time; their keys tell, and they are not decoded.
        """
        items = await self._items(HISTORY, user_id, between=keys.between(start, end))
        ended = [codec.decode(item.body, Run) for item in items if keys.EXIT in item.sk]
        return [run for _, run in sorted({run.id: run for run in ended}.items())]

    async def alerts(self, user_id: str, day: date) -> list[Alert]:
        """Of one day on the exchange's clock, in order of time."""
        pk = keys.alerts_on(user_id, day)
        items = await self._items(HISTORY, pk, index=Index.ALLOCATIONS_BY_STRATEGY)
        return [codec.decode(item.body, Alert) for item in items]

    async def refusals(self, user_id: str, day: date) -> list[Refusal]:
        """Of one day on the exchange's clock, in order of time."""
        pk = keys.refusals_on(user_id, day)
        items = await self._items(HISTORY, pk, index=Index.ALLOCATIONS_BY_STRATEGY)
        return [codec.decode(item.body, Refusal) for item in items]

    async def history(
        self, user_id: str, start: datetime, end: datetime, *, page: int = 1000
    ) -> AsyncIterator[tuple[str, Item]]:
        """(kind, item) of everything from ``start`` to ``end``, both included, in order of time, a page at a time."""
        cursor: str | None = None
        while True:
            found = await self.table.query(
                HISTORY, user_id, between=keys.between(start, end), limit=page, cursor=cursor
            )
            for item in found.items:
                yield keys.kind_of(item.sk)[1], item
            cursor = found.cursor
            if cursor is None:
                return
            await asyncio.sleep(0)  # a long history is read beside an engine

    async def _of_run(self, user_id: str, run_id: str, kind: str) -> list[Item]:
        pk = keys.of_run(user_id, run_id)
        return await self._items(HISTORY, pk, index=Index.ALLOCATIONS_BY_STRATEGY, begins_with=kind)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
