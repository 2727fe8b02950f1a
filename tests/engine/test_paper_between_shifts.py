"""The paper exchange where it is opened only now and again: what expired meanwhile has settled, once."""

from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_book import Event
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.facts import load
from option_baskets.adapters.table_book import TableBook
from option_baskets.domain.session import Session, at, session_on
from tests.engine.small_market import HandClock, SmallMarket, chain, option

FACTS = load()
EXPIRY = date(2026, 12, 1)
CALL = option("NIFTY", EXPIRY, 26000, "CE")
LISTED = chain("NIFTY", EXPIRY, [26000], lot_size=65)
USER = "ann"


def session(day: date) -> Session:
    found = session_on(FACTS, day)
    assert found is not None
    return found


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqliteTable]:
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: at(EXPIRY, time(9)), threaded=False)
    book = await TableBook.open(table, USER, EXPIRY)
    bought = Event(user=USER, account="one", contract=CALL, kind="redated", units=65, at=at(EXPIRY, time(9)))
    await book.add_events([bought])
    yield table
    await table.close()


async def held_after_a_shift(table: SqliteTable, now: datetime, settled: str = "26040") -> list[int]:
    """Units of the account's contracts, as a shift at that instant leaves them and the next one finds them."""
    market = SmallMarket(LISTED)
    if settled:
        market.settlements["NIFTY", EXPIRY] = Decimal(settled)
    day = session(now.date())
    book = await TableBook.open(table, USER, day.date)
    exchange = PaperExchange(book, market, HandClock(now), fills=QuotedFills(), is_trading=lambda _, __: True)
    await exchange.catch_up(day, now, lambda contract: contract)
    await exchange.close()
    return [units for *_, units in (await TableBook.open(table, USER, day.date)).net()]


async def test_what_expires_today_is_held_until_the_close(table: SqliteTable) -> None:
    assert await held_after_a_shift(table, session(EXPIRY).close - timedelta(minutes=1)) == [65]
    assert await held_after_a_shift(table, session(EXPIRY).close) == []


async def test_what_expired_while_nobody_came_has_settled_when_somebody_does(table: SqliteTable) -> None:
    next_day = EXPIRY + timedelta(days=1)
    assert await held_after_a_shift(table, session(next_day).open) == []
    assert await held_after_a_shift(table, session(next_day).open) == []


async def test_what_has_no_settlement_price_yet_stays(table: SqliteTable) -> None:
    assert await held_after_a_shift(table, session(EXPIRY).close, settled="") == [65]
