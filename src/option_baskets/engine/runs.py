"""The runs in hand: each held once, changed under its own lock, and never ahead of the store."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

from option_baskets.domain.losses import limits_losses
from option_baskets.domain.market import Snapshot
from option_baskets.domain.restart import restarted
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.history import occurrences, scheduled
from option_baskets.engine.messages import entry_message
from option_baskets.ports import Clock, Queue, Write
from option_baskets.store.books import Books

RunKey = tuple[str, str]
"""(user id, run id)."""

Change = Callable[[Run], tuple[Run, Sequence[Write]]]
"""From a run to the run after it and what is committed together with it."""


class OpenRuns:
    """Every run that is not over. A change is committed before anybody sees it.

    The commit that closes a run claims the next cycle of a strategy that is entered again, with the message that
    enters it: whatever happens after it, there is one successor, and it is found.
    """

    def __init__(self, books: Books, clock: Clock, queue: Queue) -> None:
        self._books = books
        self._clock = clock
        self._queue = queue
        self._runs: dict[RunKey, Run] = {}
        self._locks: dict[RunKey, asyncio.Lock] = {}
        self._changed: set[RunKey] = set()
        self.limited: set[str] = set()
        """Users with a run in hand whose basket or allocation limits losses, or that had one."""

    async def load(self, users: Iterable[str], day: date) -> None:
        """Take up the runs a former process left open, those of the day in whatever state the indexes are.

        Args:
            users: whose runs of the day are read by key; one claimed a moment ago may not be in an index yet.
        """
        self.adopt(run for run in await self._books.active_runs() if run.date <= day)
        for runs in await asyncio.gather(*(self._books.runs_on(user, day) for user in users)):
            self.adopt(run for run in runs if not run.status.is_over)

    async def require(self, key: RunKey) -> None:
        """Take up this run if it is open and not in hand: what finds open runs may not show the newest."""
        if key not in self:
            run = await self._books.run(*key)
            if run is not None and not run.status.is_over and key not in self:
                self.adopt([run])

    def adopt(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._runs[run.user_id, run.id] = run
            self._changed.add((run.user_id, run.id))
            if limits_losses(run):
                self.limited.add(run.user_id)

    def changed(self) -> list[tuple[RunKey, Run | None]]:
        """What is another run than at the last call, or no longer in hand (None)."""
        changed = [(key, self._runs.get(key)) for key in self._changed]
        self._changed.clear()
        return changed

    def all(self) -> tuple[Run, ...]:
        """Open runs, ordered by user and id, so that whatever is done to all of them is done in one order."""
        return tuple(run for _, run in sorted(self._runs.items()) if not run.status.is_over)

    def in_hand(self) -> tuple[Run, ...]:
        """The runs of the day, over or not, in the same order."""
        return tuple(run for _, run in sorted(self._runs.items()))

    def of_strategy(self, user_id: str, strategy_id: str) -> list[Run]:
        """The strategy's runs of the day and those still held from before, over or not."""
        return [run for run in self._runs.values() if (run.user_id, run.strategy.id) == (user_id, strategy_id)]

    def get(self, key: RunKey) -> Run:
        return self._runs[key]

    def __contains__(self, key: RunKey) -> bool:
        return key in self._runs

    def lock(self, key: RunKey) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def change(self, key: RunKey, change: Change, seen: Snapshot | None = None) -> Run:
        """Apply a change and commit it with its writes; an unchanged run without writes commits nothing.

        What it decides is kept in the history by the same commit, with the prices of ``seen`` where it read any.
        """
        async with self.lock(key):
            return await self.change_locked(key, change, seen)

    async def change_locked(self, key: RunKey, change: Change, seen: Snapshot | None = None) -> Run:
        """As ``change``, for a caller that holds the run's lock."""
        before = self._runs[key]
        after, writes = change(before)
        if after is before:
            if writes:
                await self._books.commit(*writes)
            return before
        followed = restarted(after, self._clock.now())
        if followed is None:
            saved = await self._books.save_run(after, *writes, *self._history(before, after, seen))
            self.adopt([saved])
            return saved
        after, successor = followed
        claim, claimed = self._books.put_run(successor)
        message = entry_message(claimed)
        history = [
            *self._history(before, after, seen),
            self._books.put_occurrence(scheduled(claimed, self._clock.now(), "restart")),
        ]
        saved = await self._books.save_run(after, *writes, *history, claim, self._queue.write(message))
        self.adopt([saved, claimed])
        await self._queue.sent([message])
        return saved

    def _history(self, before: Run, after: Run, seen: Snapshot | None) -> Iterator[Write]:
        """What the history keeps of the change: the run as it enters and as it ends, and what was decided."""
        if after.positions and not before.positions:
            yield self._books.put_entry(after, after.entry_at)
        elif after.status.is_over and (after.positions or before.status is RunStatus.WAITING):
            yield self._books.put_exit(after, self._clock.now())
        for occurrence in occurrences(before, after, self._clock.now(), seen):
            yield self._books.put_occurrence(occurrence)

    def forget_finished(self) -> None:
        """Let go of the runs that are over; the store has them."""
        for key in [key for key, run in self._runs.items() if run.status.is_over]:
            del self._runs[key]
            self._changed.add(key)
            self._locks.pop(key, None)
