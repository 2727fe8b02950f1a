"""Taking up a day after a restart: what the journal says was begun is settled, finished or unwound."""

import asyncio
from datetime import datetime, time, timedelta

from option_baskets.domain.order import Order, OrderState, advance
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.engine.accounts import meet
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.duplicates import remember_alerts
from option_baskets.engine.exit import accounts_closing, close
from option_baskets.engine.kills import take_up as take_up_kills
from option_baskets.engine.later import accounts_entering, enter_due
from option_baskets.engine.losses import take_up
from option_baskets.engine.reconcile import look_at
from option_baskets.engine.trading import Trading


async def recover(trading: Trading) -> None:
    """Load open runs and their orders, ask every broker what became of them, and go on where the journal ends.

    An account goes on as soon as it was compared; one that does not answer, when its time is over.
    """
    users = sorted({user_id for user_id, _ in trading.desk.brokers})
    await trading.runs.load(users, trading.close_of_day().date())
    for run in trading.runs.all():  # the list of accounts comes from an index, which may lag
        accounts = [*(each.account for each in run.positions), *(each.account for each in run.pending)]
        await meet(trading, run.user_id, accounts)
    await take_up(trading)
    for user_id in users:
        await _take_up_orders(trading, user_id)
    await remember_alerts(trading)
    await take_up_kills(trading)
    await asyncio.gather(*(_recover_account(trading, account) for account in trading.desk.brokers))


async def _recover_account(trading: Trading, account: AccountKey) -> None:
    await look_at(trading, account, is_start=True)
    for order in trading.desk.working(account):
        await _settle_unclear(trading, order)
    for run in trading.runs.all():
        if run.user_id == account[0]:
            _go_on(trading, run, account[1])


async def _take_up_orders(trading: Trading, user_id: str) -> None:
    """Every order of the user's runs, read by primary key: one that an index does not show yet must not be sent again.

    Runs of the day that are over are taken up where a fill of one of their orders may still be told.
    """
    today = trading.close_of_day().astimezone(IST).date()
    mine = {run.id for run in trading.runs.in_hand() if run.user_id == user_id}
    start = min((run.date for run in trading.runs.in_hand() if run.user_id == user_id), default=today)
    since = datetime.combine(start, time.min, IST)
    orders = await trading.books.orders_between(user_id, since, trading.clock.now() + timedelta(days=1))
    of_today = [order for order in orders if order.intent.decided_at.astimezone(IST).date() == today]
    for run_id in sorted({order.intent.run_id for order in of_today if _may_still_fill(order)} - mine):
        run = await trading.books.run(user_id, run_id)
        if run is not None:
            trading.runs.adopt([run])
            mine.add(run_id)
    trading.desk.take_up([order for order in orders if order.intent.run_id in mine])


def _may_still_fill(order: Order) -> bool:
    """Its broker may have it, and not all of it is filled."""
    was_sent = order.state is not OrderState.CREATED and (order.state, order.broker_order_id) != (
        OrderState.CANCELLED,
        "",
    )
    return was_sent and order.remaining > 0


async def _settle_unclear(trading: Trading, order: Order) -> None:
    """An order that was being sent when the process died may be at the broker: its fate is read, never guessed."""
    if order.state is OrderState.SENDING:
        unknown = advance(order, OrderState.UNKNOWN, trading.clock.now(), message="the process ended while sending")
        await trading.desk.journal([unknown])
    if trading.desk.orders[order.intent.id].state is OrderState.UNKNOWN:
        trading.desk.settle(order.intent.id)


def _go_on(trading: Trading, run: Run, account: str) -> None:
    key = (run.user_id, run.id)
    if run.status is RunStatus.SCHEDULED:
        return
    if account in accounts_entering(run):
        trading.start(enter_due(trading, key, account), name=f"enter {run.id} on {account}", user_id=run.user_id)
    if account in accounts_closing(trading, key):
        trading.start(close(trading, key, account), name=f"close {run.id} on {account}", user_id=run.user_id)
