"""A million strategies of one minute on AWS, by the model of ``_boundary.py``: what holds it up, and what to set.

Units, CPU and requests of a claim and of a shift are those ``python -m benchmarks.shifts`` counted and measured;
answers of AWS take what is assumed below. ``python -m benchmarks scale`` prints the tables;
``python -m benchmarks.scale draw`` writes them into docs/scale.md and draws its pictures.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks._boundary import RESOURCES, Boundary, Minute, Setting, Terms, alone
from infra.cost.inputs import Assumed, read_counts
from infra.cost.page import table

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "scale.md"
SEND_SECONDS = 0.010
"""Until SQS has answered; assumed, as the answers of DynamoDB are in ``infra/cost/inputs.py``."""
DECODED_A_SECOND = 13_500
"""``python -m benchmarks discovery``, 2026-11-23."""
POLLERS = {"pollers": 2000.0, "pollers_a_second": 1000 / 60, "pollers_most": 20_000.0}
"""Provisioned: 200 pollers stand by with ten invocations each, and grow by a thousand a minute."""
STEPS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("production as it is", {}),
    ("and four minutes for `schedule` instead of one", {"timeout": 240.0}),
    ("and 64 shards, tables at their quota of 40,000", {"shards": 64, "table_writes": 40_000.0}),
    ("and provisioned pollers, 2,000 workers", {**POLLERS, "concurrency": 2000.0}),
    ("and 256 shards, tables at 400,000", {"shards": 256, "table_writes": 400_000.0}),
    ("and 10,000 workers, all started before",
     {"concurrency": 10_000.0, "pollers": 10_000.0, "environments": 10_000.0}),
    ("and 40,000 workers, tables at 4,000,000, partitions split in four",
     {"concurrency": 40_000.0, "pollers": 40_000.0, "pollers_most": 40_000.0, "environments": 40_000.0,
      "table_writes": 4_000_000.0, "splits": 4.0}),
)  # fmt: skip
BEFORE = Setting(workers=1, claims_at_once=1)
"""As it was built until 2026-11-23: one process claimed, one after the other."""
SIZES = (1_000, 10_000, 100_000, 1_000_000)
CONCURRENCIES = (100, 300, 1_000, 3_000, 10_000)
SHARDS = (16, 64, 256)
OF_LIMITS = 100_000
"""Strategies of the table of shards and workers."""
_BLOCK = re.compile(r"(<!-- (\w+): begin -->\n).*?(<!-- \2: end -->)", re.DOTALL)


def terms() -> Terms:
    """What was counted and measured, with AWS's answers as they are assumed."""
    counts, assumed = read_counts(), Assumed()
    client = (counts["client cpu"]["get"] + counts["client cpu"]["commit"]) / 2
    answer = (assumed.get_seconds + assumed.commit_seconds) / 2
    schedule, entries = counts["functions"]["schedule"], counts["functions"]["entries"]
    return Terms(
        decode=1 / DECODED_A_SECOND,
        page_units=0.30,
        claim_waits=schedule["requests"][1] * answer + SEND_SECONDS,
        claim_cpu=max(0.0, schedule["cpu"][1]) + (schedule["requests"][1] + 1) * client,
        claim_index=_index(schedule),
        claim_table=_table(schedule),
        shift_waits=entries["requests"][0] * answer,
        shift_cpu=max(0.0, entries["cpu"][0]) + entries["requests"][0] * client,
        entry_waits=entries["requests"][1] * answer / 2,
        entry_cpu=max(0.0, entries["cpu"][1]) + entries["requests"][1] * client,
        entry_index=_index(entries),
        entry_table=_table(entries),
        after_waits=entries["requests"][1] * answer / 2,
    )


def _index(counted: Mapping[str, Any]) -> float:
    """Units a strategy writes in the busier of the two indexes in which a shard is one partition."""
    places = counted["writes by place"]
    return float(max(places[f"trading-configurations {name}"][1] for name in ("gsi1 ACTIVE", "gsi2 EXIT")))


def _table(counted: Mapping[str, Any]) -> float:
    """Units a strategy writes in the busiest table, without its indexes."""
    return float(max(terms[1] for place, terms in counted["writes by place"].items() if " " not in place))


@cache
def played(setting: Setting) -> Minute:
    return Boundary(setting, terms()).play()


def steps() -> list[tuple[str, Setting]]:
    """Each with what the ones before it set."""
    found, setting = [("one process claims, one after the other (until 2026-11-23)", BEFORE)], Setting()
    for says, changes in STEPS:
        setting = replace(setting, **changes)
        found.append((says, setting))
    return found


# ---------------------------------------------------------------- tables


def terms_table() -> str:
    known = terms()
    rows = [[f"`{name}`", f"{getattr(known, name):.4g}"] for name in Terms.__dataclass_fields__]
    return table(["of one strategy or user", "value"], rows)


def alone_table() -> str:
    """What each limit of production costs where nothing else takes any time."""
    rows = []
    for resource in RESOURCES:
        row = [resource]
        for size in SIZES:
            row.append(_told(played(alone(replace(Setting(), strategies=size), resource))))
        rows.append(row)
    return table(["alone", *(f"{size:,}" for size in SIZES)], rows)


def sizes_table() -> str:
    rows = []
    for says, setting in steps():
        rows.append([says, *(_told(played(replace(setting, strategies=size))) for size in SIZES)])
    return table(["seconds from the minute to its last order", *(f"{size:,}" for size in SIZES)], rows)


def grace_table() -> str:
    rows = []
    for says, setting in steps():
        minute = played(setting)
        claimed = setting.strategies - minute.unclaimed
        within = minute.within_grace()
        rows.append([says, f"{claimed:,}", f"{within:,}", f"{within / setting.strategies:.1%}"])
    return table(["of a million", "claimed", "entered within 60 s", "part"], rows)


def limited(shards: int, workers: int) -> Setting:
    """So many shards, and workers that are all started before; tables without a limit."""
    return replace(
        Setting(),
        strategies=OF_LIMITS, shards=shards, concurrency=float(workers), pollers=float(workers),
        pollers_most=float(workers), environments=float(workers), table_writes=inf, timeout=240.0,
    )  # fmt: skip


def limits_table() -> str:
    rows = [
        [f"{shards} shards", *(_told(played(limited(shards, workers))) for workers in CONCURRENCIES)]
        for shards in SHARDS
    ]
    return table(["workers", *(f"{workers:,}" for workers in CONCURRENCIES)], rows)


def _told(minute: Minute) -> str:
    text = "never" if minute.last == inf else f"{minute.last:,.1f}" if minute.last < 1000 else f"{minute.last:,.0f}"
    return f"{text} ({minute.unclaimed:,} never)" if minute.unclaimed else text


BLOCKS: Mapping[str, Callable[[], str]] = {
    "terms": terms_table,
    "alone": alone_table,
    "sizes": sizes_table,
    "grace": grace_table,
    "limits": limits_table,
}


# ---------------------------------------------------------------- pictures


def draw() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for says, setting in steps():
        late = [max(each, 0.1) for each in played(setting).late]
        if late:
            every = max(1, len(late) // 500)
            count = [number + 1 for number in range(len(late))]
            axes.plot([*late[::every], late[-1]], [*count[::every], count[-1]], label=says)
    axes.axvline(60, color="grey", linestyle=":", linewidth=1)
    axes.set(
        xscale="log", xlabel="seconds after the minute; dotted: the grace of an entry", ylabel="strategies entered"
    )
    axes.set_title("A million strategies of one minute (a model)")
    axes.legend(fontsize=7, loc="center left")
    figure.savefig(DOCS / "images" / "scale-entered.png", dpi=110, metadata={"Software": ""})
    plt.close(figure)

    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for shards in SHARDS:
        last = [played(limited(shards, workers)).last for workers in CONCURRENCIES]
        axes.plot(CONCURRENCIES, last, marker="o", label=f"{shards} shards")
    axes.axhline(60, color="grey", linestyle=":", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="workers of entries at once", ylabel="seconds to the last order")
    axes.set_title("The last of 100,000 strategies by shards and workers (a model)")
    axes.legend(fontsize=8)
    figure.savefig(DOCS / "images" / "scale-limits.png", dpi=110, metadata={"Software": ""})
    plt.close(figure)


def main() -> None:
    console = Console(width=160)
    for name, block in BLOCKS.items():
        console.print(name, block(), "", sep="\n", markup=False)
    if "draw" in sys.argv:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text), encoding="utf-8")
        draw()


if __name__ == "__main__":
    main()
