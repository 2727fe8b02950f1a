"""Requests begin one after the other, and between two of them everything else that is due goes first."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


class Turns:
    """ASGI: of a hundred requests that come at once, the timer and the engine wait for one and not for a hundred.

    They share a loop, and a request computes for milliseconds before it waits for anything. Only the beginning is in
    turn: requests that wait, for a commit, wait together. What throws a kill switch or leaves a strategy waits for
    nobody.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_urgent(scope):
            async with self._turn:
                await asyncio.sleep(0)
        await self._app(scope, receive, send)


def _is_urgent(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and (path == "/options/kill-switches" or path.endswith("/exit"))
