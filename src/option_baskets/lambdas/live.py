"""What the tables' streams bring, to the WebSockets of the users it is about.

A stream brings each item's changes in their order, and all of a batch again from where something failed: what is told
is told in order, and at least once.
"""

import asyncio
import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from option_baskets.adapters.aws.statements import item_of
from option_baskets.cloud import Cloud
from option_baskets.domain.errors import OptionBasketsError
from option_baskets.engine.live import EVERYBODY, told
from option_baskets.engine.live_messages import line
from option_baskets.lambdas.pushing import Pushing, pushing_of
from option_baskets.lambdas.running import run
from option_baskets.ports import TableName
from option_baskets.store.sockets import Socket

LOG = logging.getLogger(__name__)

_AT_ONCE = 100
"""Connections that are told something at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    user_id: str
    place: int
    """In the batch."""
    line: str


def handler(event: Mapping[str, Any], context: object) -> Mapping[str, object]:
    """A batch of changes of one table; from the one that is named in the answer on, the stream brings them again."""
    records: Sequence[Mapping[str, Any]] = event["Records"]
    failed = run(lambda cloud: _told(cloud, records), context)
    if failed is None:
        return {"batchItemFailures": []}
    return {"batchItemFailures": [{"itemIdentifier": records[failed]["dynamodb"]["SequenceNumber"]}]}


async def _told(cloud: Cloud, records: Sequence[Mapping[str, Any]]) -> int | None:
    """Tell everybody; the place of the first change that somebody could not be told of because of us."""
    by_user: dict[str, list[News]] = {}
    for place, record in enumerate(records):
        if (news := _news(cloud, place, record)) is not None:
            by_user.setdefault(news.user_id, []).append(news)
    if not by_user:
        return None
    pushing, free = await pushing_of(cloud), asyncio.Semaphore(_AT_ONCE)
    users = list(by_user)
    done = await asyncio.gather(*(_tell(pushing, free, user, by_user[user]) for user in users), return_exceptions=True)
    failed = []
    for user, result in zip(users, done, strict=True):
        if isinstance(result, OptionBasketsError):
            LOG.error("%s is not told: %s", user or "everybody", result)
            failed.append(by_user[user][0].place)
        elif isinstance(result, BaseException):
            raise result
    return min(failed, default=None)


def _news(cloud: Cloud, place: int, record: Mapping[str, Any]) -> News | None:
    """What a change says; None: nothing, or it cannot be read, which reading it again does not change."""
    change = record["dynamodb"]
    if "NewImage" not in change:
        return None
    image = dict(change["NewImage"])
    try:
        image["body"] = {"B": base64.b64decode(image["body"]["B"])}
        at = cloud.clock.now() if cloud.settings.is_led else _written_at(change)
        said = told(_table(cloud, record), item_of(image), at)
    except (KeyError, ValueError):
        LOG.exception("a change in %s cannot be read", record.get("eventSourceARN"))
        return None
    return None if said is None else News(user_id=said.user_id, place=place, line=line(said.message))


def _table(cloud: Cloud, record: Mapping[str, Any]) -> TableName:
    name = str(record["eventSourceARN"]).split("/")[1]
    return TableName(name.removeprefix(cloud.settings.prefix))


def _written_at(change: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(float(change["ApproximateCreationDateTime"]), UTC)


async def _tell(pushing: Pushing, free: asyncio.Semaphore, user_id: str, news: Iterable[News]) -> None:
    lines = [each.line for each in news]
    everybody = user_id == EVERYBODY
    sockets = await (pushing.sockets.of_everybody() if everybody else pushing.sockets.of_user(user_id))

    async def tell(socket: Socket) -> None:
        async with free:
            await pushing.tell(socket, lines)

    await asyncio.gather(*map(tell, sockets))
