"""What every handler of the trading day shares."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.contract import Contract
from option_baskets.domain.errors import Halt
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.price_band import Band, price_band
from option_baskets.domain.risk import Far
from option_baskets.domain.session import IST, Session, Window, at, contract_close
from option_baskets.engine.desk import AccountKey, Desk
from option_baskets.engine.guard import Guard
from option_baskets.engine.rates import Rate
from option_baskets.engine.runs import OpenRuns, RunKey
from option_baskets.engine.standing import Standing
from option_baskets.ports import Broker, Clock, MarketData, Queue
from option_baskets.store.books import Books
from option_baskets.store.records import Alert, Level

if TYPE_CHECKING:
    from option_baskets.engine.screen import Screen
    from option_baskets.engine.valuation import Valuation

LOG = logging.getLogger(__name__)


Connect = Callable[[str, BrokerAccount], Broker]
"""The line to a user's account; makes no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast unfilled orders are chased, on the market's clock."""

    chase_every: timedelta = timedelta(seconds=3)
    chases_an_order: int = 20
    """Modifications before an order is cancelled and what is left of it ordered anew; Kite allows 25."""
    critical_after: timedelta = timedelta(seconds=10)
    blind_after: timedelta | None = None
    """A sold leg is traded blind once its feed was silent so long; None: the silence of this market means nothing."""


@dataclass(slots=True, kw_only=True)
class Trading:
    """One process's trading: its books, its market, its brokers. Handlers take it and keep nothing of their own."""

    books: Books
    market: MarketData
    clock: Clock
    queue: Queue
    runs: OpenRuns
    desk: Desk
    facts: Facts
    accounts: dict[AccountKey, BrokerAccount]
    """Those that are connected, as they are stored."""
    connect: Connect
    rate_of: Callable[[BrokerAccount], Rate | None] = lambda _: None
    """How fast an account may be sent to; None: as fast as you like."""
    connected: Callable[[AccountKey], None] = lambda _: None
    """Told of every account that is connected while a day goes on."""
    pace: Pace = field(default_factory=Pace)
    far: Far = field(default_factory=Far)
    """How far from the last price the limit of an entry may lie."""
    claims_at_once: int = 1
    """Claims of due strategies under way at a time; more than one where each waits for a store that is far away."""
    units_fixed: date | None = None
    """The day whose units by policies this process has seen fixed."""
    session: Session | None = None
    """The session under way."""
    guard: Guard = field(default_factory=Guard)
    """What limits have ended today."""
    standings: dict[AccountKey, Standing] = field(default_factory=dict)
    """How accounts stand beside our books; those that were read."""
    told_at: dict[tuple[AccountKey, str, str, str], datetime] = field(default_factory=dict)
    """(account, code, run, subject) of alerts of the day by processes before this one, and when the last one was."""
    blind: set[tuple[RunKey, tuple[str, str, int]]] = field(default_factory=set)
    """Sold legs without prices, as the last stop check found them."""
    alerted: set[tuple[AccountKey, str]] = field(default_factory=set)
    """What was already said: of an order that is not ours, of a charge that is not known."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _exits: dict[tuple[RunKey, str], asyncio.Lock] = field(default_factory=dict)
    _entries: dict[tuple[RunKey, str], asyncio.Lock] = field(default_factory=dict)
    _screen: "Screen | None" = None
    _valuation: "Valuation | None" = None

    def close_of_day(self) -> datetime:
        """The instant at which the session under way ends."""
        assert self.session is not None
        return self.session.close

    def last_trade(self, contract: Contract) -> datetime:
        """When the contract stops trading for good; of one that expires on a later day, some instant after today."""
        session = self.session
        assert session is not None
        if contract.expiry == session.date:
            return contract_close(self.facts, session, contract.expiry)
        return at(contract.expiry, session.close.timetz().replace(tzinfo=None))

    def halt_at(self, instant: datetime) -> Window | None:
        """The halt of the session under way that an instant lies in: nothing is entered, and exits are held."""
        return self.session.halt_at(instant) if self.session else None

    @property
    def screen(self) -> "Screen":
        """Which of the runs a stop check has to step.

        What computes is imported where it is asked for: most functions of a deployment compute nothing.
        """
        if self._screen is None:
            from option_baskets.engine.screen import Screen

            self._screen = Screen()
        return self._screen

    def valued(self, snapshot: Snapshot) -> "Valuation":
        """The snapshot in numbers, computed where they are asked for; once for runs that share a snapshot."""
        from option_baskets.engine.valuation import Valuation

        if self._valuation is None or self._valuation.snapshot is not snapshot:
            self._valuation = Valuation(facts=self.facts, snapshot=snapshot, session=self.session)
        return self._valuation

    def band(self, contract: Contract, quote: Quote) -> Band | None:
        """The price protection around where the contract trades."""
        return price_band(self.facts, contract, quote.as_of.astimezone(IST).date(), quote.last)

    def exit_lock(self, key: RunKey, account: str) -> asyncio.Lock:
        """Held by whoever closes an account's part of a run."""
        return self._exits.setdefault((key, account), asyncio.Lock())

    def entry_lock(self, key: RunKey, account: str) -> asyncio.Lock:
        """Held by whoever enters on an account's part of a run; taken before the exit lock where both are."""
        return self._entries.setdefault((key, account), asyncio.Lock())

    async def alert(
        self,
        user_id: str,
        code: str,
        message: str,
        *,
        level: Level = Level.WARNING,
        strategy_id: str = "",
        run_id: str = "",
        account: str = "",
        subject: str = "",
    ) -> None:
        """Record something a person should see, and log it."""
        alert = Alert(
            user_id=user_id,
            at=self.clock.now(),
            code=code,
            message=message,
            level=level,
            strategy_id=strategy_id,
            run_id=run_id,
            account=account,
            subject=subject,
        )
        LOG.log(logging.CRITICAL if level is Level.CRITICAL else logging.WARNING, "%s", message)
        await self.books.commit(self.books.put_alert(alert))

    def start(self, work: Coroutine[Any, Any, None], name: str, *, user_id: str = "") -> asyncio.Task[None]:
        """Run work beside the caller; ``settled`` waits for it. What it raises is alerted; Halt ends the day."""
        task = asyncio.create_task(self._watched(work, name, user_id), name=name)
        self._tasks.add(task)
        return task

    async def _watched(self, work: Coroutine[Any, Any, None], name: str, user_id: str) -> None:
        try:
            await work
        except Halt as error:
            self.books.health.halt(str(error))
            raise
        except Exception as error:  # whatever it is, the rest of the day goes on
            LOG.exception("%s failed", name)
            if user_id:
                await self.failed(user_id, name, error)

    async def failed(self, user_id: str, name: str, error: Exception, **about: str) -> None:
        """Raise the alarm about a piece of work that ended in an error it does not know."""
        message = f"{name} failed: {type(error).__name__}: {error}"
        await self.alert(user_id, "internal_error", message, level=Level.CRITICAL, subject=name, **about)

    @property
    def is_busy(self) -> bool:
        """Work that was started is under way, or the fate of an order is being read."""
        return self.desk.is_busy or any(not task.done() for task in self._tasks)

    async def abandon(self) -> None:
        """End all work that was started where it is, for somebody else to take up; returns when none of it is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.desk.abandon_all()

    async def settled(self) -> None:
        """Return when no work that was started is under way.

        Raises:
            Halt: some of it did.
        """
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            self._tasks -= done
            for task in done:
                task.result()
