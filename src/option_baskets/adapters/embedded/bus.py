"""The bus within one process: handlers are called one after another, so a day's order of work is always the same."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter

from option_baskets.domain.errors import Halt
from option_baskets.domain.events import Event, EventType
from option_baskets.ports import Handler


class InProcessBus:
    """Calls handlers by priority of the event, then in the order published, then in the order subscribed.

    A handler that raises stops no other; ``on_error`` is told, and makes an alert of it. Only Halt ends the publishing,
    because going on could do harm.
    """

    def __init__(self, on_error: Callable[[Event, Exception], None]) -> None:
        self._on_error = on_error
        self._handlers: defaultdict[EventType, list[Handler]] = defaultdict(list)

    def subscribe(self, type_: EventType, handler: Handler) -> None:
        self._handlers[type_].append(handler)

    async def publish(self, events: Sequence[Event]) -> None:
        """Return when every handler has returned or failed."""
        for event in sorted(events, key=attrgetter("priority")):
            for handler in tuple(self._handlers[event.type]):
                try:
                    await handler(event)
                except Halt:
                    raise
                except Exception as error:  # whatever it is, the other handlers must run
                    self._on_error(event, error)
