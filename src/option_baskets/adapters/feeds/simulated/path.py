"""One day of an index second by second, in floats.

Grid point i is i seconds of trading after the first open; the pause between two windows takes no time. All indices of
a day share one ``Weather`` (variance within the day, jumps, the common part of every second) and differ by their own
noise. The path ends where the day's level says, as a Brownian bridge does.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from option_baskets.adapters.feeds.simulated import calibration
from option_baskets.adapters.feeds.simulated.levels import DailyLevel

Floats = NDArray[np.float64]
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Weather:
    """What all indices of a day share. Arrays of one entry a second, unless said otherwise."""

    activity: Floats
    """Variance rate of the second relative to the day's mean; the mean is 1."""
    turbulence: Floats
    """Logarithm of the variance's deviation from that activity."""
    shocks: Floats
    """Standard normal."""
    jumps: Floats
    """Returns in standard deviations of an average minute."""


def activity(seconds: int) -> Floats:
    """The U shape over a day of any length, with the burst after the open. Mean 1."""
    fraction = (np.arange(seconds) + 0.5) / seconds
    middles = np.array([*(30 * n + 15.0 for n in range(12)), 367.5]) / 375
    burst, fade = calibration.OPENING_BURST
    rate = np.interp(fraction, middles, np.square(calibration.ACTIVITY))
    rate *= 1 + burst * np.exp(-(np.arange(seconds) + 0.5) / (_MINUTE * fade))
    return np.asarray(rate / rate.mean())


def weather(random: np.random.Generator, seconds: int) -> Weather:
    shocks = random.standard_normal(seconds)
    rate = activity(seconds)
    return Weather(
        activity=rate,
        turbulence=_turbulence(random, shocks),
        shocks=shocks,
        jumps=_jumps(random, rate),
    )


def _turbulence(random: np.random.Generator, shocks: Floats) -> Floats:
    """An Ornstein-Uhlenbeck process by the minute, pushed up by falling minutes, interpolated to seconds."""
    minutes = -(-len(shocks) // _MINUTE)
    falls = np.zeros(minutes * _MINUTE)
    falls[: len(shocks)] = shocks
    leverage = calibration.MINUTE_LEVERAGE
    pushes = leverage * falls.reshape(minutes, _MINUTE).sum(axis=1) / np.sqrt(_MINUTE)
    pushes += np.sqrt(1 - leverage**2) * random.standard_normal(minutes)
    keep = float(np.exp(-1 / calibration.MINUTE_VARIANCE_MEMORY))
    step = calibration.MINUTE_VARIANCE_SPREAD * float(np.sqrt(1 - keep * keep))
    value = calibration.MINUTE_VARIANCE_SPREAD * float(random.standard_normal())
    values = [value]
    for push in pushes.tolist():
        value = keep * value + step * push
        values.append(value)
    return np.interp(np.arange(len(shocks)), np.arange(minutes + 1) * _MINUTE, values)


def _jumps(random: np.random.Generator, rate: Floats) -> Floats:
    jumps = np.zeros(len(rate))
    count = int(random.poisson(calibration.JUMPS_A_DAY))
    clock = np.cumsum(rate)
    for place in random.uniform(0, clock[-1], count).tolist():
        length = int(random.integers(*calibration.JUMP_SECONDS))
        start = int(np.searchsorted(clock, place))
        jumps[start : start + length] += calibration.JUMP_SIZE * random.standard_normal() / length
    return jumps


def index_path(
    sky: Weather, random: np.random.Generator, level: DailyLevel, *, market: float, closes_at: int
) -> Floats:
    """The index at every grid point, one more than there are seconds, from the day's open.

    It is at the day's close at grid point ``closes_at``, when the cash market ends; futures trade on what follows.
    """
    seconds = len(sky.shocks)
    shocks = market * sky.shocks + np.sqrt(1 - market * market) * random.standard_normal(seconds)
    mean = 0.5 * calibration.MINUTE_VARIANCE_SPREAD**2
    variance = level.deviation**2 * sky.activity * np.exp(sky.turbulence - mean) / seconds
    steps = np.sqrt(variance) * shocks
    steps += sky.jumps * level.deviation * np.sqrt(_MINUTE / seconds)
    miss = np.log(level.close / level.open) - steps[:closes_at].sum()
    steps[:closes_at] += miss * variance[:closes_at] / variance[:closes_at].sum()
    return np.asarray(level.open * np.exp(np.concatenate([[0.0], np.cumsum(steps)])))


def wandering(random: np.random.Generator, seconds: int, memory: float) -> Floats:
    """An Ornstein-Uhlenbeck process of unit variance at every grid point; ``memory`` in minutes."""
    minutes = -(-seconds // _MINUTE)
    keep = float(np.exp(-1 / memory))
    value = float(random.standard_normal())
    values = [value]
    for push in random.standard_normal(minutes).tolist():
        value = keep * value + float(np.sqrt(1 - keep * keep)) * push
        values.append(value)
    return np.interp(np.arange(seconds + 1), np.arange(minutes + 1) * _MINUTE, values)
