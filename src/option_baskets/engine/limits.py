"""The limit price of a marketable order: the quote it must meet, a buffer to meet it after a small move, a cap."""

from decimal import Decimal

from option_baskets.domain.contract import Side
from option_baskets.domain.market import Quote
from option_baskets.domain.money import HUNDRED, tick_down, tick_up
from option_baskets.domain.price_band import Band

BUFFER_PERCENT = Decimal(1)
LEAST_BUFFER = Decimal("0.50")
"""Rupees per unit; matters for cheap options, where one percent is less than a tick."""
LEAST_SLIPPAGE = Decimal(2)
"""Rupees per unit an entry may always be chased."""


def marketable(
    side: Side, quote: Quote, tick: Decimal, cap: Decimal | None = None, band: Band | None = None
) -> Decimal:
    """A limit that fills at once unless the market runs away, in rupees per unit, a positive multiple of the tick.

    ``cap`` is the worst price an entry may pay (BUY) or take (SELL); outside ``band`` the exchange takes no limit.
    """
    limit = _limit(side, quote, tick, cap)
    return limit if band is None else band.nearest(limit, tick)


def is_beyond(side: Side, quote: Quote, cap: Decimal) -> bool:
    """Whether the best price an order meets now, the last one where no book is known, is worse than ``cap``."""
    best = quote.ask if side is Side.BUY else quote.bid
    other = quote.bid if side is Side.BUY else quote.ask
    if best is None:
        best = quote.last if other is None else None
    return best is not None and (best > cap if side is Side.BUY else best < cap)


def _limit(side: Side, quote: Quote, tick: Decimal, cap: Decimal | None) -> Decimal:
    best = quote.ask if side is Side.BUY else quote.bid
    price = best if best is not None else quote.last
    buffer = max(price * BUFFER_PERCENT / HUNDRED, LEAST_BUFFER)
    if side is Side.BUY:
        limit = tick_up(price + buffer, tick)
        return limit if cap is None else max(tick, min(limit, tick_down(cap, tick)))
    limit = tick_down(price - buffer, tick)
    return max(tick, limit if cap is None else max(limit, tick_up(cap, tick)))


def slippage_cap(side: Side, known: Decimal, percent: Decimal) -> Decimal:
    """The worst price an entry is chased to, from the price known at its minute. Never below 0."""
    room = max(known * percent / HUNDRED, LEAST_SLIPPAGE)
    return known + room if side is Side.BUY else max(Decimal(0), known - room)
