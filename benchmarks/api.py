"""The HTTP API beside a bare FastAPI route: creating a strategy, listing 100, entering one through to filled orders.

The bare route parses the same body and commits the same bytes with fsync through the same table, under the same
uvicorn; below it is plain sqlite3, which commits the same rows in a loop. Servers are processes of their own, clients
are here. Turns alternate between the two servers; the best turn of each counts, since other work only ever slows one
down, and the ratio is the median of the turns'.
"""

import asyncio
import contextlib
import itertools
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks._api_servers import CREATED
from benchmarks._entries import Entries, condor, entered
from benchmarks._http_clients import Client, Load, connected, loaded, require
from option_baskets.adapters.embedded.sqlite import CHECKPOINT_PAGES
from option_baskets.adapters.embedded.statements import SCHEMA, name_of
from option_baskets.ports import Item, TableName

CLIENTS = (1, 32)
USERS = 32
TURNS = 3
CREATIONS = {1: 96, 32: 320}
"""In a turn, by clients."""
LISTS = {1: 64, 32: 256}
ENTRIES = {1: 16, 32: 64}
GOAL = 3.0
EACH_BASKET = 10
LISTERS = 4


@dataclass(slots=True, kw_only=True)
class Place:
    """A server under way."""

    url: str
    tokens: list[str]
    process: asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def started(*how: object) -> AsyncIterator[Place]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks._api_servers",
        *map(str, how),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        told = json.loads(await process.stdout.readline())
        yield Place(url=told["url"], tokens=list(told["tokens"].values()), process=process)
    finally:
        process.stdin.close()
        await process.wait()


@dataclass(slots=True, kw_only=True)
class Turns:
    """What was measured of one thing, by (who, clients)."""

    loads: dict[tuple[str, int], list[Load]] = field(default_factory=dict)

    def add(self, who: str, clients: int, load: Load) -> None:
        self.loads.setdefault((who, clients), []).append(load)

    def best(self, who: str, clients: int) -> Load:
        return max(self.loads[who, clients], key=lambda each: each.a_second)

    def ratio(self, clients: int) -> float:
        """How many times longer ours takes than the bare route, turn by turn."""
        pairs = zip(self.loads["ours", clients], self.loads["bare", clients], strict=True)
        return statistics.median(bare.a_second / ours.a_second for ours, bare in pairs)


class Creations:
    """Strategies of four legs on two accounts, ten a basket, of many users in turn."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._numbers = itertools.count()
        self._rooms: list[tuple[int, str, str]] = []

    async def prepare(self, client: Client) -> None:
        for token in self._place.tokens:
            for account in ("one", "two"):
                require(await client.ask("POST", "/broker-accounts", {"id": account}, token=token), 201)

    async def make_room(self, client: Client, count: int) -> None:
        """Baskets for so many more strategies."""
        while len(self._rooms) < count:
            token = self._place.tokens[LISTERS + next(self._numbers) % USERS]
            body = {"name": "Income", "capital": 1000000}
            made = require(await client.ask("POST", "/options/baskets", body, token=token), 201).json()
            self._rooms += [(number, token, made["id"]) for number in range(EACH_BASKET)]
        self._rooms.sort()  # so that those who come together are of different users

    async def create(self, client: Client, _: int) -> None:
        number, token, basket = self._rooms.pop()
        body = condor(f"Condor {number}", "one", "two")
        require(await client.ask("POST", f"/options/baskets/{basket}/strategies", body, token=token), 201)


async def created(ours: Place, bare: Callable[[], AbstractAsyncContextManager[Place]]) -> tuple[Turns, Turns]:
    """Creations, and lists of 100."""
    creating, listing, creations = Turns(), Turns(), Creations(ours)
    body = condor("Condor 1", "one", "two")

    async def create(client: Client, _: int) -> None:
        require(await client.ask("POST", "/strategies", body), 201)

    async def listed(client: Client, _: int) -> None:
        require(await client.ask("GET", "/strategies"), 200)

    async def list_ours(client: Client, number: int) -> None:
        path, token = "/options/strategies?limit=100", ours.tokens[number % LISTERS]
        assert len(require(await client.ask("GET", path, token=token), 200).json()["items"]) == 100

    async with connected(ours.url, 1) as (client,):
        await creations.prepare(client)
        await _hundred(ours, client)
    async with bare() as other:
        for turn in range(TURNS + 1):
            for count in CLIENTS:
                async with connected(ours.url, 1) as (client,):
                    await creations.make_room(client, CREATIONS[count])
                for turns, who, load in (
                    (
                        creating,
                        "ours",
                        await loaded(ours.url, ours.process.pid, count, CREATIONS[count], creations.create),
                    ),
                    (creating, "bare", await loaded(other.url, other.process.pid, count, CREATIONS[count], create)),
                    (listing, "ours", await loaded(ours.url, ours.process.pid, count, LISTS[count], list_ours)),
                    (listing, "bare", await loaded(other.url, other.process.pid, count, LISTS[count], listed)),
                ):
                    if turn:  # the first is for warming up
                        turns.add(who, count, load)
    return creating, listing


async def _hundred(ours: Place, client: Client) -> None:
    """The first users have 100 strategies each."""
    for user, token in enumerate(ours.tokens[:LISTERS]):
        found = await client.ask("GET", "/options/strategies?limit=200", token=token)
        for number in range(100 - len(found.json()["items"])):
            if number % EACH_BASKET == 0:
                body = {"name": f"Many {user} {number}", "capital": 1000000}
                basket = require(await client.ask("POST", "/options/baskets", body, token=token), 201).json()["id"]
            path = f"/options/baskets/{basket}/strategies"
            require(await client.ask("POST", path, condor(f"Condor {number}", "one", "two"), token=token), 201)


def plain(folder: Path) -> float:
    """Creations a second of plain sqlite3: the same rows, one commit with fsync each."""
    created = [(name, msgspec.convert(item, Item)) for name, item in json.loads((folder / CREATED).read_text())]
    with contextlib.closing(sqlite3.connect(folder / "plain.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.executescript(SCHEMA)
        count = 300
        began = time.perf_counter()
        for number in range(count):
            connection.execute("BEGIN IMMEDIATE")
            for name, item in created:
                row = (f"{item.pk}-{number}", item.sk, item.version, item.body, *(item.gsi1 or _NO_KEY))
                row += (*(item.gsi2 or _NO_KEY), item.expires_at)
                connection.execute(f"INSERT INTO {name_of(TableName(name))} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("COMMIT")
        return count / (time.perf_counter() - began)


_NO_KEY = (None, None)


def _row(what: str, clients: int, load: Load, ratio: str = "", goal: str = "") -> tuple[str, ...]:
    figures = (f"{load.a_second:,.0f}", f"{load.at(0.5) * 1000:.1f}", f"{load.at(0.99) * 1000:.1f}")
    return (what, str(clients), *figures, f"{load.cpu_each * 1000:.2f}" if load.cpu else "", ratio, goal)


def _show(creating: Turns, listing: Turns, entering: Entries, limit: float) -> None:
    table = Table(title=f"The HTTP API, best of {TURNS} turns; ratio: median of the turns")
    for column in (
        "what",
        "clients",
        "a second",
        "p50 ms",
        "p99 ms",
        "server CPU ms",
        "ratio to bare",
        f"goal {GOAL:g} times",
    ):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, turns in (("create: 4 legs, 2 allocations", creating), ("list 100 strategies", listing)):
        for clients in CLIENTS:
            ratio = turns.ratio(clients)
            goal = ("met" if ratio <= GOAL else "missed") if turns is creating else ""
            table.add_row(*_row(what, clients, turns.best("ours", clients), f"{ratio:.1f}", goal))
            table.add_row(*_row("  bare FastAPI route", clients, turns.best("bare", clients)))
        if turns is creating:
            table.add_row("  plain sqlite3, the same rows", "", f"{limit:,.0f}", "", "", "", "", "")
    for clients in CLIENTS:
        table.add_row(*_row("enter 4 legs x 2 accounts: answered", clients, entering.answered[clients]))
        table.add_row(*_row("  8 orders journaled and filled", clients, entering.filled[clients]))
    Console(width=130).print(table)


async def measure(folder: Path) -> None:
    async with started("real", folder, LISTERS + USERS) as ours:
        creating, listing = await created(ours, lambda: started("bare", folder))
        entering = await entered(ours.url, ours.tokens[LISTERS:], ENTRIES, TURNS)
    _show(creating, listing, entering, plain(folder))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="baskets-api-") as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
