"""Answers, and what is published about them: every status a route has, with its type and an example."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import Response

from option_baskets.api.http.problems import KINDS, MEDIA_TYPE, TYPES, Problem

Responses = dict[int | str, dict[str, Any]]

ALWAYS = ("malformed", "unauthenticated", "not-found", "invalid", "too-many", "internal", "unavailable", "unclear")
"""Kinds of problems every route below the bearer token may answer."""
CHANGES = ("conflict", "too-large", "unsupported-media-type")
"""And those of a route with a body."""
VERSIONED = ("stale", "precondition-required")
"""And those of a change of what has a version."""


class Answer(Response):
    """A view as JSON: decimals are strings, instants have their offset."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return encode(content)


_encoder = msgspec.json.Encoder(decimal_format="string")


def encode(content: object) -> bytes:
    return _encoder.encode(content)


def answers(
    view: Any,
    *,
    status: int = 200,
    description: str = "As it is now.",
    example: object | None = None,
    problems: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
    always: tuple[str, ...] = ALWAYS,
) -> Responses:
    """``responses=`` of a route: what it answers, and which problems. Give the route ``response_model=None`` too.

    Args:
        view: the dataclass that is answered; None: nothing is (204, 304).
        example: an answer as it looks; encoded as answers are.
        problems: kinds beyond ``always``.
        headers: names of headers of the answer, with what they say.
    """
    found: Responses = {status: {"description": description}}
    if view is not None:
        found[status]["model"] = view
        if example is not None:
            shown = msgspec.json.decode(encode(example))
            found[status]["content"] = {"application/json": {"example": shown}}
    if headers:
        found[status]["headers"] = {
            name: {"description": said, "schema": {"type": "string"}} for name, said in headers.items()
        }
    by_status: dict[int, list[str]] = {}
    for kind in dict.fromkeys((*always, *problems)):
        by_status.setdefault(KINDS[kind].status, []).append(kind)
    for code, kinds in sorted(by_status.items()):
        found[code] = _documented(kinds)
    return found


def _documented(kinds: list[str]) -> dict[str, Any]:
    examples = {kind: {"summary": KINDS[kind].title, "value": _example(kind)} for kind in kinds}
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}, "examples": examples}}
    return {"description": "; ".join(KINDS[kind].title for kind in kinds), "content": content}


def _example(kind: str) -> dict[str, object]:
    return {
        "type": TYPES + kind,
        "title": KINDS[kind].title,
        "status": KINDS[kind].status,
        "detail": "What is wrong with this request, and the way out.",
        "instance": "/options/baskets",
        "errors": [{"where": "name", "message": "is missing"}] if kind == "invalid" else [],
        "reason": "outside_hours" if kind == "refused" else None,
        "used_by": [{"kind": "strategy", "id": "iron-condor", "name": "Iron condor"}] if kind == "in-use" else [],
    }


ETAG = {"ETag": "The version, for If-Match of a change."}
