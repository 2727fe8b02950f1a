"""The paper exchange: accounts with the Broker port over one market, and a durable book of their own.

What it answered is on disk before it is answered, and what it shows has been on disk before it is shown. It behaves
as an exchange does, not as a helpful one: a repeated tag is a second order.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from weakref import WeakSet

from option_baskets.adapters.brokers.fills import FillModel, Trade, Wanted
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.paper_book import Entry, PaperBook
from option_baskets.adapters.brokers.paper_rules import filled, first, refusals, state_of, totals
from option_baskets.adapters.brokers.updates import Updates
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Invalid, NotFound, Problem, Unavailable, Unclear
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.order import Intent, OrderReport, OrderState
from option_baskets.domain.risk import Approved
from option_baskets.domain.session import IST
from option_baskets.ports import Clock, MarketData

T = TypeVar("T")

IsTrading = Callable[[Contract, datetime], bool]
"""Whether the contract is in its own session, [open, close), at an instant."""


@dataclass(slots=True)
class _Working:
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
        threaded: bool = True,
        durable: bool = True,
    ) -> None:
        self.book = PaperBook(path, threaded=threaded, durable=durable)
        self.market = market
        self.clock = clock
        self.fills = fills
        self.is_trading = is_trading
        self._accounts: dict[tuple[str, str], PaperBroker] = {}
        self._resting: defaultdict[Contract, dict[int, tuple[PaperBroker, _Working]]] = defaultdict(dict)
        self._unfinished: set[asyncio.Task[Any]] = set()
        today = self.now().date()
        for entry in self.book.entries(today):
            self.broker(entry.report.account, user=entry.user)._install(_Working(entry))
        for user, account, contract, net in self.book.net(today):
            self.broker(account, user=user)._hold(contract, net)

    def broker(self, account: str, *, user: str = "local", behaviour: Behaviour | None = None) -> "PaperBroker":
        """The account's Broker, always the same one, opened when first asked for; ``behaviour`` replaces the old."""
        broker = self._accounts.get((user, account))
        if broker is None:
            broker = self._accounts[user, account] = PaperBroker(self, user, account)
        if behaviour is not None:
            broker.behaviour = behaviour
        return broker

    @property
    def accounts(self) -> Mapping[tuple[str, str], "PaperBroker"]:
        """Every account by (user, account), those found in the book included."""
        return MappingProxyType(self._accounts)

    async def on_market(self, at: datetime) -> None:
        """Match what rests against the market as it is at ``at``; returns when every fill is on disk and reported.

        Orders are good for their day: what rests from an earlier one is cancelled.
        """
        today = at.astimezone(IST).date()
        resting = [pair for orders in self._resting.values() for pair in orders.values()]
        await asyncio.gather(*(broker._lapse(each, at) for broker, each in resting if each.entry.day < today))
        if not self._resting:
            return
        snapshot = await self.market.snapshot(at)
        fills = [
            broker._meet(working, snapshot)
            for contract, orders in self._resting.items()
            if self.is_trading(contract, at)
            for broker, working in orders.values()
            if not working.turn.locked() and self.match(working, working.report, snapshot)
        ]
        await asyncio.gather(*map(self.whole, fills))

    async def close(self) -> None:
        """Finish what was begun, end every ``updates()`` and close the book."""
        while self._unfinished:
            await asyncio.wait(self._unfinished)
        for broker in self._accounts.values():
            broker._end_updates()
        await self.book.close()

    def now(self) -> datetime:
        return self.clock.now().astimezone(IST)

    def rest(self, broker: "PaperBroker", working: _Working) -> None:
        """Keep the order where the market finds it while it is not final, and only then."""
        orders = self._resting[working.report.contract]
        if not working.report.state.is_final:
            orders[id(working)] = (broker, working)
            return
        orders.pop(id(working), None)
        if not orders:
            del self._resting[working.report.contract]

    def match(self, working: _Working, report: OrderReport, snapshot: Snapshot) -> tuple[Trade, ...]:
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
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task


class PaperBroker:
    """One account at the paper exchange: the Broker port. Orders of an account are numbered from 1 every day."""

    def __init__(self, exchange: PaperExchange, user: str, account: str) -> None:
        self.behaviour = Behaviour()
        self.peak_calls = 0
        """Most order calls (place, modify and cancel) taken in one calendar second."""
        self._exchange = exchange
        self._user = user
        self._account = account
        self._orders: dict[str, _Working] = {}
        self._numbers: defaultdict[date, int] = defaultdict(int)
        self._net: defaultdict[Contract, int] = defaultdict(int)
        self._calls: tuple[datetime | None, int] = (None, 0)
        self._subscribers: WeakSet[Updates] = WeakSet()

    @property
    def account(self) -> str:
        return self._account

    async def place(self, approved: Approved) -> OrderReport:
        """Take the order, match it at once, and report it: REJECTED with a message, OPEN, PARTIAL or FILLED.

        Raises:
            ValueError: the intent is for another account or user; the caller mixed up its brokers.
            Unavailable: more calls this second than the account may make. No order exists.
            Unclear: the answer was lost (``Behaviour.lost_answers``). The order exists.
        """
        intent = approved.intent
        if (intent.user_id, intent.account) != (self._user, self._account):
            raise ValueError(
                f"intent {intent.id} is for {intent.user_id}/{intent.account}, not {self._user}/{self._account}"
            )
        at = self._call()
        snapshot = await self._exchange.market.snapshot(at)
        working = self._taken(intent, at, snapshot)
        await self._arrived(working)
        await self._answer(intent.id, at)
        if self.behaviour.loses_answer(intent.id) and working.report.state is not OrderState.REJECTED:
            raise Unclear(f"no answer to order {intent.id} within the time limit")
        return working.report

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport:
        """Give the order a new limit and a new total quantity, what is filled included, and match it at once.

        An order in a final state stays as it is and is reported so.

        Raises:
            NotFound: the account has no such order today.
            Invalid: the exchange would not take such an order; it stays as it was.
            Unavailable: as ``place``.
        """
        at = self._call()
        working = self._find(broker_order_id, at)
        snapshot = await self._exchange.market.snapshot(at)
        report = await self._exchange.whole(self._modified(working, at, snapshot, limit, quantity))
        await self._answer(report.tag, at)
        return report

    async def cancel(self, broker_order_id: str) -> OrderReport:
        """Cancel what is not filled. An order in a final state stays as it is and is reported so.

        Raises:
            NotFound: the account has no such order today.
            Unavailable: as ``place``.
        """
        at = self._call()
        working = self._find(broker_order_id, at)
        report = await self._exchange.whole(self._cancelled(working, at, ""))
        await self._answer(report.tag, at)
        return report

    async def orders(self) -> tuple[OrderReport, ...]:
        today = self._exchange.now().date()
        return tuple(working.report for working in self._orders.values() if working.entry.day == today)

    async def positions(self) -> Mapping[Contract, int]:
        """Net units per contract, from fills of all days; contracts that are flat or have expired are left out."""
        today = self._exchange.now().date()
        return {contract: units for contract, units in self._net.items() if units and contract.expiry >= today}

    async def instruments(self, day: date) -> tuple[Listing, ...]:
        snapshot = await self._exchange.market.snapshot(self._exchange.now())
        listings = (snapshot.listing(contract) for contract in snapshot.contracts() if contract.expiry >= day)
        return tuple(listing for listing in listings if listing is not None)

    def updates(self) -> AsyncIterator[OrderReport]:
        """Every change from this call on, once it is on disk, until the exchange closes."""
        updates = Updates()
        self._subscribers.add(updates)
        return updates

    # ------------------------------------------------------------ calls

    def _call(self) -> datetime:
        """Count a call and return its instant."""
        at = self._exchange.now()
        second = at.replace(microsecond=0)
        calls = self._calls[1] + 1 if self._calls[0] == second else 1
        most = self.behaviour.max_calls_per_second
        if most is not None and calls > most:
            raise Unavailable(f"429 Too Many Requests: more than {most} order calls in the second {second:%H:%M:%S}")
        self._calls = (second, calls)
        self.peak_calls = max(self.peak_calls, calls)
        return at

    def _find(self, broker_order_id: str, at: datetime) -> _Working:
        working = self._orders.get(broker_order_id)
        if working is None or working.entry.day != at.date():
            raise NotFound(f"account {self._account} has no order {broker_order_id} on {at.date()}")
        return working

    async def _answer(self, tag: str, arrived: datetime) -> None:
        answer_at = self.behaviour.answer_at(tag, arrived)
        if answer_at > arrived:
            await self._exchange.clock.sleep_until(answer_at)

    # ------------------------------------------------------------ decisions

    def _taken(self, intent: Intent, at: datetime, snapshot: Snapshot) -> _Working:
        """The order as it is after it arrived, and what it traded at once."""
        day = at.date()
        if day not in self._numbers:
            self._forget_before(day)
        self._numbers[day] = number = self._numbers[day] + 1
        contract = intent.contract
        listing = snapshot.listing(contract)
        is_open = self._exchange.is_trading(contract, at)
        message = "; ".join(refusals(contract, intent.quantity, intent.limit, listing, is_open=is_open))
        if not message and self.behaviour.rejects(intent.id):
            message = "rejected by the account's seeded behaviour"
        trades: tuple[Trade, ...] = ()
        most = intent.quantity
        if listing is not None and not message:
            wanted = Wanted(
                contract=contract, side=intent.side, quantity=intent.quantity, limit=intent.limit, level=intent.level
            )
            most = self.behaviour.first_fill(intent.id, intent.quantity // listing.lot_size) * listing.lot_size
            trades = first(most, self._exchange.fills.trades(wanted, listing, snapshot, 0))
        done, value = totals(trades)
        report = OrderReport(
            tag=intent.id,
            broker_order_id=f"{day.isoformat().replace('-', '')}-{self._account}-{number:06}",
            account=self._account,
            contract=contract,
            side=intent.side,
            quantity=intent.quantity,
            state=OrderState.REJECTED if message else state_of(done, intent.quantity),
            filled=done,
            value=value,
            at=at,
            limit=intent.limit,
            message=message,
        )
        # An order held to a partial fill gets no more from this quote; any other gets what it has not taken of it.
        return _Working(
            Entry(user=self._user, day=day, number=number, placed_at=at, report=report),
            trades,
            snapshot.quote(contract),
            done if most == intent.quantity else sys.maxsize,
        )

    async def _modified(
        self, working: _Working, at: datetime, snapshot: Snapshot, limit: Decimal, quantity: int
    ) -> OrderReport:
        async with working.turn:
            report = working.report
            if report.state.is_final:
                return report
            contract = report.contract
            is_open = self._exchange.is_trading(contract, at)
            problems = list(refusals(contract, quantity, limit, snapshot.listing(contract), is_open=is_open))
            if quantity <= report.filled:
                problems.append(
                    f"quantity {quantity} is not above the {report.filled} filled; cancel the order instead"
                )
            if working.entry.modifications == self.behaviour.max_modifications:
                problems.append(f"the order was modified {working.entry.modifications} times, the most allowed")
            if problems:
                raise Invalid([Problem(where=report.broker_order_id, message=problem) for problem in problems])
            wanted = replace(report, limit=limit, quantity=quantity, at=at)
            trades = self._exchange.match(working, wanted, snapshot)
            entry = replace(
                working.entry,
                modifications=working.entry.modifications + 1,
                report=filled(wanted, trades, at),
            )
            return await self._changed(working, entry, trades, snapshot.quote(contract))

    async def _cancelled(self, working: _Working, at: datetime, message: str) -> OrderReport:
        async with working.turn:
            if working.report.state.is_final:
                return working.report
            report = replace(working.report, state=OrderState.CANCELLED, at=at, message=message)
            return await self._changed(working, replace(working.entry, report=report), (), working.quote)

    async def _meet(self, working: _Working, snapshot: Snapshot) -> None:
        """Match a resting order against a market that may have moved."""
        async with working.turn:
            report = working.report
            if report.state.is_final or not (trades := self._exchange.match(working, report, snapshot)):
                return
            entry = replace(working.entry, report=filled(report, trades, snapshot.at.astimezone(IST)))
            await self._changed(working, entry, trades, snapshot.quote(report.contract))

    async def _lapse(self, working: _Working, at: datetime) -> None:
        await self._exchange.whole(self._cancelled(working, at.astimezone(IST), "good for its day only"))
        self._orders.pop(working.report.broker_order_id, None)

    # ------------------------------------------------------------ what is on disk becomes visible

    async def _arrived(self, working: _Working) -> None:
        try:
            await self._exchange.book.add(working.entry, working.trades)
        except asyncio.CancelledError:
            self._exchange.later(self._given_up(working))
            raise
        self._install(working)
        self._show(working.report, working.report.filled)

    async def _given_up(self, working: _Working) -> None:
        """The caller did not wait, but the order was handed over: it exists if it is in the book."""
        if await self._exchange.book.has(working.entry):
            self._install(working)
            self._show(working.report, working.report.filled)

    async def _changed(
        self, working: _Working, entry: Entry, trades: Sequence[Trade], quote: Quote | None
    ) -> OrderReport:
        """Only with ``working.turn`` held."""
        await self._exchange.book.change(entry, trades)
        traded = entry.report.filled - working.report.filled
        working.taken = traded + (working.taken if working.quote == quote else 0)
        working.quote = quote
        working.entry = entry
        self._exchange.rest(self, working)
        self._show(entry.report, traded)
        return entry.report

    def _install(self, working: _Working) -> None:
        entry = working.entry
        self._orders[entry.report.broker_order_id] = working
        self._numbers[entry.day] = max(self._numbers[entry.day], entry.number)
        if not entry.report.state.is_final:
            self._exchange.rest(self, working)

    def _show(self, report: OrderReport, traded: int) -> None:
        if traded:
            self._net[report.contract] += traded * report.side.sign
        for updates in self._subscribers:
            updates.put(report)

    def _forget_before(self, day: date) -> None:
        """Earlier days are in the book; in memory is only what can still change."""
        self._orders = {
            order_id: working
            for order_id, working in self._orders.items()
            if working.entry.day >= day or not working.report.state.is_final
        }

    def _hold(self, contract: Contract, net: int) -> None:
        self._net[contract] = net

    def _end_updates(self) -> None:
        for updates in self._subscribers:
            updates.end()
