"""Bodies as they come in: bounded in size and depth, JSON and nothing else, numbers exact."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from option_baskets.api.http import problems
from option_baskets.api.http.problems import Told

MOST_BYTES = 200_000
"""Several times the largest plan. All of a body is read on the engine's loop, which stands still as long."""
MOST_VALUES = 4_000
"""Keys and values; for the same reason."""
SMALL_BYTES = 20_000
"""Of a body with a few fields, which anybody may send."""
SMALL_VALUES = 100
DEEPEST = 40
_LONGEST_NUMBER = 40


async def document(request: Request, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES) -> Any:
    """The JSON of the body; numbers with a point are Decimals.

    Raises:
        Told: it is not declared as JSON (415), is none (400), or holds more than any such body does (413).
    """
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if declared != "application/json" and not declared.endswith("+json"):
        raise Told(kind="unsupported-media-type", detail="send JSON, with Content-Type: application/json")
    body = await request.body()
    if len(body) > most_bytes:
        raise Told(kind="too-large", detail=f"a body has at most {most_bytes:,} bytes here")
    try:
        found = json.loads(
            body, parse_float=_decimal, parse_int=_integer, parse_constant=_refused, object_pairs_hook=_object
        )
        values = require_sound(found)
    except (ValueError, RecursionError) as error:
        raise Told(kind="malformed", detail=f"the body is not JSON: {_said(error)}") from None
    if values > most_values:
        raise Told(kind="too-large", detail=f"a body has at most {most_values:,} keys and values here")
    return found


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(_short(text))
    except InvalidOperation:
        raise ValueError(f"{text} is beyond every number") from None


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
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r:.100} is given twice")
        found[key] = value
    return found


def require_sound(found: object, left: int = DEEPEST) -> int:
    """See that it can be gone through, and every text in it written; returns how many keys and values it has.

    Raises:
        RecursionError: it is nested more deeply than any body is.
        ValueError: a text has half of a surrogate pair.
    """
    if left == 0:
        raise RecursionError
    if isinstance(found, dict):
        return 1 + sum(require_sound(key, left) + require_sound(each, left - 1) for key, each in found.items())
    if isinstance(found, list):
        return 1 + sum(require_sound(each, left - 1) for each in found)
    if isinstance(found, str):
        found.encode()
    return 1


class BodyLimit:
    """ASGI: a body over ``most`` bytes is answered 413, however it is sent, and not kept; one that breaks off, 400."""

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
        seen, whole = 0, False

        async def limited() -> Message:
            nonlocal seen, whole
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise Told(kind="too-large", detail=detail)
            if message["type"] == "http.disconnect" and not whole:
                raise Told(kind="malformed", detail="the connection ended before the body did")
            whole = whole or not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)
