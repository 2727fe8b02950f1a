"""Which kernel computes, and the arrays it gets.

A kernel is a module with ``greeks``, ``higher``, ``volatility`` and ``volatility_and_greeks`` over one-dimensional
arrays. NumPy's is always there. Numba's (the extra ``fast``) takes over by itself from ``BULK`` options on, where its
start-up is worth it; nothing of it is imported before.
"""

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
    """What a kernel offers. Every argument has one element or ``size``; every result is ``rows`` of ``size``."""

    def greeks(self, inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]: ...

    def higher(self, inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]: ...

    def volatility(self, inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]: ...

    def volatility_and_greeks(self, inputs: tuple[Floats, ...], is_call: Flags, size: int) -> tuple[Floats, ...]: ...


def chosen(size: int, kernel: Kernel | None) -> Columns:
    """The kernel asked for, or the one that suits ``size``. ModuleNotFoundError if numba is asked for and absent."""
    name = kernel or ("numba" if size >= BULK and find_spec("numba") else "numpy")
    return cast(Columns, import_module(f"option_baskets.pricing.{name}_kernel"))


def run(operation: str, kernel: Kernel | None, is_call: ArrayLike, *numbers: ArrayLike) -> tuple[Floats, ...]:
    """Broadcast the arguments, compute ``operation``, give every result the broadcast shape."""
    columns = [np.asarray(number, dtype=np.float64) for number in numbers]
    flags = np.asarray(is_call, dtype=np.bool_)
    shape = np.broadcast_shapes(flags.shape, *(column.shape for column in columns))
    size = int(np.prod(shape))
    inputs = tuple(_flat(column, shape) for column in columns)
    results = getattr(chosen(size, kernel), operation)(inputs, _flat(flags, shape), size)
    return tuple(result.reshape(shape) for result in results)


def _flat(column: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """One element, or the broadcast column, contiguous."""
    if column.size == 1:
        return column.reshape(1)
    return np.ascontiguousarray(np.broadcast_to(column, shape)).reshape(-1)
