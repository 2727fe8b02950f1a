"""Requests that may come again: what was asked under a key, and what was answered."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from option_baskets.domain.errors import Conflict
from option_baskets.ports import Delete, Item, Put, Table, TableName
from option_baskets.store import codec, keys

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    digest: str
    """SHA-256 of the request."""
    at: datetime
    """When it first came."""
    status: int | None = None
    """None: nothing is answered yet."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: int = 1
    """Of the item; raised by whoever claims it again, and by the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    digest: str
    at: datetime
    status: int | None
    headers: Mapping[str, str]
    body: str


class Repeats:
    """Kept for 24 hours over TableName.IDENTITY, which is on the wall clock."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def claim(self, user_id: str, key: str, digest: str, now: datetime) -> Repeat | None:
        """What is known of the key; None: nothing was, and it is claimed for this request by a durable write."""
        fresh = Repeat(digest=digest, at=now)
        try:
            await self._table.commit([self._put(user_id, key, fresh, expected=0)])
        except Conflict:
            return await self._read(user_id, key) or fresh
        return None

    async def claim_again(self, user_id: str, key: str, known: Repeat, now: datetime) -> bool:
        """Claim a key whose work was never answered. False: somebody else did, or answered it, since it was read."""
        again = replace(known, at=now, version=known.version + 1)
        try:
            await self._table.commit([self._put(user_id, key, again, expected=known.version)])
        except Conflict:
            return False
        return True

    async def keep(self, user_id: str, key: str, repeat: Repeat) -> None:
        await self._table.commit([self._put(user_id, key, repeat, expected=None)])

    async def forget(self, user_id: str, key: str) -> None:
        pk, sk = keys.repeat(user_id, key)
        await self._table.commit([Delete(table=TableName.IDENTITY, pk=pk, sk=sk)])

    async def _read(self, user_id: str, key: str) -> Repeat | None:
        item = await self._table.get(TableName.IDENTITY, *keys.repeat(user_id, key))
        if item is None:
            return None
        stored = codec.decode(item.body, _Stored)
        body = base64.b64decode(stored.body)
        return Repeat(
            digest=stored.digest,
            at=stored.at,
            status=stored.status,
            headers=stored.headers,
            body=body,
            version=item.version,
        )

    def _put(self, user_id: str, key: str, repeat: Repeat, *, expected: int | None) -> Put:
        pk, sk = keys.repeat(user_id, key)
        stored = _Stored(
            digest=repeat.digest,
            at=repeat.at,
            status=repeat.status,
            headers=repeat.headers,
            body=base64.b64encode(repeat.body).decode(),
        )
        expires = keys.expiry_of(repeat.at + KEPT)
        item = Item(pk=pk, sk=sk, body=codec.encode(stored), version=repeat.version, expires_at=expires)
        return Put(table=TableName.IDENTITY, item=item, expected=expected)
