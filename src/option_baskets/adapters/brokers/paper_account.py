"""One account at the paper exchange."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from weakref import WeakSet

from option_baskets.adapters.brokers.fills import Trade, Wanted
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.paper_book import Entry
from option_baskets.adapters.brokers.paper_floor import Floor, Working
from option_baskets.adapters.brokers.paper_rules import filled, first, refusals, state_of, totals
from option_baskets.adapters.brokers.updates import Updates
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Invalid, NotFound, Problem, Unavailable, Unclear
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.order import Intent, OrderReport, OrderState
from option_baskets.domain.risk import Approved
from option_baskets.domain.session import IST


class PaperBroker:
    """One account at the paper exchange: the Broker port. Orders of an account are numbered from 1 every day."""

    def __init__(self, floor: Floor, user: str, account: str) -> None:
        self.behaviour = Behaviour()
        self.peak_calls = 0
        """Most order calls (place, modify and cancel) taken in one calendar second."""
        self._floor = floor
        self._user = user
        self._account = account
        self._orders: dict[str, Working] = {}
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
        snapshot = await self._floor.market.snapshot(at)
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
        snapshot = await self._floor.market.snapshot(at)
        report = await self._floor.whole(self._modified(working, at, snapshot, limit, quantity))
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
        report = await self._floor.whole(self._cancelled(working, at, ""))
        await self._answer(report.tag, at)
        return report

    async def orders(self) -> tuple[OrderReport, ...]:
        today = self._floor.now().date()
        return tuple(working.report for working in self._orders.values() if working.entry.day == today)

    async def positions(self) -> Mapping[Contract, int]:
        """Net units per contract, from fills of all days; contracts that are flat or have expired are left out."""
        today = self._floor.now().date()
        return {contract: units for contract, units in self._net.items() if units and contract.expiry >= today}

    async def instruments(self, day: date) -> tuple[Listing, ...]:
        snapshot = await self._floor.market.snapshot(self._floor.now())
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
        at = self._floor.now()
        second = at.replace(microsecond=0)
        calls = self._calls[1] + 1 if self._calls[0] == second else 1
        most = self.behaviour.max_calls_per_second
        if most is not None and calls > most:
            raise Unavailable(f"429 Too Many Requests: more than {most} order calls in the second {second:%H:%M:%S}")
        self._calls = (second, calls)
        self.peak_calls = max(self.peak_calls, calls)
        return at

    def _find(self, broker_order_id: str, at: datetime) -> Working:
        working = self._orders.get(broker_order_id)
        if working is None or working.entry.day != at.date():
            raise NotFound(f"account {self._account} has no order {broker_order_id} on {at.date()}")
        return working

    async def _answer(self, tag: str, arrived: datetime) -> None:
        answer_at = self.behaviour.answer_at(tag, arrived)
        if answer_at > arrived:
            await self._floor.clock.sleep_until(answer_at)

    # ------------------------------------------------------------ decisions

    def _taken(self, intent: Intent, at: datetime, snapshot: Snapshot) -> Working:
        """The order as it is after it arrived, and what it traded at once."""
        day = at.date()
        if day not in self._numbers:
            self._forget_before(day)
        self._numbers[day] = number = self._numbers[day] + 1
        contract = intent.contract
        listing = snapshot.listing(contract)
        is_open = self._floor.is_trading(contract, at)
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
            trades = first(most, self._floor.fills.trades(wanted, listing, snapshot, 0))
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
        return Working(
            Entry(user=self._user, day=day, number=number, placed_at=at, report=report),
            trades,
            snapshot.quote(contract),
            done if most == intent.quantity else sys.maxsize,
        )

    async def _modified(
        self, working: Working, at: datetime, snapshot: Snapshot, limit: Decimal, quantity: int
    ) -> OrderReport:
        async with working.turn:
            report = working.report
            if report.state.is_final:
                return report
            contract = report.contract
            is_open = self._floor.is_trading(contract, at)
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
            trades = self._floor.match(working, wanted, snapshot)
            entry = replace(
                working.entry,
                modifications=working.entry.modifications + 1,
                report=filled(wanted, trades, at),
            )
            return await self._changed(working, entry, trades, snapshot.quote(contract))

    async def _cancelled(self, working: Working, at: datetime, message: str) -> OrderReport:
        async with working.turn:
            if working.report.state.is_final:
                return working.report
            report = replace(working.report, state=OrderState.CANCELLED, at=at, message=message)
            return await self._changed(working, replace(working.entry, report=report), (), working.quote)

    async def meet(self, working: Working, snapshot: Snapshot) -> None:
        """Match a resting order against a market that may have moved."""
        async with working.turn:
            report = working.report
            if report.state.is_final or not (trades := self._floor.match(working, report, snapshot)):
                return
            entry = replace(working.entry, report=filled(report, trades, snapshot.at.astimezone(IST)))
            await self._changed(working, entry, trades, snapshot.quote(report.contract))

    async def lapse(self, working: Working, at: datetime) -> None:
        await self._floor.whole(self._cancelled(working, at.astimezone(IST), "good for its day only"))
        self._orders.pop(working.report.broker_order_id, None)

    # ------------------------------------------------------------ what is on disk becomes visible

    async def _arrived(self, working: Working) -> None:
        try:
            await self._floor.book.add(working.entry, working.trades)
        except asyncio.CancelledError:
            self._floor.later(self._given_up(working))
            raise
        self.install(working)
        self._show(working.report, working.report.filled)

    async def _given_up(self, working: Working) -> None:
        """The caller did not wait, but the order was handed over: it exists if it is in the book."""
        if await self._floor.book.has(working.entry):
            self.install(working)
            self._show(working.report, working.report.filled)

    async def _changed(
        self, working: Working, entry: Entry, trades: Sequence[Trade], quote: Quote | None
    ) -> OrderReport:
        """Only with ``working.turn`` held."""
        await self._floor.book.change(entry, trades)
        traded = entry.report.filled - working.report.filled
        working.taken = traded + (working.taken if working.quote == quote else 0)
        working.quote = quote
        working.entry = entry
        self._floor.rest(self, working)
        self._show(entry.report, traded)
        return entry.report

    def install(self, working: Working) -> None:
        entry = working.entry
        self._orders[entry.report.broker_order_id] = working
        self._numbers[entry.day] = max(self._numbers[entry.day], entry.number)
        if not entry.report.state.is_final:
            self._floor.rest(self, working)

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

    def hold(self, contract: Contract, net: int) -> None:
        self._net[contract] = net

    def end_updates(self) -> None:
        for updates in self._subscribers:
            updates.end()
