"""The line between a caller and its paper account: calls are counted on it, and get lost on it as seeded."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from weakref import WeakSet

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.updates import Updates
from option_baskets.domain.errors import Unavailable, Unclear
from option_baskets.domain.order import OrderReport
from option_baskets.domain.session import IST
from option_baskets.ports import Clock


class Line:
    """One account's. It knows nothing of the order but its tag; what the exchange did with it is not its concern."""

    def __init__(self, clock: Clock) -> None:
        self.behaviour = Behaviour()
        self.peak_calls = 0
        """Most order calls (place, modify and cancel) taken in one calendar second."""
        self._clock = clock
        self._second: tuple[datetime | None, int] = (None, 0)
        self._refused: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._subscribers: WeakSet[Updates] = WeakSet()
        self._late: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        return self._clock.now().astimezone(IST)

    def call(self) -> datetime:
        """Count an order call and return its instant.

        Raises:
            Unavailable: the account is out, or has more calls in this second than it may.
        """
        self.reach()
        at = self.now()
        second = at.replace(microsecond=0)
        calls = self._second[1] + 1 if self._second[0] == second else 1
        most = self.behaviour.max_calls_per_second
        if most is not None and calls > most:
            raise Unavailable(f"429 Too Many Requests: more than {most} order calls in the second {second:%H:%M:%S}")
        self._second = (second, calls)
        self.peak_calls = max(self.peak_calls, calls)
        return at

    def reach(self) -> None:
        """Raises:
        Unavailable: the account is out.
        """
        if self._is_out():
            raise Unavailable("connection refused")

    async def carry_order(self, tag: str, at: datetime) -> None:
        """Take a new order to the exchange.

        Raises:
            Unavailable: it was refused on the way; it is not there.
            Unclear: it is not there, and the caller cannot know.
        """
        self._refuse_if_busy(tag)
        lost = self.behaviour.swallows(tag)
        if lost is not None:
            await self._wait(tag, at)
            raise Unclear(lost)

    async def answer_order(self, tag: str, at: datetime, *, accepted: bool) -> None:
        """Take the answer to a new order back.

        Raises:
            Unclear: it got lost.
        """
        await self._wait(tag, at)
        lost = self.behaviour.silences(tag) if accepted else None
        if self._is_out():
            lost = "the connection was cut before the answer"
        if lost is not None:
            raise Unclear(lost)

    async def carry_change(self, tag: str, at: datetime) -> bool:
        """Take a modify or cancel to the exchange; whether its answer will get lost.

        Raises:
            Unavailable: it was refused on the way; nothing is changed.
            Unclear: nothing is changed, and the caller cannot know.
        """
        self._refuse_if_busy(tag)
        earlier = self._changes[tag]
        self._changes[tag] += 1
        is_lost = self.behaviour.loses_change(tag, earlier)
        if is_lost and not self.behaviour.does_lost_change(tag):
            await self._wait(tag, at)
            raise Unclear("the connection was cut while sending")
        return is_lost

    async def answer_change(self, tag: str, at: datetime, *, is_lost: bool) -> None:
        """Take the answer to a modify or cancel back.

        Raises:
            Unclear: it got lost.
        """
        await self._wait(tag, at)
        if is_lost or self._is_out():
            raise Unclear("no answer within the time limit")

    def in_book(self, reports: Iterable[tuple[OrderReport, datetime]]) -> tuple[OrderReport, ...]:
        """Those of the reports, each with the instant its order arrived, that the order book shows by now."""
        now = self.now()
        return tuple(report for report, arrived in reports if self.behaviour.in_book_at(report.tag, arrived) <= now)

    # ------------------------------------------------------------ updates

    def subscribe(self) -> Updates:
        updates = Updates()
        self._subscribers.add(updates)
        return updates

    def show(self, report: OrderReport) -> None:
        """Tell every subscriber of a change, as well as the line does."""
        if self._is_out():
            return
        for delay in self.behaviour.updates(report.tag, f"{report.state}{report.filled}"):
            if not delay:
                self._put(report)
                continue
            task = asyncio.create_task(self._put_after(report, delay))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _put_after(self, report: OrderReport, delay: timedelta) -> None:
        await self._clock.pause(delay)
        self._put(report)

    def _put(self, report: OrderReport) -> None:
        for updates in self._subscribers:
            updates.put(report)

    def end(self) -> None:
        """End every subscription; what is still late never comes."""
        for task in self._late:
            task.cancel()
        for updates in self._subscribers:
            updates.end()

    # ------------------------------------------------------------

    def _is_out(self) -> bool:
        return bool(self.behaviour.outages) and self.behaviour.is_out(self.now())

    def _refuse_if_busy(self, tag: str) -> None:
        if self.behaviour.is_busy(tag, self._refused[tag]):
            self._refused[tag] += 1
            raise Unavailable("429 Too Many Requests")

    async def _wait(self, tag: str, arrived: datetime) -> None:
        answer_at = self.behaviour.answer_at(tag, arrived)
        if answer_at > arrived:
            await self._clock.pause(answer_at - self.now())
