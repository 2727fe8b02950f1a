"""What is listed: expiries as a day's contract list has them, lot sizes, freeze quantities, strike steps.

A recorded contract list or a broker's instrument master is trusted over these answers; they serve where there is none.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from option_baskets.domain.facts import Exchange, Facts, ListedSeries, in_force

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ListedExpiry:
    date: date
    series: ListedSeries


def exchange_of(facts: Facts, underlying: str) -> Exchange:
    """Raises Invalid for an underlying without facts."""
    raise NotImplementedError


def strike_step(facts: Facts, underlying: str, on: date) -> Decimal:
    """Index points between strikes near the money. Raises Invalid for an underlying without facts."""
    raise NotImplementedError


def tick_size(facts: Facts, underlying: str, on: date) -> Decimal:
    """Rupees per unit. Raises Invalid for an underlying without facts."""
    raise NotImplementedError


def freeze_quantity(facts: Facts, underlying: str, on: date) -> int | None:
    """The largest quantity of one order in units; None where no list of that time is known: no slicing."""
    row = in_force((row for row in facts.freeze_quantities if row.underlying == underlying), on)
    return row.quantity if row else None


def lot_size(facts: Facts, underlying: str, expiry: date, series: str, on: date) -> int:
    """Units per lot of the contract expiring on ``expiry``, as listed on ``on``.

    Raises:
        Invalid: no row covers it; the message says how to give it.
    """
    raise NotImplementedError


def listed_expiries(facts: Facts, underlying: str, on: date, *, long_dated: bool = False) -> tuple[ListedExpiry, ...]:
    """The contract list of a day by date, each expiry as it was dated on that day; empty before the first rule."""
    raise NotImplementedError


def all_expiries(facts: Facts, underlying: str, first: date, last: date) -> tuple[ListedExpiry, ...]:
    """Every weekly and monthly expiry in [first, last], on the day it finally falls on."""
    raise NotImplementedError
