"""What happens in a trading day: ticks, and the four events a tick may cause. Past tense or due, never imperative."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class MarketPhase(StrEnum):
    PRE_OPEN = "PRE_OPEN"
    MARKET_OPEN = "MARKET_OPEN"
    EARLY_TRADING = "EARLY_TRADING"
    ACTIVE_TRADING = "ACTIVE_TRADING"
    LUNCH_BREAK = "LUNCH_BREAK"
    AFTERNOON_TRADING = "AFTERNOON_TRADING"
    PRE_CLOSE = "PRE_CLOSE"
    CLOSED = "CLOSED"


class Priority(IntEnum):
    """Lower is handled first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2


class EventType(StrEnum):
    REFRESH_MARKET_DATA = "RefreshMarketData"
    CHECK_STOP_LOSS = "CheckStopLoss"
    CHECK_DUPLICATE_ORDERS = "CheckDuplicateOrders"
    SCHEDULE_STRATEGY_TRIGGER = "ScheduleStrategyTrigger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A boundary of the timer. ``at`` is the scheduled instant, not the one it was noticed at."""

    at: datetime
    phase: MarketPhase
    late: bool = False
    """Emitted after a restart for a boundary that was missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing due at a tick. Handlers take every instant from here and read no clock."""

    type: EventType
    at: datetime
    phase: MarketPhase
    priority: Priority
    late: bool = False
