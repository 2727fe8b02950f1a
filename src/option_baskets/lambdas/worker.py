"""Wake-ups from SQS: each has a user's work done. Those that are not done are brought again, and no other."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from option_baskets.adapters.aws.wake import message_of
from option_baskets.cloud import Cloud
from option_baskets.engine.messages import AHEAD
from option_baskets.lambdas.running import run

LOG = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: object) -> Mapping[str, object]:
    """A batch of wake-ups, each of a user; SQS brings those again that are named in the answer."""
    failed = run(lambda cloud: _worked_off(cloud, event["Records"]), context)
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


async def _worked_off(cloud: Cloud, records: Sequence[Mapping[str, Any]]) -> list[str]:
    done = await asyncio.gather(*(_done(cloud, record["body"]) for record in records), return_exceptions=True)
    for record, result in zip(records, done, strict=True):
        if isinstance(result, BaseException):
            LOG.error("wake-up %s failed", record["messageId"], exc_info=result)
    return [record["messageId"] for record, result in zip(records, done, strict=True) if result is not True]


async def _done(cloud: Cloud, body: str) -> bool:
    message = message_of(body)
    if message.at > cloud.clock.now() + AHEAD:  # SQS delays by 15 minutes at most
        if await cloud.queue.inbox.is_waiting(message):
            await cloud.queue.sent([message])
        return True
    return await cloud.woken(message)
