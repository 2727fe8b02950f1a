"""The contracts of one index on one day, and where each stands in the arrays."""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from option_baskets.adapters.feeds.simulated.randomness import key
from option_baskets.adapters.feeds.simulated.surface import Horizon
from option_baskets.domain.contract import Contract, ContractType, Listing
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Facts, ListedSeries
from option_baskets.domain.instrument import (
    exchange_of,
    freeze_quantity,
    listed_expiries,
    lot_size,
    strike_step,
    tick_size,
)
from option_baskets.domain.session import trading_days_after


class Expiry:
    """One expiry's options, calls first, then puts, each by strike; and its future where it has one."""

    def __init__(
        self,
        underlying: str,
        expiry: date,
        *,
        series: ListedSeries,
        horizon: Horizon,
        thinness: float,
        lot: int,
        strikes: tuple[Decimal, ...],
        seed_key: tuple[int, date],
    ) -> None:
        self.underlying = underlying
        self.date = expiry
        self.series = series
        self.horizon = horizon
        self.thinness = thinness
        self.lot = lot
        self.strikes = strikes
        self.points = np.array([float(strike) for strike in strikes])
        self._seed_key = seed_key
        self._position = {strike: n for n, strike in enumerate(strikes)}

    @property
    def has_future(self) -> bool:
        return self.series is ListedSeries.MONTHLY

    @cached_property
    def options(self) -> tuple[Contract, ...]:
        return tuple(
            Contract(underlying=self.underlying, expiry=self.date, type=type_, strike=strike)
            for type_ in (ContractType.CE, ContractType.PE)
            for strike in self.strikes
        )

    @cached_property
    def future(self) -> Contract:
        return Contract(underlying=self.underlying, expiry=self.date, type=ContractType.FUT)

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        return np.array([self._key(contract) for contract in self.options], dtype=np.uint64)

    @cached_property
    def future_keys(self) -> NDArray[np.uint64]:
        return np.array([self._key(self.future)], dtype=np.uint64)

    def position(self, contract: Contract) -> int | None:
        """Where the option stands in ``options``; None where it is not listed."""
        place = self._position.get(contract.strike) if contract.strike is not None else None
        if place is None:
            return None
        return place if contract.type is ContractType.CE else place + len(self.strikes)

    def _key(self, contract: Contract) -> int:
        return key(*self._seed_key, contract.key)


@dataclass(frozen=True)
class Chain:
    """Every expiry of an index by date, with what its contracts share."""

    underlying: str
    exchange: str
    step: Decimal
    tick: Decimal
    freeze: int | None
    expiries: dict[date, Expiry]

    def listing(self, contract: Contract) -> Listing | None:
        row = self.expiries.get(contract.expiry)
        if row is None or not (row.has_future if contract.strike is None else row.position(contract) is not None):
            return None
        return Listing(
            contract=contract, lot_size=row.lot, tick=self.tick, freeze_quantity=self.freeze, series=row.series.value
        )


def listed(facts: Facts, underlying: str, day: date, *, lowest: float, highest: float, seed: int) -> Chain:
    """The contract list of a day: weeklies and monthlies, strikes on the step from ``lowest`` to ``highest``.

    Raises:
        Invalid: nothing is known to be listed on that day.
    """
    step = strike_step(facts, underlying, day)
    found = listed_expiries(facts, underlying, day)
    if not found:
        raise Invalid(f"no expiry of {underlying} is known for {day}; the facts begin later, choose a later day")
    first = int((Decimal(lowest) / step).to_integral_value(ROUND_FLOOR))
    last = int((Decimal(highest) / step).to_integral_value(ROUND_CEILING))
    strikes = tuple(step * n for n in range(max(first, 1), last + 1))
    exchange = exchange_of(facts, underlying)
    months = [each.date for each in found if each.series is ListedSeries.MONTHLY]
    expiries = {
        each.date: Expiry(
            underlying,
            each.date,
            series=each.series,
            horizon=Horizon(
                calendar_days=(each.date - day).days,
                sessions=max(trading_days_after(facts, day, each.date, exchange), int(each.date > day)),
            ),
            thinness=_thinness(n, months.index(each.date) if each.date in months else None),
            lot=lot_size(facts, underlying, each.date, each.series, day),
            strikes=strikes,
            seed_key=(seed, day),
        )
        for n, each in enumerate(found)
    }
    return Chain(
        underlying=underlying,
        exchange=exchange.value,
        step=step,
        tick=tick_size(facts, underlying, day),
        freeze=freeze_quantity(facts, underlying, day),
        expiries=expiries,
    )


def _thinness(n: int, month: int | None) -> float:
    """How much worse an expiry is quoted than the nearest, by its place among all and among the monthly ones."""
    if n == 0:
        return 1.0
    if n == 1 or month == 0:
        return 1.5
    return 6.0 if month == 1 else 8.0
