"""WebSockets that wait for news of a user, where those who tell them and those who take them in are other processes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from option_baskets.ports import Delete, Index, Item, Put
from option_baskets.store import codec, keys, socket_keys
from option_baskets.store.shelf import CONFIGURATIONS, Shelf

KEPT = timedelta(hours=2, minutes=10)
"""After its token was taken; API Gateway ends every connection after two hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A connection whose user has proven to be it."""

    id: str
    user_id: str
    until: datetime
    """The token's end, wall time; from then on nothing is told."""


class Sockets(Shelf):
    """By connection, for its end; by user, strongly consistent, for news; by shard, for what concerns all."""

    async def save(self, socket: Socket, now: datetime) -> None:
        """It is told from here on; again with a newer token, it is told for longer."""
        body, expiry = codec.encode(socket), keys.expiry_of(now + KEPT)
        pk, sk = socket_keys.socket(socket.id)
        of_user = socket_keys.socket_of_user(socket.user_id, socket.id)
        gsi1 = socket_keys.sockets_of_shard(self._shard(socket.user_id)), f"{socket.user_id}#{socket.id}"
        await self.commit(
            Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=body, expires_at=expiry)),
            Put(
                table=CONFIGURATIONS,
                item=Item(pk=of_user[0], sk=of_user[1], body=body, gsi1=gsi1, expires_at=expiry),
            ),
        )

    async def forget(self, socket: Socket) -> None:
        """It is gone; forgetting it again does nothing."""
        pairs = socket_keys.socket(socket.id), socket_keys.socket_of_user(socket.user_id, socket.id)
        await self.commit(*(Delete(table=CONFIGURATIONS, pk=pk, sk=sk) for pk, sk in pairs))

    async def socket(self, socket_id: str) -> Socket | None:
        return await self._get(CONFIGURATIONS, socket_keys.socket(socket_id), Socket)

    async def of_user(self, user_id: str) -> list[Socket]:
        """The user's, those included whose token has ended."""
        items = await self._items(CONFIGURATIONS, socket_keys.sockets_of_user(user_id))
        return [codec.decode(item.body, Socket) for item in items]

    async def of_everybody(self) -> list[Socket]:
        """By an index, which may lag."""
        shards = await self._of_shards(socket_keys.sockets_of_shard, Index.ALLOCATIONS_BY_STRATEGY)
        return [codec.decode(item.body, Socket) for items in shards for item in items]
