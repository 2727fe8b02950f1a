"""What of something is not flat yet, by the journal: what a kill switch or an exit by hand still has to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from option_baskets.domain.kill import Killed, killed_with
from option_baskets.domain.order import Order
from option_baskets.domain.run import Run, RunStatus
from option_baskets.store.books import Books

Parts = Sequence[tuple[Run, Sequence[Order]]]
"""Runs that have begun and are not over, with their orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What of a subject is not flat, by account: open positions, and orders that are not final."""

    positions: Mapping[str, int]
    orders: Mapping[str, int]

    @property
    def is_flat(self) -> bool:
        return not (self.positions or self.orders)

    @property
    def accounts(self) -> list[str]:
        return sorted({*self.positions, *self.orders})


async def parts_of(books: Books, user_id: str) -> Parts:
    """All that the user has under way."""
    runs = [run for run in await books.open_runs(user_id) if run.status is not RunStatus.SCHEDULED]
    return [(run, await books.orders_of_run(user_id, run.id)) for run in runs]


def left_of(parts: Parts, subject: Killed) -> Left:
    """What is held and worked on behind a switch."""
    positions: Counter[str] = Counter()
    orders: Counter[str] = Counter()
    for run, its_orders in parts:
        positions.update(each.account for each in run.positions if each.open and _covers(subject, run, each.account))
        working = (order.intent.account for order in its_orders if not order.state.is_final)
        orders.update(account for account in working if _covers(subject, run, account))
    return Left(positions=positions, orders=orders)


def _covers(subject: Killed, run: Run, account: str) -> bool:
    return subject in killed_with(run.basket.id, run.strategy.id, account)
