"""The NumPy kernel."""

import numpy as np

from option_baskets.pricing.kernels import Flags, Floats
from option_baskets.pricing.normal import cdf, pdf


def greeks(inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]:
    forward, strike, years, vol, discount, call = np.broadcast_arrays(*inputs, is_call)
    forward, call = np.broadcast_to(forward, size), np.broadcast_to(call, size)
    with np.errstate(all="ignore"):
        known = (forward >= 0) & (strike >= 0) & (vol >= 0) & (discount > 0) & (years == years)
        sign = np.where(call, 1.0, -1.0)
        time = np.maximum(years, 0.0)
        root = np.sqrt(time)
        s = vol * root
        log = np.log(forward / strike)
        alive = (s > 0) & np.isfinite(log)
        s, root, time = np.where(alive, s, 1.0), np.where(alive, root, 1.0), np.where(time > 0, time, 1.0)
        d1 = np.where(alive, log / s + 0.5 * s, np.inf * np.sign(forward - strike))
        d1[np.isnan(d1)] = 0.0
        d2 = np.where(alive, d1 - s, d1)
        first, second = cdf(sign * d1), cdf(sign * d2)
        price = np.where(known, discount * np.maximum(sign * (forward * first - strike * second), 0.0), np.nan)
        density = np.where(alive, discount * pdf(d1), 0.0)
        rate = -np.log(discount) / time
        return (
            price,
            np.where(known, discount * sign * first, np.nan),
            np.where(known, density / (forward * s), np.nan),
            np.where(known, rate * price - forward * density * vol / (2 * root), np.nan),
            np.where(known, forward * density * root, np.nan),
            np.where(known, -np.maximum(years, 0.0) * price, np.nan),
        )


def higher(inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]:
    forward, strike, years, vol, discount, call = np.broadcast_arrays(*inputs, is_call)
    with np.errstate(all="ignore"):
        root = np.sqrt(years)
        s = vol * root
        d1 = np.log(forward / strike) / s + 0.5 * s
        d2 = d1 - s
        density = discount * pdf(d1)
        delta = discount * np.where(call, cdf(d1), -cdf(-d1))
        vanna = -density * d2 / vol
        volga = forward * density * root * d1 * d2 / vol
        charm = density * d2 / (2 * years) - np.log(discount) / years * delta
        return tuple(np.where(s > 0, x, np.where(s == s, 0.0, s)) for x in (vanna, volga, charm))


def volatility(inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]:
    price, forward, strike, years, discount, call = np.broadcast_arrays(*inputs, is_call)
    with np.errstate(all="ignore"):
        low, high = np.minimum(forward, strike), np.maximum(forward, strike)
        intrinsic = np.maximum(np.where(call, forward - strike, strike - forward), 0.0)
        value = price / discount - intrinsic
        possible = (years > 0) & (low > 0) & (discount > 0) & (value < low) & (value > -1e-15 * price)
        k = np.log(high / low)
        bottom, top = np.zeros(size), np.full(size, 40.0)
        for _ in range(80):
            middle = 0.5 * (bottom + top)
            d1 = 0.5 * middle - k / middle
            above = low * cdf(d1) - high * cdf(d1 - middle) > value
            top = np.where(above, middle, top)
            bottom = np.where(above, bottom, middle)
        found = np.where(value <= 1e-15 * price, 0.0, middle / np.sqrt(years))
        return (np.where(possible, found, np.nan),)


def volatility_and_greeks(inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]:
    price, forward, strike, years, discount = inputs
    (vol,) = volatility(inputs, is_call, size)
    return (vol, *greeks((forward, strike, years, vol, discount), is_call, size)[1:])
