"""Final settlement prices beside recorded sessions: ``settlements.csv``, a line a date and underlying.

No bar has them: the exchange works them out after the close. A line is written by an import that knows it, by
``baskets simulate``, or by hand. docs/canonical-form.md describes the file.
"""

import csv
import io
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from option_baskets.adapters.feeds.whole_file import whole_file
from option_baskets.domain.errors import Invalid, Problem

FILE = "settlements.csv"
_COLUMNS = ["date", "underlying", "price", "source"]

Settlements = Mapping[tuple[date, str], tuple[Decimal, str]]
"""(expiry, underlying) → price in index points, and where it is from."""


def read_settlements(directory: Path) -> Settlements:
    """What the directory's file says; nothing where there is none.

    Raises:
        Invalid: every bad line, with what it should be.
    """
    path = directory / FILE
    if not path.is_file():
        return {}
    found: dict[tuple[date, str], tuple[Decimal, str]] = {}
    problems = []
    rows = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    for number, row in enumerate(rows, 1):
        if not row or row == _COLUMNS:
            continue
        try:
            day, underlying, price, source = (*(cell.strip() for cell in row), "")[:4]
            key, value = (date.fromisoformat(day), underlying), Decimal(price)
            if not underlying or not value.is_finite() or value <= 0:
                raise ValueError
        except (ValueError, InvalidOperation):
            way_out = "write date,underlying,price,source, e.g. 2026-11-24,NIFTY,26012.35,exchange"
            problems.append(Problem(where="", message=f"{','.join(row)!r}: {way_out}", line=number, file=str(path)))
            continue
        if found.get(key, (value,))[0] != value:
            message = f"{underlying} on {day} has two prices; keep one"
            problems.append(Problem(where="", message=message, line=number, file=str(path)))
        found[key] = (value, source)
    if problems:
        raise Invalid(problems)
    return found


def add_settlements(directory: Path, prices: Settlements, *, replace: bool = False) -> None:
    """Write the prices into the directory's file, ordered by date and underlying; what is there already stays.

    Raises:
        Invalid: without ``replace``, another price of one of them is there.
    """
    if not prices:
        return
    known = dict(read_settlements(directory))
    for key, (price, _) in prices.items():
        if not replace and known.get(key, (price,))[0] != price:
            day, underlying = key
            raise Invalid(
                f"{directory / FILE} has {known[key][0]} for {underlying} on {day}, the source {price}; "
                "correct the line, or say --replace"
            )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for (day, underlying), (price, source) in sorted({**known, **prices}.items()):
        writer.writerow([day.isoformat(), underlying, f"{price:f}", source])
    with whole_file(directory / FILE) as file:
        file.write(text.getvalue().encode())
