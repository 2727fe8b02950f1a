"""Several small days after each other, each traded by a process of its own over the books the one before it left."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.adapters.basket_file import BasketFile, load_basket_file
from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.feeds.settlements import add_settlements
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.facts import Facts
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import at
from option_baskets.engine.report import DayRecord
from option_baskets.wiring import PAPER_FILE, Embedded, Market, play
from tests.engine.small_market import chain, option
from tests.engine.tiny_day import FACTS, Act, Prices, _run, record

MON, TUE, WED, THU = (date(2026, 11, 30), date(2026, 12, 1), date(2026, 12, 2), date(2026, 12, 3))
"""Trading days; a weekly series of NIFTY expires on the Tuesday."""
MONTH = date(2026, 12, 29)
STRIKES = range(25700, 26301, 50)
LISTED = (
    *chain("NIFTY", TUE, STRIKES, lot_size=65),
    *chain("NIFTY", MONTH, STRIKES, lot_size=65, series="monthly"),
)


def call(expiry: date = MONTH, strike: int = 26000) -> Contract:
    return option("NIFTY", expiry, strike, "CE")


def put(expiry: date = MONTH, strike: int = 26000) -> Contract:
    return option("NIFTY", expiry, strike, "PE")


def on(day: date, text: str) -> datetime:
    return at(day, time.fromisoformat(text))


def days(folder: Path, prices: Mapping[date, Prices], *, listings: Sequence[Listing] = LISTED) -> Path:
    """Record the days; a contract list has what has not expired."""
    for day, of_day in prices.items():
        listed = [listing for listing in listings if listing.contract.expiry >= day]
        record(folder, of_day, day=day, listings=listed)
    return folder


def settle(folder: Path, day: date, price: str, underlying: str = "NIFTY") -> None:
    add_settlements(folder, {(day, underlying): (Decimal(price), "test")})


@dataclass(frozen=True, kw_only=True)
class Nights:
    """The records of the days, in order, and the exchange's own book read from its file."""

    records: Sequence[DayRecord]
    data: Path

    def run(self, day: date, index: int = 0) -> Run:
        (record,) = [record for record in self.records if record.date == day]
        return record.runs[index].run

    def leg(self, day: date, leg: str, account: str = "one") -> LegPosition:
        return self.run(day).position((leg, account, 0))

    def alerts(self, day: date) -> list[str]:
        (record,) = [record for record in self.records if record.date == day]
        return [alert.code for alert in record.alerts]

    def book(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.data / PAPER_FILE)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    @property
    def held_at_the_exchange(self) -> dict[tuple[str, str], int]:
        """Net units by expiry and type, from its orders and events."""
        net: dict[tuple[str, str], int] = {}
        for expiry, type_, units in self.book(
            "SELECT expiry, type, IIF(side = 'BUY', filled, -filled) FROM orders "
            "UNION ALL SELECT expiry, type, units FROM events"
        ):
            net[expiry, type_] = net.get((expiry, type_), 0) + units
        return {key: units for key, units in net.items() if units}


def trade(
    folder: Path,
    data: Path,
    basket: str,
    *,
    only: Sequence[date] = (),
    facts: Facts = FACTS,
    acts: Mapping[date, Act] | None = None,
    with_charges: bool = False,
    together: bool = False,
) -> Nights:
    """Trade the recorded days, every one in a process of its own, or all ``together`` in one."""
    data.mkdir(parents=True, exist_ok=True)
    file = data / "basket.toml"
    file.write_text("format = 1\n" + basket, encoding="utf-8")
    found = load_basket_file(file, FACTS.names)
    dates = [day for day in RecordedFeed(folder).sessions() if not only or day in only]
    records: list[DayRecord] = []
    for group in [dates] if together else [[day] for day in dates]:
        act = (acts or {}).get(group[0])
        records += _process(folder, data, found, group, facts=facts, act=act, with_charges=with_charges)
    return Nights(records=records, data=data)


def _process(
    folder: Path,
    data: Path,
    basket: BasketFile,
    dates: Sequence[date],
    *,
    facts: Facts,
    act: Act | None,
    with_charges: bool,
) -> list[DayRecord]:
    """One process: it opens the stores, trades, and closes them, also when it is killed in the middle."""
    feed = RecordedFeed(folder)
    sessions = [feed.session(day) for day in dates]

    async def main(clock: SimulatedClock) -> list[DayRecord]:
        market = Market(
            feed=feed,
            fills=RecordedFills(feed),
            is_trading=lambda _, at: feed.session(at.date()).is_trading(at),
        )
        machine = Embedded(data=data, market=market, clock=clock, facts=facts, rate=None, threaded=False, durable=False)
        try:
            await machine.adopt([basket])
            if act is None:
                return await play(machine, sessions, with_charges=with_charges)
            return await _beside(machine, sessions, act, with_charges=with_charges)
        finally:
            await machine.close()

    return run_simulated(main, sessions[0].starts)


async def _beside(machine: Embedded, sessions: Sequence[Any], act: Act, *, with_charges: bool) -> list[DayRecord]:
    async with asyncio.TaskGroup() as beside:
        beside.create_task(_run(act, machine))
        return await play(machine, sessions, with_charges=with_charges)
