"""The four events as EventBridge brings them: each becomes messages to the users it is about."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from option_baskets.adapters.aws.bus import Part, part_of
from option_baskets.cloud import Cloud
from option_baskets.domain.events import EventType
from option_baskets.engine.dispatch import dispatch, sweep
from option_baskets.lambdas.running import run

LATE = timedelta(seconds=30)
"""What was due so long ago and is not done has lost its wake-up."""


def handle(event: Mapping[str, Any], context: object) -> None:
    """One event of the bus. What is raised has it brought again, then puts it aside."""
    run(lambda cloud: _handled(cloud, part_of(event["detail"])), context)


async def _handled(cloud: Cloud, part: Part) -> None:
    event = part.event
    session = cloud.session_on(event.at.date())
    if session is None:
        return
    trading = cloud.trading(session, shard=part.shard)
    await dispatch(trading, event, cloud.cadence)
    if event.type is EventType.CHECK_STOP_LOSS:
        late = timedelta(0) if cloud.settings.is_led else LATE
        await sweep(cloud.queue, cloud.queue.inbox, event.at - late, trading.books.watched)
