"""The first state of the timer: whether there is a session, and which boundary comes next."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from option_baskets.cloud import Cloud, ahead
from option_baskets.lambdas.running import run

State = dict[str, Any]


def handler(state: Mapping[str, Any], context: object) -> State:
    """Args:
    state: ``{"date": "2026-11-23"}``.
    """
    return run(lambda cloud: first(cloud, date.fromisoformat(state["date"])), context)


async def first(cloud: Cloud, day: date) -> State:
    """The state to begin with, or to go on with behind what an earlier execution has emitted."""
    session = cloud.session_on(day)
    if session is None or cloud.clock.now() >= session.close:
        return {"date": day.isoformat(), "done": True}
    following = await (await cloud.turns(session)).first()
    return {"date": day.isoformat(), "done": following.done, "wake": ahead(following.wake, cloud.settings.lead)}
