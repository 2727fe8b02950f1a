"""The market as rules see it: one snapshot, every price known at one instant and none later."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from option_baskets.domain.contract import Contract, Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A finished bar. ``open``, ``high`` and ``low`` are None in close-only data. Rupees per unit or index points."""

    start: datetime
    end: datetime
    close: Decimal
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of one thing known at an instant, in rupees per unit (index points for a spot)."""

    last: Decimal
    as_of: datetime
    """When the feed last confirmed this price; the end of the bar in recorded data."""
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_quantity: int | None = None
    ask_quantity: int | None = None
    bar: Bar | None = None
    """The bar that ended at the snapshot's instant, where there was one."""

    def age(self, at: datetime) -> timedelta:
        return at - self.as_of


class Snapshot(Protocol):
    """Every price known at ``at``. Immutable: two reads of one thing give the same answer."""

    @property
    def at(self) -> datetime: ...

    @property
    def stale_after(self) -> timedelta:
        """The age beyond which a quote may not decide an entry."""
        ...

    def quote(self, contract: Contract) -> Quote | None:
        """The known price, however old; None where there never was one (or it was 0, which means missing)."""
        ...

    def spot(self, underlying: str) -> Quote | None: ...

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Listed option and future expiries of all series, ascending."""
        ...

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]: ...

    def listing(self, contract: Contract) -> Listing | None: ...

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        """Listed option strikes, ascending; empty where the expiry has no options."""
        ...

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        """The dated strike interval near the money, in index points."""
        ...

    def contracts(self) -> Iterable[Contract]: ...
