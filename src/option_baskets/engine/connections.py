"""Whether a broker account can be reached, found out by asking the broker for its orders and positions."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.connection import ConnectionResult, ConnectionTest
from option_baskets.domain.errors import Forbidden, Unauthenticated, Unavailable, Unclear
from option_baskets.ports import Broker

PATIENCE = timedelta(seconds=10)


class BrokerConnections:
    """Asks through the Broker port, as trading does.

    Args:
        broker_of: the Broker of a user's account; None: this program has no connection to that broker.
        patience: in real time.
    """

    def __init__(
        self, broker_of: Callable[[str, BrokerAccount], Broker | None], *, patience: timedelta = PATIENCE
    ) -> None:
        self._broker_of = broker_of
        self._patience = patience.total_seconds()

    async def test(self, user_id: str, account: BrokerAccount) -> ConnectionTest:
        """Ask for the account's orders and positions of today; nothing is ordered or changed."""
        broker = self._broker_of(user_id, account)
        if broker is None:
            return ConnectionTest(
                result=ConnectionResult.NO_CONNECTION,
                detail=(
                    f"this program has no connection to {account.broker} yet, so nobody was asked and the secrets were "
                    "not tried; what is allocated to the account is traded on the paper exchange"
                ),
            )
        try:
            async with asyncio.timeout(self._patience):
                orders, positions = await broker.orders(), await broker.positions()
        except (Unavailable, Unclear, TimeoutError) as error:
            cause = str(error) or f"no answer within {self._patience:g} s"
            return ConnectionTest(
                result=ConnectionResult.UNAVAILABLE, detail=f"{account.broker} cannot be reached: {cause}; try again"
            )
        except (Unauthenticated, Forbidden) as error:
            return ConnectionTest(
                result=ConnectionResult.REFUSED,
                detail=f"{account.broker} does not let the account in: {error}; give its secrets anew",
            )
        held = sum(1 for units in positions.values() if units)
        return ConnectionTest(
            result=ConnectionResult.CONNECTED,
            detail=f"{account.broker} shows {len(orders)} orders of today and {held} open positions",
            orders=len(orders),
            positions=held,
        )
