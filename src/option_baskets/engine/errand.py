"""What a piece of work is done for: the tick it goes back to, from process to process, and when it was due.

Whoever handles an event or a message says so once; log lines and messages sent meanwhile have the tick with them, in
every task that is begun there. Nothing is decided by it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

TICK = "tick"
"""In the body of a message."""


@dataclass(slots=True, kw_only=True)
class Errand:
    tick: str
    """Which tick; empty where none is behind it, as where a person asks."""
    due: datetime
    has_sent: bool = False
    """Something of it was handed to a broker."""


_errand: ContextVar[Errand | None] = ContextVar("errand", default=None)


def errand() -> Errand | None:
    """What is being done; None: nobody has said."""
    return _errand.get()


@contextlib.contextmanager
def on_errand(tick: str, due: datetime) -> Iterator[Errand]:
    before = _errand.set(current := Errand(tick=tick, due=due))
    try:
        yield current
    finally:
        _errand.reset(before)


def tick_id(at: datetime) -> str:
    """Of the tick of an instant: all that follows from it is found by this."""
    return f"tick-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def carried() -> Mapping[str, str]:
    """What a message takes along."""
    current = _errand.get()
    return {TICK: current.tick} if current is not None and current.tick else {}
