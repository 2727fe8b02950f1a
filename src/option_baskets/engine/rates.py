"""The rate at which an account may send: a token bucket on calendar seconds, with tokens kept back for exits."""

import asyncio
import heapq
import itertools
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from option_baskets.ports import Clock


class Urgency(IntEnum):
    """Who goes first at one account. Lower is first."""

    KILL = 0
    SHORT_COVER = 1
    EXIT = 2
    HEDGE_ENTRY = 3
    SHORT_ENTRY = 4

    @property
    def is_entry(self) -> bool:
        return self >= Urgency.HEDGE_ENTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Order calls (place, modify and cancel together) a calendar second, and in any sixty seconds on end."""

    per_second: int = 10
    kept_for_exits: int = 3
    """Of a second's, that entries leave alone."""
    per_minute: int = 400
    kept_for_exits_a_minute: int = 100

    def at(self, broker: str) -> "Rate":
        """This rate, or the broker's own where that is lower."""
        return replace(self, per_second=min(self.per_second, _DOCUMENTED.get(broker, self.per_second)))


_DOCUMENTED = {"zerodha": 10, "angelone": 9, "shoonya": 10}
"""Order calls a second: Kite Connect 3 and the retail algo framework 10, SmartAPI 9 for all three calls together."""


_MINUTE = timedelta(minutes=1)


class Bucket:
    """One account's calls. Grants are in order of urgency, then of asking.

    A minute is this calendar second and the 59 before it, so that no minute, wherever it begins, has more.
    """

    def __init__(self, clock: Clock, rate: Rate | None) -> None:
        self._clock = clock
        self._rate = rate
        self._second: datetime | None = None
        self._used = 0
        self._minute: deque[tuple[datetime, int]] = deque()
        """Earlier seconds in which something was granted, and how much."""
        self._used_before = 0
        """What they add up to."""
        self._waiting: list[tuple[Urgency, int, int, asyncio.Future[tuple[int, datetime]]]] = []
        self._order = itertools.count()
        self._refill: asyncio.Task[None] | None = None

    def change(self, rate: Rate | None) -> None:
        """Grant by another rate from now on; what was granted counts."""
        self._rate = rate
        self._serve()

    def entries(self, within: timedelta) -> int | None:
        """How many entries may be sent in that time if nobody else sends any; None: there is no limit."""
        if self._rate is None:
            return None
        minutes, seconds = divmod(int(within.total_seconds()), 60)
        a_second = self._rate.per_second - self._rate.kept_for_exits
        a_minute = self._rate.per_minute - self._rate.kept_for_exits_a_minute
        return minutes * min(a_minute, 60 * a_second) + min(a_minute, seconds * a_second)

    async def take(self, wanted: int, urgency: Urgency) -> int:
        """At least one token and at most ``wanted``, as soon as the rate allows."""
        if granted := self.take_now(wanted, urgency):
            return granted
        return (await self._granted(wanted, urgency))[0]

    async def _granted(self, wanted: int, urgency: Urgency) -> tuple[int, datetime]:
        """Tokens, and the second they are of."""
        future: asyncio.Future[tuple[int, datetime]] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._order), wanted, future))
        self._serve()
        if self._waiting and self._refill is None:
            self._refill = asyncio.create_task(self._refill_every_second())
        return await future

    def take_now(self, wanted: int, urgency: Urgency) -> int:
        """As many tokens as there are, at most ``wanted``; none where others wait for theirs."""
        if self._rate is None:
            return wanted
        return 0 if self._waiting else self._grant(wanted, urgency)

    async def confirm(self, granted: datetime, count: int, urgency: Urgency) -> None:
        """Return when tokens granted at that instant may be spent: those of a second that is over are taken anew.

        Also where a busy event loop has let the second pass before the caller could go on.
        """
        second = granted.replace(microsecond=0)
        while self._rate is not None and second != self._clock.now().replace(microsecond=0):
            left = count
            while left:
                taken, second = await self._granted(left, urgency)
                left -= taken

    def _grant(self, wanted: int, urgency: Urgency) -> int:
        assert self._rate is not None
        second = self._clock.now().replace(microsecond=0)
        if second != self._second:
            self._begin(second)
        a_second, a_minute = self._rate.per_second, self._rate.per_minute
        if urgency.is_entry:
            a_second -= self._rate.kept_for_exits
            a_minute -= self._rate.kept_for_exits_a_minute
        granted = max(0, min(wanted, a_second - self._used, a_minute - self._used_before - self._used))
        self._used += granted
        return granted

    def _begin(self, second: datetime) -> None:
        """Count from a new second on, and forget what is a minute away: a clock that steps keeps nobody waiting."""
        if self._second is not None and self._used:
            self._minute.append((self._second, self._used))
            self._used_before += self._used
        while self._minute and abs(second - self._minute[0][0]) >= _MINUTE:
            self._used_before -= self._minute.popleft()[1]
        self._second, self._used = second, 0

    def _serve(self) -> None:
        while self._waiting:
            urgency, _, wanted, future = self._waiting[0]
            if not future.done():
                granted = self._grant(wanted, urgency)
                if not granted:
                    return
                assert self._second is not None
                future.set_result((granted, self._second))
            heapq.heappop(self._waiting)

    async def _refill_every_second(self) -> None:
        while self._waiting:
            now = self._clock.now()
            await self._clock.pause(now.replace(microsecond=0) + timedelta(seconds=1) - now)
            self._serve()
        self._refill = None
