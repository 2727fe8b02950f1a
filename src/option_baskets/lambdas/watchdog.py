"""Starts the timer of a day, and starts another where it has died: one whose last tick is too long ago.

Executions are named after the day, so a second start is refused by Step Functions; a restart gets the next number. Two
timers at once emit the same ticks, which changes nothing.
"""

import logging
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from option_baskets.cloud import Cloud
from option_baskets.domain.cadence import instants
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.session import IST, Session
from option_baskets.lambdas.running import measured, run
from option_baskets.store import codec
from option_baskets.store.records import TickState

LOG = logging.getLogger(__name__)

DEAD_AFTER = timedelta(seconds=45)
"""Behind a tick that is not done: a timer that is throttled and tries again needs less."""
_MOST_STARTS = 50
_TAKEN = "ExecutionAlreadyExists"


def handler(event: Mapping[str, Any], context: object) -> Mapping[str, str]:
    """Args:
    event: ``reason``: ``start`` at 09:00, ``watch`` every minute; ``at``: when it was due, ISO 8601.

    Returns:
        ``started``: the execution that was started, or nothing.
    """
    at = datetime.fromisoformat(event["at"]).astimezone(IST)
    machine = os.environ["OPTION_BASKETS_TIMER"]
    return {"started": run(lambda cloud: _measured(cloud, machine, at, event["reason"] == "start"), context)}


async def _measured(cloud: Cloud, machine: str, at: datetime, is_start: bool) -> str:
    started = await seen_to(cloud, machine, at, is_start=is_start)
    if started and not is_start:
        measured().restarted()
    return started


async def seen_to(cloud: Cloud, machine: str, at: datetime, *, is_start: bool) -> str:
    """Start the day's timer, or another if it is dead; the name of the execution, or nothing.

    Raises:
        Unavailable: Step Functions does not answer, or every name the day has is taken.
    """
    day = at.date()
    if is_start:
        return await _started(cloud, machine, at, day.isoformat()) or ""
    session = cloud.session_on(day)
    if session is None or not await is_dead(cloud, session, at):
        return ""
    LOG.error("the timer of %s is dead; another is started", day)
    for number in range(1, _MOST_STARTS):
        name = day.isoformat() if number == 1 else f"{day}-{number}"
        if (started := await _started(cloud, machine, at, name)) is not None:
            return started
    raise Unavailable(f"the timer of {day} was started {_MOST_STARTS} times already")


async def is_dead(cloud: Cloud, session: Session, at: datetime) -> bool:
    """Whether a tick is overdue that nobody has finished."""
    due = [tick for tick in instants(session, cloud.cadence.boundary) if tick <= at - DEAD_AFTER]
    if not due or at >= session.close + DEAD_AFTER:
        return False
    marks = await cloud.books.last_ticks(session.date)
    done = max((mark.tick.at for mark in marks if mark.state is TickState.DONE), default=None)
    return done is None or done < due[-1]


async def _started(cloud: Cloud, machine: str, at: datetime, name: str) -> str | None:
    """The execution's name; None: there was one of that name.

    The input says when it was asked for: with the same name and input AWS answers a second start as if it were one.
    """
    states = await cloud.service("stepfunctions")
    state = codec.encode({"date": at.date().isoformat(), "asked": at.isoformat()}).decode()
    try:
        await states.call("start_execution", stateMachineArn=machine, name=name, input=state)
    except Unavailable as error:
        if _TAKEN in str(error):
            return None
        raise
    return name
