"""The rows of the audit in their three forms, written one by one as they are read."""

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.money import price
from option_baskets.domain.session import IST
from option_baskets.engine.audit import Only, Row, audit
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER

COLUMNS = tuple(field.name for field in fields(Row))
"""The header of the CSV and the keys of the JSON; they never change, new ones come behind."""


async def written(
    path: Path, first: date, last: date, run: str, strategy: str, account: str, form: str, out: TextIO
) -> int:
    """Write the local user's audit of these days, and return how many rows it has.

    Raises:
        Unavailable: the file cannot be read.
    """
    table = SqliteTable.open(path, now=RealClock().now, threaded=False)
    try:
        books = Books(table)
        only = Only(run=run, strategies=await _named(books, strategy), account=account)
        start, end = datetime.combine(first, time.min, IST), datetime.combine(last, time.max, IST)
        return await FORMS[form](audit(books, LOCAL_USER, start, end, only), out)
    finally:
        await table.close()


async def _named(books: Books, strategy: str) -> frozenset[str]:
    """The ids of the strategies with this name or id; of one that was deleted the id itself."""
    if not strategy:
        return frozenset()
    known = await books.strategies(LOCAL_USER)
    return frozenset({strategy, *(each.id for each in known if each.name == strategy)})


def _value(value: object) -> str:
    """A cell: times on the exchange's clock with their offset, plain decimals, nothing for what does not apply."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(IST).isoformat(timespec="microseconds")
        case Decimal():
            return f"{_trimmed(price(value)):f}"
        case _:
            return str(value)


def _trimmed(value: Decimal) -> Decimal:
    """Two decimals, or as many as an average needs."""
    short = value.quantize(Decimal("0.01"))
    return short if short == value else value


async def _csv(rows: AsyncIterator[Row], out: TextIO) -> int:
    sheet = csv.writer(out)
    sheet.writerow(COLUMNS)
    count = 0
    async for row in rows:
        sheet.writerow([_value(getattr(row, name)) for name in COLUMNS])
        count += 1
    return count


async def _json(rows: AsyncIterator[Row], out: TextIO) -> int:
    count = 0
    async for row in rows:
        values = {name: getattr(row, name) for name in COLUMNS}
        told = {name: value if isinstance(value, int) else _value(value) or None for name, value in values.items()}
        out.write(("[\n" if not count else ",\n") + json.dumps(told, ensure_ascii=False))
        count += 1
    out.write("\n]\n" if count else "[]\n")
    return count


async def _table(rows: AsyncIterator[Row], out: TextIO) -> int:
    """A line a row; wide as it has to be, so that a pipe may search it."""
    count = 0
    day: date | None = None
    async for row in rows:
        at = row.time.astimezone(IST)
        if at.date() != day:
            day = at.date()
            out.write(f"{day:%A %d %B %Y}\n")
        out.write(_line(row, at).rstrip() + "\n")
        count += 1
    if not count:
        out.write("nothing is recorded there\n")
    return count


def _line(row: Row, at: datetime) -> str:
    place = " on ".join(part for part in (row.strategy, row.account) if part)
    traded = " ".join(part for part in (row.side, str(row.quantity or ""), row.contract) if part)
    if row.price is not None:
        traded += f" at {_value(row.price)}"
    told = ": ".join(part for part in (row.cause, row.detail) if part)
    parts = (part for part in (place, f"leg {row.leg}" if row.leg else "", traded, told) if part)
    return f"{at:%H:%M:%S.%f}"[:12] + f"  {row.actor:<8}  {row.what:<20}  " + "  ".join(parts)


FORMS = {"csv": _csv, "json": _json, "table": _table}
