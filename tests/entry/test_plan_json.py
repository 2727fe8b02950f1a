"""Plans as JSON: what is written is read again as the same, and every key that can be read is written."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.basket_file.changes import (
    Known,
    Stored,
    read_allocation,
    read_basket_again,
    read_leg,
    read_new_basket,
    read_new_strategy,
    read_strategy_again,
    without_leg,
)
from option_baskets.adapters.basket_file.components import plan_schemas
from option_baskets.adapters.basket_file.document import BasketFile, read_document
from option_baskets.adapters.basket_file.fields import Fields, Report
from option_baskets.adapters.basket_file.tables import (
    allocation_table,
    basket_table,
    document_table,
    leg_table,
    strategy_table,
)
from option_baskets.adapters.templates import template
from option_baskets.domain.basket import Strategy
from option_baskets.domain.errors import Invalid
from tests.entry.test_schema import DOCUMENTS, VALIDATOR, any_document
from tests.entry.test_strategy_files_doc import PAGE, blocks, framed
from tests.entry.test_strike_spellings import FILE, SPELLINGS
from tests.reference.generated_legs import Kind
from tests.reference.generator import strategy as generated

KNOWN = Known(underlyings=("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "SENSEX", "BANKEX"), latest_mis={})
TEXTS = [framed(each.kind, each.text) for each in blocks() if not each.errors]
SELDOM = (
    'product = "MIS"\nentry_grace_seconds = 30\nslippage_limit_percent = 7.5\n',
    "special_sessions = true\n",
)
TEXTS += [framed("strategy", text) for text in SELDOM]
TEXTS += [FILE.replace("STRIKE", each[0]) for each in SPELLINGS]
FILES = DOCUMENTS + [tomllib.loads(text, parse_float=Decimal) for text in TEXTS]
SCHEMAS = {"components": {"schemas": plan_schemas()}}
_encoder = msgspec.json.Encoder(decimal_format="number")


def read(document: object) -> BasketFile:
    report = Report()
    found = read_document(Fields(document, "", report), None)
    report.raise_if_any()
    return found


def sent(table: object) -> Any:
    """As a client sends back what it was answered."""
    return json.loads(_encoder.encode(table), parse_float=Decimal)


def fits(name: str, table: object) -> bool:
    """Whether what is published allows it."""
    return bool(validator(name).is_valid(json.loads(_encoder.encode(table))))


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", **SCHEMAS})


def check_all(file: BasketFile) -> None:
    """Every part of the file, written and read as a file and as bodies of their own."""
    whole = document_table(file)
    assert read(sent(whole)) == file
    assert VALIDATOR.is_valid(json.loads(_encoder.encode(whole)))
    table = basket_table(file.basket)
    assert fits("NewBasket", table)
    assert read_new_basket(sent(table)) == file.basket
    stored = Stored(
        basket=file.basket, strategies=file.strategies, allocations=file.allocations, accounts=file.accounts
    )
    assert read_basket_again(sent(table), stored) == file.basket
    for strategy in file.strategies:
        check_strategy(file, strategy, stored)


def check_strategy(file: BasketFile, strategy: Strategy, stored: Stored) -> None:
    allocations = file.of(strategy)
    table = strategy_table(strategy)
    body = table | {"allocations": [allocation_table(each) for each in allocations]}
    assert fits("NewStrategy", body)
    assert fits("StrategyEdit", table)
    fresh = Stored(basket=file.basket, accounts=file.accounts)
    assert read_new_strategy(sent(body), fresh, KNOWN) == (strategy, allocations)
    assert read_strategy_again(sent(table), strategy, stored, KNOWN) == strategy
    for allocation in allocations:
        own = sent(allocation_table(allocation))
        assert read_allocation(own, allocation, strategy, stored, KNOWN) == allocation
    for leg in strategy.legs:
        assert read_leg(sent(leg_table(leg)), leg.id, strategy, stored, KNOWN) == strategy


@pytest.mark.parametrize("document", FILES, ids=range(len(FILES)))
def test_every_file_of_ours_is_written_and_read_as_the_same(document: object) -> None:
    check_all(read(document))


@given(any_document())
@settings(max_examples=100, deadline=None)
def test_whatever_file_is_taken_is_written_and_read_as_the_same(document: dict[str, Any]) -> None:
    report = Report()
    found = read_document(Fields(document, "", report), KNOWN.underlyings)
    assume(not report.problems)
    check_all(found)


@given(st.integers(0, 100_000), st.sampled_from([1, 3]))
@settings(max_examples=100, deadline=None)
def test_strategies_with_any_rules_are_written_and_read_as_the_same(number: int, days: int) -> None:
    """The reference's own: every rule there is, by turns and together."""
    kind = Kind(
        underlying="NIFTY", level=26000, days=days, expiries=2, has_spot=True, has_future=True, has_charges=True
    )
    table = {key: value for key, value in generated(7, number, kind).items() if "'" not in key}
    accounts = [{"id": name} for name in sorted({each["account"] for each in table["allocations"]})]
    basket = {"name": "generated", "capital": 10_000_000}
    check_all(read({"basket": basket, "accounts": accounts, "strategies": [table]}))


def keys(table: object, path: str = "") -> Iterator[str]:
    if isinstance(table, dict):
        for key, value in table.items():
            yield f"{path}.{key}"
            yield from keys(value, f"{path}.{key}")
    elif isinstance(table, list):
        for value in table:
            yield from keys(value, path)


def test_every_key_that_can_be_read_is_written() -> None:
    """A key the reader learns is told to `adapters/basket_file/tables.py` and `leg_tables.py`."""
    readable = {key for document in FILES for key in keys(document)}
    written = {key for document in FILES for key in keys(document_table(read(document)))}
    schemas = plan_schemas()
    published = {f".strategies.{key}" for key in schemas["NewStrategy"]["properties"]}
    published |= {f".strategies.legs.{key}" for key in schemas["LegTable"]["properties"]}
    published |= {f".strategies.allocations.{key}" for key in schemas["AllocationTable"]["properties"]}
    published |= {f".basket.{key}" for key in schemas["NewBasket"]["properties"] if key != "dynamic"}
    assert readable - written == set()
    assert published - written == set()


def test_the_json_of_the_page_is_the_strategy_of_its_first_file() -> None:
    file = parse_basket(next(each.text for each in blocks() if not each.kind))
    (shown,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    stored = Stored(basket=file.basket, accounts=file.accounts)
    strategy, allocations = read_new_strategy(json.loads(shown), stored, KNOWN)
    assert ((strategy,), allocations) == (file.strategies, file.allocations)


# ---------------------------------------------------------------- changes

CONDOR = template("iron-condor").basket
(STRATEGY,) = CONDOR.strategies
STORED = Stored(basket=CONDOR.basket, strategies=(STRATEGY,), allocations=CONDOR.allocations, accounts=CONDOR.accounts)


def broken(draw: Random, node: Any) -> Any:
    """The same with one value of another kind somewhere."""
    if isinstance(node, dict) and node and draw.random() < 0.8:
        key = draw.choice(sorted(node))
        return node | {key: broken(draw, node[key])}
    if isinstance(node, list) and node and draw.random() < 0.8:
        at = draw.randrange(len(node))
        return [*node[:at], broken(draw, node[at]), *node[at + 1 :]]
    strange: list[Any] = [
        None,
        True,
        -1,
        10**30,
        Decimal("1E+9999999"),
        Decimal("1E-9999999"),
        "",
        "\x00",
        "x" * 300,
        [],
        {},
    ]
    return draw.choice([*strange, [[]], [None], {"": None}, {"a": {"b": []}}, "09:20", Decimal("0.00001")])


@given(st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_body_with_anything_in_it_is_read_or_told_what_is_wrong(draw: Random) -> None:
    allocation = CONDOR.allocations[0]
    leg = STRATEGY.legs[0]
    readers: list[Callable[[Any], object]] = [
        lambda body: read_new_basket(broken(draw, sent(basket_table(CONDOR.basket)))),
        lambda body: read_basket_again(body, STORED),
        lambda body: read_new_strategy(body, STORED, KNOWN),
        lambda body: read_strategy_again(body, STRATEGY, STORED, KNOWN),
        lambda body: read_allocation(broken(draw, sent(allocation_table(allocation))), None, STRATEGY, STORED, KNOWN),
        lambda body: read_allocation(
            broken(draw, sent(allocation_table(allocation))), allocation, STRATEGY, STORED, KNOWN
        ),
        lambda body: read_leg(broken(draw, sent(leg_table(leg))), None, STRATEGY, STORED, KNOWN),
        lambda body: read_leg(broken(draw, sent(leg_table(leg))), leg.id, STRATEGY, STORED, KNOWN),
    ]
    body = broken(draw, sent(strategy_table(STRATEGY)))
    for reader in readers:
        try:
            reader(body)
        except Invalid as error:
            assert error.problems
            assert all(problem.message for problem in error.problems)


def test_what_the_schema_refuses_of_a_body_is_refused() -> None:
    """Nothing that is not published is taken in silence."""
    draw = Random(7)
    refused = 0
    for _ in range(1500):
        body = broken(draw, sent(strategy_table(STRATEGY)))
        encodable = json.loads(json.dumps(body, default=str))
        if fits("NewStrategy", encodable) or body != encodable:
            continue
        refused += 1
        with pytest.raises(Invalid):
            read_new_strategy(body, Stored(basket=CONDOR.basket, accounts=CONDOR.accounts), KNOWN)
    assert refused > 200


def test_a_leg_without_an_id_gets_the_number_of_its_place_unless_another_has_it() -> None:
    leg = {"side": "BUY", "type": "CE", "strike": {"rule": "atm"}}
    first = read_leg(leg, None, STRATEGY, STORED, KNOWN)
    assert first.legs[-1].id == "5"
    renamed = read_leg(leg | {"id": "6"}, None, STRATEGY, STORED, KNOWN)
    assert read_leg(leg, None, renamed, STORED, KNOWN).legs[-1].id == "7"


def test_a_leg_is_taken_out_and_put_back() -> None:
    added = read_leg({"side": "BUY", "type": "CE", "strike": {"rule": "atm"}}, None, STRATEGY, STORED, KNOWN)
    assert without_leg("5", added, STORED, KNOWN) == STRATEGY
