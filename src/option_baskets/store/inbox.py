"""Inboxes: what is to be done for a user, durable until it is done, whoever does it.

A message commits together with what it belongs to. That somebody comes to do it is another matter (a wake-up, which may
be lost); ``overdue`` finds users for whom nobody came.
"""

from datetime import datetime

from option_baskets.ports import Delete, Index, Item, Message, Put
from option_baskets.store import codec, keys
from option_baskets.store.shelf import CONFIGURATIONS, Shelf


class Inbox(Shelf):
    """Messages by user, which ``Message.body["user_id"]`` names; one id is one item, however often it is sent."""

    def put(self, message: Message) -> Put:
        """The write that sends it."""
        user_id = message.body["user_id"]
        pk, sk = keys.inbox(user_id), message.id
        gsi1 = keys.inboxes_of_shard(self._shard(user_id)), keys.in_inboxes(message.at, user_id, message.id)
        return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(message), gsi1=gsi1))

    async def waiting(self, user_id: str) -> list[Message]:
        """What is sent and not done, in order of (instant, id)."""
        found = [codec.decode(item.body, Message) for item in await self._items(CONFIGURATIONS, keys.inbox(user_id))]
        return sorted(found, key=lambda message: (message.at, message.id))

    async def is_waiting(self, message: Message) -> bool:
        return await self.table.get(CONFIGURATIONS, keys.inbox(message.body["user_id"]), message.id) is not None

    async def done(self, *messages: Message) -> None:
        """Forget them for ever."""
        await self.commit(
            *(Delete(table=CONFIGURATIONS, pk=keys.inbox(each.body["user_id"]), sk=each.id) for each in messages)
        )

    async def overdue(self, shard: int, until: datetime) -> list[Message]:
        """What of a shard's users was due by an instant and is not done; by an index, which may lag."""
        pk = keys.inboxes_of_shard(shard)
        items = await self._items(
            CONFIGURATIONS, pk, index=Index.ALLOCATIONS_BY_STRATEGY, between=keys.in_inboxes_until(until)
        )
        return [codec.decode(item.body, Message) for item in items]
