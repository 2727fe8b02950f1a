"""Taking up a day after a restart: what the journal says was begun is settled, finished or unwound."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import groupby

from option_baskets.domain.errors import Unavailable, Unclear
from option_baskets.domain.order import OrderState, advance
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.engine.duplicates import remember_alerts
from option_baskets.engine.exit import accounts_closing, close
from option_baskets.engine.later import start_entering
from option_baskets.engine.losses import take_up
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading


async def recover(trading: Trading) -> None:
    """Load open runs and their orders, ask every broker what became of them, and go on where the journal ends."""
    users = sorted({user_id for user_id, _ in trading.desk.brokers})
    await trading.runs.load(users, trading.close_of_day().date())
    await take_up(trading)
    runs = trading.runs.all()
    await _take_up_orders(trading, trading.runs.in_hand())
    await remember_alerts(trading)
    await _read_order_books(trading)
    for run in runs:
        await _settle_unclear(trading, (run.user_id, run.id))
    for run in runs:
        await _go_on(trading, trading.runs.get((run.user_id, run.id)))


async def _take_up_orders(trading: Trading, runs: Sequence[Run]) -> None:
    """Every order of the runs, read by primary key: one that an index does not show yet must not be sent again."""
    for user_id, group in groupby(runs, lambda run: run.user_id):
        mine = {run.id: run for run in group}
        start = min(run.date for run in mine.values())
        since = datetime.combine(start, time.min, IST)
        orders = await trading.books.orders_between(user_id, since, trading.clock.now() + timedelta(days=1))
        trading.desk.take_up([order for order in orders if order.intent.run_id in mine])


async def _read_order_books(trading: Trading) -> None:
    for (user_id, _), broker in trading.desk.brokers.items():
        try:
            reports = await broker.orders()
        except (Unavailable, Unclear) as error:
            message = f"{broker.account}: its order book cannot be read: {error}"
            await trading.alert(user_id, "order_book_unread", message, account=broker.account)
            continue
        for report in reports:
            await trading.desk.report(user_id, report)


async def _settle_unclear(trading: Trading, key: RunKey) -> None:
    """An order that was being sent when the process died may be at the broker: its fate is read, never guessed."""
    for order in trading.desk.of_run(key):
        if order.state is OrderState.SENDING:
            unknown = advance(order, OrderState.UNKNOWN, trading.clock.now(), message="the process ended while sending")
            await trading.desk.journal([unknown])
        if trading.desk.orders[order.intent.id].state is OrderState.UNKNOWN:
            trading.desk.settle(order.intent.id)


async def _go_on(trading: Trading, run: Run) -> None:
    key = (run.user_id, run.id)
    if run.status is RunStatus.SCHEDULED:
        return
    start_entering(trading, key)
    for account in accounts_closing(trading, key):
        trading.start(close(trading, key, account), name=f"close {run.id} on {account}", user_id=run.user_id)
