"""The process that does everything: API, timer, engine and paper exchange on one loop."""

import asyncio
import contextlib
import gc
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.clock import LedClock, RealClock, run_real
from option_baskets.adapters.identity.terms import Terms
from option_baskets.api.app import make_app
from option_baskets.api.metrics import Metrics
from option_baskets.api.platform import Platform
from option_baskets.cli.data_folder import alone
from option_baskets.cli.http_server import Server, listening
from option_baskets.cli.markets import SIMULATED, market_of, sessions_by_day, sessions_from
from option_baskets.cli.running import BLIND_AFTER, LOOK_FOR_KILLS, Speed
from option_baskets.cli.trading_days import TradingDays
from option_baskets.domain.cadence import Cadence
from option_baskets.domain.errors import Invalid, Unavailable
from option_baskets.domain.facts import Facts
from option_baskets.domain.session import IST, Session
from option_baskets.engine.connections import BrokerConnections
from option_baskets.engine.live_hub import Hub
from option_baskets.engine.rates import Rate
from option_baskets.engine.trading import Pace
from option_baskets.entrance import Entrance
from option_baskets.wiring import Embedded, last_tick, newest_session, spare_the_collector

if TYPE_CHECKING:
    from fastapi import FastAPI

    from option_baskets.adapters.feeds.recorded import RecordedFeed

LOG = logging.getLogger(__name__)

PURGED_EVERY = timedelta(hours=1)
"""How often expired logins, attempts and kept answers are deleted; they are hidden anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where trading begins."""

    session: Session
    at: datetime
    """The market's clock then: where a process before this one was, or the session's open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is under way once requests are answered."""

    machine: Embedded
    entrance: Entrance
    days: TradingDays
    platform: Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What ``baskets serve`` does, with everything read and checked."""

    data: Path
    facts: Facts
    speed: Speed
    seed: int = 7
    recorded: "RecordedFeed | None" = None
    first: date | None = None
    """The first day, where nothing was traded in the data folder yet. None: today, or the first recorded day."""
    baskets: tuple[BasketFile, ...] = ()
    """Plans of the local user, as ``baskets run`` takes them; none: what is stored stays as it is."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0: any that is free."""
    proxy: str | None = None
    """Whose X-Forwarded-For is believed."""
    keys: Path | None = None
    wall: RealClock = field(default_factory=RealClock)
    terms: Terms = field(default_factory=Terms)
    cadence: Cadence | None = None
    second_path: Path | None = None
    kills_every: timedelta | None = None
    """How often kill switches are looked at, in market time. None: twice a second of real time."""
    threaded: bool = True
    durable: bool = True

    def run(self, announce: Callable[[str, datetime], None]) -> None:
        """Serve until SIGINT or SIGTERM. ``announce`` is given URL and market time once requests are answered.

        Raises:
            Unavailable: another process works in the data folder, or listens on the port.
            Invalid: the market has no session to trade, or the host is none of this machine.
            Halt: the engine had stopped before the process was asked to.
        """
        with listening(self.host, self.port) as (listener, url), alone(self.data):
            place = asyncio.run(self.place())
            clock = self.clock(place)
            run_real(self.serve(listener, place, clock, lambda _: announce(url, clock.now())))

    async def place(self) -> Place:
        """Where trading goes on in this data folder, or begins.

        Raises:
            Invalid: nothing can be traded, or the books are ahead of the market.
        """
        newest = await newest_session(self.data)
        if self.speed.is_real:
            return self._real_place(newest)
        days = self.recorded.sessions() if self.recorded is not None else ()
        if self.recorded is not None and not days:
            raise Invalid("nothing is recorded in that folder; baskets import or baskets simulate fills it")
        first = self.first or (days[0] if days else self.wall.now().astimezone(IST).date())
        first = max(first, newest or first)
        session = next(sessions_from(self.facts, self.recorded, first), None)
        if session is None:
            if newest is not None and first == newest:
                raise Invalid(f"the books in {self.data} are at {newest}, and no day after it can be traded here")
            raise Invalid(f"no day from {first} on can be traded", where="--date")
        return Place(session=session, at=await last_tick(self.data, session.date) or session.open)

    def _real_place(self, newest: date | None) -> Place:
        now = self.wall.now().astimezone(IST)
        if self.recorded is not None:
            raise Invalid("recorded days are over: give how many times faster than real time, e.g. 1", where="--speed")
        if newest is not None and newest > now.date():
            raise Invalid(
                f"the books in {self.data} have gone on to {newest}, at another speed; give another --data folder",
                where="--speed",
            )
        first = max(self.first or now.date(), now.date())
        session = next((each for each in sessions_from(self.facts, None, first) if each.close > now), None)
        if session is None:
            raise Invalid(f"no day from {first} on can be traded", where="--date")
        return Place(session=session, at=now)

    def clock(self, place: Place) -> RealClock:
        """The market's clock. One that runs at a speed stands still until requests are answered."""
        if self.speed.is_real:
            return RealClock(zone=IST)
        clock = LedClock(place.at.astimezone(IST), self.speed.factor)
        clock.hold()
        return clock

    async def serve(
        self,
        listener: socket.socket,
        place: Place,
        clock: RealClock,
        ready: "Callable[[Served], None]",
        *,
        stop: asyncio.Event | None = None,
    ) -> None:
        """As ``run``, on the running loop, until ``stop`` is set or a signal comes; ``ready`` once it answers."""
        stop = stop or asyncio.Event()
        async with self._machine(clock) as machine, self._entrance() as entrance:
            days = self._days(machine, clock, place)
            hub = Hub(
                books=machine.books,
                facts=self.facts,
                feed=machine.feed,
                market=clock,
                wall=entrance.wall,
                session=lambda: days.session,
                epoch=secrets.token_hex(4),
            )
            platform = self._platform(machine, entrance, days, hub)
            app = make_app(platform)

            def answers() -> None:
                if self.threaded:
                    spare_the_collector()
                    gc.enable()
                if isinstance(clock, LedClock):
                    clock.go_on()
                ready(Served(machine=machine, entrance=entrance, days=days, platform=platform))

            server = Server(app, answers, proxy=self.proxy)
            async with background(days.run(), hub.run(), _purge(entrance), _routes_made(app)):
                await server.until(stop, listener)
        if days.failure is not None:
            raise days.failure

    def _platform(self, machine: Embedded, entrance: Entrance, days: TradingDays, hub: Hub) -> Platform:
        """What routes are given, and whoever follows what is committed is told of it from here on."""
        metrics = Metrics(days.condition, streamed=hub.counts)
        metrics.started(version("option-baskets"))
        days.woke = metrics.ticked
        for follower in (hub.committed, metrics.committed):
            machine.changes.follow(follower)
        return Platform(
            books=machine.books,
            queue=machine.queue,
            feed=machine.feed,
            cadence=machine.cadence,
            facts=self.facts,
            market=machine.clock,
            wall=entrance.wall,
            private=entrance.table,
            identity=entrance.sign_in,
            sign_in=entrance.sign_in,
            vault=entrance.vault,
            session=lambda: days.session,
            accounts=BrokerConnections(machine.broker),
            cursor_key=entrance.cursor_key,
            live=hub,
            condition=days.condition,
            metrics=metrics,
        )

    @contextlib.asynccontextmanager
    async def _machine(self, clock: RealClock) -> AsyncIterator[Embedded]:
        at_once = LOOK_FOR_KILLS * max(1.0, self.speed.factor)
        machine = Embedded(
            data=self.data,
            market=market_of(
                self.facts,
                self.recorded,
                seed=self.seed,
                underlyings=SIMULATED,
                session_at=sessions_by_day(self.facts, self.recorded),
            ),
            clock=clock,
            facts=self.facts,
            rate=Rate(),
            pace=Pace(blind_after=None if self.recorded else BLIND_AFTER),
            cadence=self.cadence,
            threaded=self.threaded,
            durable=self.durable,
            second_path=self.second_path,
            kills_every=self.kills_every or at_once,
        )
        try:
            if self.baskets:
                from option_baskets.cli.killing import actor

                paused = await machine.adopt(self.baskets, actor=actor())
                if paused:
                    LOG.warning("not in the files and therefore paused: %s", ", ".join(paused))
            yield machine
        finally:
            await asyncio.shield(machine.close())

    @contextlib.asynccontextmanager
    async def _entrance(self) -> AsyncIterator[Entrance]:
        entrance = await Entrance.open(
            self.data,
            keys=self.keys,
            wall=self.wall,
            terms=self.terms,
            threaded=self.threaded,
            durable=self.durable,
        )
        try:
            yield entrance
        finally:
            await asyncio.shield(entrance.close())

    def _days(self, machine: Embedded, clock: RealClock, place: Place) -> TradingDays:
        sessions = sessions_from(self.facts, self.recorded, place.session.date)
        if self.speed.is_real or not isinstance(clock, LedClock):
            return TradingDays(
                machine, (each for each in sessions if each.close > clock.now()), reach=clock.sleep_until
            )

        async def led(at: datetime) -> None:
            clock.lead(at)

        return TradingDays(machine, sessions, reach=led, over=clock.hold)


@contextlib.asynccontextmanager
async def background(*work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Do the work beside the body; what of it is not done when the body is over is cancelled.

    What fails is told when it does: the server goes on without it, and nobody would know.
    """
    tasks = [asyncio.create_task(_told(each)) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        name = getattr(work, "__qualname__", "work")
        LOG.critical("%s has ended beside the server; restart it", name, exc_info=True)


async def _routes_made(app: "FastAPI") -> None:
    """FastAPI makes a route when it is first looked at: one after another now, and not all for the first request."""
    from fastapi.routing import iter_route_contexts

    for _ in iter_route_contexts(app.routes):
        await asyncio.sleep(0)


async def _purge(entrance: Entrance) -> None:
    """Delete what has expired of logins and kept answers, now and then."""
    while True:
        try:
            await entrance.table.purge()
        except Unavailable as error:
            LOG.warning("what has expired stays for now: %s", error)
        await entrance.wall.pause(PURGED_EVERY)
