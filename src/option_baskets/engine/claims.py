"""Claiming runs: stored once, together with the message that enters them, whoever claims them and from which process.

The schedule trigger claims what is due in the next minutes, and a save what the newest trigger has already passed.
Nothing of the engine is needed: the queue hands the message to whoever trades.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from option_baskets.domain.basket import BrokerAccount, Product, Strategy
from option_baskets.domain.cadence import Cadence, newest_trigger, planned_until
from option_baskets.domain.due import Times, is_due, latest_mis_exit, own_times, times
from option_baskets.domain.dynamic import DynamicUnits
from option_baskets.domain.errors import Refused
from option_baskets.domain.facts import Facts
from option_baskets.domain.ids import run_id
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST, Session, at, trading_days_after
from option_baskets.engine.history import scheduled
from option_baskets.engine.messages import entry_message
from option_baskets.ports import MarketData, Queue
from option_baskets.store.books import Books
from option_baskets.store.records import ENGINE, DueStrategy, Refusal

INDEX_LAG = timedelta(seconds=30)
"""How far behind an index may be: what is saved so shortly before a trigger is claimed by the save too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All that claiming needs. Every claim is made once, whoever else makes it."""

    books: Books
    queue: Queue
    facts: Facts
    market: MarketData
    session: Session | None
    """The session under way; None: there is none, and nothing is claimed."""

    async def claim(self, run: Run, *, at: datetime, cause: str, actor: str = ENGINE) -> Run | None:
        """Store the run with the message that enters it; None where it is claimed already.

        One that is claimed, not entered, and now to be entered earlier, is entered then: its new message is sent.
        """
        message = entry_message(run)
        kept = self.books.put_occurrence(scheduled(run, at, cause, actor))
        claimed = await self.books.claim(run, self.queue.write(message), kept)
        if claimed is None:
            found = await self.books.run(run.user_id, run.id)
            if found is None or found.status is not RunStatus.SCHEDULED or found.entry_at <= run.entry_at:
                return None
            await self.books.commit(self.queue.write(message))
        await self.queue.sent([message])
        return claimed

    async def claim_skipped(self, run: Run, refusal: Refused, at: datetime) -> None:
        """Store the run as one that is not entered, with the reason."""
        skipped, record = skip(run, refusal, at)
        await self.books.claim(skipped, self.books.put_refusal(record))

    async def claim_saved(self, user_id: str, strategy_id: str, *, cadence: Cadence, now: datetime) -> Run | None:
        """Claim what the newest schedule trigger has passed: to be called after whatever may make a strategy due.

        That is a save of the strategy or of an allocation of it, or the end of a pause. None where nothing is claimed:
        its minute is over, the triggers to come will see it, it is not due today, or its run was claimed before.
        """
        session = self.session
        if session is None or now >= session.close:
            return None
        plan = await self.books.plan(user_id, strategy_id)
        if plan is None:
            return None
        trigger = newest_trigger(cadence, session, now + INDEX_LAG)
        entry = at(session.date, plan.strategy.schedule.entry)
        if trigger is None or not now < entry <= planned_until(cadence, session, trigger):
            return None
        allocations = tuple(await self.books.current_allocations(user_id, strategy_id))
        due = DueStrategy(user_id=user_id, basket=plan.basket, strategy=plan.strategy, allocations=allocations)
        if not is_entered(due):
            return None
        found = [await self.books.account(user_id, each.account) for each in allocations]
        snapshot = await self.market.snapshot(now)
        planned = planned_run(self.facts, session, due, snapshot, [each for each in found if each is not None])
        if planned is None:
            return None
        run, refusal = planned
        if refusal is not None:
            await self.claim_skipped(run, refusal, now)
            return None
        return await self.claim(run, at=now, cause="entry_minute")


def is_entered(due: DueStrategy) -> bool:
    """Nobody has paused it, and some account trades it."""
    return not due.strategy.paused and not due.basket.paused and bool(due.allocations)


def planned_run(
    facts: Facts,
    session: Session,
    due: DueStrategy,
    snapshot: Snapshot,
    accounts: Iterable[BrokerAccount],
    dynamic: DynamicUnits | None = None,
) -> tuple[Run, Refused | None] | None:
    """The strategy's run of the day, and why it is not entered if it is not; None where it is not due."""
    refusal: Refused | None = None
    try:
        due_at = when(facts, session, due.strategy, snapshot, accounts)
    except Refused as refused:
        refusal, due_at = refused, own_times(due.strategy, session)
    if due_at is None:
        return None
    if refusal is None and not session.is_trading(due_at.entry):
        refusal = outside(session, due_at.entry)
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
        dynamic=dynamic,
    )
    return run, refusal


def when(
    facts: Facts, session: Session, strategy: Strategy, snapshot: Snapshot, accounts: Iterable[BrokerAccount] = ()
) -> Times | None:
    """The strategy's entry on the session's day and its exit by its holding; None where it is not due.

    Raises:
        Refused: it is due, and its exit would come after a leg's expiry, or after a broker's square-off on one of
            these accounts.
    """
    exchange = exchange_of(facts, strategy.underlying)
    expiries = expiries_of(strategy, snapshot)

    def dte(expiry: date) -> int:
        return trading_days_after(facts, session.date, expiry, exchange)

    if not is_due(strategy, session, min(expiries, default=None), dte):
        return None
    return timed(facts, session, strategy, expiries, accounts)


def timed(
    facts: Facts,
    session: Session,
    strategy: Strategy,
    expiries: Collection[date],
    accounts: Iterable[BrokerAccount],
) -> Times:
    """Entry and exit on the session's day, whether the strategy is due or not. Raises Refused as ``when``."""
    found = times(facts, strategy, session, expiries)
    if strategy.product is Product.MIS:
        _require_before_square_off(facts, session, found.exit, accounts)
    return found


def _require_before_square_off(
    facts: Facts, session: Session, exit_: datetime, accounts: Iterable[BrokerAccount]
) -> None:
    """The broker squares MIS off at a time of its own; an exit must leave ten minutes to fill before it."""
    brokers = {account.charges_as: account.id for account in accounts}
    for broker, account in sorted(brokers.items()):
        latest = latest_mis_exit(facts, broker, session.date)
        if latest is None or exit_.astimezone(IST).time() > latest:
            told = "no square-off time is known of" if latest is None else f"has to leave by {latest:%H:%M} at"
            raise Refused(
                Reason.MIS_SQUARE_OFF,
                f"a MIS exit at {exit_:%H:%M} {told} {broker} (account {account}); "
                'move the exit, or write product = "NRML"',
            )


def expiries_of(strategy: Strategy, snapshot: Snapshot) -> tuple[date, ...]:
    """Those of its legs by the contract list; empty where one of them has none."""
    try:
        return tuple(expiry_of(strategy, leg, snapshot) for leg in strategy.legs)
    except Refused:
        return ()


# ---------------------------------------------------------------- what is not entered


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
