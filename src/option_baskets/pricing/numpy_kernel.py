"""The NumPy kernel: docs/pricing.md a block of options at a time, small enough to stay in the second-level cache.

Columns of one element stay that and broadcast. Every option of a block takes the same steps; only implied volatilities
that two of them do not settle (time values below about 1e-40 of the forward) are iterated further, within brackets.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from option_baskets.pricing import polynomials
from option_baskets.pricing.kernels import Flags, Floats

BLOCK: Final = 4096
_FARTHEST: Final = 40.0
"""Standard deviations at which every tail is 0 in a double."""
_WIDEST_DEVIATION: Final = 1e4
_SMALL: Final = 1 / 32
"""The deviation below which the difference of two Mills ratios is taken from their derivatives."""
_INVERSE_SQRT_2PI: Final = 0.3989422804014327
_LOG_SQRT_2PI: Final = 0.9189385332046728
_SQRT_2PI: Final = 2.5066282746310002
_HALF_PI: Final = math.pi / 2
_ALPHA: Final = 2 - 4 / math.pi
_SETTLED: Final = 1e-5
"""A last step below this part of the deviation leaves an error below rounding, as the method is of fourth order."""
_SETTLED_AT_LAST: Final = 4e-15
_ROUNDING: Final = 4 * 2.0**-52
_NEAR: Final = 0.2
"""(high - low) / (high + low) up to which the series of the logarithm is made for."""
_MOST_STEPS: Final = 200


def _constants(coefficients: tuple[float, ...]) -> tuple[Floats, ...]:
    """Highest power first, as arrays without dimensions: NumPy takes them faster than Python's floats."""
    return tuple(np.array(coefficient) for coefficient in reversed(coefficients))


_MILLS_P: Final = _constants(polynomials.MILLS_P)
_MILLS_Q: Final = _constants(polynomials.MILLS_Q)
_MILLS_ROUGH_P: Final = _constants(polynomials.MILLS_ROUGH_P)
_MILLS_ROUGH_Q: Final = _constants(polynomials.MILLS_ROUGH_Q)
_LOG_RATIO: Final = _constants(polynomials.LOG_RATIO)

Rows = tuple[Floats, ...]


def greeks(inputs: Rows, is_call: Flags, size: int, threads: int) -> Rows:
    """Price, delta, gamma, theta, vega, rho. Here and below: one thread, whatever is allowed."""
    return _blockwise(_greeks_block, inputs, is_call, size, 6)


def higher(inputs: Rows, is_call: Flags, size: int, threads: int) -> Rows:
    """Vanna, volga, charm."""
    return _blockwise(_higher_block, inputs, is_call, size, 3)


def volatility(inputs: Rows, is_call: Flags, size: int, threads: int) -> Rows:
    """The implied volatility."""
    return _blockwise(_volatility_block, inputs, is_call, size, 1)


def volatility_and_greeks(inputs: Rows, is_call: Flags, size: int, threads: int) -> Rows:
    """The implied volatility and, at it, delta, gamma, theta, vega, rho."""
    return _blockwise(_fused_block, inputs, is_call, size, 6)


def _blockwise(block: Callable[[Rows, Flags], Rows], inputs: Rows, is_call: Flags, size: int, count: int) -> Rows:
    results = tuple(np.empty((count, size)))
    # One element broadcasts fastest as an array without dimensions; a lone option stays a column.
    columns = tuple(column.reshape(()) if column.size < size else column for column in inputs)
    call = is_call.reshape(()) if is_call.size < size else is_call
    with np.errstate(all="ignore"):
        for start in range(0, size, BLOCK):
            part = slice(start, min(start + BLOCK, size))
            found = block(tuple(c[part] if c.ndim else c for c in columns), call[part] if call.ndim else call)
            for result, values in zip(results, found, strict=True):
                result[part] = values
    return results


class _Place(NamedTuple):
    """Where options stand at given deviations."""

    alive: Flags
    s: Floats
    d1: Floats
    """Of the out-of-the-money option: deviation / 2 - log distance / deviation."""
    d2: Floats
    v: Floats
    """The density at d1."""
    value: Floats
    """The time value over the smaller of forward and strike."""
    side: Floats
    """The probability, under the forward's measure, of the out-of-the-money side."""


def _place(f: Floats, k: Floats, s: Floats) -> _Place:
    low, high = np.minimum(f, k), np.maximum(f, k)
    alive = (s > 0.0) & (low > 0.0)
    s = np.where(alive, np.minimum(s, _WIDEST_DEVIATION), 1.0)
    h, half, d1, width, r2, upper = _width(_log_ratio(low, high), s, _mills)
    v = np.where(alive, _INVERSE_SQRT_2PI * np.exp(-0.5 * d1 * d1), 0.0)
    value = np.where(alive, np.maximum(np.where(upper, 1.0 - v * width, v * width), 0.0), 0.0)
    first = np.where(upper, 1.0 - v * (width - r2), v * (width + r2))
    side = np.where(alive, np.where(f <= k, first, v * r2 * (k / f)), (f == k) * 0.5)
    return _Place(alive, s, d1, -half - h, v, value, side)


def _delta(side: Floats, f: Floats, k: Floats, d: Floats, call: Flags) -> Floats:
    """Without the cancellation of 1 - side where the option is out of the money."""
    return np.asarray(d * np.where(f <= k, side - ~call, np.where(call, 1.0 - side, -side)))


def _greeks_block(inputs: Rows, call: Flags) -> Rows:
    f, k, t, vol, d = inputs
    time = np.maximum(t, 0.0)
    root = np.sqrt(time)
    place = _place(f, k, vol * root)
    value = place.value * np.minimum(f, k)
    price = d * (np.where(place.alive, value, 0.0) + np.maximum((call * 2.0 - 1.0) * (f - k), 0.0))
    price = np.where(_known(inputs), price, math.nan)
    return (price, *_slopes(place, price, (f, k, time, root, d), call))


def _known(inputs: Rows) -> Flags:
    f, k, t, vol, d = inputs
    return (f >= 0.0) & (k >= 0.0) & (vol >= 0.0) & (d > 0.0) & (t < math.inf) & (np.maximum(f, k) < math.inf)


def _slopes(place: _Place, price: Floats, inputs: Rows, call: Flags) -> Rows:
    """Delta, gamma, theta, vega, rho; NaN where the price is."""
    f, k, time, root, d = inputs
    unknown = 0.0 * price
    g = d * np.minimum(f, k) * place.v
    waiting = np.where(time > 0.0, (0.5 * g * place.s + np.log(d) * price) / time, 0.0)
    return (
        _delta(place.side, f, k, d, call) + unknown,
        np.where(place.alive, g / (f * f * place.s), 0.0) + unknown,
        unknown - waiting,
        g * root + unknown,
        -time * price,
    )


def _higher_block(inputs: Rows, call: Flags) -> Rows:
    f, k, t, vol, d = inputs
    time = np.maximum(t, 0.0)
    root = np.sqrt(time)
    place = _place(f, k, vol * root)
    g = d * np.minimum(f, k) * place.v
    # d1 and d2 of the out-of-the-money option trade places where the forward is above the strike.
    d2 = np.where(f <= k, place.d2, -place.d1)
    vanna = np.where(place.alive, -g / f * d2 / vol, 0.0)
    volga = np.where(place.alive, g * root * place.d1 * place.d2 / vol, 0.0)
    delta = _delta(place.side, f, k, d, call)
    decay = np.where(place.alive, g / f * d2 * 0.5, 0.0) - np.log(d) * delta
    charm = np.where(time > 0.0, decay / time, 0.0)
    return tuple(np.where(_known(inputs), row, math.nan) for row in (vanna, volga, charm))


def _volatility_block(inputs: Rows, call: Flags) -> Rows:
    price, f, k, t, d = inputs
    low, high = np.minimum(f, k), np.maximum(f, k)
    value, rounding = _time_value(price, f, k, d, np.asarray(call * 2.0 - 1.0))
    top = d * low
    possible = (t > 0.0) & (low > 0.0) & (d > 0.0) & (t < math.inf) & (high < math.inf)
    possible = possible & (value >= -rounding) & (value < top)
    nothing = value <= rounding
    # Harmless numbers where there will be no result.
    value = np.where(possible & ~nothing, value, 0.1 * top)
    s = _deviation(value / top, (top - value) / top, (high - low) / low, _log_ratio(low, high))
    return (np.where(possible, np.where(nothing, 0.0, s / np.sqrt(t)), math.nan),)


def _fused_block(inputs: Rows, call: Flags) -> Rows:
    price, f, k, t, d = inputs
    (vol,) = _volatility_block(inputs, call)
    root = np.sqrt(t)
    return (vol, *_slopes(_place(f, k, vol * root), price + 0.0 * vol, (f, k, t, root, d), call))


def _time_value(price: Floats, f: Floats, k: Floats, d: Floats, sign: Floats) -> tuple[Floats, Floats]:
    """What the discounted price has above intrinsic value, and how much of it may be rounding."""
    difference = f - k
    # The rounding error of the difference, exactly: f - k = difference + lost.
    virtual = difference - f
    lost = (f - (difference - virtual)) - (k + virtual)
    exercise = sign * difference
    inside = exercise > 0.0
    return (price - d * (exercise * inside)) - d * (sign * lost * inside), (_ROUNDING * price) * inside


def _log_ratio(low: Floats, high: Floats) -> Floats:
    """log(high / low), exact in proportion however close they are."""
    f = (high - low) / (high + low)
    near = f * _polynomial(_LOG_RATIO, f * f)
    return near if np.max(f) <= _NEAR else np.where(f <= _NEAR, near, np.log(high / low))


def _polynomial(coefficients: tuple[Floats, ...], x: Floats) -> Floats:
    value = np.asarray(x * coefficients[0])
    value += coefficients[1]
    for coefficient in coefficients[2:]:
        value *= x
        value += coefficient
    return value


def _mills(z: Floats) -> Floats:
    """(1 - Phi(z)) / phi(z) for 0 <= z <= 40."""
    return np.asarray(_polynomial(_MILLS_P, z) / _polynomial(_MILLS_Q, z))


def _mills_rough(z: Floats) -> Floats:
    """The same to 2.3e-8."""
    return np.asarray(_polynomial(_MILLS_ROUGH_P, z) / _polynomial(_MILLS_ROUGH_Q, z))


def _deviation(c: Floats, rest: Floats, excess: Floats, x: Floats) -> Floats:
    """The deviation at which an option at log distance ``x`` has the time value ``c`` of its bound; rest = 1 - c."""
    s = _guess(c, rest, excess, x)
    s = s + _step(*_logarithmic(c, rest, x, s, _mills_rough))
    last = _fine_step(c, rest, x, s)
    found = np.asarray(s + last)
    open_ = np.flatnonzero(~(np.abs(last) < _SETTLED * s))
    if open_.size:
        chosen = (np.broadcast_to(column, found.shape)[open_] for column in (c, rest, x))
        found[open_] = _bracketed(*chosen)
    return found


def _guess(c: Floats, rest: Floats, excess: Floats, x: Floats) -> Floats:
    """The closed form of Stefanica and Radoicic; within 6 % for time values above 1e-13."""
    e = 1.0 + excess
    u = 2.0 * c + excess
    n = u * u - excess * (e + 1.0)
    w = np.exp(_ALPHA * x) - 1.0
    q = 16.0 * c * rest * (c + e) * (c + excess)
    b = 2.0 * n * w + 4.0 * u * u
    root = 2.0 * q / (b + np.sqrt(b * b + 4.0 * w * w * q))
    square = np.maximum(-_HALF_PI * np.log(root), 0.0)
    total = np.sqrt(square) + np.sqrt(2.0 * x + square)
    return np.where(n + w * root > 0.0, total, 2.0 * x / total)


def _width(
    x: Floats, s: Floats, mills: Callable[[Floats], Floats]
) -> tuple[Floats, Floats, Floats, Floats, Floats, Flags]:
    """At log distance ``x`` and deviation ``s``: x / s, s / 2, d1, width, R(-d2), and where the width is of what lacks.

    The width is the time value over low times the density at d1; where d1 > 0 and s is not small, what that lacks of 1.
    """
    h, half = x / s, 0.5 * s
    d1 = half - h
    upper = d1 > 0.0
    small = s < _SMALL
    some_small = bool(small.any())
    z = np.empty((2, *d1.shape))
    np.abs(d1, out=z[0])
    np.add(half, h, out=z[1])
    if some_small:
        upper &= ~small
        z[0] = np.where(small, h, z[0])
    z = np.minimum(z, _FARTHEST)
    r = mills(z)
    width = r[0] + r[1] * (upper * 2.0 - 1.0)
    if some_small:
        width = np.where(small, -2.0 * _odd_part(z[0], half, r[0]), width)
    return h, half, d1, width, r[1], upper


def _odd_part(h: Floats, half: Floats, r: Floats) -> Floats:
    """(R(h + half) - R(h - half)) / 2 from r = R(h), by Taylor's series and R' = z R - 1."""
    derivatives = [r, h * r - 1.0]
    for order in range(1, 7):
        derivatives.append(h * derivatives[order] + order * derivatives[order - 1])
    square = half * half
    series = derivatives[5] * (1 / 120) + square * derivatives[7] * (1 / 5040)
    return np.asarray(half * (derivatives[1] + square * (derivatives[3] * (1 / 6) + square * series)))


def _curvature(h: Floats, half: Floats, s: Floats) -> tuple[Floats, Floats]:
    """The second and the third derivative of the time value by the deviation, over the first."""
    second = (h * h - half * half) / s
    turn = h / s
    return second, second * second - 3.0 * turn * turn - 0.25


def _step(slack: Floats, second: Floats, third: Floats) -> Floats:
    """Householder's third-order step; ``slack`` is Newton's, then the derivatives over the first one."""
    return np.asarray(slack * (1.0 + 0.5 * slack * second) / (1.0 + slack * (second + slack * third * (1 / 6))))


def _logarithmic(c: Floats, rest: Floats, x: Floats, s: Floats, mills: Callable[[Floats], Floats]) -> Rows:
    """What ``_step`` takes, for the logarithm of the time value or, where d1 > 0, of what it lacks."""
    h, half, d1, width, _, upper = _width(x, s, mills)
    gap = np.log(np.where(upper, rest, c) / width) + (0.5 * d1 * d1 + _LOG_SQRT_2PI)
    signed = np.where(upper, -width, width)
    ratio = 1.0 / signed
    second, third = _curvature(h, half, s)
    return gap * signed, second - ratio, third + ratio * (2.0 * ratio - 3.0 * second)


def _fine_step(c: Floats, rest: Floats, x: Floats, s: Floats) -> Floats:
    """On the time value itself."""
    h, half, d1, width, _, upper = _width(x, s, _mills)
    inverse_v = _SQRT_2PI * np.exp(0.5 * d1 * d1)
    slack = np.where(upper, width - rest * inverse_v, c * inverse_v - width)
    return _step(slack, *_curvature(h, half, s))


def _bracketed(c: Floats, rest: Floats, x: Floats) -> Floats:
    """The same steps on the logarithm, held between a lower and an upper bound that close in; NaN if they do not."""
    # c <= 0.4 s, and c is 0 in a double where x / s is above 40. At the deviation where the second derivative vanishes
    # Newton's way leads to the root without turning back.
    low, high = np.maximum(x / _FARTHEST, 2.0 * c), np.full_like(c, 1e3)
    s = np.clip(np.sqrt(2.0 * x), low, 1e2)
    done = np.zeros_like(c, dtype=np.bool_)
    for _ in range(_MOST_STEPS):
        slack, second, third = _logarithmic(c, rest, x, s, _mills)
        # No number comes out where the value is 0 in a double: the deviation is too small there.
        high, low = np.where(slack < 0.0, s, high), np.where(slack < 0.0, low, s)
        proposed = s + _step(slack, second, third)
        inside = (proposed > low) & (proposed < high)
        proposed = np.where(inside, proposed, np.where(slack == 0.0, s, np.sqrt(low * high)))
        proposed = np.where(done, s, proposed)
        done |= np.abs(proposed - s) <= _SETTLED_AT_LAST * s
        s = proposed
        if done.all():
            break
    return np.where(done, s, math.nan)
