"""Which kernel computes, and the arrays it gets.

NumPy's is always there and starts at once. Numba's (the extra ``fast``) is used by itself from ``BULK`` options a call
on; nothing of it is imported before. The choice depends on the size alone, so that equal calls give equal bits in every
process that has the same packages; who needs equal bits without numba names the kernel (replays do).
"""

import math
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Kernel = Literal["numpy", "numba"]

BULK: Final = 20_000
"""Options in one call from which the numba kernel is used when it is installed."""


class Columns(Protocol):
    """What a kernel offers. Every argument has one element or ``size``; every result has ``size``."""

    def greeks(self, inputs: tuple[Floats, ...], is_call: Flags, size: int, threads: int) -> tuple[Floats, ...]: ...

    def volatility(self, inputs: tuple[Floats, ...], is_call: Flags, size: int, threads: int) -> tuple[Floats, ...]: ...

    def volatility_and_greeks(
        self, inputs: tuple[Floats, ...], is_call: Flags, size: int, threads: int
    ) -> tuple[Floats, ...]: ...


Operation = Literal["greeks", "higher", "volatility", "volatility_and_greeks"]


def suited(size: int) -> Kernel:
    """The kernel that is used for ``size`` options when none is asked for."""
    return "numba" if size >= BULK and _numba_installed() else "numpy"


@cache
def _numba_installed() -> bool:
    return find_spec("numba") is not None


@cache
def _loaded(kernel: Kernel) -> Columns:
    return cast(Columns, import_module(f"option_baskets.pricing.{kernel}_kernel"))


def run(
    operation: Operation, kernel: Kernel | None, threads: int, is_call: ArrayLike, *numbers: ArrayLike
) -> tuple[Floats, ...]:
    """Broadcast the arguments, compute ``operation``, give every result the broadcast shape.

    ValueError if the shapes do not fit; ModuleNotFoundError if numba is asked for and absent.
    """
    columns = [np.asarray(number, dtype=np.float64) for number in numbers]
    flags = np.asarray(is_call, dtype=np.bool_)
    shape = np.broadcast_shapes(flags.shape, *(column.shape for column in columns))
    size = math.prod(shape)
    inputs = tuple(_flat(column, shape) for column in columns)
    compute = getattr(_loaded(kernel or suited(size)), operation)
    results: tuple[Floats, ...] = compute(inputs, _flat(flags, shape), size, threads)
    return results if len(shape) == 1 else tuple(result.reshape(shape) for result in results)


def _flat(column: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """One element, or the broadcast column, contiguous."""
    if column.size == 1:
        return column.reshape(1)
    if column.shape != shape:
        column = np.broadcast_to(column, shape)
    return np.ascontiguousarray(column).reshape(-1)
