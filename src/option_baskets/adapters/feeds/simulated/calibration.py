"""What the simulated market is made of, with where each figure comes from.

Measured on NIFTY: 18 sessions of June and July 2022 (options and index by the minute), 153 sessions of 2024 (index by
the minute) and four days of chain snapshots of 2026. ``python -m benchmarks.simulator_yardstick`` prints the measured
and the simulated figures side by side; docs/simulated-market.md has the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

SESSIONS_A_YEAR: Final = 252

# ---------------------------------------------------------------- the index

OVERNIGHT: Final = 0.4
"""Variance from close to open, as a ratio to the variance from open to close."""
WEEKEND_DAY: Final = 0.1
"""Variance of a calendar day without trading, as a ratio to a trading day's."""
VOLATILITY_PERSISTENCE: Final = 0.94
"""Of the logarithm of a day's volatility, from one trading day to the next."""
VOLATILITY_SPREAD: Final = 0.24
"""Its stationary standard deviation."""
VOLATILITY_LEVERAGE: Final = -0.6
"""Correlation of its innovations with the index's return."""

ACTIVITY: Final = (1.45, 1.13, 0.97, 0.88, 0.82, 0.74, 0.75, 0.76, 0.78, 0.84, 0.90, 1.04, 0.80)
"""Volatility of each half hour relative to the day's; the last entry is the last quarter of an hour."""
OPENING_BURST: Final = (1.6, 4.0)
"""Extra variance rate at the open as a multiple, and the minutes in which it fades by e."""
MINUTE_VARIANCE_SPREAD: Final = 0.75
"""Stationary standard deviation of the logarithm of the intraday variance."""
MINUTE_VARIANCE_MEMORY: Final = 25.0
"""Minutes in which a deviation of that logarithm fades by e."""
MINUTE_LEVERAGE: Final = -0.3
JUMPS_A_DAY: Final = 0.9
JUMP_SIZE: Final = 6.0
"""Standard deviation of a jump, in those of an average minute's return."""
JUMP_SECONDS: Final = (3, 40)

# ---------------------------------------------------------------- what options cost

PREMIUM: Final = 1.25
"""Implied over expected volatility."""
IMPLIED_OVERNIGHT: Final = 0.8
"""As OVERNIGHT, in the market's opinion."""
IMPLIED_WEEKEND_DAY: Final = 0.2
TERM_PREMIUM: Final = 0.2
"""How much more variance a distant session is priced at, in the limit."""
CLOCK: Final = 0.3
"""Weight of the activity curve in the clock that options decay by; the rest is plain time."""
LATE_PREMIUM: Final = 0.92
"""Exponent on the part of an expiry day's variance that remains: the last minutes are dearer than their share."""
SPOT_TO_VARIANCE: Final = -8.0
"""Change of the logarithm of implied variance by a return of 1 (a fall of 1 % adds 8 %)."""
IMPLIED_RESPONSE: Final = 0.12
"""Share of an intraday deviation of realised variance that implied variance follows."""

GUST: Final = 0.013
"""What the market pays for the unheard-of: the weight of a second, wide distribution under each price. On an expiry
day it falls with what remains of the day's variance."""
GUST_FADE: Final = 0.7
"""Exponent of that fall."""
GUST_SIZE: Final = 4.0
"""Mean absolute move of that distribution, in implied standard deviations of a day."""

CURVATURE: Final = (0.63, 0.20)
"""Median and day-to-day spread of the logarithm of the smile's eta (see surface.py)."""
SKEW: Final = (-0.24, 0.13)
"""Mean and day-to-day spread of the smile's rho."""
SKEW_TO_SPOT: Final = 4.0
"""Change of rho by a return of 1: a fall steepens the skew."""

CARRY: Final = 0.060
"""Annual rate of the future over the index."""
BASIS_SPREAD: Final = 0.0004
"""Standard deviation of the forward's distance from its carry, as a ratio to the index."""
BASIS_MEMORY: Final = 30.0
"""Minutes in which that distance fades by e."""

# ---------------------------------------------------------------- each index


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One index. ``volatility`` is the median annual close-to-close volatility."""

    volatility: float
    market: float
    """Correlation with what all indices share."""
    spread: float = 1.0
    """Width of its bid-ask spreads relative to NIFTY's at an equal price."""
    depth: float = 1.0
    """Lots at the touch relative to NIFTY's."""
    chain: float = 0.08
    """Strikes are listed this far on either side of the open, as a ratio."""


PROFILES: Final[Mapping[str, Profile]] = {
    "NIFTY": Profile(volatility=0.135, market=0.97),
    "SENSEX": Profile(volatility=0.135, market=0.97, spread=1.4, depth=0.6),
    "BANKNIFTY": Profile(volatility=0.165, market=0.86, spread=1.8, depth=0.5),
    "BANKEX": Profile(volatility=0.165, market=0.86, spread=6.0, depth=0.1),
    "FINNIFTY": Profile(volatility=0.16, market=0.87, spread=5.0, depth=0.1),
    "MIDCPNIFTY": Profile(volatility=0.185, market=0.78, spread=4.0, depth=0.2),
    "NIFTYNXT50": Profile(volatility=0.175, market=0.80, spread=8.0, depth=0.05),
}

LEVELS: Final[Mapping[str, tuple[tuple[date, float], ...]]] = {
    "NIFTY": (
        (date(2021, 12, 31), 17350),
        (date(2022, 6, 17), 15300),
        (date(2022, 12, 30), 18100),
        (date(2023, 12, 29), 21730),
        (date(2024, 12, 31), 23640),
        (date(2025, 12, 31), 26130),
        (date(2026, 3, 27), 22820),
        (date(2026, 8, 19), 24080),
    ),
    "SENSEX": (
        (date(2021, 12, 31), 58250),
        (date(2022, 12, 30), 60840),
        (date(2023, 12, 29), 72240),
        (date(2024, 12, 31), 78140),
        (date(2025, 12, 31), 85200),
        (date(2026, 3, 27), 73600),
    ),
    "BANKNIFTY": (
        (date(2021, 12, 31), 35480),
        (date(2022, 12, 30), 42990),
        (date(2023, 12, 29), 48290),
        (date(2024, 12, 31), 50860),
        (date(2025, 12, 31), 59580),
        (date(2026, 3, 27), 52270),
    ),
    "FINNIFTY": (
        (date(2023, 5, 26), 19400),
        (date(2024, 12, 31), 23500),
        (date(2025, 12, 31), 27600),
        (date(2026, 3, 27), 24370),
    ),
    "MIDCPNIFTY": (
        (date(2023, 5, 26), 7700),
        (date(2024, 12, 31), 12900),
        (date(2025, 12, 31), 13840),
        (date(2026, 3, 27), 12520),
    ),
}
"""Closes, rounded, through which every simulated history passes. From the exchanges' daily files and, for the ends of
years, the indices' published closes. They give a date its plausible level and nothing else. After the last one (and
before the first) the index walks freely. An index without a row needs its level from the user."""
