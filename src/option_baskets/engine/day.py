"""One trading day: the timer's events to their handlers, queued entries and exits at their instants."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from option_baskets.domain.cadence import Cadence, planned_until
from option_baskets.domain.errors import Halt
from option_baskets.domain.events import Event, EventType, Tick
from option_baskets.domain.order import OrderReport
from option_baskets.domain.run import Run
from option_baskets.domain.session import Session
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.emitter import Emitter
from option_baskets.engine.entry import enter
from option_baskets.engine.gate import Gate
from option_baskets.engine.kills import watch as watch_kills
from option_baskets.engine.losses import carry_over
from option_baskets.engine.messages import ENTER_RUN
from option_baskets.engine.overnight import (
    PRICED_WITHIN,
    hand_on,
    is_carrying,
    settle_expired,
    take_over,
    tell_of_missing_prices,
)
from option_baskets.engine.presence import note_beginning, note_end
from option_baskets.engine.quotes import refresh_quotes
from option_baskets.engine.reconcile import look_at, noticed, reconcile_all
from option_baskets.engine.recovery import recover
from option_baskets.engine.schedule import schedule_due
from option_baskets.engine.stops import check_run, check_stops
from option_baskets.engine.timer import ticks
from option_baskets.engine.trading import Trading
from option_baskets.ports import Broker, Bus, Message

LOG = logging.getLogger(__name__)

Watch = Callable[[datetime, Sequence[Run]], None]
"""Told after every tick: its instant, and the runs of the day so far."""

Woke = Callable[[Tick, datetime], None]
"""Told before a tick is worked on: the tick, and the instant the timer woke for it."""

CHECKED_WITHIN = timedelta(seconds=1)
"""How long an entry waits for the stop check of its own minute; longer than any check takes, shorter than a grace."""

LISTEN_AGAIN = timedelta(seconds=1)


@dataclass(slots=True, kw_only=True)
class TradingDay:
    """The engine's day. Handlers are subscribed once per bus; ``session`` may change from day to day."""

    trading: Trading
    bus: Bus
    cadence: Cadence
    watch: Watch = lambda _, __: None
    woke: Woke = lambda _, __: None
    kills_every: timedelta | None = None
    """How often, in market time, kill switches are looked at besides at every stop check; None: never."""
    _checked: datetime | None = None
    _waiting: asyncio.Condition | None = None
    _stopping: asyncio.Event | None = None
    _listeners: dict[AccountKey, asyncio.Task[None]] = field(default_factory=dict)

    def subscribe(self) -> None:
        """Connect the four handlers."""
        self.bus.subscribe(EventType.REFRESH_MARKET_DATA, self._refresh)
        self.bus.subscribe(EventType.CHECK_STOP_LOSS, self._check)
        self.bus.subscribe(EventType.CHECK_DUPLICATE_ORDERS, self._duplicates)
        self.bus.subscribe(EventType.SCHEDULE_STRATEGY_TRIGGER, self._schedule)

    async def run(self, session: Session) -> Counter[EventType]:
        """Trade one session and return how many events of each type it had. After a restart it goes on where it was."""
        trading = self.trading
        trading.session = session
        trading.desk.trade_until(session.close)
        trading.desk.approve_by(Gate(trading))
        self._waiting = asyncio.Condition()
        self._stopping = asyncio.Event()
        emitter = Emitter(self.bus, trading.books, self.cadence, session)
        self._checked = await emitter.resume_after()
        # Subscribed before the order books are read, so that nothing is missed in between.
        for account in trading.desk.brokers:
            self._follow(account)
        trading.connected = self._welcome
        await note_beginning(trading, resumed=self._checked is not None)
        await recover(trading)
        await take_over(trading)
        if is_carrying(trading):
            trading.start(tell_of_missing_prices(trading, session.open + PRICED_WITHIN), name="prices of what is held")
        workers = [asyncio.create_task(self._work(), name="queue worker")]
        if self.kills_every is not None:
            workers.append(asyncio.create_task(watch_kills(trading, self.kills_every), name="kill switches"))
        try:
            timer = ticks(session, trading.clock, self.cadence, resume_after=self._checked)
            await self._unless_stopped(self._to_the_close(session, timer, emitter, workers))
        finally:
            for worker in workers:
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker
            trading.connected = lambda _: None
            for listener in self._listeners.values():
                listener.cancel()
            await asyncio.gather(*self._listeners.values(), return_exceptions=True)
            self._listeners.clear()
        await settle_expired(trading, session.close)
        await carry_over(trading)
        await hand_on(trading)
        await note_end(trading)
        trading.runs.forget_finished()
        trading.desk.forget_finished()
        return emitter.counts

    def stop(self) -> None:
        """End the day at once, because the store's health says that nothing can be kept any more."""
        if self._stopping is not None:
            self._stopping.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, or leave it where it is.

        Raises:
            Halt: the day was stopped.
        """
        assert self._stopping is not None
        stopping = asyncio.create_task(self._stopping.wait())
        working = asyncio.create_task(work, name="day")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Halt(self.trading.books.health.halted)
            working.result()
        finally:
            for task in (stopping, working):
                task.cancel()
            await asyncio.gather(stopping, working, return_exceptions=True)

    async def _to_the_close(
        self,
        session: Session,
        timer: AsyncIterator[tuple[Tick, ...]],
        emitter: Emitter,
        workers: Sequence[asyncio.Task[None]],
    ) -> None:
        await self._drive(timer, emitter, workers)
        await self.trading.clock.sleep_until(session.close)
        await self.trading.settled()

    def _follow(self, account: AccountKey) -> None:
        """Listen to the account's updates, instead of to an earlier line of the same name."""
        if account in self._listeners:
            self._listeners[account].cancel()
        broker = self.trading.desk.brokers[account]
        self._listeners[account] = asyncio.create_task(
            self._listen(account, broker, broker.updates()), name=f"updates of {account[1]}"
        )

    def _welcome(self, account: AccountKey) -> None:
        """An account that is connected in the middle of the day is listened to, and read, as all are at its start."""
        self._follow(account)
        look = look_at(self.trading, account, is_start=True)
        self.trading.start(look, name=f"look at {account[1]}", user_id=account[0])

    async def _listen(self, account: AccountKey, broker: Broker, updates: AsyncIterator[OrderReport]) -> None:
        """Apply what a broker reports of its own accord; what it does not tell, the minute's look at its book does."""
        trading = self.trading
        while True:
            try:
                async for report in updates:
                    before = trading.desk.orders.get(report.tag)
                    await trading.desk.report(account[0], report)
                    noticed(trading, account, report, before)
            except Halt:
                raise
            except Exception as error:  # a lost connection, a table that is full: the next report may get through
                LOG.warning("updates of %s: %s", account[1], error)
            else:
                return
            await trading.clock.pause(LISTEN_AGAIN)
            updates = broker.updates()

    async def _drive(
        self, timer: AsyncIterator[tuple[Tick, ...]], emitter: Emitter, workers: Sequence[asyncio.Task[None]]
    ) -> None:
        async for due in timer:
            now = self.trading.clock.now()
            for tick in due:
                self.woke(tick, now)
            await emitter.emit(due)
            await self._passed(due[-1].at)
            self.watch(due[-1].at, self.trading.runs.in_hand())
            for worker in workers:
                if worker.done():
                    worker.result()

    async def _passed(self, at: datetime) -> None:
        assert self._waiting is not None
        async with self._waiting:
            self._checked = at
            self._waiting.notify_all()

    async def _after_check_of(self, at: datetime) -> None:
        """Wait until the stop check of the minute of ``at`` is done, so that entries come after exits."""
        minute = at.replace(second=0, microsecond=0)

        def is_done() -> bool:
            return self._checked is not None and self._checked >= minute

        async def checked() -> None:
            assert self._waiting is not None
            async with self._waiting:
                await self._waiting.wait_for(is_done)

        if is_done():
            return
        wait = asyncio.create_task(checked())
        alarm = asyncio.create_task(self.trading.clock.sleep_until(at + CHECKED_WITHIN))
        await asyncio.wait({wait, alarm}, return_when=asyncio.FIRST_COMPLETED)
        for task in (wait, alarm):
            task.cancel()

    async def _work(self) -> None:
        """Fire queued messages at their instants, each beside the others."""
        async for message in self.trading.queue.receive():
            await self._after_check_of(message.at)
            self.trading.start(self._fire(message), name=message.id, user_id=message.body["user_id"])

    async def _fire(self, message: Message) -> None:
        trading = self.trading
        key = (message.body["user_id"], message.body["run_id"])
        await trading.runs.require(key)
        if key in trading.runs:
            if message.kind == ENTER_RUN:
                await enter(trading, key, message.at)
            else:
                await check_run(trading, key, await trading.market.snapshot(message.at))
        await trading.queue.done(message)

    async def _refresh(self, event: Event) -> None:
        await refresh_quotes(self.trading, event)

    async def _check(self, event: Event) -> None:
        await check_stops(self.trading, event)
        await self._passed(event.at)
        session = self.trading.session
        assert session is not None
        if (event.at - session.starts) % self.cadence[EventType.CHECK_DUPLICATE_ORDERS].every_in(event.phase):
            self._reconcile(event)  # accounts are compared every minute, whatever else is looked at less often

    async def _duplicates(self, event: Event) -> None:
        self._reconcile(event)

    def _reconcile(self, event: Event) -> None:
        look_back = self.cadence[EventType.CHECK_DUPLICATE_ORDERS].horizon
        self.trading.start(reconcile_all(self.trading, event, look_back), name="reconcile")

    async def _schedule(self, event: Event) -> None:
        session = self.trading.session
        assert session is not None
        await schedule_due(self.trading, session, event, planned_until(self.cadence, session, event.at))
