"""Every request watched: one line in the log, and counted by route and status."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from option_baskets.api.metrics import Metrics

LOG = logging.getLogger("option_baskets.requests")

UNKNOWN_ROUTE = "(none)"
"""Of paths that no route has; they are anybody's to invent, so they are no label."""


class Watched:
    """ASGI: logs method, path, status and duration. Never the query, a header or a body: secrets may be in them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        status = 500
        sent = 0

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = loop.time() - began
            route = getattr(scope.get("route"), "path_format", UNKNOWN_ROUTE)
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self._metrics.answered(method, route, status, seconds)
            LOG.info(
                "%s %s %d",
                method,
                _shown(scope["path"]),
                status,
                extra={
                    "method": method,
                    "path": _shown(scope["path"]),
                    "route": route,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 2),
                    "bytes": sent,
                },
            )


_METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}
_LONGEST = 200


def _shown(path: str) -> str:
    """The path as it can stand in a line of a log: what could end the line or the quoting is escaped."""
    return path[:_LONGEST].encode("unicode_escape").decode("ascii")
