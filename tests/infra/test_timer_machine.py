"""The timer's state machine as data: how much history a day makes, and what its template and its linter say of it."""

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import date, time
from typing import Any

import pytest

from infra.entry_points import SESSION, TIMER
from infra.lint import OUT, machines_of
from infra.timer_machine import (
    BUSY,
    HISTORY_QUOTA,
    LEAD_SECONDS,
    TASK_SECONDS,
    definition,
    events,
    most_retries,
)
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.facts import load
from option_baskets.domain.cadence import instants
from option_baskets.domain.facts import Span
from option_baskets.domain.session import Session, session_of, session_on
from tests.infra.templates import ENVIRONMENTS, ROOT, Template

MACHINE = definition(session="arn:aws:lambda:ap-south-1:1:function:s", timer="arn:aws:lambda:ap-south-1:1:function:t")
LINTER = ROOT / ".venv-infra" / "bin" / "python"


def turns(session: Session) -> int:
    """Turns of a day at the shipped cadence: one a boundary, and the last, which ends at the close."""
    return len(list(instants(session, load_cadence().boundary))) + 1


def ordinary() -> Session:
    session = session_on(load(), date(2026, 11, 23))
    assert session is not None
    return session


def extended() -> Session:
    """As long as an exchange in India was ever allowed to be open, 09:15 to 23:55, without a break."""
    return session_of(date(2026, 11, 23), Span(start=time(9, 15), end=time(23, 55)))


def test_a_day_makes_about_a_seventh_of_the_history_an_execution_may_have() -> None:
    assert turns(ordinary()) == 401
    assert events(401) == 2 + 5 + 2 + 2 + 401 * 9 == 3620
    assert events(401) < HISTORY_QUOTA / 6


def test_a_day_with_extended_hours_stays_far_below_the_quota() -> None:
    assert turns(extended()) == 896
    assert events(896) == 8075 < HISTORY_QUOTA / 3


def test_not_even_a_function_that_fails_whenever_it_may_uses_up_the_history_of_an_extended_day() -> None:
    assert events(turns(extended()), retries=most_retries()) < HISTORY_QUOTA


def test_a_turn_ends_before_its_task_is_given_up_and_that_before_the_function_of_the_next_is_due() -> None:
    assert LEAD_SECONDS + 60 < TIMER.timeout < TASK_SECONDS
    assert SESSION.timeout < TASK_SECONDS


def test_a_throttled_function_is_tried_again_within_the_lead_and_the_grace_of_an_entry() -> None:
    (busy,) = (retry for retry in MACHINE["States"]["Turn"]["Retry"] if retry["ErrorEquals"] == BUSY)
    pauses = [
        min(busy["IntervalSeconds"] * busy["BackoffRate"] ** number, busy["MaxDelaySeconds"])
        for number in range(busy["MaxAttempts"])
    ]
    assert "Lambda.TooManyRequestsException" in busy["ErrorEquals"]
    assert "Lambda.ServiceException" in busy["ErrorEquals"]
    assert sum(pauses) < LEAD_SECONDS + 60


def test_the_template_holds_this_machine_and_calls_these_functions(trading: Template) -> None:
    (machine,) = trading.properties("StepFunctions::StateMachine").values()
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["StateMachineName"] == trading.environment.named("timer")
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert json.loads(machine["DefinitionString"]) == definition(session="${Session}", timer="${Timer}")
    called = {name: value["Fn::GetAtt"][0] for name, value in machine["DefinitionSubstitutions"].items()}
    functions = trading.all("Lambda::Function")
    handlers = {name: functions[id_]["Properties"]["Handler"] for name, id_ in called.items()}
    assert handlers == {"Session": SESSION.handler, "Timer": TIMER.handler}


def lint(machine: Mapping[str, Any]) -> list[str]:
    """What statelint says, in the environment that has it."""
    if not LINTER.exists():
        why = "statelint is in .venv-infra; make synth makes it"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    program = (
        "import json, sys; from infra.lint import problems_of; print(json.dumps(problems_of(json.load(sys.stdin))))"
    )
    answer = subprocess.run(
        [LINTER, "-c", program],
        input=json.dumps(machine),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": ""},
    )
    found: list[str] = json.loads(answer.stdout)
    return found


def test_the_machine_is_one_the_linter_of_the_language_finds_nothing_wrong_with() -> None:
    assert lint(MACHINE) == []


def test_a_state_that_is_not_there_and_a_wait_for_nothing_are_found_by_the_linter() -> None:
    broken = json.loads(json.dumps(MACHINE))
    broken["States"]["Turn"]["Next"] = "Nowhere"
    del broken["States"]["UntilTheBoundary"]["TimestampPath"]
    found = "\n".join(lint(broken))
    assert "Nowhere" in found
    assert "UntilTheBoundary" in found


def test_the_linter_reads_the_machine_of_every_environment(trading: Template) -> None:
    ((_, machine),) = machines_of(OUT / f"{trading.name}.template.json")
    assert machine["States"].keys() == MACHINE["States"].keys()
    assert trading.environment.name in ENVIRONMENTS
