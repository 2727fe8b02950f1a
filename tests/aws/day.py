"""A trading day of one hour: its prices, what is traded, and what came of it, of which any two platforms must agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.adapters.basket_file import BasketFile, parse_basket
from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.adapters.feeds.stored import Chain, StoredFeed, chain_of, put_chain
from option_baskets.cloud import BLIND_AFTER, UNDERLYINGS
from option_baskets.domain.order import Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import Session, at, contract_close, session_on
from option_baskets.engine.rates import Rate
from option_baskets.engine.report import record_of
from option_baskets.engine.trading import Pace
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, Embedded, Market, play

FACTS = load()
DAY = date(2025, 10, 21)
"""Diwali: traded from 13:45 to 14:45."""
SEED = 2
NEAR = 400
"""Points from the spot at which the day begins; strikes farther away are left out."""
_MINUTE = timedelta(minutes=1)

BASKET = """
format = 1
[basket]
name = "Diwali"
capital = 2000000
mode = "paper"
[[accounts]]
id = "one"
[[accounts]]
id = "two"
[[strategies]]
name = "Straddle"
underlying = "NIFTY"
special_sessions = true
entry = "13:50"
exit = "14:00"
  [[strategies.legs]]
  id = "call"
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  [[strategies.legs]]
  id = "put"
  side = "SELL"
  type = "PE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  [[strategies.allocations]]
  account = "one"
  lots = 2
  [[strategies.allocations]]
  account = "two"
  lots = 1
[[strategies]]
name = "Spread"
underlying = "NIFTY"
special_sessions = true
entry = "13:55"
exit = "13:59"
  [[strategies.legs]]
  id = "short"
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  [[strategies.legs]]
  id = "wing"
  side = "BUY"
  type = "CE"
  strike = { rule = "of_leg", leg = "short", points = 100 }
  [[strategies.allocations]]
  account = "one"
  lots = 1
"""
"""Two strategies, three allocations. The index falls at 13:52: the put's stop is hit, and the call is held to 14:00."""
OVER = time(14, 1)
"""Nothing is open any more."""


def session() -> Session:
    found = session_on(FACTS, DAY)
    assert found is not None
    return found


def instant(text: str) -> datetime:
    return at(DAY, time.fromisoformat(text))


def plans() -> BasketFile:
    return parse_basket(BASKET, FACTS.names)


async def chains() -> list[Chain]:
    """Prices of the first expiry near the money: every minute until everything is over, and at both ends of the day."""
    feed = SimulatedFeed(FACTS, seed=SEED, underlyings=["NIFTY"])
    day = session()
    first = chain_of(await feed.snapshot(day.windows[0].open), "NIFTY")
    assert first.spot is not None
    minutes = [day.windows[0].open + number * _MINUTE for number in range(18)]
    found = [chain_of(await feed.snapshot(minute), "NIFTY") for minute in (day.starts, *minutes, day.close)]
    return [_near(chain, first.spot.last) for chain in found]


def _near(chain: Chain, spot: Decimal) -> Chain:
    expiry = min(day for day, _ in chain.steps)
    kept = (
        priced
        for priced in chain.contracts
        if priced.listing.contract.expiry == expiry and abs((priced.listing.contract.strike or spot) - spot) <= NEAR
    )
    return replace(chain, contracts=tuple(kept), steps=tuple(each for each in chain.steps if each[0] == expiry))


# ---------------------------------------------------------------- what came of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A user's day without the ids that installations choose, and with instants to the minute."""

    runs: tuple[tuple[Any, ...], ...]
    legs: tuple[tuple[Any, ...], ...]
    orders: tuple[tuple[Any, ...], ...]
    fills: tuple[tuple[Any, ...], ...]
    profits: tuple[tuple[Any, ...], ...]


async def outcome(books: Books, user_id: str) -> Outcome:
    accounts = {account.id: account for account in await books.accounts(user_id)}
    record = await record_of(books, FACTS, accounts, user_id=user_id, day=DAY)
    runs = [each.run for each in record.runs]
    orders = [(run, order) for run in runs for order in await books.orders_of_run(user_id, run.id)]
    fills = [(run, fill) for run in runs for fill in await books.fills_of_run(user_id, run.id)]
    return Outcome(
        runs=_sorted(
            (run.strategy.name, run.status, run.reason, run.detail, run.cycle, run.entry_at, run.exit_at)
            for run in runs
        ),
        legs=_sorted(_leg(run, each) for run in runs for each in run.positions),
        orders=_sorted(_order(run, order) for run, order in orders),
        fills=_sorted(
            (run.strategy.name, fill.quantity, fill.value, fill.number, _minute(fill.at)) for run, fill in fills
        ),
        profits=_sorted((each.run.strategy.name, each.profit.gross, each.profit.charges) for each in record.runs),
    )


def _sorted(rows: Any) -> tuple[tuple[Any, ...], ...]:
    return tuple(sorted(rows, key=repr))


def _leg(run: Run, leg: LegPosition) -> tuple[Any, ...]:
    instants = _minute(leg.entry_time), _minute(leg.exit_time)
    traded = (leg.lots, leg.lot_size, leg.entered, leg.entered_value, leg.exited, leg.exited_value)
    return (
        run.strategy.name, leg.leg, leg.account, leg.entry_number, leg.contract.key, leg.side,
        *traded, *instants, leg.exit_reason, leg.entry_spot, leg.shortfall,
    )  # fmt: skip


def _order(run: Run, order: Order) -> tuple[Any, ...]:
    intent = order.intent
    return (
        run.strategy.name, intent.leg, intent.account, intent.entry_number, intent.action, intent.attempt,
        intent.slice_number, intent.contract.key, intent.side, intent.quantity, intent.limit, intent.cause,
        order.state, order.filled, order.value, order.reason, _minute(intent.decided_at),
    )  # fmt: skip


def _minute(instant: datetime | None) -> str:
    return f"{instant:%H:%M}" if instant else ""


# ---------------------------------------------------------------- in one process


def embedded(folder: Path, stored: Sequence[Chain]) -> Outcome:
    """The day in one process with a disk: the same prices, fills and limits."""
    day = session()

    async def main(clock: SimulatedClock) -> Outcome:
        prices = SqliteTable.open(folder / "prices.db", now=clock.now, threaded=False, durable=False)
        await prices.commit([put_chain(each) for each in stored])
        machine = Embedded(
            data=folder / "data",
            market=Market(
                feed=StoredFeed(prices, UNDERLYINGS),
                fills=QuotedFills(),
                is_trading=lambda contract, moment: (
                    day.is_open(moment) and moment < contract_close(FACTS, day, contract.expiry)
                ),
            ),
            clock=clock,
            facts=FACTS,
            rate=Rate(),
            threaded=False,
            durable=False,
            pace=Pace(blind_after=BLIND_AFTER),
        )
        try:
            await machine.adopt([plans()])
            await play(machine, [day])
            return await outcome(machine.books, LOCAL_USER)
        finally:
            await machine.close()
            await prices.close()

    return run_simulated(main, day.starts)
