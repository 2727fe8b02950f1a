"""Fit the polynomials of ``option_baskets.pricing.polynomials`` anew and print them.

Needs mpmath. Each is fitted at Chebyshev points in 50 digits, for least relative error, and rounded once to double.
"""

from collections.abc import Callable

import mpmath as mp

Function = Callable[[mp.mpf], mp.mpf]
HIGHEST = 40
"""Beyond 40 standard deviations a double's density is 0."""


def mills(z: mp.mpf) -> mp.mpf:
    return mp.sqrt(mp.pi / 2) * mp.erfc(z / mp.sqrt(2)) * mp.exp(z * z / 2)


def points(low: float, high: float, count: int) -> list[mp.mpf]:
    middle, half = (mp.mpf(low) + high) / 2, (mp.mpf(high) - low) / 2
    return [middle + half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def polynomial(function: Function, low: float, high: float, degree: int) -> list[mp.mpf]:
    """Lowest power first."""
    at = points(low, high, degree + 1)
    powers = mp.matrix([[x**j for j in range(degree + 1)] for x in at])
    return list(mp.lu_solve(powers, mp.matrix([function(x) for x in at])))


def rational(function: Function, degree: int) -> tuple[list[mp.mpf], list[mp.mpf]]:
    """P of ``degree`` over Q one higher on [0, HIGHEST]: least squares of the relative error, reweighted."""
    bend, count = 3.0, 160
    top = (HIGHEST - mp.mpf(bend)) / (HIGHEST + mp.mpf(bend))
    at = [bend * (1 + u) / (1 - u) for u in points(-1, top, count)]
    values, weights = [function(z) for z in at], [mp.mpf(1)] * count
    for _ in range(6):
        rows, right = [], []
        for z, value, weight in zip(at, values, weights, strict=True):
            scale = 1 / (value * weight)
            below = [-scale * value * z**j for j in range(1, degree + 2)]
            rows.append([scale * z**j for j in range(degree + 1)] + below)
            right.append(scale * value)
        found = list(mp.lu_solve(mp.matrix(rows), mp.matrix(right)))
        p, q = found[: degree + 1], [mp.mpf(1), *found[degree + 1 :]]
        weights = [mp.polyval(q[::-1], z) for z in at]
    return p, q


def show(name: str, coefficients: list[mp.mpf]) -> None:
    print(f"{name}: Final = (")
    for coefficient in coefficients:
        print(f"    {float(coefficient)!r},")
    print(")")


def main() -> None:
    mp.mp.dps = 50
    half = float(mp.log(2) / 2) * 1.0001
    show("EXP", polynomial(mp.exp, -half, half, 11))
    # log((1 + f) / (1 - f)) / f in f squared; f is at most 0.2.
    show("LOG_RATIO", polynomial(lambda y: 2 * mp.atanh(mp.sqrt(y)) / mp.sqrt(y) if y else mp.mpf(2), 0, 0.0401, 7))
    show("LOG_ROUGH", polynomial(lambda t: mp.log1p(t) / t if t else mp.mpf(1), -0.293, 0.4143, 9))
    show("EXPM1_ROUGH", polynomial(lambda x: mp.expm1(x) / x if x else mp.mpf(1), 0, 2.21, 9))
    for name, degree in (("MILLS", 9), ("MILLS_ROUGH", 4)):
        p, q = rational(mills, degree)
        show(f"{name}_P", p)
        show(f"{name}_Q", q)


if __name__ == "__main__":
    main()
