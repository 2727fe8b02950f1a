"""Entering a run: strikes, lots, intents, journal, send. Hedges first, and shorts only once their hedges are filled.

Accounts are entered in parallel and a failure at one never delays another. Where an account's part cannot be had in
full within the grace, what it has is unwound and what was not traded is recorded with the reason.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from option_baskets.domain.allocation import dropped_units, lots_by_leg, slices
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.entry_terms import entry_spot, require_premium_base
from option_baskets.domain.errors import Halt, Refused
from option_baskets.domain.ids import Action, intent_id
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Intent, Order, OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.resolve import Resolution, fresh_quote, resolve
from option_baskets.domain.rules import ExitDemanded, step
from option_baskets.domain.run import LegPosition, Run, RunStatus, Shortfall, settled
from option_baskets.engine.exit import chase, close
from option_baskets.engine.limits import marketable, slippage_cap
from option_baskets.engine.rates import Urgency
from option_baskets.engine.runs import RunKey
from option_baskets.engine.schedule import entry_message, outside, skip, when
from option_baskets.engine.trading import Trading
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
        resolution = resolve(run.strategy, snapshot, trading.valued(snapshot).delta)
        positions, shortfalls = _positions(trading, run, resolution, snapshot)
        orders = _orders(run, positions, snapshot, at)
        positions, orders, unsendable = _within_rate(trading, run, positions, orders)
        shortfalls += unsendable
        if not positions:
            reason = shortfalls[0].reason if shortfalls else Reason.ACCOUNT_UNKNOWN
            raise Refused(reason, shortfalls[0].detail if shortfalls else "no lots are allocated to any account")
        await _journal(trading, key, run, positions, shortfalls, resolution, orders)
    except Refused as refusal:
        await _skip(trading, key, refusal)
        return
    except Halt:
        raise
    except Exception as error:  # a defect of ours must not leave the run scheduled for ever
        LOG.exception("entry of %s", run.id)
        await _skip(trading, key, Refused(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"))
        await trading.failed(run.user_id, f"the entry of {run.id}", error, run_id=run.id)
        return
    await _enter_accounts(trading, key, at)


async def resume_entry(trading: Trading, key: RunKey, *, within_grace: bool) -> None:
    """Go on with an entry that a crash cut off; after the grace nothing more is entered and the rest is unwound."""
    run = trading.runs.get(key)
    if not within_grace:
        for order in trading.desk.of_run(key):
            if order.intent.action is Action.ENTER and order.state is OrderState.CREATED:
                await trading.desk.conclude(order.intent.id, OrderState.CANCELLED, Reason.LATE_ENTRY)
    await _enter_accounts(trading, key, run.entry_at)


async def _enter_accounts(trading: Trading, key: RunKey, at: datetime) -> None:
    accounts = dict.fromkeys(position.account for position in trading.runs.get(key).positions)
    ended = await asyncio.gather(
        *(_enter_account(trading, key, account, at) for account in accounts), return_exceptions=True
    )
    for account, error in zip(accounts, ended, strict=True):
        if isinstance(error, Halt) or (error is not None and not isinstance(error, Exception)):
            raise error
        if error is not None:
            await _abandon(trading, key, account, error)
    await trading.runs.change(key, lambda run: (settled(run), ()))


async def _abandon(trading: Trading, key: RunKey, account: str, error: Exception) -> None:
    """End an account's part whose entry stopped in the middle, e.g. on a full disk: nothing more, and unwind."""
    LOG.error("entry of %s on %s", key[1], account, exc_info=error)
    entries = [
        order
        for order in trading.desk.of_run(key)
        if order.intent.account == account and order.intent.action is Action.ENTER
    ]
    await asyncio.gather(*(trading.desk.cancel(order, Urgency.EXIT, Reason.INTERNAL_ERROR) for order in entries))
    await trading.failed(key[0], f"the entry of {key[1]} on {account}", error, run_id=key[1], account=account)
    if _failure(trading, entries) is not None:
        await _finalise(trading, key, account, Reason.INTERNAL_ERROR)
        await _unwind(trading, key, account)
    else:
        await _finalise(trading, key, account, None)


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
    newest = replace(run, strategy=plan.strategy, allocations=allocations, basket=plan.basket)
    if plan.strategy == run.strategy:
        return newest
    assert trading.session is not None
    due_at = when(trading, trading.session, plan.strategy, snapshot)
    if due_at is None:
        raise Refused(Reason.NOT_DUE, f"{run.strategy.name} was changed after it was scheduled and is not due today")
    if not trading.session.is_trading(due_at.entry):
        raise outside(trading.session, due_at.entry)
    return replace(newest, entry_at=due_at.entry, exit_at=due_at.exit, detail=due_at.note)


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


def _positions(
    trading: Trading, run: Run, resolution: Resolution, snapshot: Snapshot
) -> tuple[list[LegPosition], list[Shortfall]]:
    """What is to be opened where, in order of priority and leg; lots of an account we cannot reach are recorded.

    Raises:
        Refused: something an exit rule measures from is not known.
    """
    positions: list[LegPosition] = []
    shortfalls: list[Shortfall] = []
    spots = {leg.id: entry_spot(run.strategy, leg, snapshot) for leg in run.strategy.legs}
    for allocation in sorted(run.allocations, key=lambda each: (each.priority, each.id)):
        known = (run.user_id, allocation.account) in trading.desk.brokers
        for leg_id, lots in lots_by_leg(run.strategy, allocation, run.allocations).items():
            contract = resolution.contracts[leg_id]
            listing = snapshot.listing(contract)
            assert listing is not None  # resolve() refuses what is not listed
            if not known:
                detail = f"there is no account {allocation.account}"
                quantity = lots * listing.lot_size
                shortfalls.append(
                    Shortfall(
                        leg=leg_id,
                        account=allocation.account,
                        quantity=quantity,
                        reason=Reason.ACCOUNT_UNKNOWN,
                        detail=detail,
                    )
                )
                continue
            positions.append(
                LegPosition(
                    leg=leg_id,
                    account=allocation.account,
                    entry_number=0,
                    contract=contract,
                    side=run.strategy.leg(leg_id).side,
                    lots=lots,
                    lot_size=listing.lot_size,
                    freeze_quantity=listing.freeze_quantity,
                    tick=listing.tick,
                    entry_spot=spots[leg_id],
                )
            )
    require_premium_base(run.strategy, positions, snapshot)
    return positions, shortfalls


def _within_rate(
    trading: Trading, run: Run, positions: list[LegPosition], orders: list[Order]
) -> tuple[list[LegPosition], list[Order], list[Shortfall]]:
    """What can be sent within the grace at each account's rate: a set that cannot be sent whole is not begun."""
    grace = timedelta(seconds=run.strategy.entry_grace_seconds)
    missing = []
    for account, count in Counter(order.intent.account for order in orders).items():
        most = trading.desk.capacity((run.user_id, account), grace)
        if most is not None and count > most:
            detail = f"{count} orders on {account} cannot be sent within {grace.total_seconds():.0f} s: {most} at most"
            missing += [
                Shortfall(
                    leg=each.leg,
                    account=account,
                    quantity=each.intended,
                    reason=Reason.RATE_LIMIT,
                    detail=detail,
                )
                for each in positions
                if each.account == account
            ]
            positions = [each for each in positions if each.account != account]
            orders = [order for order in orders if order.intent.account != account]
    return positions, orders, missing


def _orders(run: Run, positions: Sequence[LegPosition], snapshot: Snapshot, at: datetime) -> list[Order]:
    """The orders of every position, sliced at the freeze quantity."""
    orders = []
    for position in positions:
        quote = fresh_quote(position.contract, snapshot)
        cap = slippage_cap(position.side, quote.last, run.strategy.slippage_limit_percent)
        limit = marketable(position.side, quote, position.tick, cap)
        for number, quantity in enumerate(slices(position.lots, position.lot_size, position.freeze_quantity)):
            intent = Intent(
                id=intent_id(
                    user_id=run.user_id,
                    run=run.id,
                    leg=position.leg,
                    account=position.account,
                    entry_number=position.entry_number,
                    action=Action.ENTER,
                    slice_number=number,
                ),
                user_id=run.user_id,
                run_id=run.id,
                strategy_id=run.strategy.id,
                leg=position.leg,
                account=position.account,
                entry_number=position.entry_number,
                action=Action.ENTER,
                attempt=0,
                slice_number=number,
                contract=position.contract,
                side=position.side,
                quantity=quantity,
                limit=limit,
                cap=cap,
                decided_at=at,
            )
            orders.append(Order(intent=intent, updated_at=at))
    return orders


async def _journal(
    trading: Trading,
    key: RunKey,
    run: Run,
    positions: Sequence[LegPosition],
    shortfalls: Sequence[Shortfall],
    resolution: Resolution,
    orders: Sequence[Order],
) -> None:
    """Write the intents, then the run that names them; until the run says ENTERING nothing is sent.

    Where one commit takes all of it, every account's first turn is journaled as SENDING at once.
    """
    if len(orders) <= _WRITES_A_COMMIT:
        orders = _first_turns_begun(trading, orders)
    writes, kept = trading.desk.written(orders)
    while len(writes) > _WRITES_A_COMMIT:
        await trading.books.commit(*writes[:_WRITES_A_COMMIT])
        writes = writes[_WRITES_A_COMMIT:]
    dropped = dropped_units(run.strategy, run.allocations)
    entering = replace(
        run,
        status=RunStatus.ENTERING,
        positions=tuple(positions),
        shortfalls=tuple(shortfalls),
        detail="; ".join(note for note in (run.detail, *resolution.notes, *dropped) if note),
    )
    await trading.runs.change(key, lambda _: (entering, writes))
    trading.desk.take_up(kept)


async def _enter_account(trading: Trading, key: RunKey, account: str, at: datetime) -> None:
    """One account's part: hedges, then shorts; anything less than all of it is unwound."""
    deadline = at + timedelta(seconds=trading.runs.get(key).strategy.entry_grace_seconds)
    reason: Reason | None = None
    waves = _waves(
        order
        for order in trading.desk.of_run(key)
        if order.intent.account == account and order.intent.action is Action.ENTER
    )
    for (urgency, intended), (next_urgency, following) in pairwise([*waves, (Urgency.SHORT_ENTRY, [])]):
        wave = [trading.desk.orders[order.intent.id] for order in intended]
        if reason is None and not trading.runs.get(key).is_closing(account, 0):
            with trading.desk.begin_after(wave, following, next_urgency, deadline):
                await trading.desk.send(wave, urgency, until=deadline)
                for order in wave:
                    if trading.desk.orders[order.intent.id].state is OrderState.CREATED:
                        await trading.desk.conclude(order.intent.id, OrderState.CANCELLED, Reason.RATE_LIMIT)
                await _work(trading, key, wave, urgency, deadline)
            reason = _failure(trading, wave)
        else:
            why = reason or Reason.CANCELLED
            await asyncio.gather(*(trading.desk.cancel(order, urgency, why) for order in wave))
            reason = reason or _failure(trading, wave)
    await _finalise(trading, key, account, reason)
    if reason is not None:
        await _unwind(trading, key, account)


def _first_turns_begun(trading: Trading, orders: Sequence[Order]) -> list[Order]:
    begun: list[Order] = []
    for account in dict.fromkeys(order.intent.account for order in orders):
        (urgency, first), *rest = _waves(order for order in orders if order.intent.account == account)
        begun += trading.desk.begun(first, urgency)
        begun += [order for _, wave in rest for order in wave]
    return begun


_URGENCIES = (Urgency.HEDGE_ENTRY, Urgency.HEDGE_ENTRY, Urgency.SHORT_ENTRY)


def _waves(orders: Iterable[Order]) -> list[tuple[Urgency, list[Order]]]:
    """One account's orders by turn; each turn has to be filled before the next is sent."""
    turns: list[list[Order]] = [[] for _ in _URGENCIES]
    for order in orders:
        turns[_turn(order.intent.side, order.intent.contract)].append(order)
    return [(urgency, wave) for urgency, wave in zip(_URGENCIES, turns, strict=True) if wave]


def _turn(side: Side, contract: Contract) -> int:
    """What is bought first, then sold futures, which may be the cover of sold puts, then sold options."""
    if side is Side.BUY:
        return 0
    return 2 if contract.type.is_option else 1


def _failure(trading: Trading, wave: Sequence[Order]) -> Reason | None:
    """Why a wave is not wholly filled, or None if it is."""
    for order in wave:
        now = trading.desk.orders[order.intent.id]
        if now.remaining:
            if now.reason is not None:
                return now.reason
            return Reason.HEDGE_NOT_FILLED if now.intent.side is Side.BUY else Reason.NOT_FILLED
    return None


async def _work(trading: Trading, key: RunKey, wave: Sequence[Order], urgency: Urgency, deadline: datetime) -> None:
    """Chase unfilled orders up to the slippage limit until all are final; at the deadline cancel what is left."""
    desk, clock = trading.desk, trading.clock
    ids = [order.intent.id for order in wave]
    while not await desk.final_by(ids, clock.now() + trading.pace.chase_every):
        working = [desk.orders[intent] for intent in ids if not desk.orders[intent].state.is_final]
        if clock.now() >= deadline or trading.runs.get(key).is_closing(wave[0].intent.account, 0):
            await asyncio.gather(*(desk.cancel(order, urgency, Reason.NOT_FILLED) for order in working))
        else:
            snapshot = await trading.market.snapshot(clock.now())
            await asyncio.gather(*(chase(trading, order, snapshot, urgency) for order in working))


async def _finalise(trading: Trading, key: RunKey, account: str, reason: Reason | None) -> None:
    """Mark the account's entries final and record every unit that was intended and not filled."""

    def final(run: Run) -> tuple[Run, Sequence[Write]]:
        if all(position.entry_final for position in run.positions if position.account == account):
            return run, ()
        positions = []
        missing = []
        for position in run.positions:
            if position.account == account and not position.entry_final:
                short = position.intended - position.entered
                why = (reason or Reason.NOT_FILLED) if short else None
                positions.append(replace(position, entry_final=True, shortfall=why))
                if why is not None:
                    detail = f"{position.entered} of {position.intended} units of {position.contract.name} filled"
                    missing.append(
                        Shortfall(leg=position.leg, account=account, quantity=short, reason=why, detail=detail)
                    )
            else:
                positions.append(position)
        return replace(run, positions=tuple(positions), shortfalls=(*run.shortfalls, *missing)), ()

    await trading.runs.change(key, final)


async def _unwind(trading: Trading, key: RunKey, account: str) -> None:
    """Close what a failed entry left on one account."""
    now = trading.clock.now()
    snapshot = await trading.market.snapshot(now)
    demand = ExitDemanded(at=now, reason=ExitReason.UNWIND, account=account)
    await trading.runs.change(key, lambda run: (settled(step(run, demand, snapshot)[0]), ()))
    await close(trading, key, account)


async def _skip(trading: Trading, key: RunKey, refusal: Refused) -> None:
    def skipping(run: Run) -> tuple[Run, Sequence[Write]]:
        skipped, record = skip(run, refusal, trading.clock.now())
        return skipped, [trading.books.put_refusal(record)]

    await trading.runs.change(key, skipping)
