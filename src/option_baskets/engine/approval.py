"""Approval of entries: what they would come on top of, and what becomes of those a limit does not let pass.

Every entry goes through here, at its minute or later. An account's entries of one instant pass together or not at all;
the other accounts go on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.allocation import AllocationLimits
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.ids import Action
from option_baskets.domain.losses import REFUSALS
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import ZERO, rupees
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import Exposure, approve_entries
from option_baskets.domain.run import LegPosition, Run, Shortfall
from option_baskets.domain.session import IST
from option_baskets.domain.unentered import not_entered
from option_baskets.engine.gate import require_armed, require_sendable_now
from option_baskets.engine.planning import Entry
from option_baskets.engine.trading import Trading
from option_baskets.engine.valuation import Holding
from option_baskets.store.records import Refusal


def approved(trading: Trading, run: Run, entry: Entry, snapshot: Snapshot) -> Entry:
    """The entry without the accounts on which it is refused; what it is there, and why, is kept with it.

    Raises:
        Refused: it is refused on every account.
    """
    refused: dict[str, Refused] = {}
    accounts = [*(each.account for each in entry.positions), *(each.account for each in entry.pending)]
    for account in dict.fromkeys(accounts):
        intents = [order.intent for order in entry.orders if order.intent.account == account]
        try:
            require_armed(trading, run, account)
            _refuse_strangers(trading, run, entry, account)
            approve_entries(intents, _exposure(trading, run, entry, account, snapshot))
            for intent in intents:
                require_sendable_now(trading, intent, snapshot)
        except Refused as refusal:
            refused[account] = refusal
    if not refused:
        return entry
    missing = [
        short for account, refusal in refused.items() for short in _missing(run, entry, account, refusal, snapshot)
    ]
    left = replace(
        entry,
        positions=tuple(each for each in entry.positions if each.account not in refused),
        orders=tuple(order for order in entry.orders if order.intent.account not in refused),
        pending=tuple(each for each in entry.pending if each.account not in refused),
        shortfalls=(*entry.shortfalls, *missing),
        refusals=tuple(_refusal(trading, run, account, refusal) for account, refusal in refused.items()),
    )
    if not left.positions and not left.pending:
        first, *_ = refused.values()
        raise Refused(first.reason, "; ".join(dict.fromkeys(map(str, refused.values()))))
    return left


def _refuse_strangers(trading: Trading, run: Run, entry: Entry, account: str) -> None:
    """Raises Refused: the account holds units of a contract that are not ours."""
    standing = trading.standings.get((run.user_id, account))
    if standing is None or not standing.apart:
        return
    for contract in (each.contract for each in entry.positions if each.account == account):
        if units := standing.apart.get(contract):
            what = f"{account} holds {units:+d} {contract.name} that are not ours"
            raise Refused(Reason.EXTERNAL_POSITION, f"{what}; nothing is entered in it there until they are gone")


def _missing(run: Run, entry: Entry, account: str, refusal: Refused, snapshot: Snapshot) -> Iterator[Shortfall]:
    for position in entry.positions:
        if position.account == account:
            yield Shortfall(
                leg=position.leg,
                account=account,
                quantity=position.intended,
                reason=refusal.reason,
                detail=str(refusal),
            )
    pending = [each for each in entry.pending if each.account == account]
    yield from not_entered(pending, run.strategy, snapshot, refusal.reason, snapshot.at, str(refusal))


def _refusal(trading: Trading, run: Run, account: str, refusal: Refused) -> Refusal:
    return Refusal(
        user_id=run.user_id,
        at=trading.clock.now(),
        strategy_id=run.strategy.id,
        reason=refusal.reason,
        detail=str(refusal),
        run_id=run.id,
        account=account,
    )


# ---------------------------------------------------------------- what they come on top of


def _exposure(trading: Trading, run: Run, entry: Entry, account: str, snapshot: Snapshot) -> Exposure:
    """The strategy's part on the account as it would be with the entry; what no limit reads is not looked up."""
    limits = next((each.limits for each in run.allocations if each.account == account), AllocationLimits())
    over = trading.guard.stopped(run, account)
    bare = Exposure(
        account=account, limits=limits, capital=run.basket.capital, stopped=None if over is None else REFUSALS[over]
    )
    entering = [position for position in entry.positions if position.account == account]
    if limits == AllocationLimits() or not entering:
        return replace(bare, limits=AllocationLimits())
    held = [
        position
        for other in trading.runs.of_strategy(run.user_id, run.strategy.id)
        for position in other.positions
        if position.account == account and _units(position)
    ]
    together = [*held, *entering]
    trades = 0 if limits.max_daily_trades is None else _trades(trading, run, account, snapshot.at) + len(entering)
    return replace(
        bare,
        trades=trades,
        lots=sum(-(-_units(position) // position.lot_size) for position in together),
        value=sum((_price(position, snapshot) * _units(position) for position in together), ZERO),
        margin=None if limits.max_margin_percent is None else _margin(trading, together, snapshot),
    )


def _units(position: LegPosition) -> int:
    """What is held and what may still be filled."""
    return position.open + (0 if position.entry_final else position.intended - position.entered)


def _price(position: LegPosition, snapshot: Snapshot) -> Decimal:
    quote = snapshot.quote(position.contract)
    if quote is not None:
        return quote.last
    return position.mark or position.entry_price or ZERO


def _trades(trading: Trading, run: Run, account: str, at: datetime) -> int:
    """Entry intents of the day so far, over all cycles of the strategy on the account; slices of one count once."""
    day = at.astimezone(IST).date()
    return len(
        {
            (order.intent.run_id, order.intent.leg, order.intent.entry_number)
            for other in trading.runs.of_strategy(run.user_id, run.strategy.id)
            for order in trading.desk.of_run((other.user_id, other.id))
            if order.intent.account == account
            and order.intent.action is Action.ENTER
            and order.intent.decided_at.astimezone(IST).date() == day
        }
    )


def _margin(trading: Trading, positions: Sequence[LegPosition], snapshot: Snapshot) -> Decimal | None:
    """Rupees, estimated; None where a price it needs is not known."""
    holdings = [
        Holding(
            contract=position.contract,
            units=_units(position) * position.side.sign,
            price=_price(position, snapshot),
        )
        for position in positions
    ]
    try:
        total = trading.valued(snapshot).margin(holdings).total
    except NotFound:
        return None
    return rupees(Decimal(total)) if math.isfinite(total) else None
