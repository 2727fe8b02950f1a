"""Strategies of four legs on two accounts entered on demand, by clients that listen until every order is filled."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from benchmarks._http_clients import Load, connected, require

ORDERS = 8
EACH_BASKET = 10
LONGEST = 60.0
"""Seconds in which orders are filled, or it is an error."""

LEGS = [
    {"id": "short-call", "side": "SELL", "type": "CE", "strike": {"rule": "atm", "offset": 3}},
    {"id": "short-put", "side": "SELL", "type": "PE", "strike": {"rule": "atm", "offset": 3}},
    {"id": "call-wing", "side": "BUY", "type": "CE", "strike": {"rule": "of_leg", "leg": "short-call", "points": 200}},
    {"id": "put-wing", "side": "BUY", "type": "PE", "strike": {"rule": "of_leg", "leg": "short-put", "points": 200}},
]


def condor(name: str, *accounts: str) -> dict[str, Any]:
    return {
        "name": name,
        "underlying": "NIFTY",
        "entry": "14:55",
        "exit": "15:15",
        "legs": LEGS,
        "allocations": [{"account": account, "lots": 1} for account in accounts],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """By the number of clients, the best turn: until the request was answered, and until the stream had told that the
    last order is filled, which it tells of what is on disk."""

    answered: Mapping[int, Load]
    filled: Mapping[int, Load]


@dataclass(slots=True)
class Trader:
    """A user with strategies to enter, each on accounts of its own, and a socket of the stream."""

    token: str
    socket: ClientConnection
    strategies: list[str]
    answered: list[float] = field(default_factory=list)
    filled: list[float] = field(default_factory=list)

    async def enter_all(self, url: str) -> None:
        for each in self.strategies:
            path = f"/options/strategies/{each}/enter?another=true"
            async with connected(url, 1) as (client,):
                began = time.perf_counter()
                run = require(await client.ask("POST", path, token=self.token), 202).json()["id"]
                self.answered.append(time.perf_counter() - began)
            async with asyncio.timeout(LONGEST):
                await self._filled(run)
            self.filled.append(time.perf_counter() - began)

    async def _filled(self, run: str) -> None:
        done: set[str] = set()
        while len(done) < ORDERS:
            frame = await self.socket.recv()
            for line in frame.splitlines():
                message = msgspec.json.decode(line)
                if message["type"] == "order" and message["order"]["run_id"] == run:
                    order = message["order"]
                    if order["state"] == "FILLED":
                        done.add(order["order_id"])
                    elif order["state"] in {"REJECTED", "CANCELLED", "BLOCKED"}:
                        raise RuntimeError(f"not filled: {order}")


async def entered(url: str, tokens: Sequence[str], entries: Mapping[int, int], turns: int) -> Entries:
    """Enter so many strategies a turn, by the number of clients; each client is another user."""
    answered, filled = {}, {}
    for count, total in entries.items():
        seen: list[tuple[Load, Load]] = []
        async with AsyncExitStack() as stack:
            traders = [await _trader(stack, url, token, count, total // count) for token in tokens[:count]]
            for _ in range(turns):
                seen.append(await _turn(url, traders))
                await asyncio.sleep(1.1)  # an account sends ten orders a second
        answered[count] = max((first for first, _ in seen), key=lambda load: load.a_second)
        filled[count] = max((second for _, second in seen), key=lambda load: load.a_second)
    return Entries(answered=answered, filled=filled)


async def _turn(url: str, traders: Sequence[Trader]) -> tuple[Load, Load]:
    for each in traders:
        each.answered.clear()
        each.filled.clear()
    began = time.perf_counter()
    await asyncio.gather(*(each.enter_all(url) for each in traders))
    seconds = time.perf_counter() - began
    answered = sorted(duration for each in traders for duration in each.answered)
    filled = sorted(duration for each in traders for duration in each.filled)
    return Load(seconds=seconds, durations=tuple(answered)), Load(seconds=seconds, durations=tuple(filled))


async def _trader(stack: AsyncExitStack, url: str, token: str, group: int, count: int) -> Trader:
    """With so many strategies of this group, each on two accounts of its own."""
    strategies: list[str] = []
    basket = ""
    async with connected(url, 1) as (client,):
        for number in range(count):
            if number % EACH_BASKET == 0:
                body = {"name": f"Entered {group} {number}", "capital": 100000000}
                basket = require(await client.ask("POST", "/options/baskets", body, token=token), 201).json()["id"]
            accounts = [f"p{group}-{number}-{side}" for side in "ab"]
            for account in accounts:
                require(await client.ask("POST", "/broker-accounts", {"id": account}, token=token), 201)
            path = f"/options/baskets/{basket}/strategies"
            made = await client.ask("POST", path, condor(f"Condor {number}", *accounts), token=token)
            strategies.append(require(made, 201).json()["id"])
    socket = await stack.enter_async_context(
        connect(url.replace("http", "ws") + "/stream", compression=None, max_size=None, ping_interval=None)
    )
    await socket.send(msgspec.json.encode({"token": token}).decode())
    return Trader(token, socket, strategies)
