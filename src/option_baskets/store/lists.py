"""What people look through, a part at a time and the newest first: runs, orders, alerts, refusals.

Where a part ended is a sort key, so the next one begins there whatever was written meanwhile, and costs what it shows.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Generic, TypeVar

from option_baskets.domain.order import Fill, Order
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.ports import Index, Item, TableName
from option_baskets.store import codec, keys
from option_baskets.store.records import Alert, Refusal
from option_baskets.store.shelf import CONFIGURATIONS, HISTORY, Shelf

T = TypeVar("T")
_SHARE = 4
"""Among other things lies about one in so many of what is looked for."""
_AT_ONCE = 1000
"""Items read at once where that many are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """A part of a list, the newest first."""

    items: tuple[T, ...] = ()
    after: str | None = None
    """Where the next part begins; None: this was the last."""


class Lists(Shelf):
    """``after`` is that of the part before; ``most`` is how many a part has at most."""

    async def runs_listed(
        self, user_id: str, *, day: date | None = None, after: str | None = None, most: int = 50
    ) -> Listed[Run]:
        """Runs of a day or of all days: the last day first, then from the last strategy by id."""
        return await self._listed(CONFIGURATIONS, user_id, Run, keys.all_runs(day), after=after, most=most)

    async def over_listed(
        self, user_id: str, strategy_id: str, *, after: str | None = None, most: int = 50
    ) -> Listed[Run]:
        """A strategy's runs that are over, however they ended; ``keys.in_over`` is where each stands."""
        pk, index = keys.over_runs(user_id, strategy_id), Index.USER_EXECUTION_SCHEDULE
        return await self._listed(CONFIGURATIONS, pk, Run, keys.DATED, index=index, after=after, most=most)

    async def orders_listed(
        self,
        user_id: str,
        day: date,
        *,
        takes: Callable[[Order], bool] = lambda _: True,
        after: str | None = None,
        most: int = 50,
    ) -> Listed[Order]:
        """Orders decided on a day of the exchange's clock. Never reads beyond the day."""
        wanted = keys.between(*whole(day))
        return await self._listed(HISTORY, user_id, Order, wanted, kind=keys.ORDER, takes=takes, after=after, most=most)

    async def alerts_listed(
        self, user_id: str, day: date, *, after: str | None = None, most: int = 50
    ) -> Listed[Alert]:
        pk, index = keys.alerts_on(user_id, day), Index.ALLOCATIONS_BY_STRATEGY
        return await self._listed(HISTORY, pk, Alert, keys.DATED, index=index, after=after, most=most)

    async def refusals_listed(
        self, user_id: str, day: date, *, after: str | None = None, most: int = 50
    ) -> Listed[Refusal]:
        pk, index = keys.refusals_on(user_id, day), Index.ALLOCATIONS_BY_STRATEGY
        return await self._listed(HISTORY, pk, Refusal, keys.DATED, index=index, after=after, most=most)

    async def fills_of_order(self, user_id: str, run_id: str, intent_id: str) -> list[Fill]:
        """In the order of filling."""
        pk, mine = keys.of_run(user_id, run_id), keys.fills_of_order(intent_id)
        items = await self._items(HISTORY, pk, index=Index.ALLOCATIONS_BY_STRATEGY, begins_with=mine)
        return [codec.decode(item.body, Fill) for item in items]

    async def traded_between(self, user_id: str, start: datetime, end: datetime) -> list[Order | Run]:
        """Orders decided and runs as they ended from ``start`` to ``end``, both included, in order of time."""
        found: list[Order | Run] = []
        for item in await self._items(HISTORY, user_id, between=keys.between(start, end)):
            if keys.ORDER in item.sk:
                found.append(self._decode(item, Order))
            elif keys.EXIT in item.sk:
                found.append(codec.decode(item.body, Run))
        return found

    async def happened(self, user_id: str, start: datetime, end: datetime, *, newest: bool = True) -> datetime | None:
        """The instant of the newest, or the oldest, item of the history from ``start`` to ``end``, both included."""
        page = await self.table.query(HISTORY, user_id, between=keys.between(start, end), descending=newest, limit=1)
        return keys.instant_of(page.items[0].sk) if page.items else None

    async def _listed(
        self,
        table: TableName,
        pk: str,
        type_: type[T],
        wanted: tuple[str, str],
        *,
        index: Index = Index.PRIMARY,
        kind: str = "",
        takes: Callable[[T], bool] = lambda _: True,
        after: str | None,
        most: int,
    ) -> Listed[T]:
        """Newest first. ``kind``: a part of the sort keys that count, where others lie among them."""
        low, high = wanted
        if after is not None:
            high = min(high, after)
        if high < low:
            return Listed()
        found: list[T] = []
        last: str | None = None
        cursor: str | None = None
        read = most + 2  # with where the last part ended, and one more
        if kind:
            read *= _SHARE
        while True:
            page = await self.table.query(
                table, pk, index=index, between=(low, high), descending=True, limit=min(read, _AT_ONCE), cursor=cursor
            )
            read = _AT_ONCE
            for item in page.items:
                sort = _sort(item, index)
                if sort == after or kind not in sort:
                    continue
                value = self._decode(item, type_)
                if not takes(value):
                    continue
                if len(found) == most:
                    return Listed(items=tuple(found), after=last)
                found.append(value)
                last = sort
            cursor = page.cursor
            if cursor is None:
                return Listed(items=tuple(found))
            await asyncio.sleep(0)  # others go on while a long day is looked through


def whole(day: date) -> tuple[datetime, datetime]:
    """The first and the last instant of a day on the exchange's clock."""
    start = datetime.combine(day, time.min, IST)
    return start, start + timedelta(days=1) - timedelta(microseconds=1)


def _sort(item: Item, index: Index) -> str:
    place = {Index.ALLOCATIONS_BY_STRATEGY: item.gsi1, Index.USER_EXECUTION_SCHEDULE: item.gsi2}.get(index)
    return item.sk if place is None else place[1]
