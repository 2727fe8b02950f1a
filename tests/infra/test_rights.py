"""Every function does its work with the rights it was given: the emulator enforces those of each role."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime, time
from typing import Any

import pytest
import pytest_asyncio

from infra.destruction import destroy
from infra.environments import read
from infra.local_deployment import LOCAL, Emulator, deploy
from option_baskets.adapters.aws.item_clock import put_time
from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.domain.events import EventType
from option_baskets.domain.session import IST
from option_baskets.engine.messages import CHECK, COMPARE, work_message
from option_baskets.ports import Message
from option_baskets.store import codec
from option_baskets.store.inbox import Inbox
from tests.infra.templates import trading_of

DEV = read()["dev"]
NOW = datetime.combine(date(2026, 11, 25), time(9, 20), IST)
ROLES_LOST = "AccessDenied"


class Platform:
    """Dev, deployed, at an instant of a session."""

    def __init__(self, emulator: Emulator, table: DynamoTable) -> None:
        self.functions: Any = emulator.client("lambda")
        self.iam: Any = emulator.client("iam")
        self.inbox = Inbox(table, shards=DEV.shards)
        self.table = table

    def call(self, name: str, payload: Mapping[str, object]) -> tuple[bool, Any]:
        """(Whether it went well, what it returned.)"""
        answer = self.functions.invoke(FunctionName=DEV.named(name), Payload=json.dumps(payload).encode())
        return "FunctionError" not in answer, json.loads(answer["Payload"].read() or "null")

    async def send(self, message: Message) -> Mapping[str, object]:
        """Into its user's inbox; returns the wake-up as a worker gets it."""
        await self.table.commit([self.inbox.put(message)])
        return {"Records": [{"messageId": "1", "body": codec.encode(message).decode()}]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def platform(strict: Emulator) -> AsyncIterator[Platform]:
    trading_of("dev")
    if not LOCAL.exists():
        pytest.skip("there are no packages of this machine; make aws-test makes them")
    deploy(strict, DEV, variables={"OPTION_BASKETS_TIME": "led"})
    table = await DynamoTable.open(
        now=lambda: NOW, prefix=DEV.table_prefix, region=strict.region, endpoint=strict.endpoint, patience=60
    )
    await table.commit([put_time(NOW)])
    yield Platform(strict, table)
    await table.close()
    destroy(strict.client("cloudformation"), DEV, every=1)


def event(type_: EventType) -> dict[str, object]:
    tick = {"type": type_.value, "at": NOW.isoformat(), "phase": "MARKET_OPEN", "priority": 1, "late": False}
    detail = {"event": tick, "shard": 0}
    return {"source": "option-baskets.timer", "detail-type": type_.value, "detail": detail}


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_first_state_of_the_timer_finds_the_session(platform: Platform) -> None:
    went_well, state = platform.call("session", {"date": NOW.date().isoformat()})
    assert went_well, state
    assert state["done"] is False
    assert state["wake"].endswith("Z")


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("quotes", EventType.REFRESH_MARKET_DATA),
        ("stops", EventType.CHECK_STOP_LOSS),
        ("duplicates", EventType.CHECK_DUPLICATE_ORDERS),
        ("schedule", EventType.SCHEDULE_STRATEGY_TRIGGER),
    ],
)
async def test_each_event_is_handled(platform: Platform, name: str, type_: EventType) -> None:
    went_well, said = platform.call(name, event(type_))
    assert went_well, said


@pytest.mark.parametrize(("worker", "kind"), [("exits", CHECK), ("entries", COMPARE)])
async def test_a_worker_does_what_is_in_an_inbox(platform: Platform, worker: str, kind: str) -> None:
    message = work_message(kind, "somebody", NOW)
    went_well, said = platform.call(worker, await platform.send(message))
    assert went_well, said
    assert said == {"batchItemFailures": []}
    assert not await platform.inbox.is_waiting(message)


async def test_without_its_rights_a_function_does_nothing(platform: Platform) -> None:
    role = platform.functions.get_function_configuration(FunctionName=DEV.named("quotes"))["Role"].rpartition("/")[2]
    for policy in platform.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        platform.iam.delete_role_policy(RoleName=role, PolicyName=policy)
    went_well, said = platform.call("quotes", event(EventType.REFRESH_MARKET_DATA))
    assert not went_well
    assert ROLES_LOST in said["errorMessage"]
