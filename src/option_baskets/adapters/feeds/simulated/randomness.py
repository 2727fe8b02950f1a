"""Random numbers that depend on what they are for and never on what was asked before."""

from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_TO_UNIT: Final = 2.0**-53


def _digest(seed: int, *purpose: object) -> bytes:
    return sha256("\x1f".join(map(str, (seed, *purpose))).encode()).digest()


def stream(seed: int, *purpose: object) -> np.random.Generator:
    """A generator of its own for one purpose, e.g. ``stream(7, day, "NIFTY")``."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(seed, *purpose)[:16])))


def key(seed: int, *purpose: object) -> int:
    """64 bits that name one purpose."""
    return int.from_bytes(_digest(seed, *purpose)[:8])


def uniform(keys: NDArray[np.uint64], moment: int | NDArray[np.int64], draw: int = 0) -> NDArray[np.float64]:
    """One number in (0, 1) for each key at each moment: the output function of SplitMix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = (keys ^ np.asarray(moment * 8 + draw, dtype=np.uint64)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z ^= z >> np.uint64(31)
    return np.asarray(((z >> np.uint64(11)).astype(np.float64) + 0.5) * _TO_UNIT)
