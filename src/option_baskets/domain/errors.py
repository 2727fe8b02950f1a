"""The errors, split by what the caller does next.

OptionBasketsError
├── Invalid       the input is wrong: mend the named field         (HTTP 422)
├── NotFound      there is no such thing, or not for this user     (404)
├── Unauthenticated   nobody we know asks: log in                  (401)
├── Forbidden     the principal may not do this                    (403)
├── Conflict      somebody was faster: read again and decide anew  (409)
├── Refused       risk or a rule said no, with a Reason            (422)
├── TooMany       asked too often: wait, then ask again            (429)
├── Unavailable   try again later, with backoff                    (503)
│   └── Unwritable   the store takes nothing that begins an entry
├── Unclear       the outcome is unknown: reconcile, never resend  (504)
└── Halt          stop and page a person                           (500)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from option_baskets.domain.reasons import Reason


class OptionBasketsError(Exception):
    """Every error this package raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with an input: where, what value, and the way out."""

    where: str
    """Path of the field, e.g. ``strategies[0].legs[1].strike`` or ``day.csv row 17``."""
    message: str
    line: int | None = None
    file: str = ""

    def __str__(self) -> str:
        if self.file:
            parts = [f"{self.file}:{self.line}" if self.line else self.file, self.where, self.message]
        else:
            parts = [f"line {self.line}, {self.where}" if self.line else self.where, self.message]
        return ": ".join(part for part in parts if part)


class Invalid(OptionBasketsError):
    """The input is wrong. ``problems`` lists everything found, not only the first."""

    def __init__(self, problems: str | Problem | Sequence[Problem], *, where: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(where=where, message=problems)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotFound(OptionBasketsError):
    """There is no such thing, or it belongs to somebody else; the two look alike."""


class Unauthenticated(OptionBasketsError):
    """Nobody proved who asks. One message for every cause, so that it tells nothing about users and passwords."""


class TooMany(OptionBasketsError):
    """Asked too often; ``retry_after`` is how many seconds to wait."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Forbidden(OptionBasketsError):
    """The principal may not do this."""


class Conflict(OptionBasketsError):
    """A condition on a write did not hold; nothing of the commit was written."""


class Refused(OptionBasketsError):
    """Risk or a rule refused; ``reason`` is stable, the message is for a person."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Unavailable(OptionBasketsError):
    """A service did not take the request; nothing happened; it may be tried again."""


class Unwritable(Unavailable):
    """The store cannot be written: what would begin an entry is not taken, what closes one is kept elsewhere."""


class Unclear(OptionBasketsError):
    """The request may or may not have taken effect; only a reconciliation can tell."""


class Halt(OptionBasketsError):
    """Going on could do harm; the process stops and a person is paged."""
