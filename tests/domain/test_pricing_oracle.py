"""Tables others have published, reproduced to their printed digits, by both kernels."""

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from option_baskets.pricing import black_scholes_merton, implied_volatility, normal, price_and_greeks
from option_baskets.pricing.kernels import Kernel

KERNELS: list[Kernel] = ["numpy", "numba"]
EPS = 2.0**-52


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


@pytest.mark.parametrize("kernel", KERNELS)
def test_haugs_43_values_to_their_four_decimals(shared: Path, kernel: Kernel) -> None:
    rows = table(shared / "data/oracle/haug1998_european_values.csv")
    spot, strike, years, vol, rate, dividend, value = (
        column(rows, name) for name in ("spot", "strike", "t", "vol", "r", "q", "value")
    )
    call = np.array([row["type"] == "Call" for row in rows])
    found = black_scholes_merton(spot, strike, years, vol, call, rate, dividend, kernel=kernel)
    assert len(rows) == 43
    assert np.max(np.abs(found.price - value)) <= 1e-4


@pytest.mark.parametrize("kernel", KERNELS)
def test_haugs_11_greeks_to_their_four_decimals(shared: Path, kernel: Kernel) -> None:
    rows = table(shared / "data/oracle/haug1998_european_greeks.csv")
    assert len(rows) == 11
    for row in rows:
        spot, strike, years, vol, rate, dividend, value = (
            float(row[name]) for name in ("spot", "strike", "t", "vol", "r", "q", "value")
        )
        found = black_scholes_merton(spot, strike, years, vol, row["type"] == "Call", rate, dividend, kernel=kernel)
        named = {
            "delta": found.spot_delta,
            "elasticity": found.spot_delta * spot / found.price,
            "gamma": found.gamma,
            "vega": found.vega,
            "theta": found.theta,
            "theta per day": found.theta / 365,
            "rho": found.rho,
            "dividendRho": -years * spot * found.spot_delta,
        }
        assert float(named[row["greek"]]) == pytest.approx(value, abs=1e-4), row


@pytest.mark.parametrize("kernel", KERNELS)
def test_py_vollibs_101_options_to_their_printed_digits(shared: Path, kernel: Kernel) -> None:
    raw = json.loads((shared / "data/oracle/py_vollib_black_scholes_test_data.json").read_text(encoding="utf-8"))
    data: dict[str, np.ndarray] = dict(zip(raw["columns"], np.array(raw["data"], dtype=float).T, strict=True))
    assert len(data["S"]) == 101
    for call, price, letter in ((True, "bs_call", "C"), (False, "bs_put", "P")):
        found = black_scholes_merton(data["S"], data["K"], data["t"], data["v"], call, data["R"], kernel=kernel)
        named = {
            price: found.price,
            f"{letter}D": found.spot_delta,
            f"{letter}G": found.gamma,
            f"{letter}T": found.theta,
            f"{letter}V": found.vega,
            f"{letter}R": found.rho,
        }
        for name, row in named.items():
            # Ten significant digits, nine after the point at most.
            assert np.all(np.abs(row - data[name]) <= 5.1e-7 + 1e-9 * np.abs(data[name])), name


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_thousand_prices_and_volatilities_of_lets_be_rational(shared: Path, kernel: Kernel) -> None:
    raw: dict[str, Any] = json.loads(
        gzip.decompress((shared / "data/oracle/lets_be_rational_TestValues.json.gz").read_bytes())
    )
    forward, strike, sigma, years, sign, z = (
        np.array([case[name] for case in raw["input"]], dtype=float) for name in ("F", "K", "sigma", "T", "q", "z")
    )
    expected = np.array([case["black"] for case in raw["output"]])
    found = price_and_greeks(forward, strike, years, sigma, sign > 0, kernel=kernel)
    assert len(expected) == 1000
    assert np.max(np.abs(found.price - expected) / forward) <= 1e-14

    back = implied_volatility(expected, forward, strike, years, sign > 0, kernel=kernel)
    value = expected - np.maximum(sign * (forward - strike), 0.0)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        lost = EPS * expected / (found.vega * sigma)
    kept = (value >= 1e-12 * forward) & (lost <= 1e-13)
    worst = np.max(np.abs(back / sigma - 1.0)[kept])
    print(f"{kernel}: {kept.sum()} of 1000 rows determine their volatility, worst {worst:.1e}")
    assert kept.sum() >= 850
    assert worst <= 1e-12
    # Where a double cannot hold the time value there is no answer, or one that reprices.
    other = ~kept & np.isfinite(back)
    repriced = price_and_greeks(forward, strike, years, back, sign > 0, kernel=kernel).price
    assert np.all(np.abs(repriced - expected)[other] <= 1e-12 * np.maximum(forward, strike)[other])

    distribution = np.array([case["norm_cdf"] for case in raw["output"]])
    assert np.max(np.abs(normal.cdf(z) / distribution - 1.0)) < 1e-13


def test_merton_is_the_forward_grown_at_rate_less_dividend() -> None:
    found = black_scholes_merton(100.0, 95.0, 0.5, 0.25, True, 0.08, 0.02)
    forward, discount = 100.0 * math.exp(0.06 * 0.5), math.exp(-0.08 * 0.5)
    assert found.price == price_and_greeks(forward, 95.0, 0.5, 0.25, True, discount).price
    assert float(found.spot_delta) == pytest.approx(float(found.forward_delta) * forward / 100.0, rel=1e-15)


@pytest.mark.parametrize("name", ["spot_delta", "gamma", "theta", "vega", "rho"])
def test_mertons_greeks_are_the_slopes_of_its_price(name: str) -> None:
    at = {"spot": 100.0, "strike": 105.0, "years": 0.7, "vol": 0.25, "rate": 0.07, "dividend": 0.03}
    found = float(getattr(black(at), name))
    moved = {"spot_delta": "spot", "gamma": "spot", "theta": "years", "vega": "vol", "rho": "rate"}[name]
    step = 1e-4 * at[moved]
    up, down = (black(at | {moved: at[moved] + way * step}) for way in (1, -1))
    of = "spot_delta" if name == "gamma" else "price"
    slope = float(getattr(up, of) - getattr(down, of)) / (2 * step) * (-1 if name == "theta" else 1)
    assert found == pytest.approx(slope, rel=1e-6)


def black(at: dict[str, float]) -> Any:
    return black_scholes_merton(at["spot"], at["strike"], at["years"], at["vol"], False, at["rate"], at["dividend"])
