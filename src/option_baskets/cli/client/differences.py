"""What sets one plan apart from another, both as the JSON of the API."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

Table = dict[str, Any]

_IDENTITY = frozenset({"id", "basket_id", "strategy_id", "version"})
"""Keys that answers have beside those of a file."""


def wire(table: Mapping[str, Any]) -> bytes:
    """A table as the body of a request."""
    return msgspec.json.Encoder(decimal_format="number").encode(table)


def plain(table: Mapping[str, Any]) -> Table:
    """A table as an answer would have it."""
    found: Table = json.loads(wire(table), parse_float=Decimal)
    return found


def without_identity(answered: Mapping[str, Any]) -> Table:
    return {key: value for key, value in answered.items() if key not in _IDENTITY}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A line for each value that changes: where, what it was, what it becomes."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        f"{path or 'it'}: {_shown(old, path)} -> {_shown(new, path)}"
        for path in dict.fromkeys((*old, *new))
        if path not in old or path not in new or old[path] != new[path]
    ]


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value that contains no other, by its path; what has an id is named by it and not by its place."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, each in enumerate(value):
            name = each["id"] if isinstance(each, Mapping) and "id" in each else place
            yield from _leaves(each, f"{path}[{name}]")
    else:
        yield path, value


def _shown(leaves: Mapping[str, object], path: str) -> str:
    if path not in leaves:
        return "(none)"
    value = leaves[path]
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
