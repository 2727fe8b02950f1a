"""The schedule trigger: claim what is due in the next minutes, and queue each to fire at its exact instant."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from option_baskets.domain.basket import Strategy
from option_baskets.domain.due import Times, is_due, times
from option_baskets.domain.errors import Refused
from option_baskets.domain.events import Event
from option_baskets.domain.ids import run_id
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST, Session, trading_days_after
from option_baskets.engine.trading import Trading
from option_baskets.ports import Message
from option_baskets.store.records import DueStrategy, Refusal

_MINUTE = timedelta(minutes=1)
ENTER_RUN = "enter"
EXIT_RUN = "exit"


async def schedule_due(trading: Trading, session: Session, event: Event, until: datetime) -> None:
    """Handle ``ScheduleStrategyTrigger``: one index query for every occupied minute in (tick, ``until``], no other."""
    minutes = [event.at + n * _MINUTE for n in range(1, int((until - event.at) / _MINUTE) + 1)]
    occupied = await trading.books.occupied_entry_minutes()
    snapshot = await trading.market.snapshot(event.at)
    if event.at == session.starts:
        minutes = [*_never_ticked(session, occupied), *minutes]
    for minute in minutes:
        if minute.time() in occupied:
            for due in await trading.books.due(minute.time()):
                await _claim(trading, session, due, snapshot)
    exits = await trading.books.occupied_exit_minutes(session.date)
    for minute in minutes:
        if minute.time() in exits:
            await _queue_exits(trading, minute)


def _never_ticked(session: Session, occupied: Iterable[time]) -> list[datetime]:
    """Entry minutes before the day's second tick or from its close on: no trigger looks ahead to them."""
    instants = [datetime.combine(session.date, moment, IST) for moment in occupied]
    return [instant for instant in instants if instant <= session.starts or instant >= session.close]


def when(trading: Trading, session: Session, strategy: Strategy, snapshot: Snapshot) -> Times | None:
    """The strategy's entry and exit on the session's day; None where it is not due."""
    exchange = exchange_of(trading.facts, strategy.underlying)

    def dte(expiry: date) -> int:
        return trading_days_after(trading.facts, session.date, expiry, exchange)

    if not is_due(strategy, session, _earliest_expiry(strategy, snapshot), dte):
        return None
    return times(strategy, session)


def entry_message(run: Run) -> Message:
    """Enters the run at its instant; an entry that was moved is another message."""
    return Message(
        id=f"{ENTER_RUN}-{run.user_id}-{run.id}-{run.entry_at:%H%M}",
        at=run.entry_at,
        kind=ENTER_RUN,
        body={"user_id": run.user_id, "run_id": run.id},
    )


def outside(session: Session, entry: datetime) -> Refused:
    return Refused(
        Reason.SESSION_CLOSED, f"its entry at {entry:%H:%M} is outside the session of {session.date:%d-%b-%Y}"
    )


def skip(run: Run, refusal: Refused, at: datetime) -> tuple[Run, Refusal]:
    """The run as it is not entered, and the record of why."""
    record = Refusal(
        user_id=run.user_id,
        at=at,
        strategy_id=run.strategy.id,
        reason=refusal.reason,
        detail=str(refusal),
        run_id=run.id,
    )
    return replace(run, status=RunStatus.SKIPPED, reason=refusal.reason, detail=str(refusal)), record


async def _claim(trading: Trading, session: Session, due: DueStrategy, snapshot: Snapshot) -> None:
    """Claim a strategy's run for the day, once, together with the message that enters it."""
    if due.strategy.paused or due.basket.paused or not due.allocations:
        return
    due_at = when(trading, session, due.strategy, snapshot)
    if due_at is None:
        return
    run = Run(
        id=run_id(session.date, due.strategy.id),
        user_id=due.user_id,
        date=session.date,
        cycle=0,
        basket=due.basket,
        strategy=due.strategy,
        allocations=due.allocations,
        entry_at=due_at.entry,
        exit_at=due_at.exit,
        detail=due_at.note,
    )
    if not session.is_trading(due_at.entry):
        refusal = outside(session, due_at.entry)
        skipped, record = skip(run, refusal, snapshot.at)
        await trading.books.claim(skipped, trading.books.put_refusal(record))
        return
    message = entry_message(run)
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


def _earliest_expiry(strategy: Strategy, snapshot: Snapshot) -> date | None:
    try:
        return min(expiry_of(strategy, leg, snapshot) for leg in strategy.legs)
    except Refused:
        return None
