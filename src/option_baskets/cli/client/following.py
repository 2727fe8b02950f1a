"""The live stream of a server, taken up again where it broke."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from rich.text import Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from option_baskets.cli.client.connection import Connection
from option_baskets.cli.client.status import number, time_of
from option_baskets.domain.errors import Forbidden, TooMany, Unauthenticated, Unavailable

_AGAIN_AFTER = timedelta(seconds=1)
_TRIES = 30
"""How often in a row it is tried to come back, a second apart, before the server is held to be gone."""
_CLOSED: Mapping[int, Exception] = {
    4403: Forbidden("the stream is of another user; log in anew"),
    4429: TooMany("the user has ten connections to the stream already; close one", retry_after=10),
}

Message = Mapping[str, Any]


async def followed(api: Connection) -> AsyncIterator[tuple[str, Message]]:
    """Every message as it came and decoded, one time each, for as long as there is a server.

    Raises:
        Unavailable: the server is gone, or has no stream.
        Unauthenticated: the login is over.
    """
    place: dict[str, Any] = {}
    spent, tries = "", 0
    while True:
        token = await api.access_token(spent)
        try:
            async with connect(_address(api.server), max_size=None) as socket:
                await socket.send(json.dumps({"token": token} | ({"resume": place} if place else {})))
                async for text, message in _heard(api, socket, place, token):
                    tries = 0
                    yield text, message
            closed = None
        except ConnectionClosed as error:
            closed = error.rcvd
        except (OSError, InvalidHandshake, InvalidMessage, TimeoutError):
            closed = None
        code = 1006 if closed is None else closed.code
        if code in _CLOSED:
            raise _CLOSED[code]
        if code == 4401:
            if spent == token:
                raise Unauthenticated(f"{api.server} does not take the token any more: log in anew")
            spent = token
        tries += 1
        if tries > _TRIES:
            raise Unavailable(f"nothing streams at {api.server} any more")
        await api.clock.pause(_AGAIN_AFTER)


async def _heard(
    api: Connection, socket: ClientConnection, place: dict[str, Any], token: str
) -> AsyncIterator[tuple[str, Message]]:
    """The messages of one connection; ``place`` keeps where it stands."""
    async for frame in socket:
        for text in str(frame).split("\n"):
            message: Message = json.loads(text)
            if message["type"] in {"snapshot", "resumed"}:
                place["epoch"] = message["epoch"]
            if message["seq"] is not None:
                place["seq"] = message["seq"]
            if message["type"] == "token":
                token = await api.access_token(spent=token)
                await socket.send(json.dumps({"token": token}))
                continue
            yield text, message


def _address(server: str) -> str:
    return server.replace("http", "ws", 1) + "/stream"


def line_of(message: Message) -> Text | None:
    """A line for a person; None for what is of no news."""
    match message["type"]:
        case "fill":
            said = f"{message['quantity']:,d} filled at {number(message['price'])}  {message['order_id']}"
            return _line(message, message["strategy_id"], said)
        case "order":
            order = message["order"]
            contract = _contract(order["contract"])
            said = f"{order['side']} {order['quantity']:,d} {contract} {order['state'].lower()}"
            why = ": ".join(filter(None, (order["reason"] or order["cause"], order["detail"])))
            return _line(message, f"{order['strategy_id']} on {order['account']}", f"{said}  {why}".rstrip())
        case "run":
            run = message["run"]
            why = ": ".join(filter(None, (run["reason"], run["detail"])))
            return _line(message, run["strategy_id"], f"{run['status'].lower()}  {why}".rstrip(), style="bold")
        case "alert":
            alert = message["alert"]
            style = "bold red" if alert["level"] == "critical" else "yellow"
            return _line(message, alert["code"], alert["message"], style=style)
        case "refusal":
            said = f"refused, {message['reason']}: {message['detail']}"
            return _line(message, message["strategy_id"], said, style="yellow")
        case "reset":
            return Text(f"the stream begins anew: {message['reason']}", style="dim")
    return None


def _line(message: Message, who: str, said: str, style: str = "") -> Text:
    return Text(f"{time_of(message['at'])}  {who}  {said}", style=style)


def _contract(contract: Message) -> str:
    strike = contract["strike"] or ""
    return " ".join(filter(None, (contract["underlying"], contract["expiry"], strike, contract["type"])))
