"""The engine over many days beside an API: one machine, session after session, until there is none or it must stop."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from option_baskets.api.condition import Condition, EngineState
from option_baskets.domain.errors import Halt, OptionBasketsError, Unavailable
from option_baskets.domain.events import Tick
from option_baskets.domain.session import Session
from option_baskets.engine.day import TradingDay, Woke
from option_baskets.wiring import Embedded, trade

LOG = logging.getLogger(__name__)


class TradingDays:
    """Trades the sessions on the machine.

    Args:
        reach: returns when the market's clock is at an instant; a session's start is reached by it.
        over: called once no session is left.
    """

    def __init__(
        self,
        machine: Embedded,
        sessions: Iterable[Session],
        *,
        reach: Callable[[datetime], Awaitable[None]],
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self._machine = machine
        self._sessions = sessions
        self._reach = reach
        self._over = over
        self.woke: Woke = lambda _, __: None
        """Told of every tick."""
        self._state = EngineState.STARTING
        self._cause = ""
        self._day: TradingDay | None = None
        self._following: Session | None = None
        self._last_tick: datetime | None = None
        self.session: Session | None = None
        """The session under way."""
        self.failure: Halt | None = None
        """Why nothing is traded any more though there are sessions left."""

    async def run(self) -> None:
        """Return once every session is over, or nothing may go on: then ``failure`` says why. Cancelled, it leaves
        books and orders as they are."""
        try:
            await self._all()
        except Exception as error:  # whatever it is, nothing is traded any more and a person has to know
            self.failure = error if isinstance(error, Halt) else Halt(f"{type(error).__name__}: {error}".strip(": "))
            self._cause = str(self.failure)
            self._state, self.session = EngineState.HALTED, None
            foreseen = isinstance(error, OptionBasketsError)
            LOG.critical("the engine has stopped: %s", self._cause, exc_info=None if foreseen else error)

    async def _all(self) -> None:
        self._day = day = await self._machine.trading_day()
        day.woke = self._ticked
        for session in self._sessions:
            self._following = session
            if self._machine.clock.now() < session.starts:
                self._state = EngineState.BETWEEN
                await self._reach(session.starts)
            self.session, self._following, self._state = session, None, EngineState.TRADING
            LOG.info("%s, %s to %s", f"{session.date:%A %d %B %Y}", f"{session.open:%H:%M}", f"{session.close:%H:%M}")
            await trade(self._machine, day, session)
            self.session = None
            self._state = EngineState.BETWEEN
            await self._tidy()
        self._state = EngineState.OVER
        self._over()

    async def _tidy(self) -> None:
        """Delete what has expired; it is hidden anyway, so a store that cannot be written now loses nothing."""
        try:
            await self._machine.table.purge()
        except Unavailable as error:
            LOG.warning("what has expired stays for now: %s", error)

    def condition(self) -> Condition:
        """One look at it."""
        orders = self._day.trading.desk.orders.values() if self._day is not None else ()
        health = self._machine.health
        return Condition(
            engine=self._state,
            cause=self._cause,
            session=self.session.date if self.session else None,
            following=self._following.date if self._following else None,
            unwritable=health.cause,
            last_tick=self._last_tick,
            orders=Counter(order.state.value for order in orders),
            queued=self._machine.queue.waiting,
        )

    def _ticked(self, tick: Tick, now: datetime) -> None:
        self._last_tick = tick.at
        self.woke(tick, now)
