"""Black-Scholes-Merton as a view of Black-76: the forward is spot times exp((rate - dividend) years).

F. Black and M. Scholes, J. Pol. Econ. 81 (1973) 637-654; R. Merton, Bell J. Econ. 4 (1973) 141-183.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from option_baskets.pricing.black76 import price_and_greeks
from option_baskets.pricing.kernels import Floats, Kernel


class SpotGreeks(NamedTuple):
    """The price and its derivatives with the spot held fixed."""

    price: Floats
    spot_delta: Floats
    forward_delta: Floats
    gamma: Floats
    """Second, by the spot."""
    theta: Floats
    """By calendar time, a year."""
    vega: Floats
    """For 1.00 of volatility."""
    rho: Floats
    """For 1.00 of the rate, the spot held."""


def black_scholes_merton(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend: ArrayLike = 0.0,
    *,
    kernel: Kernel | None = None,
) -> SpotGreeks:
    """``rate`` and ``dividend`` are continuous, a year."""
    s, t, r, q = (np.asarray(x, dtype=np.float64) for x in (spot, years, rate, dividend))
    left = np.maximum(t, 0.0)
    growth = np.exp((r - q) * left)
    forward = s * growth
    of_forward = price_and_greeks(forward, strike, t, vol, is_call, np.exp(-r * left), kernel=kernel)
    price, delta, gamma, theta, vega, rho = of_forward
    return SpotGreeks(
        price=price,
        spot_delta=np.asarray(delta * growth),
        forward_delta=delta,
        gamma=np.asarray(gamma * growth * growth),
        theta=np.asarray(theta - delta * forward * (r - q)),
        vega=vega,
        rho=np.asarray(rho + delta * forward * left),
    )
