"""Black-76 in 50 digits, and seeded samples of options to compare it on. OPTION_BASKETS_FUZZ=n: n times as many."""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MINUTE = 1 / (365 * 24 * 60)
TIMES = int(os.environ.get("OPTION_BASKETS_FUZZ", "1"))
DENSITY = 1 / math.sqrt(2 * math.pi)
"""Of a standard normal at 0."""


class Options(NamedTuple):
    """In the order of the arguments of ``price_and_greeks``."""

    forward: Floats
    strike: Floats
    years: Floats
    vol: Floats
    is_call: NDArray[np.bool_]
    discount: Floats


def everywhere(count: int, seed: int) -> Options:
    """Moneyness 0.5 to 2, one minute to two years, volatility 1 % to 300 %; half of them within five deviations."""
    random = np.random.default_rng(seed)
    count *= TIMES
    forward = random.uniform(100.0, 90_000.0, count)
    years = np.exp(random.uniform(math.log(MINUTE), math.log(2.0), count))
    vol = np.exp(random.uniform(math.log(0.01), math.log(3.0), count))
    anywhere = random.uniform(-math.log(2), math.log(2), count)
    near = np.clip(random.uniform(-5, 5, count) * vol * np.sqrt(years), -math.log(2), math.log(2))
    log_moneyness = np.where(random.random(count) < 0.5, near, anywhere)
    rate = np.where(random.random(count) < 0.5, 0.0, random.uniform(-0.02, 0.12, count))
    return Options(
        forward,
        forward * np.exp(log_moneyness),
        years,
        vol,
        random.random(count) < 0.5,
        np.exp(-rate * years),
    )


def exactly(formula: Callable[..., tuple[Any, ...]], options: Options) -> Floats:
    """``formula`` of every option in 50 digits, rounded once: a row a result."""
    with mpmath.workdps(50):
        rows = [
            [float(x) for x in formula(*(mpmath.mpf(float(number)) for number in numbers), bool(call))]
            for *numbers, call in zip(*options[:4], options.discount, options.is_call, strict=True)
        ]
    return np.array(rows).T


def black(f: Any, k: Any, t: Any, vol: Any, d: Any, call: bool) -> tuple[Any, ...]:
    """Price, delta, gamma, theta, vega, rho, vanna, volga, charm, as textbooks write them."""
    root, sign = mpmath.sqrt(t), 1 if call else -1
    d1 = mpmath.log(f / k) / (vol * root) + vol * root / 2
    d2 = d1 - vol * root
    density, rate = mpmath.npdf(d1), -mpmath.log(d) / t
    price = d * sign * (f * mpmath.ncdf(sign * d1) - k * mpmath.ncdf(sign * d2))
    delta = d * sign * mpmath.ncdf(sign * d1)
    vega = d * f * density * root
    return (
        price,
        delta,
        d * density / (f * vol * root),
        -d * f * density * vol / (2 * root) + rate * price,
        vega,
        -t * price,
        -d * density * d2 / vol,
        vega * d1 * d2 / vol,
        rate * delta + d * density * d2 / (2 * t),
    )


def scales(options: Options) -> dict[str, Floats]:
    """The size a Greek has at the money; with a rate, plus the rate's share in what it multiplies."""
    forward, _, years, vol, _, discount = options
    root, rate = np.sqrt(years), np.abs(np.log(discount)) / years
    worth = forward * discount
    return {
        "delta": discount,
        "gamma": DENSITY * discount / (forward * vol * root),
        "theta": DENSITY * worth * vol / (2 * root) + rate * worth,
        "vega": DENSITY * worth * root,
        "rho": years * worth,
        "vanna": DENSITY * discount / vol,
        "volga": DENSITY * worth * root / vol,
        "charm": DENSITY * discount / (2 * years) + rate * discount,
    }
