"""The schedule trigger: claim what is due in the next minutes, and queue each to fire at its exact instant."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta

from option_baskets.domain.events import Event
from option_baskets.domain.market import Snapshot
from option_baskets.domain.run import RunStatus
from option_baskets.domain.session import IST, Session
from option_baskets.engine.accounts import held, meet
from option_baskets.engine.claims import Claims, is_entered, planned_run
from option_baskets.engine.messages import exit_message
from option_baskets.engine.trading import Trading
from option_baskets.engine.units import fix_units, units_today
from option_baskets.store.records import DueStrategy

_MINUTE = timedelta(minutes=1)


async def schedule_due(trading: Trading, session: Session, event: Event, until: datetime) -> None:
    """Handle ``ScheduleStrategyTrigger``: one index query for every occupied minute in (tick, ``until``], no other."""
    minutes = [event.at + n * _MINUTE for n in range(1, int((until - event.at) / _MINUTE) + 1)]
    occupied = await trading.books.occupied_entry_minutes()
    snapshot = await trading.market.snapshot(event.at)
    await fix_units(trading, session)
    if event.at == session.starts:
        minutes = [*_never_ticked(session, occupied), *minutes]
    for minute in minutes:
        if minute.time() in occupied:
            await _claim_all(trading, session, await trading.books.due(minute.time()), snapshot)
    exits = await trading.books.occupied_exit_minutes(session.date)
    for minute in minutes:
        if minute.time() in exits:
            await _queue_exits(trading, minute)


def _never_ticked(session: Session, occupied: Iterable[time]) -> list[datetime]:
    """Entry minutes before the day's second tick or from its close on: no trigger looks ahead to them."""
    instants = [datetime.combine(session.date, moment, IST) for moment in occupied]
    return [instant for instant in instants if instant <= session.starts or instant >= session.close]


async def _claim_all(trading: Trading, session: Session, every: Sequence[DueStrategy], snapshot: Snapshot) -> None:
    """Claim them one after another, or where the store is far away some side by side."""
    if trading.claims_at_once == 1:
        for due in every:
            await _claim(trading, session, due, snapshot)
        return
    room = asyncio.Semaphore(trading.claims_at_once)

    async def claim(due: DueStrategy) -> None:
        async with room:
            await _claim(trading, session, due, snapshot)

    await asyncio.gather(*map(claim, every))


async def _claim(trading: Trading, session: Session, due: DueStrategy, snapshot: Snapshot) -> None:
    """Claim a strategy's run for the day, once, together with the message that enters it."""
    if not is_entered(due):
        return
    names = [each.account for each in due.allocations]
    await meet(trading, due.user_id, names)
    planned = planned_run(trading.facts, session, due, snapshot, held(trading, due.user_id, names))
    if planned is None:
        return
    run, refusal = planned
    run = replace(run, dynamic=await units_today(trading, due.user_id, due.basket, due.strategy, due.allocations))
    claims = Claims(
        books=trading.books, queue=trading.queue, facts=trading.facts, market=trading.market, session=session
    )
    if refusal is not None:
        await claims.claim_skipped(run, refusal, snapshot.at)
        return
    claimed = await claims.claim(run, at=snapshot.at, cause="entry_minute")
    if claimed is not None:
        trading.runs.adopt([claimed])


async def _queue_exits(trading: Trading, minute: datetime) -> None:
    messages = [
        exit_message(run) for run in await trading.books.due_exits(minute) if run.status is not RunStatus.SCHEDULED
    ]
    for message in messages:
        await trading.books.commit(trading.queue.write(message))
    await trading.queue.sent(messages)
