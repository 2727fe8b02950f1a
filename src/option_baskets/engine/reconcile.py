"""Every account's order book and positions against the journal: at the start, every minute, and on demand.

What the book says of our orders is applied, also where their run is over. What others did is told once and never
touched; what they closed of ours leaves our book (reason ``external``), without an order. Nothing is believed of a
position that was not read twice with nothing of ours in flight. An account that cannot be read holds up no other.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta

from option_baskets.domain.contract import Contract
from option_baskets.domain.drift import Drift, Net, Reduction, drifts, reductions, uncovered
from option_baskets.domain.errors import Halt, Unavailable, Unclear
from option_baskets.domain.events import Event
from option_baskets.domain.external import External
from option_baskets.domain.instrument import redated
from option_baskets.domain.order import Order, OrderReport, OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, with_external
from option_baskets.domain.session import IST
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.duplicates import tell_of_strangers
from option_baskets.engine.runs import RunKey
from option_baskets.engine.standing import EXTERNAL, Missing, Standing, subject_of
from option_baskets.engine.stops import go_on_closing
from option_baskets.engine.trading import Trading
from option_baskets.ports import Broker, Write
from option_baskets.store.records import Alert, Level

LOG = logging.getLogger(__name__)

READ_WITHIN = timedelta(seconds=10)
"""An account that does not answer by then is not read this time."""
UNREAD_AGAIN = timedelta(minutes=5)
"""Before another process says again that an account cannot be read; it does not know whether it could meanwhile."""
_UNREAD = "order_book_unread"
AGAIN_AFTER = timedelta(seconds=5)
"""Between two readings of an account where something waits to be confirmed."""
MOST_READS = 10
"""In a row; what is not settled by then the next minute looks at."""
MISSING_READS = 3
MISSING_AFTER = timedelta(seconds=30)
"""An order of ours is missing after so many good readings over so long without it."""


async def reconcile(trading: Trading, accounts: Iterable[AccountKey] | None = None) -> Mapping[AccountKey, Standing]:
    """Read these accounts (all of them), settle what differs, and return how they then stand. For whoever asks."""
    wanted = [*trading.desk.brokers] if accounts is None else [*accounts]
    await asyncio.gather(*(look_at(trading, account) for account in wanted))
    return {account: standing_of(trading, account) for account in wanted}


async def reconcile_all(trading: Trading, event: Event, look_back: timedelta) -> None:
    """The minute's look at all accounts, beside what else is due; one that is being looked at is left to that."""
    ours = holdings(trading.runs.in_hand())
    await asyncio.gather(
        *(
            look_at(trading, account, look_back=look_back, at=event.at, ours=ours.get(account, {}))
            for account in trading.desk.brokers
            if not standing_of(trading, account).lock.locked()
        )
    )


def noticed(trading: Trading, account: AccountKey, report: OrderReport, before: Order | None) -> None:
    """Follow an update of an account: what came late is netted back, what others traded is looked at now.

    Args:
        before: our order as it was before the update was applied; None: it is none of ours.
    """
    standing, now = standing_of(trading, account), trading.clock.now()
    if not report.filled or standing.lock.locked() or (standing.read_at is None and not standing.is_unread):
        return  # nothing was traded, or a look at the account is under way or about to begin
    if before is not None:
        key = (before.intent.user_id, before.intent.run_id)
        given_up = before.state.is_final or before.reason is Reason.ABSENT
        if given_up and report.filled > before.filled and key in trading.runs:
            go_on_closing(trading, key)
        return
    is_fresh = standing.read_at is not None and now - standing.read_at < AGAIN_AFTER
    if not is_fresh and now < trading.close_of_day():
        trading.start(look_at(trading, account), name=f"look at {account[1]}", user_id=account[0])


def standing_of(trading: Trading, account: AccountKey) -> Standing:
    return trading.standings.setdefault(account, Standing())


def holdings(runs: Iterable[Run]) -> dict[AccountKey, dict[Contract, int]]:
    """What our runs hold, net by contract, what is flat left out."""
    net: defaultdict[AccountKey, dict[Contract, int]] = defaultdict(dict)
    for run in runs:
        for position in run.positions:
            if position.open:
                held = net[run.user_id, position.account]
                held[position.contract] = held.get(position.contract, 0) + position.open * position.side.sign
    return {account: {contract: units for contract, units in held.items() if units} for account, held in net.items()}


# ---------------------------------------------------------------- an account


async def look_at(
    trading: Trading,
    account: AccountKey,
    *,
    look_back: timedelta | None = None,
    at: datetime | None = None,
    ours: Net | None = None,
    is_start: bool = False,
) -> None:
    """Read one account, and again while something waits to be confirmed. What goes wrong here is alerted.

    Args:
        is_start: nothing was sent yet. It waits only for what our book may lose; the first minute does the rest.
        look_back: how old an order of others may be to be told of, if it was seen before; None: any.
        at: the instant from which is looked back; None: now.
        ours: what we hold there, where the caller has just counted it.
    """
    standing = standing_of(trading, account)
    async with standing.lock:
        try:
            for _ in range(MOST_READS):
                if not await _look(trading, account, standing, _since(trading, standing, look_back, at), ours):
                    return
                is_done = standing.is_settled or (is_start and not standing.may_lose)
                if is_done or trading.clock.now() + AGAIN_AFTER >= trading.close_of_day():
                    return
                ours = None
                await trading.clock.pause(AGAIN_AFTER)
        except Halt:
            raise
        except Exception as error:  # whatever it is, the other accounts are looked at
            LOG.exception("reconciling %s", account[1])
            await trading.failed(account[0], f"reconciling {account[1]}", error, account=account[1])


def _since(trading: Trading, standing: Standing, look_back: timedelta | None, at: datetime | None) -> datetime:
    """From when on orders of others are looked at: whatever happened since the last reading, and the look-back."""
    if standing.read_at is None or look_back is None:
        return datetime.combine(trading.close_of_day().astimezone(IST).date(), time.min, IST)
    return min(standing.read_at, (at or trading.clock.now()) - look_back)


async def _look(trading: Trading, account: AccountKey, standing: Standing, since: datetime, ours: Net | None) -> bool:
    """One reading, compared and applied; whether it came about."""
    reading = await _read(trading, account, standing)
    if reading is None:
        return False
    reports, held = reading
    await _adopt(trading, account, reports)
    standing.read_at = trading.clock.now()
    await tell_of_strangers(trading, account, standing, reports, since)
    await _tell_of_missing(trading, account, standing, reports)
    await _compare(trading, account, standing, held, ours)
    return True


async def _read(
    trading: Trading, account: AccountKey, standing: Standing
) -> tuple[Sequence[OrderReport], Mapping[Contract, int]] | None:
    """The account's orders, then its positions; None where they cannot be had, which is told once."""
    broker: Broker = trading.desk.brokers[account]
    try:
        async with asyncio.timeout(READ_WITHIN.total_seconds()):
            reading = await broker.orders(), await broker.positions()
    except (Unavailable, Unclear, TimeoutError) as error:
        if not standing.is_unread:
            standing.is_unread = True
            told = trading.told_at.get((account, _UNREAD, "", ""))
            if told is not None and trading.clock.now() - told < UNREAD_AGAIN:
                return None  # by a process before this one
            why = str(error) or f"no answer within {READ_WITHIN.total_seconds():.0f} s"
            message = f"{account[1]}: its order book cannot be read: {why}"
            await trading.alert(account[0], _UNREAD, message, account=account[1])
        return None
    standing.is_unread = False
    return reading


# ---------------------------------------------------------------- orders


async def _adopt(trading: Trading, account: AccountKey, reports: Sequence[OrderReport]) -> None:
    """Apply what the book says of our orders; what a late fill opened again is closed at once."""
    desk, changed = trading.desk, set[RunKey]()
    for report in reports:
        before = desk.orders.get(report.tag)
        if before is None and report.tag:
            desk.note_unknown(account, report.tag)
        if before is not None:
            await desk.report(account[0], report)
            if desk.orders.get(report.tag) is not before:
                changed.add((before.intent.user_id, before.intent.run_id))
    for key in sorted(changed):
        if key in trading.runs:
            go_on_closing(trading, key)


async def _tell_of_missing(
    trading: Trading, account: AccountKey, standing: Standing, reports: Sequence[OrderReport]
) -> None:
    """Alert of orders that are open in our journal and have not been in the book for a while."""
    shown = {report.tag for report in reports}
    now = trading.clock.now()
    working = {
        order.intent.id: order
        for order in trading.desk.working(account)
        if order.state in {OrderState.OPEN, OrderState.PARTIAL} and order.intent.id not in shown
    }
    for intent_id in standing.missing.keys() - working.keys():
        del standing.missing[intent_id]
    for intent_id, order in working.items():
        missing = standing.missing.setdefault(intent_id, Missing(since=now))
        missing.reads += 1
        if missing.is_told or missing.reads < MISSING_READS or now - missing.since < MISSING_AFTER:
            continue
        missing.is_told = True
        intent = order.intent
        await _tell(
            trading,
            account,
            "order_missing",
            f"order {order.broker_order_id} ({intent.side} {intent.quantity} {intent.contract.name}) is open in the "
            f"journal, and the order book of {account[1]} has not shown it for {(now - missing.since).seconds} s",
            subject=intent_id,
            level=Level.CRITICAL,
        )


# ---------------------------------------------------------------- positions


async def _compare(trading: Trading, account: AccountKey, standing: Standing, held: Net, counted: Net | None) -> None:
    """Compare positions: suspect what differs for the first time, carry out what is confirmed."""
    today = trading.close_of_day().astimezone(IST).date()
    if counted is not None and not standing.suspected:
        found = drifts(counted, held, today)
        if {contract: drift.units for contract, drift in found.items()} == standing.apart:
            return  # as before
    ours = holdings(trading.runs.in_hand()).get(account, {})
    found = drifts(ours, held, today)
    unsure = _in_flight(trading, account) | _moved(trading, [*ours, *held], today)
    standing.suspected = {
        contract: seen for contract, seen in standing.suspected.items() if contract in found and contract not in unsure
    }
    for contract in [*standing.apart]:
        if contract not in found and contract not in unsure:
            await _gone(trading, account, standing, contract)
    now = trading.clock.now()
    for contract, drift in found.items():
        if contract in unsure:
            continue
        if drift.units == standing.apart.get(contract):
            standing.suspected.pop(contract, None)
            continue
        seen = standing.suspected.get(contract)
        if seen is None or seen[0] != drift:
            standing.suspected[contract] = (drift, now)
        elif now - seen[1] >= AGAIN_AFTER:
            del standing.suspected[contract]
            await _confirmed(trading, account, standing, drift)


def _in_flight(trading: Trading, account: AccountKey) -> set[Contract]:
    """Contracts of which an order of ours may be filled at any moment; those of earlier days are over."""
    today = trading.close_of_day().astimezone(IST).date()
    return {
        order.intent.contract
        for order in trading.desk.working(account)
        if order.intent.decided_at.astimezone(IST).date() == today
    }


def _moved(trading: Trading, contracts: Iterable[Contract], today: date) -> set[Contract]:
    """Contracts that have another expiry date today than they had, by either name: our book may not follow yet."""
    named = {contract: redated(trading.facts, contract, today) for contract in contracts}
    return {name for before, after in named.items() if before != after for name in (before, after)}


async def _confirmed(trading: Trading, account: AccountKey, standing: Standing, drift: Drift) -> None:
    """Take out of our book what others closed, and tell of what they hold beside it."""
    if drift.closed:
        mine = [run for run in trading.runs.in_hand() if run.user_id == account[0]]
        for reduction in [*reductions(mine, account[1], drift)]:
            if not await _reduce(trading, account, drift, reduction):
                return  # something of it has changed: the next reading tells
    opened = drift.opened
    if not opened:
        if drift.contract in standing.apart:
            await _gone(trading, account, standing, drift.contract)
        return
    standing.apart[drift.contract] = opened
    name, left = drift.contract.name, drift.held - opened
    await _tell_of_contract(
        trading,
        account,
        standing,
        drift.contract,
        f"{account[1]} holds {drift.held:+d} {name} and our runs {left:+d}: {opened:+d} are not ours. They are left "
        "alone, and nothing is entered in it there until they are gone",
        subject_of(drift.contract, opened),
    )


async def _gone(trading: Trading, account: AccountKey, standing: Standing, contract: Contract) -> None:
    del standing.apart[contract]
    message = f"{account[1]} holds no {contract.name} any more that is not ours: it may be entered again"
    await _tell_of_contract(trading, account, standing, contract, message, subject_of(contract, 0))


async def _reduce(trading: Trading, account: AccountKey, drift: Drift, reduction: Reduction) -> bool:
    """Take the units out of one position in one commit with its alert; False where it is not as it was."""
    key: RunKey = (reduction.user_id, reduction.run_id)
    now = trading.clock.now()
    quote = (await trading.market.snapshot(now)).quote(drift.contract)
    done = False

    def reduced(run: Run) -> tuple[Run, Sequence[Write]]:
        nonlocal done
        position = run.position(reduction.position)
        if position.open < reduction.quantity or drift.contract in _in_flight(trading, account):
            return run, ()
        done = True
        stand_in = position.mark or position.entry_price
        assert stand_in is not None
        external = External(
            quantity=reduction.quantity,
            price=quote.last if quote is not None else stand_in,
            priced_at=quote.as_of if quote is not None else None,
            at=now,
        )
        after = with_external(run, position.key, external)
        return after, [trading.books.put_alert(_closed_by_others(run, after, account, drift, external, now))]

    await trading.runs.change(key, reduced)
    return done


def _closed_by_others(
    before: Run, after: Run, account: AccountKey, drift: Drift, external: External, now: datetime
) -> Alert:
    """What became of the run, CRITICAL where something it sold has less cover than before."""
    strategy, name = before.strategy, drift.contract.name
    price = f"{external.price.normalize():f}"
    message = (
        f"{strategy.name} on {account[1]}: {external.quantity} units of {name} were closed without an order of ours; "
        f"counted at {price}, the last price known"
    )
    left, bare = uncovered(before, account[1]), uncovered(after, account[1])
    short = {type_: units for type_, units in bare.items() if units > left.get(type_, 0)}
    if short:
        what = " and ".join(f"{units} units of sold {type_}" for type_, units in short.items())
        message += f". {what} have no cover now; their stops and exits go on, and nothing is bought for them"
    LOG.log(logging.CRITICAL if short else logging.WARNING, "%s", message)
    return Alert(
        user_id=account[0],
        at=now,
        code="external_close",
        message=message,
        level=Level.CRITICAL if short else Level.WARNING,
        strategy_id=strategy.id,
        run_id=before.id,
        account=account[1],
        subject=drift.contract.key,
    )


# ---------------------------------------------------------------- telling once


async def _tell_of_contract(
    trading: Trading, account: AccountKey, standing: Standing, contract: Contract, message: str, subject: str
) -> None:
    """Tell of a change. What a process before this one said last is not said again at first sight."""
    is_first = contract not in standing.told
    standing.told.add(contract)
    if not is_first:
        trading.alerted.discard((account, subject))
    await _tell(trading, account, EXTERNAL, message, subject=subject)


async def _tell(
    trading: Trading,
    account: AccountKey,
    code: str,
    message: str,
    *,
    subject: str,
    level: Level = Level.WARNING,
) -> None:
    if (account, subject) not in trading.alerted:
        trading.alerted.add((account, subject))
        await trading.alert(account[0], code, message, level=level, account=account[1], subject=subject)
