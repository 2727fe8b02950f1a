"""Limits of losses at work: looked at before any strategy's rules, fenced in the store, and then carried out.

A fence is committed before anything is closed for it, and at every check whatever is fenced is closed. So a process
that dies in between leaves nothing open that should not be, and nothing is entered there again that day.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby

from option_baskets.domain.errors import Halt
from option_baskets.domain.losses import (
    EXIT_REASONS,
    Breach,
    HighWater,
    Limits,
    Over,
    Result,
    Rule,
    Subject,
    breaches,
    limits_of,
    marked,
    results,
    totals,
)
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import ZERO, rupees
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.engine.accruals import accrued
from option_baskets.engine.ending import accounts_standing, end_part
from option_baskets.engine.report import charges_of
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.store.records import Alert, Fence, Level, Occurrence, What

LOG = logging.getLogger(__name__)


async def check_losses(trading: Trading, snapshot: Snapshot) -> None:
    """Look at every user's limits over all runs of the day, fence what is reached, and close what is fenced.

    In a halt no price is one to decide by. One user's failure keeps no other from their limits.
    """
    halt = trading.halt_at(snapshot.at)
    if halt is not None and snapshot.at > halt.open:
        return
    for user_id, runs in _by_user(trading):
        try:
            await _check_user(trading, user_id, runs, snapshot)
        except Halt:
            raise
        except Exception as error:  # whatever it is, the strategies' own rules are due too
            LOG.exception("limits of %s", user_id)
            await trading.failed(user_id, f"the check of the limits of {user_id}", error)


def _by_user(trading: Trading) -> Iterator[tuple[str, tuple[Run, ...]]]:
    """The day's runs of every user for whom a limit is set or was reached; without any nothing is looked at."""
    users = trading.runs.limited | {user for user, _ in trading.guard.fences} | trading.guard.limits.keys()
    users |= {user for (user, _), account in trading.accounts.items() if account.max_daily_loss is not None}
    if not users:
        return
    for user_id, group in groupby(trading.runs.in_hand(), lambda run: run.user_id):
        if user_id in users:
            yield user_id, tuple(group)


async def _check_user(trading: Trading, user_id: str, runs: Sequence[Run], snapshot: Snapshot) -> None:
    limits = _limits(trading, user_id, runs)
    if limits.any:
        made = totals(await _results(trading, runs, snapshot))
        highs = {basket: await _risen(trading, user_id, basket, made) for basket in limits.falls}
        for breach in breaches(made, limits, highs):
            if (user_id, breach.subject) not in trading.guard.fences:
                await _fence(trading, user_id, breach, runs, snapshot.at)
    if any(user == user_id for user, _ in trading.guard.fences):
        for run in runs:
            await _close_fenced(trading, run, snapshot)


def _limits(trading: Trading, user_id: str, runs: Sequence[Run]) -> Limits:
    accounts = {
        account: each.max_daily_loss
        for (user, account), each in trading.accounts.items()
        if user == user_id and each.max_daily_loss is not None
    }
    return limits_of(runs, accounts, trading.guard.limits.get(user_id))


async def _results(trading: Trading, runs: Sequence[Run], snapshot: Snapshot) -> list[Result]:
    return [result for run in runs for result in results(run, snapshot, await accrued(trading, run))]


# ---------------------------------------------------------------- what is reached


async def _fence(trading: Trading, user_id: str, breach: Breach, runs: Sequence[Run], at: datetime) -> None:
    """Raise the fence and say so, in one commit."""
    fence = Fence(
        user_id=user_id,
        day=trading.close_of_day().date(),
        subject=breach.subject,
        rule=breach.rule,
        at=at,
        loss=breach.loss,
        limit=breach.limit,
    )
    over, name, account = breach.subject
    alert = Alert(
        user_id=user_id,
        at=trading.clock.now(),
        code=EXIT_REASONS[over].value,
        message=_told(breach, runs),
        level=Level.CRITICAL,
        strategy_id=name if over is Over.ALLOCATION else "",
        account=name if over is Over.ACCOUNT else account,
        subject=f"{over} {name}".rstrip(),
    )
    LOG.critical("%s", alert.message)
    fenced = Occurrence(
        user_id=user_id,
        at=alert.at,
        what=What.FENCED,
        cause=EXIT_REASONS[over],
        strategy_id=alert.strategy_id,
        account=alert.account,
        subject=alert.subject,
        detail=f"{breach.rule} of {rupees(breach.limit)} reached with {rupees(breach.loss)}",
    )
    await trading.books.commit(
        trading.books.put_fence(fence), trading.books.put_alert(alert), trading.books.put_occurrence(fenced)
    )
    trading.guard.fences[user_id, breach.subject] = fence


def _told(breach: Breach, runs: Sequence[Run]) -> str:
    over, name, account = breach.subject
    match over:
        case Over.USER:
            what, out = "everything together", "all of it is closed"
        case Over.ACCOUNT:
            what, out = f"account {name}", "everything on it is closed"
        case Over.BASKET:
            title = next((run.basket.name for run in runs if run.basket.id == name), name)
            what, out = f"basket {title}", "its strategies are closed"
        case Over.ALLOCATION:
            title = next((run.strategy.name for run in runs if run.strategy.id == name), name)
            what, out = f"{title} on {account}", "it is closed there"
    loss, limit = f"{rupees(breach.loss):,}", f"{rupees(breach.limit):,}"
    if breach.rule is Rule.MAX_DRAWDOWN:
        return f"{what} is {loss} below its highest, the limit is {limit}: {out} and not entered again today"
    return f"{what} has lost {loss} today, the limit is {limit}: {out} and not entered again today"


async def _close_fenced(trading: Trading, run: Run, snapshot: Snapshot) -> None:
    """Close what the run holds, works on or waits for where its day has ended."""
    for account in accounts_standing(run):
        over = trading.guard.stopped(run, account)
        if over is not None:
            await end_part(trading, (run.user_id, run.id), account, EXIT_REASONS[over], snapshot)


# ---------------------------------------------------------------- the highest of a basket


async def _risen(trading: Trading, user_id: str, basket: str, made: dict[Subject, Decimal]) -> HighWater:
    """The basket's mark with what today shows, stored where that is a new high."""
    before = await _mark(trading, user_id, basket)
    after = before.at(made.get((Over.BASKET, basket, ""), ZERO))
    if after is not before:
        await trading.books.commit(trading.books.put_high_water(user_id, basket, after))
        trading.guard.highs[user_id, basket] = after
    return after


async def _mark(trading: Trading, user_id: str, basket: str) -> HighWater:
    """The basket's mark up to the day before this, read once a day. The first is stored: counting begins there."""
    if (user_id, basket) not in trading.guard.highs:
        yesterday = trading.close_of_day().date() - timedelta(days=1)
        mark = await trading.books.high_water(user_id, basket)
        if mark is None:
            mark = HighWater(counted=yesterday)
            await trading.books.commit(trading.books.put_high_water(user_id, basket, mark))
        missed = await _missed(trading, user_id, basket, mark, yesterday)
        trading.guard.highs[user_id, basket] = mark.closed(yesterday, missed) if missed else mark
    return trading.guard.highs[user_id, basket]


async def _missed(trading: Trading, user_id: str, basket: str, mark: HighWater, until: date) -> Decimal:
    """What runs made that ended after the last close that was counted: nobody was there at a later one."""
    if mark.counted is None or mark.counted >= until:
        return ZERO
    start, end = (datetime.combine(day + timedelta(days=1), time.min, IST) for day in (mark.counted, until))
    ended = await trading.books.ended_between(user_id, start, end - timedelta(microseconds=1))
    accounts = {account: each for (user, account), each in trading.accounts.items() if user == user_id}
    made = ZERO
    for run in (run for run in ended if run.basket.id == basket):
        made += sum((position.gross for position in run.positions), ZERO) - sum(run.baseline.values(), ZERO)
        orders = await trading.books.orders_of_run(user_id, run.id)
        for charges in charges_of(trading.facts, accounts, orders, run.positions).values():
            amounts = (amount for order in charges for amount in order.components.values())
            made -= sum((amount for amount in amounts if amount is not None), ZERO)
    return made


# ---------------------------------------------------------------- from day to day


async def take_up(trading: Trading) -> None:
    """Hold what has ended today: fences, and closed runs, whose results count until the close.

    On a day that nobody began there is nothing to read.
    """
    day = trading.close_of_day().date()
    trading.guard.begin(())
    users = sorted({user for user, _ in trading.accounts})
    for user_id in users:
        await _take_up_limits(trading, user_id)
    if not await trading.books.is_begun(day):
        return
    start = datetime.combine(day, time.min, IST)
    fences: list[Fence] = []
    for user_id in users:
        fences += await trading.books.fences(user_id, day)
        for ended in await trading.books.ended_between(user_id, start, trading.clock.now()):
            run = await trading.books.run(user_id, ended.id)
            if run is not None and (user_id, run.id) not in trading.runs:
                trading.runs.adopt([run])
    trading.guard.begin(fences)


async def take_up_user(trading: Trading, user_id: str) -> None:
    """Hold the user's own limits as they are now, and what has ended of the user's day."""
    await _take_up_limits(trading, user_id)
    for fence in await trading.books.fences(user_id, trading.close_of_day().date()):
        trading.guard.fences.setdefault((user_id, fence.subject), fence)


async def _take_up_limits(trading: Trading, user_id: str) -> None:
    limits = await trading.books.limits(user_id)
    if limits is None or limits.max_daily_loss is None:
        trading.guard.limits.pop(user_id, None)
    else:
        trading.guard.limits[user_id] = limits.max_daily_loss


async def carry_over(trading: Trading) -> None:
    """At the session's close: add the day to every basket's mark, and mark what is held for the next day.

    The marks of baskets go first. After a crash in between they are as of this close, and what is held is marked again.
    """
    snapshot = await trading.market.snapshot(trading.close_of_day())
    day = trading.close_of_day().date()
    for user_id, runs in _by_user(trading):
        limits = _limits(trading, user_id, runs)
        made = totals(await _results(trading, runs, snapshot)) if limits.falls else {}
        for basket in limits.falls:
            before = await _mark(trading, user_id, basket)
            after = before.closed(day, made.get((Over.BASKET, basket, ""), ZERO))
            await trading.books.commit(trading.books.put_high_water(user_id, basket, after))
            trading.guard.highs[user_id, basket] = after
    for run in trading.runs.all():
        if any(position.entered for position in run.positions):
            await _mark_held(trading, (run.user_id, run.id), snapshot)


async def _mark_held(trading: Trading, key: RunKey, snapshot: Snapshot) -> None:
    charges = await accrued(trading, trading.runs.get(key))
    await trading.runs.change(key, lambda run: (marked(run, snapshot, charges), ()))
