"""POSTs that are sent again: with the same Idempotency-Key the first answer is given again, and nothing done twice.

The key is claimed before the work and its answer kept after it. A process that dies in between leaves a claim without
an answer; after ``UNDER_WAY`` the work may be done again, and finds what was done: new ids are made of the key
(``Asker.suffix``), and what exists is not made twice.
"""

import hashlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from option_baskets.api.http.asking import REPEAT_HEADER, platform_of, principal_of
from option_baskets.api.http.problems import FieldError, Told, answer
from option_baskets.store.repeats import Repeat, Repeats

UNDER_WAY = timedelta(seconds=60)
LONGEST_KEY = 200
_KEPT_HEADERS = ("content-type", "etag", "location")

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class RepeatableRoute(APIRoute):
    """A route whose POSTs may be repeated. ``APIRouter(route_class=RepeatableRoute)``."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()
        if self.methods != {"POST"}:
            return handle

        async def once(request: Request) -> Response:
            key = request.headers.get(REPEAT_HEADER)
            return await handle(request) if key is None else await _once(request, key, handle)

        return once


async def _once(request: Request, key: str, handle: Handle) -> Response:
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        wrong = FieldError(where=REPEAT_HEADER, message=f"give 1 to {LONGEST_KEY} printable ASCII characters")
        raise Told(kind="invalid", detail=str(wrong.message), errors=(wrong,))
    principal = await principal_of(request)
    platform = platform_of(request)
    repeats = Repeats(platform.private)
    asked = "\x1f".join((request.method, request.url.path, request.url.query)).encode() + await request.body()
    digest = hashlib.sha256(asked).hexdigest()
    now = platform.wall.now()
    known = await repeats.claim(principal.user_id, key, digest, now)
    if known is not None and known.digest != digest:
        wrong = FieldError(where=REPEAT_HEADER, message="was used for another request; take a new one")
        raise Told(kind="invalid", detail=f"{REPEAT_HEADER} {wrong.message}", errors=(wrong,))
    if known is not None and known.status is not None:
        return Response(known.body, known.status, {**known.headers, "Idempotent-Replayed": "true"})
    if known is not None and (
        now - known.at < UNDER_WAY or not await repeats.claim_again(principal.user_id, key, known, now)
    ):
        raise Told(kind="conflict", detail="this request is being worked on; ask again in a second")
    try:
        response = await handle(request)
    except Exception as error:
        response = answer(request, error)
    if response.status_code >= 400:  # nothing was done, and what stood in the way may go
        await repeats.forget(principal.user_id, key)
        return response
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    done = Repeat(
        digest=digest,
        at=now,
        status=response.status_code,
        headers=headers,
        body=bytes(response.body),
        version=2 if known is None else known.version + 2,
    )
    await repeats.keep(principal.user_id, key, done)
    return response
