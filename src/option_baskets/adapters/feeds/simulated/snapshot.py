"""Quotes of a simulated day at one instant, as domain.market.Snapshot wants them."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from option_baskets.adapters.brokers.fills import Level
from option_baskets.adapters.feeds.simulated import book
from option_baskets.adapters.feeds.simulated.book import Touch
from option_baskets.adapters.feeds.simulated.chain import Expiry
from option_baskets.adapters.feeds.simulated.market import Index, SimulatedMarket
from option_baskets.domain.contract import Contract, Listing, Side
from option_baskets.domain.market import Quote

VIX: Final = "INDIAVIX"
STALE_AFTER: Final = timedelta(seconds=10)
_PAISA: Final = Decimal("0.01")


class SimulatedSnapshot:
    """domain.market.Snapshot of a simulated market. No quote is ever older than a second while the market trades.

    Before the open there are no quotes and the spot is the previous close. A contract that has stopped trading keeps
    its last price and has no book; in a halt every contract is so, and the index stands where it stood.
    """

    __slots__ = ("_as_of", "_i", "_market", "_opened", "_quotes", "_touches", "_trading", "at")

    def __init__(self, market: SimulatedMarket, at: datetime) -> None:
        self.at = at
        self._market = market
        session = market.session
        halt = session.halt_at(at)
        self._i = market.point(halt.open if halt else at)
        self._opened = at >= session.open
        self._trading = session.is_open(at)
        ended = [halt.open] if halt else [window.close for window in session.windows if window.close <= at]
        self._as_of = at.replace(microsecond=0) if self._trading or not ended else ended[-1]
        self._touches: dict[tuple[str, date, bool], _Rows] = {}
        self._quotes: dict[Contract, Quote | None] = {}

    @property
    def stale_after(self) -> timedelta:
        return STALE_AFTER

    def quote(self, contract: Contract) -> Quote | None:
        try:
            return self._quotes[contract]
        except KeyError:
            quote = self._quotes[contract] = self._quote(contract)
            return quote

    def spot(self, underlying: str) -> Quote | None:
        if underlying == VIX:
            return self._vix()
        index = self._market.indices.get(underlying)
        if index is None:
            return None
        if not self._opened:
            return Quote(last=_points(index.previous_close), as_of=self._as_of)
        return Quote(last=_points(float(index.spot[self._i])), as_of=self._as_of)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        index = self._market.indices.get(underlying)
        return tuple(index.chain.expiries) if index else ()

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]:
        index = self._market.indices.get(underlying)
        return tuple(day for day, row in index.chain.expiries.items() if row.has_future) if index else ()

    def listing(self, contract: Contract) -> Listing | None:
        index = self._market.indices.get(contract.underlying)
        return index.chain.listing(contract) if index else None

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        index = self._market.indices.get(underlying)
        row = index.chain.expiries.get(expiry) if index else None
        return row.strikes if row else ()

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        """Raises KeyError for an index that is not simulated."""
        return self._market.indices[underlying].chain.step

    def contracts(self) -> Iterable[Contract]:
        for index in self._market.indices.values():
            for row in index.chain.expiries.values():
                yield from row.options
                if row.has_future:
                    yield row.future

    def depth(self, contract: Contract, side: Side) -> tuple[Level, ...]:
        """The levels an order of ``side`` would take, best first; empty where nobody quotes that side."""
        quote, listing = self.quote(contract), self.listing(contract)
        if quote is None or listing is None:
            return ()
        buying = side is Side.BUY
        best, quantity = (quote.ask, quote.ask_quantity) if buying else (quote.bid, quote.bid_quantity)
        if best is None or quantity is None:
            return ()
        spread = (quote.ask - quote.bid) if quote.ask is not None and quote.bid is not None else listing.tick
        ladder = book.ladder(
            int(best / listing.tick),
            quantity // listing.lot_size,
            spread=int(spread / listing.tick),
            side=side.sign,
        )
        return tuple(Level(_price(ticks, listing.tick), lots * listing.lot_size) for ticks, lots in ladder)

    def _quote(self, contract: Contract) -> Quote | None:
        market = self._market
        index = market.indices.get(contract.underlying)
        row = index.chain.expiries.get(contract.expiry) if index else None
        if index is None or row is None or not self._opened:
            return None
        is_future = contract.strike is None
        place = (0 if row.has_future else None) if is_future else row.position(contract)
        if place is None:
            return None
        over = row.horizon.sessions == 0 and self._i >= index.closes_at
        touch = self._touch(index, row, is_future, min(self._i, index.closes_at) if over else self._i)
        tick = index.chain.tick
        last = _price(touch.last[place], tick)
        if over or not self._trading:
            return Quote(last=last, as_of=self._as_of)
        bid = touch.bid[place]
        return Quote(
            last=last,
            as_of=self._as_of,
            bid=_price(bid, tick) if bid else None,
            ask=_price(touch.ask[place], tick),
            bid_quantity=touch.bid_lots[place] * row.lot if bid else None,
            ask_quantity=touch.ask_lots[place] * row.lot,
        )

    def _touch(self, index: Index, row: Expiry, is_future: bool, i: int) -> "_Rows":
        key = (index.name, row.date, is_future)
        rows = self._touches.get(key)
        if rows is None:
            hurry = float(self._market.hurry(i))
            touch = index.future(row, i, hurry) if is_future else index.options(row, i, hurry)
            rows = self._touches[key] = _Rows(touch)
        return rows

    def _vix(self) -> Quote | None:
        first = next(iter(self._market.indices.values()))
        if not self._opened:
            return None
        return Quote(last=_points(float(first.surface.vix(self._i))), as_of=self._as_of)


class _Rows:
    """A touch as Python numbers, which are quicker to pick from one by one."""

    __slots__ = ("ask", "ask_lots", "bid", "bid_lots", "last")

    def __init__(self, touch: Touch) -> None:
        self.bid: list[int] = touch.bid.tolist()
        self.ask: list[int] = touch.ask.tolist()
        self.last: list[int] = touch.last.tolist()
        self.bid_lots: list[int] = touch.bid_lots.tolist()
        self.ask_lots: list[int] = touch.ask_lots.tolist()


@lru_cache(maxsize=1 << 18)
def _price(ticks: int, tick: Decimal) -> Decimal:
    return ticks * tick


def _points(value: float) -> Decimal:
    return round(value * 100) * _PAISA
