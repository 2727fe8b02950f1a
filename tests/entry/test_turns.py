"""What the engine waits for where many ask at once: for one request."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from option_baskets.api.http.turns import Turns

ASKED = 20


def order_of(method: str, path: str) -> list[str]:
    """Who had the loop, where requests come all at once and somebody else wants it all the time."""
    had: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        had.append("request")

    async def somebody_else() -> None:
        while had.count("request") < ASKED:
            had.append("engine")
            await asyncio.sleep(0)

    async def main() -> None:
        turns = Turns(app)
        scope = {"type": "http", "method": method, "path": path}
        async with asyncio.TaskGroup() as group:
            for _ in range(ASKED):
                group.create_task(turns(scope, None, None))  # type: ignore[arg-type]
            group.create_task(somebody_else())

    asyncio.run(main())
    return had


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_engine_waits_for_one_of_many_requests(method: str) -> None:
    had = order_of(method, "/options/strategies")
    assert had.count("request") == ASKED
    assert ("request", "request") not in pairwise(had)


@pytest.mark.parametrize("path", ["/options/kill-switches", "/options/strategies/b.s/exit"])
def test_what_stops_trading_waits_for_no_other_request(path: str) -> None:
    assert order_of("POST", path)[:ASKED] == ["request"] * ASKED


def test_requests_that_wait_wait_together() -> None:
    began, all_began = 0, asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal began
        began += 1
        if began == ASKED:
            all_began.set()
        await all_began.wait()

    async def main() -> None:
        turns = Turns(app)
        scope = {"type": "http", "method": "POST", "path": "/options/baskets"}
        await asyncio.gather(*(turns(scope, None, None) for _ in range(ASKED)))  # type: ignore[arg-type]

    asyncio.run(main())
    assert began == ASKED
