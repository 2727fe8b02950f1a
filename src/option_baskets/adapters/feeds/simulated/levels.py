"""Closes and volatilities day by day: one coherent history per seed, so that a position can be carried overnight.

The history is a random walk with a mean-reverting volatility over calendar days, bent to pass through the known closes
of calibration.LEVELS. Any day of it can be asked in any order.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from option_baskets.adapters.feeds.simulated import calibration
from option_baskets.adapters.feeds.simulated.calibration import LEVELS, Profile
from option_baskets.adapters.feeds.simulated.randomness import stream

Floats = NDArray[np.float64]

FIRST: Final = date(2021, 12, 31)
LAST: Final = date(2036, 12, 31)
_DAYS: Final = LAST.toordinal() - FIRST.toordinal() + 1
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class DailyLevel:
    """What one trading day is built from."""

    previous_close: float
    open: float
    close: float
    deviation: float
    """Standard deviation of the logarithm from open to close."""
    tension: float
    """Logarithm of the day's volatility over its median."""


@lru_cache(maxsize=64)
def history(seed: int, underlying: str, profile: Profile) -> tuple[Floats, Floats]:
    """Logarithm of the close and of relative volatility on every calendar day from FIRST to LAST.

    An index without known closes starts at 1 and has to be scaled.
    """
    weight = _weights()
    shared = stream(seed, "levels").standard_normal((_DAYS, 2))
    own = stream(seed, "levels", underlying).standard_normal((_DAYS, 2))
    rho = profile.market
    mixed = rho * shared + np.sqrt(1 - rho * rho) * own
    returns, innovations = mixed[:, 0], mixed[:, 1]

    leverage = calibration.VOLATILITY_LEVERAGE
    innovations = leverage * returns + np.sqrt(1 - leverage**2) * innovations
    tension = np.empty(_DAYS)
    level = calibration.VOLATILITY_SPREAD * float(innovations[0])
    for n, (shock, share) in enumerate(zip(innovations.tolist(), weight.tolist(), strict=True)):
        keep = calibration.VOLATILITY_PERSISTENCE**share
        tension[n] = level = keep * level + calibration.VOLATILITY_SPREAD * np.sqrt(1 - keep * keep) * shock

    deviation = profile.volatility / np.sqrt(calibration.SESSIONS_A_YEAR) * np.exp(tension) * np.sqrt(weight)
    steps = np.where(np.arange(_DAYS) > 0, deviation * returns - 0.5 * deviation**2, 0.0)
    return _through(LEVELS.get(underlying, ()), np.cumsum(steps), np.cumsum(deviation**2)), tension


def _weights() -> Floats:
    weekday = (np.arange(_DAYS) + FIRST.weekday()) % 7
    return np.where(weekday < _SATURDAY, 1.0, calibration.WEEKEND_DAY)


def _through(known: tuple[tuple[date, float], ...], walk: Floats, variance: Floats) -> Floats:
    """The walk conditioned on the known closes: between two of them a Brownian bridge in the walk's own variance."""
    if not known:
        return walk
    at = np.array([day.toordinal() - FIRST.toordinal() for day, _ in known])
    miss = np.log([level for _, level in known]) - walk[at]
    return np.asarray(walk + np.interp(variance, variance[at], miss))


def daily_level(
    seed: int, underlying: str, profile: Profile, day: date, previous: date, length: float = 1.0
) -> DailyLevel:
    """A trading day given the one before it; both lie in [FIRST, LAST].

    ``length`` is the day's share of a usual session: in a short one more of the move falls before its open.
    """
    closes, tension = history(seed, underlying, profile)
    now, before = day.toordinal() - FIRST.toordinal(), previous.toordinal() - FIRST.toordinal()
    moved = float(closes[now] - closes[before])
    total = profile.volatility / np.sqrt(calibration.SESSIONS_A_YEAR) * np.exp(float(tension[now]))
    share = 1 - length / (1 + calibration.OVERNIGHT)
    noise = float(stream(seed, "gap", underlying, day).standard_normal())
    gap = share * moved + np.sqrt(share * (1 - share)) * total * noise
    start = float(closes[before])
    return DailyLevel(
        previous_close=float(np.exp(start)),
        open=float(np.exp(start + gap)),
        close=float(np.exp(closes[now])),
        deviation=float(total * np.sqrt(1 - share)),
        tension=float(tension[now]),
    )
