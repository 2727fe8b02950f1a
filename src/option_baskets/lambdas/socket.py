"""WebSockets that come and go. A connection is one of a user's once it has sent a token that proves whose it is.

Until then nothing is stored of it and nothing is told to it; one that stays silent is ended by API Gateway after ten
minutes, one whose first message proves nothing at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from option_baskets.cloud import Cloud
from option_baskets.domain.errors import Unauthenticated
from option_baskets.domain.session import IST
from option_baskets.engine.live_messages import ListeningMessage, line
from option_baskets.lambdas.pushing import Reason, pushing_of
from option_baskets.lambdas.running import run
from option_baskets.store.sockets import Socket, Sockets

MOST = 10
"""Connections of one user."""
_DONE = {"statusCode": 200}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The first message, and whenever there is a fresh token."""

    token: str


_opening = msgspec.json.Decoder(Opening)


def handler(event: Mapping[str, Any], context: object) -> Mapping[str, int]:
    """``$connect``, ``$disconnect``, and every message as ``$default``."""
    asked = event["requestContext"]
    match asked["routeKey"]:
        case "$default":
            run(lambda cloud: _said(cloud, asked["connectionId"], event.get("body") or ""), context)
        case "$disconnect":
            run(lambda cloud: _left(cloud, asked["connectionId"]), context)
    return _DONE


async def _said(cloud: Cloud, socket_id: str, body: str) -> None:
    pushing = await pushing_of(cloud)
    socket = await _let_in(cloud, pushing.sockets, socket_id, body)
    if not isinstance(socket, Socket):
        await pushing.close(socket_id, socket)
        return
    await pushing.sockets.save(socket, cloud.wall.now())
    answer = ListeningMessage(at=cloud.clock.now().astimezone(IST), until=socket.until.astimezone(IST))
    await pushing.tell(socket, [line(answer)])


async def _let_in(cloud: Cloud, sockets: Sockets, socket_id: str, body: str) -> Socket | Reason:
    """Whose the connection is, or why it is nobody's."""
    try:
        opening = _opening.decode(body)
        proof = await (await cloud.identity()).proof(opening.token)
    except msgspec.DecodeError:
        return "malformed"
    except Unauthenticated:
        return "unauthenticated"
    user_id = proof.principal.user_id
    known = await sockets.socket(socket_id)
    if known is not None and known.user_id != user_id:
        await sockets.forget(known)
        return "another_user"
    if known is None:
        now = cloud.wall.now()
        if sum(each.until > now for each in await sockets.of_user(user_id)) >= MOST:
            return "too_many"
    return Socket(id=socket_id, user_id=user_id, until=proof.until)


async def _left(cloud: Cloud, socket_id: str) -> None:
    pushing = await pushing_of(cloud)
    known = await pushing.sockets.socket(socket_id)
    if known is not None:
        await pushing.sockets.forget(known)
