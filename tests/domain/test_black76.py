"""Black-76 and its derivatives against 50-digit arithmetic, at its limits, and against impossible input."""

import math

import numpy as np
import pytest

from option_baskets.pricing import Greeks, HigherGreeks, black76, higher_greeks, normal, price_and_greeks
from option_baskets.pricing.kernels import Kernel
from tests.domain.exact import Options, black, everywhere, exactly, scales

KERNELS: list[Kernel] = ["numpy", "numba"]


@pytest.fixture(scope="module")
def sample() -> Options:
    return everywhere(2_400, seed=76)


@pytest.fixture(scope="module")
def truth(sample: Options) -> dict[str, np.ndarray]:
    names = (*Greeks._fields, *HigherGreeks._fields)
    return dict(zip(names, exactly(black, sample), strict=True))


@pytest.mark.parametrize("kernel", KERNELS)
def test_prices_are_exact_to_1e_14_of_the_forward(
    sample: Options, truth: dict[str, np.ndarray], kernel: Kernel
) -> None:
    found = price_and_greeks(*sample, kernel=kernel)
    worst = np.max(np.abs(found.price - truth["price"]) / sample.forward)
    print(f"{kernel}: {len(sample.forward)} prices, worst {worst:.1e} of the forward")
    assert worst <= 1e-14


@pytest.mark.parametrize("kernel", KERNELS)
def test_first_greeks_are_exact_to_1e_12_of_their_size_at_the_money(
    sample: Options, truth: dict[str, np.ndarray], kernel: Kernel
) -> None:
    found = price_and_greeks(*sample, kernel=kernel)._asdict()
    check({name: found[name] for name in Greeks._fields[1:]}, truth, sample)


def test_higher_greeks_are_exact_to_1e_12_of_their_size_at_the_money(
    sample: Options, truth: dict[str, np.ndarray]
) -> None:
    check(higher_greeks(*sample)._asdict(), truth, sample)


def check(found: dict[str, np.ndarray], truth: dict[str, np.ndarray], sample: Options) -> None:
    size = scales(sample)
    worst = {name: float(np.max(np.abs(row - truth[name]) / size[name])) for name, row in found.items()}
    print(", ".join(f"{name} {error:.1e}" for name, error in worst.items()))
    assert max(worst.values()) <= 1e-12, worst


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_out_of_the_money_price_keeps_its_digits_however_small(sample: Options, kernel: Kernel) -> None:
    otm = sample._replace(is_call=sample.strike >= sample.forward)
    exact = exactly(lambda *option: black(*option)[:1], otm)[0]
    found = price_and_greeks(*otm, kernel=kernel).price
    kept = (exact >= 1e-290) & (otm.vol * np.sqrt(otm.years) >= 0.01)
    worst = np.max(np.abs(found[kept] / exact[kept] - 1.0))
    print(f"{kernel}: {kept.sum()} prices down to {exact[kept].min():.0e}, worst {worst:.1e}")
    assert worst <= 1e-11


@pytest.mark.parametrize("kernel", KERNELS)
def test_put_call_parity_is_exact_however_deep_the_strike(kernel: Kernel) -> None:
    strikes, discount = np.linspace(10_000, 40_000, 601), math.exp(-0.06 * 0.02)
    calls = price_and_greeks(25_000.0, strikes, 0.02, 0.14, True, discount, kernel=kernel)
    puts = price_and_greeks(25_000.0, strikes, 0.02, 0.14, False, discount, kernel=kernel)
    assert np.allclose(calls.price - puts.price, discount * (25_000.0 - strikes), rtol=1e-14, atol=1e-10)
    assert np.allclose(calls.delta - puts.delta, discount, rtol=1e-15)
    for name in ("gamma", "vega"):
        assert np.array_equal(getattr(calls, name), getattr(puts, name))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("vol", "years"), [(0.2, 0.0), (0.0, 1.0), (0.2, -0.1), (1e-200, 1e-200)])
def test_without_time_or_volatility_an_option_is_what_exercise_gives(kernel: Kernel, vol: float, years: float) -> None:
    strikes = np.array([90.0, 100.0, 110.0, 0.0])
    calls = price_and_greeks(100.0, strikes, years, vol, True, 0.9, kernel=kernel)
    puts = price_and_greeks(100.0, strikes, years, vol, False, 0.9, kernel=kernel)
    assert np.allclose(calls.price, [9.0, 0.0, 0.0, 90.0], rtol=0.0, atol=1e-290)
    assert np.allclose(puts.price, [0.0, 0.0, 9.0, 0.0], rtol=0.0, atol=1e-290)
    assert np.allclose(calls.delta, [0.9, 0.45, 0.0, 0.9], atol=1e-15)
    assert np.allclose(puts.delta, [0.0, -0.45, -0.9, 0.0], atol=1e-15)
    assert np.all(calls.vega <= 1e-90)
    off = [0, 2, 3]
    assert calls.gamma[off].tolist() == [0.0, 0.0, 0.0]
    for row in (*calls, *puts):
        assert not np.isnan(row).any()


@pytest.mark.parametrize("kernel", KERNELS)
def test_at_a_volatility_without_bound_a_call_is_worth_its_forward_and_a_put_its_strike(kernel: Kernel) -> None:
    call, put = (
        price_and_greeks(100.0, 80.0, 1.0, [1e3, 1e300, math.inf], c, 0.9, kernel=kernel) for c in (True, False)
    )
    assert call.price.tolist() == [90.0] * 3
    assert put.price.tolist() == [72.0] * 3
    assert call.delta.tolist() == [0.9] * 3
    assert call.vega.tolist() == [0.0] * 3


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "impossible",
    [
        {"forward": -1.0}, {"strike": -1.0}, {"vol": -0.1}, {"discount": 0.0}, {"discount": -1.0},
        {"forward": math.inf}, {"forward": math.nan}, {"strike": math.nan}, {"years": math.nan}, {"vol": math.nan},
        {"discount": math.nan},
    ],
)  # fmt: skip
def test_impossible_input_gives_nan_and_leaves_its_neighbours_alone(
    kernel: Kernel, impossible: dict[str, float]
) -> None:
    good = {"forward": 100.0, "strike": 105.0, "years": 0.5, "vol": 0.3, "discount": 0.97}
    forward, strike, years, vol, discount = ([value, impossible.get(name, value)] for name, value in good.items())
    expected = price_and_greeks(100.0, 105.0, 0.5, 0.3, True, 0.97, kernel="numpy")
    found = price_and_greeks(forward, strike, years, vol, True, discount, kernel=kernel)
    for row, wanted in zip(found, expected, strict=True):
        assert math.isclose(row[0], wanted, rel_tol=1e-13)
        assert math.isnan(row[1])
    for row in higher_greeks(forward, strike, years, vol, True, discount):
        assert not math.isnan(row[0])
        assert math.isnan(row[1])


def test_forward_and_spot_delta_differ_by_the_ratio_of_forward_to_spot() -> None:
    found = price_and_greeks(102.0, 100.0, 0.5, 0.2, True, 0.97)
    assert found.spot_delta(102.0, 100.0) == pytest.approx(found.delta * 1.02)


def test_shapes_broadcast_and_a_scalar_stays_one() -> None:
    grid = price_and_greeks(100.0, np.linspace(90, 110, 5), np.array([[0.1], [0.2], [0.3]]), 0.2, True)
    assert grid.price.shape == (3, 5)
    assert price_and_greeks(100, 100, 1.0, 0.2, True).price.shape == ()
    assert float(price_and_greeks(100, 100, 1.0, 0.2, True).price) == pytest.approx(7.965567455405804, rel=1e-15)
    assert price_and_greeks(100.0, [], 1.0, 0.2, True).price.shape == (0,)
    with pytest.raises(ValueError, match="shape mismatch"):
        price_and_greeks([1.0, 2.0], [1.0, 2.0, 3.0], 1.0, 0.2, True)


def test_the_simulators_price_of_a_deviation_is_the_undiscounted_price(sample: Options) -> None:
    found = black76.price_of(sample.forward, sample.strike, sample.vol * np.sqrt(sample.years), sample.is_call)
    assert np.max(np.abs(found - price_and_greeks(*sample[:5]).price) / sample.forward) <= 1e-14


def test_erfc_agrees_with_the_standard_library_into_both_tails() -> None:
    points = np.concatenate([np.linspace(-6, 26, 20_001), [0.0, -0.0, 0.46875, 4.0, -0.46875, -4.0, 1e-300]])
    expected = np.array([math.erfc(x) for x in points.tolist()])
    assert np.max(np.abs(normal.erfc(points) / expected - 1.0)) < 1e-13


def test_erfc_at_the_ends_of_the_line() -> None:
    ends = normal.erfc([-math.inf, math.inf, -40.0, 40.0, math.nan])
    assert ends[:4].tolist() == [2.0, 0.0, 2.0, 0.0]
    assert math.isnan(ends[4])


def test_the_density_is_the_slope_of_the_distribution() -> None:
    points = np.linspace(-5, 5, 101)
    slope = (normal.cdf(points + 1e-5) - normal.cdf(points - 1e-5)) / 2e-5
    assert np.allclose(slope, normal.pdf(points), atol=1e-10)
