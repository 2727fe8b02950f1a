"""The engine's process: the embedded machine with its own store, an exchange at the other end of a pipe, and no time
but what comes over that pipe."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.brokers.updates import Updates
from option_baskets.adapters.clock import SimulatedClock, SimulatedLoop
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.facts import Facts
from option_baskets.domain.order import OrderReport
from option_baskets.domain.risk import Approved
from option_baskets.domain.session import Session
from option_baskets.engine.day import TradingDay
from option_baskets.engine.rates import Rate
from option_baskets.engine.trading import Pace
from option_baskets.store.books import Books
from option_baskets.wiring import Embedded, Market, play
from tests.chaos.failpoints import Death, Fate, MortalBroker, MortalTable
from tests.chaos.line import Account, Answer, Call, Done, Go, Idle, Update
from tests.chaos.power import Synced, SyncedTable, lose_power


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What every life of the engine begins with."""

    data: Path
    market: Market
    facts: Facts
    session: Session
    files: Sequence[BasketFile]
    pace: Pace
    rate: Rate | None
    power: str = ""
    """The seed of what a death leaves of what was not on disk; empty: everything, as when a process is killed."""
    durable: bool = True
    """Where power fails: whether the tables are, as they are in earnest."""


def live(engine: Engine, pipe: Connection, death: Death) -> NoReturn:
    """A life: until its death, or to the end of the day. Never returns."""
    gc.freeze()  # what the other process has made is left alone
    fate = Fate(death)
    exchange = RemoteExchange(pipe)
    loop = SimulatedLoop(exchange.begin(), led=exchange.lead)
    exchange.loop = loop
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_day(engine, exchange, SimulatedClock(loop), fate))
        pipe.send(Done())
        os._exit(0)


async def _day(engine: Engine, exchange: "RemoteExchange", clock: SimulatedClock, fate: Fate) -> None:
    remote: Any = exchange
    if engine.power:
        lose_power(engine.data, f"{engine.power}/{clock.now()}")
    machine = MortalEngine(
        fate,
        data=engine.data,
        market=engine.market,
        clock=clock,
        facts=engine.facts,
        rate=engine.rate,
        threaded=False,
        durable=bool(engine.power) and engine.durable,
        pace=engine.pace,
        exchange=remote,
        synced=Synced(engine.data, durable=engine.durable) if engine.power else None,
    )
    await machine.adopt(engine.files)
    await play(machine, [engine.session], with_charges=False)
    await machine.table.close()


class MortalEngine(Embedded):
    """The embedded machine, mortal at its table and its brokers."""

    def __init__(self, fate: Fate, synced: Synced | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._fate = fate
        table: Any = SyncedTable(self.table, synced) if synced else self.table
        mortal: Any = MortalTable(table, fate)
        self.table, self.books = mortal, Books(mortal, health=self.health)

    async def trading_day(self, *given: Any) -> TradingDay:
        day = await super().trading_day(*given)
        brokers: Any = {key: MortalBroker(broker, self._fate) for key, broker in day.trading.desk.brokers.items()}
        day.trading.desk.brokers = brokers
        return day


class RemoteExchange:
    """The exchange in the other process, and its time."""

    def __init__(self, pipe: Connection) -> None:
        self.loop: SimulatedLoop
        self._pipe = pipe
        self._number = 0
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._updates: dict[Account, list[Updates]] = {}

    def begin(self) -> datetime:
        go: Go = self._pipe.recv()
        return go.at

    def lead(self, due: datetime | None) -> datetime:
        """End the turn; the next one's time, after what it brought was handed out."""
        self._pipe.send(Idle(due))
        go: Go = self._pipe.recv()
        for each in go.brought:
            self.loop.call_soon(self._hand_out, each)
        return go.at

    def _hand_out(self, brought: Answer | Update) -> None:
        if isinstance(brought, Update):
            for updates in self._updates.get(brought.account, ()):
                updates.put(brought.report)
            return
        future = self._calls.pop(brought.number)
        if future.done():
            return
        if brought.error is not None:
            future.set_exception(brought.error)
        else:
            future.set_result(brought.value)

    async def call(self, account: Account, method: str, *given: Any, **named: Any) -> Any:
        self._number += 1
        future = self._calls[self._number] = self.loop.create_future()
        self._pipe.send(Call(self._number, account, method, given, named))
        return await future

    def subscribe(self, account: Account) -> Updates:
        updates = Updates()
        self._updates.setdefault(account, []).append(updates)
        return updates

    def broker(self, account: str, *, user: str) -> "RemoteBroker":
        return RemoteBroker(self, (user, account))

    async def on_market(self, at: datetime) -> None:
        """The exchange sees its market itself."""

    async def follow(self, *_: Any) -> None:
        """Nobody gave its contracts other dates."""

    async def settle(self, *_: Any) -> None:
        """It settles itself."""


class RemoteBroker:
    """One account at it: the Broker port."""

    def __init__(self, exchange: RemoteExchange, key: Account) -> None:
        self.account = key[1]
        self._exchange = exchange
        self._key = key
        self._call = partial(exchange.call, key)

    async def place(self, approved: Approved) -> OrderReport:
        report: OrderReport = await self._call("place", approved)
        return report

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport:
        report: OrderReport = await self._call("modify", broker_order_id, limit=limit, quantity=quantity)
        return report

    async def cancel(self, broker_order_id: str) -> OrderReport:
        report: OrderReport = await self._call("cancel", broker_order_id)
        return report

    async def orders(self) -> tuple[OrderReport, ...]:
        reports: tuple[OrderReport, ...] = await self._call("orders")
        return reports

    async def positions(self) -> Mapping[Contract, int]:
        positions: Mapping[Contract, int] = await self._call("positions")
        return positions

    async def instruments(self, day: date) -> Iterable[Listing]:
        listings: Iterable[Listing] = await self._call("instruments", day)
        return listings

    def updates(self) -> AsyncIterator[OrderReport]:
        return self._exchange.subscribe(self._key)
