"""The long-running process: days one after another, on the real clock, an accelerated one, or in simulated time."""

import asyncio
import logging
import signal
from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.clock import RealClock, SimulatedClock, run_real, run_simulated
from option_baskets.adapters.feeds.simulated import Scenario, refuse_unless_sound
from option_baskets.cli.data_folder import alone
from option_baskets.cli.markets import market_of
from option_baskets.domain.cadence import Cadence
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Facts
from option_baskets.domain.session import IST, Session, next_session_day, session_on, with_halts
from option_baskets.engine.day import Watch
from option_baskets.engine.rates import Rate
from option_baskets.engine.report import DayRecord
from option_baskets.engine.trading import Pace
from option_baskets.ports import Clock
from option_baskets.wiring import Embedded, Market, held_underlyings, last_tick, play, spare_the_collector

if TYPE_CHECKING:
    from option_baskets.adapters.feeds.recorded import RecordedFeed

LOG = logging.getLogger(__name__)

BLIND_AFTER = timedelta(seconds=30)
"""A feed silent so long on a sold contract leaves its stops blind; a recording is silent where nobody traded."""

LOOK_FOR_KILLS = timedelta(seconds=0.5)
"""Of real time: half of what a kill switch thrown elsewhere may take to be seen."""


class Speed:
    """How market time passes: as it is (``real``), N times faster, or in no time at all (``max``)."""

    def __init__(self, text: str) -> None:
        self.is_real = text == "real"
        self.is_simulated = text == "max"
        self.factor = 1.0
        if not (self.is_real or self.is_simulated):
            try:
                self.factor = float(text)
            except ValueError:
                self.factor = 0.0
            if not 0 < self.factor < float("inf"):
                raise Invalid(f"{text!r} is neither real, max nor a number above 0, e.g. --speed 60", where="--speed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What ``baskets run`` does, with everything read and checked."""

    data: Path
    baskets: tuple[BasketFile, ...]
    facts: Facts
    speed: Speed
    recorded: "RecordedFeed | None"
    seed: int
    with_charges: bool
    cadence: Cadence | None = None
    """None: the package's own table."""
    second_path: Path | None = None
    """Where what must be kept goes while the tables cannot be written; None: a file in the data folder."""

    def days(self, first: date | None, count: int | None) -> Iterator[Session]:
        """The sessions to trade, from ``first`` (default: today, or the first recorded day) on.

        Raises:
            Invalid: that day has no session, is not recorded, or cannot be simulated.
        """
        if self.recorded is not None:
            days = [day for day in self.recorded.sessions() if first is None or day >= first]
            if not days:
                raise Invalid(f"nothing is recorded from {first or 'the beginning'} on", where="--date")
            if first is not None and days[0] != first:
                raise Invalid(f"nothing is recorded for {first}; the next recorded day is {days[0]}", where="--date")
            yield from (with_halts(self.facts, self.recorded.session(day)) for day in days[: count or 1])
            return
        now = RealClock().now().astimezone(IST)
        day = first or now.date()
        if first is not None and session_on(self.facts, first) is None:
            names = ", ".join(sorted({row.name for row in self.facts.holidays.values() if row.date == first}))
            following = next_session_day(self.facts, first)
            raise Invalid(
                f"{first} has no session ({names or 'a weekend'}); the next is on {following}", where="--date"
            )
        made = 0
        while count is None or made < count:
            session = session_on(self.facts, day)
            if session is not None and not (self.speed.is_real and session.close <= now):
                made += 1
                refuse_unless_sound(self.facts, day, self._underlyings(), Scenario())
                yield session
            day += timedelta(days=1)

    def trade(self, sessions: Iterator[Session], *, watch: Watch, done: Callable[[DayRecord], None]) -> None:
        """Trade the sessions; each day's record goes to ``done`` when it ends. Interrupted, the books stay as they are.

        Raises:
            Unavailable: another process works in the data folder.
        """
        with alone(self.data):
            for session in sessions:
                for record in self._trade(session, watch):
                    done(record)

    def _trade(self, session: Session, watch: Watch) -> list[DayRecord]:
        held = asyncio.run(held_underlyings(self.data, session.date))
        if self.speed.is_simulated:
            return run_simulated(lambda clock: self._day(session, clock, watch, held), session.starts)
        start = None
        if not self.speed.is_real or self.recorded is not None:
            # An accelerated day that was interrupted goes on where it was; nothing happened to its market meanwhile.
            start = asyncio.run(last_tick(self.data, session.date)) or session.starts
        clock = RealClock(self.speed.factor, start, zone=IST)
        spare_the_collector()
        return run_real(_until_terminated(self._day(session, clock, watch, held)))

    async def _day(self, session: Session, clock: Clock, watch: Watch, held: Collection[str]) -> list[DayRecord]:
        from option_baskets.cli.killing import actor

        machine = self.machine(session, clock, held)
        try:
            paused = await machine.adopt(self.baskets, actor=actor())
            if paused:
                LOG.warning("not in the files and therefore paused: %s", ", ".join(paused))
            return await play(machine, [session], with_charges=self.with_charges, watch=watch)
        finally:
            await asyncio.shield(machine.close())

    def machine(self, session: Session, clock: Clock, held: Collection[str] = ()) -> Embedded:
        """The platform over the data folder for one session; ``held`` are underlyings of earlier days' positions."""
        in_simulated_time = isinstance(clock, SimulatedClock)
        return Embedded(
            data=self.data,
            market=self.market(session, held),
            clock=clock,
            facts=self.facts,
            rate=Rate(),
            pace=Pace(blind_after=None if self.recorded else BLIND_AFTER),
            cadence=self.cadence,
            threaded=not in_simulated_time,
            durable=not in_simulated_time,
            second_path=self.second_path,
            kills_every=None if in_simulated_time else LOOK_FOR_KILLS * max(1.0, self.speed.factor),
        )

    def market(self, session: Session, held: Collection[str]) -> Market:
        """The market of the session, with these underlyings beside those of the baskets."""
        underlyings = sorted({*self._underlyings(), *held})
        return market_of(
            self.facts, self.recorded, seed=self.seed, underlyings=underlyings, session_at=lambda _: session
        )

    def _underlyings(self) -> list[str]:
        return sorted({strategy.underlying for file in self.baskets for strategy in file.strategies})


async def _until_terminated(work: Coroutine[Any, Any, list[DayRecord]]) -> list[DayRecord]:
    """Do the work; a SIGTERM cancels it as Ctrl-C does."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
