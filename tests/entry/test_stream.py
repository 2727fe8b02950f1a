"""The live stream over a WebSocket: who may listen, what they hear of a real day, and how a connection ends.

What takes seconds of real time (tokens that expire, heartbeats, clients that take nothing) is tested over the app
itself on a simulated loop, where it takes none.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.changes import Changes
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.queue import TableQueue
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.identity.passwords import Hashing
from option_baskets.adapters.identity.roster import Roster
from option_baskets.api.app import make_app
from option_baskets.api.platform import Platform
from option_baskets.api.stream import HEARTBEAT, RENEWED_WITHIN, SENT_WITHIN, Close, schemas
from option_baskets.domain.login import Tokens
from option_baskets.engine.connections import BrokerConnections
from option_baskets.engine.live_hub import CONNECTIONS, Hub
from option_baskets.entrance import Entrance
from option_baskets.store.books import Alert, Books
from tests.engine.small_market import SmallMarket
from tests.engine.tiny_day import FACTS, LISTED, instant
from tests.entry.served import PASSWORD, QUICK, Person, Server, serve
from tests.entry.test_controls_api import Trader

Json = dict[str, Any]
_PATIENCE = 30.0


# ---------------------------------------------------------------- a real server, a real day


class Ears:
    """A client of the stream, on a socket. Every message is held against its published schema."""

    def __init__(self, server: Server, token: str, resume: Json | None = None) -> None:
        self._open = contextlib.ExitStack()
        self._socket: ClientConnection = self._open.enter_context(connect(address(server), compression=None))
        self.say(json.dumps({"token": token} | ({"resume": resume} if resume else {})))
        self.messages: list[Json] = []

    def until(self, found: Callable[[Json], bool]) -> Json:
        """Listen until a message is the one that is looked for."""
        seen = 0
        while True:
            for message in self.messages[seen:]:
                if found(message):
                    return message
            seen = len(self.messages)
            for text in str(self._socket.recv(_PATIENCE)).split("\n"):
                message = json.loads(text)
                VALIDATOR.validate(message)
                self.messages.append(message)

    def first(self, type_: str) -> Json:
        return self.until(lambda message: message["type"] == type_)

    def say(self, text: str) -> None:
        self._socket.send(text)

    def closed(self) -> int:
        """The code the server closes with."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self._socket.recv(_PATIENCE)
        self.close()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code

    def close(self) -> None:
        self._open.close()

    @property
    def place(self) -> Json:
        """Where to resume."""
        epoch = [each["epoch"] for each in self.messages if "epoch" in each][-1]
        return {"epoch": epoch, "seq": [each["seq"] for each in self.messages if each["seq"] is not None][-1]}


def address(server: Server) -> str:
    return server.url.replace("http", "ws") + "/stream"


VALIDATOR = Draft202012Validator(
    {"$ref": "#/components/schemas/StreamMessage", "components": {"schemas": schemas()}},
    format_checker=Draft202012Validator.FORMAT_CHECKER,
)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For whoever needs no time of the market to pass."""
    with serve(tmp_path_factory.mktemp("stream") / "data") as server:
        yield server


@contextlib.contextmanager
def ears(server: Server, person: Person, resume: Json | None = None) -> Iterator[Ears]:
    found = Ears(server, person.token, resume)
    try:
        yield found
    finally:
        found.close()


def test_a_user_hears_of_their_own_day_as_it_happens_and_another_hears_nothing_of_it(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server:
        trader, other = Trader(server), server.user("eve@example.org")
        with ears(server, trader.person) as ann, ears(server, other) as eve:
            assert ann.first("snapshot")["runs"] == []
            eve.first("snapshot")
            server.until("11:00:05")
            active = ann.until(lambda each: each["type"] == "run" and each["run"]["status"] == "ACTIVE")
            shown = trader.http.get("/options/positions").json()["items"]
            held = [position for position in active["run"]["positions"] if position["open"]]
            assert len(held) == len(shown) == 4
            assert active["run"]["run_id"] == trader.run()["id"]
            units = sum(position["open"] for position in held)
            ann.until(lambda _: units == sum(each["quantity"] for each in ann.messages if each["type"] == "fill"))
            profit = ann.until(lambda each: each["type"] == "pnl" and len(each["positions"]) == 4)
            assert {part["account"] for part in profit["accounts"]} == {"one", "two"}
            greeks = ann.until(lambda each: each["type"] == "greeks" and len(each["positions"]) == 4)
            assert greeks["underlyings"][0]["greeks"]["gamma"] < 0
            server.until("11:01")
            tick = eve.until(lambda each: each["type"] == "tick" and each["at"].startswith("2026-11-23T11:01:00"))
            assert (tick["phase"], tick["at"][-6:]) == ("ACTIVE_TRADING", "+05:30")
            assert {each["type"] for each in eve.messages} <= {"snapshot", "tick", "pnl", "greeks", "heartbeat"}
            assert all(not each["strategies"] for each in eve.messages if each["type"] in {"pnl", "greeks"})
        with ears(server, trader.person) as late:
            snapshot = late.first("snapshot")
            assert [run["run_id"] for run in snapshot["runs"]] == [trader.run()["id"]]
            assert snapshot["phase"] == "ACTIVE_TRADING"
            assert len(snapshot["pnl"]["positions"]) == 4


def test_whoever_reconnects_goes_on_where_they_were(standing: Server) -> None:
    person = standing.user("resumes@example.org")
    with ears(standing, person) as before:
        before.first("snapshot")
        raise_alert(standing, person, "one")
        before.first("alert")
        place = before.place
    raise_alert(standing, person, "two")
    raise_alert(standing, person, "three")
    with ears(standing, person, place) as after:
        assert after.first("resumed")["missed"] == 2
        after.until(lambda each: each["type"] == "alert" and each["alert"]["message"] == "three")
    told = [(each["seq"], each["alert"]["message"]) for each in after.messages if each["type"] == "alert"]
    assert told == [(place["seq"] + 1, "two"), (place["seq"] + 2, "three")]


def test_what_cannot_be_resumed_is_reset(standing: Server) -> None:
    person = standing.user("reset@example.org")
    with ears(standing, person, {"epoch": "of-another-process", "seq": 17}) as client:
        assert client.first("reset")["reason"] == "another_epoch"
        client.first("snapshot")
    assert [each["type"] for each in client.messages[:2]] == ["reset", "snapshot"]


def raise_alert(server: Server, person: Person, message: str) -> None:
    books = server.platform.books
    note = Alert(user_id=person.id, at=server.now, code="test", message=message, subject=message)
    server.ask(lambda: books.commit(books.put_alert(note)))


@pytest.mark.parametrize("token", ["", "nobody's", "eyJhbGciOiJub25lIn0.e30."])
def test_without_a_token_that_proves_something_the_connection_is_closed(standing: Server, token: str) -> None:
    assert Ears(standing, token).closed() == Close.UNAUTHENTICATED


@pytest.mark.parametrize(
    "said", ["hello", "{}", "[]", '{"token": 7}', '{"token": "x", "resume": {"epoch": "y"}}', '{"token": "\\ud800"}']
)
def test_a_first_message_that_is_none_closes_the_connection(standing: Server, said: str) -> None:
    with connect(address(standing), compression=None) as socket:
        socket.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(_PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in {Close.MALFORMED, Close.UNAUTHENTICATED}
    assert "token" in closed.value.rcvd.reason


def test_the_token_of_another_user_ends_the_connection(standing: Server) -> None:
    one, other = standing.user("one@example.org"), standing.user("other@example.org")
    client = Ears(standing, one.token)
    client.first("snapshot")
    client.say(json.dumps({"token": one.token}))
    raise_alert(standing, one, "still there")
    client.first("alert")
    client.say(json.dumps({"token": other.token}))
    assert client.closed() == Close.ANOTHER_USER


def test_one_connection_more_than_a_user_may_have_is_closed_and_the_others_stay(standing: Server) -> None:
    person = standing.user("many@example.org")
    held = [Ears(standing, person.token) for _ in range(CONNECTIONS)]
    for each in held:
        each.first("snapshot")
    assert Ears(standing, person.token).closed() == Close.TOO_MANY
    raise_alert(standing, person, "to all")
    for each in held:
        assert each.first("alert")["alert"]["message"] == "to all"
    held[0].close()
    again = Ears(standing, person.token)
    again.first("snapshot")
    for each in (*held, again):
        each.close()


def test_what_is_told_is_published_in_the_openapi_document(standing: Server) -> None:
    published = standing.http.get("/openapi.json").json()["components"]["schemas"]
    for name, schema in schemas().items():
        assert published[name] == schema, name


# ---------------------------------------------------------------- the app on a simulated loop


@dataclass
class Socket:
    """A WebSocket of the app's, without a network. ``stuck``: the client takes nothing any more."""

    app: Any
    heard: list[Json] = field(default_factory=list)
    code: int | None = None
    stuck: bool = False
    _said: "asyncio.Queue[Json]" = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self._said.put_nowait({"type": "websocket.connect"})
        scope: Json = {
            "type": "websocket",
            "path": "/stream",
            "raw_path": b"/stream",
            "query_string": b"",
            "headers": [],
        }
        scope |= {"subprotocols": [], "client": None, "server": None, "scheme": "ws", "http_version": "1.1"}
        self.task = asyncio.create_task(self.app(scope, self._said.get, self._send))

    async def _send(self, message: Json) -> None:
        if message["type"] == "websocket.close":
            self.code = message["code"]
        elif message["type"] == "websocket.send":
            if self.stuck:
                await asyncio.Event().wait()
            self.heard += [json.loads(text) for text in message["text"].split("\n")]

    def say(self, **message: object) -> None:
        self._said.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def leave(self) -> None:
        self._said.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def types(self) -> list[str]:
        return [each["type"] for each in self.heard]


@dataclass
class Rig:
    """The app over real files, where all clocks are the loop's."""

    clock: SimulatedClock
    app: Any
    books: Books
    hub: Hub
    entrance: Entrance
    user_id: str
    tokens: Tokens

    async def passes(self, seconds: float) -> None:
        await self.clock.pause(timedelta(seconds=seconds))

    async def alert(self, message: str) -> None:
        note = Alert(user_id=self.user_id, at=self.clock.now(), code="test", message=message, subject=message)
        await self.books.commit(self.books.put_alert(note))

    async def listening(self) -> Socket:
        socket = Socket(self.app)
        socket.say(token=self.tokens.access_token)
        await self.passes(1)
        return socket


def simulated(folder: Path, act: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    async def main(clock: SimulatedClock) -> None:
        changes = Changes()
        table = SqliteTable.open(folder / "file", now=clock.now, threaded=False, durable=False, committed=changes.tell)
        books = Books(table)
        entrance = await Entrance.open(folder, wall=clock, terms=QUICK, threaded=False, durable=False)
        hub = Hub(
            books=books,
            facts=FACTS,
            feed=SmallMarket(LISTED),
            market=clock,
            wall=clock,
            session=lambda: None,
            epoch="test",
        )
        changes.follow(hub.committed)
        platform = Platform(
            books=books,
            queue=TableQueue(table, clock),
            feed=SmallMarket(LISTED),
            facts=FACTS,
            cadence=load_cadence(),
            market=clock,
            wall=clock,
            private=entrance.table,
            identity=entrance.sign_in,
            vault=entrance.vault,
            accounts=BrokerConnections(lambda _, __: None),
            session=lambda: None,
            cursor_key=entrance.cursor_key,
            live=hub,
        )
        hashing = Hashing(QUICK.cost)
        user = await Roster(entrance.people, hashing, clock).add("asha@example.org", PASSWORD)
        hashing.close()
        tokens = await entrance.sign_in.login("asha@example.org", PASSWORD, code="", client="127.0.0.1")
        async with telling(hub):
            await act(
                Rig(
                    clock=clock,
                    app=make_app(platform),
                    books=books,
                    hub=hub,
                    entrance=entrance,
                    user_id=user.id,
                    tokens=tokens,
                )
            )
        await entrance.close()
        await table.close()

    run_simulated(main, instant("09:00"))


@contextlib.asynccontextmanager
async def telling(hub: Hub) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_client_that_says_nothing_is_closed(tmp_path: Path) -> None:
    async def act(rig: Rig) -> None:
        socket = Socket(rig.app)
        await rig.passes(4.9)
        assert socket.code is None
        await rig.passes(0.2)
        assert socket.code == Close.UNAUTHENTICATED
        await socket.task

    simulated(tmp_path, act)


def test_a_quiet_connection_has_a_heartbeat(tmp_path: Path) -> None:
    async def act(rig: Rig) -> None:
        socket = await rig.listening()
        await rig.passes(4 * HEARTBEAT)
        assert socket.types().count("heartbeat") >= 3
        socket.leave()
        await socket.task
        assert rig.hub.counts() == (0, 0)

    simulated(tmp_path, act)


def test_an_expired_token_is_asked_for_anew_and_nothing_told_until_it_is_there(tmp_path: Path) -> None:
    async def act(rig: Rig) -> None:
        socket = await rig.listening()
        await rig.passes(QUICK.access.total_seconds() - 20)
        await rig.alert("before")
        while "token" not in socket.types():
            await rig.passes(1)
        assert "alert" in socket.types()
        await rig.alert("meanwhile")
        await rig.passes(RENEWED_WITHIN - 2)
        assert socket.types()[-1] == "token"
        socket.say(token=(await rig.entrance.sign_in.refresh(rig.tokens.refresh_token)).access_token)
        await rig.passes(20)
        assert socket.code is None
        told = [(each["seq"], each["alert"]["message"]) for each in socket.heard if each["type"] == "alert"]
        assert told == [(1, "before"), (2, "meanwhile")]
        socket.leave()
        await socket.task

    simulated(tmp_path, act)


@pytest.mark.parametrize("ended", ["expired", "logged out"])
def test_a_login_that_has_ended_ends_the_connection(tmp_path: Path, ended: str) -> None:
    async def act(rig: Rig) -> None:
        socket = await rig.listening()
        if ended == "logged out":
            principal = await rig.entrance.sign_in.verify(rig.tokens.access_token)
            await rig.entrance.sign_in.logout(principal, everywhere=False)
        else:
            await rig.passes(QUICK.access.total_seconds())
        await rig.passes(10)
        await rig.alert("a secret")
        await rig.passes(RENEWED_WITHIN + 1)
        assert socket.code == Close.UNAUTHENTICATED
        assert "token" in socket.types()
        assert "alert" not in socket.types()
        await socket.task
        assert rig.hub.counts() == (0, 0)

    simulated(tmp_path, act)


def test_a_client_that_takes_nothing_is_dropped_and_the_others_hear_on(tmp_path: Path) -> None:
    async def act(rig: Rig) -> None:
        slow, quick = await rig.listening(), await rig.listening()
        slow.stuck = True
        await rig.alert("one")
        await rig.passes(SENT_WITHIN + 1)
        assert slow.code == Close.TOO_SLOW
        await slow.task
        assert rig.hub.counts() == (1, 1)
        await rig.alert("two")
        await rig.passes(1)
        assert [each["alert"]["message"] for each in quick.heard if each["type"] == "alert"] == ["one", "two"]
        quick.leave()
        await quick.task

    simulated(tmp_path, act)
