"""Leases: who works for a user. One process at a time does, and another takes over when it stops renewing.

A lease is an item that says until when it is held, on the wall clock; it is taken and renewed under its version, so of
two that reach for it one has it. The item stays when a lease is given back: a version is one holder's for ever, so
somebody who was frozen never takes a later lease for their own. Who holds one sends nothing once ``is_held`` is no
longer true, which a process that was frozen sees before its next order.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from option_baskets.domain.errors import Conflict
from option_baskets.ports import Clock, Item, Put, Table
from option_baskets.store import codec, keys
from option_baskets.store.shelf import CONFIGURATIONS
from option_baskets.store.unclear import commit_surely

SPAN = timedelta(seconds=12)
"""Renewed every third of it; a process that died is followed after it."""
MARGIN = timedelta(seconds=2)
"""Before its end a lease is not relied upon any more: clocks differ, and an order takes a moment to leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    user_id: str
    holder: str
    until: datetime
    """Wall time."""
    version: int = 0

    def is_held(self, now: datetime) -> bool:
        """Whether its holder may still act by it."""
        return now < self.until - MARGIN


class Leases:
    """Args:
    table: both tables.
    wall: the wall clock; those of all processes agree within ``MARGIN``.
    """

    def __init__(self, table: Table, wall: Clock, *, span: timedelta = SPAN) -> None:
        self._table = table
        self._wall = wall
        self.span = span

    async def take(self, user_id: str, holder: str) -> Lease | None:
        """The lease, now this holder's; None: another one's is running."""
        found = await self._read(user_id)
        if found is not None and found.until > self._wall.now() and found.holder != holder:
            return None
        version = found.version if found else 0
        return await self._put(
            Lease(user_id=user_id, holder=holder, until=self._wall.now(), version=version), self.span
        )

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease, from now on for its whole span; None: it is another's by now."""
        return await self._put(lease, self.span)

    async def release(self, lease: Lease) -> None:
        """Let others have it at once; what is another's by now stays theirs."""
        await self._put(lease, timedelta())

    async def holder(self, user_id: str) -> str | None:
        """Who works for the user now."""
        found = await self._read(user_id)
        return found.holder if found is not None and found.until > self._wall.now() else None

    async def _read(self, user_id: str) -> Lease | None:
        item = await self._table.get(CONFIGURATIONS, *keys.lease(user_id))
        return None if item is None else codec.decode(item.body, Lease)

    async def _put(self, lease: Lease, span: timedelta) -> Lease | None:
        pk, sk = keys.lease(lease.user_id)
        taken = replace(lease, until=self._wall.now() + span, version=lease.version + 1)
        item = Item(pk=pk, sk=sk, body=codec.encode(taken), version=taken.version)
        try:
            await commit_surely(self._table, [Put(table=CONFIGURATIONS, item=item, expected=lease.version)])
        except Conflict:
            return None
        return taken
