"""Clients of the live stream, in a process of their own: they connect, say so, and at the end tell what they heard.

Standard input is one JSON line, ``{"url": ..., "users": [...]}``, a connection for each; its end is the end of the
listening. Standard output is a line ``ready`` once everybody has the snapshot, then one JSON document.
"""

import asyncio
import gc
import sys
import time
from dataclasses import dataclass, field

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


@dataclass(slots=True)
class Heard:
    """By one connection."""

    user: str
    runs: list[tuple[str, int, float]] = field(default_factory=list)
    """(run id, version, monotonic seconds when its frame was there)."""
    frames: int = 0
    messages: int = 0
    characters: int = 0
    gaps: int = 0
    """Numbers that did not follow the one before."""
    closed: int | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class _Run:
    run_id: str
    version: int


@dataclass(frozen=True, slots=True)
class _Message:
    type: str
    seq: int | None = None
    run: _Run | None = None


async def _main() -> None:
    asked = msgspec.json.decode(sys.stdin.readline())
    heard = [Heard(user) for user in asked["users"]]
    connections = []
    for each in heard:
        connection = await connect(asked["url"], compression=None, max_size=None, ping_interval=None)
        await connection.send(msgspec.json.encode({"token": each.user}).decode())
        connections.append(connection)
    firsts = [await connection.recv() for connection in connections]
    for each, first in zip(heard, firsts, strict=True):
        each.seq = msgspec.json.decode(first, type=_Message).seq or 0
    gc.freeze()
    gc.disable()
    kept: list[list[tuple[float, str]]] = [[] for _ in heard]
    tasks = [
        asyncio.create_task(_listen(connection, some, each))
        for connection, some, each in zip(connections, kept, heard, strict=True)
    ]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for each, some in zip(heard, kept, strict=True):
        _read(each, some)
    sys.stdout.buffer.write(msgspec.json.encode(heard) + b"\n")
    sys.stdout.flush()


async def _listen(connection: ClientConnection, kept: list[tuple[float, str]], heard: Heard) -> None:
    try:
        while True:
            frame = await connection.recv()
            assert isinstance(frame, str)
            kept.append((time.monotonic(), frame))
    except ConnectionClosed as closed:
        heard.closed = closed.rcvd.code if closed.rcvd else 1006


def _read(heard: Heard, kept: list[tuple[float, str]]) -> None:
    decoder = msgspec.json.Decoder(_Message)
    for at, frame in kept:
        heard.frames += 1
        heard.characters += len(frame)
        for text in frame.split("\n"):
            message = decoder.decode(text)
            heard.messages += 1
            if message.seq is not None:
                heard.gaps += message.seq != heard.seq + 1
                heard.seq = message.seq
            if message.run is not None:
                heard.runs.append((message.run.run_id, message.run.version, at))


if __name__ == "__main__":
    asyncio.run(_main())
