"""European options on a forward: F. Black, "The pricing of commodity contracts", J. Fin. Econ. 3 (1976) 167-179.

``forward`` and ``strike`` in index points, ``years`` to expiry, ``vol`` per square root of a year, ``discount`` the
price of one rupee paid at expiry. All arguments broadcast; results have the broadcast shape, float64, per unit.

Limits: with ``years`` <= 0, ``vol`` = 0 or a strike of 0 an option is its discounted intrinsic value; its delta is 0 or
plus or minus the discount (half of it where forward and strike are equal), and what comes of remaining time is 0. NaN,
a negative forward, strike or volatility, and a discount that is not positive give NaN; nothing is raised.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from option_baskets.pricing.kernels import Floats, Kernel, run
from option_baskets.pricing.normal import cdf


class Greeks(NamedTuple):
    """The price and its derivatives, all of the discounted price, with the forward (not the spot) held fixed."""

    price: Floats
    delta: Floats
    """Forward delta: by the forward. See ``spot_delta``."""
    gamma: Floats
    """Second, by the forward."""
    theta: Floats
    """By calendar time, a year: what one year of waiting adds, at this rate. Divide by 365 for a day."""
    vega: Floats
    """By volatility, for 1.00 (100 percentage points)."""
    rho: Floats
    """By the continuous rate, for 1.00, the forward held: minus ``years`` times the price."""

    def spot_delta(self, forward: ArrayLike, spot: ArrayLike) -> Floats:
        """By the spot index, while the forward keeps its ratio to it."""
        ratio = np.asarray(forward, dtype=np.float64) / np.asarray(spot, dtype=np.float64)
        return np.asarray(self.delta * ratio)


class HigherGreeks(NamedTuple):
    """Second derivatives beyond gamma, of the discounted price, with the forward held."""

    vanna: Floats
    """By forward and volatility."""
    volga: Floats
    """Second, by volatility."""
    charm: Floats
    """Of the forward delta by calendar time, a year."""


def price_and_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
    *,
    kernel: Kernel | None = None,
    threads: int = 1,
) -> Greeks:
    """Price, forward delta, gamma, theta, vega and rho of calls where ``is_call``, of puts elsewhere.

    ``kernel``: None lets the number of options decide. ``threads``: at most so many, which only the numba kernel uses.
    """
    return Greeks(*run("greeks", kernel, threads, is_call, forward, strike, years, vol, discount))


def higher_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
) -> HigherGreeks:
    """Vanna, volga and charm, always by the NumPy kernel."""
    return HigherGreeks(*run("higher", "numpy", 1, is_call, forward, strike, years, vol, discount))


def price_of(forward: ArrayLike, strike: ArrayLike, deviation: ArrayLike, call: ArrayLike) -> Floats:
    """The undiscounted price for a total standard deviation of the logarithm (volatility times root of time).

    The out-of-the-money price is computed and intrinsic value added, so that deep prices keep their relative accuracy
    and put-call parity is exact. A deviation of 0 or less gives intrinsic value.
    """
    f, k, s, is_call = np.broadcast_arrays(
        np.asarray(forward, dtype=np.float64),
        np.asarray(strike, dtype=np.float64),
        np.asarray(deviation, dtype=np.float64),
        np.asarray(call, dtype=np.bool_),
    )
    alive = s > 0.0
    spread = np.where(alive, s, 1.0)
    low, high = np.minimum(f, k), np.maximum(f, k)
    # One formula serves both wings: the out-of-the-money call at (F, K) equals the put at (K, F).
    d1 = np.log(low / high) / spread + 0.5 * spread
    probabilities = cdf(np.stack([d1, d1 - spread]))
    time_value = np.maximum(low * probabilities[0] - high * probabilities[1], 0.0)
    intrinsic = np.maximum(np.where(is_call, f - k, k - f), 0.0)
    return np.asarray(intrinsic + np.where(alive, time_value, 0.0))
