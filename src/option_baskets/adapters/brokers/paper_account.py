"""One account at the paper exchange."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from option_baskets.adapters.brokers.fills import Trade, Wanted
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.paper_book import Entry
from option_baskets.adapters.brokers.paper_floor import Floor, Working
from option_baskets.adapters.brokers.paper_line import Line
from option_baskets.adapters.brokers.paper_rules import filled, first, refusals, state_of, totals
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Invalid, NotFound, Problem
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.order import Intent, OrderReport, OrderState
from option_baskets.domain.risk import Approved
from option_baskets.domain.session import IST


class PaperBroker:
    """One account at the paper exchange: the Broker port. Orders of an account are numbered from 1 every day."""

    def __init__(self, floor: Floor, user: str, account: str) -> None:
        self._floor = floor
        self._line = Line(floor.clock)
        self._user = user
        self._account = account
        self._orders: dict[str, Working] = {}
        self._numbers: defaultdict[date, int] = defaultdict(int)
        self._net: defaultdict[Contract, int] = defaultdict(int)

    @property
    def account(self) -> str:
        return self._account

    @property
    def behaviour(self) -> Behaviour:
        """How well the account behaves; settable."""
        return self._line.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._line.behaviour = behaviour

    @property
    def peak_calls(self) -> int:
        """Most order calls (place, modify and cancel) taken in one calendar second."""
        return self._line.peak_calls

    async def place(self, approved: Approved) -> OrderReport:
        """Take the order, match it at once, and report it: REJECTED with a message, OPEN, PARTIAL or FILLED.

        Raises:
            ValueError: the intent is for another account or user; the caller mixed up its brokers.
            Unavailable: more calls this second than the account may make, or the account is out. No order exists.
            Unclear: the order or the answer got lost, as ``Behaviour`` says. Nobody but the book knows which.
        """
        intent = approved.intent
        if (intent.user_id, intent.account) != (self._user, self._account):
            raise ValueError(
                f"intent {intent.id} is for {intent.user_id}/{intent.account}, not {self._user}/{self._account}"
            )
        at = self._line.call()
        await self._line.carry_order(intent.id, at)
        snapshot = await self._floor.market.snapshot(at)
        working = self._taken(intent, at, snapshot)
        await self._arrived(working)
        is_accepted = working.report.state is not OrderState.REJECTED
        await self._line.answer_order(intent.id, at, accepted=is_accepted)
        return working.report

    async def modify(self, broker_order_id: str, *, limit: Decimal, quantity: int) -> OrderReport:
        """Give the order a new limit and a new total quantity, what is filled included, and match it at once.

        An order in a final state stays as it is and is reported so.

        Raises:
            NotFound: the account has no such order today.
            Invalid: the exchange would not take such an order; it stays as it was.
            Unavailable, Unclear: as ``place``.
        """
        at = self._line.call()
        working = self._find(broker_order_id, at)
        is_lost = await self._line.carry_change(working.report.tag, at)
        snapshot = await self._floor.market.snapshot(at)
        report = await self._floor.whole(self._modified(working, at, snapshot, limit, quantity))
        await self._line.answer_change(report.tag, at, is_lost=is_lost)
        return report

    async def cancel(self, broker_order_id: str) -> OrderReport:
        """Cancel what is not filled. An order in a final state stays as it is and is reported so.

        Raises:
            NotFound: the account has no such order today.
            Unavailable, Unclear: as ``place``.
        """
        at = self._line.call()
        working = self._find(broker_order_id, at)
        is_lost = await self._line.carry_change(working.report.tag, at)
        if self.behaviour.crosses(working.report.tag):
            await self._floor.whole(self._filled_up(working, at))
        report = await self._floor.whole(self._cancelled(working, at, ""))
        await self._line.answer_change(report.tag, at, is_lost=is_lost)
        return report

    async def orders(self) -> tuple[OrderReport, ...]:
        """Raises:
        Unavailable: the account is out.
        """
        self._line.reach()
        today = self._floor.now().date()
        return self._line.in_book(
            (working.report, working.entry.placed_at) for working in self._orders.values() if working.entry.day == today
        )

    async def positions(self) -> Mapping[Contract, int]:
        """Net units per contract, from fills of all days; contracts that are flat or have expired are left out.

        Raises:
            Unavailable: the account is out.
        """
        self._line.reach()
        today = self._floor.now().date()
        return {contract: units for contract, units in self._net.items() if units and contract.expiry >= today}

    async def instruments(self, day: date) -> tuple[Listing, ...]:
        snapshot = await self._floor.market.snapshot(self._floor.now())
        listings = (snapshot.listing(contract) for contract in snapshot.contracts() if contract.expiry >= day)
        return tuple(listing for listing in listings if listing is not None)

    def updates(self) -> AsyncIterator[OrderReport]:
        """Every change from this call on, once it is on disk, until the exchange closes."""
        return self._line.subscribe()

    # ------------------------------------------------------------ calls

    def _find(self, broker_order_id: str, at: datetime) -> Working:
        working = self._orders.get(broker_order_id)
        if working is None or working.entry.day != at.date():
            raise NotFound(f"account {self._account} has no order {broker_order_id} on {at.date()}")
        return working

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
        # An order at a level inside a finished bar met the prices of that bar, not the one it ended with.
        band = self._floor.band(contract, snapshot) if intent.level is None else None
        message = "; ".join(refusals(contract, intent.quantity, intent.limit, listing, is_open=is_open, band=band))
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
            listing, band = snapshot.listing(contract), self._floor.band(contract, snapshot)
            problems = list(refusals(contract, quantity, limit, listing, is_open=is_open, band=band))
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

    async def _filled_up(self, working: Working, at: datetime) -> None:
        """Fill all that is left, at the order's own limit: somebody took it before the cancel came."""
        async with working.turn:
            report = working.report
            if report.state.is_final:
                return
            trades = (Trade(report.quantity - report.filled, report.limit),)
            await self._changed(
                working, replace(working.entry, report=filled(report, trades, at)), trades, working.quote
            )

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
        self._line.show(report)

    def _forget_before(self, day: date) -> None:
        """Earlier days are in the book; in memory is only what can still change."""
        self._orders = {
            order_id: working
            for order_id, working in self._orders.items()
            if working.entry.day >= day or not working.report.state.is_final
        }

    @property
    def held(self) -> Mapping[Contract, int]:
        """Net units per contract, what has expired and is not settled included."""
        return {contract: units for contract, units in self._net.items() if units}

    def hold(self, contract: Contract, units: int) -> None:
        """Add units to the position that no order of this process brought: of earlier days, of a settlement."""
        self._net[contract] += units

    def end_updates(self) -> None:
        self._line.end()
