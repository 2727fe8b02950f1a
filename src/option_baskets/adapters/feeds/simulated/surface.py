"""Fair prices: forwards, total variances and the smile of one index on one day.

The smile is the surface SSVI of Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces" (Quantitative Finance
14, 2014): with x = log(K/F) / sqrt(theta) the total variance at K is
theta / 2 (1 + rho eta x + sqrt((eta x + rho)^2 + 1 - rho^2)). It has no butterfly arbitrage while
eta^2 (1 + |rho|) <= 4, and the slices of two expiries do not cross while theta grows with expiry. Under it lies a thin
Laplace distribution with the same mean, for which even a far option on an expiry day is worth a few ticks; a mixture
of two distributions allows no arbitrage that neither allows.

An expiring contract trades towards its final settlement value, by the rule of the day: the average of the index over
the last half hour, or one print of the closing auction. Its forward and its remaining variance follow that rule.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from option_baskets.adapters.feeds.simulated import calibration, path
from option_baskets.adapters.feeds.simulated.levels import DailyLevel
from option_baskets.adapters.feeds.simulated.path import Floats
from option_baskets.pricing import black76

_ETA_MOST: Final = 1.3
_RHO_MOST: Final = 0.5
_DAYS_A_YEAR: Final = 365
_SESSIONS_IN_30_DAYS: Final = 21
_WINGS: Final = 1.06
_NOTHING: Final = 1e-16
"""A total variance below which the settlement value counts as known."""
_TOO_LITTLE: Final = 1e-8

Column = Floats
Points = int | NDArray[np.int64]
"""One grid point, or a column of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How contracts expiring today settle, in grid points: the mean of the index over (start, end]."""

    start: int
    end: int
    """Equal to ``start + 1`` for a single print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """The time between today and an expiry."""

    calendar_days: int
    sessions: int
    """Trading days after today, up to and including the expiry; 0 today."""


@dataclass(frozen=True, slots=True)
class Smile:
    """One expiry's smile at one instant, or at several: then every field is a column and prices have a row each."""

    forward: Column
    theta: Column
    """Total variance at the forward, until expiry."""
    rho: Column
    eta: float
    gust: Column
    """Weight of the wide distribution."""
    reach: float
    """Its mean absolute move as a ratio to the forward."""

    def deviations(self, strikes: Floats) -> Floats:
        """The implied total standard deviation at each strike; 0 once the settlement value is known."""
        theta = np.maximum(self.theta, _NOTHING)
        x = self.eta * np.log(strikes / self.forward) / np.sqrt(theta)
        bend = np.sqrt((x + self.rho) ** 2 + 1 - self.rho**2)
        implied = np.sqrt(0.5 * theta * (1 + self.rho * x + bend))
        return np.asarray(np.where(theta > _NOTHING, implied, 0.0))

    def prices(self, strikes: Floats) -> Floats:
        """Calls, then puts, along the last axis; a pair's difference is forward minus strike."""
        usual = black76.price_of(self.forward, strikes, self.deviations(strikes), True)
        ahead, width = self.forward - strikes, self.reach * self.forward
        wide = np.maximum(ahead, 0.0) + 0.5 * width * np.exp(-np.abs(ahead) / width)
        calls = usual + self.gust * (wide - usual)
        return np.concatenate([calls, np.maximum(calls - ahead, 0.0)], axis=-1)

    def intrinsic(self, strikes: Floats) -> Floats:
        """What exercise at the forward would give, as a ratio to it, for the pairs of ``prices``."""
        below = 1 - strikes / self.forward
        return np.asarray(np.maximum(np.concatenate([below, -below], axis=-1), 0.0))

    def distances(self, strikes: Floats) -> Floats:
        """|log(K / F)| in standard deviations at the forward, for the pairs of ``prices``."""
        away = np.abs(np.log(strikes / self.forward)) / np.sqrt(np.maximum(self.theta, _TOO_LITTLE))
        return np.concatenate([away, away], axis=-1)


class Surface:
    """Every smile of one index on one day. Arrays have one entry a grid point."""

    def __init__(
        self,
        *,
        fair: Floats,
        level: DailyLevel,
        sky: path.Weather,
        random: np.random.Generator,
        settlement: Settlement,
    ) -> None:
        seconds = len(fair) - 1
        moved = np.log(fair / level.open)
        self.fair: Final = fair
        self._level: Final = level
        self._settlement: Final = settlement
        self._rho: Final = calibration.SKEW[0] + calibration.SKEW[1] * float(random.standard_normal())
        self._eta: Final = calibration.CURVATURE[0] * float(np.exp(calibration.CURVATURE[1] * random.standard_normal()))
        self._moved: Final = np.clip(moved, -0.05, 0.05)
        turbulence = np.append(sky.turbulence, sky.turbulence[-1])
        self._mood: Final = np.exp(
            calibration.SPOT_TO_VARIANCE * self._moved + calibration.IMPLIED_RESPONSE * turbulence
        )
        self._basis: Final = calibration.BASIS_SPREAD * path.wandering(random, seconds, calibration.BASIS_MEMORY)
        clock = calibration.CLOCK * sky.activity + (1 - calibration.CLOCK)
        self._remaining: Final = _remaining(clock / seconds)
        self._expiring: Final = _remaining(clock / seconds * _weight(seconds, settlement) ** 2)
        self._average: Final = _running_settlement(fair, settlement)

    @property
    def settled(self) -> float:
        """The final settlement value of the day."""
        return float(self._average[self._settlement.end])

    def forward(self, horizon: Horizon, i: Points) -> Column:
        """The expected final settlement value of an expiry at a grid point."""
        if horizon.sessions == 0:
            share = self._expiring[i] / self._expiring[0]
            return np.asarray(self._average[i] + self.fair[i] * self._basis[i] * share)
        carry = calibration.CARRY * horizon.calendar_days / _DAYS_A_YEAR
        return np.asarray(self.fair[i] * np.exp(carry + self._basis[i]))

    def theta(self, horizon: Horizon, i: Points) -> Column:
        """Total variance at the forward from a grid point to the expiry."""
        today = (calibration.PREMIUM * self._level.deviation) ** 2 * self._mood[i]
        if horizon.sessions == 0:
            return np.asarray(today * self._expiring[i] ** calibration.LATE_PREMIUM)
        return np.asarray(today * (self._remaining[i] + self._sessions_ahead(horizon)))

    def smile(self, horizon: Horizon, i: Points) -> Smile:
        left = self._expiring[i] if horizon.sessions == 0 else np.ones_like(self._moved[i])
        return Smile(
            forward=self.forward(horizon, i),
            theta=self.theta(horizon, i),
            rho=np.clip(self._rho + calibration.SKEW_TO_SPOT * self._moved[i], -_RHO_MOST, _RHO_MOST),
            eta=min(self._eta, _ETA_MOST),
            gust=np.asarray(calibration.GUST * left**calibration.GUST_FADE),
            reach=calibration.GUST_SIZE * calibration.PREMIUM * self._level.deviation,
        )

    def vix(self, i: Points) -> Column:
        """Like the volatility index: 30 calendar days, in percent a year, with the wings' surcharge."""
        month = Horizon(calendar_days=30, sessions=_SESSIONS_IN_30_DAYS)
        return np.asarray(100 * _WINGS * np.sqrt(self.theta(month, i) * _DAYS_A_YEAR / 30))

    def _sessions_ahead(self, horizon: Horizon) -> float:
        """Variance of the sessions after today with the nights before them, in today's."""
        ahead = np.arange(1, horizon.sessions + 1)
        persistence = calibration.VOLATILITY_PERSISTENCE
        calming = np.exp(-2 * self._level.tension * (1 - persistence**ahead))
        term = 1 + calibration.TERM_PREMIUM * (1 - persistence**ahead)
        pauses = (horizon.calendar_days - horizon.sessions) * calibration.IMPLIED_WEEKEND_DAY / horizon.sessions
        return float((calming * term).sum() * (1 + calibration.IMPLIED_OVERNIGHT + pauses))


def _remaining(rate: Floats) -> Floats:
    """What is left of a rate from each grid point to the end; exactly 0 at the end."""
    return np.append(np.cumsum(rate[::-1])[::-1], 0.0)


def _weight(seconds: int, settlement: Settlement) -> Floats:
    """How much of a move in each second still reaches the settlement value."""
    left = np.clip((settlement.end - np.arange(seconds)) / (settlement.end - settlement.start), 0.0, 1.0)
    return np.asarray(left)


def _running_settlement(fair: NDArray[np.float64], settlement: Settlement) -> Floats:
    """The settlement value expected at each grid point: what is in the average, and the index for the rest."""
    start, end = settlement.start, settlement.end
    expected = fair.copy()
    window = fair[start + 1 : end + 1]
    known = np.concatenate([[0.0], np.cumsum(window)])
    left = np.arange(end - start, -1, -1)
    expected[start : end + 1] = (known + left * fair[start : end + 1]) / (end - start)
    expected[end:] = expected[end]
    return expected
