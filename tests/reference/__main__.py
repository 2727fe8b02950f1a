"""``python -m tests.reference``: many more cases than the tests have time for. ``make fuzz`` calls it.

A disagreement prints its strategy as TOML with both results; ``--only`` plays that strategy again.
"""

import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click

from tests.conftest import SHARED
from tests.reference.agreement import batch, blocks, kind_of
from tests.reference.conftest import make_days
from tests.reference.tally import Tally

BATCH = 40
"""Strategies of one replay."""
KINDS = ("nifty", "banknifty", "simulated")


@click.command()
@click.option("--seed", type=int, help="Equal seeds play equal cases. Default: a new one, which is printed.")
@click.option("--cases", type=int, default=10_000, show_default=True, help="Strategies times days to play, at least.")
@click.option("--jobs", type=int, default=2, show_default=True, help="Processes.")
@click.option("--days", "only_kind", type=click.Choice(sorted(KINDS)), help="Only on these days.")
@click.option("--only", type=int, help="Only the strategy of this number, the n of its name sn.")
def main(seed: int | None, cases: int, jobs: int, only_kind: str | None, only: int | None) -> None:
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    kinds = [only_kind] if only_kind else ["simulated", *(["nifty", "banknifty"] if (SHARED / "data").is_dir() else [])]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        for kind in kinds:
            make_days(kind, SHARED, Path(base) / kind)
        if only is not None:
            total = Tally()
            for kind in kinds:
                for days in blocks(Path(base) / kind):
                    total.add(batch(days, seed, only, 1, kind_of(Path(base) / kind)))
        else:
            total = _play(Path(base), kinds, seed, cases, jobs)
    for disagreement in total.disagreements:
        click.echo(f"{'-' * 72}\n{disagreement}")
    click.echo(f"{total}\nseed {seed}, {time.monotonic() - began:.0f} s")
    if total.disagreements:
        raise SystemExit(1)


def _play(base: Path, kinds: list[str], seed: int, cases: int, jobs: int) -> Tally:
    """Batches of every kind in turn, until there are as many cases as were asked for."""
    total, planned, first = Tally(), 0, 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = []
        while planned < cases:
            for kind in kinds:
                of = kind_of(base / kind)
                for days in blocks(base / kind):
                    running.append(pool.submit(batch, days, seed, first, BATCH, of))
                    planned += BATCH * len(days)
            first += BATCH
        for future in running:
            total.add(future.result())
            click.echo(f"{total.cases:,} cases entered, {len(total.disagreements)} disagreements")
    return total


if __name__ == "__main__":
    main()
