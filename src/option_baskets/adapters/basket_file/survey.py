"""What the reader of basket files asks for: each table's keys, their types and bounds, and on what they depend.

The reader is run on documents that have every table, and then on one for each word a key may have. Its questions are
noted, its complaints ignored. So whatever it learns to read is known here without being written down twice.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from typing import Any, cast

from option_baskets.adapters.basket_file.document import read_document
from option_baskets.adapters.basket_file.fields import IDENTIFIER, Choice, Fields, Report
from option_baskets.adapters.basket_file.positions import extend

Shape = dict[str, Any]
"""A piece of JSON Schema."""

_INDEX = re.compile(r"\[\d+\]")
_CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$"


@dataclass(slots=True)
class Asked:
    """One key as it was asked for."""

    shape: Shape = field(default_factory=dict)
    required: bool = False
    never: bool = False
    """It was asked for only to say that it has no place here."""
    words: tuple[object, ...] = ()
    """Values on which other keys may depend."""
    default: object = None
    opening: object = None
    """What to put there for the reader to go on inside: an empty table, or a list."""


@dataclass(slots=True)
class Seen:
    """One table as it was read once."""

    path: str
    """Without indexes, e.g. ``strategies.legs.strike``."""
    given: Mapping[str, object]
    keys: dict[str, Asked] = field(default_factory=dict)
    only_one: list[tuple[str, ...]] = field(default_factory=list)
    """Keys of which exactly one is given."""
    is_map: bool = False
    """Its keys are names the user chose."""

    @property
    def words(self) -> frozenset[tuple[str, object]]:
        """The keys that were given a word, with it."""
        return frozenset((key, self.given[key]) for key, asked in self.keys.items() if self._is_worded(key, asked))

    def _is_worded(self, key: str, asked: Asked) -> bool:
        return key in self.given and self.given[key] in asked.words


class _Notes(Report):
    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, Seen] = {}


class _Observed(Fields):
    def __init__(self, value: object, where: str, report: Report, parent: Fields | None = None) -> None:
        super().__init__(value, where, report, parent)
        given = value if isinstance(value, dict) else {}
        self._seen = cast(_Notes, report).tables.setdefault(where, Seen(path=_INDEX.sub("", where), given=given))

    def _note(self, key: str, shape: Shape | None = None) -> Asked:
        """The key, or for ``days[0]`` what the list ``days`` holds."""
        name, is_element, _ = key.partition("[")
        asked = self._seen.keys.setdefault(name, Asked())
        if is_element:
            asked.shape.setdefault("items", {}).update(shape or {})
        else:
            asked.shape.update(shape or {})
        return asked

    def _note_default(self, key: str, example: object, default: object) -> Asked:
        asked = self._note(key, {"examples": [example]} if default is None else {"default": default})
        asked.default = default
        return asked

    def raw(self, key: str, example: str, *, required: bool, is_text: bool = False) -> object | None:
        self._note(key).required = required
        return super().raw(key, example, required=required, is_text=is_text)

    def fixed(self, key: str, value: int, otherwise: str) -> None:
        super().fixed(key, value, otherwise)
        self._note(key, {"const": value, "default": value})

    def never(self, key: str, why: str) -> None:
        super().never(key, why)
        self._note(key).never = True

    def text(self, key: str, example: str, default: str | None = None) -> str:
        value = super().text(key, example, default)
        self._note_default(key, example, default)
        self._note(key, {"type": "string", "minLength": 1})
        return value

    def word(self, key: str, value: object, example: str) -> str:
        self._note(key, {"type": "string", "minLength": 1})
        return super().word(key, value, example)

    def identifier(self, key: str, example: str, default: str | None = None, *, most: int) -> str:
        value = super().identifier(key, example, default, most=most)
        self._note(key, {"pattern": f"^{IDENTIFIER.pattern}$", "maxLength": most})
        return value

    def name(self, key: str, example: str) -> str:
        value = super().name(key, example)
        self._note(key, {"maxLength": 80})
        return value

    def flag(self, key: str) -> bool:
        value = super().flag(key)
        self._note_default(key, None, False).words = (True,)
        self._note(key, {"type": "boolean"})
        return value

    def integer(self, key: str, example: int, default: int | None = None, *, least: int = 0, most: int = 10_000) -> int:
        value = super().integer(key, example, default, least=least, most=most)
        self._note_default(key, example, default)
        self._note_whole(key, least, most)
        return value

    def whole(self, key: str, value: object, example: int, *, least: int, most: int) -> int:
        self._note_whole(key, least, most)
        return super().whole(key, value, example, least=least, most=most)

    def _note_whole(self, key: str, least: int, most: int) -> None:
        self._note(key, {"type": "integer", "minimum": least, "maximum": most})

    def decimal(
        self, key: str, example: str, default: Decimal | None = None, *, positive: bool, decimals: int = 4
    ) -> Decimal:
        value = super().decimal(key, example, default, positive=positive, decimals=decimals)
        self._note_default(key, _number(Decimal(example)), None if default is None else _number(default))
        self._note(key, {"type": "number"} | ({"exclusiveMinimum": 0} if positive else {}))
        return value

    def optional(self, key: str, example: str, *, decimals: int = 4) -> Decimal | None:
        value = super().optional(key, example, decimals=decimals)
        self._note_absent(key)
        return value

    def optional_whole(self, key: str, example: int, *, most: int) -> int | None:
        value = super().optional_whole(key, example, most=most)
        self._note_absent(key)
        return value

    def _note_absent(self, key: str) -> None:
        """What stands in for a missing key is no default: without the key there is nothing."""
        shape = self._note(key).shape
        shape["examples"] = [shape.pop("default")]

    def choice(
        self,
        key: str,
        kind: type[Choice],
        example: Choice,
        default: Choice | None = None,
        *,
        among: Collection[Choice] = (),
    ) -> Choice:
        value = super().choice(key, kind, example, default, among=among)
        asked = self._note_default(key, example.value, None if default is None else default.value)
        asked.words = tuple(each.value for each in among or kind)
        self._note(key, {"enum": list(asked.words)})
        return value

    def optional_choice(self, key: str, kind: type[Choice], example: Choice) -> Choice | None:
        value = super().optional_choice(key, kind, example)
        asked = self._note_default(key, example.value, None)
        asked.words = tuple(each.value for each in kind)
        self._note(key, {"enum": list(asked.words)})
        return value

    def member(self, key: str, value: object, kind: Iterable[Choice], fallback: Choice) -> Choice:
        self._note(key, {"enum": [each.value for each in kind]})
        return super().member(key, value, kind, fallback)

    def clock(self, key: str, example: str) -> time:
        value = super().clock(key, example)
        self._note(key, {"pattern": _CLOCK})
        return value

    def optional_clock(self, key: str, example: str) -> time | None:
        value = super().optional_clock(key, example)
        self._note_default(key, example, None)
        self._note(key, {"type": "string", "pattern": _CLOCK})
        return value

    def table(self, key: str, example: str, *, required: bool = True) -> Fields | None:
        value = super().table(key, example, required=required)
        self._note(key, _reference(extend(self.where, key))).opening = {}
        return value

    def tables(
        self, key: str, header: str, *, most: int | None = None, limit: str = "", required: bool = True
    ) -> Iterator[Fields]:
        yield from super().tables(key, header, most=most, limit=limit, required=required)
        # Two inside of another, where a default may be of the place in the list; each doubles all that is read.
        self._note(key, {"items": _reference(extend(self.where, key))}).opening = [{}, {}] if self.where else [{}]
        self._note(key, {} if most is None else {"maxItems": most})

    def elements(self, key: str, example: str, *, required: bool = False) -> list[tuple[int, object]]:
        asked = self._note(key, {"type": "array", "minItems": 1})
        asked.required, asked.opening = required, [""]
        return super().elements(key, example, required=required)

    def only_one(self, keys: Sequence[str], example: str) -> str | None:
        self._seen.only_one.append(tuple(keys))
        return super().only_one(keys, example)

    def close(self, what: str = "key") -> None:
        self._seen.is_map = what != "key"
        super().close(what)


def survey() -> list[Seen]:
    """Every table, read once for each combination of words on which its keys depend."""
    whole, tables = _filled({})
    found = list(tables.values())
    pending = [(whole, tables, where, key) for where, seen in tables.items() for key in seen.keys]
    while pending:
        document, before, where, key = pending.pop()
        for word in before[where].keys[key].words:
            changed, after = _filled(_with(document, where, key, word))
            found.append(after[where])
            new = set(after[where].keys) - set(before[where].keys)
            pending += [(changed, after, where, each) for each in sorted(new)]
            found += [seen for path, seen in after.items() if path not in tables]
    return found


def _filled(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Seen]]:
    """The document with every table and list the reader asks for, and what it asks then, by path with indexes."""
    whole = deepcopy(dict(document))
    while True:
        notes = _Notes()
        read_document(_Observed(whole, "", notes), None)
        missing = [
            (where, key, asked.opening)
            for where, seen in notes.tables.items()
            for key, asked in seen.keys.items()
            if asked.opening is not None and key not in seen.given
        ]
        if not missing:
            return whole, notes.tables
        for where, key, opening in missing:
            whole = _with(whole, where, key, opening)


def _with(document: Mapping[str, Any], where: str, key: str, value: object) -> dict[str, Any]:
    changed = deepcopy(dict(document))
    table: Any = changed
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", where):
        table = table[name] if name else table[int(index)]
    table[key] = deepcopy(value)
    return changed


def _reference(where: str) -> Shape:
    return {"$ref": f"#/definitions/{_INDEX.sub('', where)}"}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
