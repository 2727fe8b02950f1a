"""Closing what a rule, a person or the clock asked to close: shorts first, reduce-only, chased until flat.

An exit is never blocked by a limit or a pause. Its quantity is what is open less what working or unclear exits may
still close, so that no crash or late answer turns a position round. Where a fill that came late does it all the same,
or brings what is no longer wanted, that is netted back in the same way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from option_baskets.domain.allocation import slices
from option_baskets.domain.contract import Side
from option_baskets.domain.ids import Action, intent_id
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.order import Intent, Order, OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import LegPosition
from option_baskets.engine.desk import urgency_of_exit
from option_baskets.engine.limits import marketable
from option_baskets.engine.rates import Urgency
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.store.records import Level

_AGAIN_AFTER = timedelta(seconds=1)
_AGAIN_AT_MOST = timedelta(seconds=8)
"""Before a new attempt, doubling each time, so that a broker that refuses at once is not hammered."""
_FATES_WITHIN = timedelta(minutes=2)
"""After the close; long enough for thirty seconds of good readings of the order book."""


async def close(trading: Trading, key: RunKey, account: str) -> None:
    """Close every position of the account's part that is marked to be closed; returns when none is left to close.

    One closer works on an account's part at a time. What is still open when its contracts stop trading is alerted.
    """
    async with trading.exit_lock(key, account):
        await _hold(trading, key, account)
        slow = asyncio.create_task(_warn_if_slow(trading, key, account))
        try:
            await _close(trading, key, account)
        finally:
            slow.cancel()


async def _close(trading: Trading, key: RunKey, account: str) -> None:
    wait = _AGAIN_AFTER
    cancelled: set[str] = set()
    while _to_close(trading, key, account) and trading.clock.now() < trading.close_of_day():
        await _hold(trading, key, account)
        await _tell_of_late_fills(trading, key, account)
        if _is_killed(trading, key, account):
            _cancel_beside(trading, key, account, cancelled)
        else:
            await _cancel_contrary(trading, key, account)
        for turn in _TURNS:
            held = [position for position in _to_close(trading, key, account) if position.excess]
            if any(_turn(position) < turn for position in held):
                break
            if turn and any(order.intent.side is Side.SELL for order in _contrary(trading, key, account)):
                break  # killed: a short that may still be filled keeps its cover
            await _wave(trading, key, [position for position in held if _turn(position) == turn])
        now = trading.clock.now()
        left = any(each.excess for each in _to_close(trading, key, account))
        if now >= trading.close_of_day() or not (left or _contrary(trading, key, account)):
            break
        await trading.clock.pause(wait)
        wait = min(2 * wait, _AGAIN_AT_MOST) if left else _AGAIN_AFTER
    await _fates_known(trading, key, account)
    await _give_up(trading, key, account)


async def _fates_known(trading: Trading, key: RunKey, account: str) -> None:
    """Wait past the close for orders nobody knows the fate of: tomorrow's order book does not have them any more."""
    unknown = [
        order.intent.id
        for order in trading.desk.of_run(key)
        if order.intent.account == account and order.state is OrderState.UNKNOWN
    ]
    if unknown:
        await trading.desk.final_by(unknown, trading.clock.now() + _FATES_WITHIN)


def _is_killed(trading: Trading, key: RunKey, account: str) -> bool:
    return trading.guard.killed(trading.runs.get(key), account) is not None


async def _hold(trading: Trading, key: RunKey, account: str) -> None:
    """Wait for the open, and wait out a halt of the market, and say so; what is held is sent when it (re)opens."""
    if trading.session is not None and trading.clock.now() < trading.session.open:
        await trading.clock.sleep_until(trading.session.open)
    while (halt := trading.halt_at(trading.clock.now())) is not None:
        strategy = trading.runs.get(key).strategy
        message = f"trading is halted: an exit of {strategy.name} on {account} is held until {halt.close:%H:%M}"
        await trading.alert(
            key[0], "exit_held", message, strategy_id=strategy.id, run_id=key[1], account=account, subject=key[1]
        )
        await trading.clock.sleep_until(halt.close)


_TURNS = range(3)


def _turn(position: LegPosition) -> int:
    """Sold options first, then sold futures, which may be the cover of sold puts, then what was bought."""
    if _exit_side(position) is Side.SELL:
        return 2
    return 0 if position.contract.type.is_option else 1


def _exit_side(position: LegPosition) -> Side:
    """On which side its excess is closed; of a position that was turned round, that of its entry."""
    return position.side.opposite if position.excess >= 0 else position.side


async def chase(trading: Trading, order: Order, snapshot: Snapshot, urgency: Urgency) -> None:
    """Move a working order's limit to where it fills now, an entry never beyond its cap."""
    intent = order.intent
    quote = snapshot.quote(intent.contract)
    listing = snapshot.listing(intent.contract)
    if quote is None or listing is None or not order.broker_order_id:
        return
    limit = marketable(intent.side, quote, listing.tick, intent.cap, trading.band(intent.contract, quote))
    if limit != order.limit:
        await trading.desk.reprice(order, limit, urgency)


def accounts_closing(trading: Trading, key: RunKey) -> list[str]:
    """Accounts on which something is marked to be closed and still held."""
    accounts = dict.fromkeys(position.account for position in trading.runs.get(key).positions)
    return [account for account in accounts if any(position.excess for position in _to_close(trading, key, account))]


def accounts_ending(trading: Trading, key: RunKey) -> list[str]:
    """Accounts on which something is marked to be closed and still held, or may still be filled."""
    accounts = dict.fromkeys(position.account for position in trading.runs.get(key).positions)
    return [account for account in accounts if _to_close(trading, key, account)]


def _to_close(trading: Trading, key: RunKey, account: str) -> list[LegPosition]:
    """Positions of which something is to be closed, or would be if it were filled, and whose contracts still trade."""
    now = trading.clock.now()
    return [each for each in _marked(trading, key, account) if now < trading.last_trade(each.contract)]


def _marked(trading: Trading, key: RunKey, account: str) -> list[LegPosition]:
    return [
        position
        for position in trading.runs.get(key).positions
        if position.account == account
        and (position.excess or (position.exit_reason is not None and not position.entry_final))
    ]


def _contrary(trading: Trading, key: RunKey, account: str) -> list[Order]:
    """What works against the closing: entries that would fill more, exits of what is turned round already."""
    closing = {position.key: _exit_side(position) for position in _to_close(trading, key, account)}
    return [
        order
        for order in trading.desk.of_run(key)
        if not order.state.is_final
        and (place := (order.intent.leg, order.intent.account, order.intent.entry_number)) in closing
        and (order.intent.action is Action.ENTER or order.intent.side is not closing[place])
    ]


async def _cancel_contrary(trading: Trading, key: RunKey, account: str) -> None:
    """End what works against the closing, before anything is closed."""
    working = _contrary(trading, key, account)
    await asyncio.gather(*(trading.desk.cancel(order, Urgency.EXIT, Reason.CANCELLED) for order in working))


def _cancel_beside(trading: Trading, key: RunKey, account: str, cancelled: set[str]) -> None:
    """The same for the kill switch, which does not wait for slow answers: known fills are closed meanwhile."""
    for order in _contrary(trading, key, account):
        if order.intent.id not in cancelled:
            cancelled.add(order.intent.id)
            work = trading.desk.cancel(order, Urgency.KILL, Reason.KILLED)
            trading.start(work, name=f"cancel {order.intent.id}", user_id=key[0])


async def _wave(trading: Trading, key: RunKey, positions: Sequence[LegPosition]) -> None:
    """One attempt to close these positions of one side; returns when its orders are final.

    It takes up what a process before this one left: an exit it journaled is sent, one it sent is chased.
    """
    if not positions:
        return
    desk, clock = trading.desk, trading.clock
    snapshot = await trading.market.snapshot(clock.now())
    async with trading.runs.lock(key):  # nobody takes units out of the positions between the count and the journal
        now = [trading.runs.get(key).position(position.key) for position in positions]
        await desk.journal(order for position in now for order in _orders(trading, key, position, snapshot))
    exits = [order for position in positions for order in _exits(trading, key, position) if not order.state.is_final]
    if not exits:
        return
    account, side = positions[0].account, _exit_side(positions[0])
    urgency = Urgency.KILL if _is_killed(trading, key, account) else urgency_of_exit(side)
    await desk.send([order for order in exits if order.state is OrderState.CREATED], urgency)
    ids = [order.intent.id for order in exits]
    until = min(trading.close_of_day(), *(trading.last_trade(position.contract) for position in positions))
    while not await desk.final_by(ids, clock.now() + trading.pace.chase_every):
        working = [desk.orders[intent] for intent in ids if not desk.orders[intent].state.is_final]
        if clock.now() >= until or any(each.repricings >= trading.pace.chases_an_order for each in working):
            break
        if _is_killed(trading, key, account) and _others_wait(trading, key, positions):
            break
        snapshot = await trading.market.snapshot(clock.now())
        await asyncio.gather(*(chase(trading, order, snapshot, urgency) for order in working))
    working = [desk.orders[intent] for intent in ids if not desk.orders[intent].state.is_final]
    await asyncio.gather(*(desk.cancel(order, urgency, Reason.NOT_FILLED) for order in working))


def _others_wait(trading: Trading, key: RunKey, wave: Sequence[LegPosition]) -> bool:
    """Something of the account that goes no later than this wave is held as well, and nothing closes it."""
    own, turn = {position.key for position in wave}, _turn(wave[0])
    return any(
        position.excess and position.key not in own and _turn(position) <= turn
        for position in _to_close(trading, key, wave[0].account)
    )


def _exits(trading: Trading, key: RunKey, position: LegPosition) -> list[Order]:
    """Every exit of the position so far."""
    return [
        order
        for order in trading.desk.of_run(key)
        if order.intent.action is Action.EXIT
        and (order.intent.leg, order.intent.account, order.intent.entry_number) == position.key
    ]


def _orders(trading: Trading, key: RunKey, position: LegPosition, snapshot: Snapshot) -> list[Order]:
    """New exit orders for what of the position's excess no other exit may still close."""
    exits = _exits(trading, key, position)
    side = _exit_side(position)
    working = sum(order.remaining for order in exits if not order.state.is_final and order.intent.side is side)
    quantity = abs(position.excess) - working
    quote = snapshot.quote(position.contract)
    if quote is None or quantity <= 0:
        return []
    attempt = 1 + max((order.intent.attempt for order in exits), default=-1)
    level = position.exit_level if attempt == 0 else None
    if level is None:
        limit = marketable(side, quote, position.tick, band=trading.band(position.contract, quote))
    else:
        limit = marketable(side, Quote(last=level, as_of=quote.as_of), position.tick)
    lots, odd = divmod(quantity, position.lot_size)
    sizes = slices(lots, position.lot_size, position.freeze_quantity) if lots else ()
    return [
        Order(
            intent=Intent(
                id=intent_id(
                    user_id=key[0],
                    run=key[1],
                    leg=position.leg,
                    account=position.account,
                    entry_number=position.entry_number,
                    action=Action.EXIT,
                    attempt=attempt,
                    slice_number=number,
                ),
                user_id=key[0],
                run_id=key[1],
                strategy_id=trading.runs.get(key).strategy.id,
                leg=position.leg,
                account=position.account,
                entry_number=position.entry_number,
                action=Action.EXIT,
                attempt=attempt,
                slice_number=number,
                contract=position.contract,
                side=side,
                quantity=size,
                limit=limit,
                decided_at=snapshot.at,
                cause=position.exit_reason or ExitReason.UNWIND,
                level=level,
                product=trading.runs.get(key).strategy.product,
            ),
            updated_at=snapshot.at,
        )
        for number, size in enumerate((*sizes, odd) if odd else sizes)
    ]


async def _tell_of_late_fills(trading: Trading, key: RunKey, account: str) -> None:
    """Say once of every fill that came when it was no longer wanted: what it did, and that it is netted back."""
    run = trading.runs.get(key)
    for position in run.positions:
        if position.account != account or not position.excess:
            continue
        name, leg = position.contract.name, "#".join(map(str, position.key))
        if position.open < 0:
            code, subject = "exit_overfilled", f"{run.id} {leg} exited {position.exited}"
            what = f"exits closed {-position.open} units of {name} more than there were"
        elif position.late:
            code, subject = "late_fill", f"{run.id} {leg} late {position.late}"
            what = f"{position.late} units of {name} were filled after the entry had ended"
        else:
            continue
        if ((key[0], account), subject) not in trading.alerted:
            trading.alerted.add(((key[0], account), subject))
            await trading.alert(
                key[0],
                code,
                f"{run.strategy.name} on {account}: {what}; they are netted back",
                level=Level.CRITICAL,
                strategy_id=run.strategy.id,
                run_id=run.id,
                account=account,
                subject=subject,
            )


async def _warn_if_slow(trading: Trading, key: RunKey, account: str) -> None:
    """Raise one alert, unless the caller is done with closing before."""
    after = trading.pace.critical_after
    await trading.clock.pause(after)
    strategy = trading.runs.get(key).strategy
    message = f"an exit of {strategy.name} on {account} is not filled after {after.total_seconds():.0f} s"
    await trading.alert(
        key[0],
        "slow_exit",
        message,
        level=Level.CRITICAL,
        strategy_id=strategy.id,
        run_id=key[1],
        account=account,
    )


async def _give_up(trading: Trading, key: RunKey, account: str) -> None:
    """Tell what could not be closed today. What the strategy leaves to its settlement is no failure."""
    run = trading.runs.get(key)
    today = trading.close_of_day().date()
    held: defaultdict[str, int] = defaultdict(int)
    for position in _marked(trading, key, account):
        settles = run.strategy.settle and trading.clock.now() >= trading.last_trade(position.contract)
        if position.excess and position.contract.expiry >= today and not settles:
            held[position.contract.name] += position.excess * position.side.sign
    if not held:
        return
    text = ", ".join(f"{units:+d} {name}" for name, units in sorted(held.items()))
    message = f"{run.strategy.name} on {account} ends the day with {text} that could not be closed"
    await trading.alert(
        key[0], "not_closed", message, level=Level.CRITICAL, strategy_id=run.strategy.id, run_id=key[1], account=account
    )
