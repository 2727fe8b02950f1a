"""Volatility from price, for options on a forward.

NaN where no volatility fits: a price below intrinsic value or not below its upper bound (the discounted forward of a
call, strike of a put), a negative one, NaN anywhere, ``years`` <= 0, a forward, strike or discount that is not
positive. A price at intrinsic value within rounding gives 0. Nothing is raised.
"""

from typing import NamedTuple

from numpy.typing import ArrayLike

from option_baskets.pricing.kernels import Floats, Kernel, run


class ImpliedGreeks(NamedTuple):
    """The volatility a price implies and the first Greeks at it, defined as in ``black76.Greeks``."""

    volatility: Floats
    delta: Floats
    """Forward delta."""
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
    *,
    kernel: Kernel | None = None,
    threads: int = 1,
) -> Floats:
    """The volatility, per square root of a year, at which the model gives ``price``.

    ``kernel`` and ``threads`` as in ``black76.price_and_greeks``.
    """
    return run("volatility", kernel, threads, is_call, price, forward, strike, years, discount)[0]


def implied_greeks(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    is_call: ArrayLike,
    discount: ArrayLike = 1.0,
    *,
    kernel: Kernel | None = None,
    threads: int = 1,
) -> ImpliedGreeks:
    """A chain in one pass: implied volatility and, at it, the Greeks. NaN volatility: NaN Greeks."""
    return ImpliedGreeks(
        *run("volatility_and_greeks", kernel, threads, is_call, price, forward, strike, years, discount)
    )
