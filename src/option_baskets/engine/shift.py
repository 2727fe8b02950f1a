"""A shift: an engine over one user's books, for as long as there is something to do for that user.

Where many processes work, none holds a day. Each wake-up names a user. Whoever is woken takes the user's lease, takes
the books up as after a restart, does what is in the inbox at its instant, and ends when nothing is under way. While it
lasts it is the only one that orders for the user: what keeps one process from ordering twice, out of turn or too fast
holds here unchanged. Whoever comes meanwhile finds the lease held, and sees that the holder does the message.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from option_baskets.domain.cadence import Cadence
from option_baskets.domain.errors import Halt, Unavailable
from option_baskets.domain.events import Event, EventType, Priority
from option_baskets.domain.order import Intent
from option_baskets.domain.risk import Approved
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.entry import enter
from option_baskets.engine.errand import TICK, on_errand
from option_baskets.engine.gate import Gate
from option_baskets.engine.kills import look
from option_baskets.engine.losses import carry_over
from option_baskets.engine.messages import AHEAD, ENTER_RUN, EXIT_RUN
from option_baskets.engine.overnight import hand_on, settle_expired, take_over
from option_baskets.engine.reconcile import noticed, reconcile_all
from option_baskets.engine.recovery import recover
from option_baskets.engine.stops import check_run, check_stops
from option_baskets.engine.trading import Trading
from option_baskets.ports import Broker, Clock, Message
from option_baskets.store.inbox import Inbox
from option_baskets.store.leases import Lease, Leases

LOG = logging.getLogger(__name__)

LOOK_EVERY = timedelta(seconds=0.25)
"""How often the inbox is read while something is under way."""
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
    done: int = 0
    """Messages worked off."""
    _under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _failed: dict[str, BaseException] = field(default_factory=dict)
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _checked: datetime | None = None
    _matched: datetime | None = None

    async def work(self) -> None:
        """Return when the inbox holds nothing that is due and nothing is under way.

        Raises:
            Halt: the lease was lost, or nothing can be kept.
        """
        trading = self.trading
        trading.desk.trade_until(trading.close_of_day())
        trading.desk.approve_by(_WhileHeld(self, Gate(trading)))
        listeners: list[asyncio.Task[None]] = []

        def listen(account: AccountKey) -> None:
            heard = self._listen(account, trading.desk.brokers[account])
            listeners.append(asyncio.create_task(heard, name=f"updates of {account[1]}"))

        trading.connected = listen
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
        await recover(self.trading)
        while True:
            await self._begin_due()
            await self._match()
            if not (self._under_way or self.trading.is_busy):
                break
            wait = [*self._under_way.values(), asyncio.ensure_future(self.wall.pause(LOOK_EVERY))]
            await asyncio.wait(wait, return_when=asyncio.FIRST_COMPLETED)
            wait[-1].cancel()
            await self._collect()
        await self.trading.settled()
        for error in self._failed.values():
            raise error

    async def _begin_due(self) -> None:
        until = self.trading.clock.now() + AHEAD
        for message in await self.inbox.waiting(self.user_id):
            if message.at <= until and message.id not in self._under_way | self._failed:
                self._under_way[message.id] = asyncio.create_task(self._fire(message), name=message.id)

    async def _collect(self) -> None:
        """What ended in an error is told and stays in the inbox, for another shift; the rest of this one goes on."""
        for name in [name for name, task in self._under_way.items() if task.done()]:
            error = self._under_way.pop(name).exception()
            if isinstance(error, Exception):
                LOG.error("%s failed", name, exc_info=error)
                self._failed[name] = error
                if isinstance(error, Halt):
                    raise error
                await self.trading.failed(self.user_id, name, error)

    async def _match(self) -> None:
        minute = _minute_of(self.trading.clock.now())
        if self._matched is None or minute > self._matched:
            self._matched = minute
            await self.matching(minute)

    # ------------------------------------------------------------ messages

    async def _fire(self, message: Message) -> None:
        await self.trading.clock.sleep_until(message.at)
        with on_errand(message.body.get(TICK, ""), message.at):
            await self._do(message)
        await self.inbox.done(message)
        self.done += 1

    async def _do(self, message: Message) -> None:
        trading = self.trading
        match message.kind:
            case "morning":
                await take_over(trading)
            case "evening":
                await self._end_day()
            case "look":
                await look(trading)
            case "check":
                await self._check(message.at)
            case "compare":
                await self._check(message.at)
                look_back = self.cadence[EventType.CHECK_DUPLICATE_ORDERS].horizon
                await reconcile_all(trading, self._event(EventType.CHECK_DUPLICATE_ORDERS, message.at), look_back)
            case kind if kind in {ENTER_RUN, EXIT_RUN}:
                await self._run(message)
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
            await enter(trading, key, message.at)
        else:
            await check_run(trading, key, await trading.market.snapshot(message.at))

    async def _check(self, at: datetime) -> None:
        """The stop check of an instant, once; one that comes late looks at the prices there are now."""
        async with self._checking:
            now = _minute_of(self.trading.clock.now())
            at = max(at, now)
            if self._checked is None or at > self._checked:
                await check_stops(self.trading, self._event(EventType.CHECK_STOP_LOSS, at))
                self._checked = at

    def _event(self, type_: EventType, at: datetime) -> Event:
        session = self.trading.session
        assert session is not None
        return Event(type=type_, at=at, phase=session.phase(at), priority=Priority.HIGH)

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
            except Unavailable as error:
                LOG.warning("the lease of %s is not renewed: %s", self.user_id, error)
                if self.lease.is_held(self.wall.now()):
                    continue
                renewed = None
            if renewed is None:
                raise Halt(f"the lease of {self.user_id} is lost: somebody else works for this user")
            self.lease = renewed

    async def _listen(self, account: AccountKey, broker: Broker) -> None:
        trading = self.trading
        async for report in broker.updates():
            before = trading.desk.orders.get(report.tag)
            await trading.desk.report(account[0], report)
            noticed(trading, account, report, before)


class _WhileHeld:
    """Approval of orders for as long as the lease is held."""

    def __init__(self, shift: Shift, gate: Gate) -> None:
        self._shift = shift
        self._gate = gate

    async def __call__(self, intent: Intent) -> Approved:
        """Raises Unavailable: the lease has run out, and somebody else may be at work; nothing is sent."""
        if not self._shift.lease.is_held(self._shift.wall.now()):
            raise Unavailable(f"the lease of {self._shift.user_id} has run out")
        return await self._gate(intent)


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
