"""Nanoseconds an option for price and Greeks, implied volatility, and the chain of both, beside other libraries.

All in one process, in interleaved rounds over the same options, results allocated inside the timing. The peers are
optional: requirements/peers.txt says how to get them. ``python -m benchmarks.pricing --write`` puts the tables into
docs/benchmarks.md.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks._pricing_peers import ONE_BY_ONE, OPERATIONS, Floats, Library, Sample, ours, peers, sample
from option_baskets.pricing.kernels import Kernel

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = {1_000: 5, 100_000: 5, 1_000_000: 3}
PATIENCE = 0.15
"""Seconds a round spends on one operation of one library, if more than one call fits."""
LIMITS = {"greeks": 6.5, "volatility": 17.5, "chain": 21.0}
"""Nanoseconds of the arithmetic alone, from the costs of exp, log, Mills ratio, root and division on this machine."""
GOALS = {"greeks": 11.0, "volatility": 36.0, "chain": 45.0}
TITLES = {"greeks": "price + 5 Greeks", "volatility": "implied volatility", "chain": "chain: volatility + 5 Greeks"}
SMALL_CHAIN = 200
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- pricing: begin -->", "<!-- pricing: end -->"
HOW_TO_GET_PEERS = (
    "Peers are missing. To measure beside them: "
    ".venv/bin/uv pip install --python .venv/bin/python --require-hashes -r requirements/peers.txt"
)


@dataclass
class Series:
    """One library's nanoseconds an option in each round."""

    library: Library
    rounds: list[float] = field(default_factory=list)


Timings = dict[str, dict[str, Series]]
"""By operation and library."""


def fastest(call: Callable[[], object], patience: float = PATIENCE) -> float:
    """Seconds of the fastest of the calls that fit into ``patience``; one at least."""
    best, until = float("inf"), time.perf_counter() + patience
    while True:
        started = time.perf_counter()
        call()
        ended = time.perf_counter()
        best = min(best, ended - started)
        if ended >= until:
            return best


def interleaved(libraries: list[Library], options: Sample, rounds: int) -> Timings:
    """Every library's every operation once a round, so that a busy moment meets all of them."""
    count = len(options.forward)
    few = options.first(min(count, ONE_BY_ONE))
    calls = [
        (operation, library, call, count if library.arrays else len(few.forward))
        for library in libraries
        for operation, call in library.prepare(options if library.arrays else few).calls.items()
    ]
    found: Timings = {operation: {} for operation in OPERATIONS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _, _, call, _ in calls:
            call()
        for _ in range(rounds):
            for operation, library, call, size in calls:
                series = found[operation].setdefault(library.name, Series(library))
                series.rounds.append(fastest(call) / size * 1e9)
    return found


def ratio(timings: dict[str, Series], peer: str, own: str) -> float:
    """The median over the rounds of a peer's time over ours."""
    pairs = zip(timings[peer].rounds, timings[own].rounds, strict=True)
    return statistics.median(theirs / our for theirs, our in pairs)


def accuracy(library: Library, options: Sample) -> dict[str, float]:
    """Largest errors: price of the forward, delta, volatility relative. The truth is 50-digit arithmetic."""
    from tests.domain.exact import Options, black, exactly

    ones = np.ones_like(options.forward)
    truth = exactly(black, Options(options.forward, options.strike, options.years, options.vol, options.is_call, ones))
    prepared = library.prepare(
        Sample(options.forward, options.strike, options.years, options.vol, options.is_call, truth[0])
    )
    inside = np.maximum(np.where(options.is_call, 1, -1) * (options.forward - options.strike), 0.0)
    sound = (truth[0] - inside >= 1e-12 * options.forward) & (2.0**-52 * truth[0] <= 1e-13 * truth[4] * options.vol)
    worst: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for operation in ("greeks", "volatility"):
            if operation in prepared.calls:
                found = prepared.read(operation, prepared.calls[operation]())
                worst |= {name: _error(name, values, truth, options, sound) for name, values in found.items()}
    return worst


def _error(name: str, found: Floats, truth: Floats, options: Sample, sound: np.ndarray) -> float:
    if name == "price":
        return float(np.max(np.abs(found - truth[0]) / options.forward))
    if name == "delta":
        return float(np.max(np.abs(found - truth[1])))
    return float(np.max(np.abs(found / options.vol - 1.0)[sound]))


def operation_table(operation: str, size: int, timings: Timings, errors: dict[str, dict[str, float]], own: str) -> str:
    """One table in Markdown: ours first, then the peers, the fastest first, then the limit."""
    series = timings[operation]
    names = sorted(series, key=lambda name: (not name.startswith("ours"), min(series[name].rounds)))
    accurate = {"greeks": ("price", "delta"), "volatility": ("volatility",), "chain": ("volatility",)}[operation]
    heads = {"price": "price error / forward", "delta": "delta error", "volatility": "relative error"}
    lines = [
        f"| {TITLES[operation]}, {size:,} options | ns an option: min | median | times {own} | "
        + " | ".join(heads[name] for name in accurate) + " |",
        "| --- | --: | --: | --: |" + " --: |" * len(accurate),
    ]  # fmt: skip
    for name in names:
        rounds, known = series[name].rounds, errors.get(name, {})
        cells = [f"{known[kind]:.0e}" if kind in known else "" for kind in accurate]
        lines.append(
            f"| {name} | {min(rounds):,.1f} | {statistics.median(rounds):,.1f} | {ratio(series, name, own):,.1f} | "
            + " | ".join(cells) + " |"
        )  # fmt: skip
    lines.append(f"| limit: the arithmetic alone | {LIMITS[operation]} | | |" + " |" * len(accurate))
    return "\n".join(lines)


def verdicts(timings: Timings, own: str) -> list[str]:
    """What was aimed at for 100,000 options on one thread, and what came out."""
    lines = []
    for operation, goal in GOALS.items():
        series = timings[operation]
        best = min(series[own].rounds)
        lines.append(f"{TITLES[operation]}: {best:.1f} ns, goal {goal:g}: {_reached(goal / best)}")
        wanted = 10 if operation == "chain" else 8
        rivals = {name: ratio(series, name, own) for name in series if not name.startswith("ours")}
        if rivals:
            nearest = min(rivals, key=lambda name: rivals[name])
            lines.append(
                f"{TITLES[operation]}: {rivals[nearest]:.1f} times ahead of the nearest peer ({nearest}), "
                f"goal {wanted}: {_reached(rivals[nearest] / wanted)}"
            )
    return lines


def _reached(part: float) -> str:
    return "reached" if part >= 1 else f"not reached, {part:.0%} of it"


def small_chain(libraries: list[Library]) -> tuple[str, list[str]]:
    """Microseconds a call for the options of one expiry: the table, and what was aimed at."""
    timings = interleaved(libraries, sample(SMALL_CHAIN), rounds=5)["chain"]
    lines = [
        f"| chain of {SMALL_CHAIN} options, one call | µs: min | median | times ours, numpy | times ours, numba |",
        "| --- | --: | --: | --: | --: |",
    ]
    own = [name for name in ("ours, numpy", "ours, numba") if name in timings]
    for name in sorted(timings, key=lambda name: (not name.startswith("ours"), min(timings[name].rounds))):
        calls = [ns * SMALL_CHAIN / 1e3 for ns in timings[name].rounds]
        cells = [f"{ratio(timings, name, one):,.1f}" for one in own] + [""] * (2 - len(own))
        lines.append(f"| {name} | {min(calls):,.0f} | {statistics.median(calls):,.0f} | {' | '.join(cells)} |")
    judged = []
    for one in own:
        best = min(timings[one].rounds) * SMALL_CHAIN / 1e3
        judged.append(f"chain of {SMALL_CHAIN} options, {one}: {best:.0f} µs a call, goal 400: {_reached(400 / best)}")
        rivals = {name: ratio(timings, name, one) for name in timings if not name.startswith("ours")}
        if rivals:
            nearest = min(rivals, key=lambda name: rivals[name])
            judged[-1] += f"; {rivals[nearest]:.1f} times the nearest peer ({nearest}), goal 5: "
            judged[-1] += _reached(rivals[nearest] / 5)
    return "\n".join(lines), judged


def two_threads() -> str:
    size = 1_000_000
    pair = [ours("numba"), ours("numba", threads=2)]
    timings = interleaved(pair, sample(size), rounds=5)
    gains = ", ".join(
        f"{TITLES[operation]} {ratio(timings[operation], pair[0].name, pair[1].name):.2f}" for operation in OPERATIONS
    )
    return f"Two threads over one, {size:,} options, median of 5 rounds (goal 1.7): {gains}."


FIRST_CHAIN = """
from option_baskets.pricing import implied_greeks
import numpy as np
strikes = np.linspace(20000.0, 30000.0, 1000)
found = implied_greeks(np.maximum(25000.0 - strikes, 0) + 100.0, 25000.0, strikes, 0.1, True, kernel={kernel!r})
assert found.delta.shape == (1000,)
"""


def cold_start(kernel: Kernel, cache: str, rounds: int) -> list[float]:
    """Seconds from starting a process to its first chain of 1,000 options."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", FIRST_CHAIN.format(kernel=kernel)], check=True, env=environment)
        seconds.append(time.perf_counter() - started)
    return seconds


def starts(numba: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="baskets-pricing-") as cache:
        plain = cold_start("numpy", cache, 7)
        line = (
            "Process start to the end of the first chain of 1,000 options: "
            f"NumPy kernel {min(plain):.2f} s (median {statistics.median(plain):.2f}, goal 0.30)"
        )
        if not numba:
            return line + "."
        (compiling,), cached = cold_start("numba", cache, 1), cold_start("numba", cache, 5)
    return line + (
        f"; numba kernel {compiling:.1f} s when it compiles, once a machine, and {min(cached):.2f} s from its cache, "
        "both paid only by who asks for it or prices in bulk."
    )


def report(say: Callable[[str], None]) -> str:
    """Measure everything; ``say`` hears of progress. Returns Markdown."""
    try:
        import numba
    except ModuleNotFoundError:
        say("The numba kernel is not installed (option-baskets[fast]); only the NumPy kernel is measured.")
        numba = None
    kernels: list[Kernel] = ["numba", "numpy"] if numba else ["numpy"]
    libraries = [ours(kernel) for kernel in kernels]
    own = libraries[0].name
    absent = []
    for found in peers():
        if isinstance(found, str):
            absent.append(found)
        else:
            libraries.append(found)
    for line in absent:
        say(f"not measured: {line.splitlines()[0]}")
    if absent:
        say(HOW_TO_GET_PEERS)

    few = sample(500, seed=77)
    errors = {library.name: accuracy(library, few) for library in libraries}
    tables, judged = [], []
    for size in SIZES:
        say(f"{size:,} options ...")
        able = [library for library in libraries if library.arrays or size == SIZES[0]]
        timings = interleaved(able, sample(size), ROUNDS[size])
        tables += [operation_table(operation, size, timings, errors, own) for operation in OPERATIONS]
        if size == 100_000 and numba:
            judged = verdicts(timings, own)
    say(f"chains of {SMALL_CHAIN}, threads, starts ...")
    table, about_small = small_chain(libraries)
    tables.append(table)
    judged += about_small
    lines = [f"- {line}" for line in judged]
    if numba:
        lines.append(f"- {two_threads()}")
    lines.append(f"- {starts(bool(numba))}")
    load = os.getloadavg()[1]
    when = f"Load of the machine over the last five minutes: {load:.1f} on {os.cpu_count()} cores."
    return "\n\n".join(["\n".join(lines), *tables, when])


def write(text: str) -> None:
    """Put the tables between the marks of docs/benchmarks.md."""
    page = DOCUMENT.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not marked.search(page):
        raise SystemExit(f"{DOCUMENT.name} has no {BEGIN} ... {END}")
    DOCUMENT.write_text(marked.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")


def main() -> None:
    console = Console()
    console.print(report(lambda line: console.print(f"[dim]{line}")), markup=False, soft_wrap=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    if parser.parse_args().write:
        write(report(lambda line: print(line, file=sys.stderr)))
    else:
        main()
