"""The real engine on a bad line for a state machine to play with: a small day it may disturb, kill and start again.

Everything is real but time: the embedded machine over SQLite, the paper exchange with its own book and a seeded
``Behaviour``, the day's timer and handlers. Between disturbances the loop's time is moved on by hand. What happens is
told in lines a person can read: the story of an example.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from option_baskets.adapters.basket_file import BasketFile, load_basket_file
from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.clock import SimulatedClock, SimulatedLoop
from option_baskets.domain.contract import Side
from option_baskets.domain.facts import Span
from option_baskets.domain.ids import Action
from option_baskets.domain.order import RETURNS, TRANSITIONS, Order, OrderReport, OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.risk import Approved
from option_baskets.domain.rules import ExitDemanded, step
from option_baskets.domain.session import session_of
from option_baskets.engine.day import TradingDay
from option_baskets.engine.exit import close
from option_baskets.engine.rates import Rate, Urgency
from option_baskets.engine.reconcile import reconcile
from option_baskets.ports import Put, Write
from option_baskets.store import codec
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, Embedded, Market
from tests.engine.small_market import SmallMarket
from tests.engine.tiny_day import DAY, FACTS, LISTED, LOT, call, instant, put

BASKET = """format = 1
[basket]
name = "Machine"
capital = 500000
mode = "paper"
[[accounts]]
id = "one"
[[strategies]]
name = "spread"
underlying = "NIFTY"
entry = "09:17"
exit = "09:26"
slippage_limit_percent = 20
  [[strategies.legs]]
  id = "short"
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  [[strategies.legs]]
  id = "wing"
  side = "BUY"
  type = "CE"
  strike = { rule = "of_leg", leg = "short", points = 100 }
  [[strategies.allocations]]
  account = "one"
  lots = 2
[[strategies]]
name = "put"
underlying = "NIFTY"
entry = "09:18"
exit = "09:26"
slippage_limit_percent = 20
  [[strategies.legs]]
  id = "long"
  side = "BUY"
  type = "PE"
  strike = { rule = "atm" }
  [[strategies.allocations]]
  account = "one"
  lots = 2
"""
"""A sold call with its wing at 09:17 and a bought put a minute later; out at 09:26."""

SESSION = session_of(DAY, Span.parse("09:15-09:32"))
BEGIN = instant("09:16") + timedelta(seconds=50)
CALM = instant("09:28")
"""From here on nothing is disturbed any more, so that the day can end."""
PRICES = {call(): Decimal(100), call(26100): Decimal(40), put(): Decimal(80)}
MANY = 1000 * LOT

Tell = Callable[[str], None]


def basket_file(folder: Path) -> BasketFile:
    file = folder / "machine.toml"
    file.write_text(BASKET, encoding="utf-8")
    return load_basket_file(file, FACTS.names)


class Watched:
    """A table that tells of every order written, and takes nothing of a process that is dead."""

    def __init__(self, table: Any, world: "World") -> None:
        self._table = table
        self._world = world
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        if self.is_dead:
            raise asyncio.CancelledError
        await self._table.commit(writes)
        for write in writes:
            if isinstance(write, Put) and "#ORDER#" in write.item.sk and write.item.pk == LOCAL_USER:
                self._world.journaled(codec.decode(write.item.body, Order))


class Told:
    """A broker that tells of every call and its answer."""

    def __init__(self, broker: Any, world: "World") -> None:
        self._broker = broker
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def place(self, approved: Approved) -> OrderReport:
        intent = approved.intent
        self._world.placed[intent.id] += 1
        return await self._answered(f"place {self._world.named(intent.id)} at {intent.limit}", approved)

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport:
        what = f"modify {self._world.name_of(broker_order_id)} to {limit}"
        return await self._answered(what, broker_order_id, call="modify", limit=limit, quantity=quantity)

    async def cancel(self, broker_order_id: str) -> OrderReport:
        return await self._answered(f"cancel {self._world.name_of(broker_order_id)}", broker_order_id, call="cancel")

    async def _answered(self, what: str, *given: Any, call: str = "place", **named: Any) -> OrderReport:
        try:
            report: OrderReport = await getattr(self._broker, call)(*given, **named)
        except Exception as error:
            self._world.tell(f"{what} -> {type(error).__name__}: {error}")
            raise
        self._world.seen.append(report)
        self._world.tell(f"{what} -> {_words(report)}")
        return report

    async def updates(self) -> AsyncIterator[OrderReport]:
        async for report in self._broker.updates():
            self._world.seen.append(report)
            yield report


def _words(report: OrderReport) -> str:
    return f"{report.state} {report.filled} of {report.quantity}"


class World:
    """The exchange and the market, which live on, and the engine, which may die."""

    def __init__(self, folder: Path, behaviour: Behaviour, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self.loop = SimulatedLoop(BEGIN)
        self.clock = SimulatedClock(self.loop)
        self.market = SmallMarket(LISTED, stale_after=timedelta(hours=1))
        self.prices = dict(PRICES)
        self.quote("1", MANY)
        self.feed = Market(feed=self.market, fills=QuotedFills(), is_trading=lambda _, at: SESSION.is_open(at))
        self.exchange = PaperExchange.open(
            folder / "paper.sqlite",
            self.market,
            self.clock,
            fills=QuotedFills(),
            is_trading=self.feed.is_trading,
            threaded=False,
            durable=False,
        )
        self.exchange.broker("one", behaviour=behaviour)
        self.file = basket_file(folder)
        self.placed: Counter[str] = Counter()
        """How often each intent was handed to the broker's API."""
        self.journal: dict[str, Order] = {}
        """As the store has it."""
        self.wrong: list[str] = []
        self.seen: list[OrderReport] = []
        """Every report that came, as an answer or an update."""
        self.watched: Watched
        self.start()

    # ------------------------------------------------------------ the story

    def tell(self, what: str) -> None:
        self._tell(f"{self.clock.now():%H:%M:%S} {what}")

    def named(self, intent_id: str) -> str:
        order = self.journal.get(intent_id)
        if order is None:
            return intent_id
        intent = order.intent
        what = f"{intent.side} {intent.quantity} {intent.contract.name.split(' ', 2)[-1]}"
        return f"{what} ({intent.leg} {intent.action.lower()} {intent.attempt})"

    def name_of(self, broker_order_id: str) -> str:
        tags = (order.intent.id for order in self.journal.values() if order.broker_order_id == broker_order_id)
        return self.named(next(tags, broker_order_id))

    def journaled(self, order: Order) -> None:
        before = self.journal.get(order.intent.id)
        self.journal[order.intent.id] = order
        state = before.state if before is not None else None
        if before is None and order.state not in {OrderState.CREATED, OrderState.SENDING}:
            self.wrong.append(f"{self.named(order.intent.id)} begins as {order.state}")
        if before is not None and state is not order.state and state is not None:
            self.tell(f"  {self.named(order.intent.id)}: {state} -> {order.state}, {order.filled} filled")
            table = TRANSITIONS | (RETURNS if not before.broker_order_id else frozenset())
            if (state, order.state) not in table:
                self.wrong.append(f"{self.named(order.intent.id)} went from {state} to {order.state}")
        if before is not None and order.filled < before.filled:
            self.wrong.append(f"{self.named(order.intent.id)} lost fills: {before.filled} -> {order.filled}")

    # ------------------------------------------------------------ lives

    def start(self) -> None:
        """A process begins."""
        world = self

        class Machine(Embedded):
            def __init__(self, **given: Any) -> None:
                super().__init__(**given)
                table: Any = Watched(self.table, world)
                world.watched = table
                self.table, self.books = table, Books(table)

            async def trading_day(self, *given: Any) -> TradingDay:
                day = await super().trading_day(*given)
                brokers: Any = {key: Told(broker, world) for key, broker in day.trading.desk.brokers.items()}
                day.trading.desk.brokers = brokers
                return day

        self.machine = Machine(
            data=self._folder,
            market=self.feed,
            clock=self.clock,
            facts=FACTS,
            rate=Rate(),
            threaded=False,
            durable=False,
            exchange=self.exchange,
        )
        self.tell("the engine starts")
        self.loop.run_until_complete(self.machine.adopt([self.file]))
        self.day = self.loop.run_until_complete(self.machine.trading_day())
        self.life = self.loop.create_task(self.day.run(SESSION), name="the day")
        self.advance(0)

    def die(self) -> None:
        """The process ends at once: nothing it was about to write or send is written or sent."""
        self.tell("the engine is killed")
        self.watched.is_dead = True
        floor = self.exchange._floor.unfinished
        tasks = [task for task in asyncio.all_tasks(self.loop) if task not in floor]
        self._end(tasks)
        self.loop.run_until_complete(self.machine.table.close())

    def _end(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        async def ended() -> None:
            await asyncio.gather(*tasks, return_exceptions=True)

        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(ended())

    def advance(self, seconds: float) -> None:
        """Time goes on."""
        self.loop.run_until_complete(self.clock.sleep_until(self.clock.now() + timedelta(seconds=seconds)))
        if self.life.done():
            self.life.result()

    @property
    def trading(self) -> Any:
        return self.day.trading

    # ------------------------------------------------------------ disturbances

    def quote(self, factor: str, quantity: int) -> None:
        """Every price times ``factor``, with so many units on both sides of the book."""
        now = self.clock.now()
        self.market.set("NIFTY", now, Decimal(26010))
        for contract, price in PRICES.items():
            last = (price * Decimal(factor) / Decimal("0.05")).to_integral_value() * Decimal("0.05")
            self.prices[contract] = last
            self.market.set(
                contract,
                now,
                last,
                bid=last - Decimal("0.05"),
                ask=last + Decimal("0.05"),
                bid_quantity=quantity,
                ask_quantity=quantity,
            )

    def pace_of(self, **pace: Any) -> None:
        self.trading.pace = replace(self.trading.pace, **pace)

    def creep(self, by: Decimal) -> None:
        """Prices are so much higher than at first, and nobody sells."""
        for contract, price in PRICES.items():
            last = price + by
            self.market.set(contract, self.clock.now(), last, bid=last - Decimal("0.05"), bid_quantity=MANY)

    def sellers_leave(self) -> None:
        self.creep(Decimal(0))

    def move(self, factor: str, quantity: int) -> None:
        self.tell(f"prices are times {factor}, {quantity} units a side")
        self.quote(factor, quantity)
        self.loop.run_until_complete(self.exchange.on_market(self.clock.now()))

    def report(self, report: OrderReport, times: int = 1) -> None:
        for _ in range(times):
            self.loop.run_until_complete(self.trading.desk.report(LOCAL_USER, report))

    def cancel(self, order: Order) -> None:
        self.tell(f"somebody cancels {self.named(order.intent.id)}")
        self._begin(lambda: self.trading.desk.cancel(order, Urgency.EXIT, Reason.CANCELLED))

    def reprice(self, order: Order, by: str) -> None:
        limit = (order.limit or order.intent.limit) + Decimal(by)
        self.tell(f"somebody moves {self.named(order.intent.id)} to {limit}")
        self._begin(lambda: self.trading.desk.reprice(order, limit, Urgency.EXIT))

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def begin() -> None:
            self.trading.start(work(), name="somebody's order")

        self.loop.run_until_complete(begin())

    def demand_exit(self, number: int) -> None:
        runs = [run for run in self.trading.runs.all() if run.positions]
        if runs:
            run = runs[number % len(runs)]
            self.tell(f"a person closes {run.strategy.name}")
            self.loop.run_until_complete(self._demand_exit((run.user_id, run.id)))

    async def _demand_exit(self, key: tuple[str, str]) -> None:
        trading, now = self.trading, self.clock.now()
        snapshot = await trading.market.snapshot(now)
        demand = ExitDemanded(at=now, reason=ExitReason.MANUAL, account="one")
        await trading.runs.change(key, lambda run: (step(run, demand, snapshot)[0], ()))
        trading.start(close(trading, key, "one"), name="close", user_id=key[0])

    def working(self) -> list[Order]:
        orders = (order for order in self.trading.desk.orders.values() if not order.state.is_final)
        return sorted((order for order in orders if order.broker_order_id), key=lambda order: order.intent.id)

    # ------------------------------------------------------------ what must hold

    def book(self) -> dict[str, OrderReport]:
        """The exchange's own, by tag; an order it has twice is wrong."""
        found: dict[str, OrderReport] = {}
        for entry in self.exchange.book.entries(date.min):
            if entry.report.tag in found:
                self.wrong.append(f"{self.named(entry.report.tag)} is at the exchange twice")
            found[entry.report.tag] = entry.report
        return found

    def faults(self) -> Iterator[str]:
        """What is wrong at this moment, whatever is under way."""
        book = self.book()
        yield from self.wrong
        for tag, count in self.placed.items():
            if count > 1:
                yield f"{self.named(tag)} was handed to the broker {count} times"
        for tag, report in book.items():
            order = self.journal.get(tag)
            if order is None or order.state is OrderState.CREATED:
                yield f"{self.named(tag)} is at the exchange and was not journaled as sent"
            elif order.filled > report.filled:
                yield f"{self.named(tag)} has {order.filled} filled in the journal and {report.filled} at the exchange"
        yield from self._sums()

    def _sums(self) -> Iterator[str]:
        """Positions are the fills of their orders, and no more is being closed than is open."""
        entered: Counter[tuple[str, ...]] = Counter()
        exited: Counter[tuple[str, ...]] = Counter()
        closing: defaultdict[tuple[str, ...], int] = defaultdict(int)
        for order in self.journal.values():
            intent = order.intent
            key = (intent.run_id, intent.leg)
            if intent.action is Action.ENTER:
                entered[key] += order.filled
                continue
            sign = 1 if intent.side is not self._side(key) else -1
            exited[key] += sign * order.filled
            if not order.state.is_final and order.reason is not Reason.ABSENT and sign > 0:
                closing[key] += order.remaining
        for run in self.trading.runs.in_hand():
            for position in run.positions:
                key = (run.id, position.leg)
                if (position.entered, position.exited) != (entered[key], exited[key]):
                    held = f"{position.entered} in and {position.exited} out"
                    yield f"{position.leg}: {held}, its orders {entered[key]} in and {exited[key]} out"
                if closing[key] > max(0, position.open):
                    yield f"{position.leg}: {closing[key]} are being closed and {position.open} are open"

    def _side(self, key: tuple[str, ...]) -> Side:
        return Side.SELL if key[1] == "short" else Side.BUY

    def end(self) -> None:
        """Nothing disturbs any more; the day goes to its end, and books are compared."""
        self.exchange.broker("one", behaviour=Behaviour())
        self.move("1", MANY)
        self.advance(max(1.0, (CALM - self.clock.now()).total_seconds()))
        if not self.life.done():
            self.loop.run_until_complete(reconcile(self.trading))
        self.loop.run_until_complete(self.life)

    def differences(self) -> Iterator[str]:
        """What the journal and the exchange's book say differently, once all is settled."""
        yield from self.wrong
        book = self.book()
        for tag, order in self.journal.items():
            report = book.pop(tag, None)
            if report is None:
                if order.broker_order_id or order.state not in {
                    OrderState.CANCELLED,
                    OrderState.REJECTED,
                    OrderState.ABSENT,
                }:
                    yield f"{self.named(tag)} is {order.state} in the journal and not at the exchange"
            elif (order.state, order.filled, order.value) != (report.state, report.filled, report.value):
                mine = f"{order.state} {order.filled}"
                yield f"{self.named(tag)} is {mine} in the journal and {_words(report)} at the exchange"
        held = dict(self.exchange.broker("one").held)
        if held:
            yield f"the exchange still holds { ({contract.name: units for contract, units in held.items()}) }"

    def close(self) -> None:
        if not self.life.done():
            self.die()
        else:
            self._end(asyncio.all_tasks(self.loop))
            self.loop.run_until_complete(self.machine.table.close())
        self.loop.run_until_complete(self.exchange.close())
        self.loop.close()


def odd(report: OrderReport) -> OrderReport:
    """The report with a status nobody knows."""
    return replace(report, state=OrderState.OTHER, status="PUT ORDER REQ RECEIVED")
