"""Which adapter is used where on AWS: tables, queues, bus and clock of one process, and the shifts it works.

``wiring.py`` makes the machine of one process that does everything; here every function makes what it needs, from the
variables the deployment gives it. What not every function needs is imported where it is made: a function that is called
for the first time in a while begins with its imports.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from aiobotocore.session import AioSession

from option_baskets.adapters.aws.bus import EventBridgeBus
from option_baskets.adapters.aws.dynamo import session
from option_baskets.adapters.aws.item_clock import ItemClock
from option_baskets.adapters.aws.kms_vault import KmsVault
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.aws.wake import SqsWake
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.facts import load
from option_baskets.adapters.inbox_queue import InboxQueue
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.errors import Invalid
from option_baskets.domain.events import Event
from option_baskets.domain.instrument import redated
from option_baskets.domain.market import Snapshot
from option_baskets.domain.price_band import price_band
from option_baskets.domain.session import IST, Session, contract_close, session_on
from option_baskets.engine.messages import COMPARE, ENTER_RUN
from option_baskets.ports import Broker, Clock, MarketData, Message
from option_baskets.store.books import Books
from option_baskets.store.leases import Lease, Leases
from option_baskets.store.one_user import BooksOfOne
from option_baskets.store.shards import fix_shards, require_shards

if TYPE_CHECKING:
    from option_baskets.adapters.aws.cognito import Cognito
    from option_baskets.engine.shift import Shift
    from option_baskets.engine.trading import Trading
    from option_baskets.engine.turn import Turns

UNDERLYINGS = ("BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTY", "SENSEX")
CLAIMS_AT_ONCE = 32
"""Each waits some tens of milliseconds for the table."""
BLIND_AFTER = timedelta(seconds=90)
"""A feed silent so long on a sold contract leaves its stops blind; chains are written every minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the deployment says, in variables of the environment that begin with ``OPTION_BASKETS_``."""

    prefix: str = ""
    """Of the tables' names."""
    shards: int = 16
    entries_queue: str = ""
    exits_queue: str = ""
    bus: str = ""
    lead: timedelta = timedelta(seconds=5)
    """Of the timer, before a boundary."""
    market: str = "simulated:7"
    """``simulated:SEED``, or ``stored``: chains that somebody else writes into the table."""
    is_led: bool = False
    """The market's time is an item that somebody writes, for rehearsals."""
    keys: tuple[str, ...] = ()
    """ARNs of the KMS keys of secrets, the newest first."""
    region: str = ""
    user_pool: str = ""
    client: str = ""
    """Of the user pool, whose tokens are taken."""
    socket: str = ""
    """Where WebSockets are written to."""
    endpoint: str = ""
    """Of an emulator of AWS."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Raises Invalid: a variable has a value that means nothing."""

        def given(name: str, otherwise: str) -> str:
            return environment.get(f"OPTION_BASKETS_{name}", otherwise)

        try:
            shards, lead = int(given("SHARDS", "16")), float(given("TIMER_LEAD", "5"))
        except ValueError as error:
            raise Invalid(f"{error}; OPTION_BASKETS_SHARDS and OPTION_BASKETS_TIMER_LEAD are numbers") from error
        return cls(
            prefix=given("TABLE_PREFIX", ""),
            shards=shards,
            entries_queue=given("ENTRIES_QUEUE", ""),
            exits_queue=given("EXITS_QUEUE", ""),
            bus=given("BUS", ""),
            lead=timedelta(seconds=lead),
            market=given("MARKET", "simulated:7"),
            is_led=given("TIME", "real") == "led",
            keys=tuple(filter(None, given("KEY", "").split(","))),
            region=environment.get("AWS_REGION", environment.get("AWS_DEFAULT_REGION", "")),
            user_pool=given("USER_POOL", ""),
            client=given("CLIENT", ""),
            socket=given("SOCKET", ""),
            endpoint=environment.get("AWS_ENDPOINT_URL", ""),
        )


class Cloud:
    """One process's part of the platform, on one event loop. ``open`` connects, which it does once in a process."""

    def __init__(
        self, settings: Settings, table: DynamoTable, wall: RealClock, clock: Clock, within: AioSession
    ) -> None:
        self.settings = settings
        self.table = table
        self.private = DynamoTable(table.dynamo, now=wall.now, prefix=settings.prefix)
        """The tables on the wall clock: what is kept of requests and of connections."""
        self.wall = wall
        self.clock = clock
        self.facts = load()
        self.cadence = load_cadence()
        self.books = Books(table, shards=settings.shards)
        self.leases = Leases(table, wall)
        self.queue = InboxQueue(table, self.clock, shards=settings.shards, wake=self._wake)
        self.published: Callable[[Sequence[Event]], None] = lambda events: None
        """Told of events that the bus has taken."""
        self.over: Callable[[Trading], None] = lambda trading: None
        """Told of every shift that is over."""
        self._identity: Cognito | None = None
        self._within = within
        self._services: dict[str, Service] = {}
        self._feed: MarketData | None = None

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        wall = RealClock(zone=IST)
        within = session()
        table = await DynamoTable.open(now=wall.now, prefix=settings.prefix, within=within)
        try:
            await require_shards(table, settings.shards)
            if not settings.is_led:
                return cls(settings, table, wall, wall, within)
            clock = ItemClock(table)
            await clock.refresh()
        except BaseException:
            await table.close()
            raise
        # What has expired, has by the time that is led: a rehearsal may be of any day.
        led = DynamoTable(table.dynamo, now=clock.now, prefix=settings.prefix)
        return cls(settings, led, wall, clock, within)

    async def close(self) -> None:
        for service in self._services.values():
            await service.close()
        if self._identity is not None:
            await self._identity.close()
        await self.table.close()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """While a request is worked on: where time is led, it is followed."""
        if not isinstance(self.clock, ItemClock):
            yield
            return
        await self.clock.refresh()
        following = asyncio.create_task(self.clock.follow(), name="time")
        try:
            yield
        finally:
            following.cancel()

    # ------------------------------------------------------------ parts

    @property
    def feed(self) -> MarketData:
        """Imported where it is used: the simulated market needs half a second to begin."""
        if self._feed is None:
            kind, _, seed = self.settings.market.partition(":")
            if kind == "stored":
                from option_baskets.adapters.feeds.stored import StoredFeed

                self._feed = StoredFeed(self.table, UNDERLYINGS)
            elif kind == "simulated" and seed.isdecimal():
                from option_baskets.adapters.feeds.simulated import SimulatedFeed

                self._feed = SimulatedFeed(self.facts, seed=int(seed), underlyings=UNDERLYINGS)
            else:
                raise Invalid(f"OPTION_BASKETS_MARKET is {self.settings.market!r}; write stored, or simulated:7")
        return self._feed

    def late_feed(self) -> MarketData:
        """The feed for whoever may never ask it."""
        return _LateFeed(self)

    async def service(self, name: str, endpoint: str | None = None) -> Service:
        if name not in self._services:
            self._services[name] = await Service.open(name, endpoint=endpoint, within=self._within)
        return self._services[name]

    async def vault(self) -> KmsVault:
        return KmsVault(await self.service("kms"), self.settings.keys)

    async def identity(self) -> "Cognito":
        """Imported where it is used: what reads tokens takes a tenth of a second to begin."""
        if self._identity is None:
            from option_baskets.adapters.aws.cognito import Cognito

            self._identity = await Cognito.open(
                region=self.settings.region,
                pool=self.settings.user_pool,
                client=self.settings.client,
                wall=self.wall,
                endpoint=self.settings.endpoint,
            )
        return self._identity

    async def gateway(self) -> Service:
        """What holds the connections of the live stream."""
        return await self.service("apigatewaymanagementapi", self.settings.socket)

    async def _wake(self, messages: Sequence[Message]) -> None:
        wake = SqsWake(
            await self.service("sqs"),
            self.clock,
            urgent=self.settings.exits_queue,
            usual=self.settings.entries_queue,
            usual_kinds={ENTER_RUN, COMPARE},
            delays=not self.settings.is_led,
        )
        await wake(messages)

    async def bus(self) -> EventBridgeBus:
        bus = EventBridgeBus(await self.service("events"), self.settings.bus, shards=self.settings.shards)
        bus.published = self.published
        return bus

    def session_on(self, day: date) -> Session | None:
        return session_on(self.facts, day)

    # ------------------------------------------------------------ work

    def trading(self, session: Session, *, shard: int | None = None) -> "Trading":
        """To claim, to read and to queue, of everybody or of a shard's users: it trades on no account."""
        from option_baskets.engine.assembly import assembled

        trading = assembled(
            books=self.books if shard is None else self.books.of_shard(shard),
            feed=self.feed,
            clock=self.clock,
            queue=self.queue,
            facts=self.facts,
            accounts={},
        )
        trading.session = session
        trading.claims_at_once = CLAIMS_AT_ONCE
        return trading

    async def turns(self, session: Session) -> "Turns":
        await fix_shards(self.table, self.settings.shards)
        from option_baskets.engine.dispatch import begin_session, end_session
        from option_baskets.engine.emitter import Emitter
        from option_baskets.engine.turn import Turns

        trading = self.trading(session)
        return Turns(
            session=session,
            cadence=self.cadence,
            clock=self.clock,
            emitter=Emitter(await self.bus(), self.books, self.cadence, session),
            morning=partial(begin_session, trading),
            evening=partial(end_session, trading),
        )

    async def woken(self, message: Message) -> bool:
        """Work off a wake-up; whether it is done, or is to be brought again."""
        from option_baskets.engine.shift import woken

        holder = f"{os.environ.get('AWS_LAMBDA_LOG_STREAM_NAME', 'process')}/{uuid4().hex[:12]}"
        return await woken(
            message,
            holder=holder,
            leases=self.leases,
            inbox=self.queue.inbox,
            wall=self.wall,
            begin=self._begin,
        )

    @contextlib.asynccontextmanager
    async def _begin(self, lease: Lease) -> "AsyncIterator[Shift]":
        from option_baskets.adapters.brokers.fills import QuotedFills
        from option_baskets.adapters.brokers.paper import PaperExchange
        from option_baskets.adapters.table_book import TableBook
        from option_baskets.engine.assembly import assembled
        from option_baskets.engine.rates import Rate
        from option_baskets.engine.shift import Shift
        from option_baskets.engine.trading import Pace

        now = self.clock.now().astimezone(IST)
        session = self.session_on(now.date())
        if session is None:
            raise Invalid(f"there is no session on {now:%d-%b-%Y}: nothing is traded")
        books = BooksOfOne(self.table, lease.user_id, shards=self.settings.shards)
        accounts, book = await asyncio.gather(
            books.all_accounts(), TableBook.open(self.table, lease.user_id, session.date)
        )
        exchange = PaperExchange(
            book,
            self.feed,
            self.clock,
            fills=QuotedFills(),
            is_trading=lambda contract, at: (
                session.is_open(at) and at < contract_close(self.facts, session, contract.expiry)
            ),
            protection=lru_cache(maxsize=10_000)(partial(price_band, self.facts)),
        )

        def connect(user_id: str, account: BrokerAccount) -> Broker:
            return exchange.broker(account.id, user=user_id)

        trading = assembled(
            books=books,
            feed=self.feed,
            clock=self.clock,
            queue=self.queue,
            facts=self.facts,
            accounts={(user, account.id): account for user, account in accounts},
            connect=connect,
            rate_of=lambda account: Rate().at(account.charges_as),
            pace=Pace(blind_after=BLIND_AFTER),
        )
        trading.session = session
        try:
            await exchange.catch_up(session, now, lambda contract: redated(self.facts, contract, session.date))
            yield Shift(
                trading=trading,
                user_id=lease.user_id,
                inbox=self.queue.inbox,
                cadence=self.cadence,
                wall=self.wall,
                lease=lease,
                leases=self.leases,
                matching=exchange.on_market,
            )
        finally:
            self.over(trading)
            await exchange.close()


class _LateFeed:
    """Begins with the first question."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def snapshot(self, at: datetime) -> Snapshot:
        return await self._cloud.feed.snapshot(at)

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        return await self._cloud.feed.settlement(underlying, expiry)


def ahead(at: datetime, lead: timedelta) -> str:
    """The instant a lead before another, as Step Functions reads one."""
    return f"{(at - lead).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
