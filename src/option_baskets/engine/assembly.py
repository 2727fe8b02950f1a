"""A Trading put together over books, a market and the accounts there are."""

from collections.abc import Callable, Mapping

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.facts import Facts
from option_baskets.engine.desk import AccountKey, Desk
from option_baskets.engine.rates import Bucket, Rate
from option_baskets.engine.rule_market import RuleMarket
from option_baskets.engine.runs import OpenRuns
from option_baskets.engine.trading import Pace, Trading
from option_baskets.ports import Broker, Clock, MarketData, Queue
from option_baskets.store.books import Books


def assembled(
    *,
    books: Books,
    feed: MarketData,
    clock: Clock,
    queue: Queue,
    facts: Facts,
    accounts: Mapping[AccountKey, BrokerAccount],
    connect: Callable[[str, BrokerAccount], Broker],
    rate_of: Callable[[BrokerAccount], Rate | None],
    pace: Pace | None = None,
) -> Trading:
    """One process's trading over ``accounts``, each connected; those that come later are connected when they are met.

    Where ``accounts`` is empty nothing can be ordered: it reads, claims and queues.
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
