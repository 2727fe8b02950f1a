"""Black-76 and its inverse for one option, as docs/pricing.md derives them; inlined into the numba kernel's loops."""

import math
from typing import Final

from option_baskets.pricing.numba_elementary import (
    exp,
    expm1_rough,
    fma,
    inlined,
    least,
    log_ratio,
    log_rough,
    mills_p,
    mills_q,
    mills_rough_p,
    mills_rough_q,
    most,
    select,
)

_FARTHEST: Final = 40.0
"""Standard deviations at which every tail is 0 in a double."""
_WIDEST_DEVIATION: Final = 1e4
_SMALL: Final = 1 / 32
"""The deviation below which the difference of two Mills ratios is taken from their derivatives."""
_INVERSE_SQRT_2PI: Final = 0.3989422804014327
_SQRT_2PI: Final = 2.5066282746310002
_HALF_PI: Final = math.pi / 2
_ALPHA: Final = 2 - 4 / math.pi
_FARTHEST_STRIKE: Final = 3.0
"""log(strike / forward) up to which the first guess is made for."""
_SETTLED: Final = 1e-5
"""A last step below this part of the deviation leaves an error below rounding, as the method is of fourth order."""
_ROUNDING: Final = 4 * 2.0**-52
MARKED: Final = -1.0
"""Instead of a volatility: this one is the NumPy kernel's."""


@inlined
def _slopes(f, k, low, inverse_t, root, s, inverse_s, v, side, d, log_d, sign, price):
    """Delta, gamma, theta, vega from the density ``v`` and the smaller of the two exercise probabilities' side."""
    delta = d * select(f <= k, side - select(sign > 0.0, 0.0, 1.0), select(sign > 0.0, 1.0 - side, -side))
    g = d * low * v
    theta = -fma(0.5 * g, s, log_d * price) * inverse_t
    return delta, g * inverse_s / (f * f), theta, g * root


@inlined
def _time_value(price, f, k, d, sign):
    """What the discounted price has above intrinsic value, and how much of it may be rounding."""
    difference = f - k
    # The rounding error of the difference, exactly: f - k = difference + lost.
    virtual = difference - f
    lost = (f - (difference - virtual)) - (k + virtual)
    inside = sign * difference > 0.0
    value = fma(-d, abs(difference), price) - d * (sign * lost)
    return select(inside, value, price), select(inside, _ROUNDING * price, 0.0)


@inlined
def _guess(c, rest, excess, x):
    """The deviation by the closed form of Stefanica and Radoicic; within 6 % for time values above 1e-13."""
    e = 1.0 + excess
    u = 2.0 * c + excess
    n = fma(u, u, -excess * (e + 1.0))
    y = _ALPHA * x
    w = y * expm1_rough(y)
    q = 16.0 * c * rest * (c + e) * (c + excess)
    b = 2.0 * fma(n, w, 2.0 * u * u)
    root = 2.0 * q / (b + math.sqrt(fma(b, b, 4.0 * w * w * q)))
    square = most(-_HALF_PI * log_rough(root), 0.0)
    total = math.sqrt(square) + math.sqrt(fma(2.0, x, square))
    return select(fma(w, root, n) > 0.0, total, 2.0 * x / total)


@inlined
def _place(x, s):
    """Where the deviation ``s`` puts a strike at log distance ``x``, and which formula serves there."""
    inverse_s = 1.0 / s
    return inverse_s, *_place_at(x * inverse_s, s)


@inlined
def _place_at(h, s):
    half = 0.5 * s
    d1 = half - h
    small = s < _SMALL
    z1 = least(select(small, h, abs(d1)), _FARTHEST)
    return h, half, d1, small, d1 <= 0.0, z1, least(half + h, _FARTHEST)


@inlined
def _odd_part(h, half, r):
    """(R(h + half) - R(h - half)) / 2 from r = R(h), by Taylor's series and R' = z R - 1."""
    r1 = fma(h, r, -1.0)
    r2 = fma(h, r1, r)
    r3 = fma(h, r2, 2.0 * r1)
    r4 = fma(h, r3, 3.0 * r2)
    r5 = fma(h, r4, 4.0 * r3)
    r6 = fma(h, r5, 5.0 * r4)
    r7 = fma(h, r6, 6.0 * r5)
    square = half * half
    return half * fma(square, fma(square, fma(square, r7 * (1 / 5040), r5 * (1 / 120)), r3 * (1 / 6)), r1)


@inlined
def _width(p1, q1, p2, q2, z1, half, small, outside):
    """The time value over low v, or, where d1 > 0 and s is not small, what it lacks of low; and R(-d2)."""
    inverse_q = 1.0 / (q1 * q2)
    cross = p2 * q1
    wide = fma(p1, q2, select(outside, -cross, cross)) * inverse_q
    return select(small, -2.0 * _odd_part(z1, half, p1 * q2 * inverse_q), wide), cross * inverse_q


@inlined
def _first_side(v, width, r2, upper):
    """The distribution function at d1."""
    return select(upper, 1.0 - v * (width - r2), v * (width + r2))


@inlined
def standing(f, k, t, vol):
    """Of one option: the root of time, the deviation and the log distance of its strike over that."""
    root = math.sqrt(most(t, 0.0))
    s = least(vol * root, _WIDEST_DEVIATION)
    return root, s, log_ratio(least(f, k), most(f, k)) / s


@inlined
def weighed(s, h):
    """The density at d1, the time value over the smaller of forward and strike, and Phi(d1) and Phi(d2) high / low."""
    _, half, d1, small, outside, z1, z2 = _place_at(h, s)
    p1, q1, p2, q2 = mills_p(z1), mills_q(z1), mills_p(z2), mills_q(z2)
    width, r2 = _width(p1, q1, p2, q2, z1, half, small, outside)
    v = _INVERSE_SQRT_2PI * exp(-0.5 * d1 * d1)
    upper = not (small | outside)
    return v, select(upper, 1.0 - v * width, v * width), _first_side(v, width, r2, upper), v * r2


@inlined
def price_and_slopes(f, k, t, vol, d, log_d, sign, root, s, v, value, side1, side2):
    """Price, delta, gamma, theta, vega and rho of one option; ``sign`` is 1 for a call, -1 for a put."""
    low, high = least(f, k), most(f, k)
    time = most(t, 0.0)
    alive = (s > 0.0) & (low > 0.0)
    v = select(alive, v, 0.0)
    value = select(alive, most(low * value, 0.0), 0.0)
    side = select(alive, select(f <= k, side1, side2 * (low / high)), select(f == k, 0.5, 0.0))
    price = d * (value + most(sign * (f - k), 0.0))
    inverse_t = select(time > 0.0, 1.0 / time, 0.0)
    delta, gamma, theta, vega = _slopes(f, k, low, inverse_t, root, s, 1.0 / s, v, side, d, log_d, sign, price)
    known = (f >= 0.0) & (k >= 0.0) & (vol >= 0.0) & (d > 0.0) & (t < math.inf) & (high < math.inf)
    return known, price, delta, select(alive, gamma, 0.0), theta, vega, -time * price


@inlined
def _curvature(h, half, inverse_s):
    """The second and the third derivative of the time value by the deviation, over the first."""
    second = fma(h, h, -half * half) * inverse_s
    turn = h * inverse_s
    return second, fma(second, second, -3.0 * turn * turn) - 0.25


@inlined
def _step(slack, second, third):
    """Householder's third-order step; ``slack`` is Newton's, then the derivatives over the first one."""
    return slack * fma(0.5 * slack, second, 1.0) / fma(slack, fma(slack, third * (1 / 6), second), 1.0)


@inlined
def _rough_step(c, rest, x, s):
    """On the logarithm of the time value, or where d1 > 0 of what it lacks; no exponential is needed for it."""
    inverse_s, h, half, d1, small, outside, z1, z2 = _place(x, s)
    p1, q1, p2, q2 = mills_rough_p(z1), mills_rough_q(z1), mills_rough_p(z2), mills_rough_q(z2)
    width, _ = _width(p1, q1, p2, q2, z1, half, small, outside)
    upper = not (small | outside)
    inverse = 1.0 / width
    gap = fma(0.5 * d1, d1, log_rough(select(upper, rest, c) * (_SQRT_2PI * inverse)))
    ratio = select(upper, -inverse, inverse)
    second, third = _curvature(h, half, inverse_s)
    return _step(gap * select(upper, -width, width), second - ratio, fma(ratio, fma(2.0, ratio, -3.0 * second), third))


@inlined
def slopes_at(vol, s, inverse_s, v, side, low, root, price, f, k, t, d, log_d, sign):
    """Delta, gamma, theta, vega and rho from what ``solved`` returns; NaN where it found nothing."""
    delta, gamma, theta, vega = _slopes(f, k, low, 1.0 / t, root, s, inverse_s, v, side, d, log_d, sign, price)
    return delta + 0.0 * vol, gamma + 0.0 * vol, theta + 0.0 * vol, vega + 0.0 * vol, -t * price + 0.0 * vol


@inlined
def opened(price, f, k, t, d, sign):
    """Of one price: the time value over its bound and what that lacks of 1, log distance, a guess, and a verdict.

    The verdict is 1, or at once the volatility: 0, or NaN for a price no volatility gives.
    """
    low, high = least(f, k), most(f, k)
    value, rounding = _time_value(price, f, k, d, sign)
    top = d * low
    possible = (t > 0.0) & (f > 0.0) & (k > 0.0) & (d > 0.0) & (t < math.inf) & (high < math.inf)
    possible = possible & (value >= -rounding) & (value < top)
    nothing = value <= rounding
    # Harmless numbers where there will be no result.
    value = select(possible & (not nothing), value, 0.1 * top)
    scale = 1.0 / top
    c, rest, x = value * scale, (top - value) * scale, log_ratio(low, high)
    verdict = select(possible, select(nothing, 0.0, 1.0), math.nan)
    return c, rest, x, _guess(c, rest, (high - low) * (d * scale), x), verdict


@inlined
def approached(c, rest, x, s):
    """The guess after its first step."""
    return s + _rough_step(c, rest, x, s)


@inlined
def solved(c, rest, x, s, verdict, f, k, t):
    """The volatility of one option and, for the Greeks at it: deviation, 1 / deviation, density and side."""
    low, high = least(f, k), most(f, k)
    inverse_s, h, half, d1, small, outside, z1, z2 = _place(x, s)
    p1, q1, p2, q2 = mills_p(z1), mills_q(z1), mills_p(z2), mills_q(z2)
    width, r2 = _width(p1, q1, p2, q2, z1, half, small, outside)
    upper = not (small | outside)
    inverse_v = _SQRT_2PI * exp(0.5 * d1 * d1)
    slack = fma(select(upper, -rest, c), inverse_v, select(upper, width, -width))
    second, third = _curvature(h, half, inverse_s)
    last = _step(slack, second, third)
    settled = (abs(last) < _SETTLED * s) & (x < _FARTHEST_STRIKE)
    deviation = s + last
    root = math.sqrt(t)
    vol = select(settled, deviation / root, MARKED)
    vol = select(verdict == 1.0, vol, verdict)

    # The Greeks' density and side follow from those at s: the last step is too short for more than three terms.
    v = 1.0 / inverse_v
    side1 = _first_side(v, width, r2, upper)
    part = last * inverse_s
    new_inverse = inverse_s * fma(-part, 1.0 - part, 1.0)
    move1 = last * fma(h, inverse_s, 0.5)
    move2 = last * fma(h, inverse_s, -0.5)
    d2 = -(half + h)
    taylor1 = fma(move1, fma(move1, fma(d1, d1, -1.0) * (1 / 6), -0.5 * d1), 1.0)
    taylor2 = fma(move2, fma(move2, fma(d2, d2, -1.0) * (1 / 6), -0.5 * d2), 1.0)
    ratio = low / high
    side = select(f <= k, fma(v * move1, taylor1, side1), ratio * v * fma(move2, taylor2, r2))
    a = -move1 * fma(0.5, move1, d1)
    density = v * fma(a, fma(a, fma(a, 1 / 6, 0.5), 1.0), 1.0)
    nothing = verdict == 0.0
    density, side = select(nothing, 0.0, density), select(nothing, select(f == k, 0.5, 0.0), side)
    return vol, deviation, new_inverse, density, side, low, root
