"""Preparing and running a replay: which days, which inputs, and whether a kept state belongs to them."""

import asyncio
import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from option_baskets.adapters.basket_file import BasketFile, load_basket_file
from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.canonical import file_name
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.feeds.settlements import FILE as SETTLEMENTS
from option_baskets.cli.killing import actor
from option_baskets.cli.replay_state import ReplayState
from option_baskets.domain.cadence import Cadence, instants
from option_baskets.domain.due import latest_mis_exits
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Facts
from option_baskets.domain.session import IST, Session, with_halts
from option_baskets.engine.day import Watch
from option_baskets.engine.report import DayRecord, as_json
from option_baskets.engine.trading import Pace
from option_baskets.wiring import Embedded, Market, play

_PACE = Pace(chase_every=timedelta(minutes=1))
"""Recorded prices change once a bar at the most; chasing between them finds nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Everything that decides the result of a replay."""

    feed: RecordedFeed
    sessions: tuple[Session, ...]
    baskets: tuple[BasketFile, ...]
    facts: Facts
    slippage: Decimal
    with_charges: bool
    inputs: str
    """SHA-256 over all of it: equal inputs, equal bytes out."""
    cadence: Cadence
    ticks: int

    @classmethod
    def prepare(
        cls,
        directory: Path,
        files: Sequence[Path],
        *,
        first: date | None,
        last: date | None,
        slippage: Decimal,
        stale: int | None,
        with_charges: bool,
        facts: Path | None,
    ) -> "Replay":
        """Read and check the inputs.

        Raises:
            Invalid: a basket file is wrong, or no recorded day lies in the range.
        """
        known = load(facts)
        baskets = read_baskets(files, known)
        feed = RecordedFeed(directory, stale=timedelta(seconds=stale) if stale else None)
        recorded = feed.sessions()
        days = [day for day in recorded if (first is None or day >= first) and (last is None or day <= last)]
        if not days:
            raise Invalid(_no_day(directory, recorded, first, last), where="--date")
        sessions = tuple(with_halts(known, feed.session(day)) for day in days)
        cadence = load_cadence(facts)
        paths = [*files, *(directory / file_name(day) for day in days), *sorted(facts.glob("*") if facts else ())]
        paths += [path for path in (directory / SETTLEMENTS,) if path.is_file()]
        settings = f"{version('option-baskets')} {slippage} {stale} {with_charges}"
        return cls(
            feed=feed,
            sessions=sessions,
            baskets=baskets,
            facts=known,
            slippage=slippage,
            with_charges=with_charges,
            inputs=_digest(settings, paths),
            cadence=cadence,
            ticks=sum(1 for session in sessions for _ in instants(session, cadence.boundary)),
        )

    def run(
        self, state: Path | None, *, speed: float | None = None, watch: Watch = lambda _, __: None
    ) -> list[DayRecord]:
        """Play the days; with ``state`` the books stay there and an unfinished replay of the same inputs goes on.

        Raises:
            Invalid: the state is of another replay, or cannot be written.
            Unavailable: another process is using it.
        """
        if state is None:
            with tempfile.TemporaryDirectory(prefix="baskets-") as folder:
                return self._play(Path(folder), speed, watch)
        with ReplayState.held(state, self.inputs) as kept:
            return self._play(state, speed, watch, kept.keep)

    def _play(
        self, folder: Path, speed: float | None, watch: Watch, finished: Callable[[Session], None] = lambda _: None
    ) -> list[DayRecord]:
        on = {session.date: session for session in self.sessions}

        async def main(clock: SimulatedClock) -> list[DayRecord]:
            market = Market(
                feed=self.feed,
                fills=RecordedFills(self.feed, slippage=self.slippage),
                is_trading=lambda _, at: on[at.astimezone(IST).date()].is_open(at),
            )
            machine = Embedded(
                data=folder,
                market=market,
                clock=clock,
                facts=self.facts,
                rate=None,
                cadence=self.cadence,
                threaded=False,
                durable=False,
                pace=_PACE,
            )
            try:
                await machine.adopt(self.baskets, actor=actor())
                return await play(
                    machine, self.sessions, with_charges=self.with_charges, watch=watch, finished=finished
                )
            finally:
                await asyncio.shield(machine.close())

        return run_simulated(main, self.sessions[0].starts, speed)


def read_baskets(files: Sequence[Path], facts: Facts) -> tuple[BasketFile, ...]:
    """The basket files, checked against the facts.

    Raises:
        Invalid: as ``load_basket_file``.
    """
    latest_mis = latest_mis_exits(facts)
    return tuple(load_basket_file(path, facts.names, latest_mis) for path in files)


def write_json(records: Sequence[DayRecord], out: Path) -> None:
    """Write the record of the days, whole or not at all."""
    _write_whole(out, json.dumps(as_json(records), indent=1, ensure_ascii=False) + "\n")


def require_writable(path: Path) -> None:
    """Find out before a long replay whether its record can be written; leaves nothing but the folder behind.

    Raises:
        Invalid: it cannot.
    """
    with whole(path) as part:
        part.touch()
        part.unlink()


def _write_whole(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
        part.replace(path)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write first; gone if that fails."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise Invalid(f"cannot write {path}: {error.strerror}", where=str(path)) from error


def _no_day(directory: Path, recorded: Sequence[date], first: date | None, last: date | None) -> str:
    if not recorded:
        return f"{directory} has no recorded session; make some with baskets import or baskets simulate"
    wanted = f"{first or 'the beginning'} to {last or 'the end'}" if first != last else str(first)
    return f"nothing is recorded for {wanted}; {directory} has {_span(recorded)}"


def _span(days: Sequence[date]) -> str:
    return f"only {days[0]}" if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"


def _digest(settings: str, paths: Sequence[Path]) -> str:
    digest = hashlib.sha256(settings.encode())
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
