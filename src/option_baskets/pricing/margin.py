"""What a broker may block for a position: an estimate without SPAN files, never an exact figure.

The clearing house takes the worst loss of a position over price and volatility scenarios, then adds exposure margin on
every short option and, on its expiry day, another add-on, which hedges do not reduce. Here the worst loss is that at
the earliest expiry within the price scan range, net of the premium: for a defined-risk structure whose wings lie in
the range, its defined risk. Scenarios further out count in part, as the clearing house's scenarios 15 and 16.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from option_baskets.pricing.payoff import Leg, Position, at_expiry

_NODES: Final = 201


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRates:
    """Fractions, not percentages."""

    exposure: float
    """Of the notional (spot x quantity) of every short option and every future."""
    expiry_day: float
    """Of the notional of every short option that expires today."""
    scan: float
    """How far the index may move, of its level."""
    extreme_scan: float
    """How much further it may move, in multiples of ``scan``."""
    extreme_share: float
    """The part of a loss out there that counts."""
    calendar_spread: float
    """The part of their mutual cover that legs expiring today and later ones keep: 1 all, 0 none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Rupees, all estimates."""

    risk: float
    """The worst loss, net of the premium received or paid."""
    exposure: float
    expiry_day: float
    credit: float
    """Net premium received, already taken off ``risk``."""

    @property
    def total(self) -> float:
        return self.risk + self.exposure + self.expiry_day

    @property
    def before_credit(self) -> float:
        """What is blocked until the premium received is credited."""
        return self.total + self.credit

    def __add__(self, other: "Margin") -> "Margin":
        return Margin(
            risk=self.risk + other.risk,
            exposure=self.exposure + other.exposure,
            expiry_day=self.expiry_day + other.expiry_day,
            credit=self.credit + other.credit,
        )


NOTHING = Margin(risk=0.0, exposure=0.0, expiry_day=0.0, credit=0.0)


def estimate(position: Position, rates: MarginRates) -> Margin:
    """The margin of legs held together: one account's on one underlying. Charges are no part of it."""
    short = [leg for leg in position.legs if leg.strike is not None and leg.quantity < 0]
    futures = [leg for leg in position.legs if leg.strike is None]
    expiring = [leg for leg in short if leg.expiring]
    return Margin(
        risk=_risk(position, rates),
        exposure=rates.exposure * position.spot * _units([*short, *futures]),
        expiry_day=rates.expiry_day * position.spot * _units(expiring),
        credit=max(position.premium, 0.0),
    )


def _risk(position: Position, rates: MarginRates) -> float:
    together = _worst(position, rates)
    today = tuple(leg for leg in position.legs if leg.expiring)
    later = tuple(leg for leg in position.legs if not leg.expiring)
    if not (today and later):
        return together
    apart = sum(_worst(replace(position, legs=legs), rates) for legs in (today, later))
    return rates.calendar_spread * together + (1.0 - rates.calendar_spread) * max(apart, together)


def _worst(position: Position, rates: MarginRates) -> float:
    near = _loss(position, rates.scan)
    return max(0.0, near, rates.extreme_share * _loss(position, rates.scan * rates.extreme_scan))


def _loss(position: Position, reach: float) -> float:
    """The worst loss at the earliest expiry, the index within ``reach`` of where it is."""
    low, high = position.spot * max(1.0 - reach, 0.0), position.spot * (1.0 + reach)
    kinks = position.kinks
    bends = 0 if position.is_piecewise_linear else _NODES
    levels = np.concatenate([[low, high], kinks[(kinks > low) & (kinks < high)], np.linspace(low, high, bends)])
    return -float(at_expiry(replace(position, charges=0.0), levels).min())


def _units(legs: Iterable[Leg]) -> float:
    return sum(abs(leg.quantity) for leg in legs)
