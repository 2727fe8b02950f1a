"""Who can tell whether a broker account is reached: the machine that trades, or a function that connects on its own."""

from typing import Protocol

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.connection import ConnectionTest


class Connections(Protocol):
    async def test(self, user_id: str, account: BrokerAccount) -> ConnectionTest:
        """Ask the broker for the account's orders and positions; nothing is ordered. What goes wrong is a result."""
        ...
