"""The timer's state machine as data, and how many events of history a day of it makes.

The state that goes round is what the functions return, whole. Three fields of it are read here:

- ``done``: true ends the execution: no session today, or the close is past;
- ``wake``: when the next turn's function is to be called, ``2026-11-23T03:29:55Z``: a lead before the boundary, because
  a wait ends when Step Functions has time. The function sleeps the rest and emits at the boundary;
- ``date``: the trading day; the input of an execution is ``{"date": "2026-11-23"}``, its name begins with the date.

A turn is a minute or longer: where the cadence table has shorter boundaries, one turn serves all of its minute.
JSONPath, because the emulator of the tests knows nothing else.
"""

from collections.abc import Mapping
from typing import Any

HISTORY_QUOTA = 25_000
"""Events of one execution of a Standard state machine; the next one fails it."""

LEAD_SECONDS = 5
"""Between the end of a wait and the boundary: a late wake-up, a cold start and one throttled call fit in."""

TASK_SECONDS = 75
"""Longest turn: the lead, a minute of boundaries, and the time to emit the last."""

DAY_SECONDS = 16 * 3600
"""From 09:00 to past midnight; an execution that runs longer has lost its way."""

BUSY = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]
"""What Lambda answers where the function may not have run: throttled, or its service in trouble."""

RETRIES: list[dict[str, Any]] = [
    {
        "ErrorEquals": BUSY,
        "IntervalSeconds": 1,
        "BackoffRate": 2.0,
        "MaxAttempts": 4,
        "MaxDelaySeconds": 8,
        "JitterStrategy": "FULL",
    },
    # The function itself failed, in a table or the bus most likely. A turn may be repeated: its ticks are marked.
    {
        "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
        "IntervalSeconds": 1,
        "BackoffRate": 2.0,
        "MaxAttempts": 1,
    },
]

EVENTS_OF = {"Task": 5, "Wait": 2, "Choice": 2, "Succeed": 2}
"""Events of passing through a state once: entered and exited; a task is scheduled, started and succeeds besides."""
EVENTS_OF_A_RETRY = 3
"""A failed attempt: scheduled, started, failed."""
EVENTS_OF_AN_EXECUTION = 2
"""Started, succeeded."""

LOOP = ("UntilTheBoundary", "Turn", "IsOver")
BEFORE_AND_AFTER = ("Session", "IsThereASession", "Closed")


def definition(*, session: str, timer: str) -> dict[str, Any]:
    """The state machine in Amazon States Language; the arguments are ARNs of functions."""
    return {
        "Comment": "Wakes a lead before every boundary of the trading day, and ends itself at the close",
        "StartAt": "Session",
        "TimeoutSeconds": DAY_SECONDS,
        "States": {
            "Session": _call(session, "IsThereASession"),
            "IsThereASession": _unless_done("NoSession"),
            "UntilTheBoundary": {"Type": "Wait", "TimestampPath": "$.wake", "Next": "Turn"},
            "Turn": _call(timer, "IsOver"),
            "IsOver": _unless_done("Closed"),
            "NoSession": {"Type": "Succeed"},
            "Closed": {"Type": "Succeed"},
        },
    }


def events(turns: int, *, retries: int = 0) -> int:
    """Events of history of a day with so many turns, in each of which the function failed ``retries`` times."""
    states = definition(session="arn", timer="arn")["States"]
    once = sum(_events_of(states, name) for name in BEFORE_AND_AFTER)
    turn = sum(_events_of(states, name) for name in LOOP) + retries * EVENTS_OF_A_RETRY
    return EVENTS_OF_AN_EXECUTION + once + turns * turn


def most_retries() -> int:
    """How often a turn's function may fail before the execution does, if every kind of error comes."""
    return sum(retry["MaxAttempts"] for retry in RETRIES)


def _events_of(states: Mapping[str, Mapping[str, Any]], name: str) -> int:
    return EVENTS_OF[states[name]["Type"]]


def _call(function: str, then: str) -> dict[str, Any]:
    """A function is called with the state and returns the next."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "TimeoutSeconds": TASK_SECONDS,
        "Retry": RETRIES,
        "Next": then,
    }


def _unless_done(end: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": end}],
        "Default": "UntilTheBoundary",
    }
