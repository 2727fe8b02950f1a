"""The paper exchange: accounts with the Broker port over one market, and a durable book of their own.

What it answered is on disk before it is answered, and what it shows has been on disk before it is shown. It behaves
as an exchange does, not as a helpful one: a repeated tag is a second order.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self

from option_baskets.adapters.brokers.fills import FillModel
from option_baskets.adapters.brokers.paper_account import PaperBroker
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.paper_book import Book, Event, PaperBook
from option_baskets.adapters.brokers.paper_floor import Floor, IsTrading, Protection, Working, no_protection
from option_baskets.domain.contract import Contract
from option_baskets.domain.session import IST, Session
from option_baskets.domain.settlement import payoff
from option_baskets.ports import Clock, MarketData

__all__ = ["IsTrading", "PaperBroker", "PaperExchange"]


class PaperExchange:
    """One market, one book, any number of accounts. It begins with every order, fill and counter its book has."""

    @classmethod
    def open(
        cls,
        path: Path | str,
        market: MarketData,
        clock: Clock,
        *,
        fills: FillModel,
        is_trading: IsTrading,
        protection: Protection = no_protection,
        threaded: bool = True,
        durable: bool = True,
    ) -> Self:
        """An exchange whose book is a file, which is made where there is none.

        ``threaded`` and ``durable`` are those of ``SqliteFile``.

        Raises:
            Unavailable: the file cannot be opened, or is not such a book.
        """
        book = PaperBook(path, threaded=threaded, durable=durable)
        return cls(book, market, clock, fills=fills, is_trading=is_trading, protection=protection)

    def __init__(
        self,
        book: Book,
        market: MarketData,
        clock: Clock,
        *,
        fills: FillModel,
        is_trading: IsTrading,
        protection: Protection = no_protection,
    ) -> None:
        self.book = book
        self._floor = Floor(self.book, market, clock, fills=fills, is_trading=is_trading, protection=protection)
        self._accounts: dict[tuple[str, str], PaperBroker] = {}
        today = self._floor.now().date()
        for entry in self.book.entries(today):
            self.broker(entry.report.account, user=entry.user).install(Working(entry))
        for user, account, contract, net in self.book.net():
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

    async def settle(self, at: datetime, has_expired: Callable[[Contract], bool]) -> None:
        """Settle what has expired, at the market's final settlement price; what has none yet stays as it is."""
        events = []
        for (user, account), broker in self._accounts.items():
            for contract, units in broker.held.items():
                if units and has_expired(contract):
                    index = await self._floor.market.settlement(contract.underlying, contract.expiry)
                    if index is not None:
                        events.append(
                            Event(
                                user=user,
                                account=account,
                                contract=contract,
                                kind="settlement",
                                units=-units,
                                at=at,
                                price=payoff(contract, index),
                                index=index,
                            )
                        )
        await self._happened(events)

    async def follow(self, at: datetime, today: Callable[[Contract], Contract]) -> None:
        """Give held contracts that are no longer listed the expiry date that ``today`` says they have."""
        snapshot = await self._floor.market.snapshot(at)
        events = []
        for (user, account), broker in self._accounts.items():
            for contract, units in broker.held.items():
                if not units or snapshot.listing(contract) is not None:
                    continue
                named = today(contract)
                if named != contract and snapshot.listing(named) is not None:
                    for each, moved in ((contract, -units), (named, units)):
                        events.append(
                            Event(user=user, account=account, contract=each, kind="redated", units=moved, at=at)
                        )
        await self._happened(events)

    async def catch_up(self, session: Session, at: datetime, today: Callable[[Contract], Contract]) -> None:
        """Where it is opened only now and again, what happened since: ``follow``, and ``settle`` what has expired."""
        if any(units for broker in self._accounts.values() for units in broker.held.values()):
            await self.follow(at, today)
            is_over = at >= session.close
            await self.settle(at, lambda held: held.expiry < session.date or (is_over and held.expiry == session.date))

    async def _happened(self, events: Sequence[Event]) -> None:
        await self.book.add_events(events)
        for event in events:
            self.broker(event.account, user=event.user).hold(event.contract, event.units)

    async def close(self) -> None:
        """Finish what was begun, end every ``updates()`` and close the book."""
        while self._floor.unfinished:
            await asyncio.wait(self._floor.unfinished)
        for broker in self._accounts.values():
            broker.end_updates()
        await self.book.close()
