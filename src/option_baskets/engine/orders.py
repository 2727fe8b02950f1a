"""The orders in hand: each held once, as the store has it, never ahead of the store."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from option_baskets.domain.order import Order
from option_baskets.engine.lines import AccountKey, account_of
from option_baskets.engine.runs import OpenRuns, RunKey
from option_baskets.ports import Clock, Write
from option_baskets.store.books import Books

_ORDERS_A_COMMIT = 90


class HeldOrders:
    """Orders of every account, by intent id. What is journaled here is in the store before anybody sees it."""

    def __init__(self, books: Books, runs: OpenRuns, clock: Clock) -> None:
        self._books = books
        self._runs = runs
        self._clock = clock
        self.by_id: dict[str, Order] = {}
        self._of_run: defaultdict[RunKey, list[str]] = defaultdict(list)
        self._working: defaultdict[AccountKey, dict[str, Order]] = defaultdict(dict)
        """Those that are not final."""
        self._final: dict[str, asyncio.Event] = {}

    def __getitem__(self, intent_id: str) -> Order:
        return self.by_id[intent_id]

    def take_up(self, orders: Iterable[Order]) -> None:
        """Hold orders that are in the store as they are; whoever waits for one to be final goes on."""
        for order in orders:
            intent = order.intent
            if intent.id not in self.by_id:
                self._of_run[intent.user_id, intent.run_id].append(intent.id)
            self.by_id[intent.id] = order
            working = self._working[account_of(intent)]
            if not order.state.is_final:
                working[intent.id] = order
                continue
            working.pop(intent.id, None)
            if (waited_for := self._final.pop(intent.id, None)) is not None:
                waited_for.set()

    def forget_finished(self) -> None:
        """Let go of the orders of runs that are over; the store has them."""
        for key in [key for key in self._of_run if key not in self._runs]:
            for intent_id in self._of_run.pop(key):
                self._working[account_of(self.by_id.pop(intent_id).intent)].pop(intent_id, None)

    def of_run(self, key: RunKey) -> tuple[Order, ...]:
        return tuple(self.by_id[intent_id] for intent_id in self._of_run[key])

    def working(self, account: AccountKey) -> tuple[Order, ...]:
        """Orders of the account that are not final."""
        return tuple(self._working[account].values())

    # ------------------------------------------------------------ the store

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

    # ------------------------------------------------------------ their ends

    def are_final(self, intent_ids: Iterable[str]) -> bool:
        return all(self.by_id[intent_id].state.is_final for intent_id in intent_ids)

    async def until_final(self, intent_ids: Iterable[str]) -> None:
        """Return when every one of the orders is in a final state."""
        for intent_id in intent_ids:
            if not self.by_id[intent_id].state.is_final:
                await self._final.setdefault(intent_id, asyncio.Event()).wait()

    async def final_by(self, intent_ids: Sequence[str], at: datetime) -> bool:
        """Whether every one of the orders is final, now or by ``at``."""
        if self.are_final(intent_ids):
            return True
        final = asyncio.create_task(self.until_final(intent_ids))
        alarm = asyncio.create_task(self._clock.pause(at - self._clock.now()))
        await asyncio.wait({final, alarm}, return_when=asyncio.FIRST_COMPLETED)
        final.cancel()
        alarm.cancel()
        return self.are_final(intent_ids)
