"""Entries a run still waits for: one leg on one account, and the price that sets it off.

Waiting for a move, a break of a range, a re-entry and a lazy leg are all this one thing. ``rules.step`` decides when
one is due; what is due at one instant on one account is entered together, hedges first.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.contract import Contract, Side


class Cause(StrEnum):
    """Why an entry comes later than the run's."""

    WAIT = "wait"
    RANGE = "range"
    REENTRY = "reentry"
    LAZY = "lazy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A price that counts ``weight`` times; no contract: the underlying's."""

    contract: Contract | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A price, the sum of weighted ones, that has to reach or pass a level.

    Prices as of ``since`` or older do not count. With ``recording`` the price only widens the range from ``low`` to
    ``high`` until then, and must leave it afterwards.
    """

    prices: tuple[Weighted, ...]
    since: datetime
    high: Decimal | None = None
    """Fires at a price >= it; with ``recording`` above it."""
    low: Decimal | None = None
    """Fires at a price <= it; with ``recording`` below it."""
    recording: datetime | None = None
    """The end of the range."""
    fires_high: bool = True
    fires_low: bool = True

    @property
    def is_of_one_price(self) -> bool:
        return len(self.prices) == 1 and self.prices[0].weight == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A position that may still be opened."""

    leg: str
    account: str
    entry_number: int
    side: Side
    lots: int
    cause: Cause
    contract: Contract | None = None
    """Fixed when the waiting began; None: chosen when it is entered."""
    trigger: Trigger | None = None
    """None: due from the beginning, or not ``due`` and not known yet: the exit it measures from is not filled."""
    due: datetime | None = None
    """When it was decided to enter it, at once; what is being closed on its account is closed first."""
    detail: str = ""
    """For a person: what is waited for."""

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.leg, self.account, self.entry_number)

    @property
    def watches(self) -> tuple[Contract, ...]:
        """The contracts whose prices may set it off."""
        prices = self.trigger.prices if self.trigger is not None else ()
        return tuple(price.contract for price in prices if price.contract is not None)
