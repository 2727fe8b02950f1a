"""Elementary functions that LLVM can put into vector lanes: no branches, no calls, no tables.

Each is inlined into the loop that uses it. Multiplications and additions are fused only where ``fma`` says so, so a
result does not depend on what the optimiser makes of the code around it. Errors are against the exact value.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from option_baskets.pricing import polynomials

inlined: Final[Callable[[Any], Any]] = njit(forceinline=True, error_model="numpy")

_DOUBLE: Final = ir.DoubleType()
_LONG: Final = ir.IntType(64)


@intrinsic
def fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), emit


@intrinsic
def select(_typing: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` if ``condition`` else ``no``, both computed."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return types.float64(types.boolean, types.float64, types.float64), emit


@intrinsic
def bits(_typing: Any, x: Any) -> Any:
    """The 64 bits of a double as an integer."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _LONG)

    return types.int64(types.float64), emit


@intrinsic
def double(_typing: Any, x: Any) -> Any:
    """The double that has these bits."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _DOUBLE)

    return types.float64(types.int64), emit


def polynomial(coefficients: tuple[float, ...]) -> Any:
    """A function of x: fused Horner chains over the even and the odd powers, which run side by side."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        (x,) = args
        square = builder.fmul(x, x)

        def chain(powers: tuple[float, ...]) -> Any:
            value = _DOUBLE(powers[-1])
            for coefficient in powers[-2::-1]:
                value = builder.fma(value, square, _DOUBLE(coefficient))
            return value

        return builder.fma(chain(coefficients[1::2]), x, chain(coefficients[0::2]))

    @intrinsic
    def evaluate(_typing: Any, x: Any) -> Any:
        return types.float64(types.float64), emit

    return evaluate


mills_p: Final = polynomial(polynomials.MILLS_P)
mills_q: Final = polynomial(polynomials.MILLS_Q)
mills_rough_p: Final = polynomial(polynomials.MILLS_ROUGH_P)
mills_rough_q: Final = polynomial(polynomials.MILLS_ROUGH_Q)
expm1_rough: Final = polynomial(polynomials.EXPM1_ROUGH)
"""(exp(x) - 1) / x on [0, 2.2]."""
_exp_polynomial: Final = polynomial(polynomials.EXP)
_log_ratio_polynomial: Final = polynomial(polynomials.LOG_RATIO)
_log_rough_polynomial: Final = polynomial(polynomials.LOG_ROUGH)

_LOG2_E: Final = 1.4426950408889634
_LOG_2: Final = 0.6931471805599453
# log(2) in two parts: the first has 32 bits, so that its products with exponents are exact.
_LOG_2_HIGH: Final = 0.693147180369123816490
_LOG_2_LOW: Final = 1.90821492927058770002e-10
_ROUNDER: Final = 6755399441055744.0
"""1.5 times 2^52: adding it leaves the nearest integer in the low bits."""
_SQRT_HALF_BITS: Final = 0x3FE6A09E667F3BCD
_HALF_OCTAVE: Final = 1 << 51


@inlined
def least(a, b):
    return select(a < b, a, b)


@inlined
def most(a, b):
    return select(a > b, a, b)


@inlined
def exp(x):
    """Within 1 unit in the last place for |x| <= 708; 0 below, infinite above, NaN for NaN."""
    held = most(least(x, 708.0), -708.0)
    shifted = fma(held, _LOG2_E, _ROUNDER)
    whole = shifted - _ROUNDER
    rest = fma(-whole, _LOG_2_LOW, fma(-whole, _LOG_2_HIGH, held))
    value = double(bits(_exp_polynomial(rest)) + (bits(shifted) << 52))
    return select(x < -708.0, 0.0, select(x > 708.0, float("inf"), select(x == x, value, x)))  # noqa: PLR0124


@inlined
def log_ratio(low, high):
    """log(high / low) of positive normal numbers, within 2 units in the last place however close they are."""
    octaves = (bits(high) - bits(low) + _HALF_OCTAVE) >> 52
    near = double(bits(low) + (octaves << 52))
    f = (high - near) / (high + near)
    return fma(float(octaves), _LOG_2, f * _log_ratio_polynomial(f * f))


@inlined
def log_rough(x):
    """log of a positive normal number: 5e-9 of the mantissa's part, and as exact in proportion near 1."""
    octaves = (bits(x) - _SQRT_HALF_BITS) >> 52
    t = double(bits(x) - (octaves << 52)) - 1.0
    return fma(float(octaves), _LOG_2, t * _log_rough_polynomial(t))
