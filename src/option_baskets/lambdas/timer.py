"""One turn of the timer: sleeps to the boundary, and emits what is due."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from option_baskets.cloud import Cloud, ahead
from option_baskets.domain.errors import Invalid
from option_baskets.lambdas.running import run

State = dict[str, Any]


def handler(state: Mapping[str, Any], context: object) -> State:
    """One minute of the day that the state names."""
    return run(lambda cloud: turned(cloud, date.fromisoformat(state["date"])), context)


async def turned(cloud: Cloud, day: date) -> State:
    """The state after a turn.

    Raises:
        Invalid: there is no session that day.
    """
    session = cloud.session_on(day)
    if session is None:
        raise Invalid(f"there is no session on {day}", where="date")
    following = await (await cloud.turns(session)).turn()
    return {"date": day.isoformat(), "done": following.done, "wake": ahead(following.wake, cloud.settings.lead)}
