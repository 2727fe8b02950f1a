"""What is told to clients of the live stream through API Gateway, which holds their connections.

A connection is told everything, in order, or it is closed: one that takes no message, or whose token has ended, is
closed and forgotten, so that its client connects again and reads what it missed.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from option_baskets.adapters.aws.service import Service, code_of
from option_baskets.cloud import Cloud
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.session import IST
from option_baskets.engine.live_messages import ClosingMessage, line
from option_baskets.ports import Clock
from option_baskets.store.sockets import Socket, Sockets

LOG = logging.getLogger(__name__)

FRAME = 32 * 1024
"""Bytes; what is longer is metered as several messages."""
_GONE = {"GoneException", "410"}

Reason = Literal["malformed", "unauthenticated", "another_user", "too_many", "failed"]


class Pushing:
    """``sockets`` are the connections there are.

    Args:
        gateway: API Gateway's management API, at the WebSocket's own address.
        wall: what tokens end by.
    """

    def __init__(self, gateway: Service, sockets: Sockets, wall: Clock) -> None:
        self._gateway = gateway
        self.sockets = sockets
        self._wall = wall

    async def tell(self, socket: Socket, lines: Sequence[str]) -> bool:
        """Tell a connection, or let it go; whether it was told.

        Raises:
            Unavailable: the store cannot be written.
        """
        if self._wall.now() >= socket.until:
            await self.close(socket.id, "unauthenticated")
            await self.sockets.forget(socket)
            return False
        try:
            for frame in frames(lines):
                await self.say(socket.id, frame)
        except Unavailable as error:
            if code_of(error) not in _GONE:
                LOG.warning("a connection is let go, because it takes nothing: %s", error)
                await self.close(socket.id, "failed")
            await self.sockets.forget(socket)
            return False
        return True

    async def say(self, socket_id: str, frame: str) -> None:
        """Raises Unavailable: it was not told."""
        await self._gateway.call("post_to_connection", ConnectionId=socket_id, Data=frame.encode())

    async def close(self, socket_id: str, reason: Reason) -> None:
        """Say why, as well as it goes, and close it."""
        at = self._wall.now().astimezone(IST)
        try:
            await self.say(socket_id, line(ClosingMessage(at=at, reason=reason)))
            await self._gateway.call("delete_connection", ConnectionId=socket_id)
        except Unavailable as error:
            if code_of(error) not in _GONE:
                LOG.warning("a connection cannot be closed: %s", error)


async def pushing_of(cloud: Cloud) -> Pushing:
    sockets = Sockets(cloud.private, shards=cloud.settings.shards)
    return Pushing(await cloud.gateway(), sockets, cloud.wall)


def frames(lines: Iterable[str]) -> Iterator[str]:
    """As many lines a frame as go into ``FRAME`` bytes, and a longer line alone."""
    gathered: list[str] = []
    size = 0
    for each in lines:
        length = len(each.encode()) + 1
        if gathered and size + length > FRAME:
            yield "\n".join(gathered)
            gathered, size = [], 0
        gathered.append(each)
        size += length
    if gathered:
        yield "\n".join(gathered)
