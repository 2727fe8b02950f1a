"""Entering what was waited for: everything due on one account together, once what is being closed there is closed.

A pending entry that is due stays in the run until the commit that journals its orders, so a crash loses none and
doubles none. What cannot be entered is dropped and recorded with the reason, all of it or none.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Contract
from option_baskets.domain.entry_terms import require_premium_base
from option_baskets.domain.errors import Halt, Refused, Unwritable
from option_baskets.domain.held_cover import lacks_cover
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Order, OrderState
from option_baskets.domain.pending import Pending
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of, resolve
from option_baskets.domain.run import LegPosition, Run, RunStatus, settled
from option_baskets.domain.unentered import not_entered
from option_baskets.engine.approval import approved
from option_baskets.engine.exit import accounts_closing, close
from option_baskets.engine.placing import Batch, deadline_of, lacks_orders, place, unfinished, waves_begun
from option_baskets.engine.planning import Entry, opened, orders_of, refuse_in_halt, within_rate
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write
from option_baskets.store.records import Refusal

LOG = logging.getLogger(__name__)

_WRITES_A_COMMIT = 90


def accounts_entering(run: Run) -> list[str]:
    """Accounts on which an entry is under way or due."""
    under_way = [batch.account for batch in unfinished(run)]
    due = [each.account for each in run.pending if each.due is not None]
    return [*dict.fromkeys([*under_way, *due])]


def start_entering(trading: Trading, key: RunKey) -> None:
    """See to it that somebody enters what is under way or due."""
    for account in accounts_entering(trading.runs.get(key)):
        if not trading.entry_lock(key, account).locked():
            work = enter_due(trading, key, account)
            trading.start(work, name=f"enter {key[1]} on {account}", user_id=key[0])


async def enter_due(trading: Trading, key: RunKey, account: str) -> None:
    """Finish what is being entered on the account, then enter what is due; returns when nothing of both is left.

    One worker enters on an account's part at a time.
    """
    async with trading.entry_lock(key, account):
        for batch in unfinished(trading.runs.get(key)):
            if batch.account == account:
                await _finish(trading, batch)
        while _due(trading.runs.get(key), account):
            if account in accounts_closing(trading, key):
                await close(trading, key, account)
            next_batch = await _begin(trading, key, account)
            if next_batch is not None:
                await place(trading, next_batch)


def _due(run: Run, account: str) -> tuple[Pending, ...]:
    return tuple(each for each in run.pending if each.account == account and each.due is not None)


async def _finish(trading: Trading, batch: Batch) -> None:
    """Go on with a batch; where a crash has cut it off and its grace is over, nothing more of it is sent."""
    if trading.clock.now() > deadline_of(trading, batch):
        for order in batch.orders(trading):
            if order.state is OrderState.CREATED:
                await trading.desk.conclude(order.intent.id, OrderState.CANCELLED, Reason.LATE_ENTRY)
    elif lacks_orders(trading, batch):
        await _complete(trading, batch)
    await place(trading, batch)


async def _complete(trading: Trading, batch: Batch) -> None:
    """Journal the orders that a process before this one did not come to, if their prices are known."""
    journaled = {order.intent.id: order.intent.decided_at for order in batch.orders(trading)}
    snapshot = await trading.market.snapshot(trading.clock.now())
    run = trading.runs.get(batch.key)
    decided_at = min(journaled.values(), default=snapshot.at)
    try:
        orders = orders_of(trading, run, batch.positions(trading), snapshot, decided_at)
    except Refused as refusal:
        LOG.warning("entry of %s on %s: %s", run.id, batch.account, refusal)
    else:
        await trading.desk.journal(order for order in orders if order.intent.id not in journaled)


async def _begin(trading: Trading, key: RunKey, account: str) -> Batch | None:
    """Journal everything that is due on the account as one batch; None where it is refused or no longer wanted."""
    due = _due(trading.runs.get(key), account)
    if not due:
        return None
    now = trading.clock.now()
    snapshot = await trading.market.snapshot(now)
    try:
        late = _late(trading.runs.get(key), due, now)
        if late:
            due = late
            raise _too_late(late[0], now)
        await _require_allowed(trading, trading.runs.get(key), account, now)
        entry = _planned(trading, trading.runs.get(key), account, due, snapshot)
        return await _journal(trading, key, account, due, entry)
    except Refused as refusal:
        await _drop(trading, key, due, snapshot, refusal)
    except Unwritable as error:
        await _drop(trading, key, due, snapshot, Refused(Reason.STORE_UNWRITABLE, str(error)))
    except Halt:
        raise
    except Exception as error:  # a defect of ours must not leave it due for ever
        LOG.exception("later entry of %s", key[1])
        await _drop(trading, key, due, snapshot, Refused(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"))
        await trading.failed(key[0], f"a later entry of {key[1]}", error, run_id=key[1], account=account)
    return None


# ---------------------------------------------------------------- may it be entered


def _late(run: Run, due: Sequence[Pending], now: datetime) -> tuple[Pending, ...]:
    grace = timedelta(seconds=run.strategy.entry_grace_seconds)
    return tuple(each for each in due if each.due is not None and now - each.due > grace)


def _too_late(pending: Pending, now: datetime) -> Refused:
    assert pending.due is not None
    late = (now - pending.due).total_seconds()
    return Refused(Reason.LATE_ENTRY, f"due at {pending.due:%H:%M:%S}, seen {late:.0f} s later")


async def _require_allowed(trading: Trading, run: Run, account: str, now: datetime) -> None:
    """See that something may still be entered on the account now.

    Raises:
        Refused: it may not.
    """
    assert trading.session is not None
    if now >= run.exit_at:
        raise Refused(Reason.AT_OR_AFTER_EXIT, f"its exit at {run.exit_at:%H:%M} has come")
    if not trading.session.is_trading(now):
        raise Refused(Reason.SESSION_CLOSED, f"the session is over at {now:%H:%M:%S}")
    refuse_in_halt(trading)
    plan = await trading.books.plan(run.user_id, run.strategy.id)
    if plan is None:
        raise Refused(Reason.DELETED, f"strategy {run.strategy.name} was deleted")
    if plan.strategy.paused or plan.basket.paused:
        raise Refused(Reason.PAUSED, f"{run.strategy.name} is paused")
    if account in accounts_closing(trading, (run.user_id, run.id)):
        raise Refused(Reason.CANCELLED, f"what is to be closed on {account} could not be")


# ---------------------------------------------------------------- what it is made of


def _planned(trading: Trading, run: Run, account: str, due: Sequence[Pending], snapshot: Snapshot) -> Entry:
    """The batch at this instant.

    Raises:
        Refused: something of it cannot be had, or it would sell what is not covered.
    """
    number = 1 + max((each.batch for each in run.positions if each.account == account), default=0)
    positions = _opened(trading, run, due, snapshot, number)
    _require_clear_premium(trading, run, positions, snapshot)
    _require_cover(run, account, positions, snapshot)
    entry = within_rate(trading, run, positions, orders_of(trading, run, positions, snapshot, snapshot.at))
    if entry.shortfalls:
        raise Refused(entry.shortfalls[0].reason, entry.shortfalls[0].detail)
    return approved(trading, run, entry, snapshot)


def _opened(trading: Trading, run: Run, due: Sequence[Pending], snapshot: Snapshot, number: int) -> list[LegPosition]:
    """What is to be opened on one account."""
    contracts = _contracts(trading, run, due, snapshot)
    return [
        opened(
            run,
            leg=each.leg,
            account=each.account,
            side=each.side,
            lots=each.lots,
            contract=contracts[each.key],
            snapshot=snapshot,
            entry_number=each.entry_number,
            batch=number,
            due=each.due,
        )
        for each in due
    ]


def _require_clear_premium(trading: Trading, run: Run, positions: Sequence[LegPosition], snapshot: Snapshot) -> None:
    """Where this is part of the run's first entry, see that a percentage of its premium is clear over all accounts.

    Raises:
        Refused: it is not.
    """
    if any(each.due != positions[0].due for each in run.positions):
        return
    first = [*run.positions, *positions]
    for account in dict.fromkeys(each.account for each in run.pending if each.account != positions[0].account):
        others = [each for each in run.pending if (each.account, each.due) == (account, positions[0].due)]
        first += _opened(trading, run, others, snapshot, 1) if others else []
    require_premium_base(run.strategy, first, snapshot)


def _contracts(
    trading: Trading, run: Run, due: Sequence[Pending], snapshot: Snapshot
) -> dict[tuple[str, str, int], Contract]:
    """Of each: what was fixed when the waiting began, and what is chosen now."""
    chosen: Mapping[str, Contract] = {}
    open_ = [each.leg for each in due if each.contract is None]
    if open_:
        before = {each.leg: each.contract for each in run.positions if each.account == due[0].account}
        deltas = trading.valued(snapshot).delta
        chosen = resolve(run.strategy, snapshot, deltas, legs=open_, before=before).contracts
    return {each.key: each.contract or chosen[each.leg] for each in due}


def _require_cover(run: Run, account: str, positions: Sequence[LegPosition], snapshot: Snapshot) -> None:
    def expiry(leg: LegSpec) -> date:
        return expiry_of(run.strategy, leg, snapshot)

    short = lacks_cover(run, account, positions, expiry)
    if short is not None:
        raise Refused(
            Reason.NOT_COVERED,
            f"sold {short} on {account} would have less cover than the plan has; naked = true would allow it",
        )


# ---------------------------------------------------------------- what is kept of it


async def _journal(trading: Trading, key: RunKey, account: str, due: Sequence[Pending], entry: Entry) -> Batch | None:
    """Commit positions, orders and the run without what it waited for; None where an exit was faster.

    Orders that one commit does not take follow it; nothing is sent before they are all there.
    """
    orders: Sequence[Order] = entry.orders
    wanted = set(due)
    begun = False

    def entering(run: Run) -> tuple[Run, Sequence[Write]]:
        nonlocal begun
        if not wanted <= set(run.pending) or trading.clock.now() >= run.exit_at:
            return run, ()
        begun = True
        return (
            replace(
                run,
                status=RunStatus.ENTERING if run.status is RunStatus.WAITING else run.status,
                positions=(*run.positions, *entry.positions),
                pending=tuple(each for each in run.pending if each not in wanted),
            ),
            writes,
        )

    async with trading.runs.lock(key):
        if len(orders) <= _WRITES_A_COMMIT:
            orders = waves_begun(trading, orders)
        writes, kept = trading.desk.written(orders[:_WRITES_A_COMMIT])
        await trading.runs.change_locked(key, entering)
        if not begun:
            return None
        trading.desk.take_up(kept)
    await trading.desk.journal(orders[_WRITES_A_COMMIT:])
    return Batch(key, account, entry.positions[0].batch)


async def _drop(trading: Trading, key: RunKey, due: Sequence[Pending], snapshot: Snapshot, refusal: Refused) -> None:
    """The run without these entries, and why."""
    now = trading.clock.now()

    def dropping(run: Run) -> tuple[Run, Sequence[Write]]:
        dropped = [each for each in run.pending if each in due]
        if not dropped:
            return run, ()
        missing = not_entered(dropped, run.strategy, snapshot, refusal.reason, now, str(refusal))
        pending = tuple(each for each in run.pending if each not in dropped)
        refusals = [
            Refusal(
                user_id=run.user_id,
                at=now,
                strategy_id=run.strategy.id,
                reason=refusal.reason,
                detail=str(refusal),
                run_id=run.id,
                account=short.account,
                leg=short.leg,
                quantity=short.quantity,
            )
            for short in missing
        ]
        after = settled(replace(run, pending=pending, shortfalls=(*run.shortfalls, *missing)))
        return after, [trading.books.put_refusal(each) for each in refusals]

    await trading.runs.change(key, dropping)
