"""The paper exchange's own book: every order and fill it ever took, in a SQLite file nobody else writes.

It knows nothing of runs and intents, only of what came through the Broker port: with the journal it makes two
independent accounts of one day. Prices and values are exact decimals as text, instants ISO 8601.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from option_baskets.adapters.brokers.fills import Trade
from option_baskets.adapters.embedded.sqlite import SqliteFile
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.order import OrderReport, OrderState
from option_baskets.domain.session import IST

_VERSION = 2
_ORDERS = """
    CREATE TABLE orders (
        day TEXT NOT NULL, user TEXT NOT NULL, account TEXT NOT NULL, number INTEGER NOT NULL,
        broker_order_id TEXT NOT NULL, tag TEXT NOT NULL,
        underlying TEXT NOT NULL, expiry TEXT NOT NULL, type TEXT NOT NULL, strike TEXT,
        side TEXT NOT NULL, quantity INTEGER NOT NULL, price_limit TEXT NOT NULL,
        state TEXT NOT NULL, filled INTEGER NOT NULL, value TEXT NOT NULL, modifications INTEGER NOT NULL,
        placed_at TEXT NOT NULL, updated_at TEXT NOT NULL, message TEXT NOT NULL,
        PRIMARY KEY (day, user, account, number)) WITHOUT ROWID;
    CREATE INDEX resting ON orders (day) WHERE state IN ('OPEN', 'PARTIAL');
    CREATE TABLE fills (
        day TEXT NOT NULL, user TEXT NOT NULL, account TEXT NOT NULL, number INTEGER NOT NULL,
        filled_before INTEGER NOT NULL, quantity INTEGER NOT NULL, price TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (day, user, account, number, filled_before)) WITHOUT ROWID
"""
_EVENTS = """
    CREATE TABLE events (
        at TEXT NOT NULL, user TEXT NOT NULL, account TEXT NOT NULL,
        underlying TEXT NOT NULL, expiry TEXT NOT NULL, type TEXT NOT NULL, strike TEXT,
        kind TEXT NOT NULL, units INTEGER NOT NULL, price TEXT, index_price TEXT);
    CREATE INDEX events_of ON events (user, account)
"""
_SCHEMA = f"{_ORDERS};{_EVENTS}"
_INSERT_ORDER = f"INSERT INTO orders VALUES ({','.join('?' * 20)})"
_UPDATE_ORDER = """UPDATE orders SET quantity = ?, price_limit = ?, state = ?, filled = ?, value = ?,
    modifications = ?, updated_at = ?, message = ? WHERE day = ? AND user = ? AND account = ? AND number = ?"""
_FIND_ORDER = "SELECT 1 FROM orders WHERE day = ? AND user = ? AND account = ? AND number = ?"
_INSERT_FILL = "INSERT INTO fills VALUES (?,?,?,?,?,?,?,?)"
_INSERT_EVENT = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_NET = """SELECT user, account, underlying, expiry, type, strike, SUM(units) FROM (
        SELECT user, account, underlying, expiry, type, strike, IIF(side = 'BUY', filled, -filled) AS units
        FROM orders WHERE filled > 0
        UNION ALL SELECT user, account, underlying, expiry, type, strike, units FROM events)
    GROUP BY user, account, underlying, expiry, type, strike HAVING SUM(units) <> 0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order as the book has it."""

    user: str
    day: date
    number: int
    """Of the account's orders of the day, from 1."""
    placed_at: datetime
    modifications: int = 0
    report: OrderReport

    @property
    def key(self) -> "_Key":
        return (self.day.isoformat(), self.user, self.report.account, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Units that came or went without an order: a settlement at expiry, or a contract that was given another date."""

    user: str
    account: str
    contract: Contract
    kind: str
    """``settlement`` or ``redated``."""
    units: int
    """Added to the net position."""
    at: datetime
    price: Decimal | None = None
    """Of a settlement, rupees per unit."""
    index: Decimal | None = None
    """Of a settlement: the final settlement price of the index."""


class Book(Protocol):
    """The exchange's own account of what it took. A write is durable when it returns."""

    async def add(self, entry: Entry, trades: Sequence[Trade]) -> None:
        """A new order together with its first fills."""
        ...

    async def change(self, entry: Entry, trades: Sequence[Trade]) -> None:
        """An order's new state together with the fills that led to it."""
        ...

    async def add_events(self, events: Sequence[Event]) -> None:
        """What happened without orders, all or nothing."""
        ...

    async def has(self, entry: Entry) -> bool:
        """Whether the order is in the book, after everything that was handed over before."""
        ...

    def entries(self, since: date) -> Iterable[Entry]:
        """Orders of ``since`` and later days, and every order that still rests, as they were numbered."""
        ...

    def net(self) -> Iterable[tuple[str, str, Contract, int]]:
        """(user, account, contract, net units) from all fills and events; what is flat is left out."""
        ...

    async def close(self) -> None: ...


class PaperBook:
    """The book in a SQLite file."""

    def __init__(self, path: Path | str, *, threaded: bool, durable: bool) -> None:
        self._file = SqliteFile.open(
            path, schema=_SCHEMA, version=_VERSION, migrations={2: _EVENTS}, threaded=threaded, durable=durable
        )

    @property
    def path(self) -> Path:
        return self._file.path

    async def close(self) -> None:
        await self._file.close()

    async def add(self, entry: Entry, trades: Sequence[Trade]) -> None:
        report, key, at = entry.report, entry.key, entry.report.at.isoformat()
        row = (
            *key,
            report.broker_order_id,
            report.tag,
            *_contract_columns(report.contract),
            report.side.value,
            report.quantity,
            str(report.limit),
            report.state.value,
            report.filled,
            str(report.value),
            entry.modifications,
            at,
            at,
            report.message,
        )
        await self._file.together(_add, (row, _fill_rows(key, at, 0, trades)))

    async def change(self, entry: Entry, trades: Sequence[Trade]) -> None:
        report, key, at = entry.report, entry.key, entry.report.at.isoformat()
        row = (
            report.quantity,
            str(report.limit),
            report.state.value,
            report.filled,
            str(report.value),
            entry.modifications,
            at,
            report.message,
            *key,
        )
        before = report.filled - sum(trade.quantity for trade in trades)
        await self._file.together(_change, (row, _fill_rows(key, at, before, trades)))

    async def add_events(self, events: Sequence[Event]) -> None:
        rows = [_event_row(event) for event in events]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_INSERT_EVENT, rows)

        if rows:
            await self._file.write(work)

    async def has(self, entry: Entry) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            return connection.execute(_FIND_ORDER, entry.key).fetchone() is not None

        return await self._file.write(work)

    def entries(self, since: date) -> Iterable[Entry]:
        resting = "day < ? AND state IN ('OPEN', 'PARTIAL')"
        sql = f"SELECT * FROM orders WHERE day >= ? OR ({resting}) ORDER BY day, user, account, number"
        return map(_entry, self._file.read(sql, (since.isoformat(), since.isoformat())))

    def last_day(self) -> date | None:
        """The last day on which anything was ordered; None: there is none."""
        ((day,),) = self._file.read("SELECT MAX(day) FROM orders")
        return date.fromisoformat(day) if day else None

    def net(self) -> Iterable[tuple[str, str, Contract, int]]:
        for user, account, *contract, units in self._file.read(_NET):
            yield user, account, _contract(*contract), units


def _event_row(event: Event) -> tuple[object, ...]:
    return (
        event.at.isoformat(),
        event.user,
        event.account,
        *_contract_columns(event.contract),
        event.kind,
        event.units,
        None if event.price is None else str(event.price),
        None if event.index is None else str(event.index),
    )


_Key = tuple[str, str, str, int]
"""Day, user, account and number."""
_Rows = tuple[tuple[object, ...], list[tuple[object, ...]]]
"""The row of an order and those of its new fills."""


def _add(connection: sqlite3.Connection, requests: Sequence[_Rows]) -> Sequence[None]:
    return _write(connection, _INSERT_ORDER, requests)


def _change(connection: sqlite3.Connection, requests: Sequence[_Rows]) -> Sequence[None]:
    return _write(connection, _UPDATE_ORDER, requests)


def _write(connection: sqlite3.Connection, order: str, requests: Sequence[_Rows]) -> Sequence[None]:
    """A key that is there already is a defect of ours and fails the whole group; nothing of it is written."""
    connection.executemany(order, (row for row, _ in requests))
    connection.executemany(_INSERT_FILL, chain.from_iterable(fills for _, fills in requests))
    return [None] * len(requests)


def _fill_rows(key: _Key, at: str, before: int, trades: Sequence[Trade]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for trade in trades:
        rows.append((*key, before, trade.quantity, str(trade.price), at))
        before += trade.quantity
    return rows


@lru_cache(maxsize=100_000)
def _contract_columns(contract: Contract) -> tuple[str, str, str, str | None]:
    strike = None if contract.strike is None else str(contract.strike)
    return contract.underlying, contract.expiry.isoformat(), contract.type.value, strike


def _contract(underlying: str, expiry: str, type_: str, strike: str | None) -> Contract:
    return Contract(
        underlying=underlying,
        expiry=date.fromisoformat(expiry),
        type=ContractType(type_),
        strike=None if strike is None else Decimal(strike),
    )


def _entry(row: Sequence[Any]) -> Entry:
    day, user, account, number, order_id, tag, underlying, expiry, type_, strike, *rest = row
    side, quantity, limit, state, filled, value, modifications, placed_at, updated_at, message = rest
    return Entry(
        user=user,
        day=date.fromisoformat(day),
        number=number,
        placed_at=datetime.fromisoformat(placed_at).astimezone(IST),
        modifications=modifications,
        report=OrderReport(
            tag=tag,
            broker_order_id=order_id,
            account=account,
            contract=_contract(underlying, expiry, type_, strike),
            side=Side(side),
            quantity=quantity,
            state=OrderState(state),
            filled=filled,
            value=Decimal(value),
            at=datetime.fromisoformat(updated_at).astimezone(IST),
            limit=Decimal(limit),
            message=message,
        ),
    )
