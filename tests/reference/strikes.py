"""Which contract: the table of strike rules, a branch a row."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

from tests.reference.deltas import delta_of, forward_of
from tests.reference.recording import DAY, Instrument, Recording

FRESH = 1
"""Minutes; the limit of age for bars of a minute."""


class Skip(Exception):
    """The run is skipped, with the code of the reason."""


def reference_price(kind: str, expiry: date | None, day: Recording, at: int) -> Decimal:
    """The strategy's reference; ``expiry`` is the strategy's own, which the synthetic is taken from."""
    if kind == "spot":
        return _spot(day, at)
    if kind == "future":
        monthly = [instrument.expiry for instrument in day.lot_size if instrument.type == "FUT"]
        if not monthly:
            raise Skip("no_reference_price")
        price = fresh(day, Instrument(min(monthly), "FUT", None), at)
        if price is None:
            raise Skip("no_reference_price")
        return price
    if expiry is None:
        raise Skip("no_reference_price")
    strikes = day.strikes(expiry)
    spot = day.spot.known(at)
    if spot is not None and spot.age <= FRESH:
        strike = min(strikes, key=lambda strike: (abs(strike - spot.price), strike))
        parity = _parity(day, expiry, strike, at)
        if parity is None:
            raise Skip("no_reference_price")
        return strike + parity
    # A day without an index: where call and put differ least.
    parities = {strike: parity for strike in strikes if (parity := _parity(day, expiry, strike, at)) is not None}
    if not parities:
        raise Skip("no_reference_price")
    strike = min(parities, key=lambda strike: (abs(parities[strike]), strike))
    return strike + parities[strike]


def _parity(day: Recording, expiry: date, strike: Decimal, at: int) -> Decimal | None:
    call = fresh(day, Instrument(expiry, "CE", strike), at)
    put = fresh(day, Instrument(expiry, "PE", strike), at)
    return None if call is None or put is None else call - put


def _spot(day: Recording, at: int) -> Decimal:
    known = day.spot.known(at)
    if known is None or known.age > FRESH:
        raise Skip("no_reference_price")
    return known.price


def fresh(day: Recording, instrument: Instrument, at: int) -> Decimal | None:
    """The known price of a contract if it may decide an entry."""
    prices = day.prices.get(instrument)
    known = prices.known(at) if prices else None
    return known.price if known and known.age <= FRESH else None


def strike_of(
    leg: dict[str, Any],
    expiry: date,
    reference: Callable[[], Decimal],
    resolved: dict[str, Instrument],
    day: Recording,
    at: int,
) -> Decimal:
    """The strike of a leg; the caller sees to it that its price is fresh.

    Every rule but an exact strike and a wing asks for the reference first.
    """
    rule = leg["strike"]
    type_ = leg["type"]
    out = 1 if type_ == "CE" else -1
    every = day.strikes(expiry)
    if not every:
        raise Skip("not_listed")
    listed = day.strikes(expiry, type_)

    @cache
    def money() -> Decimal:
        level = reference()
        return min(every, key=lambda strike: (abs(strike - level), strike))

    def nearest(level: Decimal) -> Decimal:
        atm = money()
        return min(every, key=lambda strike: (abs(strike - level), abs(strike - atm), strike))

    def premium(pick: str, low: Decimal, high: Decimal) -> Decimal:
        atm = money()
        priced = by_premium(pick, low, high, type_, expiry, day, at)
        return min(priced, key=lambda strike: (priced[strike], abs(strike - atm), strike))

    match rule["rule"]:
        case "atm":
            return _listed(money() + (out * rule["offset"] * step(every) if rule.get("offset") else 0), listed)
        case "atm_points":
            return _listed(nearest(reference() + out * rule["points"]), listed)
        case "atm_percent":
            return _listed(nearest(reference() * (1 + out * Decimal(rule["percent"]) / 100)), listed)
        case "strike":
            return _listed(Decimal(rule["value"]), listed)
        case "of_leg":
            strike = resolved[rule["leg"]].strike
            assert strike is not None
            return _listed(strike + out * rule["points"], listed)
        case "straddle_width":
            return _listed(nearest(money() + out * Decimal(rule["k"]) * straddle(expiry, money(), day, at)), listed)
        case "straddle_percent":
            value = straddle(expiry, money(), day, at) * Decimal(rule["percent"]) / 100
            return premium(rule["pick"], value, value)
        case "delta":
            atm = money()
            off = by_delta(Decimal(rule["value"]), type_, expiry, day, at)
            return min(off, key=lambda strike: (off[strike], abs(strike - atm), strike))
        case "premium":
            low = Decimal(rule["value"] if rule["pick"] != "range" else rule["from"])
            return premium(rule["pick"], low, Decimal(rule["to"]) if rule["pick"] == "range" else low)
    raise AssertionError(rule)


def step(strikes: list[Decimal]) -> Decimal:
    """The interval of a recorded list: the commonest gap of its middle half, of equally common ones the smallest."""
    quarter = len(strikes) // 4
    gaps = Counter(high - low for low, high in pairwise(strikes[quarter : len(strikes) - quarter]))
    if not gaps:
        raise Skip("no_eligible_strike")
    return min(gaps, key=lambda gap: (-gaps[gap], gap))


def _listed(strike: Decimal, listed: list[Decimal]) -> Decimal:
    if strike not in listed:
        raise Skip("not_listed")
    return strike


def straddle(expiry: date, money: Decimal, day: Recording, at: int) -> Decimal:
    """What call and put at the money cost together."""
    total = Decimal(0)
    for type_ in ("CE", "PE"):
        total += quoted(day, Instrument(expiry, type_, money), at)
    return total


def quoted(day: Recording, instrument: Instrument, at: int) -> Decimal:
    """The fresh price of one named contract."""
    if instrument not in day.lot_size:
        raise Skip("not_listed")
    known = day.prices[instrument].known(at)
    if known is None:
        raise Skip("no_quote")
    if known.age > FRESH:
        raise Skip("stale_quote")
    return known.price


def by_premium(
    pick: str, low: Decimal, high: Decimal, type_: str, expiry: date, day: Recording, at: int
) -> dict[Decimal, Decimal]:
    """Eligible strikes with how far their premium is from the one wanted: the middle of the range, or ``low``."""
    priced = _priced(expiry, type_, day, at, FRESH)
    if pick == "at_least":
        priced = {strike: price for strike, price in priced.items() if price >= low}
    if pick == "at_most":
        priced = {strike: price for strike, price in priced.items() if price <= high}
    if pick == "range":
        priced = {strike: price for strike, price in priced.items() if low <= price <= high}
    if not priced:
        raise Skip("no_eligible_strike")
    wanted = (low + high) / 2
    return {strike: abs(price - wanted) for strike, price in priced.items()}


def by_delta(wanted: Decimal, type_: str, expiry: date, day: Recording, at: int) -> dict[Decimal, Decimal]:
    """Eligible strikes with how far their delta is from the one wanted."""
    forward = _forward(expiry, day, at)
    found = {}
    for strike, price in _priced(expiry, type_, day, at, FRESH).items():
        if forward is not None:
            left = (expiry - day.date).days * DAY + day.close - at
            delta = delta_of(float(price), forward, float(strike), left, is_call=type_ == "CE")
            if delta is not None:
                found[strike] = abs(Decimal(str(delta)) - wanted)
    if not found:
        raise Skip("no_eligible_strike")
    return found


def _forward(expiry: date, day: Recording, at: int) -> float | None:
    """From fresh prices; where no strike has two of them, from old ones."""
    for oldest in (FRESH, DAY):
        forward = forward_of(*(_priced(expiry, type_, day, at, oldest) for type_ in ("CE", "PE")))
        if forward is not None:
            return forward
    return None


def _priced(expiry: date, type_: str, day: Recording, at: int, oldest: int) -> dict[Decimal, Decimal]:
    found = {}
    for strike in day.strikes(expiry, type_):
        known = day.prices[Instrument(expiry, type_, strike)].known(at)
        if known is not None and known.age <= oldest:
            found[strike] = known.price
    return found
