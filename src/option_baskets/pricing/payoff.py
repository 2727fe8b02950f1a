"""Profit and loss of any mix of options and futures, of one or several expiries, at any level of the index.

A position settles at its horizon, the earliest expiry among its legs: legs expiring then are worth what they settle
at, later ones their Black-76 value. The basis of a leg (its forward less the spot) does not depend on the level and
shrinks in proportion to the time left. Money is rupees, levels are index points, times are years.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from option_baskets.pricing import price_and_greeks
from option_baskets.pricing.kernels import Flags, Floats
from option_baskets.pricing.normal import cdf

DAYS_A_YEAR: Final = 365.0
_LOWEST_FORWARD: Final = 1e-6
_SAME_TIME: Final = 1e-9
_NODES: Final = 801
"""Of the curve between kinks where a later leg bends it."""
_REACH: Final = 3.0
"""How far up, in multiples of spot or highest strike, a curve that ends level is searched for its extremes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One holding. ``strike`` None: a future, whose ``entry`` is an index level."""

    quantity: float
    """Units; negative: sold."""
    entry: float
    """Rupees per unit paid or received."""
    years: float
    """To its own expiry."""
    forward: float
    """Of its own expiry, now."""
    strike: float | None = None
    is_call: bool = True
    volatility: float = np.nan
    """A year; nan for a future."""
    expiring: bool = False
    """Today is its expiry day; only margins ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Legs held together. ``charges`` (rupees) are taken off every profit. At least one leg."""

    legs: tuple[Leg, ...]
    spot: float
    charges: float = 0.0
    rate: float = 0.0
    """Continuous, a year; discounts option values before expiry."""

    @property
    def horizon(self) -> float:
        """Years to the earliest expiry."""
        return min(leg.years for leg in self.legs)

    @property
    def premium(self) -> float:
        """Net option premium in rupees: above 0 it was received, below 0 paid."""
        return -sum(leg.quantity * leg.entry for leg in self.legs if leg.strike is not None)

    @property
    def kinks(self) -> Floats:
        """Strikes that settle at the horizon, ascending."""
        return np.unique([leg.strike for leg in self.legs if leg.strike is not None and self._settles(leg)])

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether no option outlives the horizon."""
        return all(leg.strike is None or self._settles(leg) for leg in self.legs)

    @property
    def slope_above(self) -> float:
        """Rupees per point far above every strike: calls and futures, whatever they expire."""
        return sum(leg.quantity for leg in self.legs if leg.strike is None or leg.is_call)

    def _settles(self, leg: Leg) -> bool:
        return leg.years <= self.horizon + _SAME_TIME


class Extremes(NamedTuple):
    """The best and the worst profit at the horizon, in rupees; ±inf where it is unbounded.

    The index cannot fall below 0, so a sold put's loss is bounded, by its value there.
    """

    best: float
    worst: float


class PositionGreeks(NamedTuple):
    """Of the whole position, in rupees: ``delta`` per point of the index (so: units of index), ``gamma`` per point
    squared, ``theta`` per calendar day at an unmoved forward, ``vega`` per volatility point (1 %). A future has no
    value."""

    value: float
    delta: float
    gamma: float
    theta: float
    vega: float


def profit(position: Position, levels: ArrayLike, *, after: float = 0.0, shift: float = 0.0) -> Floats:
    """Profit at each level of the index, ``after`` years from now, every volatility moved by ``shift`` (0.01: a point).

    Raises:
        ValueError: ``after`` lies beyond the horizon, where the profit would depend on the way there.
    """
    level = np.asarray(levels, dtype=np.float64)
    values = _values(position, level, after, shift)
    paid = sum(leg.quantity * leg.entry for leg in position.legs)
    return np.asarray(values - paid - position.charges)


def at_expiry(position: Position, levels: ArrayLike) -> Floats:
    """Profit at the horizon."""
    return profit(position, levels, after=position.horizon)


def break_evens(position: Position) -> Floats:
    """Levels, ascending, at which the profit at the horizon is 0: exact roots of straight pieces.

    Where a later leg bends the curve, roots are found to 1e-9 of the spot between 0 and three times the spot. Of a
    stretch that lies on 0, both ends.
    """
    nodes = _nodes(position)
    values = at_expiry(position, nodes)
    roots: list[float] = [float(node) for node, value in zip(nodes, values, strict=True) if value == 0.0]
    crossed = np.flatnonzero(values[:-1] * values[1:] < 0.0)
    for left in crossed:
        low, high = float(nodes[left]), float(nodes[left + 1])
        if position.is_piecewise_linear:
            slope = _slope(position, low)
            roots.append(low - float(values[left]) / slope)
        else:
            roots.append(_bisected(position, low, high))
    slope = position.slope_above
    if position.is_piecewise_linear and values[-1] * slope < 0.0:
        roots.append(float(nodes[-1]) - float(values[-1]) / slope)
    return np.unique(roots)


def extremes(position: Position) -> Extremes:
    """The best and the worst profit at the horizon; exact where it is piecewise linear.

    Otherwise the extremes between 0 and three times the spot, to a rupee in a hundred thousand.
    """
    nodes = _nodes(position)
    values = at_expiry(position, nodes)
    if not position.is_piecewise_linear:
        for index in (int(values.argmax()), int(values.argmin())):
            near = np.linspace(nodes[max(index - 1, 0)], nodes[min(index + 1, len(nodes) - 1)], _NODES)
            values = np.concatenate([values, at_expiry(position, near)])
    slope = position.slope_above
    return Extremes(
        best=np.inf if slope > 0 else float(values.max()), worst=-np.inf if slope < 0 else float(values.min())
    )


def probability_of_profit(position: Position, volatility: float, *, forward: float | None = None) -> float:
    """The chance of a profit above 0 at the horizon, where the index is lognormal around ``forward`` (default: that
    of the leg that expires first) with this volatility. A model's number: it knows no drift and no fat tail.
    nan without a volatility above 0, unless the horizon is now.
    """
    first = min(position.legs, key=lambda leg: leg.years)
    centre = first.forward if forward is None else forward
    years = position.horizon
    if years <= 0.0:
        return float(at_expiry(position, [position.spot])[0] > 0.0)
    if not (volatility > 0.0 and centre > 0.0):
        return np.nan
    edges = np.concatenate([[0.0], break_evens(position), [np.inf]])
    deviation = volatility * np.sqrt(years)
    with np.errstate(divide="ignore"):
        below = cdf((np.log(edges / centre) + 0.5 * deviation**2) / deviation)
    last = edges[-2] if len(edges) > 2 else position.spot
    inside = np.append(0.5 * (edges[:-2] + edges[1:-1]), last + position.spot)
    return float(np.diff(below)[at_expiry(position, inside) > 0.0].sum())


def greeks(position: Position, *, level: float | None = None, after: float = 0.0, shift: float = 0.0) -> PositionGreeks:
    """Value and sensitivities at a level (default: the spot), as ``profit`` sees them. Raises as it does."""
    at = position.spot if level is None else level
    grid = _grid(position, np.asarray([at]), after, shift)
    found = price_and_greeks(*grid[1:7], kernel="numpy")

    def total(per_unit: Floats, of_future: ArrayLike) -> float:
        return float((grid.quantity * np.where(grid.is_future, of_future, per_unit)).sum())

    return PositionGreeks(
        value=total(found.price, 0.0),
        delta=total(found.delta, 1.0),
        gamma=total(found.gamma, 0.0),
        theta=total(found.theta, 0.0) / DAYS_A_YEAR,
        vega=total(found.vega, 0.0) / 100.0,
    )


# ---------------------------------------------------------------- values


class _Grid(NamedTuple):
    """Legs down, levels across."""

    quantity: Floats
    forward: Floats
    strike: Floats
    years: Floats
    volatility: Floats
    is_call: Flags
    discount: Floats
    is_future: Flags


def _values(position: Position, level: Floats, after: float, shift: float) -> Floats:
    """What the legs are worth together at each level."""
    grid = _grid(position, level, after, shift)
    worth = np.maximum(np.where(grid.is_call, 1.0, -1.0) * (grid.forward - grid.strike), 0.0)
    worth = np.where(grid.is_future, grid.forward, worth)
    for row in np.flatnonzero(~grid.is_future & (grid.years > 0.0)):
        worth[row] = price_and_greeks(grid.forward[row], *(column[row] for column in grid[2:7]), kernel="numpy").price
    return np.asarray((grid.quantity * worth).sum(axis=0))


def _grid(position: Position, level: Floats, after: float, shift: float) -> _Grid:
    if after > position.horizon + _SAME_TIME:
        raise ValueError(
            f"{after * DAYS_A_YEAR:.2f} days lie beyond the earliest expiry, in {position.horizon * DAYS_A_YEAR:.2f}"
        )
    legs = position.legs
    years = _column(leg.years for leg in legs)
    left = np.where(years - after > _SAME_TIME, years - after, 0.0)
    basis = _column(leg.forward - position.spot for leg in legs)
    share = np.divide(left, years, out=np.zeros_like(left), where=years > 0.0)
    is_future = np.asarray([[leg.strike is None] for leg in legs])
    volatility = _column(leg.volatility for leg in legs) + shift
    return _Grid(
        quantity=_column(leg.quantity for leg in legs),
        forward=np.where(left > 0.0, np.maximum(level + basis * share, _LOWEST_FORWARD), level),
        strike=_column(leg.strike if leg.strike is not None else 1.0 for leg in legs),
        years=left,
        volatility=np.where(is_future, 1.0, np.maximum(volatility, 0.0)),
        is_call=np.asarray([[leg.is_call] for leg in legs]),
        discount=np.exp(-position.rate * left),
        is_future=is_future,
    )


def _column(values: Iterable[float]) -> Floats:
    return np.asarray(list(values), dtype=np.float64).reshape(-1, 1)


# ---------------------------------------------------------------- the shape at the horizon


def _nodes(position: Position) -> Floats:
    """Levels between which the curve is straight, or smooth; 0 first, the last above every strike."""
    strikes = [leg.strike for leg in position.legs if leg.strike is not None]
    if position.is_piecewise_linear:
        return np.unique(np.concatenate([[0.0], position.kinks, [max([position.spot, *strikes]) * 2.0]]))
    highest = _REACH * max(position.spot, *strikes)
    return np.unique(np.concatenate([np.linspace(0.0, highest, _NODES), position.kinks]))


def _slope(position: Position, level: float) -> float:
    """Of the straight piece that begins at ``level``, in rupees per point; exact, as quantities are whole."""
    slope = 0.0
    for leg in position.legs:
        if leg.strike is None or (leg.is_call and level >= leg.strike):
            slope += leg.quantity
        elif not leg.is_call and level < leg.strike:
            slope -= leg.quantity
    return slope


def _bisected(position: Position, low: float, high: float) -> float:
    rising = float(at_expiry(position, [high])[0]) > 0.0
    while high - low > 1e-9 * position.spot:
        middle = 0.5 * (low + high)
        above = float(at_expiry(position, [middle])[0]) > 0.0
        low, high = (low, middle) if above == rising else (middle, high)
    return 0.5 * (low + high)
