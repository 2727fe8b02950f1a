"""Implied volatility: there and back in 50 digits, what has none, and prices at intrinsic value."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from option_baskets.pricing import implied_greeks, implied_volatility, price_and_greeks
from option_baskets.pricing.kernels import Kernel
from tests.domain.exact import Floats, Options, black, everywhere, exactly

KERNELS: list[Kernel] = ["numpy", "numba"]
EPS = 2.0**-52


def qualified(options: Options, price: Floats, vega: Floats) -> np.ndarray:
    """Where a double's price still determines the volatility to 1e-12: the two conditions of docs/pricing.md."""
    forward, strike, _, vol, is_call, discount = options
    value = price - discount * np.maximum(np.where(is_call, forward - strike, strike - forward), 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lost = EPS * price / (vega * vol)
    return np.asarray((value >= 1e-12 * forward) & (lost <= 1e-13))


def well_posed(count: int, seed: int) -> Options:
    """Options a market quotes: within five deviations out of the money, one in the money."""
    options = everywhere(count, seed)
    random = np.random.default_rng(seed + 1)
    count = len(options.forward)
    deviation = options.vol * np.sqrt(options.years)
    away = np.where(random.random(count) < 0.8, random.uniform(0, 5, count), random.uniform(-1, 0, count))
    distance = np.clip(away * deviation, -math.log(2), math.log(2))
    strike = options.forward * np.exp(np.where(options.is_call, distance, -distance))
    return options._replace(strike=strike)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("draw", "seed", "share"), [(well_posed, 4, 0.8), (everywhere, 5, 0.3)])
def test_the_volatility_of_an_exact_price_comes_back_to_1e_12(
    kernel: Kernel, draw: Callable[[int, int], Options], seed: int, share: float
) -> None:
    options = draw(2_000, seed)
    exact = exactly(black, options)
    chosen = qualified(options, exact[0], exact[4])
    found = implied_volatility(exact[0], *options[:3], *options[4:], kernel=kernel)
    worst = np.max(np.abs(found / options.vol - 1.0)[chosen])
    print(f"{kernel}, {draw.__name__}: {chosen.sum()} of {len(chosen)} points qualify, worst {worst:.1e}")
    assert chosen.mean() >= share
    assert worst <= 1e-12


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_volatility_of_our_own_price_comes_back_to_1e_12(kernel: Kernel) -> None:
    options = everywhere(200_000, seed=6)
    found = price_and_greeks(*options, kernel=kernel)
    chosen = qualified(options, found.price, found.vega)
    back = implied_volatility(found.price, *options[:3], *options[4:], kernel=kernel)
    worst = np.max(np.abs(back / options.vol - 1.0)[chosen])
    print(f"{kernel}: {chosen.sum()} of {len(chosen)} points qualify, worst {worst:.1e}")
    assert chosen.sum() >= 60_000
    assert worst <= 1e-12


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_time_value_of_1e_250_still_gives_its_volatility(kernel: Kernel) -> None:
    random = np.random.default_rng(7)
    vol, years = random.uniform(0.05, 1.0, 400), random.uniform(0.01, 1.0, 400)
    strike = 100.0 * np.exp(random.uniform(6, 33, 400) * vol * np.sqrt(years))
    options = Options(np.full(400, 100.0), strike, years, vol, np.ones(400, bool), np.ones(400))
    exact = exactly(lambda *option: black(*option)[:1], options)[0]
    found = implied_volatility(exact, *options[:3], True, kernel=kernel)
    chosen = exact >= 1e-250
    assert chosen.sum() >= 300
    assert np.max(np.abs(found / vol - 1.0)[chosen]) <= 1e-12


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_deep_call_gives_the_volatility_of_the_put_beside_it(kernel: Kernel) -> None:
    strike = np.linspace(15_000, 24_000, 200)
    put = price_and_greeks(25_000.0, strike, 0.1, 0.25, False)
    call = price_and_greeks(25_000.0, strike, 0.1, 0.25, True)
    from_put = implied_volatility(put.price, 25_000.0, strike, 0.1, False, kernel=kernel)
    from_call = implied_volatility(call.price, 25_000.0, strike, 0.1, True, kernel=kernel)
    assert np.max(np.abs(from_put / 0.25 - 1.0)) <= 1e-13
    # A call's price is known to half a unit in its last place; over vega that is what its volatility can be off.
    assert np.all(np.abs(from_call - 0.25) <= 2 * EPS * call.price / call.vega + 1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("discount", [1.0, 0.96])
def test_a_price_at_intrinsic_value_gives_zero_not_a_spurious_volatility(kernel: Kernel, discount: float) -> None:
    random = np.random.default_rng(8)
    forward, strike = random.uniform(10_000, 30_000, 5_000), random.uniform(10_000, 30_000, 5_000)
    for is_call in (True, False):
        intrinsic = discount * np.maximum(forward - strike if is_call else strike - forward, 0.0)
        found = implied_volatility(intrinsic, forward, strike, 0.02, is_call, discount, kernel=kernel)
        assert found.tolist() == [0.0] * len(found)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "impossible",
    [
        {"price": 9.9, "strike": 90.0}, {"price": -1e-9}, {"price": -5.0}, {"price": 100.0}, {"price": 250.0},
        {"price": math.nan}, {"price": math.inf}, {"years": 0.0}, {"years": -1.0}, {"years": math.nan},
        {"forward": 0.0}, {"forward": -100.0}, {"forward": math.nan}, {"forward": math.inf}, {"strike": 0.0},
        {"strike": -1.0}, {"strike": math.nan}, {"discount": 0.0}, {"discount": -1.0}, {"discount": math.nan},
    ],
)  # fmt: skip
def test_what_no_volatility_explains_is_nan_and_leaves_its_neighbours_alone(
    kernel: Kernel, impossible: dict[str, float]
) -> None:
    good = {"price": 2.0, "forward": 100.0, "strike": 105.0, "years": 0.5, "discount": 1.0}
    price, forward, strike, years, discount = ([value, impossible.get(name, value)] for name, value in good.items())
    found = implied_volatility(price, forward, strike, years, True, discount, kernel=kernel)
    assert math.isclose(found[0], float(implied_volatility(2.0, 100.0, 105.0, 0.5, True)), rel_tol=1e-14)
    assert math.isnan(found[1])
    for row in implied_greeks(price, forward, strike, years, True, discount, kernel=kernel):
        assert not math.isnan(row[0])
        assert math.isnan(row[1])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_put_is_bounded_by_its_strike_and_not_by_the_forward(kernel: Kernel) -> None:
    found = implied_volatility([104.9, 105.0, 120.0], 150.0, 105.0, 1.0, False, kernel=kernel)
    assert found[0] > 5.0
    assert np.isnan(found[1:]).all()
    repriced = price_and_greeks(150.0, 105.0, 1.0, found[0], False).price
    assert float(repriced) == pytest.approx(104.9, rel=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_fused_greeks_are_those_at_the_implied_volatility(kernel: Kernel) -> None:
    options = well_posed(20_000, seed=9)
    price = price_and_greeks(*options).price
    fused = implied_greeks(price, *options[:3], *options[4:], kernel=kernel)
    apart = price_and_greeks(*options[:3], fused.volatility, *options[4:], kernel=kernel)
    assert np.array_equal(fused.volatility, implied_volatility(price, *options[:3], *options[4:], kernel=kernel))
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        one, other = getattr(fused, name), getattr(apart, name)
        chosen = qualified(options, price, apart.vega)
        assert np.allclose(one[chosen], other[chosen], rtol=1e-10, atol=1e-13 * np.max(np.abs(other[chosen]))), name
