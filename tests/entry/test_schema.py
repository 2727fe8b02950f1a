"""The JSON Schema of basket files takes what the loader takes, and refuses what a person can see is wrong."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.basket_file.document import read_document
from option_baskets.adapters.basket_file.fields import Fields, Report
from option_baskets.adapters.basket_file.schema import schema
from option_baskets.cli import main
from option_baskets.domain.basket import Pick, StrikeRule
from option_baskets.domain.errors import Invalid
from tests.entry.test_strategy_files_doc import blocks, framed
from tests.entry.test_strike_spellings import FILE, SPELLINGS

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "examples").glob("*.toml")) + sorted((ROOT / "examples" / "templates").glob("*.toml"))
SCHEMA = schema()
VALIDATOR = Draft7Validator(SCHEMA)


def complaints(text: str) -> list[str]:
    found = VALIDATOR.iter_errors(tomllib.loads(text))
    return [f"{error.json_path}: {error.message}" for error in found]


def test_the_command_prints_it_and_it_is_a_schema() -> None:
    printed = CliRunner().invoke(main, ["schema"])
    assert printed.exit_code == 0
    assert json.loads(printed.output) == SCHEMA
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_example_and_template_is_valid(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("block", [each for each in blocks() if not each.errors], ids=lambda each: f"line {each.line}")
def test_every_good_block_of_the_page_is_valid(block: Any) -> None:
    assert complaints(framed(block.kind, block.text)) == []


@pytest.mark.parametrize("spelling", [each[0] for each in SPELLINGS])
def test_every_spelling_of_a_strike_is_valid(spelling: str) -> None:
    assert complaints(FILE.replace("STRIKE", spelling)) == []


def test_an_editor_is_offered_every_word() -> None:
    strike = SCHEMA["definitions"]["strategies.legs.strike"]["properties"]
    assert strike["rule"]["enum"] == [each.value for each in StrikeRule]
    assert {word for each in strike["pick"]["anyOf"] for word in each["enum"]} == {each.value for each in Pick}


def shapes(node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for part in node.values():
            yield from shapes(part)


def test_every_key_says_what_it_holds() -> None:
    """A new way to read a value has to be told to `adapters/basket_file/survey.py`."""
    tables = [SCHEMA, *SCHEMA["definitions"].values()]
    said = {"type", "enum", "const", "$ref", "anyOf"}
    silent = [key for table in tables for key, shape in table.get("properties", {}).items() if not said & set(shape)]
    assert silent == []
    items = [shape["items"] for table in tables for shape in table.get("properties", {}).values() if "items" in shape]
    assert items
    assert all(said & set(shape) for shape in items)


# ---------------------------------------------------------------- what it refuses

GOOD = (ROOT / "examples" / "straddle-0920.toml").read_text(encoding="utf-8")
STRIKE = 'strike = { rule = "atm", offset = 0 }'
STOPPED = "stop = { percent = 25 }\non_stop = {"
BAD = {
    "an unknown key at the top": ("format = 1", "formats = 1"),
    "another format": ("format = 1", "format = 2"),
    "an unknown key": ("capital = 500000", "capital = 500000\ncapitol = 1"),
    "a missing key": ("capital = 500000\n", ""),
    "text for a number": ("capital = 500000", 'capital = "5 lakh"'),
    "zero capital": ("capital = 500000", "capital = 0"),
    "a long name": ('name = "Straddle"', f'name = "{"x" * 81}"'),
    "an empty name": ('name = "Straddle"', 'name = ""'),
    "an unknown word": ('mode = "paper"', 'mode = "Paper"'),
    "an id with a space": ('id = "zerodha-1"', 'id = "zerodha 1"'),
    "a time without its zero": ('entry = "09:20"', 'entry = "9:20"'),
    "a time that is none": ('exit = "15:15"', 'exit = "25:15"'),
    "an unknown day": ('days = ["MON",', 'days = ["Monday",'),
    "no day": ('days = ["MON", "TUE", "WED", "THU", "FRI"]', "days = []"),
    "a word among days to expiry": ('exit = "15:15"', 'exit = "15:15"\ndte = ["0"]'),
    "days to expiry below zero": ('exit = "15:15"', 'exit = "15:15"\ndte = [-1]'),
    "a reference of another spelling": ('exit = "15:15"', 'exit = "15:15"\nreference = "spots"'),
    "text for a flag": ('exit = "15:15"', 'exit = "15:15"\nnaked = "true"'),
    "an expiry too far": ('series = "weekly", offset = 0', 'series = "weekly", offset = 13'),
    "an unknown series": ('series = "weekly"', 'series = "daily"'),
    "a side in words": ('side = "SELL"', 'side = "sell"'),
    "a ratio of nothing": ('side = "SELL"', 'side = "SELL"\nratio = 0'),
    "an option without a strike": (STRIKE + "\n", "\n"),
    "a future with a strike": ('type = "CE"', 'type = "FUT"'),
    "an unknown rule": (STRIKE, 'strike = { rule = "amt" }'),
    "no rule": (STRIKE, "strike = { offset = 0 }"),
    "a key of another rule": (STRIKE, 'strike = { rule = "atm", points = 100 }'),
    "half a step": (STRIKE, 'strike = { rule = "atm", offset = 0.5 }'),
    "points left out": (STRIKE, 'strike = { rule = "atm_points" }'),
    "a premium without its pick": (STRIKE, 'strike = { rule = "premium", value = 50 }'),
    "a range with one value": (STRIKE, 'strike = { rule = "premium", pick = "range", value = 50 }'),
    "a value with two ends": (STRIKE, 'strike = { rule = "premium", pick = "closest", from = 40, to = 60 }'),
    "a premium of nothing": (STRIKE, 'strike = { rule = "premium", pick = "closest", value = 0 }'),
    "a range of the straddle": (STRIKE, 'strike = { rule = "straddle_percent", pick = "range", percent = 5 }'),
    "a delta at least so much": (STRIKE, 'strike = { rule = "delta", pick = "at_least", value = 0.25 }'),
    "a negative delta": (STRIKE, 'strike = { rule = "delta", value = -0.25 }'),
    "a stop of both kinds": ("stop = { percent = 25 }", "stop = { percent = 25, points = 5 }"),
    "a stop of no kind": ("stop = { percent = 25 }", "stop = {}"),
    "a stop that is a number": ("stop = { percent = 25 }", "stop = 25"),
    "an unknown way to come again": ("stop = { percent = 25 }", f'{STOPPED} reenter = "soon" }}'),
    "points at once": ("stop = { percent = 25 }", f'{STOPPED} reenter = "asap", points = 5 }}'),
    "too often again": ("stop = { percent = 25 }", f'{STOPPED} reenter = "cost", times = 21 }}'),
    "a leg that is a number": ("stop = { percent = 25 }", f"{STOPPED} wakes = [2] }}"),
    "a cut-off that is no time": ('exit = "15:15"', 'exit = "15:15"\nreenter_until = "2 pm"'),
    "lots of both kinds": ("lots = 2", 'lots = 2\nleg_lots = { "1" = 2 }'),
    "no lots": ("lots = 2", ""),
    "zero lots": ("lots = 2", "lots = 0"),
    "zero lots of a leg": ("lots = 2", 'leg_lots = { "1" = 0 }'),
    "lots of no leg": ("lots = 2", "leg_lots = {}"),
    "a list that is a table": ("[[accounts]]", "[accounts]"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_at_sight_is_refused_by_the_schema_and_by_the_loader(what: str) -> None:
    text = GOOD.replace(*BAD[what], 1)
    assert text != GOOD
    assert complaints(text) != []
    with pytest.raises(Invalid):
        parse_basket(text)


@pytest.mark.parametrize(("path", "most"), [(("strategies",), 10), (("strategies", 0, "legs"), 6)])
def test_one_too_many_is_refused(path: tuple[str | int, ...], most: int) -> None:
    document = tomllib.loads(GOOD)
    held: Any = document
    for step in path:
        held = held[step]
    held += [deepcopy(held[0]) for _ in range(most - len(held))]
    assert VALIDATOR.is_valid(document)
    held.append(deepcopy(held[0]))
    assert not VALIDATOR.is_valid(document)


# ---------------------------------------------------------------- the loader and the schema

DOCUMENTS = [tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal) for path in FILES]
WORDS: dict[str, list[object]] = {}
for _key, _shape in shapes(SCHEMA):
    if isinstance(_shape, dict):
        WORDS.setdefault(_key, []).extend(_shape.get("enum", []) + _shape.get("examples", []))
ANYTHING: st.SearchStrategy[object] = st.one_of(
    st.sampled_from(["", "x", "1", "09:20", "10:00", "atm", "weekly", True, False, {}, [], [{}], {"percent": 25}]),
    st.integers(-3, 300),
    st.decimals(-2, 120, places=2),
)


def places(node: object) -> Iterator[tuple[Any, Any]]:
    """Every table or list with each of its keys."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        pairs = list(node.items())
    elif isinstance(node, list):
        pairs = list(enumerate(node))
    for key, value in pairs:
        yield node, key
        yield from places(value)


def like(key: object, value: object) -> st.SearchStrategy[object]:
    """A value that may well stand where this one stands."""
    if isinstance(value, int | Decimal):
        return st.one_of(st.integers(1, 60), st.decimals(0, 90, places=1))
    known = WORDS.get(key) if isinstance(key, str) else None
    return st.sampled_from(known) if known else ANYTHING


def changed(draw: st.DrawFn, document: dict[str, Any]) -> None:
    """One change: a key is dropped, added, or given another value, of its own kind or any."""
    held, key = draw(st.sampled_from(list(places(document))))
    name = draw(st.sampled_from(sorted(WORDS)))
    match draw(st.sampled_from(["drop", "like", "like", "like", "any", "add"])):
        case "drop":
            del held[key]
        case "like":
            held[key] = deepcopy(draw(like(key, held[key])))
        case "add" if isinstance(held, dict):
            held[name] = deepcopy(draw(like(name, None)))
        case _:
            held[key] = deepcopy(draw(ANYTHING))


@st.composite
def any_document(draw: st.DrawFn) -> dict[str, Any]:
    """A file of ours, with a few changes."""
    document: dict[str, Any] = deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 2))):
        changed(draw, document)
    return document


def as_floats(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: as_floats(value) for key, value in node.items()}
    if isinstance(node, list):
        return [as_floats(value) for value in node]
    return float(node) if isinstance(node, Decimal) else node


@given(any_document())
@settings(max_examples=250, deadline=None)
def test_whatever_the_loader_takes_is_valid(document: dict[str, Any]) -> None:
    report = Report()
    read_document(Fields(document, "", report), None)
    if not report.problems:
        assert list(VALIDATOR.iter_errors(as_floats(document))) == []
