"""What is open: every leg of every run on every account, with its mark and, where the chain gives them, its Greeks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import isfinite

from option_baskets.domain.contract import Contract
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Snapshot
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import Session
from option_baskets.engine.profits import unrealised
from option_baskets.engine.valuation import Holding, Valuation
from option_baskets.pricing.payoff import greeks


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeks:
    """Of a position, in rupees: ``delta`` per point of the index, ``gamma`` per point squared, ``theta`` per calendar
    day, ``vega`` per volatility point."""

    delta: float
    gamma: float
    theta: float
    vega: float

    def times(self, units: int) -> "Greeks":
        return Greeks(
            delta=self.delta * units, gamma=self.gamma * units, theta=self.theta * units, vega=self.vega * units
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """One position that is open."""

    run: Run
    position: LegPosition
    mark: Decimal | None
    """Rupees per unit: the last price known, else the last close's."""
    marked_at: datetime | None
    """When the feed last confirmed it; None: there is none, or it is the last close's."""
    unrealised: Decimal | None
    greeks: Greeks | None
    """None: no price, nothing that prices it, or its contract trades no more."""

    @property
    def units(self) -> int:
        """Signed: below zero is short."""
        return self.position.open * self.position.side.sign


def open_legs(runs: Iterable[Run]) -> list[tuple[Run, LegPosition]]:
    """What of them is held, by run, leg, account and entry."""
    return [
        (run, position)
        for run in sorted(runs, key=lambda run: run.id)
        for position in sorted(run.positions, key=lambda each: each.key)
        if position.open
    ]


@dataclass(slots=True, kw_only=True)
class Marks:
    """One snapshot of the market, asked of each contract once."""

    facts: Facts
    market: Snapshot | None
    """None: there is no market now, so what is open has the last close's marks and no Greeks."""
    session: Session | None = None
    """The one under way, where a recorded file is the authority for it."""
    _valuation: Valuation | None = None
    _greeks: dict[Contract, Greeks | None] = field(default_factory=dict)

    def of(self, run: Run, position: LegPosition) -> Open:
        quote = self.market.quote(position.contract) if self.market is not None else None
        unit = self._of_unit(position.contract)
        return Open(
            run=run,
            position=position,
            mark=position.mark if quote is None else quote.last,
            marked_at=None if quote is None else quote.as_of,
            unrealised=unrealised(position, self.market),
            greeks=None if unit is None else unit.times(position.open * position.side.sign),
        )

    def _of_unit(self, contract: Contract) -> Greeks | None:
        if contract not in self._greeks:
            self._greeks[contract] = None if self.market is None else self._valued(contract, self.market)
        return self._greeks[contract]

    def _valued(self, contract: Contract, market: Snapshot) -> Greeks | None:
        quote = market.quote(contract)
        if quote is None or market.listing(contract) is None:
            return None
        if self._valuation is None:
            self._valuation = Valuation(facts=self.facts, snapshot=market, session=self.session)
        if self._valuation.years(contract.underlying, contract.expiry) <= 0:
            return None
        one = self._valuation.position([Holding(contract=contract, units=1, price=quote.last)])
        found = greeks(one)
        numbers = (found.delta, found.gamma, found.theta, found.vega)
        if not all(map(isfinite, numbers)):
            return None
        return Greeks(delta=found.delta, gamma=found.gamma, theta=found.theta, vega=found.vega)
