"""How well a paper account behaves: by default perfectly; otherwise as seeded, order by order."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum


class Fault(StrEnum):
    """What may befall one order; each is drawn on its own."""

    REJECTION = "rejection"
    PARTIAL_FILL = "partial_fill"
    PARTIAL_SHARE = "partial_share"
    LATENCY = "latency"
    BUSY = "busy"
    BUSY_CALLS = "busy_calls"
    LOST_REQUEST = "lost_request"
    LOST_ANSWER = "lost_answer"
    SERVER_ERROR = "server_error"
    SERVER_ERROR_TAKEN = "server_error_taken"
    GARBLED_ANSWER = "garbled_answer"
    LOST_CHANGE = "lost_change"
    LOST_CHANGE_DONE = "lost_change_done"
    CROSSED_CANCEL = "crossed_cancel"
    SLOW_BOOK = "slow_book"
    LOST_UPDATE = "lost_update"
    DOUBLED_UPDATE = "doubled_update"
    LATE_UPDATE = "late_update"
    LATE_UPDATE_BY = "late_update_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which the account cannot be reached at all, on the market clock: [start, start + lasts)."""

    start: datetime
    lasts: timedelta

    def holds(self, at: datetime) -> bool:
        return self.start <= at < self.start + self.lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Faults of one account and how often they happen. Probabilities are 0 to 1, each of an order.

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
    busy: float = 0
    """How many orders meet 429: placing them is refused as Unavailable, or their first one or two changes are."""
    lost_requests: float = 0
    """How many orders never arrive; the caller learns nothing (Unclear)."""
    lost_answers: float = 0
    """How many accepted orders are answered with Unclear."""
    server_errors: float = 0
    """How many orders are answered with a 5xx (Unclear); half of them arrived."""
    garbled_answers: float = 0
    """How many accepted orders are answered with a body nobody can read (Unclear)."""
    lost_changes: float = 0
    """Of how many orders the first modify or cancel is answered with Unclear; half of those are done."""
    crossed_cancels: float = 0
    """How many cancels meet a fill of all that was left, at the order's limit, that came just before them."""
    slow_book: timedelta = timedelta()
    """The longest an order may be missing from the order book after it arrived."""
    lost_updates: float = 0
    """How many updates never come. Drawn for every state of an order, like the next two."""
    doubled_updates: float = 0
    late_updates: float = 0
    """How many updates come late, by up to ``late_by``, and so after newer ones."""
    late_by: timedelta = timedelta(seconds=5)
    outages: tuple[Outage, ...] = ()
    """Nothing arrives, no book can be read, and updates of that time are lost."""
    max_calls_per_second: int | None = None
    """place, modify and cancel together, per calendar second; over it a call is refused as Unavailable."""
    max_modifications: int | None = None
    """Of one order; 25 at Kite."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, int) and field.name not in _NUMBERS and not 0 <= value <= 1:
                raise ValueError(f"{field.name} = {value} is no probability; give 0 to 1")

    def draw(self, tag: str, fault: Fault) -> float:
        """A number in [0, 1) that belongs to this seed, order and fault."""
        digest = hashlib.sha256(f"{self.seed}\x1f{tag}\x1f{fault}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def _happens(self, probability: float, tag: str, fault: Fault) -> bool:
        return probability > 0 and self.draw(tag, fault) < probability

    def is_out(self, at: datetime) -> bool:
        return any(outage.holds(at) for outage in self.outages)

    # ------------------------------------------------------------ an order's arrival and its answer

    def is_busy(self, tag: str, earlier: int = 0) -> bool:
        """Whether the call is refused with 429, after so many refused ones of its kind for this order."""
        return self._happens(self.busy, tag, Fault.BUSY) and earlier <= int(2 * self.draw(tag, Fault.BUSY_CALLS))

    def swallows(self, tag: str) -> str | None:
        """What the caller sees of an order that never arrives; None: it does."""
        if self._happens(self.lost_requests, tag, Fault.LOST_REQUEST):
            return "the connection was cut while sending"
        if self._happens(self.server_errors, tag, Fault.SERVER_ERROR) and not self._is_taken(tag):
            return "502 Bad Gateway"
        return None

    def silences(self, tag: str) -> str | None:
        """What the caller sees of an accepted order instead of its report; None: it gets the report."""
        if self._happens(self.lost_answers, tag, Fault.LOST_ANSWER):
            return f"no answer to order {tag} within the time limit"
        if self._happens(self.server_errors, tag, Fault.SERVER_ERROR) and self._is_taken(tag):
            return "504 Gateway Timeout"
        if self._happens(self.garbled_answers, tag, Fault.GARBLED_ANSWER):
            return "200 OK with a body that is no JSON: '<html><body>'"
        return None

    def _is_taken(self, tag: str) -> bool:
        return self.draw(tag, Fault.SERVER_ERROR_TAKEN) < 0.5

    def rejects(self, tag: str) -> bool:
        return self._happens(self.rejections, tag, Fault.REJECTION)

    def first_fill(self, tag: str, lots: int) -> int:
        """At most how many of an order's lots its first match fills; never none."""
        if lots < 2 or not self._happens(self.partial_fills, tag, Fault.PARTIAL_FILL):
            return lots
        return 1 + int(self.draw(tag, Fault.PARTIAL_SHARE) * (lots - 1))

    def answer_at(self, tag: str, arrived: datetime) -> datetime:
        """When the answer to a call that arrived then is given."""
        if not self.jitter:
            return arrived + self.latency
        return arrived + self.latency + self.jitter * self.draw(tag, Fault.LATENCY)

    # ------------------------------------------------------------ its changes

    def loses_change(self, tag: str, earlier: int) -> bool:
        """Whether a modify or cancel of the order, after so many before it, is answered with Unclear."""
        return earlier == 0 and self._happens(self.lost_changes, tag, Fault.LOST_CHANGE)

    def does_lost_change(self, tag: str) -> bool:
        return self.draw(tag, Fault.LOST_CHANGE_DONE) < 0.5

    def crosses(self, tag: str) -> bool:
        """Whether a cancel comes just after a fill of all that was left."""
        return self._happens(self.crossed_cancels, tag, Fault.CROSSED_CANCEL)

    # ------------------------------------------------------------ what is shown of it

    def in_book_at(self, tag: str, arrived: datetime) -> datetime:
        """From when on the order book shows it."""
        return arrived + self.slow_book * self.draw(tag, Fault.SLOW_BOOK) if self.slow_book else arrived

    def updates(self, tag: str, state: str) -> Iterator[timedelta]:
        """The delays after which an update of this order in this state comes: none, one, or two of them."""
        mark = f"{tag}\x1f{state}"
        if self._happens(self.lost_updates, mark, Fault.LOST_UPDATE):
            return
        late = self._happens(self.late_updates, mark, Fault.LATE_UPDATE)
        delay = self.late_by * self.draw(mark, Fault.LATE_UPDATE_BY) if late else timedelta()
        yield delay
        if self._happens(self.doubled_updates, mark, Fault.DOUBLED_UPDATE):
            yield delay


_NUMBERS = frozenset({"seed"})
