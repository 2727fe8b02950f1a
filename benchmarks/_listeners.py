"""Clients of the live stream beside whatever is measured: a server on the same loop, the clients in another process."""

import asyncio
import contextlib
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from benchmarks._stream_clients import Heard
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.vault import KeyFileVault
from option_baskets.api.app import make_app
from option_baskets.api.platform import Platform
from option_baskets.domain.run import Run
from option_baskets.domain.session import Session
from option_baskets.engine.connections import BrokerConnections
from option_baskets.engine.live_hub import Hub
from option_baskets.ports import Clock, Principal, Put, Write
from option_baskets.store import codec, keys
from option_baskets.wiring import Embedded

_AFTERWARDS = 2.0
"""Seconds in which the last messages come."""


@dataclass(slots=True)
class Audience:
    """What was committed while they listened, and afterwards what they heard of it."""

    commits: list[tuple[float, str, bytes]] = field(default_factory=list)
    """(monotonic seconds when the commit was durable, user, the run)."""
    heard: list[Heard] = field(default_factory=list)

    def follow(self, writes: Sequence[Write]) -> None:
        now = time.monotonic()
        for write in writes:
            if isinstance(write, Put) and write.item.sk.startswith(keys.RUNS):
                self.commits.append((now, write.item.pk, write.item.body))

    def delays(self) -> list[float]:
        """Seconds from a commit that filled something to each client that has its run as of then, or newer.

        What no client ever heard is infinitely late.
        """
        by_user: dict[str, list[Heard]] = {}
        for each in self.heard:
            by_user.setdefault(each.user, []).append(each)
        filled: dict[tuple[str, str], int] = {}
        found = []
        for at, user, body in self.commits:
            run = codec.decode(body, Run)
            units = sum(position.entered + position.exited for position in run.positions)
            before = filled.get((user, run.id), 0)
            filled[user, run.id] = units
            if units == before:
                continue
            name = run.id.replace("#", "~")
            for client in by_user.get(user, ()):
                later = (when for one, version, when in client.runs if one == name and version >= run.version)
                found.append(next(later, float("inf")) - at)
        return found


class _Trusting:
    """A token is the user's id."""

    async def verify(self, token: str) -> Principal:
        return Principal(user_id=token)


class Bare:
    """The limit: sockets by user, and what a commit wrote of a run sent at once, as it stands in the table."""

    def __init__(self) -> None:
        self.sockets: dict[str, WebSocket] = {}
        self._seqs: Counter[str] = Counter()
        self._sending: set[asyncio.Task[None]] = set()

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_websocket_route("/stream", self._stream)
        return app

    async def _stream(self, socket: WebSocket) -> None:
        await socket.accept()
        user = (await socket.receive_json())["token"]
        await socket.send_text('{"type":"snapshot","seq":0}')
        self.sockets[user] = socket
        with contextlib.suppress(WebSocketDisconnect):
            await socket.receive_text()

    def committed(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, Put) and write.item.pk in self.sockets and write.item.sk.startswith(keys.RUNS):
                user, item = write.item.pk, write.item
                self._seqs[user] += 1
                name = item.sk.removeprefix(keys.RUNS).replace("#", "~")
                said = f'"run_id":"{name}","version":{item.version},"body":{item.body.decode()}'
                text = f'{{"type":"run","seq":{self._seqs[user]},"run":{{{said}}}}}'
                task = asyncio.create_task(self.sockets[user].send_text(text))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)


@contextlib.asynccontextmanager
async def listening(
    machine: Embedded, clock: Clock, session: Session, users: Sequence[str], *, bare: bool = False
) -> AsyncIterator[Audience]:
    """A server over the machine with a client for each of the users; without any nobody listens and nothing is told."""
    audience = Audience()
    wall = RealClock()
    hub = Hub(
        books=machine.books,
        facts=machine.facts,
        feed=machine.feed,
        market=clock,
        wall=wall,
        session=lambda: session,
        epoch=secrets.token_hex(4),
    )
    if users:
        machine.changes.follow(audience.follow)
    limit = Bare()
    machine.changes.follow(limit.committed if bare else hub.committed)
    with tempfile.TemporaryDirectory(prefix="baskets-stream-") as folder, socket.socket() as listener:
        private = SqliteTable.open(Path(folder) / "identity.sqlite", now=wall.now)
        platform = Platform(
            books=machine.books,
            queue=machine.queue,
            feed=machine.feed,
            facts=machine.facts,
            cadence=machine.cadence,
            market=clock,
            wall=wall,
            private=private,
            identity=_Trusting(),
            vault=KeyFileVault(Path(folder), now=wall.now),
            accounts=BrokerConnections(machine.broker),
            session=lambda: session,
            cursor_key=b"",
            live=hub,
        )
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(_config(limit.app() if bare else make_app(platform)))
        tasks = [asyncio.create_task(hub.run()), asyncio.create_task(server.serve(sockets=[listener]))]
        clients = await _clients(f"ws://127.0.0.1:{listener.getsockname()[1]}/stream", users)
        try:
            yield audience
            await asyncio.sleep(_AFTERWARDS if users else 0)
        finally:
            audience.heard = await _told(clients)
            server.should_exit = True
            await tasks[1]
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await private.close()


def _config(app: object) -> uvicorn.Config:
    """As ``baskets serve`` has it."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )


async def _clients(url: str, users: Sequence[str]) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks._stream_clients",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 30,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(msgspec.json.encode({"url": url, "users": list(users)}) + b"\n")
    line = await process.stdout.readline()
    if line != b"ready\n":
        raise RuntimeError("the clients could not connect")
    return process


async def _told(process: asyncio.subprocess.Process) -> list[Heard]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    found = msgspec.json.decode(await process.stdout.readline(), type=list[Heard])
    await process.wait()
    return found
