"""The four events as EventBridge brings them: each becomes messages to the users it is about."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from option_baskets.adapters.aws.bus import event_of
from option_baskets.cloud import Cloud
from option_baskets.domain.events import Event, EventType
from option_baskets.engine.dispatch import dispatch, sweep
from option_baskets.lambdas.running import run

LATE = timedelta(seconds=30)
"""What was due so long ago and is not done has lost its wake-up."""


def handle(event: Mapping[str, Any], context: object) -> None:
    """One event of the bus. What is raised has it brought again, then puts it aside."""
    run(lambda cloud: _handled(cloud, event_of(event["detail"])), context)


async def _handled(cloud: Cloud, event: Event) -> None:
    session = cloud.session_on(event.at.date())
    if session is None:
        return
    trading = cloud.trading(session)
    await dispatch(trading, event, cloud.cadence)
    if event.type is EventType.CHECK_STOP_LOSS:
        late = timedelta(0) if cloud.settings.is_led else LATE
        await sweep(cloud.queue, cloud.queue.inbox, event.at - late)
