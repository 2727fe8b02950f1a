"""Runs: claimed once, saved by version, found while they are not over and at the minute they exit. Ticks beside."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time

from option_baskets.domain.copies import copied
from option_baskets.domain.dynamic import UnitsOfDay
from option_baskets.domain.errors import Conflict
from option_baskets.domain.events import EventType, Tick
from option_baskets.domain.run import Run, RunStatus
from option_baskets.ports import Index, Item, Put, Table, Write
from option_baskets.store import codec, keys
from option_baskets.store.health import Health
from option_baskets.store.records import MarketRecord, TickMark, TickState
from option_baskets.store.shelf import CONFIGURATIONS, Shelf

Minutes = tuple[time, ...]
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """As much of a run as says whether it has begun."""

    status: RunStatus


class Runs(Shelf):
    """An active run is in two index partitions, which it leaves when over; then its strategy finds it."""

    def __init__(self, table: Table, *, shards: int = 1, health: Health | None = None) -> None:
        super().__init__(table, shards=shards, health=health)
        self._registered: set[tuple[datetime, int]] = set()

    async def claim(self, run: Run, *extra: Write) -> Run | None:
        """Store a new run, and the extra writes with it; the run as stored, or None where somebody has claimed it.

        Raises:
            Conflict: an expected version among the extra writes did not hold.
        """
        try:
            return await self.save_run(replace(run, version=0), *extra)
        except Conflict:
            if await self.table.get(CONFIGURATIONS, *keys.run(run.user_id, run.id)) is None:
                raise
            return None

    async def save_run(self, run: Run, *extra: Write) -> Run:
        """Store the run over the version it carries, and the extra writes with it; the run with its new version.

        Raises:
            Conflict: the stored run has another version, or an extra write's condition did not hold.
        """
        if not run.status.is_over:
            await self._register_exit(run)
        write, stored = self.put_run(run)
        await self.commit(write, *extra)
        return stored

    def put_run(self, run: Run) -> tuple[Put, Run]:
        """The write that stores a run whose exit minute is registered (``save_run`` sees to it), and the run then."""
        pk, sk = keys.run(run.user_id, run.id)
        stored = copied(run, version=run.version + 1)
        gsi1 = gsi2 = None
        if not run.status.is_over:
            shard = self._shard(run.user_id)
            sort = keys.in_active(run.user_id, run.id)
            gsi1, gsi2 = (keys.active_runs(shard), sort), (keys.exit_slot(run.exit_at, shard), sort)
        else:
            gsi2 = keys.over_runs(run.user_id, run.strategy.id), keys.in_over(run.date, run.cycle)
            if run.status is RunStatus.CLOSED and run.closed_at is not None:
                gsi1 = keys.closed_runs(run.user_id, run.strategy.id), keys.in_closed(run.closed_at, run.id)
        item = Item(pk=pk, sk=sk, body=codec.encode(stored), version=stored.version, gsi1=gsi1, gsi2=gsi2)
        return Put(table=CONFIGURATIONS, item=item, expected=run.version), stored

    async def run(self, user_id: str, run_id: str) -> Run | None:
        return await self._get(CONFIGURATIONS, keys.run(user_id, run_id), Run)

    async def runs_on(self, user_id: str, day: date) -> list[Run]:
        """Runs of the day, over or not, sorted by id."""
        items = await self._items(CONFIGURATIONS, user_id, begins_with=keys.runs_on(day))
        return [self._decode(item, Run) for item in items]

    async def active_runs(self, shard: int | None = None) -> list[Run]:
        """Runs that are not over, of every user or those of one shard, sorted by user and id within a shard.

        The index says which, and each is then read by its key, so none comes in an older version. A run claimed a
        moment ago may be missing.
        """
        runs: list[Run] = []
        for each in self.watched if shard is None else (shard,):
            items = await self._items(CONFIGURATIONS, keys.active_runs(each), index=Index.ALLOCATIONS_BY_STRATEGY)
            for some in _batches(items):
                runs += await self._still_active(some)
        return runs

    async def _still_active(self, items: Sequence[Item]) -> list[Run]:
        found = await asyncio.gather(*(self._get(CONFIGURATIONS, (item.pk, item.sk), Run) for item in items))
        return [run for run in found if run is not None and not run.status.is_over]

    async def holders(self) -> list[str]:
        """Users with a run that has begun and is not over, sorted: one query a shard and its pages, and nothing more.

        By an index, which may lag by a moment: who holds something holds it for minutes.
        """
        shards = await self._of_shards(keys.active_runs, Index.ALLOCATIONS_BY_STRATEGY)
        return sorted(
            {
                item.pk
                for items in shards
                for item in items
                if codec.decode(item.body, _Begun).status is not RunStatus.SCHEDULED
            }
        )

    async def open_runs(self, user_id: str) -> list[Run]:
        """One user's runs that are not over, sorted by id; found and read as ``active_runs`` are."""
        pk, mine = keys.active_runs(self._shard(user_id)), keys.in_active(user_id, "")
        items = await self._items(CONFIGURATIONS, pk, index=Index.ALLOCATIONS_BY_STRATEGY, begins_with=mine)
        return [run for some in _batches(items) for run in await self._still_active(some)]

    async def closed_runs(self, user_id: str, strategy_id: str, *, before: datetime, most: int) -> list[Run]:
        """The strategy's newest runs that closed before an instant, at most so many, in the order of closing."""
        page = await self.table.query(
            CONFIGURATIONS,
            keys.closed_runs(user_id, strategy_id),
            index=Index.ALLOCATIONS_BY_STRATEGY,
            between=keys.closed_before(before),
            descending=True,
            limit=most,
        )
        return [self._decode(item, Run) for item in reversed(page.items)]

    async def units(self, user_id: str, basket_id: str, policy: str, until: date) -> UnitsOfDay | None:
        """The policy's newest division on a day up to ``until``."""
        between = keys.units_until(basket_id, policy, until)
        page = await self.table.query(CONFIGURATIONS, user_id, between=between, descending=True, limit=1)
        return self._decode(page.items[0], UnitsOfDay) if page.items else None

    def put_units(self, user_id: str, record: UnitsOfDay) -> Put:
        """The write of a division; a day has one, and the first one stays: a second is a Conflict."""
        pk, sk = keys.units(user_id, record.basket_id, record.policy.id, record.date)
        item = Item(pk=pk, sk=sk, body=codec.encode(record), version=1)
        return Put(table=CONFIGURATIONS, item=item, expected=0)

    async def due_exits(self, at: datetime) -> list[Run]:
        """Runs that are not over and exit in the minute of ``at``: one query a shard, and its pages."""
        shards = await self._of_shards(lambda shard: keys.exit_slot(at, shard), Index.USER_EXECUTION_SCHEDULE)
        return [self._decode(item, Run) for items in shards for item in items]

    async def occupied_exit_minutes(self, day: date) -> Minutes:
        """Minutes of the day at which some run may exit, ascending: one read a shard, no query."""
        minutes: set[str] = set()
        for shard in self.watched:
            minutes |= set(await self._get(CONFIGURATIONS, keys.exit_register(day, shard), tuple[str, ...]) or ())
        return tuple(time.fromisoformat(minute) for minute in sorted(minutes))

    async def _register_exit(self, run: Run) -> None:
        """Note the exit minute before a run sits in it. Minutes are only ever added, so one seen once stays seen.

        Its own commit: a burst of claims would otherwise contend for this one item. A minute noted for a run that is
        then not stored costs one empty query.
        """
        shard = self._shard(run.user_id)
        if (run.exit_at, shard) in self._registered:
            return
        at = keys.local(run.exit_at)
        key = keys.exit_register(at.date(), shard)
        minute = keys.minute(at.time())
        while True:
            item = await self.table.get(CONFIGURATIONS, *key)
            known = codec.decode(item.body, tuple[str, ...]) if item else ()
            version = item.version if item else 0
            if minute not in known:
                written = Item(
                    pk=key[0],
                    sk=key[1],
                    body=codec.encode(sorted({*known, minute})),
                    version=version + 1,
                    expires_at=keys.expiry_of(run.exit_at + keys.REGISTER_KEPT),
                )
                try:
                    await self.commit(Put(table=CONFIGURATIONS, item=written, expected=version))
                except Conflict:
                    continue
            self._registered.add((run.exit_at, shard))
            return

    async def mark_tick(self, tick: Tick, state: TickState, events: tuple[EventType, ...] = ()) -> None:
        await self.commit(self.put_tick(tick, state, events))

    def put_tick(self, tick: Tick, state: TickState, events: tuple[EventType, ...] = ()) -> Put:
        pk, sk = keys.tick(tick.at)
        body = codec.encode(TickMark(tick=tick, state=state, events=events))
        return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=body))

    async def last_ticks(self, day: date) -> list[TickMark]:
        """The marks of a day in order of time; a tick that was never emitted has none."""
        items = await self._items(CONFIGURATIONS, keys.ticks(day))
        return [codec.decode(item.body, TickMark) for item in items]

    async def is_begun(self, day: date) -> bool:
        """Whether some tick of the day was emitted."""
        page = await self.table.query(CONFIGURATIONS, keys.ticks(day), limit=1)
        return bool(page.items)

    async def mark_session(self, day: date) -> None:
        """Note that this day is traded, where it is the newest that was."""
        key = keys.NEWEST_SESSION
        item = await self.table.get(CONFIGURATIONS, *key)
        if item is None or codec.decode(item.body, date) < day:
            version = item.version if item else 0
            noted = Item(pk=key[0], sk=key[1], body=codec.encode(day), version=version + 1)
            await self.commit(Put(table=CONFIGURATIONS, item=noted, expected=version))

    async def newest_session(self) -> date | None:
        """The newest day that was ever begun; None: none was."""
        return await self._get(CONFIGURATIONS, keys.NEWEST_SESSION, date)

    def put_market(self, record: MarketRecord) -> Put:
        """The write of an underlying's prices; hidden 300 s after ``record.at``."""
        pk, sk = keys.snapshot(record.underlying)
        expires_at = keys.expiry_of(record.at + keys.SNAPSHOT_KEPT)
        item = Item(pk=pk, sk=sk, body=codec.encode(record), expires_at=expires_at)
        return Put(table=CONFIGURATIONS, item=item)

    async def market(self, underlying: str) -> MarketRecord | None:
        return await self._get(CONFIGURATIONS, keys.snapshot(underlying), MarketRecord)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + _AT_ONCE] for first in range(0, len(items), _AT_ONCE))
