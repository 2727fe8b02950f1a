"""What a user made on a day, while it goes on or after it: realised, unrealised and charges, by strategy and account.

The parts are exact and add up to the whole to the last digit. After the close the whole is the day's record
(``engine/report.py``), which the same functions make. What is unknown (a mark, a rate) makes its sums unknown, never 0.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.charges import Charges, day_rounding
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import ZERO
from option_baskets.domain.order import Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.engine.attribution import settled_on
from option_baskets.engine.report import accounted_on, charges_of
from option_baskets.store.books import Books
from option_baskets.store.lists import whole

_DIGITS = 60
"""Of a sum: more than any two amounts of 28 digits need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Rupees, exact."""

    realised: Decimal = ZERO
    """On units closed on the day, before charges."""
    unrealised: Decimal | None = ZERO
    """On units open at its end, or now, since they were entered. None: something open has no price."""
    charges: Decimal | None = ZERO
    """Of the day's fills and settlements. None: a rate is not known."""

    @property
    def net(self) -> Decimal | None:
        """Realised less charges: what the day's record says."""
        with localcontext(prec=_DIGITS):
            return None if self.charges is None else self.realised - self.charges

    @property
    def mtm(self) -> Decimal | None:
        """Net and unrealised: what would be left if everything open were closed at its mark, free of charge."""
        net = self.net
        with localcontext(prec=_DIGITS):
            return None if net is None or self.unrealised is None else net + self.unrealised

    def __add__(self, other: "Made") -> "Made":
        with localcontext(prec=_DIGITS):
            return Made(
                realised=self.realised + other.realised,
                unrealised=_both(self.unrealised, other.unrealised),
                charges=_both(self.charges, other.charges),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One strategy on one account; on a day it has a part even where it made nothing."""

    basket_id: str
    basket: str
    strategy_id: str
    strategy: str
    account: str
    made: Made


@dataclass(frozen=True, slots=True, kw_only=True)
class Profits:
    """One user's day."""

    day: date
    parts: tuple[Part, ...]
    """One a strategy and account, sorted by basket, strategy and account."""
    rounding: Mapping[str, Decimal | None]
    """By account what rounding STT and stamp duty to the rupee adds to the charges of its contract note."""

    @property
    def total(self) -> Made:
        """Everything, the rounding among the charges."""
        noted = (Made(charges=amount) for amount in self.rounding.values())
        return sum((*(part.made for part in self.parts), *noted), Made())

    def by(self, key: Callable[[Part], tuple[str, ...]]) -> dict[tuple[str, ...], Made]:
        """The parts added up by what ``key`` says of them, in order. The rounding is in none of them."""
        sums: defaultdict[tuple[str, ...], Made] = defaultdict(Made)
        for part in self.parts:
            sums[key(part)] += part.made
        return dict(sorted(sums.items()))


async def profits_of(
    books: Books, facts: Facts, *, user_id: str, day: date, today: date, market: Snapshot | None = None
) -> Profits:
    """What the user made on a day.

    Args:
        today: on the market's clock; a day before it is over.
        market: marks what is open today; on other days, and without it, the last close's marks count.
    """
    market = market if day == today else None
    runs, orders = await traded_on(books, user_id, day, goes_on=day == today)
    accounts = {account.id: account for account in await books.accounts(user_id)}
    charged = {}
    for run in runs:
        charged[run.id] = charges_of(facts, accounts, orders.get(run.id, ()), settled_on(run, day))
        await asyncio.sleep(0)  # an engine trades beside
    return added_up(day, runs, orders, charged, market)


def added_up(
    day: date,
    runs: Iterable[Run],
    orders: Mapping[str, Sequence[Order]],
    charged: Mapping[str, Mapping[str, Sequence[Charges]]],
    market: Snapshot | None,
) -> Profits:
    """What these runs made on a day.

    Args:
        runs: those of ``traded_on``, in its order.
        orders: by run, those decided on the day.
        charged: by run and account what these orders and the settlements of the day cost; one entry a run.
        market: as for ``profits_of``.
    """
    notes: defaultdict[str, list[Charges]] = defaultdict(list)
    sums: defaultdict[tuple[str, str, str], Made] = defaultdict(Made)
    latest: dict[str, Run] = {}
    for run in runs:
        for account, charges in charged[run.id].items():
            notes[account] += charges
        latest[run.strategy.id] = run
        for account, made in made_on(run, orders.get(run.id, ()), day, charged[run.id], market).items():
            sums[run.basket.id, run.strategy.id, account] += made
    return Profits(
        day=day,
        parts=tuple(
            Part(
                basket_id=basket,
                basket=latest[strategy].basket.name,
                strategy_id=strategy,
                strategy=latest[strategy].strategy.name,
                account=account,
                made=made,
            )
            for (basket, strategy, account), made in sorted(sums.items())
        ),
        rounding={account: day_rounding(charges) for account, charges in sorted(notes.items())},
    )


async def traded_on(
    books: Books, user_id: str, day: date, *, goes_on: bool
) -> tuple[list[Run], dict[str, list[Order]]]:
    """A day's runs, as they stood at its end or stand now, by id, and the orders of each that were decided on it.

    The runs are those of ``attribution.runs_of``; while the day goes on also what is open of earlier days.
    """
    runs = {run.id: run for run in await books.runs_on(user_id, day)}
    orders: defaultdict[str, list[Order]] = defaultdict(list)
    for each in await books.traded_between(user_id, *whole(day)):
        if isinstance(each, Order):
            orders[each.intent.run_id].append(each)
        elif each.date < day:
            runs[each.id] = each
    if goes_on:
        runs |= {run.id: run for run in await books.open_runs(user_id) if run.date < day}
    else:
        runs |= {run.id: run for run in await books.carried_on(user_id, day)}
    return [run for _, run in sorted(runs.items())], orders


def made_on(
    run: Run,
    orders: Sequence[Order],
    day: date,
    charged: Mapping[str, Sequence[Charges]],
    market: Snapshot | None,
) -> dict[str, Made]:
    """What one run made on a day, by account. ``orders`` and ``charged`` as for ``report.accounted_on``."""
    open_by_account: defaultdict[str, Made] = defaultdict(Made)
    for position in run.positions:
        if position.open:
            open_by_account[position.account] += Made(unrealised=unrealised(position, market))
    return {
        account: Made(realised=profit.gross, charges=profit.charges) + open_by_account[account]
        for account, profit in accounted_on(run, orders, day, charged).profits.items()
    }


def unrealised(position: LegPosition, market: Snapshot | None) -> Decimal | None:
    """Rupees on the units held, at the last price known, or without one at the last close's; None: there is neither."""
    quote = market.quote(position.contract) if market is not None else None
    last = position.mark if quote is None else quote.last
    return None if last is None else position.unrealised(last)


def charges_so_far(
    facts: Facts, accounts: Mapping[str, BrokerAccount], run: Run, orders: Iterable[Order]
) -> dict[str, Decimal | None]:
    """By account what all of a run's fills and settlements cost, whatever the day."""
    found: dict[str, Decimal | None] = {}
    for account, charges in charges_of(facts, accounts, orders, run.positions).items():
        found[account] = sum((Made(charges=each.total) for each in charges), Made()).charges
    return found


def _both(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other
