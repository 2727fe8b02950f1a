"""Connections over real sockets, on a loop whose time the test leads: who is hung up on, and who is not."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from option_baskets.cli.http_server import SENT_WITHIN, Connection

Asgi = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
Work = Callable[["Led", asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Led(asyncio.SelectorEventLoop):
    """A loop that is as late as the test says."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def connected(app: Asgi, work: Work) -> None:
    """Do the work over one connection to the app."""

    async def main(loop: Led) -> None:
        config = uvicorn.Config(app, lifespan="off", ws="websockets-sansio", log_config=None, timeout_keep_alive=5)
        config.load()
        made: list[Connection] = []

        def connection() -> Connection:
            made.append(Connection(config=config, server_state=ServerState(), app_state={}))
            return made[-1]

        server = await loop.create_server(connection, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await work(loop, reader, writer)
        finally:
            writer.close()
            server.close()
            for each in made:
                each.transport.abort()
            await asyncio.gather(*(task for each in made for task in each.tasks), return_exceptions=True)
            await asyncio.sleep(0)

    loop = Led()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()


async def reads(scope: Any, receive: Any, send: Any) -> None:
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT",
    ],
    ids=["nothing", "half a head", "half a body", "half a second request"],
)
def test_who_does_not_send_a_whole_request_in_time_is_hung_up_on(sent: bytes) -> None:
    async def work(loop: Led, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        if sent.count(b"GET") == 2:
            assert b"204" in await reader.readuntil(b"\r\n\r\n")
        loop.ahead = SENT_WITHIN
        await reader.read()  # the end

    connected(reads, work)


@pytest.mark.parametrize("head", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"])
def test_headers_without_an_end_are_not_gathered(head: bytes) -> None:
    async def work(loop: Led, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        more = b"X: y\r\n" * 20_000 if head.endswith(b"1.1\r\n") else b"a" * 100_000
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                writer.write(more)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")

    connected(reads, work)


def test_an_answer_may_take_longer_than_a_request() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await may_answer.wait()
        await reads(scope, receive, send)

    async def work(loop: Led, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        await asked.wait()
        loop.ahead = 2 * SENT_WITHIN
        await asyncio.sleep(0)
        may_answer.set()
        assert b"204" in await reader.readuntil(b"\r\n\r\n")

    connected(slow, work)


def test_a_websocket_that_is_open_stays() -> None:
    may_speak = asyncio.Event()

    async def speaks(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await may_speak.wait()
        await send({"type": "websocket.send", "text": "still here"})

    async def work(loop: Led, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADE)
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        loop.ahead = SENT_WITHIN
        await asyncio.sleep(0)
        may_speak.set()
        assert await reader.readuntil(b"still here")

    connected(speaks, work)
