"""The JSON Schemas of plans as the API takes and answers them, made of the schema of basket files.

A body is a table of a file; an answer is the same with its identity and version beside. OpenAPI 3.1 schemas are JSON
Schema 2020-12, of which these are a part, as they are one of draft 7.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from option_baskets.adapters.basket_file.schema import schema

Schemas = dict[str, Any]
PREFIX = "#/components/schemas/"

_NAMES = {
    "basket": "Basket",
    "dynamic": "Policy",
    "strategies": "Strategy",
    "strategies.legs": "Leg",
    "strategies.allocations": "Allocation",
}
_TEXT: Schemas = {"type": "string", "minLength": 1}
_VERSION: Schemas = {"type": "integer", "minimum": 1}
_OPEN_RUN: Schemas = {
    "type": "object",
    "properties": {"id": _TEXT, "version": _VERSION, "exit_at": {"type": "string", "format": "date-time"}},
    "required": ["id", "version", "exit_at"],
    "additionalProperties": False,
}


@cache
def plan_schemas() -> Schemas:
    """By name of the component. ``New…`` is the body of a POST, ``…Edit`` of a PUT, ``Stored…`` what is answered."""
    file = schema()
    found = {_name(path): _moved(table) for path, table in file["definitions"].items() if path != "accounts"}
    basket, strategy = found.pop("BasketTable"), found.pop("StrategyTable")
    basket["properties"]["dynamic"] = _moved(file["properties"]["dynamic"])
    created = _with(strategy, "", ())
    del strategy["properties"]["allocations"]
    strategy["required"].remove("allocations")
    created["required"].remove("allocations")
    leg, allocation = found["LegTable"], found["AllocationTable"]
    of_basket, of_strategy = ("id", "version"), ("id", "basket_id", "version")
    of_allocation, of_leg = ("id", "strategy_id", "version"), ("strategy_id", "version")
    bodies = {
        "NewBasket": _with(basket, "[basket] of a basket file, with its [[dynamic]] inside.", ()),
        "BasketEdit": _with(basket, "The basket as it is to be; id and version only as answered.", of_basket),
        "NewStrategy": created
        | {"description": "One of [[strategies]] of a basket file; allocations may come with it."},
        "StrategyEdit": _with(strategy, "The strategy as it is to be; its allocations are changed apart.", of_strategy),
        "NewLeg": _with(leg, "One of [[strategies.legs]] of a basket file.", ()),
        "LegEdit": _with(leg, "The leg as it is to be.", of_leg),
        "NewAllocation": _with(allocation, "One of [[strategies.allocations]] of a basket file.", ()),
        "AllocationEdit": _with(allocation, "The allocation as it is to be, on the same account.", of_allocation),
    }
    stored_strategy = _with(strategy, "A strategy as it is stored.", of_strategy, of_strategy)
    answers = {
        "StoredBasket": _with(basket, "A basket as it is stored.", of_basket, of_basket),
        "StoredStrategy": stored_strategy,
        "CreatedStrategy": _and(stored_strategy, allocations=_list_of("StoredAllocation")),
        "EditedStrategy": _and(stored_strategy, counts_from={"const": "next_entry"}, open_runs=_list(_OPEN_RUN)),
        "StoredLeg": _with(leg, "A leg as it is stored; its version is its strategy's.", of_leg, ("id", *of_leg)),
        "StoredAllocation": _with(
            allocation, "An allocation as it is stored.", of_allocation, (*of_allocation, "priority")
        ),
        **{f"{each}Page": _page(f"Stored{each}") for each in ("Basket", "Strategy", "Leg", "Allocation")},
    }
    return found | bodies | answers


def reference(name: str) -> Schemas:
    return {"$ref": PREFIX + name}


def _name(path: str) -> str:
    """``strategies.legs.on_stop`` is LegOnStop; a table that is an item by itself is a LegTable."""
    if path in _NAMES:
        return f"{_NAMES[path]}Table"
    owner, _, rest = path.rpartition(".")
    while owner not in _NAMES:
        owner, _, more = owner.rpartition(".")
        rest = f"{more}_{rest}"
    return _NAMES[owner] + "".join(part.capitalize() for part in rest.split("_"))


def _moved(node: Any) -> Any:
    """With its references led to components."""
    if isinstance(node, list):
        return [_moved(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: PREFIX + _name(value.removeprefix("#/definitions/")) if key == "$ref" else _moved(value)
        for key, value in node.items()
    }


def _with(table: Schemas, said: str, identity: Iterable[str], required: Iterable[str] = ()) -> Schemas:
    """The table with the keys that say what it is."""
    more = {key: _VERSION if key == "version" else _TEXT for key in identity if key not in table["properties"]}
    shape = table | {"description": said, "properties": more | table["properties"]}
    every = [*table.get("required", ()), *(key for key in required if key not in table.get("required", ()))]
    return shape | {"required": every}


def _and(table: Schemas, **more: Schemas) -> Schemas:
    """The table with more keys, that are always there."""
    return table | {"properties": table["properties"] | more, "required": [*table["required"], *more]}


def _list(items: Schemas) -> Schemas:
    return {"type": "array", "items": items}


def _list_of(name: str) -> Schemas:
    return _list(reference(name))


def _page(name: str) -> Schemas:
    following = {"type": ["string", "null"], "description": "Give it back as cursor for what follows; null at the end."}
    return {
        "type": "object",
        "properties": {"items": _list_of(name), "next": following},
        "required": ["items", "next"],
        "additionalProperties": False,
    }
