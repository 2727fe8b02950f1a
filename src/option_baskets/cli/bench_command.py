"""``baskets bench``: figures of this machine."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from option_baskets.adapters.clock import LONGEST_NAP, run_real
from option_baskets.cli.precision import (
    Precision,
    Wakes,
    Work,
    apscheduler,
    busy_core,
    measured,
    our_timer,
    plain_sleep,
)

P99_IDLE, P99_BUSY = 2.0, 20.0
MOVED = 1.0
CPU = 0.01
"""What the timer is held to: ms at the 99th percentile, ms between halves, share of a core at one-minute boundaries."""


@click.group()
def command() -> None:
    """Measure this machine.

    \b
    Examples:
      baskets bench timer                                   60 boundaries of 100 ms, beside other timers
      baskets bench timer --boundaries 1000 --length 0.05   enough for a 99th percentile
    """


@command.command()
@click.option(
    "--boundaries", "count", type=click.IntRange(2), default=60, show_default=True, help="How many to wait for."
)
@click.option("--length", type=click.FloatRange(0.005, 60), default=0.1, show_default=True, help="Seconds between two.")
@click.option("--busy/--no-busy", default=True, show_default=True, help="Measure again with one core kept busy.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Measure APScheduler and plain sleeps too.")
@click.option(
    "--checks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Do the stop checks of this basket file's open positions at every boundary; may be repeated.",
)
def timer(count: int, length: float, busy: bool, peers: bool, checks: tuple[Path, ...]) -> None:
    """How exactly the timer meets its boundaries, on the real clock.

    An offset is the time from the boundary to the moment its consumer runs. Where every wait is computed anew from
    the clock, offsets do not drift. Between distant boundaries the timer looks at the clock once a second; its share
    of a core at one-minute boundaries counts those wake-ups.

    \b
    Examples:
      baskets bench timer
      baskets bench timer --boundaries 1000 --length 0.05 --no-peers
      baskets bench timer --boundaries 1000 --length 0.05 --checks examples/three-accounts.toml
    """
    compare(
        Console(),
        count=count,
        length=timedelta(seconds=length),
        busy=busy,
        peers=count if peers else 0,
        checks=checks,
    )


def compare(
    console: Console, *, count: int, length: timedelta, busy: bool, peers: int, checks: tuple[Path, ...] = ()
) -> None:
    """Measure and print. ``peers`` is the number of boundaries for each other timer, 0 for none.

    With ``checks`` (basket files) this process does the stop checks of their open positions at each of our boundaries.
    """
    with TemporaryDirectory(prefix="baskets-bench-") as folder:
        work = None
        if checks:
            from option_baskets.cli.checking import prepare, stop_checks

            work = partial(stop_checks, prepare(Path(folder), checks))
        _compare(console, count=count, length=length, busy=busy, peers=peers, work=work)


def _compare(
    console: Console,
    *,
    count: int,
    length: timedelta,
    busy: bool,
    peers: int,
    work: Callable[[], AbstractAsyncContextManager[Work]] | None,
) -> None:
    contenders: list[tuple[str, Wakes, int]] = [("ours", our_timer, count)]
    if peers and _installed("apscheduler.schedulers.asyncio"):
        contenders.append(("APScheduler 3", apscheduler, peers))
    if peers:
        contenders.append(("plain sleep", plain_sleep, peers))
    loads = [False, True] if busy else [False]
    before = os.getloadavg()[0]
    results: list[tuple[str, bool, Precision]] = []
    with _progress(console, len(loads) * sum(number for _, _, number in contenders)) as bar:
        for load in loads:
            with busy_core() if load else nullcontext():
                for name, wakes, number in contenders:
                    ours = wakes is our_timer
                    run = run_real if ours else asyncio.run
                    result = run(_measured_with(work if ours else None, bar, wakes, number, length))
                    results.append((name, load, result))
    console.print(_table(results, length))
    console.print("drift: ms the offset grows in 1,000 boundaries; CPU: microseconds a wake-up", highlight=False)
    console.print(f"load before the measurement: {before:.2f} on {os.cpu_count()} cores\n", highlight=False)
    for line in _verdicts([(load, result) for name, load, result in results if name == "ours"]):
        console.print(line, highlight=False)
    if peers and len(contenders) < 3:
        console.print("APScheduler is not installed; with it (pip install 'apscheduler<4') it is measured too.")


async def _measured_with(
    work: Callable[[], AbstractAsyncContextManager[Work]] | None,
    bar: Progress,
    wakes: Wakes,
    number: int,
    length: timedelta,
) -> Precision:
    async with work() if work else nullcontext() as each:
        return await measured(wakes, number, length, _at_each(bar, each))


def _installed(module: str) -> bool:
    """Whether it can be imported; it then is, so that the import takes no time of the measurement."""
    try:
        import_module(module)
    except ImportError:
        return False
    return True


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Progress]:
    """A bar that is drawn only when told to, so that it takes no time at a boundary."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, auto_refresh=False) as bar:
        bar.add_task("boundaries", total=total)
        yield bar


def _at_each(bar: Progress, work: Work | None) -> Work:
    drawn: datetime | None = None

    async def each(at: datetime) -> None:
        nonlocal drawn
        if work is not None:
            await work(at)
        bar.advance(bar.task_ids[0])
        if drawn is None or at - drawn >= timedelta(seconds=0.5):
            drawn = at
            bar.refresh()

    return each


def _table(results: list[tuple[str, bool, Precision]], length: timedelta) -> Table:
    title = f"offset in ms from boundaries {length.total_seconds() * 1000:g} ms apart"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("timer", no_wrap=True)
    table.add_column("core")
    for heading in ("n", "min", "p50", "p99", "max", "early", "drift", "CPU"):
        table.add_column(heading, justify="right")
    for name, load, result in results:
        figures = [result.percentile(percent) for percent in (0, 50, 99, 100)]
        table.add_row(
            name,
            "busy" if load else "idle",
            str(len(result.offsets)),
            *(f"{figure:.2f}" for figure in figures),
            str(result.early),
            f"{result.drift:+.1f}",
            f"{result.cpu_per_wake * 1e6:.0f}",
        )
    return table


def _verdicts(ours: list[tuple[bool, Precision]]) -> Iterator[str]:
    for load, result in ours:
        goal = P99_BUSY if load else P99_IDLE
        p99 = result.percentile(99)
        state = "with one core busy" if load else "idle"
        yield _verdict(p99 <= goal, f"p99 of {len(result.offsets):,} {state}: {p99:.2f} ms, goal {goal:g} ms")
    early = sum(result.early for _, result in ours)
    yield _verdict(not early, f"{early} wake-ups before their boundary, goal 0")
    moved = max((result.moved for _, result in ours), key=abs)
    yield _verdict(abs(moved) <= MOVED, f"median moved {moved:+.2f} ms from first half to second, goal {MOVED:g} ms")
    wakes = 1 + 60 / LONGEST_NAP
    share = max(result.cpu_per_wake for _, result in ours) * wakes / 60
    yield _verdict(share <= CPU, f"{share:.3%} of a core at one-minute boundaries ({wakes:g} wake-ups), goal {CPU:.0%}")


def _verdict(met: bool, text: str) -> str:
    return f"{'met   ' if met else 'missed'}  {text}"
