"""The paper exchange: accounts with the Broker port over one market, and a durable book of their own.

What it answered is on disk before it is answered, and what it shows has been on disk before it is shown. It behaves
as an exchange does, not as a helpful one: a repeated tag is a second order.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from option_baskets.adapters.brokers.fills import FillModel
from option_baskets.adapters.brokers.paper_account import PaperBroker
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.paper_book import PaperBook
from option_baskets.adapters.brokers.paper_floor import Floor, IsTrading, Protection, Working, no_protection
from option_baskets.domain.session import IST
from option_baskets.ports import Clock, MarketData

__all__ = ["IsTrading", "PaperBroker", "PaperExchange"]


class PaperExchange:
    """One market, one book, any number of accounts.

    It opens with every order, fill and counter its file has; the file is made where there is none.
    ``threaded`` and ``durable`` are those of ``SqliteFile``.

    Raises:
        Unavailable: the file cannot be opened, or is not such a book.
    """

    def __init__(
        self,
        path: Path | str,
        market: MarketData,
        clock: Clock,
        *,
        fills: FillModel,
        is_trading: IsTrading,
        protection: Protection = no_protection,
        threaded: bool = True,
        durable: bool = True,
    ) -> None:
        self.book = PaperBook(path, threaded=threaded, durable=durable)
        self._floor = Floor(self.book, market, clock, fills=fills, is_trading=is_trading, protection=protection)
        self._accounts: dict[tuple[str, str], PaperBroker] = {}
        today = self._floor.now().date()
        for entry in self.book.entries(today):
            self.broker(entry.report.account, user=entry.user).install(Working(entry))
        for user, account, contract, net in self.book.net(today):
            self.broker(account, user=user).hold(contract, net)

    def broker(self, account: str, *, user: str = "local", behaviour: Behaviour | None = None) -> PaperBroker:
        """The account's Broker, always the same one, opened when first asked for; ``behaviour`` replaces the old."""
        broker = self._accounts.get((user, account))
        if broker is None:
            broker = self._accounts[user, account] = PaperBroker(self._floor, user, account)
        if behaviour is not None:
            broker.behaviour = behaviour
        return broker

    @property
    def accounts(self) -> Mapping[tuple[str, str], PaperBroker]:
        """Every account by (user, account), those found in the book included."""
        return MappingProxyType(self._accounts)

    async def on_market(self, at: datetime) -> None:
        """Match what rests against the market as it is at ``at``; returns when every fill is on disk and reported.

        Orders are good for their day: what rests from an earlier one is cancelled.
        """
        today = at.astimezone(IST).date()
        resting = [pair for orders in self._floor.resting.values() for pair in orders.values()]
        await asyncio.gather(*(broker.lapse(each, at) for broker, each in resting if each.entry.day < today))
        if not self._floor.resting:
            return
        snapshot = await self._floor.market.snapshot(at)
        fills = [
            broker.meet(working, snapshot)
            for contract, orders in self._floor.resting.items()
            if self._floor.is_trading(contract, at)
            for broker, working in orders.values()
            if not working.turn.locked() and self._floor.match(working, working.report, snapshot)
        ]
        await asyncio.gather(*map(self._floor.whole, fills))

    async def close(self) -> None:
        """Finish what was begun, end every ``updates()`` and close the book."""
        while self._floor.unfinished:
            await asyncio.wait(self._floor.unfinished)
        for broker in self._accounts.values():
            broker.end_updates()
        await self.book.close()
