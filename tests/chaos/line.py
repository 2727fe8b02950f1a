"""What goes over the pipe between the supervisor, which has exchange and time, and the engine's process.

A turn of the engine begins with ``Go``, which brings the time and what has come for it, and ends with ``Idle``: nothing
to do until then. In between time stands still, so a life is a function of its turns and not of the machine's speed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from option_baskets.domain.order import OrderReport

Account = tuple[str, str]
"""(user, account)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the Broker port."""

    number: int
    account: Account
    method: str
    given: tuple[Any, ...]
    named: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Idle:
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Done:
    """The day is over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """To the call of that number: what it returned, or the error it raised."""

    number: int
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Update:
    account: Account
    report: OrderReport


@dataclass(frozen=True, slots=True)
class Go:
    at: datetime
    brought: tuple[Answer | Update, ...] = ()
