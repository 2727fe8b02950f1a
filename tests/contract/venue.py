"""Orders, and a venue to send them to: one paper exchange on a market and a clock that the test moves."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from option_baskets.adapters.brokers.fills import FillModel, QuotedFills
from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_floor import Protection, no_protection
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.table_book import TableBook
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Intent
from option_baskets.domain.risk import Approved, approve
from option_baskets.domain.session import IST
from option_baskets.ports import Broker, Table
from tests.engine.small_market import HandClock, SmallMarket, chain, option

DAY = date(2026, 11, 23)
OPEN = datetime(2026, 11, 23, 9, 15, tzinfo=IST)
CLOSE = datetime(2026, 11, 23, 15, 40, tzinfo=IST)
LOT = 65
CALL = option("NIFTY", DAY, 26000, "CE")
PUT = option("NIFTY", DAY, 26000, "PE")
LISTINGS = chain("NIFTY", DAY, [25950, 26000, 26050], lot_size=LOT, freeze_quantity=LOT * 27)
DEEP = LOT * 1000


def order(
    *,
    contract: Contract = CALL,
    side: Side = Side.BUY,
    quantity: int = LOT,
    limit: str = "101.00",
    tag: str = "TAG",
    account: str = "one",
    level: str | None = None,
) -> Approved:
    return approve(
        Intent(
            id=tag,
            user_id="local",
            run_id="2026-11-23#straddle#0",
            strategy_id="straddle",
            leg="1",
            account=account,
            entry_number=0,
            action=Action.ENTER,
            attempt=0,
            slice_number=0,
            contract=contract,
            side=side,
            quantity=quantity,
            limit=Decimal(limit),
            decided_at=OPEN,
            level=None if level is None else Decimal(level),
        )
    )


@dataclass
class Venue:
    """A venue with a market the test moves. Prices start at 99.95 to 100.05 with ``DEEP`` units on both sides."""

    clock: HandClock
    market: SmallMarket
    connect: Callable[[], PaperExchange]
    exchange: PaperExchange

    def broker(self, account: str = "one") -> Broker:
        return self.exchange.broker(account)

    async def move(self, bid: str, ask: str, *, contract: Contract = CALL, quantity: int = DEEP) -> None:
        """The market moves a second later."""
        self.clock.move(timedelta(seconds=1))
        self.quote(contract, bid, ask, quantity)
        await self.exchange.on_market(self.clock.now())

    def quote(self, contract: Contract, bid: str, ask: str, quantity: int = DEEP) -> None:
        last = (Decimal(bid) + Decimal(ask)) / 2
        self.market.set(
            contract, self.clock.now(), last, bid=bid, ask=ask, bid_quantity=quantity, ask_quantity=quantity
        )

    async def restart(self) -> None:
        await self.exchange.close()
        self.exchange = self.connect()


@dataclass
class TableVenue(Venue):
    """The exchange's book is in a table, which outlasts it."""

    table: SqliteTable

    async def restart(self) -> None:
        await self.exchange.close()
        self.exchange = await exchange_on(self.table, self.market, self.clock)


async def exchange_on(table: Table, market: SmallMarket, clock: HandClock) -> PaperExchange:
    book = await TableBook.open(table, "local", clock.now().astimezone(IST).date())
    return PaperExchange(book, market, clock, fills=QuotedFills(), is_trading=is_trading)


async def open_table_venue(path: Path) -> TableVenue:
    """As ``open_venue``, over a table in a file at ``path``."""
    clock = HandClock(OPEN + timedelta(minutes=5))
    market = SmallMarket(LISTINGS)
    table = SqliteTable.open(path, now=clock.now)
    exchange = await exchange_on(table, market, clock)
    venue = TableVenue(clock, market, lambda: exchange, exchange, table)
    for contract in (CALL, PUT):
        venue.quote(contract, "99.95", "100.05")
    return venue


def is_trading(contract: Contract, at: datetime) -> bool:
    """09:15 to 15:40 on every day."""
    return OPEN.timetz() <= at.timetz() < CLOSE.timetz()


def open_venue(
    path: Path,
    *,
    fills: FillModel | None = None,
    market: SmallMarket | None = None,
    protection: Protection = no_protection,
) -> Venue:
    """A venue at 09:20 whose exchange keeps its book at ``path``."""
    clock = HandClock(OPEN + timedelta(minutes=5))
    market = market or SmallMarket(LISTINGS)

    def connect() -> PaperExchange:
        return PaperExchange.open(
            path, market, clock, fills=fills or QuotedFills(), is_trading=is_trading, protection=protection
        )

    venue = Venue(clock, market, connect, connect())
    for contract in (CALL, PUT):
        venue.quote(contract, "99.95", "100.05")
    return venue
