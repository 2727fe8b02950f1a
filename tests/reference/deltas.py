"""Forward deltas of one expiry, a strike at a time: Black's formula of 1976, volatility by bisection.

How the forward is found is not in the rules page but in docs/chain-and-payoff.md.
"""

from decimal import Decimal
from math import erf, log, sqrt
from statistics import median


def forward_of(calls: dict[Decimal, Decimal], puts: dict[Decimal, Decimal]) -> float | None:
    """Strike + call - put, by a weighted median: a strike counts half at the distance of a straddle's price."""
    pairs = [
        (float(strike), float(calls[strike]), float(puts[strike])) for strike in sorted(calls.keys() & puts.keys())
    ]
    if not pairs:
        return None
    middle = _weighted_median([(strike + call - put, 1.0) for strike, call, put in pairs])
    nearest = sorted(pairs, key=lambda pair: abs(pair[0] - middle))[:5]
    straddle = max(median(call + put for _, call, put in nearest), 1e-12)
    return _weighted_median(
        [(strike + call - put, 1 / (1 + ((strike - middle) / straddle) ** 2)) for strike, call, put in pairs]
    )


def _weighted_median(values: list[tuple[float, float]]) -> float:
    """The value with half the weight on either side; between two, their mean."""
    values = sorted(values)
    half = sum(weight for _, weight in values) / 2
    before = 0.0
    for place, (value, weight) in enumerate(values):
        before += weight
        if abs(before - half) <= 1e-12 * half and place + 1 < len(values):
            return (value + values[place + 1][0]) / 2
        if before > half:
            return value
    return values[-1][0]


def delta_of(price: float, forward: float, strike: float, minutes: int, *, is_call: bool) -> float | None:
    """In absolute value, rounded to six decimals; None: no volatility gives this price.

    What is found is volatility times the root of time; the delta needs no more, so how time is counted does not matter.
    """
    if minutes <= 0:
        intrinsic = forward > strike if is_call else forward < strike
        return 0.5 if forward == strike else float(intrinsic)
    low, high = 0.0, 1.0
    if price < _value(forward, strike, 0.0, is_call=is_call) or price >= (forward if is_call else strike):
        return None
    while _value(forward, strike, high, is_call=is_call) < price:
        high *= 2
    for _ in range(100):
        deviation = (low + high) / 2
        if _value(forward, strike, deviation, is_call=is_call) < price:
            low = deviation
        else:
            high = deviation
    call = _normal(_d1(forward, strike, high)) if high > 1e-9 else float(forward > strike)
    return round(call if is_call else 1 - call, 6)


def _d1(forward: float, strike: float, deviation: float) -> float:
    return log(forward / strike) / deviation + deviation / 2


def _value(forward: float, strike: float, deviation: float, *, is_call: bool) -> float:
    intrinsic = max(forward - strike if is_call else strike - forward, 0.0)
    if deviation < 1e-12:
        return intrinsic
    d1 = _d1(forward, strike, deviation)
    call = forward * _normal(d1) - strike * _normal(d1 - deviation)
    return max(call if is_call else call - forward + strike, intrinsic)


def _normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2
