"""Placing a batch, what is entered together on one account: hedges first, and shorts only once these are filled.

Where a batch cannot be had in full within the grace, what it has is unwound, or kept where the strategy says so, and
what was not traded is recorded with the reason. Nothing the account held before is touched.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from option_baskets.domain.basket import OnFailure
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.errors import Halt, Unwritable
from option_baskets.domain.held_cover import lacks_cover
from option_baskets.domain.ids import Action
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Order, OrderState, next_attempt
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.rules import ExitDemanded, step
from option_baskets.domain.run import LegPosition, Run, Shortfall, settled
from option_baskets.engine.exit import chase, close
from option_baskets.engine.limits import is_beyond, marketable
from option_baskets.engine.rates import Urgency
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write

LOG = logging.getLogger(__name__)

_AGAIN_AFTER = timedelta(seconds=1)
"""Before a new attempt of an entry, doubling each time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is entered together on one account's part of a run."""

    key: RunKey
    account: str
    number: int

    def positions(self, trading: Trading) -> tuple[LegPosition, ...]:
        return trading.runs.get(self.key).batch(self.account, self.number)

    def is_closing(self, trading: Trading) -> bool:
        return trading.runs.get(self.key).is_closing(self.account, self.number)

    def attempts(self, trading: Trading) -> list[Order]:
        """Its entries, as they are now, every attempt."""
        mine = {position.key for position in self.positions(trading)}
        return [
            order
            for order in trading.desk.of_run(self.key)
            if order.intent.account == self.account
            and order.intent.action is Action.ENTER
            and (order.intent.leg, order.intent.account, order.intent.entry_number) in mine
        ]

    def orders(self, trading: Trading) -> list[Order]:
        """Its entries, as they are now, the last attempt of each."""
        last: dict[tuple[str, int, int], Order] = {}
        for order in sorted(self.attempts(trading), key=lambda order: order.intent.attempt):
            last[_slice(order)] = order
        return list(last.values())


async def place(trading: Trading, batch: Batch) -> None:
    """Send what is journaled of the batch; returns when it is filled, or ended and unwound.

    Whatever goes wrong here ends the batch and no other. The caller holds the account's entry lock.
    """
    try:
        reason = await _waves_of(trading, batch)
    except Halt:
        raise
    except Exception as error:  # e.g. a full disk: nothing more of it, and what it has is unwound
        reason = await _abandon(trading, batch, error)
    await _end(trading, batch, reason)


def deadline_of(trading: Trading, batch: Batch) -> datetime:
    """Until when it may be filled."""
    run = trading.runs.get(batch.key)
    decided = min((order.intent.decided_at for order in batch.attempts(trading)), default=run.entry_at)
    return decided + timedelta(seconds=run.strategy.entry_grace_seconds)


def unfinished(run: Run) -> list[Batch]:
    """The batches whose entries are still under way, in order."""
    under_way = {(each.account, each.batch): None for each in run.positions if not each.entry_final}
    return [Batch((run.user_id, run.id), account, number) for account, number in under_way]


async def _waves_of(trading: Trading, batch: Batch) -> Reason | None:
    """Every wave after the one before is filled; why something of it is not filled, or None."""
    desk = trading.desk
    deadline = deadline_of(trading, batch)
    if lacks_orders(trading, batch):
        await asyncio.gather(
            *(desk.cancel(order, Urgency.HEDGE_ENTRY, Reason.RESTARTED) for order in batch.orders(trading))
        )
        return Reason.RESTARTED
    reason: Reason | None = None
    waves = [*_waves(batch.orders(trading)), (Urgency.SHORT_ENTRY, list[Order]())]
    for (urgency, intended), (next_urgency, following) in pairwise(waves):
        wave = _still_meant(trading, batch, [desk.orders[order.intent.id] for order in intended], reason)
        dropped = [order for order in intended if order.intent.id not in {each.intent.id for each in wave}]
        why = reason or _dropped_for(trading, batch)
        await asyncio.gather(*(desk.cancel(desk.orders[order.intent.id], urgency, why) for order in dropped))
        if wave:
            with desk.begin_after(wave, following, next_urgency, deadline):
                await _fill(trading, batch, wave, urgency, deadline)
        reason = reason or _failure(trading, batch, intended)
    return reason


def _dropped_for(trading: Trading, batch: Batch) -> Reason:
    """Why a wave that nothing has failed before is not sent."""
    if trading.guard.killed(trading.runs.get(batch.key), batch.account) is not None:
        return Reason.KILLED
    return Reason.CANCELLED if batch.is_closing(trading) else Reason.NOT_COVERED


async def _fill(trading: Trading, batch: Batch, wave: Sequence[Order], urgency: Urgency, deadline: datetime) -> None:
    """Send a wave and work it until it is final; what is known to be at no broker is ordered anew within the grace."""
    desk, clock = trading.desk, trading.clock
    wait = _AGAIN_AFTER
    while wave:
        await desk.send(wave, urgency, until=deadline)
        for order in wave:
            if desk.orders[order.intent.id].state is OrderState.CREATED:
                await desk.conclude(order.intent.id, OrderState.CANCELLED, Reason.RATE_LIMIT)
        await _work(trading, batch, wave, urgency, deadline)
        ended = [desk.orders[each.intent.id] for each in wave]
        again = [order for order in ended if _is_nowhere(order) or _is_worn(order)]
        if not again or clock.now() + wait > deadline:
            return
        await clock.pause(wait)
        wait *= 2
        wave = await _anew(trading, batch, again)


def _is_nowhere(order: Order) -> bool:
    """Its broker was asked and does not have it: its book does not show it, or it could not be reached at all."""
    return order.state.is_final and order.reason in {Reason.ABSENT, Reason.ACCOUNT_UNAVAILABLE} and not order.filled


def _is_worn(order: Order) -> bool:
    """It was moved as often as its broker allows, and cancelled for that."""
    return order.state is OrderState.CANCELLED and order.reason is Reason.MODIFICATION_LIMIT


async def _anew(trading: Trading, batch: Batch, ended: Sequence[Order]) -> list[Order]:
    """The next attempts of what these orders have not filled, journaled; none where the batch is being closed or a
    price is gone."""
    now = trading.clock.now()
    snapshot = await trading.market.snapshot(now)
    quotes = [snapshot.quote(order.intent.contract) for order in ended]
    if batch.is_closing(trading) or trading.halt_at(now) is not None:
        return []
    ticks = {position.contract: position.tick for position in batch.positions(trading)}
    again = []
    for order, quote in zip(ended, quotes, strict=True):
        if quote is None:
            return []
        intent = order.intent
        limit = marketable(intent.side, quote, ticks[intent.contract], intent.cap, trading.band(intent.contract, quote))
        again.append(Order(intent=next_attempt(intent, quantity=order.remaining, limit=limit, at=now), updated_at=now))
    await trading.desk.journal(again)
    return again


def _still_meant(trading: Trading, batch: Batch, wave: list[Order], reason: Reason | None) -> list[Order]:
    """What of a wave is sent: all of it, or after a failure of the waves before what is covered all the same."""
    run = trading.runs.get(batch.key)
    if batch.is_closing(trading):
        return []
    if reason is not None and run.strategy.on_failure is not OnFailure.KEEP:
        return []
    if reason is not None and not all(_is_sold_option(order) for order in wave):
        return []
    if reason is None and not batch.number:
        return wave
    covered = _covered(run, batch, wave)
    return [order for order in wave if (order.intent.leg, order.intent.entry_number) in covered]


def _is_sold_option(order: Order) -> bool:
    return order.intent.side is Side.SELL and order.intent.contract.type.is_option


def _covered(run: Run, batch: Batch, wave: Sequence[Order]) -> set[tuple[str, int]]:
    """What of a wave is covered by what is held by now, taken in turn: leg and entry number."""
    meant = {(order.intent.leg, order.intent.entry_number) for order in wave}
    coming: list[LegPosition] = []
    for each in run.batch(batch.account, batch.number):
        is_meant = (each.leg, each.entry_number) in meant
        if is_meant and lacks_cover(run, batch.account, [*coming, each], lambda _: None) is None:
            coming.append(each)
    return {(each.leg, each.entry_number) for each in coming}


def lacks_orders(trading: Trading, batch: Batch) -> bool:
    """Whether a process that ended while it journaled the batch left orders out; nothing of it was sent then."""
    last = {order.intent.id: order.intent.quantity for order in batch.orders(trading)}
    ordered = sum(last.get(order.intent.id, order.filled) for order in batch.attempts(trading))
    return ordered < sum(each.intended for each in batch.positions(trading))


async def _abandon(trading: Trading, batch: Batch, error: Exception) -> Reason | None:
    """End the batch's entries after an error in the middle; why something of it is not filled, or None."""
    (user_id, run_id), account = batch.key, batch.account
    is_stored = not isinstance(error, Unwritable)
    reason = Reason.INTERNAL_ERROR if is_stored else Reason.STORE_UNWRITABLE
    LOG.error("entry of %s on %s", run_id, account, exc_info=error if is_stored else None)
    entries = batch.orders(trading)
    await asyncio.gather(*(trading.desk.cancel(order, Urgency.EXIT, reason) for order in entries))
    if is_stored:
        await trading.failed(user_id, f"the entry of {run_id} on {account}", error, run_id=run_id, account=account)
    return None if _failure(trading, batch, entries) is None else reason


def waves_begun(trading: Trading, orders: Sequence[Order]) -> list[Order]:
    """New orders, each account's first wave SENDING as far as its rate allows: to be journaled so."""
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


def _slice(order: Order) -> tuple[str, int, int]:
    """What all attempts of an order of the batch share."""
    return (order.intent.leg, order.intent.entry_number, order.intent.slice_number)


def _failure(trading: Trading, batch: Batch, wave: Sequence[Order]) -> Reason | None:
    """Why a wave is not wholly filled, or None if it is.

    What is at no broker once the grace is over came too late: it would have been ordered anew before.
    """
    is_late = trading.clock.now() + _AGAIN_AFTER > deadline_of(trading, batch)
    if all(trading.desk.orders[order.intent.id].state is OrderState.FILLED for order in wave):
        return None
    of_wave = {_slice(order) for order in wave}
    for now in batch.orders(trading):
        if _slice(now) in of_wave and now.remaining:
            if _is_nowhere(now) and is_late:
                return Reason.LATE_ENTRY
            if now.reason is not None and not _is_worn(now):
                return now.reason
            return Reason.HEDGE_NOT_FILLED if now.intent.side is Side.BUY else Reason.NOT_FILLED
    return None


async def _work(trading: Trading, batch: Batch, wave: Sequence[Order], urgency: Urgency, deadline: datetime) -> None:
    """Chase unfilled orders up to the slippage limit until all are final; at the deadline cancel what is left.

    What was moved as often as an order may be is cancelled before. What is not final at the close ends with its day.
    """
    desk, clock = trading.desk, trading.clock
    ids = [order.intent.id for order in wave]
    while not await desk.final_by(ids, clock.now() + trading.pace.chase_every):
        if clock.now() >= trading.close_of_day():
            return
        snapshot = await trading.market.snapshot(clock.now())
        is_over = clock.now() >= deadline or batch.is_closing(trading)
        working = [desk.orders[intent] for intent in ids if not desk.orders[intent].state.is_final]
        await asyncio.gather(*(_work_on(trading, order, snapshot, urgency, is_over=is_over) for order in working))


async def _work_on(trading: Trading, order: Order, snapshot: Snapshot, urgency: Urgency, *, is_over: bool) -> None:
    if is_over:
        await trading.desk.cancel(order, urgency, _why_unfilled(order, snapshot))
    elif order.repricings >= trading.pace.chases_an_order:
        await trading.desk.cancel(order, urgency, Reason.MODIFICATION_LIMIT)
    else:
        await chase(trading, order, snapshot, urgency)


def _why_unfilled(order: Order, snapshot: Snapshot) -> Reason:
    """The price has moved where nobody takes the other side up to the order's cap; otherwise it is only not filled."""
    intent, quote = order.intent, snapshot.quote(order.intent.contract)
    if quote is not None and intent.cap is not None and is_beyond(intent.side, quote, intent.cap):
        return Reason.PRICE_MOVED
    return Reason.HEDGE_NOT_FILLED if intent.side is Side.BUY else Reason.NOT_FILLED


async def _end(trading: Trading, batch: Batch, reason: Reason | None) -> None:
    """Mark the batch's entries final, record what was not filled, and unwind it in the same commit where it failed."""
    now = trading.clock.now()
    snapshot = await trading.market.snapshot(now) if reason is not None else None

    def ended(run: Run) -> tuple[Run, Sequence[Write]]:
        after = _finalised(run, batch, reason, now)
        if snapshot is not None and run.strategy.on_failure is OnFailure.UNWIND:
            after = _unwinding(after, batch, now, snapshot)
        return settled(after), ()

    await trading.runs.change(batch.key, ended, snapshot)
    if reason is not None:
        await close(trading, batch.key, batch.account)


def _finalised(run: Run, batch: Batch, reason: Reason | None, at: datetime) -> Run:
    positions = []
    missing = []
    for position in run.positions:
        if (position.account, position.batch) != (batch.account, batch.number) or position.entry_final:
            positions.append(position)
            continue
        short = position.intended - position.entered
        why = (reason or Reason.NOT_FILLED) if short else None
        positions.append(replace(position, entry_final=True, shortfall=why))
        if why is not None:
            detail = f"{position.entered} of {position.intended} units of {position.contract.name} filled"
            missing.append(
                Shortfall(leg=position.leg, account=batch.account, quantity=short, reason=why, detail=detail, at=at)
            )
    if positions == [*run.positions]:
        return run
    return replace(run, positions=tuple(positions), shortfalls=(*run.shortfalls, *missing))


def _unwinding(run: Run, batch: Batch, at: datetime, snapshot: Snapshot) -> Run:
    """The run with the batch marked to be closed; with the entry at the run's minute all the account's part ends."""
    number = batch.number or None
    demand = ExitDemanded(at=at, reason=ExitReason.UNWIND, account=batch.account, batch=number)
    return step(run, demand, snapshot)[0]
