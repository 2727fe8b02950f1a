"""The OpenAPI document: what FastAPI sees of the routes, with the schemas that are not Python types."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
from fastapi import FastAPI, Response
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter

from option_baskets.adapters.basket_file.components import plan_schemas
from option_baskets.api.account_bodies import schemas as account_schemas
from option_baskets.api.http.asking import REPEAT_HEADER
from option_baskets.api.http.problems import KINDS, MEDIA_TYPE, TYPES, Problem
from option_baskets.api.http.repeats import LONGEST_KEY, RepeatableRoute
from option_baskets.api.stream import schemas as stream_schemas
from option_baskets.api.templates import template_schemas

_REF = "#/components/schemas/{model}"
Schemas = dict[str, Any]

EXTRA: tuple[Callable[[], Schemas], ...] = (plan_schemas, stream_schemas, account_schemas, template_schemas)
"""Where schemas by name come from that no route's types name."""


PATH = "/openapi.json"


STORED = "openapi.json"
"""The document of the whole API, beside this module. ``tools/publish_openapi.py`` writes it, and a test compares."""


class Published:
    """The document of an app. Making it takes a second of computing, so that of the whole API is stored.

    Python 3.11 cannot parse in two threads at once, which making it does and so may the first request of a route; what
    is not stored is made where nothing else goes on beside it, in a process that answers one request at a time.
    """

    def __init__(self, app: FastAPI, *, is_whole: bool) -> None:
        self._app = app
        self._is_whole = is_whole
        self._text = b""

    def document(self) -> Schemas:
        """Made anew from the routes."""
        return _document(self._app)

    async def answer(self) -> Response:
        if not self._text:
            stored = files("option_baskets.api") / STORED
            self._text = stored.read_bytes() if self._is_whole else msgspec.json.encode(self.document())
        return Response(self._text, media_type="application/json")


def describe(app: FastAPI, *, is_whole: bool) -> None:
    """Have the app answer its document, and a page that shows it.

    Args:
        is_whole: the app has every route there is.
    """
    published = Published(app, is_whole=is_whole)
    app.openapi = published.document  # type: ignore[method-assign]
    app.add_api_route(PATH, published.answer, include_in_schema=False)
    app.add_api_route("/docs", _page, include_in_schema=False)


async def _page() -> Response:
    return get_swagger_ui_html(openapi_url=PATH, title="Option Baskets")


def _document(app: FastAPI) -> Schemas:
    found = get_openapi(
        title="Option Baskets",
        version=version("option-baskets"),
        summary="Baskets of multi-leg index-option strategies over several broker accounts.",
        description=_ABOUT,
        routes=app.routes,
    )
    schemas: Schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = TypeAdapter(Problem).json_schema(ref_template=_REF, mode="serialization")
    schemas.update(problem.pop("$defs", {}))
    problem["properties"]["type"]["enum"] = [TYPES + kind for kind in KINDS]
    schemas[Problem.__name__] = problem
    for each in EXTRA:
        schemas.update(each())
    routes = _routes(app)
    _with_whole_examples(found, routes)
    for path in found["paths"].values():
        for operation in path.values():
            operation["parameters"] = [_as_sent(each) for each in operation.get("parameters", ())]
    for route in routes:
        if isinstance(route, RepeatableRoute) and route.methods == {"POST"}:
            found["paths"][route.path_format]["post"].setdefault("parameters", []).append(_REPEAT_KEY)
    found["components"]["responses"] = _with_shared_problems(found)
    return dict(found)


def _with_shared_problems(document: Schemas) -> Schemas:
    """Most routes answer the same problems: what is the same stands once, and is referred to."""
    shared: Schemas = {}
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                kinds = response.get("content", {}).get(MEDIA_TYPE, {}).get("examples")
                if kinds:
                    name = "_".join(kinds)
                    assert shared.setdefault(name, response) == response
                    operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return {name: shared[name] for name in sorted(shared)}


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


def _as_sent(parameter: Schemas) -> Schemas:
    """What is left out cannot be sent as null; and a change without If-Match is answered 428."""
    schema = dict(parameter["schema"])
    kinds = [each for each in schema.pop("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        schema = kinds[0] | schema
    elif kinds:
        schema["anyOf"] = kinds
    is_version = parameter["name"] == "If-Match"
    return (
        parameter
        | {"schema": schema | ({"examples": ['"1"']} if is_version else {})}
        | ({"required": True} if is_version else {})
    )


_ABOUT = "\n".join(
    (
        "Money and prices are strings with exact decimals, or numbers where a basket file has numbers. Errors are",
        "RFC 9457 problem documents; the last part of `type` is the kind of problem, and never changes.",
        "",
        "| kind | status | |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {kind.status} | {kind.title} |" for name, kind in KINDS.items()),
        "",
        "A path that has no such method is answered 405 with `Allow`, whoever asks. What is valid by its schema may",
        "still be refused with 422: rules go over several fields, and over what is stored. `errors` then names the",
        "fields, or `reason` is the code of the rule.",
    )
)

_REPEAT_KEY = {
    "name": REPEAT_HEADER,
    "in": "header",
    "required": False,
    "description": "Your name for this request: sent again within 24 hours, it is answered as the first time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}
