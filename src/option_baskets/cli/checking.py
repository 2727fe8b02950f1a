"""The demo day's stop checks, to be run where the timer is measured: real books, a simulated market, open positions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.adapters.clock import RealClock, SimulatedClock, run_simulated
from option_baskets.adapters.facts import load
from option_baskets.cli.precision import Work
from option_baskets.cli.running import Running, Speed
from option_baskets.domain.events import Event, EventType, Priority
from option_baskets.domain.session import IST, session_on
from option_baskets.engine.recovery import recover
from option_baskets.engine.stops import check_stops

DEMO_DAY = date(2026, 11, 19)
FROM = datetime(2026, 11, 19, 10, 0, tzinfo=IST)
"""When the demo baskets hold positions; the checks go on from here, a market second each."""


def prepare(data: Path, files: tuple[Path, ...]) -> Running:
    """Trade the demo day until ``FROM``, so that ``data`` holds books with open positions."""
    facts = load()
    running = Running(
        data=data,
        baskets=tuple(load_basket_file(path, facts.names) for path in files),
        facts=facts,
        speed=Speed("max"),
        recorded=None,
        seed=7,
        with_charges=True,
    )
    session = session_on(facts, DEMO_DAY)
    assert session is not None

    async def morning(clock: SimulatedClock) -> None:
        machine = running.machine(session, clock)
        await machine.adopt(running.baskets)
        await clock.sleep_until(session.starts)
        day = await machine.trading_day()
        trading = asyncio.create_task(day.run(session))
        await clock.sleep_until(FROM)
        trading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await trading
        await machine.close()

    run_simulated(morning, session.starts - timedelta(minutes=1))
    return running


@contextlib.asynccontextmanager
async def stop_checks(running: Running) -> AsyncIterator[Work]:
    """Give the work of one boundary: the stop check of every open run, on the market's next second."""
    session = session_on(running.facts, DEMO_DAY)
    assert session is not None
    machine = running.machine(session, RealClock(1.0, FROM))
    day = await machine.trading_day()
    trading = day.trading
    trading.session = session
    await recover(trading)
    seconds = 0

    async def work(_: datetime) -> None:
        nonlocal seconds
        seconds += 1
        at = FROM + timedelta(seconds=seconds)
        phase = session.phase(at)
        await check_stops(trading, Event(type=EventType.CHECK_STOP_LOSS, at=at, phase=phase, priority=Priority.HIGH))

    try:
        yield work
    finally:
        await trading.settled()
        await machine.close()
