"""A shift: an engine over one user's books, for as long as there is something to do for that user.

Where many processes work, none holds a day. Each wake-up names a user. Whoever is woken takes the user's lease, takes
the books up as after a restart, does what is in the inbox at its instant, and ends when nothing is under way. While it
lasts it is the only one that orders for the user: what keeps one process from ordering twice, out of turn or too fast
holds here unchanged. Whoever comes meanwhile finds the lease held, and sees that the holder does the message.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from option_baskets.domain.cadence import Cadence
from option_baskets.domain.errors import Halt, Unavailable, Unclear
from option_baskets.domain.events import Event, EventType, Priority
from option_baskets.domain.order import OrderState
from option_baskets.domain.session import Session
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.entry import enter
from option_baskets.engine.errand import TICK, on_errand
from option_baskets.engine.gate import Gate
from option_baskets.engine.held_line import HeldLine
from option_baskets.engine.kills import look
from option_baskets.engine.losses import carry_over
from option_baskets.engine.messages import (
    AHEAD,
    CHECK,
    COMPARE,
    ENTER_RUN,
    EVENING,
    EXIT_RUN,
    LOOK,
    MORNING,
    PRICES,
    work_message,
)
from option_baskets.engine.overnight import (
    PRICED_WITHIN,
    hand_on,
    is_carrying,
    settle_expired,
    take_over,
    tell_of_missing_prices,
)
from option_baskets.engine.reconcile import look_at, noticed, reconcile_all
from option_baskets.engine.recovery import recover
from option_baskets.engine.runs import RunKey
from option_baskets.engine.stops import check_run, check_stops
from option_baskets.engine.trading import Trading
from option_baskets.ports import Broker, Clock, Message
from option_baskets.store.inbox import Inbox
from option_baskets.store.leases import Lease, Leases

LOG = logging.getLogger(__name__)

LOOK_EVERY = timedelta(seconds=0.25)
"""How often the inbox is read while something is under way."""
AGAIN_AFTER = timedelta(seconds=3)
"""Before a message that failed is tried again by the same shift, if it lasts so long."""
LONGEST = timedelta(seconds=240)
"""Then a shift hands over to another one, well before a function's time is over and it is ended in the middle."""
LISTEN_AGAIN = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)

Matching = Callable[[datetime], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Shift:
    """One user's work. ``trading`` is over that user's books alone (``store/one_user.py``), its session is set."""

    trading: Trading
    user_id: str
    inbox: Inbox
    cadence: Cadence
    wall: Clock
    lease: Lease
    leases: Leases
    matching: Matching
    """Has the paper exchange match what rests, at a minute."""
    longest: timedelta = LONGEST
    done: int = 0
    """Messages worked off."""
    _under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _failed: dict[str, tuple[Exception, datetime]] = field(default_factory=dict)
    """What a message ended in, and when, on the wall clock, it is tried again."""
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _checked: datetime | None = None
    _matched: datetime | None = None

    async def work(self) -> None:
        """Return when the inbox holds nothing that is due and nothing is under way, or after ``longest``: then
        another is sent for.

        Raises:
            Halt: the lease was lost, or nothing can be kept.
        """
        trading = self.trading
        trading.desk.trade_until(trading.close_of_day())
        trading.desk.approve_by(Gate(trading))
        listeners: list[asyncio.Task[None]] = []

        def listen(account: AccountKey) -> None:
            heard = self._listen(account, trading.desk.brokers[account])
            listeners.append(asyncio.create_task(heard, name=f"updates of {account[1]}"))

        trading.connected = listen
        connect = trading.connect
        trading.connect = lambda user_id, account: HeldLine(connect(user_id, account), self._is_held)
        trading.desk.brokers = {key: HeldLine(line, self._is_held) for key, line in trading.desk.brokers.items()}
        for account in trading.desk.brokers:
            listen(account)
        renewing = asyncio.create_task(self._renew(), name=f"lease of {self.user_id}")
        working = asyncio.create_task(self._work_off(), name=f"work of {self.user_id}")
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                renewing.result()  # it ends in Halt
            working.result()
        finally:
            for task in (working, renewing, *listeners, *self._under_way.values()):
                task.cancel()
            await asyncio.gather(working, renewing, *listeners, *self._under_way.values(), return_exceptions=True)
            await trading.abandon()

    async def _work_off(self) -> None:
        until = self.wall.now() + self.longest
        await recover(self.trading)
        self._look_twice()
        while True:
            await self._begin_due()
            await self._match()
            if not (self._under_way or self.trading.is_busy):
                break
            if self.wall.now() >= until:
                LOG.info("the shift of %s hands over after %s", self.user_id, self.longest)
                await self._send_for(LOOK, self.trading.clock.now())
                return
            wait = [*self._under_way.values(), asyncio.ensure_future(self.wall.pause(LOOK_EVERY))]
            await asyncio.wait(wait, return_when=asyncio.FIRST_COMPLETED)
            wait[-1].cancel()
            await self._collect()
        await self.trading.settled()
        await self._have_lost_orders_looked_for()
        for error, _ in self._failed.values():
            raise error

    async def _begin_due(self) -> None:
        """What a session's beginning takes over goes before everything else."""
        until, now = self.trading.clock.now() + AHEAD, self.wall.now()
        waiting = await self.inbox.waiting(self.user_id)
        for message in sorted(waiting, key=lambda message: message.kind != MORNING):
            resting = message.id in self._failed and now < self._failed[message.id][1]
            if message.at <= until and message.id not in self._under_way and not resting:
                mornings = [task for task in self._under_way.values() if task.get_name().startswith(MORNING)]
                self._under_way[message.id] = asyncio.create_task(self._fire(message, mornings), name=message.id)

    async def _collect(self) -> None:
        """What ended in an error is told once and stays in the inbox, for later or another shift; the rest goes on."""
        for name in [name for name, task in self._under_way.items() if task.done()]:
            error = self._under_way.pop(name).exception()
            if isinstance(error, Exception):
                LOG.error("%s failed", name, exc_info=error)
                is_new = name not in self._failed
                self._failed[name] = error, self.wall.now() + AGAIN_AFTER
                if isinstance(error, Halt):
                    raise error
                if is_new:
                    await self.trading.failed(self.user_id, name, error)
            else:
                self._failed.pop(name, None)

    async def _match(self) -> None:
        minute = _minute_of(self.trading.clock.now())
        if self._matched is None or minute > self._matched:
            self._matched = minute
            await self.matching(minute)

    # ------------------------------------------------------------ messages

    async def _fire(self, message: Message, first: Sequence[asyncio.Task[None]]) -> None:
        await self.trading.clock.sleep_until(message.at)
        if first:
            await asyncio.wait(first)
        with on_errand(message.body.get(TICK, ""), message.at):
            await self._do(message)
        await self.inbox.done(message)
        self.done += 1

    async def _do(self, message: Message) -> None:
        trading = self.trading
        session = self._session()
        is_of_today = message.at >= session.starts
        match message.kind:
            case "morning":
                await take_over(trading)
                if is_carrying(trading):
                    await self._send_for(PRICES, session.open + PRICED_WITHIN)
            case "prices" if is_of_today:
                await tell_of_missing_prices(trading, message.at)
            case "evening" if is_of_today:
                await self._end_day()
            case "look":
                await look(trading)
            case "check":
                await self._check(message.at)
            case "compare" if is_of_today:
                await self._check(message.at)
                look_back = self.cadence[EventType.CHECK_DUPLICATE_ORDERS].horizon
                await reconcile_all(trading, self._event(EventType.CHECK_DUPLICATE_ORDERS, message.at), look_back)
            case kind if kind in {ENTER_RUN, EXIT_RUN}:
                await self._run(message)
            case kind if kind in {CHECK, COMPARE, EVENING, PRICES}:
                LOG.warning("%s is of an earlier day, which nobody can make up for", message.id)
            case kind:
                LOG.error("nobody knows what %s is; it is left alone", kind)

    async def _run(self, message: Message) -> None:
        trading = self.trading
        key = (self.user_id, message.body["run_id"])
        await trading.runs.require(key)
        if key not in trading.runs:
            return
        if message.kind == ENTER_RUN:
            await self._check(_minute_of(message.at))  # exits of a minute go before its entries
            await self._seen_twice(key)
            await enter(trading, key, message.at)
        elif self._is_checked_at(at := self._not_past(message.at)):
            await check_run(trading, key, await trading.market.snapshot(at))

    def _look_twice(self) -> None:
        """What a first reading shows beside our runs, a second one confirms before anything is entered there."""
        trading = self.trading
        for account, standing in [*trading.standings.items()]:
            if standing.suspected:
                look = look_at(trading, account)
                trading.start(look, name=f"look at {account[1]}", user_id=account[0])

    async def _seen_twice(self, key: RunKey) -> None:
        for each in self.trading.runs.get(key).allocations:
            standing = self.trading.standings.get((key[0], each.account))
            if standing is not None and standing.suspected:
                async with standing.lock:
                    continue

    async def _check(self, at: datetime) -> None:
        """The stop check of an instant, once. One that comes late looks at the prices there are now; before the
        session and from its close on nothing is checked, since nothing could be closed.
        """
        async with self._checking:
            at = self._not_past(at)
            if self._is_checked_at(at) and (self._checked is None or at > self._checked):
                await self._look_again()
                await check_stops(self.trading, self._event(EventType.CHECK_STOP_LOSS, at))
                self._checked = at

    async def _look_again(self) -> None:
        """At switches and requests to leave: that they are written is durable, that somebody was sent for is not."""
        try:
            await look(self.trading)
        except Halt:
            raise
        except Exception as error:  # whatever it is, stops are due
            LOG.warning("the kill switches cannot be looked at: %s: %s", type(error).__name__, error)

    def _not_past(self, at: datetime) -> datetime:
        return max(at, _minute_of(self.trading.clock.now()))

    def _is_checked_at(self, at: datetime) -> bool:
        return self._session().starts <= at < self._session().close

    def _session(self) -> Session:
        session = self.trading.session
        assert session is not None
        return session

    def _event(self, type_: EventType, at: datetime) -> Event:
        return Event(type=type_, at=at, phase=self._session().phase(at), priority=Priority.HIGH)

    async def _send_for(self, kind: str, at: datetime) -> None:
        message = work_message(kind, self.user_id, at)
        await self.trading.books.commit(self.trading.queue.write(message))
        await self.trading.queue.sent([message])

    async def _have_lost_orders_looked_for(self) -> None:
        """An order that was given up may still be filled, also when its run is over and no check comes any more:
        somebody reads the account's book every minute until the close.
        """
        at = _minute_of(self.trading.clock.now()) + _MINUTE
        lost = [order for order in self.trading.desk.orders.values() if order.state is OrderState.ABSENT]
        if at < self._session().close and any(each.updated_at >= self._session().starts for each in lost):
            await self._send_for(COMPARE, at)

    async def _end_day(self) -> None:
        trading = self.trading
        await trading.settled()
        await settle_expired(trading, trading.close_of_day())
        await carry_over(trading)
        await hand_on(trading)

    # ------------------------------------------------------------ beside it

    async def _renew(self) -> None:
        while True:
            await self.wall.pause(self.leases.span / 3)
            try:
                renewed = await self.leases.renew(self.lease)
            except (Unavailable, Unclear) as error:
                LOG.warning("the lease of %s is not renewed: %s", self.user_id, error)
                if self.lease.is_held(self.wall.now()):
                    continue
                renewed = None
            if renewed is None:
                raise Halt(f"the lease of {self.user_id} is lost: somebody else works for this user")
            self.lease = renewed

    def _is_held(self) -> bool:
        return self.lease.is_held(self.wall.now())

    async def _listen(self, account: AccountKey, broker: Broker) -> None:
        """Apply what a broker reports of its own accord; what it does not tell, the next look at its book does."""
        trading = self.trading
        while True:
            try:
                async for report in broker.updates():
                    before = trading.desk.orders.get(report.tag)
                    await trading.desk.report(account[0], report)
                    noticed(trading, account, report, before)
            except Halt:
                raise
            except Exception as error:  # a lost connection, a table that is full: the next report may get through
                LOG.warning("updates of %s: %s", account[1], error)
            else:
                return
            await self.wall.pause(LISTEN_AGAIN)


def _minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


# ---------------------------------------------------------------- being woken


Begin = Callable[[Lease], contextlib.AbstractAsyncContextManager[Shift]]
"""Makes the shift of a lease, and closes what it opened."""

SEEN_TO = timedelta(seconds=3)
"""How long a wake-up waits for the holder of the lease to do its message, before it is brought again."""


async def woken(message: Message, *, holder: str, leases: Leases, inbox: Inbox, wall: Clock, begin: Begin) -> bool:
    """See to it that a message of a user is done; whether it is, or it needs to be brought again.

    Doing it twice does nothing: what is not in the inbox any more is done.
    """
    until = wall.now() + SEEN_TO
    while await inbox.is_waiting(message):
        lease = await leases.take(message.body["user_id"], holder)
        if lease is not None:
            await _work(lease, leases, begin)
            return not await inbox.is_waiting(message)  # it may be due later than a shift waits
        if wall.now() >= until:
            return False
        await wall.pause(LOOK_EVERY)
    return True


async def _work(lease: Lease, leases: Leases, begin: Begin) -> None:
    held = lease
    try:
        async with begin(lease) as shift:
            try:
                await shift.work()
            finally:
                held = shift.lease
    finally:
        await leases.release(held)
