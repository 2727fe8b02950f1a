"""A strategy's runs and the audit, a part at a time.

A part of the audit ends at an instant and a number of rows there, which is where the next one begins: rows are never
skipped or given twice while the history grows.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.engine.audit import EVERYTHING, Only, Row, audit
from option_baskets.store import keys
from option_baskets.store.books import Books, Listed

SPAN = timedelta(days=31)
"""Of the history one part looks through at most, counted from the first thing that happened: a filter may find none."""

_STRETCH = timedelta(minutes=30)
"""Read at first from the newest end: on a busy day that is a page, on a quiet one a few more readings."""
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Behind which rows the next part begins."""

    at: datetime
    rows: int
    """How many of that instant were given."""

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.rows}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError: it is none."""
        at, rows = text.split(" ")
        return cls(at=datetime.fromisoformat(at), rows=int(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    rows: tuple[Row, ...]
    after: Place | None
    """None: there is nothing more."""


async def part_of(
    books: Books,
    user_id: str,
    start: datetime,
    end: datetime,
    only: Only = EVERYTHING,
    *,
    newest_first: bool = True,
    after: Place | None = None,
    most: int = 50,
) -> Part:
    """At most so many rows from ``start`` to ``end``, both included; fewer, even none, where ``SPAN`` has no more.

    A day on which only steps of orders of earlier days happened would not be found. The engine notes on every day it
    works that it is there, so there is no such day.
    """
    if after is not None:
        start, end = (start, min(end, after.at)) if newest_first else (max(start, after.at), end)
    edge = await books.happened(user_id, start, end, newest=newest_first)
    if edge is None:
        return Part(rows=(), after=None)
    if newest_first:
        first = max(start, _midnight(edge - SPAN))
        rows, beyond = _backwards(books, user_id, first, end, only), first - _INSTANT
        rest = Place(at=beyond, rows=0) if beyond >= start else None
    else:
        last = min(end, _midnight(edge + SPAN) - _INSTANT)
        rows, beyond = audit(books, user_id, start, last, only), last + _INSTANT
        rest = Place(at=beyond, rows=0) if beyond <= end else None
    found: list[Row] = []
    skipped = 0
    async for row in rows:
        if after is not None and row.time == after.at and skipped < after.rows:
            skipped += 1
            continue
        if len(found) == most:
            return Part(rows=tuple(found), after=_behind(found, after))
        found.append(row)
    return Part(rows=tuple(found), after=rest)


def _behind(found: list[Row], after: Place | None) -> Place:
    last = found[-1].time
    here = sum(1 for row in found if row.time == last)
    before = after.rows if after is not None and after.at == last else 0
    return Place(at=last, rows=before + here)


async def _backwards(books: Books, user_id: str, start: datetime, end: datetime, only: Only) -> AsyncIterator[Row]:
    """From the newest on, in stretches that grow within a day of the exchange's clock; what is empty is passed over."""
    last, stretch = end, _STRETCH
    while last >= start:
        newest = await books.happened(user_id, start, last, newest=True)
        if newest is None:
            return
        midnight = _midnight(newest)
        if last >= midnight + _DAY:
            last = midnight + _DAY - _INSTANT
        first = max(start, midnight, newest - stretch)
        rows = [row async for row in audit(books, user_id, first, last, only)]
        for row in reversed(rows):
            yield row
        last, stretch = first - _INSTANT, min(2 * stretch, _DAY)


def _midnight(at: datetime) -> datetime:
    """With which its day on the exchange's clock begins."""
    return datetime.combine(at.astimezone(IST).date(), time.min, IST)


# ---------------------------------------------------------------- runs


async def runs_of_strategy(
    books: Books, user_id: str, strategy_id: str, *, day: date | None = None, after: str | None = None, most: int = 50
) -> Listed[Run]:
    """A strategy's runs, over or not, the last day and cycle first: two queries, or one where a day is meant."""
    least = None
    if day is not None:
        found = [run for run in await books.runs_on(user_id, day) if run.strategy.id == strategy_id]
    else:
        found = [run for run in await books.open_runs(user_id) if run.strategy.id == strategy_id]
        over = await books.over_listed(user_id, strategy_id, after=after, most=most)  # later: none is missed meanwhile
        found += over.items
        least = over.after
    runs = {place_of(run): run for run in found}
    places = sorted(each for each in runs if (after is None or each < after) and (least is None or each >= least))
    shown = places[::-1][:most]
    more = len(places) > most or least is not None
    return Listed(items=tuple(runs[place] for place in shown), after=shown[-1] if more else None)


def place_of(run: Run) -> str:
    """Where it stands among its strategy's."""
    return keys.in_over(run.date, run.cycle)
