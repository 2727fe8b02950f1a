"""HTTP clients that cost little: kept connections, one request after the other on each, every duration kept."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def require(answer: Answer, status: int) -> Answer:
    """The answer. Raises RuntimeError: it is another than the one that is measured."""
    if answer.status != status:
        raise RuntimeError(f"answered {answer.status}: {answer.body.decode()}")
    return answer


@dataclass(slots=True)
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, path: str, body: object | None = None, *, token: str = "") -> Answer:
        sent = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        if sent:
            head += f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + sent)
        told = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(told.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return Answer(status=int(told[9:12]), body=await self.reader.readexactly(length))


@asynccontextmanager
async def connected(url: str, count: int) -> AsyncIterator[list[Client]]:
    host, _, port = url.removeprefix("http://").partition(":")
    clients = [Client(*await asyncio.open_connection(host, int(port))) for _ in range(count)]
    try:
        yield clients
    finally:
        for each in clients:
            each.writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What so many clients saw who each ask again as soon as they are answered."""

    seconds: float
    durations: tuple[float, ...]
    """Ascending."""
    cpu: float = 0.0
    """Seconds of the server's process, with all that it does beside."""

    @property
    def a_second(self) -> float:
        return len(self.durations) / self.seconds

    @property
    def cpu_each(self) -> float:
        return self.cpu / len(self.durations)

    def at(self, share: float) -> float:
        return self.durations[max(0, math.ceil(len(self.durations) * share) - 1)]


def cpu_of(pid: int) -> float:
    """Seconds a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def loaded(
    url: str, pid: int, clients: int, count: int, once: Callable[[Client, int], Coroutine[Any, Any, None]]
) -> Load:
    """``count`` requests in all, over connections of their own; ``once`` makes the one of a number."""
    numbers = iter(range(count))
    durations: list[float] = []

    async def work(client: Client) -> None:
        for number in numbers:
            began = time.perf_counter()
            await once(client, number)
            durations.append(time.perf_counter() - began)

    async with connected(url, clients) as some:
        before, began = cpu_of(pid), time.perf_counter()
        await asyncio.gather(*map(work, some))
        seconds, cpu = time.perf_counter() - began, cpu_of(pid) - before
    return Load(seconds=seconds, durations=tuple(sorted(durations)), cpu=cpu)
