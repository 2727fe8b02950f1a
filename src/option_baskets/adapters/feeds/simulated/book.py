"""From fair prices to what can be traded: bid, ask, sizes and the depth behind them. Prices are counted in ticks."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from option_baskets.adapters.feeds.simulated.calibration import Profile
from option_baskets.adapters.feeds.simulated.path import Floats
from option_baskets.adapters.feeds.simulated.randomness import uniform

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
Moment = int | NDArray[np.int64]
"""A grid point, or a column of them: then every result has a row each."""

LEVELS: Final = 20
"""Prices on each side of a modelled book."""
OPTION_RATE: Final = 0.0004
"""Half a NIFTY option's spread as a ratio to its price, at the money, next expiry, in a calm hour."""
FUTURE_RATE: Final = 0.00002
_LEAST: Final = 0.02
"""Rupees, whatever the price."""
_GROWTH: Final = 0.35
"""How much more is offered at each further level, as a ratio to the touch."""


@dataclass(frozen=True, slots=True)
class Touch:
    """The best prices of several contracts at one instant. A bid of 0 means that nobody bids."""

    bid: Ints
    ask: Ints
    last: Ints
    bid_lots: Ints
    ask_lots: Ints


def hurry(minutes_open: Floats | float, minutes_left: Floats | float) -> Floats:
    """How much wider spreads are just after the open and before the close."""
    return np.asarray(1 + 2.5 * np.exp(-minutes_open / 4) + 0.8 * np.exp(-minutes_left / 4))


def touch(
    fair: Floats,
    distance: Floats,
    *,
    ticks: float,
    rate: float,
    profile: Profile,
    remoteness: int,
    hurry: Floats | float,
    keys: Keys,
    moment: Moment,
) -> Touch:
    """Quotes around fair prices.

    ``distance`` is |log(K/F)| in standard deviations (0 for a future), ``ticks`` the ticks per rupee, ``rate`` is
    OPTION_RATE or FUTURE_RATE, ``remoteness`` how many expiries are nearer. The bid is rounded down and the ask up
    from fair price minus and plus half the spread, so that fair prices without arbitrage give quotes without it.
    """
    thin = 1 + 0.12 * np.square(np.minimum(distance, 6)) + 0.6 * min(remoteness, 5)
    half = profile.spread * hurry * thin * (_LEAST + rate * fair) * (0.7 + 0.8 * uniform(keys, moment, 0))
    bid = np.maximum(np.floor((fair - half) * ticks + 1e-9), 0).astype(np.int64)
    ask = np.maximum(np.ceil((fair + half) * ticks - 1e-9), bid + 1).astype(np.int64)
    last = np.clip(np.rint(fair * ticks).astype(np.int64), np.maximum(bid, 1), ask)
    cheap = 1 + 20 / (1 + fair)
    typical = 12 * profile.depth * cheap / np.sqrt(thin)
    return Touch(bid, ask, last, _lots(typical, keys, moment, 1), _lots(typical, keys, moment, 3))


def _lots(typical: Floats, keys: Keys, moment: Moment, draw: int) -> Ints:
    """Whole lots, at least one, spread as an exponential variable."""
    return np.maximum(np.rint(-np.log(uniform(keys, moment, draw)) * typical), 1).astype(np.int64)


def ladder(best: int, lots: int, *, step: int, side: int) -> list[tuple[int, int]]:
    """(ticks, lots) from the touch outwards; ``side`` -1 for bids. Bids end above 0."""
    levels = ((best + side * n * step, round(lots * (1 + _GROWTH * n))) for n in range(LEVELS))
    return [(price, size) for price, size in levels if price > 0]
