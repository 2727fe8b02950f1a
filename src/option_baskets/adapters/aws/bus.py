"""The Bus port over EventBridge: published to the bus, and brought by a rule to whoever runs the handler."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from option_baskets.adapters.aws.service import Service
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.events import Event, EventType
from option_baskets.ports import Handler
from option_baskets.store import codec

LOG = logging.getLogger(__name__)

SOURCE = "option-baskets.timer"
_AT_ONCE = 10


class EventBridgeBus:
    """``publish`` returns when the bus has the events; a rule for each type brings them to a function, at least once.

    There ``deliver`` hands one over to what was subscribed in that process.
    """

    def __init__(self, events: Service, name: str) -> None:
        self._events = events
        self._name = name
        self.published: Callable[[Sequence[Event]], None] = lambda events: None
        """Told of what the bus has taken."""
        self._handlers: defaultdict[EventType, list[Handler]] = defaultdict(list)

    def subscribe(self, type_: EventType, handler: Handler) -> None:
        self._handlers[type_].append(handler)

    async def publish(self, events: Sequence[Event]) -> None:
        """Raises Unavailable: the bus did not take one of them; publishing all of them again harms nothing."""
        ordered = sorted(events, key=lambda event: event.priority)
        for start in range(0, len(ordered), _AT_ONCE):
            entries = [self._entry(event) for event in ordered[start : start + _AT_ONCE]]
            answer = await self._events.call("put_events", Entries=entries)
            if answer.get("FailedEntryCount"):
                why = next((entry["ErrorMessage"] for entry in answer["Entries"] if "ErrorCode" in entry), "")
                raise Unavailable(f"the bus did not take {answer['FailedEntryCount']} events: {why}")
        self.published(ordered)

    def _entry(self, event: Event) -> Mapping[str, str]:
        return {
            "Source": SOURCE,
            "DetailType": event.type.value,
            "Detail": codec.encode(event).decode(),
            "EventBusName": self._name,
        }

    async def deliver(self, detail: Mapping[str, Any]) -> None:
        """Hand one event, as EventBridge brings it, to its handlers; what one of them raises is raised."""
        event = event_of(detail)
        for handler in self._handlers[event.type]:
            await handler(event)


def event_of(detail: Mapping[str, Any]) -> Event:
    """Raises ValueError: it is no event of ours."""
    return codec.convert(detail, Event)
