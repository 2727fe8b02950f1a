"""The OpenAPI document: what FastAPI sees of the routes, with the schemas that are not Python types."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter

from option_baskets.adapters.basket_file.components import plan_schemas
from option_baskets.api.account_bodies import schemas as account_schemas
from option_baskets.api.http.asking import REPEAT_HEADER
from option_baskets.api.http.problems import Problem
from option_baskets.api.http.repeats import LONGEST_KEY, RepeatableRoute
from option_baskets.api.stream import schemas as stream_schemas
from option_baskets.api.templates import template_schemas

_REF = "#/components/schemas/{model}"
Schemas = dict[str, Any]

EXTRA: tuple[Callable[[], Schemas], ...] = (plan_schemas, stream_schemas, account_schemas, template_schemas)
"""Where schemas by name come from that no route's types name."""


def describe(app: FastAPI) -> None:
    """Give the app its document, made once, when it is first asked for."""
    made: Schemas = {}

    def document() -> Schemas:
        if not made:
            made.update(_document(app))
        return made

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> Schemas:
    found = get_openapi(
        title="Option Baskets",
        version=version("option-baskets"),
        summary="Baskets of multi-leg index-option strategies over several broker accounts.",
        description="Errors are RFC 9457 problem documents. Money and prices are strings with exact decimals.",
        routes=app.routes,
    )
    schemas: Schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = TypeAdapter(Problem).json_schema(ref_template=_REF, mode="serialization")
    schemas.update(problem.pop("$defs", {}))
    schemas[Problem.__name__] = problem
    for each in EXTRA:
        schemas.update(each())
    routes = _routes(app)
    _with_whole_examples(found, routes)
    for route in routes:
        if isinstance(route, RepeatableRoute) and route.methods == {"POST"}:
            found["paths"][route.path_format]["post"].setdefault("parameters", []).append(_REPEAT_KEY)
    return dict(found)


def _routes(app: FastAPI) -> list[APIRoute]:
    """Those of the document, whichever router they were included by."""
    found = (context.original_route for context in iter_route_contexts(app.routes))
    return [route for route in found if isinstance(route, APIRoute) and route.include_in_schema]


def _with_whole_examples(document: Schemas, routes: Iterable[APIRoute]) -> None:
    """FastAPI leaves every null out of the document, in examples too, where a null is part of the answer."""
    for route in routes:
        for method in route.methods or ():
            published = document["paths"][route.path_format][method.lower()]["responses"]
            for status, given in route.responses.items():
                for media, content in given.get("content", {}).items():
                    shown = {name: content[name] for name in ("example", "examples") if name in content}
                    published[str(status)]["content"][media].update(jsonable_encoder(shown))


_REPEAT_KEY = {
    "name": REPEAT_HEADER,
    "in": "header",
    "required": False,
    "description": "Your name for this request: sent again within 24 hours, it is answered as the first time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}
