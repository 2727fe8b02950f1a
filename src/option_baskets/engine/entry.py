"""Entering a run at its minute: strikes, lots, intents, journal, send. What of it waits is kept with the run.

Accounts are entered in parallel and a failure at one never delays another.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from option_baskets.domain.allocation import dropped_units, policy_of
from option_baskets.domain.entry_rules import Restart
from option_baskets.domain.errors import Halt, Refused, Unwritable
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Order
from option_baskets.domain.reasons import Reason
from option_baskets.domain.restart import is_allowed
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.accounts import held, meet
from option_baskets.engine.approval import approved
from option_baskets.engine.claims import outside, skip, when
from option_baskets.engine.later import enter_due
from option_baskets.engine.messages import entry_message
from option_baskets.engine.placing import waves_begun
from option_baskets.engine.planning import Entry, plan_entry, refuse_in_halt
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.engine.units import units_today
from option_baskets.ports import Write

LOG = logging.getLogger(__name__)

_WRITES_A_COMMIT = 90


async def enter(trading: Trading, key: RunKey, at: datetime) -> None:
    """Enter a scheduled run at its instant, or record why it is not entered."""
    run = trading.runs.get(key)
    if run.status is not RunStatus.SCHEDULED:
        return
    try:
        snapshot = await trading.market.snapshot(at)
        run = await _newest(trading, run, snapshot)
        if run.entry_at > trading.clock.now():
            await _enter_later(trading, key, run)
            return
        _in_time(run, trading.clock.now())
        refuse_in_halt(trading)
        entry = approved(trading, run, plan_entry(trading, run, snapshot, at), snapshot)
        await _journal(trading, key, run, entry)
    except Refused as refusal:
        await _skip(trading, key, refusal)
        return
    except Unwritable as error:
        await _skip(trading, key, Refused(Reason.STORE_UNWRITABLE, str(error)))
        return
    except Halt:
        raise
    except Exception as error:  # a defect of ours must not leave the run scheduled for ever
        LOG.exception("entry of %s", run.id)
        await _skip(trading, key, Refused(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"))
        await trading.failed(run.user_id, f"the entry of {run.id}", error, run_id=run.id)
        return
    await _enter_accounts(trading, key)


async def _enter_accounts(trading: Trading, key: RunKey) -> None:
    accounts = dict.fromkeys(position.account for position in trading.runs.get(key).positions)
    ended = await asyncio.gather(*(enter_due(trading, key, account) for account in accounts), return_exceptions=True)
    for account, error in zip(accounts, ended, strict=True):
        if isinstance(error, Halt) or (error is not None and not isinstance(error, Exception)):
            raise error
        if error is not None:  # the next stop check goes on with it
            LOG.error("entry of %s on %s", key[1], account, exc_info=error)
            await trading.failed(key[0], f"the entry of {key[1]} on {account}", error, run_id=key[1], account=account)


async def _newest(trading: Trading, run: Run, snapshot: Snapshot) -> Run:
    """The run with the strategy as it is now: a pause, an edit or a delete after the claim takes effect.

    Raises:
        Refused: paused, deleted, no longer due on this day, or moved out of its session.
    """
    plan = await trading.books.plan(run.user_id, run.strategy.id)
    if plan is None:
        raise Refused(Reason.DELETED, f"strategy {run.strategy.name} was deleted after it was scheduled")
    if plan.strategy.paused or plan.basket.paused:
        raise Refused(Reason.PAUSED, f"{run.strategy.name} was paused after it was scheduled")
    allocations = tuple(await trading.books.current_allocations(run.user_id, run.strategy.id))
    await meet(trading, run.user_id, [each.account for each in allocations])
    newest = replace(run, strategy=plan.strategy, allocations=allocations, basket=plan.basket)
    if policy_of(allocations) != (run.dynamic.policy if run.dynamic is not None else None):
        dynamic = await units_today(trading, run.user_id, plan.basket, plan.strategy, allocations)
        newest = replace(newest, dynamic=dynamic)
    if run.restarts != Restart() and not is_allowed(run.restarts, plan.strategy.restart):
        raise Refused(Reason.NOT_DUE, f"{run.strategy.name} was changed and is not entered again so often")
    keeps_its_entry = run.cycle > 0 or run.asked is not None
    if plan.strategy == run.strategy or (keeps_its_entry and plan.strategy.schedule == run.strategy.schedule):
        return newest
    assert trading.session is not None
    accounts = held(trading, run.user_id, [each.account for each in allocations])
    due_at = when(trading.facts, trading.session, plan.strategy, snapshot, accounts)
    if due_at is None:
        raise Refused(Reason.NOT_DUE, f"{run.strategy.name} was changed after it was scheduled and is not due today")
    if not trading.session.is_trading(due_at.entry):
        raise outside(trading.session, due_at.entry)
    if not keeps_its_entry and due_at.entry < snapshot.at:  # a save while it was still to come would have sent for it
        moved = f"{run.strategy.name} was moved to {due_at.entry:%H:%M} when that was over"
        raise Refused(Reason.LATE_ENTRY, f"{moved}; it is not entered today")
    entry_at = run.entry_at if keeps_its_entry else due_at.entry
    return replace(newest, entry_at=entry_at, exit_at=due_at.exit, detail=due_at.note)


async def _enter_later(trading: Trading, key: RunKey, run: Run) -> None:
    """Its entry was moved back after it was scheduled."""
    message = entry_message(run)
    await trading.runs.change(key, lambda _: (run, [trading.queue.write(message)]))
    await trading.queue.sent([message])


def _in_time(run: Run, now: datetime) -> None:
    late = now - run.entry_at
    if late > timedelta(seconds=run.strategy.entry_grace_seconds):
        raise Refused(
            Reason.LATE_ENTRY,
            f"due at {run.entry_at:%H:%M:%S}, seen {late.total_seconds():.0f} s later; the grace is "
            f"{run.strategy.entry_grace_seconds} s",
        )
    if now >= run.exit_at:
        raise Refused(Reason.AT_OR_AFTER_EXIT, f"its exit at {run.exit_at:%H:%M} has come")


async def _journal(trading: Trading, key: RunKey, run: Run, entry: Entry) -> None:
    """Write the intents, then the run that names them; until the run says ENTERING nothing is sent.

    Where one commit takes all of it, every account's first turn is journaled as SENDING at once. Intents that a process
    before this one wrote and had no run for yet are written over.
    """
    versions = {order.intent.id: order.version for order in trading.desk.of_run(key)}
    orders: Sequence[Order] = entry.orders
    if versions:
        orders = [replace(order, version=versions.get(order.intent.id, 0)) for order in orders]
    if len(orders) <= _WRITES_A_COMMIT:
        orders = waves_begun(trading, orders)
    writes, kept = trading.desk.written(orders)
    writes = [*(trading.books.put_refusal(each) for each in entry.refusals), *writes]
    while len(writes) > _WRITES_A_COMMIT:
        await trading.books.commit(*writes[:_WRITES_A_COMMIT])
        writes = writes[_WRITES_A_COMMIT:]
    dropped = dropped_units(run.strategy, run.allocations)
    entering = replace(
        run,
        status=RunStatus.ENTERING if entry.positions else RunStatus.WAITING,
        positions=entry.positions,
        pending=entry.pending,
        shortfalls=entry.shortfalls,
        detail="; ".join(note for note in (run.detail, *entry.notes, *dropped) if note),
    )
    await trading.runs.change(key, lambda _: (entering, writes))
    trading.desk.take_up(kept)


async def _skip(trading: Trading, key: RunKey, refusal: Refused) -> None:
    def skipping(run: Run) -> tuple[Run, Sequence[Write]]:
        skipped, record = skip(run, refusal, trading.clock.now())
        return skipped, [trading.books.put_refusal(record)]

    await trading.runs.change(key, skipping)
