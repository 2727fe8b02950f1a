"""Kill switches that are thrown, strategies to be left, notices: written by anybody, read by the engine at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from option_baskets.domain.errors import Conflict
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.domain.reasons import ExitReason
from option_baskets.ports import Delete, Index, Item, Put
from option_baskets.store import codec, keys, occurrences
from option_baskets.store.notices import EDITED
from option_baskets.store.records import Edited, Leave, Occurrence, What
from option_baskets.store.shelf import CONFIGURATIONS, Shelf

_LEAVE = "leave"
_ATTEMPTS = 20


class Kills(Shelf):
    """What is thrown stands until ``delete_kill``; each throw and release is in the history, with who and why."""

    async def save_kill(self, kill: Kill) -> Kill:
        """Throw a switch, or throw it again: the engine takes it up anew. Returns it as it is stored."""
        for _ in range(_ATTEMPTS):
            found = await self._get(CONFIGURATIONS, self._kill(kill.user_id, kill.subject), Kill)
            before = found.version if found else 0
            thrown = replace(kill, seen_at=None, version=before + 1)
            try:
                await self.commit(self._put_kill(thrown, expected=before), occurrences.put(_deed(What.KILLED, kill)))
            except Conflict:
                continue
            return thrown
        raise Conflict(f"the kill switch of {kill.what} is being thrown by somebody else; look at its status")

    async def delete_kill(self, kill: Kill, *, at: datetime, actor: str, reason: str = "") -> None:
        """Take the fence away, whatever version it has by now; what is being closed goes on being closed."""
        pk, sk = self._kill(kill.user_id, kill.subject)
        done = replace(kill, at=at, actor=actor, reason=reason)
        await self.commit(Delete(table=CONFIGURATIONS, pk=pk, sk=sk), occurrences.put(_deed(What.ARMED, done)))

    def put_seen(self, kill: Kill, at: datetime) -> tuple[Put, Kill]:
        """The write that says the engine has taken the kill up, unless it was thrown again or released since."""
        seen = replace(kill, seen_at=at, version=kill.version + 1)
        return self._put_kill(seen, expected=kill.version), seen

    async def kills(self) -> tuple[list[Kill], list[Leave], list[Edited]]:
        """Every user's switches that are thrown, strategies to be left, and whose accounts or limits were edited.

        By user; one query a shard.
        """
        shards = await self._of_shards(keys.kills_of_shard, Index.PRIMARY)
        items = [item for items in shards for item in items]
        return self._sorted_out(items)

    async def kills_of(self, user_id: str) -> list[Kill]:
        """One user's switches that are thrown."""
        pk = keys.kills_of_shard(self._shard(user_id))
        return self._sorted_out(await self._items(CONFIGURATIONS, pk, begins_with=keys.kills_of(user_id)))[0]

    def _sorted_out(self, items: Sequence[Item]) -> tuple[list[Kill], list[Leave], list[Edited]]:
        kills, leaves, edited = list[Kill](), list[Leave](), list[Edited]()
        for item in items:
            user_id, kind, *_ = item.sk.split("#")
            if kind == EDITED:
                edited.append(Edited(user_id=user_id, version=item.version))
            elif kind == _LEAVE:
                leaves.append(replace(self._decode(item, Leave), version=item.version))
            else:
                kills.append(self._decode(item, Kill))
        return kills, leaves, edited

    # ------------------------------------------------------------ strategies to be left

    async def save_leave(self, leave: Leave) -> Leave:
        """Ask for the open runs of a strategy to be closed, or ask anew. Returns what is asked as it is stored."""
        pk, sk = self._leave(leave.user_id, leave.strategy_id)
        asked = Occurrence(
            user_id=leave.user_id,
            at=leave.at,
            what=What.EXIT_ASKED,
            cause=ExitReason.MANUAL,
            actor=leave.actor,
            strategy_id=leave.strategy_id,
            detail=leave.reason,
        )
        for _ in range(_ATTEMPTS):
            found = await self.table.get(CONFIGURATIONS, pk, sk)
            before = found.version if found else 0
            stored = replace(leave, version=before + 1)
            item = Item(pk=pk, sk=sk, body=codec.encode(stored), version=stored.version)
            try:
                await self.commit(Put(table=CONFIGURATIONS, item=item, expected=before), occurrences.put(asked))
            except Conflict:
                continue
            return stored
        raise Conflict(f"others ask for {leave.strategy_id} to be left at the same time; look at its runs")

    async def delete_leave(self, leave: Leave) -> None:
        """It is marked in its runs; what was asked again since it was read stays."""
        pk, sk = self._leave(leave.user_id, leave.strategy_id)
        try:
            await self.commit(Delete(table=CONFIGURATIONS, pk=pk, sk=sk, expected=leave.version))
        except Conflict:
            return

    async def leave_of(self, user_id: str, strategy_id: str) -> Leave | None:
        """What was asked for the strategy and the engine has not taken up yet."""
        item = await self.table.get(CONFIGURATIONS, *self._leave(user_id, strategy_id))
        return None if item is None else replace(self._decode(item, Leave), version=item.version)

    def _leave(self, user_id: str, strategy_id: str) -> keys.Key:
        return keys.kill(user_id, self._shard(user_id), _LEAVE, strategy_id)

    def _kill(self, user_id: str, subject: Killed) -> keys.Key:
        scope, name = subject
        return keys.kill(user_id, self._shard(user_id), scope, name)

    def _put_kill(self, kill: Kill, *, expected: int) -> Put:
        pk, sk = self._kill(kill.user_id, kill.subject)
        item = Item(pk=pk, sk=sk, body=codec.encode(kill), version=kill.version)
        return Put(table=CONFIGURATIONS, item=item, expected=expected)


def _deed(what: What, kill: Kill) -> Occurrence:
    scope, name = kill.subject
    return Occurrence(
        user_id=kill.user_id,
        at=kill.at,
        what=what,
        cause=ExitReason.KILL,
        actor=kill.actor,
        strategy_id=name if scope is KillScope.STRATEGY else "",
        account=name if scope is KillScope.ACCOUNT else "",
        subject=kill.what,
        detail=kill.reason,
    )
