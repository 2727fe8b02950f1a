"""What is listed: expiries as a day's contract list has them, lot sizes, freeze quantities, strike steps.

A recorded contract list or a broker's instrument master is trusted over these answers; they serve where there is none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice

from option_baskets.domain.contract import Contract
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Exchange, ExpiryRule, Facts, ListedCount, ListedSeries, Underlying, in_force
from option_baskets.domain.session import previous_session_day, session_on

WEEK = timedelta(days=7)
QUARTER, HALF_YEAR = 3, 6
LONGEST_LISTED_YEARS = 7
"""A half-yearly contract is listed at most five years and some months ahead."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ListedExpiry:
    date: date
    series: ListedSeries


def exchange_of(facts: Facts, underlying: str) -> Exchange:
    """Raises Invalid for an underlying without facts."""
    return _rows(facts, underlying)[0].exchange


def strike_step(facts: Facts, underlying: str, on: date) -> Decimal:
    """Index points between strikes near the money. Raises Invalid for an underlying without facts."""
    return _underlying(facts, underlying, on).strike_step


def tick_size(facts: Facts, underlying: str, on: date) -> Decimal:
    """Rupees per unit. Raises Invalid for an underlying without facts."""
    return _underlying(facts, underlying, on).tick


def freeze_quantity(facts: Facts, underlying: str, on: date) -> int | None:
    """The largest quantity of one order in units; None where no list of that time is known: no slicing."""
    row = in_force((row for row in facts.freeze_quantities if row.underlying == underlying), on)
    return row.quantity if row else None


def lot_size(facts: Facts, underlying: str, expiry: date, series: ListedSeries | str, on: date) -> int:
    """Units per lot of the contract that the list of day ``on`` dates ``expiry``.

    Raises:
        Invalid: no row covers it; the message says how to give it.
    """
    _rows(facts, underlying)
    series = ListedSeries(series)
    if series is ListedSeries.LONG:
        lot = _long_dated_lot(facts, underlying, on)
    else:
        rows = (row for row in facts.lots if row.underlying == underlying and row.series is series)
        row = in_force(rows, _final_date(facts, underlying, expiry, on))
        lot = row.lot if row else None
    if lot is None:
        raise Invalid(
            f"the lot size of {underlying} {series} expiring {expiry} is not known on {on}; "
            "give --lot-size N, or a row of lots.csv in a --facts folder"
        )
    return lot


def all_expiries(facts: Facts, underlying: str, first: date, last: date) -> tuple[ListedExpiry, ...]:
    """Every weekly and monthly expiry in [first, last], on the day it finally falls on.

    Raises:
        Invalid: no facts about the underlying. Years before its first rule have no expiries.
    """
    _rows(facts, underlying)
    years = range(first.year, last.year + 2)  # the first expiry of a year may be moved into the year before
    found = (expiry for year in years for expiry in _expiries_scheduled_in(facts, underlying, year))
    return tuple(sorted(expiry for expiry in found if first <= expiry.date <= last))


@lru_cache(maxsize=4096)
def listed_expiries(facts: Facts, underlying: str, on: date, *, long_dated: bool = False) -> tuple[ListedExpiry, ...]:
    """The contract list of a day by date, each expiry as it was dated on that day.

    Quarterly and half-yearly contracts only with ``long_dated``. Empty before the series existed.

    Raises:
        Invalid: no facts about the underlying.
    """
    last = on.replace(year=on.year + LONGEST_LISTED_YEARS if long_dated else on.year + 1, day=1)
    known = all_expiries(facts, underlying, on - WEEK, last)
    dated = [
        ListedExpiry(date=_date_as_of(facts, underlying, expiry.date, on), series=expiry.series) for expiry in known
    ]
    current = [expiry for expiry in dated if expiry.date >= on]
    weeklies = [expiry for expiry in current if expiry.series is ListedSeries.WEEKLY]
    monthlies = [expiry for expiry in current if expiry.series is ListedSeries.MONTHLY]
    weekly, monthly, long = (_listed(facts, underlying, series, on) for series in ListedSeries)
    listed = weeklies[: weekly.listed if weekly else 0] + monthlies[: monthly.listed if monthly else 0]
    if long_dated and long and monthly:
        listed += _long_dated(monthlies[monthly.listed :], long)
    return tuple(sorted(listed))


def _long_dated(later: list[ListedExpiry], count: ListedCount) -> Iterator[ListedExpiry]:
    """Of the monthlies not listed as such: the next quarterly ones, then half-yearly ones."""
    quarterly = list(islice((each for each in later if each.date.month % QUARTER == 0), count.listed))
    after = [each for each in later if quarterly and each > quarterly[-1]]
    half_yearly = islice((each for each in after if each.date.month % HALF_YEAR == 0), count.half_yearly)
    for each in (*quarterly, *half_yearly):
        yield ListedExpiry(date=each.date, series=ListedSeries.LONG)


@lru_cache(maxsize=512)
def _expiries_scheduled_in(facts: Facts, underlying: str, year: int) -> tuple[ListedExpiry, ...]:
    """By rule, moved by holidays and exceptions. One monthly a month; no weekly in the week of a monthly."""
    days = [
        date(year, 1, 1) + timedelta(days=n)
        for n in range(366 if date(year, 12, 31).timetuple().tm_yday == 366 else 365)
    ]
    monthly: dict[int, date] = {}
    for day in days:  # where the weekday changes in a month's last week, the contract of the old rule stands
        if day.month not in monthly and _is_scheduled(facts, underlying, ListedSeries.MONTHLY, day):
            monthly[day.month] = day
    taken = {day.isocalendar()[:2] for day in monthly.values()}
    weekly = [
        day
        for day in days
        if day.isocalendar()[:2] not in taken and _is_scheduled(facts, underlying, ListedSeries.WEEKLY, day)
    ]
    return tuple(
        ListedExpiry(date=_moved(facts, underlying, day), series=series)
        for series, scheduled in ((ListedSeries.MONTHLY, monthly.values()), (ListedSeries.WEEKLY, weekly))
        for day in scheduled
    )


def _is_scheduled(facts: Facts, underlying: str, series: ListedSeries, day: date) -> bool:
    rule = in_force(_rules(facts, underlying, series), day)
    if rule is None or day.weekday() != rule.weekday:
        return False
    return series is ListedSeries.WEEKLY or (day + WEEK).month != day.month


def _moved(facts: Facts, underlying: str, scheduled: date) -> date:
    """A holiday moves an expiry to the previous day that counts as a trading day."""
    for exception in reversed(facts.expiry_exceptions):
        if (exception.underlying, exception.scheduled) == (underlying, scheduled):
            return exception.expiry
    exchange = exchange_of(facts, underlying)
    session = session_on(facts, scheduled, exchange)
    if session is not None and session.counts:
        return scheduled
    return previous_session_day(facts, scheduled, exchange)


def redated(facts: Facts, contract: Contract, on: date) -> Contract:
    """The contract as the list of day ``on`` dates it: with the expiry that revisions before then gave it.

    For a contract that was held and that the list of the day no longer has.
    """
    expiry = contract.expiry
    for revision in sorted(facts.expiry_revisions, key=lambda row: row.effective_after_eod):
        same = (revision.underlying, revision.old_expiry) == (contract.underlying, expiry)
        if same and revision.effective_after_eod < on:
            expiry = revision.new_expiry
    return contract if expiry == contract.expiry else replace(contract, expiry=expiry)


def _date_as_of(facts: Facts, underlying: str, final: date, on: date) -> date:
    """What the list of day ``on`` called the contract that finally expired on ``final``."""
    day = final
    for revision in sorted(facts.expiry_revisions, key=lambda row: row.effective_after_eod, reverse=True):
        applied = revision.effective_after_eod < on
        if revision.underlying == underlying and revision.new_expiry == day and not applied:
            day = revision.old_expiry
    return day


def _final_date(facts: Facts, underlying: str, listed: date, on: date) -> date:
    """The day on which the contract that the list of day ``on`` dates ``listed`` finally expires."""
    day = listed
    for revision in sorted(facts.expiry_revisions, key=lambda row: row.effective_after_eod):
        applied = revision.effective_after_eod < on
        if revision.underlying == underlying and revision.old_expiry == day and not applied:
            day = revision.new_expiry
    return day


def _long_dated_lot(facts: Facts, underlying: str, on: date) -> int | None:
    """Long-dated contracts are converted while they are listed, so the day decides and not the expiry."""
    rows = sorted(
        (row for row in facts.lot_conversions if row.underlying == underlying), key=lambda row: row.effective_after_eod
    )
    applied = [row for row in rows if row.effective_after_eod < on]
    if applied:
        return applied[-1].new_lot
    return rows[0].old_lot if rows else None


def _listed(facts: Facts, underlying: str, series: ListedSeries, on: date) -> ListedCount | None:
    return in_force((row for row in facts.series if row.underlying == underlying and row.series is series), on)


def _rules(facts: Facts, underlying: str, series: ListedSeries) -> Iterator[ExpiryRule]:
    return (row for row in facts.expiry_rules if row.underlying == underlying and row.series is series)


def _rows(facts: Facts, underlying: str) -> tuple[Underlying, ...]:
    rows = tuple(row for row in facts.underlyings if row.underlying == underlying)
    if not rows:
        raise Invalid(
            f"{underlying!r} is not an underlying with facts (known: {', '.join(facts.names)}); "
            "write it as one of these, or give a row of underlyings.csv in a --facts folder"
        )
    return rows


def _underlying(facts: Facts, underlying: str, on: date) -> Underlying:
    rows = _rows(facts, underlying)
    return in_force(rows, on) or rows[0]
