"""A trading day of one hour: its prices, what is traded, and what came of it, of which any two platforms must agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.adapters.basket_file import BasketFile, parse_basket
from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.adapters.feeds.stored import Chain, StoredFeed, chain_of, put_chain
from option_baskets.cloud import BLIND_AFTER, UNDERLYINGS
from option_baskets.domain.order import Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import Session, contract_close, session_on
from option_baskets.engine.rates import Rate
from option_baskets.engine.report import record_of
from option_baskets.engine.trading import Pace
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, Embedded, Market, play

FACTS = load()
NEAR = 400
"""Points from the spot at which the day begins; strikes farther away are left out."""
MINUTES = 20
"""Of the session that have prices of their own; all that is traded is over by then."""
_MINUTE = timedelta(minutes=1)

BASKET = """
format = 1
[basket]
name = "Diwali"
capital = 2000000
mode = "paper"
[[accounts]]
id = "one"
[[accounts]]
id = "two"
[[strategies]]
name = "Straddle"
underlying = "NIFTY"
special_sessions = true
entry = "{straddle_entry}"
exit = "{straddle_exit}"
  [[strategies.legs]]
  id = "call"
  side = "SELL"
  type = "CE"
  strike = {{ rule = "atm" }}
  stop = {{ percent = 25 }}
  [[strategies.legs]]
  id = "put"
  side = "SELL"
  type = "PE"
  strike = {{ rule = "atm" }}
  stop = {{ percent = 25 }}
  [[strategies.allocations]]
  account = "one"
  lots = 2
  [[strategies.allocations]]
  account = "two"
  lots = 1
[[strategies]]
name = "Spread"
underlying = "NIFTY"
special_sessions = true
entry = "{spread_entry}"
exit = "{spread_exit}"
  [[strategies.legs]]
  id = "short"
  side = "SELL"
  type = "CE"
  strike = {{ rule = "atm" }}
  [[strategies.legs]]
  id = "wing"
  side = "BUY"
  type = "CE"
  strike = {{ rule = "of_leg", leg = "short", points = 100 }}
  [[strategies.allocations]]
  account = "one"
  lots = 1
"""
"""Two strategies, three allocations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A session of an hour in a simulated market that falls between the entries, so that the puts' stops are hit."""

    date: date
    seed: int

    @property
    def session(self) -> Session:
        found = session_on(FACTS, self.date)
        assert found is not None
        return found

    def minute(self, number: int) -> datetime:
        """So many minutes after the open."""
        return self.session.open + number * _MINUTE

    def plans(self) -> BasketFile:
        instants = {"straddle_entry": 5, "spread_entry": 10, "spread_exit": 11, "straddle_exit": 12}
        text = BASKET.format_map({name: f"{self.minute(number):%H:%M}" for name, number in instants.items()})
        return parse_basket(text, FACTS.names)

    async def chains(self) -> list[Chain]:
        """Prices of the first expiry near the money: of every minute of ``MINUTES``, and of both ends of the day."""
        feed = SimulatedFeed(FACTS, seed=self.seed, underlyings=["NIFTY"])
        first = chain_of(await feed.snapshot(self.session.open), "NIFTY")
        assert first.spot is not None
        instants = (self.session.starts, *map(self.minute, range(MINUTES)), self.session.close)
        return [_near(chain_of(await feed.snapshot(instant), "NIFTY"), first.spot.last) for instant in instants]


MUHURAT_2023 = Day(date=date(2023, 11, 12), seed=2)
MUHURAT_2024 = Day(date=date(2024, 11, 1), seed=4)
MUHURAT_2025 = Day(date=date(2025, 10, 21), seed=2)


def _near(chain: Chain, spot: Decimal) -> Chain:
    expiry = min(day for day, _ in chain.steps)
    kept = (
        priced
        for priced in chain.contracts
        if priced.listing.contract.expiry == expiry and abs((priced.listing.contract.strike or spot) - spot) <= NEAR
    )
    return replace(chain, contracts=tuple(kept), steps=tuple(each for each in chain.steps if each[0] == expiry))


# ---------------------------------------------------------------- what came of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A user's day without the ids that installations choose, and with instants to the minute."""

    runs: tuple[tuple[Any, ...], ...]
    legs: tuple[tuple[Any, ...], ...]
    orders: tuple[tuple[Any, ...], ...]
    fills: tuple[tuple[Any, ...], ...]
    profits: tuple[tuple[Any, ...], ...]


async def outcome(books: Books, user_id: str, day: Day) -> Outcome:
    accounts = {account.id: account for account in await books.accounts(user_id)}
    record = await record_of(books, FACTS, accounts, user_id=user_id, day=day.date)
    runs = [each.run for each in record.runs]
    orders = [(run, order) for run in runs for order in await books.orders_of_run(user_id, run.id)]
    fills = [(run, fill) for run in runs for fill in await books.fills_of_run(user_id, run.id)]
    return Outcome(
        runs=_sorted(
            (run.strategy.name, run.status, run.reason, run.detail, run.cycle, run.entry_at, run.exit_at)
            for run in runs
        ),
        legs=_sorted(_leg(run, each) for run in runs for each in run.positions),
        orders=_sorted(_order(run, order) for run, order in orders),
        fills=_sorted(
            (run.strategy.name, fill.quantity, fill.value, fill.number, _minute(fill.at)) for run, fill in fills
        ),
        profits=_sorted((each.run.strategy.name, each.profit.gross, each.profit.charges) for each in record.runs),
    )


def _sorted(rows: Any) -> tuple[tuple[Any, ...], ...]:
    return tuple(sorted(rows, key=repr))


def _leg(run: Run, leg: LegPosition) -> tuple[Any, ...]:
    instants = _minute(leg.entry_time), _minute(leg.exit_time)
    traded = (leg.lots, leg.lot_size, leg.entered, leg.entered_value, leg.exited, leg.exited_value)
    return (
        run.strategy.name, leg.leg, leg.account, leg.entry_number, leg.contract.key, leg.side,
        *traded, *instants, leg.exit_reason, leg.entry_spot, leg.shortfall,
    )  # fmt: skip


def _order(run: Run, order: Order) -> tuple[Any, ...]:
    intent = order.intent
    return (
        run.strategy.name, intent.leg, intent.account, intent.entry_number, intent.action, intent.attempt,
        intent.slice_number, intent.contract.key, intent.side, intent.quantity, intent.limit, intent.cause,
        order.state, order.filled, order.value, order.reason, _minute(intent.decided_at),
    )  # fmt: skip


def _minute(instant: datetime | None) -> str:
    return f"{instant:%H:%M}" if instant else ""


# ---------------------------------------------------------------- in one process


def embedded(folder: Path, day: Day, stored: Sequence[Chain]) -> Outcome:
    """The day in one process with a disk: the same prices, fills and limits."""
    session = day.session

    async def main(clock: SimulatedClock) -> Outcome:
        prices = SqliteTable.open(folder / "prices.db", now=clock.now, threaded=False, durable=False)
        await prices.commit([put_chain(each) for each in stored])
        machine = Embedded(
            data=folder / "data",
            market=Market(
                feed=StoredFeed(prices, UNDERLYINGS),
                fills=QuotedFills(),
                is_trading=lambda contract, moment: (
                    session.is_open(moment) and moment < contract_close(FACTS, session, contract.expiry)
                ),
            ),
            clock=clock,
            facts=FACTS,
            rate=Rate(),
            threaded=False,
            durable=False,
            pace=Pace(blind_after=BLIND_AFTER),
        )
        try:
            await machine.adopt([day.plans()])
            await play(machine, [session])
            return await outcome(machine.books, LOCAL_USER, day)
        finally:
            await machine.close()
            await prices.close()

    return run_simulated(main, session.starts)
