"""The engine and the reference on the same cases: many baskets of one replay beside one strategy at a time."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.cli.replaying import Replay
from option_baskets.engine.report import as_json
from tests.reference.generator import Kind, as_toml, basket_file, strategy
from tests.reference.interpreter import Outcome, Table, play
from tests.reference.recording import Recording

BASKET = 10
"""The most strategies a file may have."""


@dataclass
class Tally:
    """What was compared, and what did not agree."""

    cases: int = 0
    """In which a leg entered."""
    skipped: int = 0
    not_due: int = 0
    legs: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    """By reason."""
    rules: Counter[str] = field(default_factory=Counter)
    """In how many cases that entered a rule was part of the strategy."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Skips, by code."""
    disagreements: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("cases", "skipped", "not_due", "legs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.exits, other.exits), (self.rules, other.rules), (self.reasons, other.reasons)):
            mine.update(theirs)
        self.disagreements += other.disagreements

    def __str__(self) -> str:
        lines = [
            f"{self.cases:,} cases entered {self.legs:,} legs; {self.skipped:,} were skipped, {self.not_due:,} not due;"
            f" {len(self.disagreements)} disagreements"
        ]
        for name, counter in (("exits", self.exits), ("skips", self.reasons), ("rules", self.rules)):
            lines.append(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in counter.most_common()))
        return "\n".join(lines)


def compare(recordings: Path, seed: int, numbers: Sequence[int], work: Path, part: slice = slice(None)) -> Tally:
    """Play the strategies of these numbers on every day of a folder, or on part of its days, both ways."""
    paths = sorted(recordings.glob("*.parquet"))
    days = [Recording(path) for path in paths[part]]
    kind = _kind(Recording(paths[0]), len(paths))  # of the whole folder, so that a number is one strategy on any part
    tables = [strategy(seed, number, kind) for number in numbers]
    played = _played(recordings, days, tables, work)
    tally = Tally()
    for day in days:
        for table in tables:
            expected = play(table, day)
            found = played.get((day.date, table["name"]))
            _count(tally, table, expected)
            if _readable(expected) != (lines := _lines(found)):
                detail = found["detail"] if found else ""
                tally.disagreements.append(
                    f"seed {seed}, {table['name']} on {day.date} of {day.underlying}\n{as_toml(table)}\n\n"
                    f"engine: {detail}\n{_indent(lines)}\nreference:\n{_indent(_readable(expected))}\n"
                )
    return tally


def batch(recordings: Path, seed: int, first: int, size: int) -> Tally:
    """``size`` strategies from number ``first`` on, on every day of a folder."""
    with tempfile.TemporaryDirectory() as work:
        return compare(recordings, seed, range(first, first + size), Path(work))


def _kind(day: Recording, days: int) -> Kind:
    expiry = day.expiries("weekly")[0]
    strikes = day.strikes(expiry)
    return Kind(
        underlying=day.underlying,
        level=int(strikes[len(strikes) // 2]),
        days=days,
        has_spot=bool(day.spot.bars),
        has_future=any(instrument.type == "FUT" for instrument in day.lot_size),
        expiries=len(day.expiries("weekly")),
    )


def _played(
    recordings: Path, days: Sequence[Recording], tables: list[Table], work: Path
) -> dict[tuple[date, str], dict[str, Any]]:
    files = []
    for first in range(0, len(tables), BASKET):
        name = f"b{first // BASKET}"
        files.append(work / f"{name}.toml")
        files[-1].write_text(basket_file(name, tables[first : first + BASKET]), encoding="utf-8")
    replay = Replay.prepare(
        recordings,
        files,
        first=days[0].date,
        last=days[-1].date,
        slippage=Decimal(0),
        stale=None,
        with_charges=False,
        facts=None,
    )
    document: dict[str, Any] = as_json(replay.run(None))  # type: ignore[assignment]
    return {
        (date.fromisoformat(session["date"]), run["strategy"]): run
        for session in document["sessions"]
        for run in session["runs"]
    }


def _lines(run: dict[str, Any] | None) -> list[str]:
    """A run of the record, a line a leg."""
    if run is None:
        return ["not due"]
    if run["status"] == "SKIPPED":
        return [f"skipped: {run['reason']}"]
    lines = [] if run["status"] == "CLOSED" else [f"{run['status']} {run['reason']}"]
    for leg in run["legs"]:
        contract = leg["contract"]
        times = [leg[key] and leg[key][11:16] for key in ("entry_time", "exit_time")]
        lines.append(
            f"{leg['leg']} {leg['account'].split('-')[-1]} {leg['side']} {leg['lots']} lots {leg['quantity']} "
            f"{contract['expiry']} {contract['strike']} {contract['type']} "
            f"in {times[0]} at {leg['entry_price']} out {times[1]} at {leg['exit_price']} {leg['exit_reason']}"
        )
    return sorted(lines)


def _readable(outcome: Outcome | None) -> list[str]:
    """The same of the reference."""
    if outcome is None:
        return ["not due"]
    if outcome.skipped:
        return [f"skipped: {outcome.skipped}"]
    lines = []
    for position in outcome.positions:
        contract = position.instrument
        assert position.exit_time is not None and position.exit_price is not None
        lines.append(
            f"{position.leg.get('id', position.number + 1)} {position.account} {position.leg['side']} "
            f"{position.lots} lots {position.quantity} {contract.expiry} "
            f"{None if contract.strike is None else f'{contract.strike.normalize():f}'} {contract.type} "
            f"in {_clock(position.entry_time)} at {position.entry_price:.4f} "
            f"out {_clock(position.exit_time)} at {position.exit_price:.4f} {position.exit_reason}"
        )
    return sorted(lines)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _indent(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _count(tally: Tally, table: Table, outcome: Outcome | None) -> None:
    if outcome is None:
        tally.not_due += 1
        return
    if outcome.skipped:
        tally.skipped += 1
        tally.reasons[outcome.skipped] += 1
        return
    tally.cases += 1
    tally.legs += len(outcome.positions)
    tally.exits.update(position.exit_reason or "open" for position in outcome.positions)
    tally.rules.update(_rules(table))


def _rules(table: Table) -> set[str]:
    found = {f"reference {table['reference']}"}
    found |= {key for key in ("days", "dte", "expiry", "lock", "move_stop_to_cost") if key in table}
    if "trail" in table.get("lock", {}):
        found.add("lock trail")
    for key in ("stop", "target"):
        found |= {f"strategy {key} {unit}" for unit in table.get(key, {})}
    if "per" in table:
        found.add(f"per {table['per']}")
    if "premium_base" in table:
        found.add(f"premium base {table['premium_base']}")
    for leg in table["legs"]:
        if leg["type"] == "FUT":
            found.add("future")
        else:
            found.add(" ".join(filter(None, (leg["strike"]["rule"], leg["strike"].get("pick")))))
        for key in ("stop", "target"):
            found |= {f"{key} {unit}" for unit in leg.get(key, {})}
        found |= {key for key in ("trail", "ratio") if key in leg}
        found |= {"close"} if leg.get("price") == "close" else set()
        found |= {"square_off all"} if leg.get("square_off") == "all" else set()
    found |= {"leg_lots" for allocation in table["allocations"] if "leg_lots" in allocation}
    found |= {"two accounts"} if len(table["allocations"]) > 1 else set()
    return found
