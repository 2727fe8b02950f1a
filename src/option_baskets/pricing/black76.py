"""European options on a forward: F. Black, "The pricing of commodity contracts", J. Fin. Econ. 3 (1976) 167-179.

``forward`` and ``strike`` are in index points and positive, ``volatility`` is per square root of a year, ``years`` the
time to expiry. All arguments broadcast. Prices are rupees per unit.
"""

import numpy as np
from numpy.typing import ArrayLike

from option_baskets.pricing.normal import Floats, cdf


def price(
    forward: ArrayLike,
    strike: ArrayLike,
    volatility: ArrayLike,
    years: ArrayLike,
    call: ArrayLike,
    *,
    rate: ArrayLike = 0.0,
) -> Floats:
    """The price where ``call`` is true, of the put elsewhere, discounted at ``rate`` (continuous; 0: undiscounted)."""
    time = np.maximum(np.asarray(years, dtype=np.float64), 0.0)
    deviation = np.asarray(volatility, dtype=np.float64) * np.sqrt(time)
    return np.asarray(np.exp(-np.asarray(rate, dtype=np.float64) * time) * price_of(forward, strike, deviation, call))


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
