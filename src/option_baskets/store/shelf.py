"""The table as typed values: decoding, remembering what is decoded, and paging."""

import asyncio
from collections.abc import Callable
from copy import copy
from typing import Self, TypeVar

from option_baskets.domain.errors import Conflict
from option_baskets.ports import Index, Item, Table, TableName, Write
from option_baskets.store import codec, keys
from option_baskets.store.health import Health

T = TypeVar("T")

CONFIGURATIONS = TableName.CONFIGURATIONS
HISTORY = TableName.HISTORY
_REMEMBERED = 20_000
"""Decoded items kept: the open runs of a large installation, which are read again every minute."""


class Shelf:
    """What the reads and writes of every kind of item have in common.

    Args:
        table: both tables.
        shards: into how many partitions schedules are divided; fixed when the table is made.
        health: whether the table can be written, where somebody sees to that.
    """

    def __init__(self, table: Table, *, shards: int = 1, health: Health | None = None) -> None:
        self.table = table
        self.shards = shards
        self.watched: tuple[int, ...] = tuple(range(shards))
        """The shards whose schedules and open runs are looked for; all of them, or what ``of_shard`` says."""
        self.health = health or Health()
        self._decoded: dict[tuple[str, str], tuple[bytes, object]] = {}

    def of_shard(self, shard: int) -> Self:
        """The same shelf, which finds what is due and open of this shard's users only."""
        part = copy(self)
        part.watched = (shard,)
        return part

    async def commit(self, *writes: Write) -> None:
        """All of the writes or none, durably. Raises Conflict where an expected version does not hold."""
        await self.table.commit(writes)

    def _shard(self, user_id: str) -> int:
        return keys.shard_of(user_id, self.shards)

    async def _get(self, table: TableName, key: keys.Key, type_: type[T]) -> T | None:
        item = await self.table.get(table, *key)
        return None if item is None else self._decode(item, type_)

    async def _items(
        self,
        table: TableName,
        pk: str,
        *,
        index: Index = Index.PRIMARY,
        begins_with: str = "",
        between: tuple[str, str] | None = None,
    ) -> list[Item]:
        """Every page of a query."""
        items: list[Item] = []
        cursor: str | None = None
        while True:
            page = await self.table.query(
                table, pk, index=index, begins_with=begins_with, between=between, cursor=cursor
            )
            items += page.items
            cursor = page.cursor
            if cursor is None:
                return items

    async def _of_shards(self, partition: Callable[[int], str], index: Index) -> list[list[Item]]:
        """Every page of an index's partition of each shard that is watched; the shards are asked at once."""
        return await asyncio.gather(
            *(self._items(CONFIGURATIONS, partition(shard), index=index) for shard in self.watched)
        )

    def _decode(self, item: Item, type_: type[T]) -> T:
        """The item's value; bytes that were decoded before are not decoded again."""
        key = (item.pk, item.sk)
        known = self._decoded.get(key)
        # The bytes are compared, not the version: an item deleted and made anew may have the same version.
        if known is not None and known[0] == item.body and type(known[1]) is type_:
            return known[1]
        value = codec.decode(item.body, type_)
        if len(self._decoded) >= _REMEMBERED:
            self._decoded.clear()
        self._decoded[key] = (item.body, value)
        return value


def require_version(name: str, found: int, given: int) -> None:
    """Raise Conflict unless the version somebody edited is the one that is stored."""
    if found != given:
        raise Conflict(
            f"{name} was changed by somebody else (stored version {found}, edited version {given}); "
            "read it again and repeat the change"
        )
