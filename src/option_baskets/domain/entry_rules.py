"""The rules by which a leg or a strategy is entered later than at its minute, or again, as the user wrote them."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A move of a price: ``points``, or ``percent`` of it. Positive is up, never zero. Exactly one is set."""

    points: Decimal | None = None
    percent: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.points is None) == (self.percent is None):
            raise ValueError("give points or percent, and only one of them")
        if self.points == 0 or self.percent == 0:
            raise ValueError("a move of zero is no move")

    @property
    def is_up(self) -> bool:
        return (self.points or self.percent or Decimal(0)) > 0

    def level(self, price: Decimal) -> Decimal:
        """Where the price is once it has moved, unrounded; a percentage is of its size, so that up stays up."""
        if self.points is not None:
            return price + self.points
        assert self.percent is not None
        return price + abs(price) * self.percent / 100


class BreakSide(StrEnum):
    HIGH = "high"
    LOW = "low"
    EITHER = "either"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakout:
    """From the entry minute to ``until`` the high and low of a price are recorded; after it a break of ``side`` enters.

    The price is the underlying's where a strategy says it, the leg's premium where a leg does.
    """

    until: time
    side: BreakSide = BreakSide.EITHER


class Reentry(StrEnum):
    """How a leg is entered again."""

    ASAP = "asap"
    COST = "cost"
    MOMENTUM = "momentum"
    ASAP_REVERSE = "asap_reverse"
    COST_REVERSE = "cost_reverse"
    MOMENTUM_REVERSE = "momentum_reverse"

    @property
    def is_reverse(self) -> bool:
        return self.value.endswith("_reverse")

    @property
    def plain(self) -> "Reentry":
        """The same without the flip of sides."""
        return Reentry(self.value.removesuffix("_reverse"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What a leg's own stop, or target, sets off: it is entered again, and lazy legs wake."""

    reenter: Reentry | None = None
    times: int = 1
    """How often at most, 1 to 20, on each account; those after a stop and those after a target count separately."""
    move: Move | None = None
    """For ``momentum``: from the average of the exit."""
    wakes: tuple[str, ...] = ()
    """Lazy legs, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """How often the whole strategy is entered again in a new run, after its stop and after its target or lock."""

    on_stop: int = 0
    on_target: int = 0
