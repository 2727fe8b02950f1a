"""A Trading put together over books, a market and the accounts there are."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from decimal import Decimal

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.facts import Facts
from option_baskets.domain.order import OrderReport
from option_baskets.domain.risk import Approved
from option_baskets.engine.desk import AccountKey, Desk
from option_baskets.engine.rates import Bucket, Rate
from option_baskets.engine.rule_market import RuleMarket
from option_baskets.engine.runs import OpenRuns
from option_baskets.engine.trading import Pace, Trading
from option_baskets.ports import Broker, Clock, MarketData, Queue
from option_baskets.store.books import Books


class Unconnected:
    """The Broker port of a process that trades on no account: it knows accounts, and whatever is called is refused."""

    def __init__(self, account: str) -> None:
        self._account = account

    @property
    def account(self) -> str:
        return self._account

    async def place(self, approved: Approved) -> OrderReport:
        raise self._refusal()

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport:
        raise self._refusal()

    async def cancel(self, broker_order_id: str) -> OrderReport:
        raise self._refusal()

    async def orders(self) -> tuple[OrderReport, ...]:
        raise self._refusal()

    async def positions(self) -> Mapping[Contract, int]:
        raise self._refusal()

    async def instruments(self, day: date) -> tuple[Listing, ...]:
        raise self._refusal()

    async def updates(self) -> AsyncIterator[OrderReport]:
        return
        yield

    def _refusal(self) -> Unavailable:
        return Unavailable(f"this process trades on no account; {self._account} is another's to trade on")


def assembled(
    *,
    books: Books,
    feed: MarketData,
    clock: Clock,
    queue: Queue,
    facts: Facts,
    accounts: Mapping[AccountKey, BrokerAccount],
    connect: Callable[[str, BrokerAccount], Broker] = lambda _, account: Unconnected(account.id),
    rate_of: Callable[[BrokerAccount], Rate | None] = lambda _: None,
    pace: Pace | None = None,
) -> Trading:
    """One process's trading over ``accounts``, each connected; those that come later are connected when they are met.

    Without ``connect`` nothing can be ordered: it reads, claims and queues.
    """
    runs = OpenRuns(books, clock, queue)
    desk = Desk(
        books=books,
        runs=runs,
        brokers={(user, name): connect(user, account) for (user, name), account in accounts.items()},
        buckets={key: Bucket(clock, rate_of(account)) for key, account in accounts.items()},
        clock=clock,
    )
    return Trading(
        books=books,
        market=RuleMarket(feed, facts),
        clock=clock,
        queue=queue,
        runs=runs,
        desk=desk,
        facts=facts,
        accounts=dict(accounts),
        connect=connect,
        rate_of=rate_of,
        pace=pace or Pace(),
    )
