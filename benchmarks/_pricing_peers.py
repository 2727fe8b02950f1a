"""The libraries the pricing benchmark measures, each called the way that suits it best.

Every library gets its inputs in its own form, prepared outside the timing (flags as letters, a data frame); what it
returns, it allocates inside. A library's ``greeks`` are price, delta, gamma, theta, vega, rho; ``chain`` is the implied
volatility and the five Greeks at it.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from option_baskets.pricing import implied_greeks, implied_volatility, price_and_greeks
from option_baskets.pricing.kernels import Kernel

Floats = NDArray[np.float64]
Call = Callable[[], Any]

OPERATIONS = ("greeks", "volatility", "chain")
ONE_BY_ONE = 1_000
"""Options at most that a library without arrays is measured on; its figure an option does not depend on the number."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Undiscounted options on forwards; the same for every library."""

    forward: Floats
    strike: Floats
    years: Floats
    vol: Floats
    is_call: NDArray[np.bool_]
    price: Floats

    def first(self, count: int) -> "Sample":
        return Sample(
            self.forward[:count].copy(),
            self.strike[:count].copy(),
            self.years[:count].copy(),
            self.vol[:count].copy(),
            self.is_call[:count].copy(),
            self.price[:count].copy(),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """Calls by operation, and what of their results is the price, the forward delta and the volatility."""

    calls: dict[str, Call]
    read: Callable[[str, Any], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Library:
    name: str
    prepare: Callable[[Sample], Prepared]
    arrays: bool = True


def sample(count: int, seed: int = 76) -> Sample:
    """Index options as quoted: 1 to 90 days, 8 to 40 %, within 2.5 deviations, calls and puts on either side."""
    random = np.random.default_rng(seed)
    forward, years = random.uniform(24_500, 25_500, count), random.uniform(1 / 365, 90 / 365, count)
    vol = random.uniform(0.08, 0.40, count)
    strike = forward * np.exp(random.uniform(-2.5, 2.5, count) * vol * np.sqrt(years))
    is_call = random.random(count) < 0.5
    price = price_and_greeks(forward, strike, years, vol, is_call, kernel="numpy").price
    return Sample(forward, strike, years, vol, is_call, price)


def ours(kernel: Kernel, threads: int = 1) -> Library:
    def prepare(s: Sample) -> Prepared:
        def read(operation: str, result: Any) -> dict[str, Floats]:
            if operation == "volatility":
                return {"volatility": result}
            return {name: getattr(result, name) for name in ("price", "delta", "volatility") if hasattr(result, name)}

        quoted = (s.price, s.forward, s.strike, s.years, s.is_call)
        return Prepared(
            {
                "greeks": lambda: price_and_greeks(
                    s.forward, s.strike, s.years, s.vol, s.is_call, kernel=kernel, threads=threads
                ),
                "volatility": lambda: implied_volatility(*quoted, kernel=kernel, threads=threads),
                "chain": lambda: implied_greeks(*quoted, kernel=kernel, threads=threads),
            },
            read,
        )

    return Library(f"ours, {kernel}" + (f", {threads} threads" if threads > 1 else ""), prepare)


def _letters(s: Sample) -> NDArray[np.str_]:
    return np.where(s.is_call, "c", "p")


def _read_vollib(operation: str, result: Any) -> dict[str, Floats]:
    if operation == "volatility":
        return {"volatility": np.asarray(result)}
    first, greeks = result
    return {"price" if operation == "greeks" else "volatility": np.asarray(first), "delta": np.asarray(greeks["delta"])}


def py_vollib_vectorized() -> Library:
    library = import_module("py_vollib_vectorized")

    def prepare(s: Sample) -> Prepared:
        flag, f, k, t = _letters(s), s.forward, s.strike, s.years

        def greeks(vol: Floats) -> Any:
            return library.get_all_greeks(flag, f, k, t, 0.0, vol, model="black", return_as="dict")

        def volatility() -> Floats:
            found = library.vectorized_implied_volatility_black(s.price, f, k, 0.0, t, flag, return_as="numpy")
            return np.asarray(found)

        def priced() -> Any:
            return library.vectorized_black(flag, f, k, t, 0.0, s.vol, return_as="numpy"), greeks(s.vol)

        def chain() -> Any:
            vol = volatility()
            return vol, greeks(vol)

        return Prepared({"greeks": priced, "volatility": volatility, "chain": chain}, _read_vollib)

    return Library("py-vollib-vectorized", prepare)


def fast_vollib(backend: str, threads: int | None = None) -> Library:
    """With its numba backend on ``threads`` threads; None: as many as it takes by itself."""
    library = import_module("fast_vollib")
    numba: Any = import_module("numba") if backend == "numba" else None

    def prepare(s: Sample) -> Prepared:
        flag, f, k, t = _letters(s), s.forward, s.strike, s.years

        def greeks(vol: Floats) -> Any:
            return library.get_all_greeks(flag, f, k, t, 0.0, vol, model="black", return_as="dict", backend=backend)

        def volatility() -> Floats:
            found = library.fast_implied_volatility_black(
                s.price, f, k, 0.0, t, flag, return_as="numpy", backend=backend
            )
            return np.asarray(found)

        def priced() -> Any:
            return library.fast_black(flag, f, k, t, 0.0, s.vol, return_as="numpy", backend=backend), greeks(s.vol)

        def chain() -> Any:
            vol = volatility()
            return vol, greeks(vol)

        def within(call: Call) -> Call:
            def limited() -> Any:
                numba.set_num_threads(threads or numba.config.NUMBA_NUM_THREADS)
                return call()

            return limited if numba else call

        calls = {"greeks": priced, "volatility": volatility, "chain": chain}
        return Prepared({name: within(call) for name, call in calls.items()}, _read_vollib)

    return Library(f"fast-vollib, {backend}" + (f", {threads} thread" if threads else ""), prepare)


def polars_vol() -> Library:
    pl, library = import_module("polars"), import_module("polars_vol")
    quoted = ("price", "strike", "forward", "years", "rate", "is_call")

    def prepare(s: Sample) -> Prepared:
        frame = pl.DataFrame(
            {"price": s.price, "strike": s.strike, "forward": s.forward, "years": s.years, "vol": s.vol}
            | {"rate": np.zeros(len(s.vol)), "is_call": s.is_call}
        )
        greeks = library.black_scholes_with_greeks("strike", "forward", "vol", "years", "rate", "is_call")
        volatility = library.implied_vol(*quoted, method="halley")
        chain = library.iv_and_greeks(*quoted, method="halley")

        def read(operation: str, result: Any) -> dict[str, Floats]:
            column = result.to_series(0)
            if operation == "volatility":
                return {"volatility": column.to_numpy()}
            fields = {"price": "model_price", "delta": "delta", "volatility": "implied_vol"}
            kept = ("price", "delta") if operation == "greeks" else ("volatility", "delta")
            return {name: column.struct.field(fields[name]).to_numpy() for name in kept}

        return Prepared(
            {
                "greeks": lambda: frame.select(greeks),
                "volatility": lambda: frame.select(volatility),
                "chain": lambda: frame.select(chain),
            },
            read,
        )

    return Library("polars-vol", prepare)


def vollib() -> Library:
    model = import_module("vollib.black")
    analytical = import_module("vollib.black.greeks.analytical")
    implied = import_module("vollib.black.implied_volatility").implied_volatility
    slopes = [getattr(analytical, name) for name in ("delta", "gamma", "theta", "vega", "rho")]

    def prepare(s: Sample) -> Prepared:
        columns = [x.tolist() for x in (_letters(s), s.forward, s.strike, s.years, s.vol, s.price)]
        rows = list(zip(*columns, strict=True))

        def greeks() -> Any:
            found = np.empty((6, len(rows)))
            for i, (flag, f, k, t, vol, _) in enumerate(rows):
                found[0, i] = model.black(flag, f, k, t, 0.0, vol)
                found[1:, i] = [slope(flag, f, k, t, 0.0, vol) for slope in slopes]
            return found

        def volatility() -> Any:
            return np.array([implied(price, f, k, 0.0, t, flag) for flag, f, k, t, _, price in rows])

        def chain() -> Any:
            found = np.empty((6, len(rows)))
            for i, (flag, f, k, t, _, price) in enumerate(rows):
                vol = found[0, i] = implied(price, f, k, 0.0, t, flag)
                found[1:, i] = [slope(flag, f, k, t, 0.0, vol) for slope in slopes]
            return found

        return Prepared({"greeks": greeks, "volatility": volatility, "chain": chain}, _read_rows)

    return Library("vollib", prepare, arrays=False)


def _read_rows(operation: str, result: Any) -> dict[str, Floats]:
    if operation == "volatility":
        return {"volatility": result}
    return {"price" if operation == "greeks" else "volatility": result[0], "delta": result[1]}


def quantlib() -> Library:
    ql = import_module("QuantLib")

    def prepare(s: Sample) -> Prepared:
        kinds = [ql.Option.Call if call else ql.Option.Put for call in s.is_call.tolist()]
        columns = [x.tolist() for x in (s.forward, s.strike, s.years, np.sqrt(s.years), s.vol, s.price)]
        rows = list(zip(kinds, *columns, strict=True))

        def slopes(kind: Any, f: float, k: float, t: float, deviation: float) -> tuple[float, ...]:
            it = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, k), f, deviation)
            return it.value(), it.deltaForward(), it.gammaForward(), it.theta(f, t), it.vega(t), it.rho(t)

        def greeks() -> Any:
            found = np.empty((6, len(rows)))
            for i, (kind, f, k, t, root, vol, _) in enumerate(rows):
                found[:, i] = slopes(kind, f, k, t, vol * root)
            return found

        def volatility() -> Any:
            return np.array([ql.blackFormulaImpliedStdDevLiRS(kind, k, f, price) / root
                             for kind, f, k, _, root, _, price in rows])  # fmt: skip

        def chain() -> Any:
            found = np.empty((6, len(rows)))
            for i, (kind, f, k, t, root, _, price) in enumerate(rows):
                deviation = ql.blackFormulaImpliedStdDevLiRS(kind, k, f, price)
                found[:, i] = slopes(kind, f, k, t, deviation)
                found[0, i] = deviation / root
            return found

        return Prepared({"greeks": greeks, "volatility": volatility, "chain": chain}, _read_rows)

    return Library("QuantLib", prepare, arrays=False)


def blackscholes() -> Library:
    library = import_module("blackscholes")

    def prepare(s: Sample) -> Prepared:
        columns = [x.tolist() for x in (s.is_call, s.forward, s.strike, s.years, s.vol)]
        rows = list(zip(*columns, strict=True))

        def greeks() -> Any:
            found = np.empty((6, len(rows)))
            for i, (call, f, k, t, vol) in enumerate(rows):
                it = (library.Black76Call if call else library.Black76Put)(f, k, t, 0.0, vol)
                found[:, i] = it.price(), it.delta(), it.gamma(), it.theta(), it.vega(), it.rho()
            return found

        return Prepared({"greeks": greeks}, _read_rows)

    return Library("blackscholes", prepare, arrays=False)


def peers() -> Iterator[Library | str]:
    """Every peer that works here; of the others, a line that says why not."""
    makers: dict[str, Callable[[], Library]] = {
        "polars-vol": polars_vol,
        "fast-vollib, numba": lambda: fast_vollib("numba"),
        "fast-vollib, numba, 1 thread": lambda: fast_vollib("numba", threads=1),
        "fast-vollib, numpy": lambda: fast_vollib("numpy"),
        "py-vollib-vectorized": py_vollib_vectorized,
        "QuantLib": quantlib,
        "vollib": vollib,
        "blackscholes": blackscholes,
    }
    for name, make in makers.items():
        try:
            library = make()
            tried = library.prepare(sample(8))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for call in tried.calls.values():
                    call()
        except Exception as problem:  # a peer may fail in any way; the others are still wanted
            yield f"{name}: {type(problem).__name__}: {problem}"
        else:
            yield library
