"""A simulated trading day: the whole book of several indices at any second of it.

Equal arguments make equal days, whatever is asked and in whatever order: the paths are drawn when the day is made,
option prices are computed when they are asked for and depend only on the second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from option_baskets.adapters.feeds.simulated import book, levels, path
from option_baskets.adapters.feeds.simulated.book import Draw, Touch
from option_baskets.adapters.feeds.simulated.calibration import LEVELS, PROFILES, Profile
from option_baskets.adapters.feeds.simulated.chain import Chain, Expiry, listed
from option_baskets.adapters.feeds.simulated.path import Floats, Weather
from option_baskets.adapters.feeds.simulated.randomness import stream
from option_baskets.adapters.feeds.simulated.surface import Points, Settlement, Surface
from option_baskets.domain.errors import Invalid, Problem
from option_baskets.domain.facts import Exchange, Facts
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.session import (
    Session,
    contract_close,
    session_on,
    spot_frozen,
)

_USUAL_SECONDS: Final = 375 * 60
_AVERAGED_SECONDS: Final = 30 * 60
_REACH: Final = 8.0
"""Strikes are listed this many standard deviations of a day away, if that is more than the profile says."""
_FARTHEST: Final = 0.6
_PAISA: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a user may set."""

    spot: Mapping[str, float] | None = None
    """Levels at the open of ``spot_on``, by index; the others have their own."""
    spot_on: date | None = None
    """None: the day itself."""
    volatility: float | None = None
    """Median annual close-to-close volatility of every index, e.g. 0.15; None: each index's own."""

    def profile(self, underlying: str) -> Profile:
        known = PROFILES.get(underlying, Profile(volatility=0.16, market=0.8, spread=6.0, depth=0.1))
        return known if self.volatility is None else replace(known, volatility=self.volatility)


class Index:
    """One index on one day: its level, its surface, its contract list. Grid points are seconds of trading."""

    def __init__(
        self, facts: Facts, session: Session, underlying: str, *, seed: int, scenario: Scenario, sky: Weather
    ) -> None:
        day, seconds = session.date, len(sky.shocks)
        self.name = underlying
        self.profile = scenario.profile(underlying)
        level = _level(facts, underlying, day, seed=seed, scenario=scenario, length=min(seconds / _USUAL_SECONDS, 1.0))
        random = stream(seed, "path", underlying, day)
        frozen = spot_frozen(facts, session)
        halted = (_point(session, frozen.open), _point(session, frozen.close)) if frozen else None
        fair = path.index_path(
            sky, random, level, market=self.profile.market, closes_at=halted[1] if halted else seconds
        )
        self.closes_at = _point(session, contract_close(facts, session, day))
        settlement = Settlement(start=max(self.closes_at - _AVERAGED_SECONDS, 0), end=self.closes_at)
        if halted and halted[1] <= self.closes_at:
            settlement = Settlement(start=halted[1] - 1, end=halted[1])
        self.surface = Surface(fair=fair, level=level, sky=sky, random=random, settlement=settlement)
        self.spot = _published(fair, halted)
        self.previous_close = level.previous_close
        reach = min(max(self.profile.chain, _REACH * level.deviation), _FARTHEST)
        self.chain: Chain = listed(
            facts,
            underlying,
            day,
            lowest=min(level.previous_close, level.open) * (1 - reach),
            highest=max(level.previous_close, level.open) * (1 + reach),
            seed=seed,
        )
        self.ticks = 1 / float(self.chain.tick)

    def options(self, row: Expiry, i: Points, hurry: Floats | float) -> Touch:
        """The book of an expiry's options, in the order of ``row.options``."""
        smile = self.surface.smile(row.horizon, i)
        return book.option_touch(
            smile.prices(row.points),
            smile.intrinsic(row.points),
            ticks=self.ticks,
            profile=self.profile,
            thinness=row.thinness,
            hurry=hurry,
            draw=Draw(row.keys, i),
        )

    def future(self, row: Expiry, i: Points, hurry: Floats | float) -> Touch:
        return book.future_touch(
            np.atleast_1d(self.surface.forward(row.horizon, i)),
            ticks=self.ticks,
            profile=self.profile,
            thinness=row.thinness,
            hurry=hurry,
            draw=Draw(row.future_keys, i),
        )


class SimulatedMarket:
    """One trading day.

    Raises:
        Invalid: not a trading day; an index without facts, listed contracts or a level; a figure out of range.
    """

    def __init__(
        self,
        facts: Facts,
        day: date,
        *,
        seed: int = 0,
        underlyings: Sequence[str] = ("NIFTY",),
        scenario: Scenario | None = None,
    ) -> None:
        scenario = scenario or Scenario()
        refuse_unless_sound(facts, day, underlyings, scenario)
        session = session_on(facts, day, exchange_of(facts, underlyings[0]))
        if session is None:
            raise Invalid(f"{day:%A %Y-%m-%d} is not a trading day; choose another with `baskets calendar`")
        self.session: Final = session
        self.seconds: Final = sum(int((window.close - window.open).total_seconds()) for window in session.windows)
        self.sky: Final = path.weather(stream(seed, "weather", day), self.seconds)
        self.indices: Final = {
            name: Index(facts, session, name, seed=seed, scenario=scenario, sky=self.sky) for name in underlyings
        }

    def settlement(self, underlying: str) -> Decimal:
        """The final settlement value of contracts that expire today, in index points."""
        return round(self.indices[underlying].surface.settled * 100) * _PAISA

    def point(self, at: datetime) -> int:
        """The grid point known at an instant; the first before the open, the last after the close."""
        return _point(self.session, at)

    def hurry(self, i: Points) -> Floats:
        return book.hurry(np.asarray(i) / 60, (self.seconds - np.asarray(i)) / 60)


def _point(session: Session, at: datetime) -> int:
    """Seconds of trading from the first open to an instant."""
    passed = 0
    for window in session.windows:
        if at < window.open:
            break
        passed += int((min(at, window.close) - window.open).total_seconds())
    return passed


def _published(fair: Floats, halted: tuple[int, int] | None) -> Floats:
    """The index as it is published: it stands still in the closing auction and keeps the auction's print after it."""
    if halted is None:
        return fair
    begin, end = halted
    spot = fair.copy()
    spot[begin:end] = fair[begin]
    spot[end:] = fair[min(end, len(fair) - 1)]
    return spot


def _level(
    facts: Facts, underlying: str, day: date, *, seed: int, scenario: Scenario, length: float
) -> levels.DailyLevel:
    """The day's level, scaled to the user's where one is given."""
    profile = scenario.profile(underlying)
    exchange = exchange_of(facts, underlying)
    level = levels.daily_level(seed, underlying, profile, day, _day_before(facts, day, exchange), length)
    wanted = (scenario.spot or {}).get(underlying)
    if wanted is None:
        return level
    on = scenario.spot_on or day
    base = level
    if on != day:
        base = levels.daily_level(seed, underlying, profile, on, _day_before(facts, on, exchange), length)
    factor = wanted / base.open
    return replace(
        level, previous_close=level.previous_close * factor, open=level.open * factor, close=level.close * factor
    )


def _day_before(facts: Facts, day: date, exchange: Exchange) -> date:
    """The last day with any session before a day, a special one too: its close is the previous close."""
    day -= timedelta(days=1)
    while session_on(facts, day, exchange) is None:
        day -= timedelta(days=1)
    return day


def refuse_unless_sound(facts: Facts, day: date, underlyings: Sequence[str], scenario: Scenario) -> None:
    """Raises Invalid with everything that keeps these indices from being simulated on a day."""
    problems = []
    if not levels.FIRST < day <= levels.LAST:
        problems.append(f"{day} cannot be simulated; choose a day after {levels.FIRST} and up to {levels.LAST}")
    if not underlyings:
        problems.append("no underlying to simulate; name at least one, e.g. NIFTY")
    for name in underlyings:
        if name not in facts.names:
            problems.append(f"{name!r} is not an index we have facts of; choose from {', '.join(facts.names)}")
        elif name not in LEVELS and name not in (scenario.spot or {}):
            problems.append(f"no level of {name} is known; give one with --spot {name}=LEVEL (baskets simulate)")
    for name, level in (scenario.spot or {}).items():
        if not 100 <= level <= 1_000_000:
            problems.append(f"a spot of {level:g} for {name} is out of range; give 100 to 1000000 index points")
    if scenario.volatility is not None and not 0.01 <= scenario.volatility <= 2:
        percent = scenario.volatility * 100
        problems.append(f"a volatility of {percent:g} % a year is out of range; give 1 to 200, e.g. --volatility 15")
    if problems:
        raise Invalid([Problem(where="", message=message) for message in problems])
