"""A whole market a test can write by hand: listings, and prices that hold from an instant on; and a clock to move."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from option_baskets.domain.contract import Contract, ContractType, Listing
from option_baskets.domain.market import Bar, Quote

Number = Decimal | int | str
"""Never a float: prices are exact."""


def option(underlying: str, expiry: date, strike: Number, type_: ContractType | str) -> Contract:
    return Contract(underlying=underlying, expiry=expiry, type=ContractType(type_), strike=Decimal(strike))


def future(underlying: str, expiry: date) -> Contract:
    return Contract(underlying=underlying, expiry=expiry, type=ContractType.FUT)


def chain(
    underlying: str,
    expiry: date,
    strikes: Iterable[Number],
    *,
    lot_size: int,
    freeze_quantity: int | None = None,
    tick: Number = "0.05",
    series: str = "weekly",
) -> tuple[Listing, ...]:
    """A call and a put at every strike."""
    return tuple(
        Listing(
            contract=option(underlying, expiry, strike, type_),
            lot_size=lot_size,
            tick=Decimal(tick),
            freeze_quantity=freeze_quantity,
            series=series,
        )
        for strike in strikes
        for type_ in (ContractType.CE, ContractType.PE)
    )


class SmallMarket:
    """Market data, and the opens of recorded data, from what a test set. Underlyings are named by their spot."""

    def __init__(self, listings: Iterable[Listing], *, stale_after: timedelta = timedelta(seconds=60)) -> None:
        self.listings = {listing.contract: listing for listing in listings}
        self.stale_after = stale_after
        self.snapshots_taken = 0
        self._quotes: defaultdict[Contract | str, list[tuple[datetime, Quote]]] = defaultdict(list)
        self._opens: dict[tuple[Contract, datetime], Decimal] = {}
        self.settlements: dict[tuple[str, date], Decimal] = {}

    def set(
        self,
        thing: Contract | str,
        at: datetime,
        last: Number,
        *,
        bid: Number | None = None,
        ask: Number | None = None,
        bid_quantity: int | None = None,
        ask_quantity: int | None = None,
        bar: Bar | None = None,
    ) -> None:
        """From ``at`` on, until it is set anew, this is the price of a contract or of an underlying's spot."""
        quote = Quote(
            last=Decimal(last),
            as_of=at,
            bid=None if bid is None else Decimal(bid),
            ask=None if ask is None else Decimal(ask),
            bid_quantity=bid_quantity,
            ask_quantity=ask_quantity,
            bar=bar,
        )
        self._quotes[thing].append((at, quote))
        self._quotes[thing].sort(key=lambda known: known[0])

    def open(self, contract: Contract, at: datetime, price: Number) -> None:
        """The bar starting at ``at`` opens here; only an order sent then may know."""
        self._opens[contract, at] = Decimal(price)

    def fill_price(self, contract: Contract, at: datetime) -> Decimal | None:
        opened = self._opens.get((contract, at))
        quote = self.quote(contract, at)
        return quote.last if opened is None and quote is not None else opened

    def quote(self, thing: Contract | str, at: datetime) -> Quote | None:
        known = self._quotes[thing]
        index = bisect_right(known, at, key=lambda each: each[0])
        return known[index - 1][1] if index else None

    def view(self, at: datetime) -> "SmallSnapshot":
        return SmallSnapshot(self, at)

    async def snapshot(self, at: datetime) -> "SmallSnapshot":
        self.snapshots_taken += 1
        return self.view(at)

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        return self.settlements.get((underlying, expiry))


@dataclass(frozen=True, slots=True)
class SmallSnapshot:
    market: SmallMarket
    at: datetime

    @property
    def stale_after(self) -> timedelta:
        return self.market.stale_after

    def quote(self, contract: Contract) -> Quote | None:
        return self.market.quote(contract, self.at)

    def spot(self, underlying: str) -> Quote | None:
        return self.market.quote(underlying, self.at)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        return self._expiries(underlying, ("weekly", "monthly", "long"))

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]:
        return self._expiries(underlying, ("monthly",))

    def listing(self, contract: Contract) -> Listing | None:
        return self.market.listings.get(contract)

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        listed = (each for each in self.market.listings if (each.underlying, each.expiry) == (underlying, expiry))
        return tuple(sorted({each.strike for each in listed if each.strike is not None}))

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        strikes = self.strikes(underlying, expiry)
        return min(higher - lower for lower, higher in pairwise(strikes))

    def contracts(self) -> Iterable[Contract]:
        return tuple(self.market.listings)

    def _expiries(self, underlying: str, series: Sequence[str]) -> tuple[date, ...]:
        listings = self.market.listings.values()
        return tuple(
            sorted({x.contract.expiry for x in listings if x.contract.underlying == underlying and x.series in series})
        )


class HandClock:
    """A clock that stands still until a test moves it; sleepers wake in the order they are due."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    def move_to(self, at: datetime) -> None:
        self._now = max(self._now, at)
        for due, _, event in sorted(self._sleepers, key=lambda sleeper: sleeper[:2]):
            if due <= self._now:
                event.set()

    def move(self, by: timedelta) -> None:
        self.move_to(self._now + by)

    @property
    def sleeping(self) -> int:
        return len(self._sleepers)

    async def pause(self, span: timedelta) -> None:
        await self.sleep_until(self._now + span)

    async def sleep_until(self, at: datetime) -> None:
        if self._now >= at:
            return
        sleeper = (at, len(self._sleepers), asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[2].wait()
        finally:
            self._sleepers.remove(sleeper)
