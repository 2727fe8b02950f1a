"""Step Functions in this process, in the time of a simulated loop: moto interprets the machine, time is ours.

moto runs every execution in threads. Here one at a time goes on and the loop stands still meanwhile: what an execution
wants next, a wait or a function, is done by a task of the loop, in virtual time. So a day takes no longer than its
work, and two runs of it are the same.

Unlike AWS, the limits of tasks and executions are of real time here, so they never end anything; the limit of a
function, which is shorter than its task's, is of virtual time.
"""

import asyncio
import json
import queue
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from option_baskets.adapters.aws.service import Service
from option_baskets.ports import Clock

REGION, ACCOUNT = "ap-south-1", "123456789012"
BUS = "timer"
STUCK = 60.0
"""Real seconds in which an execution that goes on wants something, or ends."""

State = Mapping[str, Any]

_THROTTLED = {
    "Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."},
    "ResponseMetadata": {"HTTPStatusCode": 429, "RequestId": "any"},
}


class Throttled(Exception):
    """Lambda has no room for the function, which did not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What a function does with the state it is given, and how long it may take."""

    work: Callable[[State], Awaitable[State]]
    limit: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What an execution waits for: an instant, a function, or seconds."""

    until: datetime | None = None
    call: tuple[str, State] | None = None
    seconds: float = 0
    is_end: bool = False
    """Nothing any more."""
    history: Sequence[str] = ()
    answer: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is left of an execution."""

    status: str
    history: Sequence[str]
    """Types of its events."""


class StepFunctions:
    """One machine, its executions, the functions it calls and the bus they publish to.

    ``service`` is how the platform talks to AWS. A test takes the bus away, and has executions hang.
    """

    def __init__(self, clock: Clock, functions: Mapping[str, Function], definition: Mapping[str, Any]) -> None:
        self._clock = clock
        self._functions = functions
        self._wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()
        self._running: dict[str, asyncio.Task[Ended]] = {}
        self._open: dict[str, _Wish] = {}
        """What executions were last seen to wait for."""
        self._is_over = False
        self._states = get_session().create_client("stepfunctions", region_name=REGION)
        self.machine: str = self._states.create_state_machine(
            name="timer",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/any",
            type="STANDARD",
        )["stateMachineArn"]
        self.wakes: list[datetime] = []
        """Instants that executions asked to be woken at."""
        self.pauses: list[float] = []
        """Seconds between attempts."""
        self.published: list[Mapping[str, str]] = []
        """Entries that the bus took."""
        self.taken: list[datetime] = []
        """When it took each."""
        self.takes_events: Callable[[], bool] = lambda: True
        self.is_hung: Callable[[str], bool] = lambda execution: False
        """Whether an execution that waits now is never woken."""

    @property
    def executions(self) -> Sequence[str]:
        """Names, in the order of their starts."""
        return list(self._running)

    async def ended(self, execution: str) -> Ended:
        return await self._running[execution]

    # ------------------------------------------------------------ as the platform sees AWS

    async def service(self, name: str) -> Service:
        client = SimpleNamespace(put_events=self._put_events, start_execution=self._start_execution)
        return Service(name, client, AsyncExitStack())

    async def _put_events(self, **request: Any) -> Any:
        if not self.takes_events():
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "the bus is away"}}, "PutEvents")
        self.published += request["Entries"]
        self.taken += [self._clock.now()] * len(request["Entries"])
        return {"FailedEntryCount": 0}

    async def _start_execution(self, **request: Any) -> Any:
        answer = self._states.start_execution(**request)
        name = request["name"]
        if name not in self._running:
            first = self._wishes.get(timeout=STUCK)
            follow = self._follow(name, answer["executionArn"], first)
            self._running[name] = asyncio.create_task(follow, name=f"execution {name}")
        return answer

    # ------------------------------------------------------------ an execution in virtual time

    async def _follow(self, name: str, arn: str, wish: _Wish) -> Ended:
        while not wish.is_end:
            self._open[name] = wish
            wish.answer.put(await self._granted(name, wish))
            # Blocks the loop, as it is meant to: while an execution thinks, nothing else goes on.
            wish = self._wishes.get(timeout=STUCK)
        del self._open[name]
        return Ended(status=self._states.describe_execution(executionArn=arn)["status"], history=wish.history)

    async def _granted(self, name: str, wish: _Wish) -> State | Exception | None:
        if wish.call is not None:
            return await self._called(*wish.call)
        if wish.until is not None:
            self.wakes.append(wish.until)
            await self._clock.sleep_until(wish.until)
            if self.is_hung(name):
                await asyncio.Event().wait()
        else:
            self.pauses.append(wish.seconds)
            await self._clock.pause(timedelta(seconds=wish.seconds))
        return None

    async def _called(self, arn: str, state: State) -> State | Exception:
        function = self._functions[arn.rpartition(":")[2]]
        try:
            async with asyncio.timeout(function.limit.total_seconds()):
                return await function.work(state)
        except Exception as error:  # Lambda tells of it, whatever it is
            return error

    # ------------------------------------------------------------ asked by the threads of executions

    def has(self, wish: _Wish) -> Any:
        """Have the loop do it; returns what came of it."""
        self._wishes.put(wish)
        if wish.is_end:
            return None
        answer = wish.answer.get()
        if self._is_over:
            raise RuntimeError("the test is over")
        return answer

    def end(self) -> None:
        """Have every execution end that has not."""
        self._is_over = True
        for wish in self._open.values():
            wish.answer.put(None)
            while not self._wishes.get(timeout=STUCK).is_end:
                pass


@contextmanager
def in_process() -> Iterator[Callable[[StepFunctions], None]]:
    """An AWS without network in this process, whose executions belong to the one that is handed over."""
    found: list[StepFunctions] = []

    def wait(timestamp: Any, env: Any) -> None:
        timestamp.string.eval(env=env)
        until = datetime.strptime(env.stack.pop(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        found[-1].has(_Wish(until=until))

    def invoke(*, parameters: Mapping[str, Any], **_: object) -> State:
        answer = found[-1].has(_Wish(call=(parameters["FunctionName"], json.loads(parameters["Payload"]))))
        if isinstance(answer, Throttled):
            raise ClientError(_THROTTLED, "Invoke")
        if isinstance(answer, Exception):
            kind = "Sandbox.Timedout" if isinstance(answer, TimeoutError) else type(answer).__name__
            told = json.dumps({"errorType": kind, "errorMessage": str(answer)})
            raise lambda_eval_utils.LambdaFunctionErrorException("Unhandled", told)
        return {"StatusCode": 200, "Payload": answer}

    interpret = ExecutionWorker._execution_logic

    def interpreted(worker: Any) -> None:
        try:
            interpret(worker)
        finally:
            events = worker.env.event_manager.get_event_history()
            found[-1].has(_Wish(is_end=True, history=[event["type"] for event in events]))

    config = {"stepfunctions": {"execute_state_machine": True}}
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=config):
        patch.delenv("AWS_ENDPOINT_URL", raising=False)  # of an emulator that other tests of this process have
        patch.setattr(Timestamp, "_eval_body", wait)
        patch.setattr(lambda_eval_utils, "_invoke_lambda_function", invoke)
        patch.setattr(ExecutionWorker, "_execution_logic", interpreted)
        patch.setattr(
            retrier_decl, "time", SimpleNamespace(sleep=lambda seconds: found[-1].has(_Wish(seconds=seconds)))
        )
        patch.setattr(json_path, "parse", cache(json_path.parse))  # moto reads a path as often as it follows it
        random.seed(1)  # of jitter
        yield found.append
        for each in found:
            each.end()
