"""The engine and the reference on the same cases: many baskets of one replay beside one strategy at a time."""

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.cli.replaying import Replay
from option_baskets.engine.report import as_json
from tests.reference.basket_toml import as_toml, write_baskets
from tests.reference.charges import RATES
from tests.reference.generated_legs import Kind
from tests.reference.generator import strategy
from tests.reference.interpreter import play
from tests.reference.positions import leg_id
from tests.reference.recording import clock_of, date_of, next_trading_day, recording
from tests.reference.run import Outcome, Table
from tests.reference.tally import Tally

_CHARGES_KNOWN = date(2021, 1, 1)
"""Of earlier years the table has not every rate."""


def compare(days: Sequence[Path], seed: int, numbers: Sequence[int], kind: Kind, work: Path) -> Tally:
    """Play the strategies of these numbers both ways on days that follow each other."""
    recordings = [recording(path) for path in days]
    tables = [strategy(seed, number, kind) for number in numbers]
    played = _played(days, tables, work)
    tally = Tally()
    for table in tables:
        outcomes = play(table, recordings)
        tally.count(table, outcomes, len(days))
        expected, found = _readable(outcomes), _lines(played[table["name"]])
        if expected != found:
            tally.disagreements.append(
                f"seed {seed}, {table['name']} on {recordings[0].date} and after of {recordings[0].underlying}\n"
                f"{as_toml(table)}\n\nengine: {_details(played[table['name']])}\n{_indent(found)}\n"
                f"reference:\n{_indent(expected)}\n"
            )
    return tally


def batch(days: Sequence[Path], seed: int, first: int, size: int, kind: Kind) -> Tally:
    """``size`` strategies from number ``first`` on."""
    with tempfile.TemporaryDirectory() as work:
        return compare(days, seed, range(first, first + size), kind, Path(work))


def blocks(folder: Path) -> list[list[Path]]:
    """The recorded days of a folder, in runs of trading days that follow each other."""
    found: list[list[Path]] = []
    for path in sorted(folder.glob("*.parquet")):
        day = date.fromisoformat(path.stem)
        if found and next_trading_day(date.fromisoformat(found[-1][-1].stem)) == day:
            found[-1].append(path)
        else:
            found.append([path])
    return found


def kind_of(folder: Path) -> Kind:
    """What the days of a folder have, so that a number is one strategy on any of them."""
    paths = sorted(folder.glob("*.parquet"))
    day = recording(paths[0])
    expiry = day.expiries("weekly")[0]
    strikes = day.strikes(expiry)
    return Kind(
        underlying=day.underlying,
        level=int(strikes[len(strikes) // 2]),
        days=len(paths),
        has_spot=bool(day.spot.bars),
        has_future=any(instrument.type == "FUT" for instrument in day.lot_size),
        has_charges=RATES.exists() and day.date >= _CHARGES_KNOWN,
        expiries=len(day.expiries("weekly")),
    )


def _played(days: Sequence[Path], tables: list[Table], work: Path) -> dict[str, list[tuple[date, dict[str, Any]]]]:
    """What the engine made of each strategy, by its name."""
    files = write_baskets(tables, work)
    replay = Replay.prepare(
        days[0].parent,
        files,
        first=date.fromisoformat(days[0].stem),
        last=date.fromisoformat(days[-1].stem),
        slippage=Decimal(0),
        stale=None,
        with_charges=False,
        facts=None,
    )
    with _collecting_seldom():
        document: dict[str, Any] = as_json(replay.run(None))  # type: ignore[assignment]
    played: dict[str, list[tuple[date, dict[str, Any]]]] = {table["name"]: [] for table in tables}
    for session in document["sessions"]:
        for run in session["runs"]:
            played[run["strategy"]].append((date.fromisoformat(session["date"]), run))
    return played


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """A replay makes many values that all live on; looking through them after every 700 takes a fifth of its time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _lines(runs: list[tuple[date, dict[str, Any]]]) -> list[str]:
    """Runs of the record, a line a leg."""
    lines = []
    last = max((day for day, _ in runs), default=None)
    for day, run in runs:
        if run["status"] == "SKIPPED":
            lines.append(f"{run['entered_on']} cycle {run['cycle']} skipped: {run['reason']}")
        elif run["status"] != "CLOSED" and day == last:
            lines.append(f"{run['entered_on']} cycle {run['cycle']} is {run['status']}")
        for leg in run["legs"]:
            contract = leg["contract"]
            lines.append(
                f"cycle {run['cycle']} {leg['leg']}/{leg['entry_number']} "
                f"{leg['account'].split('-')[-1]} {leg['side']} {leg['lots']} lots "
                f"{leg['quantity']} {contract['expiry']} {contract['strike']} {contract['type']} "
                f"in {_time(leg['entry_time'])} at {leg['entry_price']} "
                f"out {_time(leg['exit_time'])} at {leg['exit_price']} {leg['exit_reason']}"
            )
    return sorted(lines)


def _time(instant: str | None) -> str | None:
    return instant and f"{instant[:10]} {instant[11:16]}"


def _details(runs: list[tuple[date, dict[str, Any]]]) -> str:
    return "; ".join(run["detail"] for _, run in runs if run["detail"])


def _readable(outcomes: list[Outcome]) -> list[str]:
    """The same of the reference."""
    lines = []
    for outcome in outcomes:
        if outcome.skipped:
            lines.append(f"{outcome.day} cycle {outcome.cycle} skipped: {outcome.skipped}")
        elif outcome.waits or any(position.is_open for position in outcome.positions):
            lines.append(f"{outcome.day} cycle {outcome.cycle} is {'WAITING' if outcome.waits else 'ACTIVE'}")
        for position in outcome.positions:
            contract = position.instrument
            strike = None if contract.strike is None else f"{contract.strike.normalize():f}"
            price = None if position.exit_price is None else f"{position.exit_price:.4f}"
            lines.append(
                f"cycle {outcome.cycle} {leg_id(position.leg, position.number)}/{position.entry_number} "
                f"{position.account} {position.side} {position.lots} lots {position.quantity} "
                f"{contract.expiry} {strike} {contract.type} "
                f"in {_moment(position.entry_time)} at {position.entry_price:.4f} "
                f"out {position.exit_time and _moment(position.exit_time)} at {price} {position.exit_reason}"
            )
    return sorted(lines)


def _moment(at: int) -> str:
    return f"{date_of(at)} {clock_of(at)}"


def _indent(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
