"""What of a run belongs to one day. Money counts on the day it is made or charged, whatever day the run began.

What is still open counts nothing, so over all days a run's profits add up to what it made, once.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from option_baskets.domain.ids import Action
from option_baskets.domain.money import ZERO
from option_baskets.domain.order import Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import IST
from option_baskets.store.books import Books


async def runs_of(books: Books, user_id: str, day: date) -> list[Run]:
    """Runs that began on the day, ended on it or went on after it, each as it stood at that day's close."""
    runs = {run.id: run for run in await books.runs_on(user_id, day)}
    start = datetime.combine(day, time.min, IST)
    ended = await books.ended_between(user_id, start, start + timedelta(days=1) - timedelta(microseconds=1))
    runs |= {run.id: run for run in ended if run.date < day}
    runs |= {run.id: run for run in await books.carried_on(user_id, day)}
    return sorted(runs.values(), key=lambda run: (run.basket.name, run.strategy.name, run.date, run.cycle))


def is_on(at: datetime | None, day: date) -> bool:
    """Whether an instant lies on the day, on the exchange's clock."""
    return at is not None and at.astimezone(IST).date() == day


def orders_on(orders: Iterable[Order], day: date) -> list[Order]:
    """Orders are good for their day: those decided on it."""
    return [order for order in orders if is_on(order.intent.decided_at, day)]


def settled_on(run: Run, day: date) -> list[LegPosition]:
    return [each for each in run.positions if each.settlement is not None and is_on(each.settlement.at, day)]


def realised(position: LegPosition, orders: Sequence[Order], day: date) -> Decimal:
    """Rupees made on the units closed on the day, before charges. ``orders`` are the run's of that day."""
    exits = [
        order
        for order in orders
        if order.intent.action is Action.EXIT
        and (order.intent.leg, order.intent.account, order.intent.entry_number) == position.key
    ]
    signs = [1 if order.intent.side is position.side.opposite else -1 for order in exits]  # -1: it nets back another
    quantity = sum(order.filled * sign for order, sign in zip(exits, signs, strict=True))
    value = sum((order.value * sign for order, sign in zip(exits, signs, strict=True)), ZERO)
    for external in (each for each in position.external if is_on(each.at, day)):
        quantity, value = quantity + external.quantity, value + external.value
    settlement = position.settlement
    if settlement is not None and is_on(settlement.at, day):
        quantity, value = quantity + settlement.quantity, value + settlement.value
    if quantity == position.exited:
        return position.gross
    return (value - position.entered_value * quantity / position.entered) * position.side.sign if quantity else ZERO
