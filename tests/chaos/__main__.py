"""``python -m tests.chaos``: kill the engine so many times, compare the books, say what differs.

Examples:
  python -m tests.chaos --kills 500
  python -m tests.chaos --seed 41 --days 1 --kills 25     one day again, as it was
"""

import argparse
import secrets
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos import scenario
from tests.chaos.failpoints import Death
from tests.chaos.supervisor import Day, Deaths, Killed
from tests.chaos.witness import differences, faults, testimony

ALLOWED = {"late_entry", "price_moved"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="over all days")
    parser.add_argument("--each", type=int, default=25, help="kills a day")
    parser.add_argument("--days", type=int, help="days, one seed each; default: as many as the kills need")
    parser.add_argument("--seed", type=int, default=None, help="of the first day; printed, so that one can be repeated")
    parser.add_argument("--keep", type=Path, help="keep the books of bad days there")
    given = parser.parse_args()
    first = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    days = given.days or -(-given.kills // given.each)
    began = time.monotonic()
    print(f"seed {first}: {days} days with {given.each} kills each")
    kills: list[Killed] = []
    bad = runs = 0
    excused: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for seed in range(first, first + days):
            feed = scenario.recorded_day(Path(folder) / str(seed) / "market", seed)
            whole = _live(feed, Path(folder) / str(seed) / "whole", seed, 0)
            day = _live(feed, Path(folder) / str(seed) / "day", seed, given.each)
            found = [f"uninterrupted: {fault}" for fault in faults(testimony(whole.engine.data))]
            seen = testimony(day.engine.data)
            found += faults(seen)
            runs += len(seen.runs)
            for run, why in differences(seen, testimony(whole.engine.data)):
                if set(why.split(", ")) <= ALLOWED:
                    excused[why] += 1
                    print(f"  seed {seed}: {run.id} differs: {why}")
                else:
                    found.append(f"{run.id} differs from the uninterrupted day: {why}; {run.detail}")
            kills += day.kills
            print(f"seed {seed}: {len(day.kills)} kills, {len(seen.book)} orders, {len(found)} faults")
            for fault in found:
                print(f"  {fault}")
            bad += bool(found)
            if found and given.keep:
                shutil.copytree(Path(folder) / str(seed), given.keep / str(seed), dirs_exist_ok=True)
            shutil.rmtree(Path(folder) / str(seed))
    print(_summary(kills))
    share = 100 * sum(excused.values()) / max(runs, 1)
    print(f"{runs} runs, {sum(excused.values())} excused ({share:.1f} %): {dict(excused)}; {bad} bad days")
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if bad or share > 5 else 0


def _live(feed: object, data: Path, seed: int, kills: int) -> Day:
    engine = scenario.engine(feed, data)  # type: ignore[arg-type]
    day = Day(
        engine=engine,
        deaths=Deaths(seed=seed, kills=kills),
        behaviour=scenario.behaviours(seed, engine.session),
    )
    day.run()
    return day


def _summary(kills: list[Killed]) -> str:
    kinds = Counter(_kind(killed.how) for killed in kills)
    return f"{len(kills)} kills: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _kind(how: Death) -> str:
    if how.window is not None:
        return f"at {how.window}"
    return "at a random call" if how.calls is not None else "at a random instant"


raise SystemExit(main())
