"""The line to an account for as long as its user's lease is held: afterwards somebody else may be at work."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from decimal import Decimal

from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.order import OrderReport
from option_baskets.domain.risk import Approved
from option_baskets.ports import Broker


class HeldLine:
    """A Broker that is asked to place, modify and cancel nothing once ``is_held`` says no; it may be read."""

    def __init__(self, broker: Broker, is_held: Callable[[], bool]) -> None:
        self._broker = broker
        self._is_held = is_held

    @property
    def account(self) -> str:
        return self._broker.account

    async def place(self, approved: Approved) -> OrderReport:
        self._require()
        return await self._broker.place(approved)

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport:
        self._require()
        return await self._broker.modify(broker_order_id, limit=limit, quantity=quantity)

    async def cancel(self, broker_order_id: str) -> OrderReport:
        self._require()
        return await self._broker.cancel(broker_order_id)

    async def orders(self) -> tuple[OrderReport, ...]:
        return await self._broker.orders()

    async def positions(self) -> Mapping[Contract, int]:
        return await self._broker.positions()

    async def instruments(self, day: date) -> tuple[Listing, ...]:
        return await self._broker.instruments(day)

    def updates(self) -> AsyncIterator[OrderReport]:
        return self._broker.updates()

    def _require(self) -> None:
        """Raises Unavailable: nothing happened."""
        if not self._is_held():
            raise Unavailable(f"the lease has run out, and somebody else may be at work on {self.account}")
