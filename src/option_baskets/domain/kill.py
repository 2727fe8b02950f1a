"""The kill switch: what it covers, who threw it, and when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class KillScope(StrEnum):
    """What is killed, the widest first."""

    USER = "user"
    ACCOUNT = "account"
    BASKET = "basket"
    STRATEGY = "strategy"


Killed = tuple[KillScope, str]
"""What is killed: a scope, and the id of the account, basket or strategy; of a user ``""``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A fence that stands until somebody re-arms: nothing is entered behind it, and what is there is closed."""

    user_id: str
    subject: Killed
    at: datetime
    """By the clock of whoever threw it."""
    actor: str
    """Who threw it: a user of the machine, or ``engine``."""
    reason: str = ""
    """In their words."""
    seen_at: datetime | None = None
    """When the engine took it up, on the market's clock; None: it has not."""
    version: int = 0

    @property
    def what(self) -> str:
        """Of what it is the switch, for a person."""
        scope, name = self.subject
        return f"{scope} {name}" if name else "everything"

    @property
    def told(self) -> str:
        """What was done by whom and why, for a person."""
        return f"{self.what} was killed by {self.actor}" + (f": {self.reason}" if self.reason else "")


def killed_with(basket: str, strategy: str, account: str) -> tuple[Killed, ...]:
    """Whatever, being killed, kills this account's part of a run, the widest first."""
    return (
        (KillScope.USER, ""),
        (KillScope.ACCOUNT, account),
        (KillScope.BASKET, basket),
        (KillScope.STRATEGY, strategy),
    )
