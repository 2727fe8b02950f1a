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
Hurry = NDArray[np.float64] | float
Moment = int | NDArray[np.int64]
"""A grid point, or a column of them: then every result has a row each."""

# Measured on the five best bids and asks of 1,224 NIFTY contracts at 09:26 on 2023-01-10.
LEVELS: Final = 20
"""Prices on each side of a modelled book."""
OPTION_RATE: Final = 0.0006
"""Half an option's spread as a ratio to its price, in the nearest expiry in a calm hour."""
FUTURE_RATE: Final = 0.000022
_IN_THE_MONEY: Final = (0.07, 2.5, 30.0)
"""Rupees added at 1 % in the money, the power with which that grows, and the most it comes to."""
_FUTURE_THINNESS: Final = 3.0
"""The most: distant futures are better quoted than the options beside them."""
_DEAR_LOTS: Final = 4.0
_CHEAP_LOTS: Final = 100.0
_CHEAP: Final = 25.0
"""Rupees: lots at the touch fall from the one to the other with the price over this."""
_GROWTH: Final = 0.35
"""How much more is offered at each further level, as a ratio to the touch."""
_STEPS_A_SPREAD: Final = 5
"""Levels are this part of the spread apart, at least a tick."""


@dataclass(frozen=True, slots=True)
class Touch:
    """The best prices of several contracts at one instant. A bid of 0 means that nobody bids."""

    bid: Ints
    ask: Ints
    last: Ints
    bid_lots: Ints
    ask_lots: Ints


@dataclass(frozen=True, slots=True)
class Draw:
    """Whose random numbers, and of which instant."""

    keys: Keys
    moment: Moment

    def uniform(self, number: int) -> Floats:
        return uniform(self.keys, self.moment, number)


def hurry(minutes_open: Floats | float, minutes_left: Floats | float) -> Floats:
    """How much wider spreads are just after the open and before the close."""
    return np.asarray(1 + 2.5 * np.exp(-minutes_open / 4) + 0.8 * np.exp(-minutes_left / 4))


def option_touch(
    fair: Floats, intrinsic: Floats, *, ticks: float, profile: Profile, thinness: float, hurry: Hurry, draw: Draw
) -> Touch:
    """Quotes of options: ``intrinsic`` as a ratio to the forward, ``thinness`` 1 in the best quoted expiry."""
    rupees, power, most = _IN_THE_MONEY
    deep = np.minimum(rupees * (100 * intrinsic) ** power, most)
    half = profile.spread * hurry * thinness * (OPTION_RATE * fair + deep + 0.01 * (thinness - 1))
    typical = (_DEAR_LOTS + _CHEAP_LOTS * np.exp(-fair / _CHEAP)) * profile.depth / thinness
    return _around(fair, half, typical, ticks, draw)


def future_touch(fair: Floats, *, ticks: float, profile: Profile, thinness: float, hurry: Hurry, draw: Draw) -> Touch:
    half = profile.spread * hurry * min(thinness, _FUTURE_THINNESS) * FUTURE_RATE * fair
    return _around(fair, half, np.full_like(fair, 3 * _DEAR_LOTS * profile.depth), ticks, draw)


def _around(fair: Floats, half: Floats, typical: Floats, ticks: float, draw: Draw) -> Touch:
    """Half a spread to either side. The bid is rounded down and the ask up, so that fair prices without arbitrage
    give quotes without it."""
    half = half * (0.6 + 0.8 * draw.uniform(0))
    bid = np.maximum(np.floor((fair - half) * ticks + 1e-9), 0).astype(np.int64)
    ask = np.maximum(np.ceil((fair + half) * ticks - 1e-9), bid + 1).astype(np.int64)
    last = np.clip(np.rint(fair * ticks).astype(np.int64), np.maximum(bid, 1), ask)
    return Touch(bid, ask, last, _lots(typical, draw.uniform(1)), _lots(typical, draw.uniform(2)))


def _lots(typical: Floats, luck: Floats) -> Ints:
    """Whole lots, at least one, spread as an exponential variable."""
    return np.maximum(np.rint(-np.log(luck) * typical), 1).astype(np.int64)


def ladder(best: int, lots: int, *, spread: int, side: int) -> list[tuple[int, int]]:
    """(ticks, lots) from the touch outwards; ``side`` -1 for bids, ``spread`` in ticks. Bids end above 0."""
    step = max(spread // _STEPS_A_SPREAD, 1)
    levels = ((best + side * n * step, round(lots * (1 + _GROWTH * n))) for n in range(LEVELS))
    return [(price, size) for price, size in levels if price > 0]
