"""What both kernels promise alike, and which one computes when."""

import subprocess
import sys

import numpy as np
import pytest

from option_baskets.pricing import implied_greeks, implied_volatility, kernels, price_and_greeks
from option_baskets.pricing.kernels import BULK, Kernel
from tests.domain.exact import Options, everywhere, scales

KERNELS: list[Kernel] = ["numpy", "numba"]
OPTIONS = everywhere(10_000, seed=3)


def cut(options: Options, part: slice) -> Options:
    forward, strike, years, vol, is_call, discount = options
    return Options(forward[part], strike[part], years[part], vol[part], is_call[part], discount[part])


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_kernels_agree_to_the_last_digits() -> None:
    ours, theirs = (price_and_greeks(*OPTIONS, kernel=kernel) for kernel in KERNELS)
    size = scales(OPTIONS) | {"price": OPTIONS.forward}
    for name in ours._fields:
        gap = np.max(np.abs(getattr(ours, name) - getattr(theirs, name)) / size[name])
        assert gap <= 2e-15, name
    ours_back, theirs_back = (
        implied_volatility(ours.price, *OPTIONS[:3], *OPTIONS[4:], kernel=kernel) for kernel in KERNELS
    )
    assert np.array_equal(np.isnan(ours_back), np.isnan(theirs_back))
    assert np.array_equal(ours_back == 0.0, theirs_back == 0.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_option_gets_the_same_bits_alone_in_a_block_and_as_a_broadcast(kernel: Kernel) -> None:
    whole = price_and_greeks(*OPTIONS, kernel=kernel)
    chain = implied_greeks(whole.price, *OPTIONS[:3], *OPTIONS[4:], kernel=kernel)
    for part in (slice(0, 1), slice(5, 12), slice(255, 513), slice(4095, 4099), slice(9_990, 10_000)):
        piece = cut(OPTIONS, part)
        for row, of_all in zip(price_and_greeks(*piece, kernel=kernel), whole, strict=True):
            assert np.array_equal(row, of_all[part])
        again = implied_greeks(whole.price[part], *piece[:3], *piece[4:], kernel=kernel)
        for row, of_all in zip(again, chain, strict=True):
            assert np.array_equal(row, of_all[part], equal_nan=True)
    strikes = np.linspace(90.0, 110.0, 300)
    one = price_and_greeks(100.0, strikes, 0.1, 0.2, True, 0.99, kernel=kernel)
    columns = [np.full(300, number) for number in (100.0, 0.1, 0.2, 0.99)]
    full = price_and_greeks(columns[0], strikes, columns[1], columns[2], [True] * 300, columns[3], kernel=kernel)
    for row, other in zip(one, full, strict=True):
        assert np.array_equal(row, other)


@pytest.mark.parametrize("kernel", KERNELS)
def test_columns_need_not_be_contiguous_or_float64(kernel: Kernel) -> None:
    strikes = np.arange(20_000, 30_000, 25)
    every_other = price_and_greeks(25_000, strikes[::2], np.float32(0.125), 0.25, [True] * 200, kernel=kernel)
    plain = price_and_greeks(25_000.0, strikes[::2].astype(float).copy(), 0.125, 0.25, True, kernel=kernel)
    assert np.array_equal(every_other.price, plain.price)


def test_threads_change_no_bit() -> None:
    one, two = (price_and_greeks(*OPTIONS, kernel="numba", threads=threads) for threads in (1, 2))
    for row, other in zip(one, two, strict=True):
        assert np.array_equal(row, other)
    first, third = (
        implied_volatility(one.price, *OPTIONS[:3], *OPTIONS[4:], kernel="numba", threads=threads) for threads in (1, 3)
    )
    assert np.array_equal(first, third, equal_nan=True)


def test_numba_takes_over_by_itself_from_the_size_where_it_pays() -> None:
    assert kernels.suited(1_000) == kernels.suited(BULK - 1) == "numpy"
    assert kernels.suited(BULK) == "numba"
    strikes = np.linspace(20_000.0, 30_000.0, BULK)
    by_itself = price_and_greeks(25_000.0, strikes, 0.1, 0.2, True)
    asked_for = price_and_greeks(25_000.0, strikes, 0.1, 0.2, True, kernel="numba")
    assert np.array_equal(by_itself.price, asked_for.price)


def test_a_small_chain_imports_neither_numba_nor_scipy() -> None:
    loaded = run_python(
        "import sys; from option_baskets.pricing import implied_greeks as g; g([5.0] * 1000, 100.0, 101.0, 0.5, True);"
        "print(sorted({'numba', 'scipy', 'llvmlite'} & sys.modules.keys()))"
    )
    assert loaded == "[]"


def test_without_numba_large_arrays_go_to_numpy_and_asking_for_numba_says_what_is_missing() -> None:
    said = run_python(
        "import sys; sys.modules['numba'] = None  # as if it were not installed\n"
        "from option_baskets.pricing import price_and_greeks\n"
        "print(len(price_and_greeks(100.0, [101.0] * 30000, 0.5, 0.2, True).price))\n"
        "try:\n    price_and_greeks(100.0, 101.0, 0.5, 0.2, True, kernel='numba')\n"
        "except ModuleNotFoundError as missing:\n    print(missing.name)"
    )
    assert said.split() == ["30000", "numba"]
