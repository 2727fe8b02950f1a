"""A trading day small enough to work out by hand: real feed, real books, real paper exchange, simulated time."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.canonical import INDEX, ORDER, SCHEMA, Kind, RecordedSession, write
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.facts import Facts, SessionKind, Span
from option_baskets.domain.order import Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import Session, at, session_of, with_halts
from option_baskets.engine.rates import Rate
from option_baskets.engine.report import DayRecord
from option_baskets.engine.trading import Pace
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, Embedded, Market, play
from tests.engine.small_market import chain, option

DAY = date(2026, 11, 24)
"""A Tuesday, and the expiry of the contracts below."""
LOT = 65
FACTS = load()

Bars = Mapping[str, str | tuple[str, str, str, str]]
"""Start of a bar, ``HH:MM`` → its close, or its open, high, low and close."""
Prices = Mapping[Contract | str, Bars]


def call(strike: int = 26000, expiry: date = DAY) -> Contract:
    return option("NIFTY", expiry, strike, "CE")


def put(strike: int = 26000, expiry: date = DAY) -> Contract:
    return option("NIFTY", expiry, strike, "PE")


def instant(text: str) -> datetime:
    return at(DAY, time.fromisoformat(text))


def steady(price: str, start: str = "09:15", end: str = "09:40", **changes: str) -> dict[str, str]:
    """Closes of one price from ``start`` to before ``end``; ``at0921="…"`` changes it from that bar on."""
    closes = {}
    moment = instant(start)
    while moment < instant(end):
        price = changes.get(f"at{moment:%H%M}", price)
        closes[f"{moment:%H:%M}"] = price
        moment += timedelta(minutes=1)
    return closes


LISTED = (
    *chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT),
    *chain("NIFTY", date(2026, 12, 29), range(25700, 26301, 50), lot_size=LOT, series="monthly"),
)


def record(
    folder: Path,
    prices: Prices,
    *,
    hours: str = "09:15-09:40",
    listings: Sequence[Listing] = LISTED,
    kind: SessionKind = SessionKind.NORMAL,
    day: date = DAY,
) -> Path:
    """Write the day in the canonical form and return its directory."""
    spans = [Span.parse(part) for part in hours.split(",")]
    rows = [_row(day, thing, start, bar) for thing, bars in prices.items() for start, bar in bars.items()]
    session = RecordedSession(
        session=session_of(day, *spans, kind=kind),
        exchange="NSE",
        kind=Kind.BARS,
        interval=timedelta(minutes=1),
        listings=tuple(listings),
        source="test",
        bars=pl.DataFrame(rows, schema=SCHEMA, orient="row").sort(ORDER),
    )
    write(session, folder)
    return folder


def _row(day: date, thing: Contract | str, start: str, bar: str | tuple[str, str, str, str]) -> tuple[object, ...]:
    identity: tuple[object, ...] = (thing, None, None, INDEX)
    if isinstance(thing, Contract):
        identity = (thing.underlying, thing.expiry, thing.strike, thing.type.value)
    opened, high, low, close = (None, None, None, bar) if isinstance(bar, str) else bar
    prices = (None if text is None else Decimal(text) for text in (opened, high, low, close))
    return (at(day, time.fromisoformat(start)).astimezone(UTC), *identity, *prices, None, None)


STRADDLE = """
[basket]
name = "Straddle"
capital = 500000
mode = "paper"
[[accounts]]
id = "one"
[[strategies]]
name = "straddle"
underlying = "NIFTY"
entry = "09:20"
exit = "09:35"
  [[strategies.legs]]
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  [[strategies.legs]]
  side = "SELL"
  type = "PE"
  strike = { rule = "atm" }
  stop = { percent = 25 }
  [[strategies.allocations]]
  account = "one"
  lots = 2
"""
"""Sold at 09:20, a stop of 25 % on each leg, out at 09:35."""

SPREAD = """
[basket]
name = "Spread"
capital = 500000
mode = "paper"
[[accounts]]
id = "one"
[[accounts]]
id = "two"
[[strategies]]
name = "spread"
underlying = "NIFTY"
entry = "09:20"
exit = "09:35"
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
  lots = 2
  [[strategies.allocations]]
  account = "two"
  lots = 1
"""
"""A sold call and its wing, 2 lots on one account and 1 on another."""

QUIET: Prices = {
    "NIFTY": steady("26010"),
    call(): steady("100"),
    put(): steady("80"),
    call(26100): steady("40"),
}
"""Nothing moves: the spot, the money and the wing of SPREAD."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """A day after its close: its record, the journal, and the exchange's own book read from its file."""

    day: DayRecord
    orders: tuple[Order, ...]
    data: Path

    @property
    def run(self) -> Run:
        (record,) = self.day.runs
        return record.run

    def leg(self, leg: str, account: str = "one") -> LegPosition:
        return self.run.position((leg, account, 0))

    @property
    def alerts(self) -> list[str]:
        return [alert.code for alert in self.day.alerts]

    def book(self, columns: str, order: str = "placed_at, number") -> list[tuple[Any, ...]]:
        """Rows of the exchange's orders, without the exchange."""
        connection = sqlite3.connect(self.data / PAPER_FILE)
        try:
            return connection.execute(f"SELECT {columns} FROM orders ORDER BY {order}").fetchall()
        finally:
            connection.close()


Act = Callable[[Embedded], Awaitable[None]]
"""Something that happens beside the engine, on its clock."""


def play_day(
    days: Path,
    data: Path,
    basket: str = STRADDLE,
    *,
    rate: Rate | None = None,
    behaviour: Mapping[str, Behaviour] | None = None,
    slippage: str = "0",
    pace: Pace | None = None,
    begin: datetime | None = None,
    acts: Sequence[Act] = (),
    fills: Callable[[RecordedFeed], Any] | None = None,
    machine_of: Callable[..., Embedded] = Embedded,
    facts: Facts = FACTS,
) -> Played:
    """Play the only recorded day; ``begin`` starts the process late, ``acts`` run beside it."""
    data.mkdir(parents=True, exist_ok=True)
    file = data / "basket.toml"
    file.write_text("format = 1\n" + basket, encoding="utf-8")
    baskets = load_basket_file(file, FACTS.names)
    feed = RecordedFeed(days)
    (day,) = feed.sessions()
    session = with_halts(facts, feed.session(day))

    async def main(clock: SimulatedClock) -> Played:
        market = Market(
            feed=feed,
            fills=fills(feed) if fills else RecordedFills(feed, slippage=Decimal(slippage)),
            is_trading=lambda _, at: session.is_open(at),
        )
        machine = machine_of(
            data=data,
            market=market,
            clock=clock,
            facts=facts,
            rate=rate,
            threaded=False,
            durable=False,
            pace=pace or Pace(),
        )
        try:
            await machine.adopt([baskets])
            for account, how in (behaviour or {}).items():
                machine.exchange.broker(account, behaviour=how)
            return await _played(machine, session, clock, acts, data)
        finally:
            await machine.close()

    return run_simulated(main, begin or session.starts)


async def _played(
    machine: Embedded, session: Session, clock: SimulatedClock, acts: Sequence[Act], data: Path
) -> Played:
    async with asyncio.TaskGroup() as beside:
        for act in acts:
            beside.create_task(_run(act, machine))
        (record,) = await play(machine, [session], with_charges=False)
    orders: list[Order] = []
    for run in record.runs:
        orders += await machine.books.orders_of_run(LOCAL_USER, run.run.id)
    return Played(day=record, orders=tuple(orders), data=data)


async def _run(act: Act, machine: Embedded) -> None:
    await act(machine)
