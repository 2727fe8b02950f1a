"""Plans: baskets, strategies, allocations, and which of them are due at a minute.

A stored strategy carries a copy of its basket, and its allocations sit in its schedule partition, so that one query
finds all that is due. What keeps those copies true: every edit of a user's plans raises that user's edit counter in
the same commit. Two edits that overlap cannot both commit; the later one reads again and repeats.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import replace
from datetime import time
from typing import Self, TypeVar

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import MAX_STRATEGIES, Basket, Strategy
from option_baskets.domain.errors import Conflict, Invalid, NotFound
from option_baskets.ports import Delete, Index, Item, Put, Table, Write
from option_baskets.store import codec, keys, occurrences
from option_baskets.store.edits import Change, Decide, Made, Moves, Standing
from option_baskets.store.health import Health
from option_baskets.store.records import DueStrategy, Editor, Occurrence, Plan, What
from option_baskets.store.shelf import CONFIGURATIONS, Shelf, require_version

T = TypeVar("T")
_ATTEMPTS = 20
_STANDING = 1000
"""Users whose plans are remembered between two edits."""
_EntryCounts = dict[str, int]
_Writes = Sequence[Write | Moves]


class Plans(Shelf):
    """``save_…`` stores over the version its value carries (0: new) and returns the value with its new version.

    With an ``editor`` every edit is in the history, by its own commit: who, why, and which version it made.

    Raises:
        Conflict: somebody else changed it; what is stored stays.
        NotFound: what it belongs to does not exist.
        Invalid: an id contains ``#``; an eleventh strategy of a basket.
    """

    def __init__(
        self, table: Table, *, shards: int = 1, health: Health | None = None, editor: Editor | None = None
    ) -> None:
        super().__init__(table, shards=shards, health=health)
        self._editing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._registering: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._editor = editor
        self._stood: dict[str, tuple[int, Standing]] = {}
        """By user, the plans as they stood at a number of the edit counter; while that is the same, they still do."""

    def edited_by(self, editor: Editor) -> Self:
        """The same books, their edits kept as this editor's. They share what is remembered."""
        edited = copy(self)
        edited._editor = editor
        return edited

    # ------------------------------------------------------------ reads

    async def basket(self, user_id: str, basket_id: str) -> Basket | None:
        return await self._get(CONFIGURATIONS, keys.basket(user_id, basket_id), Basket)

    async def baskets(self, user_id: str) -> list[Basket]:
        items = await self._items(CONFIGURATIONS, user_id, begins_with=keys.BASKETS)
        return [self._decode(item, Basket) for item in items]

    async def strategy(self, user_id: str, strategy_id: str) -> Strategy | None:
        plan = await self.plan(user_id, strategy_id)
        return plan.strategy if plan else None

    async def plan(self, user_id: str, strategy_id: str) -> Plan | None:
        """The strategy and its basket in one read."""
        return await self._get(CONFIGURATIONS, keys.strategy(user_id, strategy_id), Plan)

    async def strategies(self, user_id: str, basket_id: str | None = None) -> list[Strategy]:
        """The user's strategies, or those of one basket, sorted by id."""
        return [plan.strategy for plan in await self._plans(user_id, basket_id)]

    async def allocation(self, user_id: str, allocation_id: str) -> Allocation | None:
        return await self._get(CONFIGURATIONS, keys.allocation(user_id, allocation_id), Allocation)

    async def allocations(self, user_id: str, strategy_id: str | None = None) -> list[Allocation]:
        """The user's allocations sorted by id, or those of one strategy sorted by priority.

        Those of one strategy come from an index, which may lag; ``current_allocations`` is for decisions.
        """
        if strategy_id is None:
            items = await self._items(CONFIGURATIONS, user_id, begins_with=keys.ALLOCATIONS)
        else:
            pk = keys.allocations_of_strategy(user_id, strategy_id)
            items = await self._items(CONFIGURATIONS, pk, index=Index.ALLOCATIONS_BY_STRATEGY)
        return [self._decode(item, Allocation) for item in items]

    async def current_allocations(self, user_id: str, strategy_id: str) -> list[Allocation]:
        """The strategy's allocations as of now, sorted by priority, then id. Reads all allocations of the user."""
        mine = [one for one in await self.allocations(user_id) if one.strategy_id == strategy_id]
        return sorted(mine, key=lambda one: (one.priority, one.id))

    async def due(self, minute: time) -> list[DueStrategy]:
        """Every strategy that enters at this minute, by shard, user and id: one query a shard, and its pages."""
        shards = await self._of_shards(lambda shard: keys.entry_slot(minute, shard), Index.USER_EXECUTION_SCHEDULE)
        return [due for items in shards for due in self._joined(items)]

    async def occupied_entry_minutes(self) -> tuple[time, ...]:
        """Minutes at which some strategy enters, ascending: one read a shard, no query."""
        minutes: set[str] = set()
        for shard in self.watched:
            minutes |= set(await self._get(CONFIGURATIONS, keys.entry_register(shard), _EntryCounts) or ())
        return tuple(time.fromisoformat(minute) for minute in sorted(minutes))

    def _joined(self, items: Sequence[Item]) -> list[DueStrategy]:
        """Strategies with the allocations that follow them in the slot."""
        found: list[DueStrategy] = []
        allocations: list[Allocation] = []
        for item in reversed(items):
            if item.sk.startswith(keys.ALLOCATIONS):
                allocations.append(self._decode(item, Allocation))
                continue
            plan = self._decode(item, Plan)
            mine = tuple(reversed(allocations))
            found.append(DueStrategy(user_id=item.pk, basket=plan.basket, strategy=plan.strategy, allocations=mine))
            allocations.clear()
        return found[::-1]

    async def _plans(self, user_id: str, basket_id: str | None = None) -> list[Plan]:
        # By primary key and not by index: edits rely on it, and an index may lag behind.
        items = await self._items(CONFIGURATIONS, user_id, begins_with=keys.STRATEGIES)
        plans = [self._decode(item, Plan) for item in items]
        return [plan for plan in plans if basket_id in {None, plan.basket.id}]

    # ------------------------------------------------------------ edits

    async def save_basket(self, user_id: str, basket: Basket) -> Basket:
        """Store the basket, and with it the copies its strategies carry."""
        made = (await self.save_plans(user_id, _decided(Change(basket=basket)))).basket
        assert made is not None
        return made

    async def save_strategy(self, user_id: str, strategy: Strategy) -> Strategy:
        """Store the strategy, move it and its allocations to its entry minute, and keep the register of minutes."""
        made = (await self.save_plans(user_id, _decided(Change(strategy=strategy)))).strategy
        assert made is not None
        return made

    async def save_allocation(self, user_id: str, allocation: Allocation) -> Allocation:
        """Store the allocation beside its strategy in the schedule. It may move to another strategy."""
        (made,) = (await self.save_plans(user_id, _decided(Change(allocations=(allocation,))))).allocations
        return made

    async def save_plans(self, user_id: str, decide: Decide, *, once: str = "") -> Change:
        """Store what ``decide`` makes of the plans as they stand, in one commit and as if nobody else edited meanwhile.

        Args:
            once: names what is new, so that whoever asks again, because no answer came, gets what was made then.

        Returns:
            What is stored, with its new versions.
        """
        after: dict[str, tuple[int, Standing]] = {}

        async def edit(number: int) -> tuple[_Writes, Change]:
            standing = self._standing(user_id, number)
            made = await self._made(user_id, once, standing) if once else None
            if made is not None:
                return [], made
            change = await decide(standing)
            writes: list[Write | Moves] = []
            for part in (self._basket_writes, self._strategy_writes, self._allocation_writes):
                some, change = await part(standing, change)
                writes += some
            after[user_id] = number + 1, standing.after(change)
            return [*writes, *(self._mark(user_id, once, change) if once else ())], change

        made = await self._edit_numbered(user_id, edit)
        self._stood |= after  # only now is it so: a commit that failed was of another number
        return made

    def _standing(self, user_id: str, number: int) -> Standing:
        known = self._stood.get(user_id)
        if known is not None and known[0] == number:
            return known[1]
        if len(self._stood) >= _STANDING:
            self._stood.clear()
        return Standing(user_id, basket=self.basket, plans=self._plans, allocations=self.allocations)

    async def _basket_writes(self, standing: Standing, change: Change) -> tuple[_Writes, Change]:
        basket = change.basket
        if basket is None:
            return [], change
        found = await standing.basket(basket.id)
        require_version(f"basket {basket.id}", found.version if found else 0, basket.version)
        stored = replace(basket, version=basket.version + 1)
        copies = [
            self._put_strategy(standing.user_id, Plan(strategy=each, basket=stored), expected=each.version)
            for each in await standing.strategies(basket.id)
        ]
        told = self._told(standing.user_id, _saved(found, stored, What.BASKET_SAVED), _named("basket", stored))
        return [_put_basket(standing.user_id, stored), *copies, *told], replace(change, basket=stored)

    async def _strategy_writes(self, standing: Standing, change: Change) -> tuple[_Writes, Change]:
        strategy, user_id = change.strategy, standing.user_id
        if strategy is None:
            return [], change
        basket = await standing.basket(strategy.basket_id)
        if basket is None:
            raise NotFound(f"there is no basket {strategy.basket_id}; save the basket before its strategies")
        before = await standing.strategy(strategy.id)
        require_version(f"strategy {strategy.id}", before.version if before else 0, strategy.version)
        _require_room(await standing.strategies(strategy.basket_id), strategy)
        stored = replace(strategy, version=strategy.version + 1)
        writes: list[Write | Moves] = [
            self._put_strategy(user_id, Plan(strategy=stored, basket=basket), expected=strategy.version)
        ]
        if before is None or before.schedule.entry != stored.schedule.entry:
            changed = {each.id for each in change.allocations}
            moved = [one for one in await standing.allocations(strategy.id) if one.id not in changed]
            writes += [self._put_allocation(user_id, stored, one, expected=one.version) for one in moved]
            moves = {keys.minute(stored.schedule.entry): 1}
            if before is not None:
                moves[keys.minute(before.schedule.entry)] = -1
            writes.append(Moves(moves))
        what, named = _saved(before, stored, What.STRATEGY_SAVED), _named("strategy", stored)
        writes += self._told(user_id, what, named, strategy_id=stored.id)
        return writes, replace(change, strategy=stored)

    async def _allocation_writes(self, standing: Standing, change: Change) -> tuple[_Writes, Change]:
        writes: list[Write] = []
        allocations: list[Allocation] = []
        known = {each.id: each for each in await standing.all_allocations()} if change.allocations else {}
        for allocation in change.allocations:
            strategy = change.strategy
            if strategy is None or strategy.id != allocation.strategy_id:
                strategy = await standing.strategy(allocation.strategy_id)
            if strategy is None:
                raise NotFound(f"there is no strategy {allocation.strategy_id}; save it before its allocations")
            found = known.get(allocation.id)
            require_version(f"allocation {allocation.id}", found.version if found else 0, allocation.version)
            stored = replace(allocation, version=allocation.version + 1)
            writes.append(self._put_allocation(standing.user_id, strategy, stored, expected=allocation.version))
            detail = f"allocation {stored.id}, version {stored.version}"
            writes += self._told(standing.user_id, What.ALLOCATION_SAVED, detail, allocation=stored)
            allocations.append(stored)
        return writes, replace(change, allocations=tuple(allocations))

    async def _made(self, user_id: str, once: str, standing: Standing) -> Change | None:
        """What an earlier edit of that name made, as it is now; None where there was none, or nothing is left of it."""
        mark = await self._get(CONFIGURATIONS, keys.made(user_id, once), Made)
        if mark is None:
            return None
        known = {each.id: each for each in await standing.all_allocations()}
        found = Change(
            basket=await standing.basket(mark.basket) if mark.basket else None,
            strategy=await standing.strategy(mark.strategy) if mark.strategy else None,
            allocations=tuple(known[each] for each in mark.allocations if each in known),
        )
        return None if found == Change() else found

    def _mark(self, user_id: str, once: str, change: Change) -> list[Write]:
        pk, sk = keys.made(user_id, once)
        mark = Made(
            basket=change.basket.id if change.basket else "",
            strategy=change.strategy.id if change.strategy else "",
            allocations=tuple(each.id for each in change.allocations),
        )
        now = self._editor.now() if self._editor is not None else None
        expires_at = None if now is None else keys.expiry_of(now + keys.MADE_KEPT)
        return [Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(mark), expires_at=expires_at))]

    async def delete_basket(self, user_id: str, basket_id: str, *, version: int | None = None) -> None:
        """Delete an empty basket; one that still has strategies, or not this version, is a Conflict."""

        async def edit() -> tuple[list[Write], None]:
            found = await self.basket(user_id, basket_id)
            if found is None:
                raise NotFound(f"there is no basket {basket_id}")
            _require(f"basket {basket_id}", found.version, version)
            left = await self._plans(user_id, basket_id)
            if left:
                raise Conflict(f"basket {basket_id} still has {len(left)} strategies; delete them first")
            pk, sk = keys.basket(user_id, basket_id)
            told = self._told(user_id, What.BASKET_DELETED, f"basket {basket_id}")
            return [Delete(table=CONFIGURATIONS, pk=pk, sk=sk), *told], None

        await self._edit(user_id, edit)

    async def delete_strategy(self, user_id: str, strategy_id: str, *, version: int | None = None) -> None:
        """Delete the strategy and its allocations. Whether a run of it is open is for the caller to ask."""

        async def edit() -> tuple[_Writes, None]:
            strategy = await self.strategy(user_id, strategy_id)
            if strategy is None:
                raise NotFound(f"there is no strategy {strategy_id}")
            _require(f"strategy {strategy_id}", strategy.version, version)
            mine = await self.current_allocations(user_id, strategy_id)
            gone = [keys.strategy(user_id, strategy_id), *(keys.allocation(user_id, one.id) for one in mine)]
            deletes = [Delete(table=CONFIGURATIONS, pk=pk, sk=sk) for pk, sk in gone]
            moves = Moves({keys.minute(strategy.schedule.entry): -1})
            named = _named("strategy", strategy)
            return [*deletes, moves, *self._told(user_id, What.STRATEGY_DELETED, named, strategy_id=strategy_id)], None

        await self._edit(user_id, edit)

    async def delete_allocation(self, user_id: str, allocation_id: str, *, version: int | None = None) -> None:
        async def edit() -> tuple[list[Write], None]:
            found = await self.allocation(user_id, allocation_id)
            if found is None:
                raise NotFound(f"there is no allocation {allocation_id}")
            _require(f"allocation {allocation_id}", found.version, version)
            pk, sk = keys.allocation(user_id, allocation_id)
            told = self._told(user_id, What.ALLOCATION_DELETED, f"allocation {found.id}", allocation=found)
            return [Delete(table=CONFIGURATIONS, pk=pk, sk=sk), *told], None

        await self._edit(user_id, edit)

    async def _edit(self, user_id: str, edit: Callable[[], Awaitable[tuple[_Writes, T]]]) -> T:
        """Commit what ``edit`` decides from what it reads, as if nobody else edited this user's plans meanwhile."""

        async def numbered(_: int) -> tuple[_Writes, T]:
            return await edit()

        return await self._edit_numbered(user_id, numbered)

    async def _edit_numbered(self, user_id: str, edit: Callable[[int], Awaitable[tuple[_Writes, T]]]) -> T:
        """As ``_edit``; ``edit`` is given the number of edits there were before it."""
        pk, sk = keys.edits(user_id)
        # The lock keeps callers of one process from repeating each other; the counter is what other processes see.
        async with self._editing[user_id]:
            for _ in range(_ATTEMPTS):
                counter = await self.table.get(CONFIGURATIONS, pk, sk)
                number = counter.version if counter else 0
                writes, result = await edit(number)
                raised = Item(pk=pk, sk=sk, body=b"{}", version=number + 1)
                try:
                    await self._commit_edit(user_id, [*writes, Put(table=CONFIGURATIONS, item=raised, expected=number)])
                except Conflict:
                    continue
                return result
        raise Conflict(f"the plans of {user_id} are being changed by somebody else; try again")

    def _told(
        self,
        user_id: str,
        what: What,
        detail: str,
        *,
        strategy_id: str = "",
        account: str = "",
        allocation: Allocation | None = None,
    ) -> list[Write]:
        """The write that keeps an edit in the history; none where nobody is named as the editor."""
        if self._editor is None:
            return []
        if allocation is not None:
            strategy_id, account = allocation.strategy_id, allocation.account
        by = self._editor
        occurrence = Occurrence(
            user_id=user_id,
            at=by.now(),
            what=what,
            cause=by.cause,
            actor=by.actor,
            strategy_id=strategy_id,
            account=account,
            subject=detail,
            detail=detail,
        )
        return [occurrences.put(occurrence)]

    async def _commit_edit(self, user_id: str, writes: _Writes) -> None:
        """Commit, with what the register of entry minutes has to count. All users of a shard share that item, so that
        who moves it waits for whoever does, instead of conflicting with him and deciding everything again."""
        plain = [write for write in writes if not isinstance(write, Moves)]
        moves = [write for write in writes if isinstance(write, Moves)]
        if not moves:
            await self.commit(*plain)
            return
        async with self._registering[self._shard(user_id)]:
            await self.commit(*plain, await self._register(user_id, moves))

    async def _register(self, user_id: str, moves: Sequence[Moves]) -> Put:
        """The write that counts strategies in and out of entry minutes."""
        pk, sk = keys.entry_register(self._shard(user_id))
        item = await self.table.get(CONFIGURATIONS, pk, sk)
        counts = codec.decode(item.body, _EntryCounts) if item else {}
        version = item.version if item else 0
        for minute, change in (move for each in moves for move in each.by_minute.items()):
            counts[minute] = counts.get(minute, 0) + change
        body = codec.encode({minute: count for minute, count in counts.items() if count > 0})
        return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=body, version=version + 1), expected=version)

    def _put_strategy(self, user_id: str, plan: Plan, *, expected: int) -> Put:
        pk, sk = keys.strategy(user_id, plan.strategy.id)
        slot = keys.entry_slot(plan.strategy.schedule.entry, self._shard(user_id))
        item = Item(
            pk=pk,
            sk=sk,
            body=codec.encode(plan),
            version=plan.strategy.version,
            gsi1=(keys.strategies_of_basket(user_id, plan.basket.id), sk),
            gsi2=(slot, keys.in_slot(user_id, plan.strategy.id)),
        )
        return Put(table=CONFIGURATIONS, item=item, expected=expected)

    def _put_allocation(self, user_id: str, strategy: Strategy, allocation: Allocation, *, expected: int) -> Put:
        pk, sk = keys.allocation(user_id, allocation.id)
        slot = keys.entry_slot(strategy.schedule.entry, self._shard(user_id))
        place = keys.in_slot_allocation(user_id, strategy.id, allocation.priority, allocation.id)
        by_strategy = keys.allocations_of_strategy(user_id, strategy.id)
        item = Item(
            pk=pk,
            sk=sk,
            body=codec.encode(allocation),
            version=allocation.version,
            gsi1=(by_strategy, keys.by_priority(allocation.priority, allocation.id)),
            gsi2=(slot, place),
        )
        return Put(table=CONFIGURATIONS, item=item, expected=expected)


def _require(name: str, found: int, version: int | None) -> None:
    """Of a delete: None is whatever version there is."""
    if version is not None:
        require_version(name, found, version)


def _decided(change: Change) -> Decide:
    async def decide(_: Standing) -> Change:
        return change

    return decide


def _require_room(strategies: Sequence[Strategy], strategy: Strategy) -> None:
    others = [each for each in strategies if each.id != strategy.id]
    if len(others) >= MAX_STRATEGIES:
        raise Invalid(
            f"basket {strategy.basket_id} already has {MAX_STRATEGIES} strategies, the most a basket may have; "
            "put this one into another basket",
            where="basket_id",
        )


def _saved(before: Basket | Strategy | None, after: Basket | Strategy, otherwise: What) -> What:
    """What a save did: a pause and its end are told apart from every other edit."""
    if after.paused != (before is not None and before.paused):
        return What.PAUSED if after.paused else What.RESUMED
    return otherwise


def _named(kind: str, plan: Basket | Strategy) -> str:
    return f"{kind} {plan.name}, version {plan.version}"


def _put_basket(user_id: str, basket: Basket) -> Put:
    pk, sk = keys.basket(user_id, basket.id)
    item = Item(pk=pk, sk=sk, body=codec.encode(basket), version=basket.version)
    return Put(table=CONFIGURATIONS, item=item, expected=basket.version - 1)
