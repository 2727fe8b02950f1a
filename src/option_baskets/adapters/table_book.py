"""The paper exchange's own book in a table of its own, for where there is no disk: one user's part of it.

Orders, with what each traded, are items; so is what an account holds of a contract, which the commit of every fill
changes. Only one process at a time has a user's part open for trading (``engine/shift.py``); another's write finds
versions it does not expect, and nothing of it is taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from option_baskets.adapters.brokers.fills import Trade
from option_baskets.adapters.brokers.paper_book import Entry, Event
from option_baskets.domain.contract import Contract
from option_baskets.domain.errors import Unavailable
from option_baskets.ports import Index, Item, Put, Table, TableName, Write
from option_baskets.store import codec, keys

_BOOK = TableName.PAPER_EXCHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """One fill of an order."""

    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An order as it is stored, with its fills in their order."""

    entry: Entry
    fills: tuple[Traded, ...] = ()
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an account holds of a contract."""

    account: str
    contract: Contract
    units: int = 0
    version: int = 0


class TableBook:
    """``open`` reads what of the user's part may still change; everything older stays in the table."""

    def __init__(self, table: Table, user: str, rows: Iterable[Row], held: Iterable[Held]) -> None:
        self._table = table
        self._user = user
        self._rows = {row.entry.key: row for row in rows}
        self._held = {(each.account, each.contract): each for each in held}
        self._is_lost = False

    @classmethod
    async def open(cls, table: Table, user: str, since: date) -> "TableBook":
        """The orders of ``since`` and later days, those that rest from before, and what is held."""
        pk, first = keys.paper_orders(user, since)
        items = await _all(table, pk, between=(first, keys.PAPER_ORDERS_END))
        items += await _all(table, keys.paper_resting(user), index=Index.ALLOCATIONS_BY_STRATEGY)
        rows = {item.sk: codec.decode(item.body, Row) for item in items}
        held = [codec.decode(item.body, Held) for item in await _all(table, user, begins_with=keys.PAPER_HELD)]
        return cls(table, user, rows.values(), held)

    async def add(self, entry: Entry, trades: Sequence[Trade]) -> None:
        row = Row(entry=entry, fills=_fills(trades))
        await self._commit(row, trades, expected=0)

    async def change(self, entry: Entry, trades: Sequence[Trade]) -> None:
        before = self._rows[entry.key]
        row = Row(entry=entry, fills=(*before.fills, *_fills(trades)), version=before.version + 1)
        await self._commit(row, trades, expected=before.version)

    async def add_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        writes: list[Write] = []
        after = dict(self._held)
        for number, event in enumerate(events):
            pk, sk = keys.paper_event(self._user, event.at, event.account, event.contract.key, number)
            writes.append(Put(table=_BOOK, item=Item(pk=pk, sk=sk, body=codec.encode(event)), expected=0))
            name = (event.account, event.contract)
            held = after.get(name, Held(account=event.account, contract=event.contract))
            after[name] = replace(held, units=held.units + event.units, version=held.version + 1)
        changed = [held for name, held in after.items() if held != self._held.get(name)]
        writes += [self._put_held(held, self._held.get((held.account, held.contract))) for held in changed]
        await self._write(writes)
        self._held = after

    async def has(self, entry: Entry) -> bool:
        return await self._table.get(_BOOK, *self._key(entry)) is not None

    def entries(self, since: date) -> Iterable[Entry]:
        rows = sorted(self._rows.values(), key=lambda row: row.entry.key)
        return [row.entry for row in rows if row.entry.day >= since or not row.entry.report.state.is_final]

    def net(self) -> Iterable[tuple[str, str, Contract, int]]:
        return [(self._user, each.account, each.contract, each.units) for each in self._held.values() if each.units]

    async def close(self) -> None:
        """The table is its owner's to close."""

    # ------------------------------------------------------------ writing

    async def _commit(self, row: Row, trades: Sequence[Trade], *, expected: int) -> None:
        report = row.entry.report
        pk, sk = self._key(row.entry)
        resting = None if report.state.is_final else (keys.paper_resting(self._user), sk)
        item = Item(pk=pk, sk=sk, body=codec.encode(row), version=row.version, gsi1=resting)
        writes: list[Write] = [Put(table=_BOOK, item=item, expected=expected)]
        units = sum(trade.quantity for trade in trades) * report.side.sign
        name = (report.account, report.contract)
        before = self._held.get(name)
        if units:
            held = before or Held(account=report.account, contract=report.contract)
            held = replace(held, units=held.units + units, version=held.version + 1)
            writes.append(self._put_held(held, before))
            self._held[name] = held  # at once: the next commit of this contract follows this one, and counts on it
        self._rows[row.entry.key] = row
        await self._write(writes)

    async def _write(self, writes: Sequence[Write]) -> None:
        """Raises Unavailable: a write before this one failed, so that nobody here knows how the book stands."""
        if self._is_lost:
            raise Unavailable("the exchange's book has to be opened anew")
        try:
            await self._table.commit(writes)
        except BaseException:
            self._is_lost = True
            raise

    def _put_held(self, held: Held, before: Held | None) -> Put:
        pk, sk = keys.paper_held(self._user, held.account, held.contract.key)
        item = Item(pk=pk, sk=sk, body=codec.encode(held), version=held.version)
        return Put(table=_BOOK, item=item, expected=before.version if before else 0)

    def _key(self, entry: Entry) -> keys.Key:
        return keys.paper_order(self._user, entry.day, entry.report.account, entry.number)


def _fills(trades: Sequence[Trade]) -> tuple[Traded, ...]:
    return tuple(Traded(quantity=trade.quantity, price=trade.price) for trade in trades)


async def _all(
    table: Table,
    pk: str,
    *,
    index: Index = Index.PRIMARY,
    begins_with: str = "",
    between: tuple[str, str] | None = None,
) -> list[Item]:
    items: list[Item] = []
    cursor: str | None = None
    while True:
        page = await table.query(_BOOK, pk, index=index, begins_with=begins_with, between=between, cursor=cursor)
        items += page.items
        cursor = page.cursor
        if cursor is None:
            return items
