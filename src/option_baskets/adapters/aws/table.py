"""The Table port over two DynamoDB tables: a commit is one transaction, its conditions are checked by DynamoDB."""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from aiobotocore.session import AioSession

from option_baskets.adapters.aws.dynamo import PATIENCE, Answer, Dynamo, Pause, jitter
from option_baskets.adapters.aws.statements import cursor_after, item_of, key, query_request, start, transact_item
from option_baskets.domain.errors import Conflict
from option_baskets.ports import Index, Item, Page, TableName, Write
from option_baskets.store.limits import key_of, require_key, require_page, require_writable

_Key = tuple[TableName, tuple[str, str]]
_Turn = asyncio.Future[None]


class DynamoTable:
    """Both tables. An index may lag behind its table; reads by primary key never do.

    A commit carries a token, so that one sent again because its answer was lost is written once. Commits of this
    object that touch the same item follow each other in the order of their calls.

    Args:
        prefix: of the tables' names, for several installations in one account.
        now: the time that items expire by.
    """

    def __init__(self, dynamo: Dynamo, *, now: Callable[[], datetime], prefix: str = "") -> None:
        self.dynamo = dynamo
        self.prefix = prefix
        self.requests: Counter[tuple[str, Index | None]] = Counter()
        """Requests by (``get``, ``query`` or ``commit``, index of a query); a query is one a page."""
        self.units: defaultdict[str, float] = defaultdict(float)
        """Capacity units DynamoDB says were used, by the same operations."""
        self.committed: Callable[[Sequence[Write]], None] = lambda writes: None
        """Told of every commit."""
        self._now = now
        self._last: dict[_Key, _Turn] = {}
        """The commit under way that touches an item last."""

    @classmethod
    async def open(
        cls,
        *,
        now: Callable[[], datetime],
        prefix: str = "",
        region: str | None = None,
        endpoint: str | None = None,
        patience: float = PATIENCE,
        pause: Pause = jitter,
        within: AioSession | None = None,
    ) -> Self:
        """Connect (see ``Dynamo.open``). Whether the tables are there is seen by the first request."""
        dynamo = await Dynamo.open(region=region, endpoint=endpoint, patience=patience, pause=pause, within=within)
        return cls(dynamo, now=now, prefix=prefix)

    async def get(self, table: TableName, pk: str, sk: str) -> Item | None:
        require_key(pk, sk)
        request = {"TableName": self.prefix + table, "Key": key(pk, sk), "ConsistentRead": True}
        answer = await self._call("get", "get_item", request)
        item = item_of(answer["Item"]) if "Item" in answer else None
        return item if item is not None and self._is_there(item) else None

    async def query(
        self,
        table: TableName,
        pk: str,
        *,
        index: Index = Index.PRIMARY,
        begins_with: str = "",
        between: tuple[str, str] | None = None,
        descending: bool = False,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page:
        require_page(pk, begins_with, between, limit)
        request = query_request(self.prefix + table, pk, index, begins_with, between)
        after = start(cursor, index) if cursor is not None else None
        if request is None:
            return Page(items=())
        request["ScanIndexForward"] = not descending
        items: list[Item] = []
        while True:  # an answer ends after 1 MB, and expired items count in it
            request["Limit"] = limit - len(items)
            if after is not None:
                request["ExclusiveStartKey"] = after
            answer = await self._call("query", "query", request, index)
            items += filter(self._is_there, map(item_of, answer["Items"]))
            after = answer.get("LastEvaluatedKey")
            if after is None:
                return Page(items=tuple(items))
            if len(items) >= limit:
                return Page(items=tuple(items), cursor=cursor_after(after, index))

    async def commit(self, writes: Sequence[Write]) -> None:
        require_writable(writes)
        if not writes:
            return
        keys: list[_Key] = [(write.table, key_of(write)) for write in writes]
        before = {self._last[each] for each in keys if each in self._last}
        done = asyncio.get_running_loop().create_future()
        self._last.update(dict.fromkeys(keys, done))
        try:
            if before:
                await asyncio.wait(before)
            await self._transact(writes)
            self.committed(writes)
        finally:
            self._release(keys, done, [each for each in before if not each.done()])

    async def close(self) -> None:
        await self.dynamo.close()

    def _release(self, keys: Collection[_Key], done: _Turn, before: Collection[_Turn]) -> None:
        """Let the next commit of these items go on; if this one was given up early, not ahead of those before it."""
        if before:
            asyncio.gather(*before).add_done_callback(lambda _: self._release(keys, done, ()))
            return
        done.set_result(None)
        for each in keys:
            if self._last.get(each) is done:
                del self._last[each]

    async def _transact(self, writes: Sequence[Write]) -> None:
        now = int(self._now().timestamp())
        request = {
            "TransactItems": [transact_item(write, self.prefix + write.table, now) for write in writes],
            "ClientRequestToken": str(uuid.uuid4()),
        }
        try:
            await self._call("commit", "transact_write_items", request)
        except Conflict as error:
            raise self._conflict(writes, error) from error

    async def _call(
        self, name: str, operation: str, request: Mapping[str, object], index: Index | None = None
    ) -> Answer:
        self.requests[name, index] += 1
        answer = await self.dynamo.call(operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
        used: Any = answer.get("ConsumedCapacity", ())
        for each in (used,) if isinstance(used, Mapping) else used:
            self.units[name] += each["CapacityUnits"]
        return answer

    def _is_there(self, item: Item) -> bool:
        return item.expires_at is None or item.expires_at > self._now().timestamp()

    def _conflict(self, writes: Sequence[Write], error: Conflict) -> Conflict:
        """Which expectation failed, with what was there instead."""
        for write, reason in zip(writes, error.args[1], strict=True):
            if reason.get("Code") != "ConditionalCheckFailed":
                continue
            pk, sk = key_of(write)
            wanted = f"version {write.expected}" if write.expected else "nothing"
            old = item_of(reason["Item"]) if "Item" in reason else None
            there = f"version {old.version}" if old is not None and self._is_there(old) else "nothing"
            return Conflict(f"{write.table} {pk} {sk}: expected {wanted}, found {there}; nothing was written")
        return error
