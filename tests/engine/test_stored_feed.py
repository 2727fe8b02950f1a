"""A market kept in the table shows what was written of it, and nothing that is later than asked for."""

from collections.abc import AsyncIterator
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.adapters.feeds.stored import StoredFeed, chain_of, put_chain, put_settlement
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.session import IST, at

DAY = date(2026, 11, 19)
AT = at(DAY, time(10))
MINUTE = timedelta(minutes=1)
NAMES = ("NIFTY", "SENSEX")


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SqliteTable]:
    clock = RealClock(start=AT, zone=IST)
    table = SqliteTable.open(tmp_path / "table.db", now=clock.now)
    yield table
    await table.close()


async def test_a_stored_chain_says_of_every_contract_what_its_market_said(table: SqliteTable) -> None:
    seen = await SimulatedFeed(load(), seed=3, underlyings=NAMES).snapshot(AT)
    await table.commit([put_chain(chain_of(seen, name)) for name in NAMES])
    shown = await StoredFeed(table, NAMES).snapshot(AT)
    assert shown.at == seen.at
    assert sorted(each.key for each in shown.contracts()) == sorted(each.key for each in seen.contracts())
    for contract in seen.contracts():
        assert (shown.quote(contract), shown.listing(contract)) == (seen.quote(contract), seen.listing(contract))
    for name in NAMES:
        assert shown.spot(name) == seen.spot(name)
        assert shown.expiries(name) == seen.expiries(name)
        assert shown.monthly_expiries(name) == seen.monthly_expiries(name)
        for expiry in seen.expiries(name):
            assert shown.strikes(name, expiry) == seen.strikes(name, expiry)
            assert shown.strike_step(name, expiry) == seen.strike_step(name, expiry)


async def test_prices_written_later_than_an_instant_are_not_known_at_it(table: SqliteTable) -> None:
    market = SimulatedFeed(load(), seed=3, underlyings=["NIFTY"])
    first, later = await market.snapshot(AT), await market.snapshot(AT + MINUTE)
    feed = StoredFeed(table, ["NIFTY"])
    with pytest.raises(Unavailable, match="nobody writes them"):
        await feed.snapshot(AT)
    await table.commit([put_chain(chain_of(each, "NIFTY")) for each in (first, later)])
    before, after = await feed.snapshot(AT + MINUTE / 2), await feed.snapshot(AT + MINUTE)
    assert before.spot("NIFTY") == first.spot("NIFTY") != later.spot("NIFTY") == after.spot("NIFTY")
    assert before.at == AT + MINUTE / 2


async def test_a_settlement_price_is_known_once_it_is_written(table: SqliteTable) -> None:
    feed = StoredFeed(table, ["NIFTY"])
    assert await feed.settlement("NIFTY", DAY) is None
    await table.commit([put_settlement("NIFTY", DAY, Decimal("26010.35"))])
    assert await feed.settlement("NIFTY", DAY) == Decimal("26010.35")
