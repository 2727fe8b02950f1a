"""What the exchange's own book says of a day, beside what was allocated and what the journal has."""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.allocation import lots_by_leg
from option_baskets.domain.order import Order
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, TRADING_FILE
from tests.chaos.scenario import DAY

Traded = Mapping[tuple[str, str, str, str], int]
"""(run, account, leg, action) → units traded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An order in the exchange's book."""

    number: int
    tag: str
    account: str
    contract: str
    type: str
    side: str
    quantity: int
    state: str
    filled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A fill in it, in the order in which they happened."""

    at: str
    tag: str
    account: str
    type: str
    signed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """A day after its close."""

    book: tuple[Row, ...]
    fills: tuple[Filled, ...]
    orders: Mapping[str, Order]
    """The journal, by intent id."""
    runs: tuple[Run, ...]

    @property
    def traded(self) -> Traded:
        found: Counter[tuple[str, str, str, str]] = Counter()
        for row in self.book:
            if row.filled and row.tag in self.orders:
                intent = self.orders[row.tag].intent
                found[intent.run_id, intent.account, intent.leg, intent.action.value] += row.filled
        return found


def testimony(data: Path) -> Testimony:
    book = sqlite3.connect(f"file:{data / PAPER_FILE}?mode=ro", uri=True)
    name = "underlying || ' ' || expiry || ' ' || strike || ' ' || type"
    rows = book.execute(
        f"SELECT number, tag, account, {name}, type, side, quantity, state, filled FROM orders ORDER BY account, number"
    ).fetchall()
    fills = book.execute(
        "SELECT f.at, o.tag, o.account, o.type, f.quantity * CASE o.side WHEN 'BUY' THEN 1 ELSE -1 END FROM fills f"
        " JOIN orders o USING (day, user, account, number) ORDER BY f.at, o.number"
    ).fetchall()
    book.close()
    orders, runs = asyncio.run(_journal(data))
    columns = ("number", "tag", "account", "contract", "type", "side", "quantity", "state", "filled")
    return Testimony(
        book=tuple(Row(**dict(zip(columns, row, strict=True))) for row in rows),
        fills=tuple(Filled(at=at, tag=tag, account=acc, type=type_, signed=n) for at, tag, acc, type_, n in fills),
        orders={order.intent.id: order for order in orders},
        runs=runs,
    )


async def _journal(data: Path) -> tuple[list[Order], tuple[Run, ...]]:
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: datetime.combine(DAY, time.max, IST), threaded=False)
    try:
        books = Books(table)
        start, end = (datetime.combine(DAY, moment, IST) for moment in (time.min, time.max))
        return await books.orders_between(LOCAL_USER, start, end), tuple(await books.runs_on(LOCAL_USER, DAY))
    finally:
        await table.close()


def faults(day: Testimony) -> Iterator[str]:
    """Everything that must not be, whatever was killed: in sentences."""
    yield from _doubled(day)
    yield from _unknown(day)
    yield from _not_flat(day)
    yield from _naked(day)
    yield from _not_accounted_for(day)
    for run in day.runs:
        if not run.status.is_over:
            yield f"{run.id} ends the day {run.status}"


def _doubled(day: Testimony) -> Iterator[str]:
    for tag, count in Counter(row.tag for row in day.book).items():
        if count > 1:
            yield f"{tag} was ordered {count} times"


def _unknown(day: Testimony) -> Iterator[str]:
    for row in day.book:
        order = day.orders.get(row.tag)
        if order is None:
            yield f"order {row.number} on {row.account} ({row.side} {row.contract}) is not in the journal"
        elif (order.state.value, order.filled) != (row.state, row.filled):
            ours = f"{order.state} with {order.filled}"
            yield f"{row.tag} is {row.state} with {row.filled} filled, the journal has {ours}"


def _not_flat(day: Testimony) -> Iterator[str]:
    net: Counter[tuple[str, str]] = Counter()
    for row in day.book:
        net[row.account, row.contract] += row.filled if row.side == "BUY" else -row.filled
    yield from (f"{account} ends with {units:+d} {contract}" for (account, contract), units in net.items() if units)


def _naked(day: Testimony) -> Iterator[str]:
    """Every strategy here is hedged: at no fill has a run sold more calls, or puts, than it holds."""
    held: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for fill in day.fills:
        if fill.tag not in day.orders:
            continue
        run = day.orders[fill.tag].intent.run_id
        held[run, fill.account, fill.type] += fill.signed
        if held[run, fill.account, fill.type] < 0:
            units = -held[run, fill.account, fill.type]
            yield f"{run} on {fill.account} is short {units} {fill.type} without cover at {fill.at}"


def _not_accounted_for(day: Testimony) -> Iterator[str]:
    """What was allocated was entered, or its absence has a reason."""
    for run in day.runs:
        if run.reason is not None and not run.positions:
            continue
        missing: Counter[tuple[str, str]] = Counter()
        for short in run.shortfalls:
            missing[short.leg, short.account] += short.quantity
        lot = run.positions[0].lot_size if run.positions else 0
        for allocation in run.allocations:
            for leg, lots in lots_by_leg(run.strategy, allocation, run.allocations).items():
                entered = sum(p.entered for p in run.positions if (p.leg, p.account) == (leg, allocation.account))
                if entered + missing[leg, allocation.account] != lots * lot:
                    yield (
                        f"{run.id} leg {leg} on {allocation.account}: {lots * lot} units allocated, {entered} entered, "
                        f"{missing[leg, allocation.account]} missing with a reason"
                    )


def differences(day: Testimony, whole: Testimony) -> Iterator[tuple[Run, str]]:
    """Runs that traded something else than in the day nobody interrupted, each with why, as the run says it."""
    mine, others = day.traded, whole.traded
    runs = {run.id: run for run in day.runs}
    for run in whole.runs:
        now = runs.get(run.id)
        if now is None:
            yield run, "is missing"
            continue
        of_run = {key for key in {*mine, *others} if key[0] == run.id}
        if any(mine.get(key, 0) != others.get(key, 0) for key in of_run):
            reasons = {short.reason.value for short in now.shortfalls} | ({now.reason.value} if now.reason else set())
            yield now, ", ".join(sorted(reasons)) or "no reason"
