"""A day lived twice, interrupted and not, and what the two books say of each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from option_baskets.adapters.feeds.recorded import RecordedFeed
from tests.chaos import scenario
from tests.chaos.supervisor import Day, Deaths, Killed
from tests.chaos.witness import differences, faults, testimony

ALLOWED = frozenset({"late_entry", "price_moved"})
"""Why a run of an interrupted day may have traded something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of a day with kills."""

    kills: Sequence[Killed]
    orders: int
    runs: int
    faults: Sequence[str]
    """What must not be; empty for a good day."""
    excused: Sequence[tuple[str, str]]
    """Runs that differ for an allowed reason: id and reason."""


def compare(folder: Path, seed: int, kills: int, *, power: bool = False, durable: bool = True) -> Comparison:
    """Live the day of the seed twice below ``folder``.

    Args:
        power: it is the power that fails (``power.py``), not only the process.
        durable: False lets the tables take no care of that, to see that it is noticed.
    """
    feed = scenario.recorded_day(folder / "market", seed)
    undisturbed = testimony(_live(feed, folder / "whole", seed, 0).engine.data)
    day = _live(feed, folder / "day", seed, kills, power=f"{seed}" if power else "", durable=durable)
    seen = testimony(day.engine.data)
    found = [*(f"uninterrupted: {fault}" for fault in faults(undisturbed)), *faults(seen)]
    excused = []
    for run, why in differences(seen, undisturbed):
        if set(why.split(", ")) <= ALLOWED:
            excused.append((run.id, why))
        else:
            found.append(f"{run.id} differs from the uninterrupted day: {why}; {run.detail}")
    return Comparison(kills=day.kills, orders=len(seen.book), runs=len(seen.runs), faults=found, excused=excused)


def _live(feed: RecordedFeed, data: Path, seed: int, kills: int, *, power: str = "", durable: bool = True) -> Day:
    engine = scenario.engine(feed, data, power=power, durable=durable)
    day = Day(engine=engine, deaths=Deaths(seed=seed, kills=kills), behaviour=scenario.behaviours(seed, engine.session))
    day.run()
    return day
