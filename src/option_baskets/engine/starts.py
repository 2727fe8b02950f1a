"""Orders that begin: SENDING on disk with tokens of their second, often by the very commit that allows them.

That saves them a commit of their own. Between that commit and the call an order is *begun*: this process knows that no
broker has it, and another one, after a crash, does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from option_baskets.domain.errors import Unwritable
from option_baskets.domain.order import Order, OrderState, advance
from option_baskets.domain.run import Run
from option_baskets.engine.lines import Lines
from option_baskets.engine.orders import HeldOrders
from option_baskets.engine.rates import Urgency
from option_baskets.engine.runs import RunKey
from option_baskets.ports import Clock
from option_baskets.store.health import Health


@dataclass(frozen=True, slots=True)
class _Next:
    """Orders that begin once a wave is filled, by intent id."""

    wave: Sequence[str]
    following: Sequence[str]
    urgency: Urgency
    until: datetime


class Starts:
    """What is begun and not yet handed to its broker, and what begins once something else is filled."""

    def __init__(self, orders: HeldOrders, lines: Lines, clock: Clock, health: Health) -> None:
        self._orders = orders
        self._lines = lines
        self._clock = clock
        self._health = health
        self._begun: set[str] = set()
        """Journaled as SENDING and not yet handed to their broker by this process."""
        self._next: dict[tuple[RunKey, str], _Next] = {}

    def begun(self, orders: Sequence[Order], urgency: Urgency) -> list[Order]:
        """New orders of one account, SENDING as far as its rate allows now: to be journaled so, then sent."""
        if not orders:
            return []
        granted = self._lines.bucket(orders[0].intent).take_now(len(orders), urgency)
        now = self._clock.now()
        sending = [advance(order, OrderState.SENDING, now) for order in orders[:granted]]
        self.are_begun(sending)
        return [*sending, *orders[granted:]]

    def are_begun(self, orders: Sequence[Order]) -> None:
        self._begun.update(order.intent.id for order in orders)

    def is_begun(self, order: Order) -> bool:
        return order.state is OrderState.SENDING and order.intent.id in self._begun

    def is_unsent(self, order: Order) -> bool:
        """No broker has it yet, for certain."""
        return order.state is OrderState.CREATED or self.is_begun(order)

    def withdraw(self, intent_id: str) -> None:
        """It will not be sent."""
        self._begun.discard(intent_id)

    async def confirmed(self, begun: Sequence[Order], urgency: Urgency) -> list[Order]:
        """The orders, to be handed over at once: they are journaled as SENDING and have tokens of this very second.

        Raises:
            Unwritable: they are entries, and the store has failed since.
        """
        if not begun:
            return []
        await self._lines.bucket(begun[0].intent).confirm(begun[0].updated_at, len(begun), urgency)
        if urgency.is_entry and not self._health.is_writable:
            raise Unwritable(f"nothing is entered while the store cannot be written: {self._health.cause}")
        ready = [order for order in begun if order.intent.id in self._begun]  # the others were cancelled meanwhile
        self._begun.difference_update(order.intent.id for order in ready)
        return ready

    # ------------------------------------------------------------ after a wave

    @contextmanager
    def begin_after(
        self, wave: Sequence[Order], following: Sequence[Order], urgency: Urgency, until: datetime
    ) -> Iterator[None]:
        """Meanwhile ``following`` is journaled as SENDING by the very commit that fills the last order of ``wave``.

        All are of one account's part of a run.
        """
        intent = wave[0].intent
        place = (intent.user_id, intent.run_id), intent.account
        if following:
            ids = [order.intent.id for order in wave], [order.intent.id for order in following]
            self._next[place] = _Next(*ids, urgency, until)
        try:
            yield
        finally:
            self._next.pop(place, None)

    def following(self, run: Run, changed: Mapping[str, Order], most: int) -> Iterator[Order]:
        """What begins with these changes: its cover is filled by them, and nothing on the account is to be closed."""
        if not self._health.is_writable:
            return
        for account in {order.intent.account for order in changed.values()}:
            after = self._next.get(((run.user_id, run.id), account))
            if after is None or self._clock.now() > after.until:
                continue
            intent = self._orders[after.wave[0]].intent
            batch = run.position((intent.leg, account, intent.entry_number)).batch
            if run.is_closing(account, batch):
                continue
            before = [self._orders[intent_id] for intent_id in after.wave]
            filled = all(changed.get(order.intent.id, order).state is OrderState.FILLED for order in before)
            given_up = any(order.state.is_final and order.state is not OrderState.FILLED for order in before)
            if filled and not given_up:
                orders = [self._orders[intent_id] for intent_id in after.following[:most]]
                begun = self.begun([order for order in orders if order.state is OrderState.CREATED], after.urgency)
                most -= len(orders)
                yield from (order for order in begun if order.state is OrderState.SENDING)
