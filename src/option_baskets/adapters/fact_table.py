"""A CSV file read as typed rows: every bad value named with its file, its row and the way out."""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Generic, TypeVar

from option_baskets.domain.errors import Problem
from option_baskets.domain.facts import Span, clock_time

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_Row = TypeVar("_Row")
_Value = TypeVar("_Value")
_Word = TypeVar("_Word", bound=StrEnum)
Parse = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[_Row]):
    """One file of rows. ``columns`` must have a value in every row; ``optional`` ones may be blank or left out."""

    name: str
    row: Callable[..., _Row]
    columns: Mapping[str, Parse]
    optional: Mapping[str, Parse] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of a column that is called otherwise in the row: its field."""

    def read(self, path: Traversable, problems: list[Problem], known: Mapping[str, frozenset[str]]) -> Iterator[_Row]:
        """The good rows in order; what is wrong with the others goes to ``problems``. A file that is absent has none.

        ``known`` limits the values of a column.
        """
        if not path.is_file():
            return
        try:
            reader = csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), strict=True)
            header = next(reader, [])
            lines = [(reader.line_num, cells) for cells in reader if any(cells)]
        except (UnicodeDecodeError, csv.Error) as error:
            problems.append(Problem(where=self.name, message=f"is not CSV in UTF-8 ({error}); save it as such"))
            return
        wrong = [Problem(where=self.name, message=message) for message in self._wrong_header(header)]
        problems += wrong
        for number, cells in [] if wrong else lines:
            wrong = [
                Problem(where=f"{self.name} row {number}", message=message)
                for message in self._wrong_cells(header, cells, known)
            ]
            problems += wrong
            if not wrong:
                yield self._made(header, cells)

    def _wrong_header(self, header: list[str]) -> Iterator[str]:
        every = [*self.columns, *self.optional]
        for column in header:
            if column not in every:
                yield f"has no column {column!r}; its columns are {', '.join(every)}"
        for column in self.columns:
            if column not in header:
                yield f"lacks the column {column!r}; name it in the first line"

    def _wrong_cells(self, header: list[str], cells: list[str], known: Mapping[str, frozenset[str]]) -> Iterator[str]:
        if len(cells) != len(header):
            yield f"has {len(cells)} values for {len(header)} columns; quote a value that has a comma in it"
            return
        for column, cell in zip(header, cells, strict=True):
            value = cell.strip()
            if not value and column in self.columns:
                yield f"{column} is empty; it needs a value"
            elif value and value not in known.get(column, {value}):
                yield f"{column} {value!r} is not known; it is one of {', '.join(sorted(known[column]))}"
            elif value:
                try:
                    self._parse(column)(value)
                except ValueError as error:
                    yield f"{column} {error}"
        yield from self._backwards(dict(zip(header, cells, strict=True)))

    def _backwards(self, cells: Mapping[str, str]) -> Iterator[str]:
        """ISO dates compare as text."""
        first, last = (
            next((column for column in cells if self.fields.get(column, column) == bound), "")
            for bound in ("effective_from", "effective_to")
        )
        if first and last and cells[last].strip() and cells[last].strip() < cells[first].strip():
            yield f"{last} {cells[last].strip()} is before {first} {cells[first].strip()}; swap them"

    def _made(self, header: list[str], cells: list[str]) -> _Row:
        return self.row(
            **{
                self.fields.get(column, column): self._parse(column)(cell.strip())
                for column, cell in zip(header, cells, strict=True)
                if cell.strip()
            }
        )

    def _parse(self, column: str) -> Parse:
        return self.columns.get(column) or self.optional[column]


# Parsers of one value. Each raises ValueError with what is wrong and how to write it.


def text(value: str) -> str:
    return value


def day(value: str) -> date:
    try:
        parsed = date.fromisoformat(value)
    except ValueError:
        parsed = date.min
    if parsed.isoformat() != value:  # the library takes week dates and dates without dashes too
        raise ValueError(f"{value!r} is not a date; write it as 2026-11-23")
    return parsed


def clock(value: str) -> time:
    try:
        return clock_time(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a time; write it as 15:30") from None


def span(value: str) -> Span:
    try:
        return Span.parse(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a span of the day; write it as 09:15-15:30") from None


def spans(value: str) -> tuple[Span, ...]:
    parts = several(span)(value)
    if any(later.start < earlier.end for earlier, later in pairwise(parts)):
        raise ValueError(f"{value!r} is out of order; write the earlier window first")
    return parts


def count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def units(value: str) -> int:
    number = count(value)
    if number == 0:
        raise ValueError("is 0; give a number of units above 0")
    return number


def amount(value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ValueError(f"{value!r} is not a number of 0 or more")
    return number


def step(value: str) -> Decimal:
    number = amount(value)
    if number == 0:
        raise ValueError("is 0; give a step above 0")
    return number


def percent(value: str) -> Decimal | None:
    return None if value == "unknown" else amount(value)


def weekday(value: str) -> int:
    if value not in WEEKDAYS:
        raise ValueError(f"{value!r} is not one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(value)


def yes(value: str) -> bool:
    if value not in {"yes", "no"}:
        raise ValueError(f"{value!r} is not yes or no")
    return value == "yes"


def one_of(words: type[_Word]) -> Callable[[str], _Word]:
    def parse(value: str) -> _Word:
        try:
            return words(value)
        except ValueError:
            raise ValueError(f"{value!r} is not one of {', '.join(words)}") from None

    return parse


def several(parse: Callable[[str], _Value]) -> Callable[[str], tuple[_Value, ...]]:
    """Of values with semicolons between them."""
    return lambda value: tuple(parse(part) for part in value.split(";"))
