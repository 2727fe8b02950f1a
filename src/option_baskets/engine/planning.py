"""What an entry is made of: who gets how much of what, in which orders, and whether they can be sent in time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from option_baskets.domain.allocation import slices
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.entry_terms import entry_spot, require_premium_base
from option_baskets.domain.errors import Refused
from option_baskets.domain.ids import Action, intent_id
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Intent, Order
from option_baskets.domain.pending import Pending
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import Resolution, fresh_quote, resolve
from option_baskets.domain.run import LegPosition, Run, Shortfall
from option_baskets.domain.unentered import lot_size_of
from option_baskets.domain.waiting import Share, pendings_at_entry
from option_baskets.engine.limits import marketable, slippage_cap
from option_baskets.engine.trading import Trading
from option_baskets.store.records import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be opened, in order of priority and leg, with its orders; what waits; what is not to be had."""

    positions: tuple[LegPosition, ...] = ()
    orders: tuple[Order, ...] = ()
    pending: tuple[Pending, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    """Accounts on which a limit does not let it pass."""
    notes: tuple[str, ...] = ()


def plan_entry(trading: Trading, run: Run, snapshot: Snapshot, at: datetime) -> Entry:
    """The entry of a run at its minute.

    Raises:
        Refused: nothing of it can be entered, or something it needs is not known.
    """
    strategy = run.strategy
    legs = [] if strategy.breakout is not None else [leg.id for leg in strategy.legs if not leg.lazy]
    resolution = resolve(strategy, snapshot, trading.valued(snapshot).delta, legs=legs)
    shares, shortfalls = _shares(trading, run, resolution, snapshot)
    pending = pendings_at_entry(run, shares, resolution, snapshot)
    waiting = {each.key for each in pending}
    positions = [
        opened(
            run,
            leg=each.leg,
            account=each.account,
            side=strategy.leg(each.leg).side,
            lots=each.lots,
            contract=resolution.contracts[each.leg],
            snapshot=snapshot,
        )
        for each in shares
        if each.key not in waiting
    ]
    require_premium_base(strategy, positions, snapshot)
    entry = within_rate(trading, run, positions, orders_of(trading, run, positions, snapshot, at))
    entry = replace(entry, pending=pending, shortfalls=(*shortfalls, *entry.shortfalls), notes=resolution.notes)
    if not entry.positions and not entry.pending:
        if run.dynamic is not None and run.dynamic.units == 0:
            raise Refused(Reason.NO_UNITS, run.dynamic.why)
        short = next(iter(entry.shortfalls), None)
        reason = short.reason if short else Reason.ACCOUNT_UNKNOWN
        raise Refused(reason, short.detail if short else "no lots are allocated to any account")
    return entry


def refuse_in_halt(trading: Trading) -> None:
    """Raises Refused: nothing is traded now, or nothing could be kept of it."""
    health = trading.books.health
    if not health.is_writable:
        raise Refused(Reason.STORE_UNWRITABLE, f"the store cannot be written: {health.cause}")
    halt = trading.halt_at(trading.clock.now())
    if halt is not None:
        raise Refused(
            Reason.MARKET_HALTED, f"trading is halted from {halt.open:%H:%M} to {halt.close:%H:%M}; nothing is entered"
        )


def _shares(
    trading: Trading, run: Run, resolution: Resolution, snapshot: Snapshot
) -> tuple[list[Share], list[Shortfall]]:
    """Who gets how many lots, in order of priority and leg; those of an account we cannot reach are recorded."""
    shares: list[Share] = []
    shortfalls: list[Shortfall] = []
    for allocation in sorted(run.allocations, key=lambda each: (each.priority, each.id)):
        known = (run.user_id, allocation.account) in trading.desk.brokers
        for leg_id, lots in run.lots(allocation).items():
            leg = run.strategy.leg(leg_id)
            if leg.lazy:
                continue
            if known:
                shares.append(Share(leg=leg_id, account=allocation.account, lots=lots))
                continue
            lot_size = lot_size_of(run.strategy, leg, resolution.contracts.get(leg_id), snapshot)
            shortfalls.append(
                Shortfall(
                    leg=leg_id,
                    account=allocation.account,
                    quantity=lots * lot_size,
                    reason=Reason.ACCOUNT_UNKNOWN,
                    detail=f"there is no account {allocation.account}",
                )
            )
    return shares, shortfalls


def opened(
    run: Run,
    *,
    leg: str,
    account: str,
    side: Side,
    lots: int,
    contract: Contract,
    snapshot: Snapshot,
    entry_number: int = 0,
    batch: int = 0,
    due: datetime | None = None,
) -> LegPosition:
    """A position of which nothing is filled yet; ``due`` is when it was decided, if after the run's entry.

    Raises:
        Refused: the contract is not listed, or something an exit rule of the leg measures from is not known.
    """
    listing = snapshot.listing(contract)
    if listing is None:
        raise Refused(Reason.NOT_LISTED, f"leg {leg}: {contract.name} is not listed")
    return LegPosition(
        leg=leg,
        account=account,
        entry_number=entry_number,
        contract=contract,
        side=side,
        lots=lots,
        lot_size=listing.lot_size,
        freeze_quantity=listing.freeze_quantity,
        tick=listing.tick,
        entry_spot=entry_spot(run.strategy, run.strategy.leg(leg), snapshot),
        batch=batch,
        due=due,
    )


def within_rate(trading: Trading, run: Run, positions: Sequence[LegPosition], orders: Sequence[Order]) -> Entry:
    """What can be sent within the grace at each account's rate: a set that cannot be sent whole is not begun."""
    grace = timedelta(seconds=run.strategy.entry_grace_seconds)
    missing: list[Shortfall] = []
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
    return Entry(positions=tuple(positions), orders=tuple(orders), shortfalls=tuple(missing))


def orders_of(
    trading: Trading, run: Run, positions: Iterable[LegPosition], snapshot: Snapshot, at: datetime
) -> list[Order]:
    """The orders of every position, sliced at the freeze quantity; limits are inside the price protection.

    Raises:
        Refused: a contract has no fresh price.
    """
    orders = []
    priced: dict[tuple[Contract, Side], tuple[Decimal, Decimal]] = {}
    for position in positions:
        what = position.contract, position.side
        if what not in priced:  # once for all accounts
            quote = fresh_quote(position.contract, snapshot)
            cap = slippage_cap(position.side, quote.last, run.strategy.slippage_limit_percent)
            band = trading.band(position.contract, quote)
            priced[what] = marketable(position.side, quote, position.tick, cap, band), cap
        limit, cap = priced[what]
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
                product=run.strategy.product,
            )
            orders.append(Order(intent=intent, updated_at=at))
    return orders
