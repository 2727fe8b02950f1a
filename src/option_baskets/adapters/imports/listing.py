"""The contract list of an imported session: its contracts, with what the source, the user and our facts say of each."""

from collections.abc import Mapping, Set
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from option_baskets.adapters.feeds.canonical import IDENTITY, contracts_in
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Invalid, Problem
from option_baskets.domain.facts import Facts, ListedSeries
from option_baskets.domain.instrument import freeze_quantity, listed_expiries, lot_size, tick_size

ANY = ""
_TICK = Decimal("0.05")
_WEEK = timedelta(days=7)
_MONTHLIES = 3

Expiry = tuple[str, date]


def listings(day: date, rows: pl.DataFrame, facts: Facts, lot_sizes: Mapping[str, int]) -> tuple[Listing, ...]:
    """One Listing a contract of the rows. A lot size in the rows wins over ``lot_sizes`` (by underlying, or ANY),
    that over our facts.

    Raises:
        Invalid: for every expiry whose lot size nobody knows.
    """
    found = contracts_in(rows.with_columns(pl.col("strike").cast(pl.Decimal(18, 4))).sort(IDENTITY))
    contracts = [thing for thing in found if isinstance(thing, Contract)]
    expiries = {(contract.underlying, contract.expiry) for contract in contracts}
    series = {expiry: _series(facts, day, expiry, expiries) for expiry in expiries}
    lots = _lots(day, rows, facts, lot_sizes, series)
    return tuple(
        Listing(
            contract=contract,
            lot_size=lots[contract.underlying, contract.expiry],
            tick=tick_size(facts, contract.underlying, day) if contract.underlying in facts.names else _TICK,
            freeze_quantity=freeze_quantity(facts, contract.underlying, day),
            series=series[contract.underlying, contract.expiry],
        )
        for contract in contracts
    )


def _lots(
    day: date, rows: pl.DataFrame, facts: Facts, lot_sizes: Mapping[str, int], series: Mapping[Expiry, ListedSeries]
) -> dict[Expiry, int]:
    own = rows.filter(pl.col("lot_size") > 0).group_by("underlying", "expiry").agg(pl.col("lot_size").unique().sort())
    said = {(underlying, expiry): sizes for underlying, expiry, sizes in own.iter_rows()}
    lots: dict[Expiry, int] = {}
    problems = []
    for underlying, expiry in sorted(series):
        where = f"{underlying} {expiry}"
        sizes = said.get((underlying, expiry), [])
        given = lot_sizes.get(underlying, lot_sizes.get(ANY))
        if len(sizes) > 1:
            problems.append(Problem(where=where, message=f"the source gives several lot sizes for {day}: {sizes}"))
        elif sizes or given is not None:
            lots[underlying, expiry] = sizes[0] if sizes else given or 0
        else:
            try:
                lots[underlying, expiry] = lot_size(facts, underlying, expiry, series[underlying, expiry], day)
            except Invalid:
                message = (
                    f"neither the source nor our facts know its lot size on {day}; give it: --lot-size {underlying}=N"
                )
                problems.append(Problem(where=where, message=message))
    if problems:
        raise Invalid(problems)
    return lots


def _series(facts: Facts, day: date, expiry: Expiry, known: Set[Expiry]) -> ListedSeries:
    """As our facts list it that day. Where they are silent: the last expiry of a month is monthly, and long-dated
    from the fourth such expiry on."""
    underlying, on = expiry
    for listed in listed_expiries(facts, underlying, day, long_dated=True):
        if listed.date == on:
            return listed.series
    if _has_a_later_week(on):
        return ListedSeries.WEEKLY
    sooner = [other for name, other in known if name == underlying and other <= on and not _has_a_later_week(other)]
    return ListedSeries.MONTHLY if len(sooner) <= _MONTHLIES else ListedSeries.LONG


def _has_a_later_week(expiry: date) -> bool:
    return (expiry + _WEEK).month == expiry.month
