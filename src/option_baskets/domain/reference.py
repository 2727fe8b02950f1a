"""The price strikes are measured from, and what the contract list offers to choose among."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from option_baskets.domain.basket import ExpiryRule, Reference, Series, Strategy
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import Refused
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePrice:
    level: Decimal
    """Index points."""
    note: str = ""
    """What a person should know of how it was found."""


def reference_price(strategy: Strategy, snapshot: Snapshot) -> ReferencePrice:
    """The strategy's reference at this instant.

    Raises:
        Refused: ``no_reference_price``, naming the other two references; ``not_listed``: the synthetic has no options.
    """
    match strategy.reference:
        case Reference.SPOT:
            return _spot(strategy, snapshot)
        case Reference.FUTURE:
            return _future(strategy, snapshot)
        case Reference.SYNTHETIC:
            return _synthetic(strategy, snapshot)


def is_fresh(quote: Quote | None, snapshot: Snapshot) -> bool:
    """Whether the quote may decide an entry."""
    return quote is not None and quote.age(snapshot.at) <= snapshot.stale_after


def listed_expiries(rule: ExpiryRule, underlying: str, snapshot: Snapshot) -> tuple[date, ...]:
    """Those the rule counts, from the snapshot's day on, ascending."""
    monthly = rule.series is Series.MONTHLY
    expiries = snapshot.monthly_expiries(underlying) if monthly else snapshot.expiries(underlying)
    today = snapshot.at.date()
    return tuple(expiry for expiry in expiries if expiry >= today)


def listed_strikes(underlying: str, expiry: date, snapshot: Snapshot) -> tuple[Decimal, ...]:
    """Ascending, at least one.

    Raises:
        Refused: ``not_listed``: the expiry has no options.
    """
    strikes = snapshot.strikes(underlying, expiry)
    if not strikes:
        raise Refused(Reason.NOT_LISTED, f"{underlying} {expiry:%d-%b-%Y} has no listed options to choose from")
    return strikes


def nearest_strike(strikes: Sequence[Decimal], level: Decimal) -> Decimal:
    """Of ascending strikes the one nearest a level; of two equally near the lower."""
    above = bisect_left(strikes, level)
    return min(strikes[max(above - 1, 0) : above + 1], key=lambda strike: (abs(strike - level), strike))


def _missing(strategy: Strategy, snapshot: Snapshot, what: str) -> Refused:
    wanted = strategy.reference
    others = " or ".join(f'"{other}"' for other in Reference if other is not wanted)
    return Refused(
        Reason.NO_REFERENCE_PRICE,
        f"{strategy.underlying} has no {what} at {snapshot.at:%H:%M:%S}; "
        f'reference = "{wanted}" needs it, {others} may have a price',
    )


def _spot(strategy: Strategy, snapshot: Snapshot) -> ReferencePrice:
    quote = snapshot.spot(strategy.underlying)
    if quote is None or not is_fresh(quote, snapshot):
        raise _missing(strategy, snapshot, "fresh spot price")
    return ReferencePrice(level=quote.last)


def _future(strategy: Strategy, snapshot: Snapshot) -> ReferencePrice:
    expiries = listed_expiries(ExpiryRule(series=Series.MONTHLY), strategy.underlying, snapshot)
    for expiry in expiries[:1]:
        quote = snapshot.quote(Contract(underlying=strategy.underlying, expiry=expiry, type=ContractType.FUT))
        if quote is not None and is_fresh(quote, snapshot):
            return ReferencePrice(level=quote.last)
    raise _missing(strategy, snapshot, "fresh price of the nearest monthly future")


def _synthetic(strategy: Strategy, snapshot: Snapshot) -> ReferencePrice:
    """strike + call - put at the strike nearest the spot; without a spot, where call and put differ least."""
    expiries = listed_expiries(strategy.expiry, strategy.underlying, snapshot)
    if strategy.expiry.offset >= len(expiries):
        raise _missing(strategy, snapshot, "listed expiry for its synthetic future")
    expiry = expiries[strategy.expiry.offset]
    strikes = listed_strikes(strategy.underlying, expiry, snapshot)
    spot = snapshot.spot(strategy.underlying)
    if spot is not None and is_fresh(spot, snapshot):
        strike = nearest_strike(strikes, spot.last)
        difference = _call_less_put(strategy, snapshot, expiry, strike)
        if difference is None:
            what = f"fresh call and put at {strike}, the strike nearest the spot,"
            raise _missing(strategy, snapshot, what)
        return ReferencePrice(level=strike + difference)
    differences = {strike: _call_less_put(strategy, snapshot, expiry, strike) for strike in strikes}
    known = {strike: difference for strike, difference in differences.items() if difference is not None}
    if not known:
        raise _missing(strategy, snapshot, "fresh call and put")
    strike = min(known, key=lambda strike: (abs(known[strike]), strike))
    note = f"no spot: synthetic taken at {strike:f}, where call and put differ least"
    return ReferencePrice(level=strike + known[strike], note=note)


def _call_less_put(strategy: Strategy, snapshot: Snapshot, expiry: date, strike: Decimal) -> Decimal | None:
    """None where either has no fresh price."""
    call, put = (
        snapshot.quote(Contract(underlying=strategy.underlying, expiry=expiry, type=type_, strike=strike))
        for type_ in (ContractType.CE, ContractType.PE)
    )
    if call is None or put is None or not (is_fresh(call, snapshot) and is_fresh(put, snapshot)):
        return None
    return call.last - put.last
