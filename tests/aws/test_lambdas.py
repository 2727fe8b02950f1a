"""The API and the live stream as functions: handlers in this process, over tables, users, keys and sockets of AWS."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from option_baskets.adapters.aws.kms_vault import KmsVault
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.events import MarketPhase, Tick
from option_baskets.domain.session import IST
from option_baskets.engine.messages import LOOK
from option_baskets.lambdas.pushing import FRAME, Pushing, frames, pushing_of
from option_baskets.lambdas.traced import as_json
from option_baskets.ports import Item, Put, TableName
from option_baskets.store import codec, keys
from option_baskets.store.records import TickMark, TickState
from option_baskets.store.secrets import Secrets
from option_baskets.store.sockets import Socket
from tests.aws.installation import Installation, Json, installed
from tests.contract.engines import Engine
from tests.engine.plans import run as a_run

ASHA, BHARAT = "asha@example.org", "bharat@example.org"
OPEN = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
SUNDAY = datetime(2026, 11, 22, 10, 0, tzinfo=IST)
BASKET = {"name": "Income", "capital": 500000}
KITE = {"api_key": "kite-key-5512", "api_secret": "kite-s3cret-9f27e1"}


@pytest.fixture
def house(aws: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with installed(aws, tmp_path, monkeypatch) as house:
        house.lead(OPEN)
        yield house


# ---------------------------------------------------------------- the API


def test_users_of_cognito_see_what_is_theirs_and_nobody_else_is_let_in(house: Installation) -> None:
    asha, bharat = house.login(ASHA), house.login(BHARAT)
    made = house.ask("POST", "/options/baskets", asha, BASKET)
    assert (made.status, made.json()["id"]) == (201, "income"), made.body
    assert house.ask("GET", "/options/baskets/income", asha).json() == made.json()
    assert house.ask("GET", "/options/baskets/income", bharat).status == 404
    for token in ("", "nonsense", f"{asha[:-8]}AAAAAAAA"):
        refused = house.ask("GET", "/options/baskets", token)
        assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json")


def test_nobody_logs_in_here_and_the_process_says_what_it_is(house: Installation) -> None:
    assert house.ask("POST", "/auth/login", body={"email": ASHA, "password": "x"}).status == 404
    ready = house.ask("GET", "/ready")
    assert (ready.status, ready.json()["engine"]) == (200, "elsewhere")
    assert ready.json()["market_time"] == OPEN.isoformat()
    paths = house.ask("GET", "/openapi.json").json()["paths"]
    assert "/options/baskets" in paths and not any(path.startswith("/auth") for path in paths)


def test_secrets_of_accounts_are_sealed_by_kms_for_their_owner(house: Installation) -> None:
    asha = house.login(ASHA)
    account = {"id": "zerodha-1", "broker": "zerodha", "secret": KITE}
    made = house.ask("POST", "/broker-accounts", asha, account)
    assert made.status == 201 and made.json()["secret"]["is_complete"], made.body
    assert KITE["api_secret"] not in made.body
    cloud = house.cloud()
    vault = house.do(cloud.vault())
    assert isinstance(vault, KmsVault)
    user = house.do(house.do(cloud.identity()).verify(asha)).user_id
    page = house.do(house.table.query(TableName.IDENTITY, user))
    kept = b"".join(item.body for item in page.items)
    assert page.items and KITE["api_secret"].encode() not in kept
    secrets = Secrets(house.table, vault)
    assert dict(house.do(secrets.open_secret(user, "zerodha-1"))) == KITE


def test_a_cursor_and_a_repeat_are_good_in_every_process(house: Installation) -> None:
    asha = house.login(ASHA)
    made = [
        house.ask("POST", "/broker-accounts", asha, {"id": name}, Idempotency_Key=name)
        for name in ("one", "two", "six")
    ]
    first = house.ask("GET", "/broker-accounts?limit=2", asha).json()
    house.restart()
    rest = house.ask("GET", f"/broker-accounts?limit=2&cursor={first['next']}", asha).json()
    assert [each["id"] for each in (*first["items"], *rest["items"])] == ["one", "six", "two"]
    assert rest["next"] is None
    again = house.ask("POST", "/broker-accounts", asha, {"id": "one"}, Idempotency_Key="one")
    assert (again.status, again.json()) == (201, made[0].json())


def test_a_paper_account_is_found_in_the_table_of_the_exchange(house: Installation) -> None:
    asha = house.login(ASHA)
    house.ask("POST", "/broker-accounts", asha, {"id": "one"})
    house.ask("POST", "/broker-accounts", asha, {"id": "far", "broker": "zerodha"})
    tested = house.ask("POST", "/broker-accounts/one/test", asha)
    assert (tested.status, tested.json()["result"]) == (200, "connected"), tested.body
    assert house.ask("POST", "/broker-accounts/far/test", asha).json()["result"] == "no_connection"


def test_after_a_switch_somebody_is_sent_for_and_while_nothing_is_traded_nobody(house: Installation) -> None:
    asha = house.login(ASHA)
    user = house.do(house.do(house.cloud().identity()).verify(asha)).user_id
    assert house.ask("POST", "/options/kill-switches", asha, {"scope": "user"}).status == 201
    (woken,) = house.wake_ups()
    assert (woken.kind, woken.at, woken.body) == (LOOK, OPEN, {"user_id": user})
    assert house.do(house.cloud().queue.inbox.is_waiting(woken))
    house.lead(OPEN + timedelta(seconds=1))
    assert house.ask("DELETE", "/options/kill-switches/user", asha).status == 204
    house.lead(OPEN + timedelta(seconds=2))
    assert house.ask("PUT", "/options/limits", asha, {"max_daily_loss": 5000}, If_Match="*").status == 200
    assert [each.at - OPEN for each in house.wake_ups()] == [timedelta(seconds=1), timedelta(seconds=2)]
    for closed in (SUNDAY, OPEN.replace(hour=16), OPEN.replace(hour=8)):
        house.lead(closed)
        assert house.ask("POST", "/options/kill-switches", asha, {"scope": "user"}).status == 201
    assert house.wake_ups() == []


# ---------------------------------------------------------------- the live stream


class Ears:
    """A client of the live stream, on the loop of the handlers."""

    def __init__(self, house: Installation, connection: ClientConnection, name: str) -> None:
        self.house = house
        self.connection = connection
        self.name = name

    @classmethod
    def of(cls, house: Installation) -> "Ears":
        connection = house.do(_connected(house.socket_address))
        return cls(house, connection, house.do(house.named(connection)))

    def say(self, body: object) -> None:
        self.house.route("$default", self.name, body if isinstance(body, str) else json.dumps(body))

    def hear(self) -> list[Json]:
        async def hear() -> str:
            async with asyncio.timeout(30):
                return str(await self.connection.recv())

        return [json.loads(line) for line in self.house.do(hear()).split("\n")]

    def is_closed(self) -> bool:
        """After what is still said to it."""

        async def closed() -> bool:
            async with asyncio.timeout(30):
                try:
                    while True:
                        await self.connection.recv()
                except ConnectionClosed:
                    return True

        return self.house.do(closed())

    def close(self) -> None:
        self.house.do(self.connection.close())

    def leave(self) -> None:
        """Close, and see that API Gateway has noticed."""
        self.close()
        gateway = self.house.do(self.house.cloud().gateway())
        with pytest.raises(Unavailable, match="Gone"):
            while True:
                self.house.do(gateway.call("get_connection", ConnectionId=self.name))


async def _connected(address: str) -> ClientConnection:
    return await connect(address)


@pytest.fixture
def ears(house: Installation) -> Iterator[Any]:
    opened: list[Ears] = []

    def of() -> Ears:
        opened.append(Ears.of(house))
        return opened[-1]

    yield of
    for each in opened:
        each.close()


def user_of(house: Installation, token: str) -> str:
    return house.do(house.do(house.cloud().identity()).verify(token)).user_id


def pushing(house: Installation) -> Pushing:
    return house.do(pushing_of(house.cloud()))


def sockets(house: Installation, token: str) -> list[Socket]:
    return house.do(pushing(house).sockets.of_user(user_of(house, token)))


def run_put(user: str, number: int = 0, **changes: Any) -> Put:
    """The write of a run of the user."""
    run = replace(a_run(), user_id=user, cycle=number, **changes)
    return Put(
        table=TableName.CONFIGURATIONS, item=Item(pk=user, sk=f"{keys.RUNS}{run.id}#{number}", body=codec.encode(run))
    )


def tick_put(at: datetime) -> Put:
    mark = TickMark(tick=Tick(at=at, phase=MarketPhase.MARKET_OPEN), state=TickState.EMITTED)
    return Put(
        table=TableName.CONFIGURATIONS,
        item=Item(pk=f"{keys.TICKS}{at:%Y-%m-%d}", sk=f"{at:%H:%M:%S}", body=codec.encode(mark)),
    )


def test_who_proves_who_they_are_hears_of_their_own_changes_and_of_the_timer(house: Installation, ears: Any) -> None:
    asha, bharat = house.login(ASHA), house.login(BHARAT)
    hers, his, nobodys = ears(), ears(), ears()
    hers.say({"token": asha})
    his.say({"token": bharat})
    for each in (hers, his):
        (listening,) = each.hear()
        assert (listening["type"], listening["seq"], listening["at"]) == ("listening", None, OPEN.isoformat())
    records = house.changes(*(run_put(user_of(house, asha), number) for number in range(3)))
    records += house.changes(tick_put(OPEN))
    assert len(records) == 4
    assert house.tell(records) == []
    heard = hers.hear()
    heard += hers.hear() if len(heard) < 4 else []
    assert sorted(each["type"] for each in heard) == ["run", "run", "run", "tick"]
    assert [each["run"]["cycle"] for each in heard if each["type"] == "run"] == [0, 1, 2]
    assert [each["type"] for each in his.hear()] == ["tick"]
    house.do(pushing(house).say(nobodys.name, "{}"))
    assert nobodys.hear() == [{}], "who proved nothing was told something"


@pytest.mark.parametrize("said", ["", "no json", "[]", "{}", '{"token": 1}', '{"token": "nonsense"}'])
def test_who_proves_nothing_is_put_out_and_nothing_is_kept_of_them(house: Installation, ears: Any, said: str) -> None:
    client = ears()
    client.say(said)
    assert client.is_closed()
    assert house.do(pushing(house).sockets.socket(client.name)) is None


def test_a_connection_does_not_become_another_users(house: Installation, ears: Any) -> None:
    asha, bharat = house.login(ASHA), house.login(BHARAT)
    client = ears()
    client.say({"token": asha})
    client.say({"token": asha})
    assert len(sockets(house, asha)) == 1
    client.say({"token": bharat})
    assert client.is_closed()
    assert (sockets(house, asha), sockets(house, bharat)) == ([], [])


def test_the_eleventh_connection_of_a_user_is_put_out(house: Installation, ears: Any) -> None:
    asha = house.login(ASHA)
    user, until = user_of(house, asha), OPEN + timedelta(days=3650)
    for number in range(10):
        socket = Socket(id=f"c{number}", user_id=user, until=until)
        house.do(pushing(house).sockets.save(socket, house.cloud().wall.now()))
    client = ears()
    client.say({"token": asha})
    assert client.is_closed()
    assert len(sockets(house, asha)) == 10


def test_who_has_left_is_forgotten_also_where_nobody_said_so(house: Installation, ears: Any) -> None:
    asha = house.login(ASHA)
    polite, lost = ears(), ears()
    for client in (polite, lost):
        client.say({"token": asha})
        client.hear()
        client.leave()
    house.route("$disconnect", polite.name)
    house.route("$disconnect", "never-there")
    assert [each.id for each in sockets(house, asha)] == [lost.name]
    assert house.tell(house.changes(run_put(user_of(house, asha)))) == []
    assert sockets(house, asha) == []


def test_nothing_is_told_after_the_tokens_end(house: Installation, ears: Any) -> None:
    asha = house.login(ASHA)
    client = ears()
    client.say({"token": asha})
    client.hear()
    (socket,) = sockets(house, asha)
    now = house.cloud().wall.now()
    house.do(pushing(house).sockets.save(replace(socket, until=now), now))
    assert house.tell(house.changes(run_put(user_of(house, asha)))) == []
    assert client.is_closed()
    assert sockets(house, asha) == []


def test_what_cannot_be_read_holds_nothing_up_and_what_is_deleted_says_nothing(
    house: Installation, ears: Any, caplog: pytest.LogCaptureFixture
) -> None:
    asha = house.login(ASHA)
    user = user_of(house, asha)
    client = ears()
    client.say({"token": asha})
    client.hear()
    broken = Put(table=TableName.CONFIGURATIONS, item=Item(pk=user, sk=f"{keys.RUNS}broken", body=b"{"))
    records = house.changes(broken, run_put(user))
    gone = [{**records[0], "dynamodb": {"Keys": {}, "SequenceNumber": "1"}, "eventName": "REMOVE"}]
    assert house.tell(gone + records) == []
    assert [each["type"] for each in client.hear()] == ["run"]
    assert "cannot be read" in caplog.text


def test_what_cannot_be_told_because_the_store_is_away_is_brought_again(house: Installation) -> None:
    asha = house.login(ASHA)
    records = house.changes(run_put(user_of(house, asha), 0), run_put(user_of(house, asha), 1))
    house.restart()
    house.cloud().private.prefix = "absent-"  # from here on the tables of connections are not there
    assert house.tell(records) == [records[0]["dynamodb"]["SequenceNumber"]]


def test_frames_are_no_longer_than_one_metered_message_and_in_order() -> None:
    lines = [f"{number}{'é' * 1000}" for number in range(100)]
    sent = list(frames([*lines, "x" * FRAME * 2, "end"]))
    assert "\n".join(sent).split("\n") == [*lines, "x" * FRAME * 2, "end"]
    assert [len(each.encode()) > FRAME for each in sent].count(True) == 1


# ---------------------------------------------------------------- what is written down


def test_a_line_of_the_log_is_json_and_has_the_tick_it_goes_back_to() -> None:
    from option_baskets.engine.errand import on_errand, tick_id

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    as_json(handler)
    log = logging.getLogger("tests.aws.lines")
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)
    with on_errand(tick_id(OPEN), OPEN):
        log.info("order sent", extra={"order": "A1"})
    log.info("after it")
    first, second = (json.loads(each) for each in written.getvalue().splitlines())
    assert (first["message"], first["correlation_id"], first["order"]) == ("order sent", "tick-20261123T043000Z", "A1")
    assert "correlation_id" not in second
