"""Plans on the wire: the tables of a basket file with their identity, and what is published about them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from fastapi import Response

from option_baskets.adapters.basket_file.components import reference
from option_baskets.adapters.basket_file.tables import (
    Table,
    allocation_table,
    basket_table,
    leg_table,
    strategy_table,
)
from option_baskets.adapters.templates import template
from option_baskets.api.http.contract import ALWAYS, ETAG, Responses, answers
from option_baskets.api.http.etags import etag
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, LegSpec, Strategy

EXAMPLE = "iron-condor"
"""The template whose parts are the examples."""
LOCATION = {"Location": "The path of what was made."}

_encoder = msgspec.json.Encoder(decimal_format="number")


class PlanAnswer(Response):
    """Plans as JSON. Numbers are numbers with all their digits, as a file has them and a body takes them."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return _encoder.encode(content)


def versioned(content: Table, *, status: int = 200, location: str | None = None) -> PlanAnswer:
    """The answer of one plan, with its version as ETag."""
    headers = {"ETag": etag(content["version"])}
    return PlanAnswer(content, status, headers | ({} if location is None else {"Location": location}))


def unchanged(version: int) -> Response:
    """The client has it as it is."""
    return Response(status_code=304, headers={"ETag": etag(version)})


# ---------------------------------------------------------------- views


class Listed:
    """Strategies of lists as JSON, each encoded once: the store gives the same value while it is the same item."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._encoded: dict[int, tuple[Strategy, msgspec.Raw]] = {}
        """By identity, which stays one while the value is kept here."""

    def view(self, strategy: Strategy) -> msgspec.Raw:
        known = self._encoded.get(id(strategy))
        if known is None:
            if len(self._encoded) >= self._most:
                self._encoded.clear()
            known = self._encoded[id(strategy)] = strategy, msgspec.Raw(_encoder.encode(strategy_view(strategy)))
        return known[1]


listed = Listed()


def basket_view(basket: Basket) -> Table:
    return {"id": basket.id, "version": basket.version, **basket_table(basket)}


def strategy_view(strategy: Strategy) -> Table:
    identity = {"id": strategy.id, "basket_id": strategy.basket_id, "version": strategy.version}
    return identity | strategy_table(strategy)


def leg_view(strategy: Strategy, leg: LegSpec) -> Table:
    return {"strategy_id": strategy.id, "version": strategy.version, **leg_table(leg)}


def allocation_view(allocation: Allocation) -> Table:
    identity = {"id": allocation.id, "strategy_id": allocation.strategy_id, "version": allocation.version}
    return identity | allocation_table(allocation)


# ---------------------------------------------------------------- what is published


def plan_answers(
    name: str | None,
    description: str,
    *,
    status: int = 200,
    problems: tuple[str, ...] = (),
    etag: bool = True,
    unchanged: bool = False,
    links: tuple[str, ...] = (),
    **names: str,
) -> Responses:
    """``responses=`` of a route that answers the component of that name, or nothing.

    Args:
        links: routes that go on from the answer.
        names: their parameters, each with the key of the answer that it is.
    """
    headers = (ETAG if etag else {}) | (LOCATION if status == 201 else {})
    found = answers(None, status=status, description=description, problems=problems, headers=headers, always=ALWAYS)
    if name is not None:
        shown = {"schema": reference(name), "example": _examples()[name]}
        found[status]["content"] = {"application/json": shown}
    if links:
        found[status]["links"] = {link: _link(link, names) for link in links}
    if unchanged:
        found[304] = {"description": "It is as If-None-Match knows it.", "headers": found[status]["headers"]}
    return found


def _link(route: str, names: Mapping[str, str]) -> dict[str, Any]:
    parameters = {name: f"$response.body#/{key}" for name, key in names.items()}
    if route.startswith(("replace_", "delete_")):
        parameters["header.If-Match"] = "$response.header.ETag"
    return {"operationId": route, "parameters": parameters}


def plan_body(name: str) -> dict[str, Any]:
    """``openapi_extra=`` of a route whose body is the component of that name."""
    content = {"application/json": {"schema": reference(name), "example": _examples()[name]}}
    return {"requestBody": {"required": True, "content": content}}


@cache
def _examples() -> dict[str, Any]:
    """By component: parts of a template, as they are sent and answered."""
    file = template(EXAMPLE).basket
    (strategy,) = file.strategies
    allocation = file.of(strategy)[0]
    new = {
        "NewBasket": basket_table(file.basket),
        "NewStrategy": strategy_table(strategy) | {"allocations": [allocation_table(allocation)]},
        "NewLeg": leg_table(strategy.legs[0]),
        "NewAllocation": allocation_table(allocation),
    }
    edits = {
        "BasketEdit": new["NewBasket"],
        "StrategyEdit": strategy_table(strategy),
        "LegEdit": new["NewLeg"],
        "AllocationEdit": new["NewAllocation"],
    }
    stored = {
        "StoredBasket": _first(basket_view(file.basket)),
        "StoredStrategy": _first(strategy_view(strategy)),
        "StoredLeg": _first(leg_view(strategy, strategy.legs[0])),
        "StoredAllocation": _first(allocation_view(allocation)),
    }
    pages = {
        f"{name.removeprefix('Stored')}Page": {"items": [each], "next": "bWFkZS1mb3ItdGhpcy11c2Vy"}
        for name, each in stored.items()
    }
    several = {
        "CreatedStrategy": stored["StoredStrategy"] | {"allocations": [stored["StoredAllocation"]]},
        "EditedStrategy": stored["StoredStrategy"] | {"counts_from": "next_entry", "open_runs": []},
    }
    shown: dict[str, Any] = msgspec.json.decode(_encoder.encode({**new, **edits, **stored, **several, **pages}))
    return shown


def _first(view: Table) -> Table:
    return view | {"version": 1}
