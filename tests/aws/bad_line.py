"""A line between the deployed functions and the AWS of the tests on which things go wrong, as they do on a real one.

Functions are given its address as that of DynamoDB and of SQS. What is not meant to go wrong goes through unchanged.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web

_TARGET = "X-Amz-Target"
_COMMIT = "DynamoDB_20120810.TransactWriteItems"
_SENDING = "AmazonSQS.SendMessageBatch"
_OF_VERSION = b"#version = :version"
_OF_THE_EXCHANGE = b"paper-exchange"


@dataclass(kw_only=True)
class Trouble:
    """What goes wrong for one user, and in ``counts`` how often it did."""

    conflicts_every: int = 0
    """Of the commits of items that have a version, every so many finds that somebody else was faster; 0: none."""
    sends: int = 1
    """How often a wake-up arrives that was sent once."""
    kills_at: int = 0
    """The order, counted over the day, with which in hand the process is killed that hands it to the exchange."""
    counts: Counter[str] = field(default_factory=Counter)
    _sent: set[str] = field(default_factory=set)

    def is_new(self, body: bytes) -> bool:
        """Whether any of its messages was not sent before."""
        before = len(self._sent)
        self._sent |= {str(entry["MessageBody"]) for entry in json.loads(body)["Entries"]}
        return len(self._sent) > before


@dataclass(kw_only=True)
class BadLine:
    """``troubles`` are by user; whom nothing is said of has none."""

    beyond: str
    """The address of AWS."""
    troubles: dict[str, Trouble] = field(default_factory=dict)
    address: str = ""

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        target = request.headers.get(_TARGET, "")
        for user, trouble in self.troubles.items():
            if user.encode() not in body:
                continue
            if target == _COMMIT and (failed := _failed(trouble, request, body)) is not None:
                return failed
            if target == _SENDING and trouble.is_new(body):
                for _ in range(trouble.sends - 1):
                    trouble.counts["sent again"] += 1
                    await self._sent(request, body)
        return await self._sent(request, body)

    async def _sent(self, request: web.Request, body: bytes) -> web.Response:
        named = {name: value for name, value in request.headers.items() if name != "Accept-Encoding"}
        async with self._session.request(
            request.method, self.beyond + request.path_qs, data=body, headers=named
        ) as answer:
            kept = {name: answer.headers[name] for name in ("Content-Type", "x-amz-crc32") if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    @asynccontextmanager
    async def strung(self) -> AsyncIterator["BadLine"]:
        """While it is there, ``address`` is where it begins."""
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self.pass_on)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        async with ClientSession(connector=TCPConnector(limit=0)) as self._session:
            await site.start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()


def _failed(trouble: Trouble, request: web.Request, body: bytes) -> web.Response | None:
    """The answer to a commit that does not get through; None: it does."""
    if _OF_THE_EXCHANGE in body:
        trouble.counts["orders"] += 1
        if trouble.counts["orders"] == trouble.kills_at:
            trouble.counts["killed"] += 1
            os.kill(_other_end(request), signal.SIGKILL)
            return web.Response(status=500)
    elif trouble.conflicts_every and _OF_VERSION in body:
        trouble.counts["versioned"] += 1
        if trouble.counts["versioned"] % trouble.conflicts_every == 0:
            trouble.counts["conflicts"] += 1
            return _conflict(body)
    return None


def _conflict(body: bytes) -> web.Response:
    """As DynamoDB says it: a reason for each write, and here for the first that expects a version."""
    writes = [next(iter(each.values())) for each in json.loads(body)["TransactItems"]]
    at = next(place for place, write in enumerate(writes) if "#version" in write.get("ConditionExpression", ""))
    reasons = [{"Code": "ConditionalCheckFailed" if place == at else "None"} for place in range(len(writes))]
    told = {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": reasons,
    }
    return web.json_response(told, status=400, content_type="application/x-amz-json-1.0")


def _other_end(request: web.Request) -> int:
    """The process that asked: a function's, and no other is ever ended."""
    assert request.transport is not None
    port = request.transport.get_extra_info("peername")[1]
    connections = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    inode = next(each[9] for each in connections if int(each[1].partition(":")[2], 16) == port)
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _has(process, f"socket:[{inode}]"):
            assert b"AWS_LAMBDA_FUNCTION_NAME=" in (process / "environ").read_bytes()
            return int(process.name)
    raise LookupError(f"nobody on this machine has port {port}")


def _has(process: Path, name: str) -> bool:
    try:
        return any(str(each.readlink()) == name for each in (process / "fd").iterdir())
    except OSError:  # it has ended, or is somebody else's
        return False
