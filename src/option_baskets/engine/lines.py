"""The line to each account: its broker, the rate at which that may be called, and one reading of its book at a time."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from option_baskets.domain.order import Intent, OrderReport
from option_baskets.engine.rates import Bucket, Urgency
from option_baskets.ports import Broker

AccountKey = tuple[str, str]
"""(user id, account id)."""


@dataclass(slots=True)
class Lines:
    """Every account's."""

    brokers: dict[AccountKey, Broker]
    buckets: dict[AccountKey, Bucket]
    unknown: set[tuple[AccountKey, str]] = field(default_factory=set)
    """Tags that order books showed and the journal did not have."""
    _reading: defaultdict[AccountKey, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _next: dict[AccountKey, asyncio.Task[tuple[OrderReport, ...]]] = field(default_factory=dict)
    """The reading that has not begun yet."""

    def broker(self, intent: Intent) -> Broker:
        return self.brokers[account_of(intent)]

    def bucket(self, intent: Intent) -> Bucket:
        return self.buckets[account_of(intent)]

    async def turn(self, intent: Intent, urgency: Urgency) -> None:
        """Return when one more call about the order may be made."""
        await self.bucket(intent).take(1, urgency)

    async def order_book(self, account: AccountKey) -> tuple[OrderReport, ...]:
        """The account's orders, by a reading that begins after this call. Who asks meanwhile shares the next one.

        Raises:
            Unavailable, Unclear: it cannot be read; and whatever else an adapter makes of what it is answered.
        """
        if account not in self._next:
            self._next[account] = asyncio.create_task(self._read(account), name=f"order book of {account[1]}")
        return await asyncio.shield(self._next[account])

    async def _read(self, account: AccountKey) -> tuple[OrderReport, ...]:
        async with self._reading[account]:
            del self._next[account]
            return await self.brokers[account].orders()


def account_of(intent: Intent) -> AccountKey:
    return (intent.user_id, intent.account)
