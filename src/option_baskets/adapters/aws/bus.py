"""The Bus port over EventBridge: published to the bus, and brought by a rule to whoever runs the handler."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from option_baskets.adapters.aws.service import Service
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.events import Event, EventType
from option_baskets.ports import Handler
from option_baskets.store import codec

LOG = logging.getLogger(__name__)

SOURCE = "option-baskets.timer"
_AT_ONCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An event as it is published: of one shard's users, or of everybody."""

    event: Event
    shard: int | None = None


class EventBridgeBus:
    """``publish`` returns when the bus has the events; a rule for each type brings them to a function, at least once.

    There ``deliver`` hands one over to what was subscribed in that process.

    Args:
        shards: what is about everybody is published once a shard, so that a function each does a part of it; the
            refresh of prices, which is about the market, once.
    """

    def __init__(self, events: Service, name: str, *, shards: int = 1) -> None:
        self._events = events
        self._name = name
        self._shards = shards
        self.published: Callable[[Sequence[Event]], None] = lambda events: None
        """Told of what the bus has taken."""
        self._handlers: defaultdict[EventType, list[Handler]] = defaultdict(list)

    def subscribe(self, type_: EventType, handler: Handler) -> None:
        self._handlers[type_].append(handler)

    async def publish(self, events: Sequence[Event]) -> None:
        """Raises Unavailable: the bus did not take one of them; publishing all of them again harms nothing."""
        ordered = sorted(events, key=lambda event: event.priority)
        every = [self._entry(event, shard) for event in ordered for shard in self._parts(event)]
        for start in range(0, len(every), _AT_ONCE):
            answer = await self._events.call("put_events", Entries=every[start : start + _AT_ONCE])
            if answer.get("FailedEntryCount"):
                why = next((entry["ErrorMessage"] for entry in answer["Entries"] if "ErrorCode" in entry), "")
                raise Unavailable(f"the bus did not take {answer['FailedEntryCount']} events: {why}")
        self.published(ordered)

    def _parts(self, event: Event) -> Iterable[int | None]:
        if self._shards == 1 or event.type is EventType.REFRESH_MARKET_DATA:
            return (None,)
        return range(self._shards)

    def _entry(self, event: Event, shard: int | None) -> Mapping[str, str]:
        detail = codec.encode(Part(event=event, shard=shard)).decode()
        return {"Source": SOURCE, "DetailType": event.type.value, "Detail": detail, "EventBusName": self._name}

    async def deliver(self, detail: Mapping[str, Any]) -> None:
        """Hand one event, as EventBridge brings it, to its handlers; when all have ended, what the first of them that
        failed raised is raised, so that it is brought again."""
        event = part_of(detail).event
        failed: list[Exception] = []
        for handler in self._handlers[event.type]:
            try:
                await handler(event)
            except Exception as error:
                failed.append(error)
        if failed:
            raise failed[0]


def part_of(detail: Mapping[str, Any]) -> Part:
    """Raises ValueError: it is no event of ours."""
    return codec.convert(detail, Part)
