"""The platform as it is deployed: both stacks from the synthesized templates, in an emulator of AWS of its own.

Its market's time is an item that a test writes, its prices are chains that a test has stored. What the emulator waits
for takes no time; whatever a test waits for is a condition and never a span.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.entry_points import QueueName
from infra.environments import Environment, read
from infra.local_deployment import Emulator
from option_baskets.adapters.aws.dynamo import Dynamo
from option_baskets.adapters.aws.item_clock import put_time
from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.feeds.stored import Chain, put_chain
from option_baskets.domain.cadence import events_at, instants
from option_baskets.domain.events import EventType
from option_baskets.domain.session import IST, Session
from option_baskets.ports import Message
from option_baskets.store import codec
from option_baskets.store.books import Books
from option_baskets.store.inbox import Inbox
from option_baskets.store.leases import Leases
from option_baskets.store.records import TickState
from tests.aws.bad_line import BadLine

ENVIRONMENT = read()["dev"]
CADENCE = load_cadence()
WALL = RealClock(zone=IST)
"""Leases are of it."""
LAUNCHER = Path(__file__).with_name("launcher.py")
GIVEN_UP = 240.0
"""Seconds that nothing here may take; a condition that is not met by then will not be."""
STUCK = 2.0
"""Seconds of real time after which market time goes on within its minute: somebody waits for it."""
_LOOK = 0.1
_SECOND = timedelta(seconds=1)
_CHAINS_A_COMMIT = 20


@dataclass(kw_only=True)
class Deployed:
    """What a test sees of it: its services as anybody with credentials, its tables, and the time it leads."""

    emulator: Emulator
    bus_address: str
    outputs: Mapping[str, str]
    dynamo: Dynamo
    http: httpx.AsyncClient
    line: BadLine
    """Between the functions and DynamoDB and SQS; a test sees both without it."""
    environment: Environment = ENVIRONMENT
    clients: dict[str, Any] = field(default_factory=dict)
    now: datetime | None = None
    """Market time."""

    def __post_init__(self) -> None:
        shards = self.environment.shards
        prefix = self.environment.table_prefix
        self.table = DynamoTable(self.dynamo, now=lambda: self.now or WALL.now(), prefix=prefix)
        self.books = Books(self.table, shards=shards)
        self.inbox = Inbox(self.table, shards=shards)
        self.leases = Leases(self.table, WALL)

    @property
    def api(self) -> str:
        """Where the emulator has the HTTP API."""
        return f"{self.emulator.endpoint}/_aws/execute-api/{self.outputs['ApiOutput']}/$default"

    @property
    def socket_api(self) -> str:
        """The id of the API of WebSockets."""
        return self.outputs["SocketUrl"].removeprefix("wss://").partition(".")[0]

    async def call(self, service: str, operation: str, **request: object) -> Any:
        """One operation of a service of AWS."""
        if service not in self.clients:
            self.clients[service] = self.emulator.client(service)
        return await asyncio.to_thread(getattr(self.clients[service], operation), **request)

    # ------------------------------------------------------------ market

    async def store(self, chains: Sequence[Chain]) -> None:
        for start in range(0, len(chains), _CHAINS_A_COMMIT):
            await self.table.commit([put_chain(each) for each in chains[start : start + _CHAINS_A_COMMIT]])

    async def lead(self, at: datetime) -> None:
        """Make it this time, and return."""
        await self.table.commit([put_time(at)])
        self.now = at

    async def tick_by_tick(self, session: Session, until: datetime, *, orderly: bool = True) -> None:
        """Lead the time to every boundary after now up to an instant, each once all of the one before is done.

        Args:
            orderly: nothing goes wrong; otherwise what is left over of a minute is not waited for.
        """
        for at in instants(session, CADENCE.boundary, after=self.now):
            if at > until:
                return
            await self.lead(at)
            await (self.done(session) if orderly else self.at_rest(session))

    async def jump(self, session: Session, to: datetime) -> None:
        """Lead the time over ticks at which nothing is due, to a boundary; from one claim of entries to the next,
        because each is an event of its own however late it is.
        """
        boundaries = instants(session, CADENCE.boundary, after=self.now)
        claims = [at for at in boundaries if at < to and EventType.SCHEDULE_STRATEGY_TRIGGER in _types(session, at)]
        for at in (*claims, to):
            await self.lead(at)
            await self.done(session)

    # ------------------------------------------------------------ conditions

    async def done(self, session: Session) -> None:
        """Return once everything that is due by now was done: ticks, what the bus delivered, messages, shifts."""
        await self._dispatched(session)
        assert self.now is not None
        await self.met(self.is_quiet, f"what is due by {self.now:%H:%M} was done")

    async def at_rest(self, session: Session) -> None:
        """Return once the ticks are emitted, and nobody does anything nor will before the next: done or not."""
        await self._dispatched(session)
        seen = 0

        async def is_at_rest() -> bool:
            nonlocal seen
            seen = seen + 1 if await self._nobody_works() else 0
            return seen > 1  # between being received and being worked on a message is nowhere for a moment

        await self.met(is_at_rest, "nobody works any more")

    async def _dispatched(self, session: Session) -> None:
        assert self.now is not None
        due = max(at for at in instants(session, CADENCE.boundary) if at <= self.now)
        await self.met(lambda: self.is_marked(session, due), f"the tick of {due:%H:%M} was emitted")
        await self.met(self.is_delivered, "what the bus brought was worked off")

    async def _nobody_works(self) -> bool:
        if await self._is_anybody_running() or any([await self.visible(name) for name in QueueName]):
            return False
        return not await self._is_anybody_at_work()

    async def _is_anybody_running(self) -> bool:
        now = await self.bus()
        return now["batches"] > 0 or bool({self.environment.named(name) for name in QueueName} & set(now["running"]))

    async def _is_anybody_at_work(self) -> bool:
        """Anybody has a lease: a process that died has it until it runs out."""
        return any([await self.leases.holder(user) for user in await self.users()])

    async def visible(self, queue: str) -> int:
        """Messages in a queue that wait for nothing."""
        url = (await self.call("sqs", "get_queue_url", QueueName=self.environment.named(queue)))["QueueUrl"]
        name = "ApproximateNumberOfMessages"
        found = await self.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[name])
        return int(found["Attributes"][name])

    async def met(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Return once it is. Market time creeps on where somebody waits for it."""
        loop = asyncio.get_running_loop()
        begun = looked = loop.time()
        while not await condition():
            if loop.time() - begun > GIVEN_UP:
                pytest.fail(f"not in {GIVEN_UP:.0f} s: {what}")
            if loop.time() - looked > STUCK and self.now is not None and self.now.second < 50:
                looked = loop.time()
                await self.lead(self.now + _SECOND)
            await asyncio.sleep(_LOOK)

    async def is_marked(self, session: Session, at: datetime) -> bool:
        marks = await self.books.last_ticks(session.date)
        return any(mark.tick.at == at and mark.state is TickState.DONE for mark in marks)

    async def is_delivered(self) -> bool:
        return bool((await self.bus())["under_way"] == 0)

    async def bus(self) -> Mapping[str, Any]:
        """What the emulator's launcher tells."""
        counts: dict[str, Any] = (await self.http.get(self.bus_address)).json()
        return counts

    async def is_quiet(self) -> bool:
        """Whether no message is due, and nobody works."""
        assert self.now is not None
        if await self._is_anybody_running() or await self.overdue(self.now):
            return False
        return not await self._is_anybody_at_work()

    async def overdue(self, until: datetime) -> list[Message]:
        shards = range(self.environment.shards)
        found = await asyncio.gather(*(self.inbox.overdue(shard, until) for shard in shards))
        return [message for messages in found for message in messages]

    async def users(self) -> set[str]:
        return {user for user, _ in await self.books.all_accounts()}

    # ------------------------------------------------------------ what only an emulator needs

    async def point_to_sockets(self) -> None:
        """Real names of hosts do not resolve here: tell those who push where the emulator has the WebSockets."""
        here = f"{self.emulator.endpoint}/_aws/execute-api/{self.socket_api}/live"
        for function in ("live", "socket"):
            await self.set_variables(function, OPTION_BASKETS_SOCKET=here)

    async def set_variables(self, function: str, **variables: str) -> None:
        """Of a function, from its next process on; those it has end."""
        name = self.environment.named(function)
        now = await self.call("lambda", "get_function_configuration", FunctionName=name)
        changed = {"Variables": now["Environment"]["Variables"] | variables}
        await self.call("lambda", "update_function_configuration", FunctionName=name, Environment=changed)

    async def silence_schedules(self) -> None:
        """They go by the wall clock and would start the timer of today."""
        for schedule in (await self.call("scheduler", "list_schedules"))["Schedules"]:
            await self.call("scheduler", "delete_schedule", Name=schedule["Name"], GroupName=schedule["GroupName"])

    # ------------------------------------------------------------ timer and functions

    async def invoke(self, function: str, event: Mapping[str, object]) -> Any:
        """What a function returns."""
        answer = await self.call(
            "lambda", "invoke", FunctionName=self.environment.named(function), Payload=codec.encode(event)
        )
        returned = answer["Payload"].read()
        assert "FunctionError" not in answer, returned
        return json.loads(returned)

    async def start_timer(self, session: Session) -> str | None:
        """Have the watchdog start the timer of a day, as its schedule does at 09:00; the execution, if it was not
        started before.
        """
        at = session.starts.astimezone(UTC)
        told = await self.invoke("watchdog", {"reason": "start", "at": at.strftime("%Y-%m-%dT%H:%M:%SZ")})
        return await self.execution(told["started"]) if told["started"] else None

    async def start_another_timer(self, session: Session) -> str:
        """Beside the first, as the watchdog does where that one seems dead."""
        name, state = f"{session.date}-2", codec.encode({"date": f"{session.date}"}).decode()
        arn = await self._timer()
        await self.call("stepfunctions", "start_execution", stateMachineArn=arn, name=name, input=state)
        return await self.execution(name)

    async def execution(self, name: str) -> str:
        """The ARN of an execution of the timer."""
        return f"{(await self._timer()).replace(':stateMachine:', ':execution:')}:{name}"

    async def _timer(self) -> str:
        machines = (await self.call("stepfunctions", "list_state_machines"))["stateMachines"]
        (arn,) = (each["stateMachineArn"] for each in machines if each["name"] == self.environment.named("timer"))
        return str(arn)

    async def ended(self, execution: str) -> str:
        """The status with which an execution ends."""
        status = "RUNNING"

        async def is_over() -> bool:
            nonlocal status
            status = str((await self.call("stepfunctions", "describe_execution", executionArn=execution))["status"])
            return status != "RUNNING"

        await self.met(is_over, "the timer has ended")
        return status


def _types(session: Session, at: datetime) -> set[EventType]:
    return {event.type for event in events_at(CADENCE, session, at)}
