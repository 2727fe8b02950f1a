"""The numba kernel: docs/pricing.md in vector lanes, compiled at the first call and then kept on disk by numba.

Columns are done in blocks that stay in the first-level cache. A block's results are rows of one buffer at fixed
distances, so that LLVM needs no overlap checks and vectorises the whole body; its stages are loops of their own, short
enough for the processor to work on several options' at once. The few options outside the range of the formulas are
marked and then done by the NumPy kernel.

numba's cache follows changes of this file, not of the formulas it inlines: after editing those, touch this one.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numba import njit

from option_baskets.pricing import numpy_kernel
from option_baskets.pricing.kernels import Flags, Floats
from option_baskets.pricing.numba_elementary import select
from option_baskets.pricing.numba_formulas import (
    MARKED,
    approached,
    opened,
    price_and_slopes,
    slopes_at,
    solved,
    standing,
    weighed,
)

BLOCK: Final = 128
"""Options; their columns, the buffer and the sources of a block fit the first-level cache together."""
_NAN: Final = float("nan")


@njit(nogil=True, cache=True, error_model="numpy")
def _part(column, scratch, start, m):
    """A block of a column: its own memory, or its one element repeated."""
    if column.size > 1:
        return column[start : start + m]
    scratch[:m] = column[0]
    return scratch[:m]


@njit(nogil=True, cache=True, error_model="numpy")
def _signs(flags, scratch, start, m):
    """A block of 1 for a call and -1 for a put; arithmetic, as a branch would be guessed wrong every other time."""
    if flags.size > 1:
        part = flags[start : start + m]
        for j in range(m):
            scratch[j] = 2.0 * part[j] - 1.0
    else:
        scratch[:m] = 2.0 * flags[0] - 1.0
    return scratch[:m]


@njit(nogil=True, cache=True, error_model="numpy")
def _store(out, start, m, buffer, row):
    """A row of the buffer to its place in a result; the loop is a third of the time of assigning the slice."""
    part = out[start : start + m]
    for j in range(m):
        part[j] = buffer[j + row * BLOCK]


@njit(nogil=True, cache=True, error_model="numpy")
def _approach(p, f, k, t, d, sign, buffer, m):
    """The first stages of implied volatility: rows 0 to 4 are what ``solved`` starts from."""
    for i in range(m):
        c, rest, x, s, verdict = opened(p[i], f[i], k[i], t[i], d[i], sign[i])
        buffer[i] = c
        buffer[i + BLOCK] = rest
        buffer[i + 2 * BLOCK] = x
        buffer[i + 3 * BLOCK] = s
        buffer[i + 4 * BLOCK] = verdict
    for i in range(m):
        buffer[i + 3 * BLOCK] = approached(buffer[i], buffer[i + BLOCK], buffer[i + 2 * BLOCK], buffer[i + 3 * BLOCK])


@njit(nogil=True, cache=True, error_model="numpy")
def _greeks_range(f, k, t, vol, d, log_d, flags, o0, o1, o2, o3, o4, o5, begin, end):
    buffer, scratch = np.empty(6 * BLOCK), np.empty((7, BLOCK))
    for start in range(begin, end, BLOCK):
        m = min(BLOCK, end - start)
        fs, ks = _part(f, scratch[0], start, m), _part(k, scratch[1], start, m)
        ts, vols = _part(t, scratch[2], start, m), _part(vol, scratch[3], start, m)
        ds, logs = _part(d, scratch[4], start, m), _part(log_d, scratch[5], start, m)
        signs = _signs(flags, scratch[6], start, m)
        for i in range(m):
            buffer[i], buffer[i + BLOCK], buffer[i + 2 * BLOCK] = standing(fs[i], ks[i], ts[i], vols[i])
        for i in range(m):
            v, value, side1, side2 = weighed(buffer[i + BLOCK], buffer[i + 2 * BLOCK])
            buffer[i + 2 * BLOCK] = v
            buffer[i + 3 * BLOCK] = value
            buffer[i + 4 * BLOCK] = side1
            buffer[i + 5 * BLOCK] = side2
        for i in range(m):
            known, price, delta, gamma, theta, vega, rho = price_and_slopes(
                fs[i],
                ks[i],
                ts[i],
                vols[i],
                ds[i],
                logs[i],
                signs[i],
                buffer[i],
                buffer[i + BLOCK],
                buffer[i + 2 * BLOCK],
                buffer[i + 3 * BLOCK],
                buffer[i + 4 * BLOCK],
                buffer[i + 5 * BLOCK],
            )
            buffer[i] = select(known, price, _NAN)
            buffer[i + BLOCK] = select(known, delta, _NAN)
            buffer[i + 2 * BLOCK] = select(known, gamma, _NAN)
            buffer[i + 3 * BLOCK] = select(known, theta, _NAN)
            buffer[i + 4 * BLOCK] = select(known, vega, _NAN)
            buffer[i + 5 * BLOCK] = select(known, rho, _NAN)
        _store(o0, start, m, buffer, 0)
        _store(o1, start, m, buffer, 1)
        _store(o2, start, m, buffer, 2)
        _store(o3, start, m, buffer, 3)
        _store(o4, start, m, buffer, 4)
        _store(o5, start, m, buffer, 5)


@njit(nogil=True, cache=True, error_model="numpy")
def _volatility_range(p, f, k, t, d, flags, o0, begin, end):
    buffer, scratch = np.empty(5 * BLOCK), np.empty((6, BLOCK))
    for start in range(begin, end, BLOCK):
        m = min(BLOCK, end - start)
        ps, fs, ks = _part(p, scratch[0], start, m), _part(f, scratch[1], start, m), _part(k, scratch[2], start, m)
        ts, ds = _part(t, scratch[3], start, m), _part(d, scratch[4], start, m)
        signs = _signs(flags, scratch[5], start, m)
        _approach(ps, fs, ks, ts, ds, signs, buffer, m)
        for i in range(m):
            buffer[i] = solved(
                buffer[i],
                buffer[i + BLOCK],
                buffer[i + 2 * BLOCK],
                buffer[i + 3 * BLOCK],
                buffer[i + 4 * BLOCK],
                fs[i],
                ks[i],
                ts[i],
            )[0]
        _store(o0, start, m, buffer, 0)


@njit(nogil=True, cache=True, error_model="numpy")
def _fused_range(p, f, k, t, d, log_d, flags, o0, o1, o2, o3, o4, o5, begin, end):
    buffer, scratch = np.empty(6 * BLOCK), np.empty((7, BLOCK))
    for start in range(begin, end, BLOCK):
        m = min(BLOCK, end - start)
        ps, fs, ks = _part(p, scratch[0], start, m), _part(f, scratch[1], start, m), _part(k, scratch[2], start, m)
        ts, ds = _part(t, scratch[3], start, m), _part(d, scratch[4], start, m)
        logs, signs = _part(log_d, scratch[5], start, m), _signs(flags, scratch[6], start, m)
        _approach(ps, fs, ks, ts, ds, signs, buffer, m)
        for i in range(m):
            vol, s, inverse_s, v, side, low, root = solved(
                buffer[i],
                buffer[i + BLOCK],
                buffer[i + 2 * BLOCK],
                buffer[i + 3 * BLOCK],
                buffer[i + 4 * BLOCK],
                fs[i],
                ks[i],
                ts[i],
            )
            delta, gamma, theta, vega, rho = slopes_at(
                vol, s, inverse_s, v, side, low, root, ps[i], fs[i], ks[i], ts[i], ds[i], logs[i], signs[i]
            )
            buffer[i] = vol
            buffer[i + BLOCK] = delta
            buffer[i + 2 * BLOCK] = gamma
            buffer[i + 3 * BLOCK] = theta
            buffer[i + 4 * BLOCK] = vega
            buffer[i + 5 * BLOCK] = rho
        _store(o0, start, m, buffer, 0)
        _store(o1, start, m, buffer, 1)
        _store(o2, start, m, buffer, 2)
        _store(o3, start, m, buffer, 3)
        _store(o4, start, m, buffer, 4)
        _store(o5, start, m, buffer, 5)


def _logs(discount: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(np.log(discount))


def _spread(loop: Any, arguments: tuple[Any, ...], size: int, threads: int) -> None:
    """Run a loop over ``size`` options, in parts of whole blocks when there are several threads."""
    if threads <= 1:
        loop(*arguments, 0, size)
        return
    each = -(-size // (threads * BLOCK)) * BLOCK
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda begin: loop(*arguments, begin, min(begin + each, size)), range(0, size, each)))


def _finish(inputs: tuple[Floats, ...], flags: Flags, rows: tuple[Floats, ...]) -> tuple[Floats, ...]:
    """Do what is marked."""
    marked = np.flatnonzero(rows[0] == MARKED)
    if marked.size:
        chosen = tuple(column if column.size == 1 else column[marked] for column in inputs)
        call = flags if flags.size == 1 else flags[marked]
        operation = numpy_kernel.volatility if len(rows) == 1 else numpy_kernel.volatility_and_greeks
        for row, found in zip(rows, operation(chosen, call, len(marked), 1), strict=True):
            row[marked] = found
    return rows


def greeks(inputs: tuple[Floats, ...], is_call: Flags, size: int, threads: int) -> tuple[Floats, ...]:
    """Price, delta, gamma, theta, vega, rho."""
    rows = tuple(np.empty((6, size)))  # one block: large ones come in huge pages, whose first touch costs far less
    _spread(_greeks_range, (*inputs, _logs(inputs[4]), is_call.view(np.uint8), *rows), size, threads)
    return rows


def volatility(inputs: tuple[Floats, ...], is_call: Flags, size: int, threads: int) -> tuple[Floats, ...]:
    """The implied volatility."""
    rows = (np.empty(size),)
    _spread(_volatility_range, (*inputs, is_call.view(np.uint8), *rows), size, threads)
    return _finish(inputs, is_call, rows)


def volatility_and_greeks(inputs: tuple[Floats, ...], is_call: Flags, size: int, threads: int) -> tuple[Floats, ...]:
    """The implied volatility and, at it, delta, gamma, theta, vega, rho."""
    rows = tuple(np.empty((6, size)))  # one block: large ones come in huge pages, whose first touch costs far less
    _spread(_fused_range, (*inputs, _logs(inputs[4]), is_call.view(np.uint8), *rows), size, threads)
    return _finish(inputs, is_call, rows)
