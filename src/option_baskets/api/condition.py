"""How the process is: what /ready and /metrics are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class EngineState(StrEnum):
    """Where the engine stands. Codes never change."""

    STARTING = "starting"
    TRADING = "trading"
    """A session is under way."""
    BETWEEN = "between_sessions"
    OVER = "over"
    """Every recorded day was traded; nothing will be any more."""
    HALTED = "halted"
    """Going on could do harm; a person has to look."""
    ELSEWHERE = "elsewhere"
    """This process has the API alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One look at the engine and its store."""

    engine: EngineState = EngineState.ELSEWHERE
    cause: str = ""
    """Why it is halted."""
    session: date | None = None
    """The day that is traded."""
    following: date | None = None
    """The day that is traded next, while none is."""
    unwritable: str = ""
    """Why the store cannot be written; empty: it can."""
    last_tick: datetime | None = None
    """On the market's clock."""
    orders: Mapping[str, int] = field(default_factory=dict)
    """Orders in hand by state: those of runs that are not over."""
    queued: int = 0
    """Messages that wait for their instant."""

    @property
    def hindrance(self) -> str:
        """What keeps it from its work; empty: nothing does."""
        if self.engine is EngineState.HALTED:
            return f"the engine has stopped: {self.cause}"
        if self.engine is EngineState.STARTING:
            return "the engine is taking up its day"
        if self.unwritable:
            return f"the store cannot be written: {self.unwritable}"
        return ""
