"""What a paper order is filled with: recorded prices in a replay, the quoted book in a live or simulated market.

A model looks at one order and one snapshot and says which units trade now, and at what price. It holds no state, so
the same order meets the same market with the same result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from option_baskets.domain.contract import Contract, Listing, Side
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.money import HUNDRED, ZERO, tick_down, tick_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The part of an order that is still to be filled."""

    contract: Contract
    side: Side
    quantity: int
    """Units not filled yet."""
    limit: Decimal
    level: Decimal | None = None
    """The price inside a recorded bar at which it fills; None for an order that meets the market."""

    def accepts(self, price: Decimal) -> bool:
        """Whether the limit allows this price."""
        return price <= self.limit if self.side is Side.BUY else price >= self.limit


@dataclass(frozen=True, slots=True)
class Trade:
    """Units traded at one price, rupees per unit."""

    quantity: int
    price: Decimal


class FillModel(Protocol):
    def trades(self, wanted: Wanted, listing: Listing, snapshot: Snapshot, taken: int) -> tuple[Trade, ...]:
        """What trades now, best price first; empty where the order rests.

        ``taken`` is how many units this order already took from the very quote the snapshot shows.
        """
        ...


class RecordedPrices(Protocol):
    """The part of a recorded market that fills need."""

    def fill_price(self, contract: Contract, at: datetime) -> Decimal | None:
        """The open of the bar starting at ``at``, or the price known there; None where there is none."""
        ...


class RecordedFills:
    """Fills of a replay: whole, at one price, worsened by ``slippage`` rupees per unit.

    An order fills whatever its limit says: a replay tells what the rules are worth, and a limit a little off the next
    open would only move the fill by a bar. Slippage never takes a SELL below one tick. An order with a level fills
    there: the finished bar traded at it. An order for a contract without any price rests.
    """

    def __init__(self, prices: RecordedPrices, *, slippage: Decimal = ZERO) -> None:
        if slippage < 0:
            raise ValueError(f"slippage {slippage} would make fills better; give 0 or more")
        self._prices = prices
        self._slippage = slippage

    def trades(self, wanted: Wanted, listing: Listing, snapshot: Snapshot, taken: int) -> tuple[Trade, ...]:
        price = wanted.level
        if price is None:
            price = self._prices.fill_price(wanted.contract, snapshot.at)
            if price is None:
                return ()
        worse = price + self._slippage * wanted.side.sign
        return (Trade(wanted.quantity, worse if wanted.side is Side.BUY else max(worse, min(price, listing.tick))),)


@dataclass(frozen=True, slots=True)
class Level:
    """One price level of a book, in rupees per unit and units."""

    price: Decimal
    quantity: int


class Depth(Protocol):
    """A market that knows more of the book than its best prices."""

    def depth(self, contract: Contract, side: Side, at: datetime) -> tuple[Level, ...]:
        """The levels an order of ``side`` would take, best first; empty where only the top is known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedFills:
    """Fills against the quoted book: level by level from the opposite best price, never worse than the limit.

    Where the market has no depth, the top of the book is the opposite best price, or the last price plus or minus half
    the modelled spread, rounded to the tick against the order; each further level is ``step_percent`` (at least one
    tick) worse, with the quantity of the top. Nothing trades beyond ``levels`` levels of one quote.
    """

    depth: Depth | None = None
    spread_percent: Decimal = Decimal("0.5")
    """Modelled spread in % of the last price, at least one tick."""
    top_lots: int = 20
    """Lots at a level where the quote does not say."""
    step_percent: Decimal = Decimal("0.5")
    levels: int = 5

    def trades(self, wanted: Wanted, listing: Listing, snapshot: Snapshot, taken: int) -> tuple[Trade, ...]:
        trades = []
        left = wanted.quantity
        for level in self._levels(wanted, listing, snapshot):
            if not wanted.accepts(level.price):
                break
            before = min(taken, level.quantity)
            taken -= before
            if quantity := min(left, level.quantity - before):
                trades.append(Trade(quantity, level.price))
                left -= quantity
            if left == 0:
                break
        return tuple(trades)

    def _levels(self, wanted: Wanted, listing: Listing, snapshot: Snapshot) -> Iterator[Level]:
        if self.depth is not None and (known := self.depth.depth(wanted.contract, wanted.side, snapshot.at)):
            yield from known
            return
        quote = snapshot.quote(wanted.contract)
        top = self._top(quote, wanted.side, listing) if quote is not None else None
        if top is None:
            return
        price, quantity = top.price, top.quantity
        for _ in range(self.levels):
            yield Level(price, quantity)
            step = tick_up(max(price * self.step_percent / HUNDRED, listing.tick), listing.tick)
            price += step * wanted.side.sign
            if price < listing.tick:
                return

    def _top(self, quote: Quote, side: Side, listing: Listing) -> Level | None:
        buying = side is Side.BUY
        best, quantity = (quote.ask, quote.ask_quantity) if buying else (quote.bid, quote.bid_quantity)
        if best is None:
            if (quote.bid if buying else quote.ask) is not None:
                return None  # the feed shows the book, and this side of it is empty
            half = max(quote.last * self.spread_percent / HUNDRED, listing.tick) / 2
            if buying:
                best = tick_up(quote.last + half, listing.tick)
            else:
                best = max(tick_down(quote.last - half, listing.tick), listing.tick)
        return Level(best, self.top_lots * listing.lot_size if quantity is None else quantity)
