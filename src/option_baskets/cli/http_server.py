"""HTTP over sockets: where it listens, and the server that ends when it is asked to."""

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from option_baskets.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from fastapi import FastAPI

FINISHED_WITHIN = 10
"""Seconds that requests under way have when the process is asked to stop."""
SENT_WITHIN = 20.0
"""Seconds a client has to send a request to the end of its body, from connecting, or the next one's first byte."""
LONGEST_HEAD = 65_536
"""Bytes of a request line and headers that are not at their end."""
_MOST_WAITING = 2048


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and the URL of what it will answer. Port 0: any that is free.

    Raises:
        Unavailable: the port is in use.
        Invalid: there is no such address here, or the port is not ours to take.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Invalid(f"{host} is no address of a machine: {error.strerror}", where="--host") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_MOST_WAITING)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        yield listener, f"http://{shown}:{listener.getsockname()[1]}"


def _cannot_listen(host: str, port: int, error: OSError) -> Exception:
    match error.errno:
        case errno.EADDRINUSE:
            return Unavailable(f"port {port} of {host} is in use: stop what listens there, or give another with --port")
        case errno.EACCES:
            return Invalid(f"port {port} is for administrators; give one from 1024 on", where="--port")
    return Invalid(f"{host} is no address of this machine: {error.strerror}", where="--host")


class Connection(HttpToolsProtocol):
    """One that does not take everything: who connects and sends nothing, a request byte by byte, or headers without an
    end, is hung up on.

    Each holds a descriptor and memory of the process that trades, and needs no token for it.
    """

    _patience: asyncio.TimerHandle | None = None
    _head: int | None = None
    """How much of a head has come; None: none is coming."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The headers are too long.")

    def on_message_begin(self) -> None:
        self._head = 0
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._has_come()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._has_come()
        super().handle_websocket_upgrade()

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(SENT_WITHIN, self.transport.close)

    def _has_come(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Server(uvicorn.Server):
    """Serves an app. Signals are the process's own.

    Args:
        ready: called once requests are answered.
        proxy: the address of whom X-Forwarded-For is believed; None: nobody.
    """

    def __init__(self, app: "FastAPI", ready: Callable[[], None], *, proxy: str | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=Connection,
                ws="websockets-sansio",
                ws_max_size=65_536,
                ws_per_message_deflate=False,  # costs more than all the rest of the stream
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=proxy is not None,
                forwarded_allow_ips=proxy,
                timeout_graceful_shutdown=FINISHED_WITHIN,
            )
        )
        self._ready = ready

    async def until(self, stop: asyncio.Event, listener: socket.socket) -> None:
        """Serve until ``stop`` is set or a signal comes, and requests under way are answered; a second signal waits for
        none of them."""

        def asked() -> None:
            self.force_exit = stop.is_set()
            stop.set()

        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(each, asked)
        serving = asyncio.create_task(self.serve(sockets=[listener]), name="http")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self.should_exit = True
            await serving
        finally:
            stopping.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
