"""A market that needs no data: seeded index paths, a smile over them and a book around every price.

docs/simulated-market.md says what it is made of and how it compares with recorded days.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from option_baskets.adapters.brokers.fills import Level
from option_baskets.adapters.feeds.simulated.market import Scenario, SimulatedMarket, refuse_unless_sound
from option_baskets.adapters.feeds.simulated.snapshot import STALE_AFTER, SimulatedSnapshot
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.facts import Facts
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.session import IST, Session, previous_session_day, session_on

__all__ = ["Scenario", "SimulatedFeed", "SimulatedMarket", "SimulatedSnapshot", "refuse_unless_sound"]


class SimulatedFeed:
    """The MarketData port over simulated days; each day is made when it is first asked for."""

    def __init__(
        self,
        facts: Facts,
        *,
        seed: int = 0,
        underlyings: Sequence[str] = ("NIFTY",),
        scenario: Scenario | None = None,
    ) -> None:
        self._facts = facts
        self._seed = seed
        self._underlyings = tuple(underlyings)
        self._scenario = scenario or Scenario()
        self._market: SimulatedMarket | None = None
        self._snapshot: SimulatedSnapshot | None = None

    @property
    def stale_after(self) -> timedelta:
        return STALE_AFTER

    def market(self, day: date) -> SimulatedMarket:
        """The market of a day; of the last trading day before it where it is none.

        Raises:
            Invalid: as SimulatedMarket.
        """
        if self._underlyings and self._underlyings[0] in self._facts.names:
            exchange = exchange_of(self._facts, self._underlyings[0])
            if session_on(self._facts, day, exchange) is None:
                day = previous_session_day(self._facts, day, exchange)
        if self._market is None or self._market.session.date != day:
            self._market = SimulatedMarket(
                self._facts, day, seed=self._seed, underlyings=self._underlyings, scenario=self._scenario
            )
        return self._market

    def session(self, day: date) -> Session:
        """The session of ``market(day)``."""
        return self.market(day).session

    def known(self, at: datetime) -> SimulatedSnapshot:
        """The snapshot of an instant's second, which is how often the market moves. For one second it is one object."""
        at = at.replace(microsecond=0)
        if self._snapshot is None or self._snapshot.at != at:
            self._snapshot = SimulatedSnapshot(self.market(at.astimezone(IST).date()), at)
        return self._snapshot

    async def snapshot(self, at: datetime) -> SimulatedSnapshot:
        return self.known(at)

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        market = self.market(expiry)
        if market.session.date != expiry or underlying not in market.indices:
            return None
        return market.settlement(underlying)

    def depth(self, contract: Contract, side: Side, at: datetime) -> tuple[Level, ...]:
        """The levels an order of ``side`` would take, best first; the paper exchange walks them."""
        return self.known(at).depth(contract, side)
