"""``python -m tests.chaos``: kill the engine so many times, compare the books, say what differs.

Examples:
  python -m tests.chaos --kills 500
  python -m tests.chaos --seed 41 --kills 25     one day again, as it was but for the signals at random instants
"""

import argparse
import itertools
import logging
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.failpoints import Death, Window
from tests.chaos.lives import compare
from tests.chaos.supervisor import Killed

LEAST = 20
"""Kills at each named window among 500."""
MOST_EXCUSED = 0.05
"""Of the runs."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="over all days; default 500")
    parser.add_argument("--each", type=int, default=25, help="kills a day; default 25")
    parser.add_argument("--seed", type=int, help="of the first day, each day after it has the next; default: a new one")
    parser.add_argument("--power", action="store_true", help="the power fails: what was not fsynced is lost")
    parser.add_argument("--keep", type=Path, help="keep the books of bad days in this folder")
    parser.add_argument("--verbose", action="store_true", help="show what the engine logs")
    given = parser.parse_args()
    if not given.verbose:
        logging.disable(logging.CRITICAL)
    first = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    began = time.monotonic()
    print(f"seed {first}: days with up to {given.each} kills each, until {given.kills} are done", flush=True)
    kills: list[Killed] = []
    bad = runs = excused = 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for seed in itertools.count(first):
            if len(kills) >= given.kills:
                break
            place = Path(folder) / str(seed)
            day = compare(place, seed, min(given.each, given.kills - len(kills)), power=given.power)
            kills += day.kills
            runs += day.runs
            excused += len(day.excused)
            bad += bool(day.faults)
            print(f"seed {seed}: {len(day.kills)} kills, {day.orders} orders, {len(day.faults)} faults", flush=True)
            for run, why in day.excused:
                print(f"  {run} differs: {why}")
            for fault in day.faults:
                print(f"  FAULT {fault}")
            if day.faults and given.keep:
                shutil.copytree(place, given.keep / str(seed), dirs_exist_ok=True)
            shutil.rmtree(place)
    print(_summary(kills))
    few = _too_few(kills)
    for window in few:
        print(f"fewer than {LEAST} kills at {window}")
    share = excused / max(runs, 1)
    print(f"{runs} runs, {excused} excused ({share:.1%}), {bad} bad days, {time.monotonic() - began:.0f} s")
    return 1 if bad or few or share > MOST_EXCUSED else 0


def _too_few(kills: Sequence[Killed]) -> list[Window]:
    at = Counter(killed.how.window for killed in kills)
    return [window for window in Window if at[window] < LEAST] if len(kills) >= 500 else []


def _summary(kills: Sequence[Killed]) -> str:
    kinds = Counter(_kind(killed.how) for killed in kills)
    return f"{len(kills)} kills: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _kind(how: Death) -> str:
    if how.window is not None:
        return f"at {how.window}"
    return "at a random call" if how.calls is not None else "at a random instant"


if __name__ == "__main__":
    raise SystemExit(main())
