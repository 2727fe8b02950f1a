"""Bodies as they come in: bounded in size and depth, JSON and nothing else, numbers exact."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from option_baskets.api.http import problems
from option_baskets.api.http.problems import Told

MOST_BYTES = 1_000_000
DEEPEST = 40
_LONGEST_NUMBER = 40


async def document(request: Request) -> Any:
    """The JSON of the body; numbers with a point are Decimals.

    Raises:
        Told: it is not declared as JSON (415), or is none (400).
    """
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if declared != "application/json" and not declared.endswith("+json"):
        raise Told(kind="unsupported-media-type", detail="send JSON, with Content-Type: application/json")
    body = await request.body()
    try:
        found = json.loads(
            body, parse_float=_decimal, parse_int=_integer, parse_constant=_refused, object_pairs_hook=_object
        )
        require_sound(found)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise Told(kind="malformed", detail=f"the body is not JSON: {_said(error)}") from None
    return found


def _decimal(text: str) -> Decimal:
    return Decimal(_short(text))


def _integer(text: str) -> int:
    return int(_short(text))


def _short(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters")
    return text


def _refused(text: str) -> object:
    raise ValueError(f"{text} is not a number of JSON")


def _said(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that is given twice, neither is the one that was meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"{twice!r} is given twice")
    return found


def require_sound(found: object, left: int = DEEPEST) -> None:
    """See that it can be gone through, and every text in it written.

    Raises:
        RecursionError: it is nested more deeply than any body is.
        ValueError: a text has half of a surrogate pair.
    """
    if left == 0:
        raise RecursionError
    if isinstance(found, dict):
        for key, each in found.items():
            require_sound(key, left)
            require_sound(each, left - 1)
    elif isinstance(found, list):
        for each in found:
            require_sound(each, left - 1)
    elif isinstance(found, str):
        found.encode()


class BodyLimit:
    """ASGI: a body over ``most`` bytes is answered 413, however it is sent, and not kept."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"a body has at most {self._most:,} bytes"
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > self._most:
            await problems.response(Request(scope), "too-large", detail)(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise Told(kind="too-large", detail=detail)
            return message

        await self._app(scope, limited, send)
