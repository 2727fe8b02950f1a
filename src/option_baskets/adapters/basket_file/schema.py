"""JSON Schema (draft 7) of basket files, for editors: made from what their reader asks for.

It knows every key, type, bound, word, and which keys belong to which rule. What only the whole file shows (ids that
refer to each other, an exit before its entry, lost cover) is left to ``baskets check``.
"""

from collections.abc import Iterable, Sequence

from option_baskets.adapters.basket_file.survey import Seen, Shape, survey

_HINTS = {"default", "examples"}
"""For the person who types; a file is as valid without them."""

_Words = frozenset[tuple[str, object]]


def schema() -> Shape:
    """The schema of a whole file. Every file ``parse_basket`` takes is valid under it."""
    by_path: dict[str, list[Seen]] = {}
    for seen in survey():
        by_path.setdefault(seen.path, []).append(seen)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Basket file",
        "description": "What to trade, when, and how many lots go to which account. `baskets check` tells the rest.",
        **_table(by_path[""]),
        "definitions": {path: _table(readings) for path, readings in sorted(by_path.items()) if path},
    }


def _table(readings: Sequence[Seen]) -> Shape:
    if any(seen.is_map for seen in readings):
        return _map(readings)
    shape: Shape = {
        "type": "object",
        "properties": {key: _alternatives(readings, key) for key in _allowed(readings)},
        "additionalProperties": False,
    }
    required = _required(readings)
    if required:
        shape["required"] = required
    choices = list(dict.fromkeys(keys for seen in readings for keys in seen.only_one))
    for key in (key for keys in choices for key in keys):
        shape["properties"][key].pop("default", None)
    conditions: list[Shape] = [{"oneOf": [{"required": [key]} for key in keys]} for keys in choices]
    conditions += _dependent(readings)
    if conditions:
        shape["allOf"] = conditions
    return shape


def _map(readings: Sequence[Seen]) -> Shape:
    """A table whose keys the user chose; all its values are of one kind."""
    values = [asked.shape for seen in readings for asked in seen.keys.values()]
    return {"type": "object", "minProperties": 1, "additionalProperties": _bare(values[0])}


# ---------------------------------------------------------------- what depends on a word


def _dependent(readings: Sequence[Seen]) -> list[Shape]:
    """If these words are given, then these keys: for every combination that says more than fewer words do."""
    combinations = sorted({seen.words for seen in readings if seen.words}, key=_order)
    rules = []
    for words in combinations:
        then = _difference(_with(readings, _fewer(words, combinations)), _with(readings, words))
        if then:
            rules.append({"if": _condition(readings, words), "then": then})
    return rules


def _order(words: _Words) -> tuple[int, list[str]]:
    """The same in every process, as a set's own order is not: what is published must not change by itself."""
    return len(words), sorted(map(repr, words))


def _fewer(words: _Words, combinations: Iterable[_Words]) -> _Words:
    """The largest combination inside this one; none: no words."""
    return max((each for each in combinations if each < words), key=len, default=frozenset())


def _with(readings: Sequence[Seen], words: _Words) -> list[Seen]:
    return [seen for seen in readings if seen.words >= words]


def _condition(readings: Sequence[Seen], words: _Words) -> Shape:
    """A word that is the default is met by its absence too."""
    ordered = sorted(words, key=repr)
    defaults = {key: asked.default for seen in readings for key, asked in seen.keys.items()}
    shape: Shape = {"properties": {key: {"const": word} for key, word in ordered}}
    needed = [key for key, word in ordered if defaults[key] != word]
    return shape | ({"required": needed} if needed else {})


def _difference(more: Sequence[Seen], fewer: Sequence[Seen]) -> Shape:
    """What the second readings demand beyond the first, of which they are a part."""
    shape: Shape = {}
    allowed = _allowed(fewer)
    properties: Shape = {key: False for key in _allowed(more) if key not in allowed}
    for key in allowed:
        narrower = _alternatives(fewer, key)
        if _bare(narrower) != _bare(_alternatives(more, key)):
            properties[key] = narrower
    required = [key for key in _required(fewer) if key not in _required(more)]
    if properties:
        shape["properties"] = properties
    if required:
        shape["required"] = required
    return shape


# ---------------------------------------------------------------- what readings have in common


def _allowed(readings: Sequence[Seen]) -> list[str]:
    """Keys that have a place in some reading, in the order in which they were asked for."""
    return list(dict.fromkeys(key for seen in readings for key, asked in seen.keys.items() if not asked.never))


def _required(readings: Sequence[Seen]) -> list[str]:
    """Keys that every reading demands."""
    return [key for key in _allowed(readings) if all(key in seen.keys and seen.keys[key].required for seen in readings)]


def _alternatives(readings: Sequence[Seen], key: str) -> Shape:
    """The shapes of a key over the readings in which it has a place; hints on which they disagree are left out."""
    shapes: list[Shape] = []
    for seen in readings:
        if key not in seen.keys or seen.keys[key].never:
            continue
        asked = seen.keys[key].shape
        twin = next((shape for shape in shapes if _bare(shape) == _bare(asked)), None)
        if twin is None:
            shapes.append(dict(asked))
        for hint in _HINTS & set(twin or ()):
            if twin is not None and twin[hint] != asked.get(hint):
                del twin[hint]
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _bare(shape: Shape) -> Shape:
    return {name: part for name, part in shape.items() if name not in _HINTS}
