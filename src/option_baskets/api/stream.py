"""The live stream over a WebSocket: the token in the first message, then whatever becomes of what is the user's."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from option_baskets.api.live import Live, Subscription
from option_baskets.api.platform import Platform
from option_baskets.domain.errors import TooMany, Unauthenticated, Unavailable
from option_baskets.domain.session import IST
from option_baskets.engine.live_messages import MESSAGES, Ending, HeartbeatMessage, TokenMessage, line

router = APIRouter()

FIRST_WITHIN = 5.0
"""Seconds until the first message must be there."""
HEARTBEAT = 15.0
"""Seconds without a message after which one says that the connection lives."""
VERIFIED_EVERY = timedelta(seconds=10)
"""How often it is looked whether the token still holds."""
RENEWED_WITHIN = 10.0
"""Seconds a client has to send a fresh token."""
SENT_WITHIN = 10.0
"""Seconds a client may take to make room for a frame."""


class Close(IntEnum):
    """Why the server closes; docs/stream.md says what a client does then."""

    GOING_AWAY = 1001
    FAILED = 1011
    TRY_AGAIN_LATER = 1013
    MALFORMED = 4400
    UNAUTHENTICATED = 4401
    ANOTHER_USER = 4403
    TOO_SLOW = 4408
    TOO_MANY = 4429


_ENDINGS = {
    Ending.TOO_SLOW: (Close.TOO_SLOW, "messages were not taken in time; connect again and resume"),
    Ending.FAILED: (Close.FAILED, "the stream failed; connect again"),
    Ending.CLOSED: (Close.GOING_AWAY, "the server stops"),
}
_TOKEN = 'the first message is {"token": "..."}, perhaps with "resume": {"epoch": "...", "seq": 0}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Where the client was: the epoch of the last snapshot or ``resumed``, and the last ``seq`` it has."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOpening:
    """What a client sends: first, and again whenever it has a fresh token (without ``resume``)."""

    token: str
    resume: Resume | None = None


_opening = msgspec.json.Decoder(StreamOpening)


def schemas() -> dict[str, Any]:
    """JSON Schemas by name: ``StreamMessage`` is any message of the server, ``StreamOpening`` what a client sends."""
    _, found = msgspec.json.schema_components((*MESSAGES, StreamOpening), ref_template=_REF)
    for name, schema in found.items():
        if "enum" in schema:
            schema["type"] = "string"
        elif name not in {StreamOpening.__name__, Resume.__name__}:
            schema["required"] = list(schema["properties"])  # nothing is left out where it is null
    refs = [{"$ref": _REF.format(name=message.__name__)} for message in MESSAGES]
    found["StreamMessage"] = {
        "title": "StreamMessage",
        "description": "One line of a frame of WebSocket /stream.",
        "oneOf": refs,
        "discriminator": {
            "propertyName": "type",
            "mapping": {_type(message): ref["$ref"] for message, ref in zip(MESSAGES, refs, strict=True)},
        },
    }
    return found


_REF = "#/components/schemas/{name}"


def _type(message: type) -> str:
    named: str = message.__dataclass_fields__["type"].default  # type: ignore[attr-defined]
    return named


class _Closed(Exception):
    """The server closes the connection."""

    def __init__(self, code: Close, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Everything that becomes of the user's orders, positions and profits, as it happens."""
    platform: Platform = socket.app.state.platform
    await socket.accept()
    try:
        await _attend(socket, platform)
    except WebSocketDisconnect:
        return
    except _Closed as closed:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it is gone meanwhile
            await socket.close(closed.code, closed.reason)


async def _attend(socket: WebSocket, platform: Platform) -> None:
    """Raises _Closed or WebSocketDisconnect: it ends no other way."""
    live = platform.live
    if live is None:
        raise _Closed(Close.TRY_AGAIN_LATER, "there is no live stream here")
    try:
        async with asyncio.timeout(FIRST_WITHIN):
            opening = await _received(socket)
    except TimeoutError:
        raise _Closed(Close.UNAUTHENTICATED, f"no token came within {FIRST_WITHIN:g} s") from None
    user_id = await _verified(platform, opening.token)
    subscription = await _subscribed(live, user_id, opening.resume)
    client = _Client(socket=socket, platform=platform, subscription=subscription, user_id=user_id, token=opening.token)
    try:
        await client.attend()
    finally:
        subscription.close()


async def _received(socket: WebSocket) -> StreamOpening:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    try:
        return _opening.decode(message.get("text") or message.get("bytes") or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Closed(Close.MALFORMED, _TOKEN) from None


async def _verified(platform: Platform, token: str) -> str:
    """Whose token it is; counted against what the user may ask."""
    try:
        principal = await platform.identity.verify(token)
        platform.allowance.take(principal.user_id, platform.wall.now())
    except Unauthenticated:
        raise _Closed(Close.UNAUTHENTICATED, "the token proves nothing; log in and connect again") from None
    except TooMany as error:
        raise _Closed(Close.TOO_MANY, str(error)) from None
    except Unavailable:
        raise _Closed(Close.TRY_AGAIN_LATER, "tokens cannot be checked now; connect again") from None
    return principal.user_id


async def _subscribed(live: Live, user_id: str, resume: Resume | None) -> Subscription:
    try:
        return await live.subscribe(user_id, None if resume is None else (resume.epoch, resume.seq))
    except TooMany as error:
        raise _Closed(Close.TOO_MANY, str(error)) from None
    except Unavailable:
        raise _Closed(Close.TRY_AGAIN_LATER, "the store cannot be read now; connect again") from None


@dataclass(slots=True, kw_only=True)
class _Client:
    """A connection whose user is known."""

    socket: WebSocket
    platform: Platform
    subscription: Subscription
    user_id: str
    token: str
    _trusted: asyncio.Event = field(default_factory=asyncio.Event)
    """Its token held when it was looked at last; nothing is told while it does not."""

    async def attend(self) -> None:
        """Raises _Closed or WebSocketDisconnect, of whatever comes first."""
        self._trusted.set()
        tasks = [
            asyncio.create_task(work, name=f"stream of {self.user_id}")
            for work in (self._send(), self._listen(), self._verify())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            frame = await self._frame()
            if frame is None:
                raise _Closed(*_ENDINGS[self.subscription.ending or Ending.CLOSED])
            await self._trusted.wait()
            await self._sent(frame)

    async def _frame(self) -> str | None:
        try:
            async with asyncio.timeout(HEARTBEAT):
                return await self.subscription.next()
        except TimeoutError:
            return line(HeartbeatMessage(at=self.platform.market.now().astimezone(IST)))

    async def _sent(self, frame: str) -> None:
        try:
            async with asyncio.timeout(SENT_WITHIN):
                await self.socket.send_text(frame)
        except TimeoutError:
            self.subscription.end(Ending.TOO_SLOW)
            raise _Closed(*_ENDINGS[Ending.TOO_SLOW]) from None

    async def _listen(self) -> None:
        """Take fresh tokens."""
        while True:
            opening = await _received(self.socket)
            if await _verified(self.platform, opening.token) != self.user_id:
                raise _Closed(Close.ANOTHER_USER, "the token is another user's; connect anew for that user")
            self.token = opening.token
            self._trusted.set()

    async def _verify(self) -> None:
        """Ask for a fresh token when this one no longer holds, and tell nothing until it is there."""
        while True:
            await self.platform.wall.pause(VERIFIED_EVERY)
            try:
                await self.platform.identity.verify(self.token)
            except Unavailable:
                continue
            except Unauthenticated:
                self._trusted.clear()
                await self._sent(line(TokenMessage(at=self.platform.market.now().astimezone(IST))))
                try:
                    async with asyncio.timeout(RENEWED_WITHIN):
                        await self._trusted.wait()
                except TimeoutError:
                    raise _Closed(Close.UNAUTHENTICATED, "the token has expired; connect again and resume") from None
