"""The two servers that ``benchmarks.api`` asks, each a process of its own on a free port.

``python -m benchmarks._api_servers real FOLDER USERS`` is ``baskets serve`` with so many users; ``bare FOLDER`` is the
limit: FastAPI under the same uvicorn, a route that parses the same body and commits the same bytes with fsync, and one
that reads the same items. Standard output is one JSON line once it answers; the end of standard input is its end.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
from fastapi import FastAPI, Request, Response

from option_baskets.adapters.clock import RealClock, run_real
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.facts import load
from option_baskets.adapters.identity.passwords import Hashing
from option_baskets.adapters.identity.roster import Roster
from option_baskets.cli.http_server import Server, listening
from option_baskets.cli.running import Speed
from option_baskets.cli.serving import Served, Serving
from option_baskets.ports import Item, Put, TableName, Write
from option_baskets.store import keys
from option_baskets.wiring import spare_the_collector

DAY = date(2026, 11, 19)
PASSWORD = "correct horse battery staple"
CREATED = "created.json"
"""In the real server's folder: the items that the first creation of a strategy committed."""


async def _ended(stop: asyncio.Event) -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    stop.set()


async def real(folder: Path, users: int) -> None:
    serving = Serving(data=folder, facts=load(), speed=Speed("1"), first=DAY, port=0)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(_ended(stop))]

    def noted(writes: Sequence[Write]) -> None:
        puts = [write for write in writes if isinstance(write, Put)]
        if any(put.item.sk.startswith(keys.STRATEGIES) for put in puts) and not (folder / CREATED).exists():
            kept = [(put.table, msgspec.to_builtins(put.item)) for put in puts]
            (folder / CREATED).write_bytes(msgspec.json.encode(kept))

    async def told(served: Served) -> None:
        entrance = served.entrance
        hashing, tokens = Hashing(), {}
        roster = Roster(entrance.people, hashing, entrance.wall)
        for number in range(users):
            user = await roster.add(f"user-{number}@example.org", PASSWORD)
            login = await entrance.sign_in.login(user.email, PASSWORD, code="", client=f"10.0.0.{number}")
            tokens[user.email] = login.access_token
        hashing.close()
        served.machine.changes.follow(noted)
        print(json.dumps({"url": url, "tokens": tokens}), flush=True)

    with listening(serving.host, serving.port) as (listener, url):
        place = await serving.place()
        clock = serving.clock(place)
        await serving.serve(
            listener, place, clock, lambda served: tasks.append(asyncio.create_task(told(served))), stop=stop
        )


async def bare(folder: Path) -> None:
    table = SqliteTable.open(folder / "bare.sqlite", now=RealClock().now)
    numbers = itertools.count()
    created = [
        (TableName(name), msgspec.convert(item, Item)) for name, item in json.loads((folder / CREATED).read_text())
    ]
    plan = next(item for _, item in created if item.sk.startswith(keys.STRATEGIES))
    items = [replace(plan, pk="reader", sk=f"{plan.sk}-{number:03d}", gsi1=None, gsi2=None) for number in range(100)]
    await table.commit([Put(table=TableName.CONFIGURATIONS, item=item) for item in items])
    app = FastAPI()

    @app.post("/strategies", status_code=201)
    async def create(request: Request) -> Response:
        json.loads(await request.body())
        number = next(numbers)
        await table.commit(
            [
                Put(table=name, item=replace(item, pk=f"{item.pk}-{number}", version=item.version), expected=0)
                for name, item in created
            ]
        )
        return Response(plan.body, 201, media_type="application/json")

    @app.get("/strategies")
    async def listed() -> Response:
        page = await table.query(TableName.CONFIGURATIONS, "reader", begins_with=keys.STRATEGIES)
        return Response(b"[%b]" % b",".join(item.body for item in page.items), media_type="application/json")

    stop = asyncio.Event()
    with listening("127.0.0.1", 0) as (listener, url):

        def ready() -> None:
            spare_the_collector()
            print(json.dumps({"url": url, "tokens": {}}), flush=True)

        ending = asyncio.create_task(_ended(stop))
        await Server(app, ready).until(stop, listener)
        ending.cancel()
    await table.close()


if __name__ == "__main__":
    which, place, *more = sys.argv[1:]
    run_real(real(Path(place), int(more[0])) if which == "real" else bare(Path(place)))
