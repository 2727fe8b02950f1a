"""What happens when an engine fails: nothing half-written, a typed error, and a message that says what to do."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from option_baskets.adapters.aws.dynamo import ATTEMPTS, pause_after
from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Conflict, Invalid, Unavailable, Unclear
from option_baskets.ports import Item, Put, TableName
from option_baskets.store.unclear import commit_surely
from tests.contract.engines import REGION, Engine, opened

CONFIGURATIONS = TableName.CONFIGURATIONS
NOW = datetime(2096, 11, 24, 6, 30, tzinfo=UTC)
Fault = Callable[[Any], Any]


class Pauses:
    """Takes no time, and counts."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    async def __call__(self, attempt: int) -> None:
        self.attempts.append(attempt)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def table(engine: Engine, tmp_path: Path, pauses: Pauses) -> AsyncIterator[DynamoTable]:
    table = await opened(engine, tmp_path, lambda: NOW, pause=pauses)
    pauses.attempts.clear()
    yield table
    await table.close()


def put(sk: str, body: bytes = b"{}", *, expected: int | None = None) -> Put:
    return Put(table=CONFIGURATIONS, item=Item(pk="u", sk=sk, body=body), expected=expected)


def answer(status: int, code: str, **more: object) -> AioAWSResponse:
    """An error as DynamoDB would send it."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": f"{code} for the test", **more})
    response = AioAWSResponse("http://test", status, {"x-amzn-requestid": "test"}, None)
    response._content = body.encode()
    return response


def cancelled(*codes: str) -> AioAWSResponse:
    return answer(400, "TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def disturb(
    table: DynamoTable, operation: str, *faults: Fault | AioAWSResponse | Exception | None
) -> list[dict[str, Any]]:
    """Let the next requests meet the faults, in order, and those after them pass; what is sent is collected."""
    left = list(faults)
    sent: list[dict[str, Any]] = []

    async def before_send(request: Any, **_: object) -> Any:
        sent.append(json.loads(request.body))
        fault = left.pop(0) if left else None
        if isinstance(fault, Exception):
            raise fault
        return await fault(request) if callable(fault) else fault

    table.dynamo.client.meta.events.register(f"before-send.dynamodb.{operation}", before_send)
    return sent


def answer_lost(table: DynamoTable) -> Fault:
    """DynamoDB does the request and nobody hears of it."""

    async def fault(request: Any) -> None:
        response = await table.dynamo.client._endpoint._send(request)
        assert response.status_code == 200
        raise ReadTimeoutError(endpoint_url="http://test")

    return fault


# ---------------------------------------------------------------- what passes


@pytest.mark.parametrize(
    "fault",
    [
        answer(400, "ProvisionedThroughputExceededException"),
        answer(400, "ThrottlingException"),
        answer(500, "InternalServerError"),
        answer(400, "TransactionInProgressException"),
        cancelled("None", "TransactionConflict"),
        cancelled("ThrottlingError", "None"),
        ConnectTimeoutError(endpoint_url="http://test"),
    ],
    ids=["throughput", "throttled", "server fault", "in progress", "conflict", "throttled write", "no connection"],
)
async def test_what_may_pass_is_tried_again_with_the_same_token(
    table: DynamoTable, pauses: Pauses, fault: AioAWSResponse | Exception
) -> None:
    sent = disturb(table, "TransactWriteItems", fault, fault)
    await table.commit([put("a", expected=0), put("b", expected=0)])
    assert pauses.attempts == [1, 2]
    assert len({request["ClientRequestToken"] for request in sent}) == 1
    assert len((await table.query(CONFIGURATIONS, "u")).items) == 2


async def test_a_throttled_page_is_asked_for_again(table: DynamoTable, pauses: Pauses) -> None:
    await table.commit([put(f"{n:02}", bytes(50_000)) for n in range(30)])
    throttled = answer(400, "ProvisionedThroughputExceededException")
    sent = disturb(table, "Query", throttled, None, throttled, throttled)
    page = await table.query(CONFIGURATIONS, "u")
    assert [item.sk for item in page.items] == [f"{n:02}" for n in range(30)]
    assert (len(sent), pauses.attempts) == (5, [1, 1, 2])


async def test_a_commit_whose_answer_was_lost_is_written_once_and_is_no_conflict(
    table: DynamoTable, pauses: Pauses
) -> None:
    disturb(table, "TransactWriteItems", answer_lost(table))
    await table.commit([put("a", expected=0)])
    assert pauses.attempts == [1]
    assert await table.get(CONFIGURATIONS, "u", "a") is not None


def test_the_pauses_grow_and_are_random() -> None:
    draws = [[pause_after(attempt) for _ in range(200)] for attempt in range(1, ATTEMPTS)]
    assert all(0 <= draw <= 1 for each in draws for draw in each)
    assert all(len(set(each)) > 100 for each in draws)
    averages = [sum(each) / len(each) for each in draws]
    assert averages[0] < averages[2] < averages[4]


async def test_a_caller_that_gives_up_lets_nobody_overtake_those_before_it(table: DynamoTable) -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def held(_: Any) -> None:
        arrived.set()
        await gate.wait()

    sent = disturb(table, "TransactWriteItems", held)
    first = asyncio.create_task(table.commit([put("a", b"1", expected=0)]))
    hasty = asyncio.create_task(table.commit([put("a", b"2")]))
    last = asyncio.create_task(table.commit([put("a", b"3", expected=1)]))
    await arrived.wait()
    hasty.cancel()
    await asyncio.wait([hasty])
    other = await table.get(CONFIGURATIONS, "u", "b")  # time enough for ``last`` to be sent, if it were not waiting
    assert (other, len(sent)) == (None, 1)
    gate.set()
    await asyncio.gather(first, last)
    item = await table.get(CONFIGURATIONS, "u", "a")
    assert item is not None and item.body == b"3"


async def test_more_requests_at_once_than_there_are_connections_are_all_answered(table: DynamoTable) -> None:
    names = [f"{n:03}" for n in range(220)]
    await asyncio.gather(*(table.commit([put(name, expected=0)]) for name in names))
    assert all(await asyncio.gather(*(table.get(CONFIGURATIONS, "u", name) for name in names)))


# ---------------------------------------------------------------- what does not pass


async def test_a_table_that_stays_busy_is_unavailable_and_nothing_is_written(
    table: DynamoTable, pauses: Pauses
) -> None:
    disturb(table, "TransactWriteItems", *[answer(400, "ThrottlingException")] * ATTEMPTS)
    with pytest.raises(Unavailable, match=r"busy.*try again in a moment; nothing was written"):
        await table.commit([put("a")])
    assert len(pauses.attempts) == ATTEMPTS - 1
    assert await table.get(CONFIGURATIONS, "u", "a") is None


async def test_a_condition_that_failed_beside_a_transaction_conflict_is_a_conflict_at_once(
    table: DynamoTable, pauses: Pauses
) -> None:
    disturb(table, "TransactWriteItems", cancelled("TransactionConflict", "ConditionalCheckFailed"))
    with pytest.raises(Conflict, match="u b: expected nothing"):
        await table.commit([put("a"), put("b", expected=0)])
    assert pauses.attempts == []


async def test_a_write_that_is_never_answered_is_unclear_even_if_the_last_word_was_busy(table: DynamoTable) -> None:
    busy = answer(400, "ThrottlingException")
    disturb(table, "TransactWriteItems", answer_lost(table), *[busy] * ATTEMPTS)
    with pytest.raises(Unclear, match="read what was to be written before deciding"):
        await table.commit([put("a")])


async def test_an_unclear_write_is_read_before_it_is_repeated(table: DynamoTable) -> None:
    busy = answer(400, "ThrottlingException")
    sent = disturb(table, "TransactWriteItems", answer_lost(table), *[busy] * (ATTEMPTS - 1))
    await commit_surely(table, [put("a", expected=0)])
    assert len(sent) == ATTEMPTS
    sent = disturb(table, "TransactWriteItems", *[answer(500, "InternalServerError")] * ATTEMPTS)
    await commit_surely(table, [put("b", expected=0)])
    assert len(sent) == ATTEMPTS + 1
    assert len({request["ClientRequestToken"] for request in sent}) == 2
    assert len((await table.query(CONFIGURATIONS, "u")).items) == 2


async def test_a_read_that_is_never_answered_is_only_unavailable(table: DynamoTable) -> None:
    disturb(table, "GetItem", *[answer(500, "InternalServerError")] * ATTEMPTS)
    with pytest.raises(Unavailable):
        await table.get(CONFIGURATIONS, "u", "a")


async def test_an_engine_that_is_down_is_unavailable(table: DynamoTable, pauses: Pauses) -> None:
    closed = await DynamoTable.open(now=lambda: NOW, region=REGION, endpoint="http://127.0.0.1:9", pause=pauses)
    for request in (closed.commit([put("a")]), closed.get(CONFIGURATIONS, "u", "a"), closed.query(CONFIGURATIONS, "u")):
        with pytest.raises(Unavailable, match=r"cannot be reached.*check the network and the endpoint"):
            await request
    await closed.close()


async def test_an_absent_table_is_named_a_matter_of_deployment(table: DynamoTable, pauses: Pauses) -> None:
    table.prefix = "nowhere-"
    for request in (table.commit([put("a")]), table.get(CONFIGURATIONS, "u", "a"), table.query(CONFIGURATIONS, "u")):
        with pytest.raises(Unavailable, match="absent; deploy the tables"):
            await request
    assert pauses.attempts == []


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "dynamodb:TransactWriteItems"),
        ("ExpiredTokenException", "sign in again"),
        ("UnrecognizedClientException", "give a valid one"),
    ],
)
async def test_a_refused_principal_is_told_what_is_missing(table: DynamoTable, code: str, advice: str) -> None:
    disturb(table, "TransactWriteItems", answer(400, code))
    with pytest.raises(Unavailable, match=advice):
        await table.commit([put("a")])


async def test_without_credentials_or_region_the_message_says_how_to_give_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Unavailable, match="set AWS_REGION"):
        await DynamoTable.open(now=lambda: NOW)
    table = await DynamoTable.open(now=lambda: NOW, region=REGION, endpoint=engine.endpoint)
    with pytest.raises(Unavailable, match=r"no AWS credentials.*set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        await table.commit([put("a")])
    await table.close()


async def test_what_dynamodb_does_not_take_is_invalid(table: DynamoTable) -> None:
    disturb(table, "TransactWriteItems", answer(400, "ValidationException"), cancelled("ValidationError"))
    for _ in range(2):
        with pytest.raises(Invalid, match="does not take"):
            await table.commit([put("a")])


# ---------------------------------------------------------------- SQLite

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_file_held_by_another_process_is_unavailable_for_writes_and_free_once_it_ends(tmp_path: Path) -> None:
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: NOW)
    await table.file.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchall())
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(table.file.path), stdin=PIPE, stdout=PIPE
    )
    assert other.stdout is not None and await other.stdout.readline() == b"held\n"
    with pytest.raises(Unavailable, match="another program holds the file; stop it or wait"):
        await table.commit([put("a")])
    assert await table.get(CONFIGURATIONS, "u", "a") is None
    other.kill()
    await other.communicate()
    await table.commit([put("a")])
    assert await table.get(CONFIGURATIONS, "u", "a") is not None
    await table.close()


async def test_a_file_that_lost_a_table_says_so(tmp_path: Path) -> None:
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: NOW)
    await table.file.write(lambda connection: connection.execute("DROP TABLE trading_configurations").fetchall())
    with pytest.raises(Unavailable, match=r"no such table.*restore"):
        await table.commit([put("a")])
    with pytest.raises(Unavailable, match=r"no such table.*restore"):
        await table.get(CONFIGURATIONS, "u", "a")
    await table.close()


async def test_a_folder_that_is_not_there_or_may_not_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="check that its folder exists"):
        SqliteTable.open(tmp_path / "nowhere" / "table.db", now=lambda: NOW)
