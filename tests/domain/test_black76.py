"""Black-76 and the normal distribution under it, against the standard library and published tables."""

import csv
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from option_baskets.pricing import normal, price_and_greeks


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


def test_without_time_or_volatility_an_option_is_worth_what_exercise_gives() -> None:
    strikes = np.array([90.0, 100.0, 110.0])
    for volatility, years in ((0.2, 0.0), (0.0, 1.0), (0.2, -0.1), (1e-9, 1e-9)):
        assert np.allclose(
            price_and_greeks(100.0, strikes, years, volatility, True).price, [10.0, 0.0, 0.0], atol=1e-11
        )
        assert np.allclose(
            price_and_greeks(100.0, strikes, years, volatility, False).price, [0.0, 0.0, 10.0], atol=1e-11
        )


def test_put_call_parity_is_exact_however_deep_the_strike() -> None:
    strikes = np.linspace(10_000, 40_000, 601)
    calls = price_and_greeks(25_000.0, strikes, 0.02, 0.14, True, math.exp(-0.06 * 0.02)).price
    puts = price_and_greeks(25_000.0, strikes, 0.02, 0.14, False, math.exp(-0.06 * 0.02)).price
    assert np.allclose(calls - puts, math.exp(-0.06 * 0.02) * (25_000.0 - strikes), rtol=1e-14, atol=1e-10)


def test_a_scalar_call_gives_a_scalar_shape() -> None:
    assert price_and_greeks(100, 100, 1.0, 0.2, True).price.shape == ()
    assert float(price_and_greeks(100, 100, 1.0, 0.2, True).price) == pytest.approx(7.965567455405804, rel=1e-13)


def test_haugs_published_values(shared: Path) -> None:
    with (shared / "data/oracle/haug1998_european_values.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 43
    for row in rows:
        spot, q, r, t = (float(row[name]) for name in ("spot", "q", "r", "t"))
        forward = spot * math.exp((r - q) * t)
        call = row["type"].lower().startswith("c")
        value = float(
            price_and_greeks(forward, float(row["strike"]), t, float(row["vol"]), call, math.exp(-r * t)).price
        )
        assert value == pytest.approx(float(row["value"]), abs=1e-4), row


def test_a_thousand_prices_of_the_reference_implementation(shared: Path) -> None:
    table = json.loads(gzip.decompress((shared / "data/oracle/lets_be_rational_TestValues.json.gz").read_bytes()))
    forward, strike, sigma, years, sign, z = (
        np.array([case[name] for case in table["input"]], dtype=float) for name in ("F", "K", "sigma", "T", "q", "z")
    )
    expected = np.array([case["black"] for case in table["output"]])
    found = price_and_greeks(forward, strike, years, sigma, sign > 0).price
    assert len(found) == 1000
    assert np.max(np.abs(found - expected)) < 1e-11
    distribution = np.array([case["norm_cdf"] for case in table["output"]])
    assert np.max(np.abs(normal.cdf(z) / distribution - 1.0)) < 1e-13
