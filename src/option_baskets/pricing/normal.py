"""The normal distribution for NumPy arrays, accurate far into both tails.

W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969) 631-637, with the
coefficients of his routine CALERF (netlib, specfun). The error stays near one unit in the last place up to |x| = 26,
where erfc leaves the range of a double.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SQRT_HALF: Final = 0.7071067811865475244
_INVERSE_SQRT_PI: Final = 0.56418958354775628695
_INVERSE_SQRT_2PI: Final = 0.39894228040143267794
_NEAR: Final = 0.46875
_FAR: Final = 4.0

# Highest power first. |x| <= 0.46875: erf(x) = x A(x^2) / B(x^2).
_A = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
# 0.46875 < x <= 4: erfc(x) = exp(-x^2) C(x) / D(x).
_C = (
    *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1),
    *(2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3),
    1.23033935479799725e3,
)
_D = (
    *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862021880e2, 1.62138957456669019e3),
    *(3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)
# x > 4: erfc(x) = exp(-x^2) / x (1 / sqrt(pi) - P(1 / x^2) / (x^2 Q(1 / x^2))).
_P = (
    *(1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1),
    *(1.60837851487422766e-2, 6.58749161529837803e-4),
)
_Q = (
    *(1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2),
    2.33520497626869185e-3,
)


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value


def _exp_minus_square(x: Floats) -> Floats:
    """exp(-x^2) without the rounding error of x^2, which the exponential would multiply by x^2."""
    rough = np.trunc(x * 16.0) / 16.0
    rest: Floats = (x - rough) * (x + rough)
    return np.asarray(np.exp(-rough * rough) * np.exp(-rest))


def erfc(x: ArrayLike) -> Floats:
    """The complementary error function, elementwise; at least one-dimensional arrays come back in their shape."""
    values = np.asarray(x, dtype=np.float64)
    size = np.abs(values)
    result = np.empty_like(size)

    near = size <= _NEAR
    if near.any():
        inner = values[near]
        square = inner * inner
        result[near] = 1.0 - inner * _polynomial(_A, square) / _polynomial(_B, square)

    middle = ~near & (size <= _FAR)
    if middle.any():
        inner = size[middle]
        result[middle] = _exp_minus_square(inner) * _polynomial(_C, inner) / _polynomial(_D, inner)

    far = size > _FAR
    if far.any():
        inner = np.minimum(size[far], 30.0)
        square = 1.0 / (inner * inner)
        tail = square * _polynomial(_P, square) / _polynomial(_Q, square)
        result[far] = _exp_minus_square(inner) * (_INVERSE_SQRT_PI - tail) / inner

    result[np.isnan(values)] = np.nan
    mirrored = values < -_NEAR
    result[mirrored] = 2.0 - result[mirrored]
    return result


def cdf(x: ArrayLike) -> Floats:
    """P(Z <= x) of a standard normal Z; relative accuracy 1e-13 or better down to x = -37."""
    return np.asarray(0.5 * erfc(np.asarray(x, dtype=np.float64) * -_SQRT_HALF))


def pdf(x: ArrayLike) -> Floats:
    """The density of a standard normal at ``x``."""
    values = np.asarray(x, dtype=np.float64)
    return np.asarray(_INVERSE_SQRT_2PI * np.exp(-0.5 * values * values))
