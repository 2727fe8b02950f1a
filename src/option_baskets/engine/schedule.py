"""The schedule trigger: claim what is due in the next minutes, and queue each to fire at its exact instant."""

from dataclasses import replace
from datetime import date, datetime, timedelta

from option_baskets.domain.due import is_due, times
from option_baskets.domain.errors import Refused
from option_baskets.domain.events import Event
from option_baskets.domain.ids import run_id
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import Session, trading_days_after
from option_baskets.engine.trading import Trading
from option_baskets.ports import Message
from option_baskets.store.records import DueStrategy

_MINUTE = timedelta(minutes=1)
ENTER_RUN = "enter"
EXIT_RUN = "exit"


async def schedule_due(trading: Trading, session: Session, event: Event, until: datetime) -> None:
    """Handle ``ScheduleStrategyTrigger``: one index query for every occupied minute in (tick, ``until``], no other."""
    minutes = [event.at + n * _MINUTE for n in range(1, int((until - event.at) / _MINUTE) + 1)]
    occupied = await trading.books.occupied_entry_minutes()
    for minute in minutes:
        if minute.time() in occupied:
            snapshot = await trading.market.snapshot(event.at)
            for due in await trading.books.due(minute.time()):
                await _claim(trading, session, due, snapshot)
    exits = await trading.books.occupied_exit_minutes(session.date)
    for minute in minutes:
        if minute.time() in exits:
            await _queue_exits(trading, minute)


async def _claim(trading: Trading, session: Session, due: DueStrategy, snapshot: Snapshot) -> None:
    """Claim a strategy's run for the day, once, together with the message that enters it."""
    if due.strategy.paused or due.basket.paused or not due.allocations:
        return
    if not is_due(
        due.strategy,
        session,
        _earliest_expiry(due, snapshot),
        lambda expiry: trading_days_after(trading.facts, session.date, expiry),
    ):
        return
    when = times(due.strategy, session)
    run = Run(
        id=run_id(session.date, due.strategy.id),
        user_id=due.user_id,
        date=session.date,
        cycle=0,
        basket=due.basket,
        strategy=due.strategy,
        allocations=due.allocations,
        entry_at=when.entry,
        exit_at=when.exit,
        detail=when.note,
    )
    if not session.is_trading(when.entry):
        detail = f"its entry at {when.entry:%H:%M} is outside the session of {session.date:%d-%b-%Y}"
        await trading.books.claim(replace(run, status=RunStatus.SKIPPED, reason=Reason.SESSION_CLOSED, detail=detail))
        return
    message = Message(
        id=f"{ENTER_RUN}-{run.user_id}-{run.id}",
        at=run.entry_at,
        kind=ENTER_RUN,
        body={"user_id": run.user_id, "run_id": run.id},
    )
    claimed = await trading.books.claim(run, trading.queue.write(message))
    if claimed is not None:
        trading.runs.adopt([claimed])
        await trading.queue.sent([message])


async def _queue_exits(trading: Trading, minute: datetime) -> None:
    messages = [
        Message(
            id=f"{EXIT_RUN}-{run.user_id}-{run.id}",
            at=run.exit_at,
            kind=EXIT_RUN,
            body={"user_id": run.user_id, "run_id": run.id},
        )
        for run in await trading.books.due_exits(minute)
        if run.status is not RunStatus.SCHEDULED
    ]
    for message in messages:
        await trading.books.commit(trading.queue.write(message))
    await trading.queue.sent(messages)


def _earliest_expiry(due: DueStrategy, snapshot: Snapshot) -> date | None:
    try:
        return min(expiry_of(due.strategy, leg, snapshot) for leg in due.strategy.legs)
    except Refused:
        return None
