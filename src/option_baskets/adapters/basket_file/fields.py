"""Tables read key by key. What is wrong is reported and reading goes on with a stand-in, so all problems are found."""

import difflib
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import time
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, cast

from option_baskets.adapters.basket_file.positions import extend
from option_baskets.domain.errors import Invalid, Problem

Choice = TypeVar("Choice", bound=StrEnum)

IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MOST = Decimal(10) ** 12
_SHOWN = 60
_GUESSED = 50
"""So many unknown keys of one table are told one by one, each with what may have been meant."""
_ALSO_CALLED = {
    "finvasia": "shoonya",
    "kite": "zerodha",
    "smartapi": "angelone",
    "call": "ce",
    "put": "pe",
    "short": "sell",
    "long": "buy",
    "sl": "stop",
    "tp": "target",
}


class Report:
    """The problems found so far, each with the line of its path or of the nearest table around it."""

    def __init__(self, file: str = "", lines: Mapping[str, int] | None = None) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._lines = lines or {}

    def add(self, where: str, message: str) -> None:
        self.problems.append(Problem(where=where, message=message, line=self._line(where), file=self._file))

    def raise_if_any(self) -> None:
        if self.problems:
            raise Invalid(sorted(self.problems, key=lambda problem: problem.line or 0))

    def _line(self, where: str) -> int | None:
        path = where
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines.get(path, 1 if self._lines else None)


def shown(value: object) -> str:
    """A value as a person would write it in TOML, shortened."""
    match value:
        case None:
            text = "null"
        case bool():
            text = "true" if value else "false"
        case str():
            text = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case list():
            text = "[" + ", ".join(shown(each) for each in value) + "]"
        case dict():
            text = "{ " + ", ".join(f"{key} = {shown(each)}" for key, each in value.items()) + " }"
        case _:
            text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(word: str, known: Collection[str]) -> str:
    """``did you mean …?`` where a known word is close or another name of the same, regardless of case; or nothing."""
    folded = {each.casefold(): each for each in known}
    wanted = _ALSO_CALLED.get(word.casefold(), word.casefold())
    close = difflib.get_close_matches(wanted, folded, n=1) or [each for each in folded if wanted.startswith(each)]
    return f'did you mean "{folded[close[0]]}"?' if close else ""


@lru_cache(maxsize=200)
def _by_value(kind: Any) -> Mapping[str, Any]:
    """``kind`` is an enumeration or a tuple."""
    return {each.value: each for each in kind}


def one_of(word: object, known: Collection[str]) -> str:
    """The way out of a word that is not among the known ones."""
    guess = nearest(word, known) if isinstance(word, str) else ""
    words = ", ".join(shown(each) for each in known)
    return f"{guess} Write one of {words}" if guess else f"write one of {words}"


def _assignment(key: str, value: str) -> str:
    """How a person writes the value: with its key, but not inside an array."""
    if key.endswith("]"):
        return value
    return f"{key} = {value}" if key.isidentifier() else f"{shown(key)} = {value}"


class Fields:
    """One table. Each key is asked for once; ``close`` reports the keys nobody asked for."""

    def __init__(self, value: object, where: str, report: Report, parent: "Fields | None" = None) -> None:
        self.where = where
        self.report = report
        self._parent = parent
        self._table: Mapping[str, object] = value if isinstance(value, dict) else {}
        self._asked: list[str] = []
        self._before = len(report.problems)
        if not isinstance(value, dict):
            report.add(where, f"{shown(value)} is not a table")

    @property
    def is_sound(self) -> bool:
        """Nothing was reported since reading of this table began."""
        return len(self.report.problems) == self._before

    def has(self, key: str) -> bool:
        return key in self._table

    def is_good(self, key: str) -> bool:
        """The key is there and nothing was reported of it or inside it."""
        path = extend(self.where, key)
        return self.has(key) and not any(problem.where.startswith(path) for problem in self.report.problems)

    def add(self, key: str, message: str) -> None:
        self.report.add(extend(self.where, key) if key else self.where, message)

    def only_one(self, keys: Sequence[str], example: str) -> str | None:
        """Which of the keys is there; anything but exactly one of them is reported. ``example`` is the way out."""
        given = [key for key in keys if self.has(key)]
        if len(given) == 1:
            return given[0]
        have = f"both {' and '.join(given)}" if given else f"neither {' nor '.join(keys)}"
        self.add("", f"{have}; give one, for example {example}")
        return None

    def close(self, what: str = "key") -> None:
        unknown = [key for key in self._table if key not in self._asked]
        if len(unknown) > _GUESSED:
            self.add("", f"has {len(unknown)} keys that are none; known: {', '.join(self._asked)}")
        else:
            for key in unknown:
                way_out = self._moved_up(key) or nearest(key, self._asked) or "remove it."
                self.add(key, f"no such {what}; {way_out} Known: {', '.join(self._asked)}")

    def _moved_up(self, key: str) -> str:
        """TOML gives a key to the last header above it; say so where an outer table would have taken it."""
        outer = self._parent
        while outer is not None and key not in outer._asked:
            outer = outer._parent
        if outer is None:
            return ""
        if not outer.where:
            return "it belongs to the top of the file, above the first header."
        return f"it belongs to {outer.where}; move it up, above the headers inside that."

    def raw(self, key: str, example: str, *, required: bool, is_text: bool = False) -> object | None:
        """The value as it is. ``is_text``: a person writes the example in quotes."""
        self._asked.append(key)
        value = self._table.get(key)
        if value is None and (required or key in self._table):
            written = _assignment(key, shown(example) if is_text else example)
            if key in self._table:  # JSON's null, TOML has none
                self.add(key, f"null is no value; write for example {written}, or leave the key out")
            else:
                self.add(key, f"missing; write for example {written}")
        return value

    def fixed(self, key: str, value: int, otherwise: str) -> None:
        """A key that may be left out and has one value only; ``otherwise`` says what any other value is."""
        found = self.raw(key, str(value), required=False)
        if self.has(key) and shown(found) != str(value):
            self.add(key, f"{shown(found)} {otherwise}; write {key} = {value}")

    def never(self, key: str, why: str) -> None:
        """A key that has no place here although it has one in tables of this kind."""
        self._asked.append(key)
        if self.has(key):
            self.add(key, why)

    def text(self, key: str, example: str, default: str | None = None) -> str:
        value = self.raw(key, example, required=default is None, is_text=True)
        if value is None:
            return default or ""
        if not isinstance(value, str):
            self.add(
                key, f"{shown(value)} is not text; write it in quotes, for example {_assignment(key, shown(example))}"
            )
            return default or ""
        if not value:
            self.add(key, f'"" is empty; write for example {_assignment(key, shown(example))}')
        return value

    def word(self, key: str, value: object, example: str) -> str:
        """An element of an array that is text."""
        if isinstance(value, str) and value:
            return value
        self.add(key, f"{shown(value)} is not text; write it in quotes, for example {shown(example)}")
        return ""

    def identifier(self, key: str, example: str, default: str | None = None, *, most: int) -> str:
        """Text that can be part of a stored key."""
        value = self.text(key, example, default)
        if value and (len(value) > most or not IDENTIFIER.fullmatch(value)):
            self.add(key, f"{shown(value)} is no id; use at most {most} letters, digits and -_. between them")
        return value

    def name(self, key: str, example: str) -> str:
        """Text for people: not blank, one line, at most 80 characters."""
        value = self.text(key, example)
        if value and not (value.strip() and value.isprintable()):
            self.add(
                key, f"{shown(value)} is blank or not one line; write for example {_assignment(key, shown(example))}"
            )
        elif len(value) > 80:
            self.add(key, f"{len(value)} characters; a name has at most 80")
        return value.strip()

    def flag(self, key: str) -> bool:
        value = self.raw(key, "true", required=False)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.add(key, f"{shown(value)} is not true or false; write {key} = true, without quotes, or remove it")
        return False

    def integer(self, key: str, example: int, default: int | None = None, *, least: int = 0, most: int = 10_000) -> int:
        value = self.raw(key, str(example), required=default is None)
        fallback = example if default is None else default
        return fallback if value is None else self.whole(key, value, example, least=least, most=most)

    def whole(self, key: str, value: object, example: int, *, least: int, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            self.add(key, f"{shown(value)} is not a whole number; write for example {_assignment(key, str(example))}")
        elif not least <= value <= most:
            self.add(
                key, f"{shown(value)} is outside {least} to {most}; write for example {_assignment(key, str(example))}"
            )
        else:
            return value
        return example

    def decimal(
        self, key: str, example: str, default: Decimal | None = None, *, positive: bool, decimals: int = 4
    ) -> Decimal:
        value = self.raw(key, example, required=default is None)
        if value is None:
            return Decimal(example) if default is None else default
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
            self.add(
                key,
                f"{shown(value)} is not a number; write for example {_assignment(key, str(example))}, without quotes",
            )
            return Decimal(example)
        number = Decimal(value)
        if number.copy_abs() >= _MOST:  # abs() would overflow
            self.add(
                key, f"{shown(value)} is beyond any price or amount; write for example {_assignment(key, str(example))}"
            )
        elif number != round(number, decimals):
            self.add(key, f"{shown(value)} has more than {decimals} decimals; round it, for example {key} = {example}")
        elif positive and number <= 0:
            self.add(key, f"{shown(value)} must be above zero; write for example {_assignment(key, str(example))}")
        else:
            return number
        return Decimal(example)

    def optional(self, key: str, example: str, *, decimals: int = 4) -> Decimal | None:
        """A number above zero, or None where the key is not there."""
        value = self.decimal(key, example, Decimal(example), positive=True, decimals=decimals)
        return value if self.has(key) else None

    def optional_whole(self, key: str, example: int, *, most: int) -> int | None:
        """A whole number from 1, or None where the key is not there."""
        value = self.integer(key, example, example, least=1, most=most)
        return value if self.has(key) else None

    def choice(
        self,
        key: str,
        kind: type[Choice],
        example: Choice,
        default: Choice | None = None,
        *,
        among: Collection[Choice] = (),
    ) -> Choice:
        """A word of ``kind``; of ``among`` only, where not all of them are meant."""
        value = self.raw(key, example.value, required=default is None, is_text=True)
        return (default or example) if value is None else self.member(key, value, among or kind, example)

    def optional_choice(self, key: str, kind: type[Choice], example: Choice) -> Choice | None:
        """A word of ``kind``; None where the key is not there."""
        value = self.raw(key, example.value, required=False, is_text=True)
        return None if value is None else self.member(key, value, kind, example)

    def member(self, key: str, value: object, kind: Iterable[Choice], fallback: Choice) -> Choice:
        known: Mapping[str, Choice] = _by_value(cast(Hashable, kind))
        if isinstance(value, str) and value in known:
            return known[value]
        self.add(key, f"{shown(value)} is not known; {one_of(value, known)}")
        return fallback

    def clock(self, key: str, example: str) -> time:
        text = self.text(key, example)
        match = _CLOCK.fullmatch(text)
        if match is not None:
            return time(int(match[1]), int(match[2]))
        padded = f"0{text}"
        if text:
            example = padded if _CLOCK.fullmatch(padded) else example
            self.add(
                key,
                f"{shown(text)} is not a time HH:MM of 24 hours; write for example {_assignment(key, shown(example))}",
            )
        return time.fromisoformat(example)

    def optional_clock(self, key: str, example: str) -> time | None:
        """A time; None where the key is not there."""
        if self.has(key):
            return self.clock(key, example)
        self.raw(key, example, required=False, is_text=True)
        return None

    def table(self, key: str, example: str, *, required: bool = True) -> "Fields | None":
        value = self.raw(key, example, required=required)
        if isinstance(value, dict):
            return type(self)(value, extend(self.where, key), self.report, self)
        if value is not None:
            self.add(key, f"{shown(value)} is not a table; write for example {_assignment(key, str(example))}")
        return None

    def tables(
        self, key: str, header: str, *, most: int | None = None, limit: str = "", required: bool = True
    ) -> Iterator["Fields"]:
        """The tables of an array, which is never empty. ``header`` is how a person starts one; ``limit`` says that
        there are at most ``most``, and the way out."""
        path = extend(self.where, key)
        values = self.elements(key, f"a table {header}", required=required)
        if most is not None and len(values) > most:
            self.add(key, f"{len(values)} {key}; {limit}")
        for index, value in values:
            yield type(self)(value, extend(path, index), self.report, self)

    def elements(self, key: str, example: str, *, required: bool = False) -> list[tuple[int, object]]:
        """The elements of an array with their index. An array that is there is not empty."""
        self._asked.append(key)
        value = self._table.get(key, [])
        if not isinstance(value, list):
            self.add(key, f"{shown(value)} is not a list; write for example {example}")
            return []
        if not value and required:
            self.add(key, f"none given; give at least one: {example}")
        elif not value and self.has(key):
            self.add(key, f"an empty list never holds; write for example {example}, or remove the key")
        return list(enumerate(value))
