"""One expiry's option chain, from quotes to numbers: forward, volatilities, Greeks, and what they say together.

Prices are rupees per unit, strikes and forward index points, times years. nan means there is no price, and makes nan
of what depends on it. At ``years`` <= 0 no volatility exists: volatilities are nan, Greeks those of intrinsic value.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from option_baskets.pricing import Greeks, implied_greeks, price_and_greeks
from option_baskets.pricing.kernels import Flags, Floats

TARGET_DELTA = 0.25
"""Of the two options whose volatilities the risk reversal compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wing:
    """The calls or the puts, by strike. Greeks (`pricing.Greeks`) are per unit, each at its own volatility."""

    price: Floats
    volatility: Floats
    greeks: Greeks
    open_interest: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What one expiry's quotes say. A number is nan where the quotes do not say it."""

    strikes: Floats
    years: float
    discount: float
    forward: float
    calls: Wing
    puts: Wing
    smile: Floats
    """The volatility at each strike of the option out of the money."""
    at_the_money: int
    """Index of the strike nearest the forward; of two equally near, the lower."""
    volatility: float
    """Of the smile at the forward, between its two neighbours in a straight line."""
    straddle: float
    """Call and put at the money together."""
    risk_reversal: float
    """The call's volatility less the put's, both at a forward delta of 0.25."""
    slope: float
    """Of the smile, by least squares within one standard deviation of the forward, per standard deviation."""
    put_call_ratio: float
    """Open interest of puts over that of calls."""
    max_pain: float
    """The strike at which options are worth least to their holders together, by open interest; the lowest such."""


def analyse(
    strikes: ArrayLike,
    calls: ArrayLike,
    puts: ArrayLike,
    years: float,
    *,
    discount: float = 1.0,
    trust: ArrayLike = 1.0,
    forward: float = np.nan,
    call_interest: ArrayLike | None = None,
    put_interest: ArrayLike | None = None,
) -> Chain:
    """The chain of one expiry: ``strikes`` ascending, at least one, with the price of call and put at each.

    The forward comes from put-call parity, see ``parity_forward``, ``trust`` being its weights; ``forward`` stands in
    where no strike has both prices. Always computed by the NumPy kernel, so that results do not depend on what is
    installed.
    """
    strike = np.asarray(strikes, dtype=np.float64)
    prices = np.stack([np.broadcast_to(np.asarray(side, dtype=np.float64), strike.shape) for side in (calls, puts)])
    found = parity_forward(strike, *prices, discount=discount, trust=trust)
    level = forward if np.isnan(found) else found
    call, put = _wings(strike, prices, level, years, discount, (call_interest, put_interest))
    smile = np.where(strike < level, put.volatility, call.volatility)
    at_the_money = 0 if np.isnan(level) else int(np.argmin(np.abs(strike - level)))
    volatility = _between(level, strike, smile)
    return Chain(
        strikes=strike,
        years=years,
        discount=discount,
        forward=level,
        calls=call,
        puts=put,
        smile=smile,
        at_the_money=at_the_money,
        volatility=volatility,
        straddle=float(prices[0][at_the_money] + prices[1][at_the_money]),
        risk_reversal=_risk_reversal(strike, smile, level, years),
        slope=_slope(strike, smile, level, volatility, years),
        put_call_ratio=_put_call_ratio(call.open_interest, put.open_interest),
        max_pain=_max_pain(strike, call.open_interest, put.open_interest),
    )


def parity_forward(
    strikes: ArrayLike, calls: ArrayLike, puts: ArrayLike, *, discount: float = 1.0, trust: ArrayLike = 1.0
) -> float:
    """The forward: strike + (call - put) / discount, taken together over strikes so that stale prices have no say.

    The plain median finds where the money is; then a weighted median, a strike counting by ``trust`` (0: not at all)
    and less the further it lies from there, half at the distance of a straddle's price. Half the weight may be wrong
    before the answer is. nan where no strike with trust has both prices.
    """
    strike, call, put, weight = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (strikes, calls, puts, trust))
    )
    usable = np.isfinite(call) & np.isfinite(put) & (weight > 0.0)
    if not usable.any():
        return np.nan
    strike, call, put, weight = (each[usable] for each in (strike, call, put, weight))
    implied = strike + (call - put) / discount
    middle = _weighted_median(implied, weight)
    nearest = np.argsort(np.abs(strike - middle), kind="stable")[:5]
    width = max(float(np.median((call + put)[nearest])), 1e-12)
    return _weighted_median(implied, weight / (1.0 + ((strike - middle) / width) ** 2))


def rank(history: ArrayLike, now: float) -> float:
    """Where ``now`` lies between the lowest (0) and the highest (1) of ``history``, which may be left behind.

    nan without two different values.
    """
    values = np.asarray(history, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2 or values.min() == values.max():
        return np.nan
    return float((now - values.min()) / (values.max() - values.min()))


def percentile(history: ArrayLike, now: float) -> float:
    """The part of ``history`` below ``now``; nan without any."""
    values = np.asarray(history, dtype=np.float64)
    values = values[np.isfinite(values)]
    return float((values < now).mean()) if len(values) and np.isfinite(now) else np.nan


# ---------------------------------------------------------------- parts


def _wings(
    strike: Floats,
    prices: Floats,
    forward: float,
    years: float,
    discount: float,
    interest: tuple[ArrayLike | None, ArrayLike | None],
) -> list[Wing]:
    """Calls and puts, in one pass through the kernel."""
    is_call = np.asarray([[True], [False]])
    found = implied_greeks(prices, forward, strike, years, is_call, discount, kernel="numpy")
    volatility, of_volatility = found[0], found[1:]
    if not years > 0.0:
        none = np.where(np.isnan(prices), np.nan, 0.0)
        of_volatility = price_and_greeks(forward, strike, years, none, is_call, discount, kernel="numpy")[1:]
    return [
        Wing(
            price=prices[side],
            volatility=volatility[side],
            greeks=Greeks(prices[side], *(column[side] for column in of_volatility)),
            open_interest=None if units is None else np.asarray(units, dtype=np.float64),
        )
        for side, units in enumerate(interest)
    ]


def _weighted_median(values: Floats, weights: Floats) -> float:
    """The value with half the weight on either side; between two, their mean."""
    order = np.argsort(values, kind="stable")
    ranked, share = values[order], np.cumsum(weights[order])
    half = 0.5 * share[-1]
    low = int(np.searchsorted(share, half * (1.0 - 1e-12)))
    high = int(np.searchsorted(share, half * (1.0 + 1e-12)))
    return float(0.5 * (ranked[low] + ranked[min(high, len(ranked) - 1)]))


def _between(at: float, x: Floats, y: Floats) -> float:
    """``y`` at ``at`` on the line between the known neighbours; nan outside of them."""
    known = np.isfinite(y)
    if not known.any() or np.isnan(at):
        return np.nan
    return float(np.interp(at, x[known], y[known], left=np.nan, right=np.nan))


def _risk_reversal(strike: Floats, smile: Floats, forward: float, years: float) -> float:
    """Deltas come from the smile itself, so that one volatility belongs to a strike."""
    if not years > 0.0:
        return np.nan

    above = strike >= forward
    delta = np.abs(price_and_greeks(forward, strike, years, smile, above, kernel="numpy").delta)
    known = np.isfinite(delta)

    def wing(side: Flags) -> float:
        order = np.argsort(delta[side], kind="stable")
        return _between(TARGET_DELTA, delta[side][order], smile[side][order])

    return wing(known & above) - wing(known & ~above)


def _slope(strike: Floats, smile: Floats, forward: float, volatility: float, years: float) -> float:
    if not (years > 0.0 and volatility > 0.0):
        return np.nan
    distance = np.log(strike / forward) / (volatility * np.sqrt(years))
    near = np.isfinite(smile) & (np.abs(distance) <= 1.0)
    if near.sum() < 3:
        return np.nan
    off = distance[near] - distance[near].mean()
    return float((off * smile[near]).sum() / (off * off).sum())


def _put_call_ratio(calls: Floats | None, puts: Floats | None) -> float:
    if calls is None or puts is None or not np.nansum(calls) > 0.0:
        return np.nan
    return float(np.nansum(puts) / np.nansum(calls))


def _max_pain(strike: Floats, calls: Floats | None, puts: Floats | None) -> float:
    if calls is None or puts is None or not np.nansum(calls) + np.nansum(puts) > 0.0:
        return np.nan
    gain = strike[:, None] - strike[None, :]
    paid = np.maximum(gain, 0.0) @ np.nan_to_num(calls) + np.maximum(-gain, 0.0) @ np.nan_to_num(puts)
    return float(strike[np.argmin(paid)])
