"""The books of a data folder beside the paper exchange's own: what a look at the accounts would find. Only reads."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from option_baskets.adapters.brokers.paper_book import PaperBook
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.contract import Contract
from option_baskets.domain.drift import Drift, drifts
from option_baskets.domain.order import Order, OrderReport
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.engine.duplicates import findings
from option_baskets.engine.reconcile import holdings
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, TRADING_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One account: what is ours, and every difference."""

    account: str
    orders: int
    """In the exchange's book of the day, ours or not."""
    positions: int
    """Contracts that it shows units of."""
    drifts: tuple[Drift, ...]
    remarks: tuple[str, ...]
    """What is strange about orders, in the order of the book."""


async def compared(data: Path, day: date | None) -> tuple[date | None, list[Compared]]:
    """The orders of a day (the last on which something was ordered) and the positions as they are now, by account."""
    book = PaperBook(data / PAPER_FILE, threaded=False, durable=True)
    try:
        day = day or book.last_day()
        entries = book.entries(day) if day else ()  # later days' too, and what a process left resting before
        reports = [entry.report for entry in entries if entry.user == LOCAL_USER and entry.day == day]
        net: defaultdict[str, dict[Contract, int]] = defaultdict(dict)
        for user, account, contract, units in book.net():
            if user == LOCAL_USER:
                net[account][contract] = units
    finally:
        await book.close()
    now = datetime.combine(day or date.min, time.max, IST)
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: now, threaded=False)
    try:
        books = Books(table)
        start = datetime.combine(day, time.min, IST) if day else now
        orders = await books.orders_between(LOCAL_USER, start, start + timedelta(days=1)) if day else []
        runs = [run for run in await books.active_runs() if run.user_id == LOCAL_USER]
        known = [account.id for account in await books.accounts(LOCAL_USER)]
    finally:
        await table.close()
    accounts = sorted({*known, *net, *(report.account for report in reports)})
    return day, [_compared(account, reports, orders, runs, net[account], day or date.min) for account in accounts]


def _compared(
    account: str,
    reports: Sequence[OrderReport],
    orders: Sequence[Order],
    runs: Sequence[Run],
    net: dict[Contract, int],
    day: date,
) -> Compared:
    shown = [report for report in reports if report.account == account]
    ours = [order for order in orders if order.intent.account == account]
    held = holdings(runs).get((LOCAL_USER, account), {})
    return Compared(
        account=account,
        orders=len(shown),
        positions=sum(1 for contract, units in net.items() if units and contract.expiry >= day),
        drifts=tuple(drifts(held, net, day).values()),
        remarks=tuple(_remarks(shown, ours)),
    )


def _remarks(reports: Sequence[OrderReport], ours: Sequence[Order]) -> Iterator[str]:
    known = {order.intent.id: order for order in ours}
    times = Counter(report.tag for report in reports)
    strange = [report for report in reports if report.tag not in known or times[report.tag] > 1]
    yield from (sentence for _, sentence in findings(strange, ours))
    for report in reports:
        order = known.get(report.tag)
        if order is None or order.broker_order_id not in {"", report.broker_order_id}:
            continue
        if (order.state, order.filled) != (report.state, report.filled):
            yield (
                f"order {report.broker_order_id} is {report.state} with {report.filled} filled, "
                f"the journal has {order.state} with {order.filled}"
            )
    for order in ours:
        if not order.state.is_final and order.broker_order_id and order.intent.id not in times:
            yield f"order {order.broker_order_id} is {order.state} in the journal and not in the order book"
