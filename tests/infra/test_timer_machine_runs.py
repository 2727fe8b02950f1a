"""The timer's machine in an engine that runs state machines: the emulator, with functions that count."""

import io
import json
import time
import zipfile
from collections import Counter
from typing import Any

import pytest

from infra.local_deployment import Emulator
from infra.timer_machine import definition, events

TURNS = 12
FUNCTION = """
def session(state, context):
    return {"date": state["date"], "done": state["date"] == "2026-01-26", "wake": PAST, "turns": 0}

def timer(state, context):
    turns = state["turns"] + 1
    if state["date"] == "2026-11-24" and turns == 3:
        raise RuntimeError("the table is away")
    return {"date": state["date"], "done": turns == TURNS, "wake": PAST, "turns": turns}
"""
CODE = f'PAST, TURNS = "2026-01-01T00:00:00Z", {TURNS}\n{FUNCTION}'


@pytest.fixture(scope="module")
def machine(emulator: Emulator) -> "Machine":
    return Machine(emulator)


class Machine:
    """The timer's, over the two functions above."""

    def __init__(self, emulator: Emulator) -> None:
        self._states = emulator.client("stepfunctions")
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("counting.py", CODE)
        functions = emulator.client("lambda")
        arns = [
            functions.create_function(
                FunctionName=name,
                Runtime="python3.12",
                Role="arn:aws:iam::000000000000:role/any",
                Handler=f"counting.{name}",
                Code={"ZipFile": zipped.getvalue()},
            )["FunctionArn"]
            for name in ("session", "timer")
        ]
        self.arn = self._states.create_state_machine(
            name="timer",
            definition=json.dumps(definition(session=arns[0], timer=arns[1])),
            roleArn="arn:aws:iam::000000000000:role/any",
            type="STANDARD",
        )["stateMachineArn"]

    def start(self, day: str, **more: object) -> str:
        request = {"date": day, **more}
        execution: str = self._states.start_execution(stateMachineArn=self.arn, name=day, input=json.dumps(request))[
            "executionArn"
        ]
        return execution

    def ended(self, execution: str) -> dict[str, Any]:
        for _ in range(600):
            found: dict[str, Any] = self._states.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.05)
        pytest.fail("the execution did not end within half a minute")

    def history(self, execution: str) -> list[str]:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event["type"] for page in pages for event in page["events"]]


def test_a_day_has_as_many_turns_as_its_functions_say_and_the_history_that_was_computed(machine: Machine) -> None:
    execution = machine.start("2026-11-23")
    ended = machine.ended(execution)
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["turns"] == TURNS
    history = machine.history(execution)
    assert "TaskStarted" not in history, "the emulator has learnt it: leave the next line out"
    history += ["TaskStarted"] * history.count("TaskScheduled")  # AWS writes one for each attempt
    assert len(history) == events(TURNS)


def test_a_holiday_ends_at_once(machine: Machine) -> None:
    execution = machine.start("2026-01-26")
    assert machine.ended(execution)["status"] == "SUCCEEDED"
    assert Counter(machine.history(execution))["WaitStateEntered"] == 0


def test_a_function_that_keeps_failing_is_tried_once_more_and_then_the_execution_fails(machine: Machine) -> None:
    execution = machine.start("2026-11-24")
    assert machine.ended(execution)["status"] == "FAILED"
    counted = Counter(machine.history(execution))
    assert counted["WaitStateEntered"] == 3
    assert counted["TaskFailed"] == 2


def test_a_second_start_of_a_day_is_refused_by_its_name(machine: Machine) -> None:
    machine.ended(machine.start("2026-11-25"))
    with pytest.raises(Exception, match="ExecutionAlreadyExists"):
        machine.start("2026-11-25", again=True)
