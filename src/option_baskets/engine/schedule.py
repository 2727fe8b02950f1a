"""The schedule trigger: claim what is due in the next minutes, and queue each to fire at its exact instant."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from option_baskets.domain.basket import Product, Strategy
from option_baskets.domain.due import Times, is_due, latest_mis_exit, own_times, times
from option_baskets.domain.errors import Refused
from option_baskets.domain.events import Event
from option_baskets.domain.ids import run_id
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST, Session, trading_days_after
from option_baskets.engine.history import scheduled
from option_baskets.engine.messages import entry_message, exit_message
from option_baskets.engine.trading import Trading
from option_baskets.engine.units import fix_units, units_today
from option_baskets.store.records import DueStrategy, Refusal

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


def when(
    trading: Trading, session: Session, strategy: Strategy, snapshot: Snapshot, accounts: Collection[str] = ()
) -> Times | None:
    """The strategy's entry on the session's day and its exit by its holding; None where it is not due.

    Raises:
        Refused: it is due, and its exit would come after a leg's expiry, or after a broker's square-off on one of
            these accounts.
    """
    exchange = exchange_of(trading.facts, strategy.underlying)
    expiries = _expiries(strategy, snapshot)

    def dte(expiry: date) -> int:
        return trading_days_after(trading.facts, session.date, expiry, exchange)

    if not is_due(strategy, session, min(expiries, default=None), dte):
        return None
    found = times(trading.facts, strategy, session, expiries)
    if strategy.product is Product.MIS:
        _require_before_square_off(trading, session, found.exit, accounts)
    return found


def _require_before_square_off(trading: Trading, session: Session, exit_: datetime, accounts: Collection[str]) -> None:
    """The broker squares MIS off at a time of its own; an exit must leave ten minutes to fill before it."""
    brokers = {known.charges_as: id_ for (_, id_), known in trading.accounts.items() if id_ in accounts}
    for broker, account in sorted(brokers.items()):
        latest = latest_mis_exit(trading.facts, broker, session.date)
        if latest is None or exit_.astimezone(IST).time() > latest:
            told = "no square-off time is known of" if latest is None else f"has to leave by {latest:%H:%M} at"
            raise Refused(
                Reason.MIS_SQUARE_OFF,
                f"a MIS exit at {exit_:%H:%M} {told} {broker} (account {account}); "
                'move the exit, or write product = "NRML"',
            )


def outside(session: Session, entry: datetime) -> Refused:
    return Refused(
        Reason.SESSION_CLOSED, f"its entry at {entry:%H:%M} is outside the session of {session.date:%d-%b-%Y}"
    )


def skip(run: Run, refusal: Refused, at: datetime) -> tuple[Run, Refusal]:
    """The run as it is not entered, and the record of why."""
    skipped = replace(run, status=RunStatus.SKIPPED, reason=refusal.reason, detail=str(refusal))
    return skipped, refusal_of(skipped, at)


def refusal_of(run: Run, at: datetime) -> Refusal:
    """The record of why a run was skipped."""
    assert run.reason is not None
    return Refusal(
        user_id=run.user_id, at=at, strategy_id=run.strategy.id, reason=run.reason, detail=run.detail, run_id=run.id
    )


async def _claim(trading: Trading, session: Session, due: DueStrategy, snapshot: Snapshot) -> None:
    """Claim a strategy's run for the day, once, together with the message that enters it."""
    if due.strategy.paused or due.basket.paused or not due.allocations:
        return
    refusal: Refused | None = None
    try:
        due_at = when(trading, session, due.strategy, snapshot, [each.account for each in due.allocations])
    except Refused as refused:
        refusal, due_at = refused, own_times(due.strategy, session)
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
        dynamic=await units_today(trading, due.user_id, due.basket, due.strategy, due.allocations),
    )
    if refusal is None and not session.is_trading(due_at.entry):
        refusal = outside(session, due_at.entry)
    if refusal is not None:
        skipped, record = skip(run, refusal, snapshot.at)
        await trading.books.claim(skipped, trading.books.put_refusal(record))
        return
    message = entry_message(run)
    kept = trading.books.put_occurrence(scheduled(run, snapshot.at, "entry_minute"))
    claimed = await trading.books.claim(run, trading.queue.write(message), kept)
    if claimed is not None:
        trading.runs.adopt([claimed])
        await trading.queue.sent([message])


async def _queue_exits(trading: Trading, minute: datetime) -> None:
    messages = [
        exit_message(run) for run in await trading.books.due_exits(minute) if run.status is not RunStatus.SCHEDULED
    ]
    for message in messages:
        await trading.books.commit(trading.queue.write(message))
    await trading.queue.sent(messages)


def _expiries(strategy: Strategy, snapshot: Snapshot) -> tuple[date, ...]:
    """Those of its legs by the contract list; empty where one of them has none."""
    try:
        return tuple(expiry_of(strategy, leg, snapshot) for leg in strategy.legs)
    except Refused:
        return ()
