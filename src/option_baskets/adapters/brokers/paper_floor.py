"""What the accounts of one paper exchange share: the market, the clock, the book, and what rests."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from option_baskets.adapters.brokers.fills import FillModel, Trade, Wanted
from option_baskets.adapters.brokers.paper_book import Book, Entry
from option_baskets.domain.contract import Contract
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.order import OrderReport
from option_baskets.domain.price_band import Band
from option_baskets.domain.session import IST
from option_baskets.ports import Clock, MarketData

if TYPE_CHECKING:
    from option_baskets.adapters.brokers.paper_account import PaperBroker

T = TypeVar("T")

IsTrading = Callable[[Contract, datetime], bool]
"""Whether the contract is in its own session, [open, close), at an instant."""

Protection = Callable[[Contract, date, Decimal], Band | None]
"""The band in which a limit must lie on a day, around the price the contract trades at."""


def no_protection(contract: Contract, on: date, price: Decimal) -> None:
    """Any positive limit is taken."""


@dataclass(slots=True)
class Working:
    """An order in memory: what the book says of it, and what it took from the quote it last met."""

    entry: Entry
    trades: tuple[Trade, ...] = ()
    """Those of its arrival."""
    quote: Quote | None = None
    taken: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever changes the order holds it from the decision until the change is on disk."""

    @property
    def report(self) -> OrderReport:
        return self.entry.report


class Floor:
    """The trading floor, for accounts only; everybody else has the exchange."""

    def __init__(
        self,
        book: Book,
        market: MarketData,
        clock: Clock,
        *,
        fills: FillModel,
        is_trading: IsTrading,
        protection: Protection,
    ) -> None:
        self.book = book
        self.market = market
        self.clock = clock
        self.fills = fills
        self.is_trading = is_trading
        self.protection = protection
        self.resting: defaultdict[Contract, dict[int, tuple[PaperBroker, Working]]] = defaultdict(dict)
        self.unfinished: set[asyncio.Task[Any]] = set()

    def now(self) -> datetime:
        return self.clock.now().astimezone(IST)

    def band(self, contract: Contract, snapshot: Snapshot) -> Band | None:
        """Where a limit must lie now; None where it may lie anywhere, or the contract has no price."""
        quote = snapshot.quote(contract)
        return self.protection(contract, self.now().date(), quote.last) if quote is not None else None

    def rest(self, broker: "PaperBroker", working: Working) -> None:
        """Keep the order where the market finds it while it is not final, and only then."""
        orders = self.resting[working.report.contract]
        if not working.report.state.is_final:
            orders[id(working)] = (broker, working)
            return
        orders.pop(id(working), None)
        if not orders:
            del self.resting[working.report.contract]

    def match(self, working: Working, report: OrderReport, snapshot: Snapshot) -> tuple[Trade, ...]:
        """What of the rest of ``report`` trades now."""
        listing = snapshot.listing(report.contract)
        if listing is None:
            return ()
        wanted = Wanted(
            contract=report.contract, side=report.side, quantity=report.quantity - report.filled, limit=report.limit
        )
        taken = working.taken if snapshot.quote(report.contract) == working.quote else 0
        return self.fills.trades(wanted, listing, snapshot, taken)

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish ``work`` even if the caller is cancelled: what is on disk must be in memory too."""
        return await asyncio.shield(self.later(work))

    def later(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do ``work`` before the exchange closes."""
        task = asyncio.create_task(work)
        self.unfinished.add(task)
        task.add_done_callback(self.unfinished.discard)
        return task
