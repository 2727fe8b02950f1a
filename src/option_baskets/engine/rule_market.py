"""The market as the engine has it: the feed's, with the spot a rule may read where the index stands still."""

from datetime import date, datetime
from decimal import Decimal

from option_baskets.domain.facts import Facts
from option_baskets.domain.frozen_spot import ReadableSnapshot, WindowStart, frozen_since
from option_baskets.domain.market import Snapshot
from option_baskets.ports import MarketData


class RuleMarket:
    """MarketData over a feed. One snapshot of the feed gives one snapshot.

    The start of a window is asked of the feed when it is first needed, and kept: after a restart too, where the feed
    can tell what was known at an instant that has passed.
    """

    def __init__(self, feed: MarketData, facts: Facts) -> None:
        self._feed = feed
        self._facts = facts
        self._start: WindowStart | None = None
        self._latest: tuple[Snapshot, ReadableSnapshot] | None = None

    async def snapshot(self, at: datetime) -> Snapshot:
        raw = await self._feed.snapshot(at)
        window = frozen_since(self._facts, raw.at)
        if window is None:
            return raw
        if self._start is None or self._start.window != window:
            self._start = WindowStart(window, await self._feed.snapshot(window.open), self._facts)
        if self._latest is None or self._latest[0] is not raw:
            self._latest = (raw, ReadableSnapshot(raw, self._start))
        return self._latest[1]

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        return await self._feed.settlement(underlying, expiry)
