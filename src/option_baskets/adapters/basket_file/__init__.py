"""Basket files: TOML that a person writes, read into the domain's types. The format is docs/strategy-files.md."""

import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from option_baskets.adapters.basket_file.document import BasketFile, read_document
from option_baskets.adapters.basket_file.fields import Fields, Report, shown
from option_baskets.adapters.basket_file.positions import lines_of_keys
from option_baskets.domain.errors import Invalid, Problem

__all__ = ["BasketFile", "load_basket_file", "parse_basket"]

_MOST_BYTES = 1_000_000
_NOT_KNOWN: Mapping[str, time] = MappingProxyType({})
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def load_basket_file(
    path: Path, underlyings: Collection[str] | None = None, latest_mis: Mapping[str, time] = _NOT_KNOWN
) -> BasketFile:
    """Read and check a basket file.

    ``underlyings`` are the names we have facts of; None checks no names. ``latest_mis`` is the last time for an MIS
    exit by broker; a broker that is not in it is not checked here, only on the day.

    Raises:
        Invalid: the file cannot be read, or anything in it is wrong; every problem found, with file and line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file; check the name") from None
    except IsADirectoryError:
        raise _unreadable(path, "this is a directory; name a .toml file in it") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror}); check its permissions") from None
    if len(content) > _MOST_BYTES:
        raise _unreadable(path, f"{len(content):,} bytes is no basket file; the most is {_MOST_BYTES:,}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            path, f"byte {content[error.start]:#04x} is not UTF-8; save the file as UTF-8", line
        ) from None
    return parse_basket(text, underlyings, latest_mis, file=str(path))


def parse_basket(
    text: str,
    underlyings: Collection[str] | None = None,
    latest_mis: Mapping[str, time] = _NOT_KNOWN,
    *,
    file: str = "",
) -> BasketFile:
    """As ``load_basket_file``, of a text; ``file`` only names it in problems."""
    if not text.strip():
        raise _unreadable(Path(file), "the file is empty; start from one of the examples")
    try:
        document = _toml(text, file)
        report = Report(file, lines_of_keys(text))
        found = read_document(Fields(document, "", report), underlyings, latest_mis)
    except RecursionError:
        raise _unreadable(Path(file), "nested too deeply to be a basket file") from None
    report.raise_if_any()
    return found


def _toml(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise Invalid(_syntax_problem(text, str(error), file)) from None


def _unreadable(path: Path, message: str, line: int | None = None) -> Invalid:
    return Invalid(Problem(where="", message=message, line=line, file=str(path)))


def _syntax_problem(text: str, message: str, file: str) -> Problem:
    lines = text.splitlines()
    place = _PLACE.search(message)
    number = (int(place[1]) if place[1] else max(len(lines), 1)) if place else None
    found = f" in {shown(lines[number - 1].strip())}" if number and number <= len(lines) else ""
    hint = 'Is it key = value, with text, times and dates in "straight quotes" and every bracket closed?'
    return Problem(where="", message=f"not TOML: {_PLACE.sub('', message)}{found}. {hint}", line=number, file=file)
