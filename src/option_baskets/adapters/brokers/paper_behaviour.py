"""How well a paper account behaves: by default perfectly; otherwise as seeded, order by order."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Fault(StrEnum):
    """What may befall one order; each is drawn on its own."""

    REJECTION = "rejection"
    PARTIAL_FILL = "partial_fill"
    PARTIAL_SHARE = "partial_share"
    LOST_ANSWER = "lost_answer"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Faults of one account and how often they happen. Probabilities are 0 to 1.

    What happens to an order is a function of (seed, tag), so neither the order of calls nor a restart changes it.
    """

    seed: int = 0
    latency: timedelta = timedelta()
    """From the order's arrival to the answer, on the market clock."""
    jitter: timedelta = timedelta()
    """Largest addition to the latency."""
    rejections: float = 0
    """How many orders are refused although nothing is wrong with them."""
    partial_fills: float = 0
    """How many marketable orders are filled in part at first, by whole lots; the rest at the next market change."""
    lost_answers: float = 0
    """How many accepted orders are answered with Unclear."""
    max_calls_per_second: int | None = None
    """place, modify and cancel together, per calendar second; over it a call is refused as Unavailable."""
    max_modifications: int | None = None
    """Of one order; 25 at Kite."""

    def __post_init__(self) -> None:
        for name in ("rejections", "partial_fills", "lost_answers"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} is no probability; give 0 to 1")

    def draw(self, tag: str, fault: Fault) -> float:
        """A number in [0, 1) that belongs to this seed, order and fault."""
        digest = hashlib.sha256(f"{self.seed}\x1f{tag}\x1f{fault}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def rejects(self, tag: str) -> bool:
        return self.rejections > 0 and self.draw(tag, Fault.REJECTION) < self.rejections

    def loses_answer(self, tag: str) -> bool:
        return self.lost_answers > 0 and self.draw(tag, Fault.LOST_ANSWER) < self.lost_answers

    def first_fill(self, tag: str, lots: int) -> int:
        """At most how many of an order's lots its first match fills; never none."""
        if lots < 2 or self.partial_fills == 0 or self.draw(tag, Fault.PARTIAL_FILL) >= self.partial_fills:
            return lots
        return 1 + int(self.draw(tag, Fault.PARTIAL_SHARE) * (lots - 1))

    def answer_at(self, tag: str, arrived: datetime) -> datetime:
        """When the answer to a call that arrived then is given."""
        if not self.jitter:
            return arrived + self.latency
        return arrived + self.latency + self.jitter * self.draw(tag, Fault.LATENCY)
