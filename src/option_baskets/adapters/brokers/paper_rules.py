"""What an exchange refuses, and how trades change an order: pure functions."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from option_baskets.adapters.brokers.fills import Trade
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.money import ZERO
from option_baskets.domain.order import OrderReport, OrderState
from option_baskets.domain.price_band import Band


def refusals(
    contract: Contract, quantity: int, limit: Decimal, listing: Listing | None, *, is_open: bool, band: Band | None
) -> Iterator[str]:
    """Everything an exchange has against such a LIMIT order, in words for a person; nothing where it takes it."""
    if listing is None:
        yield f"{contract.name} is not listed"
        return
    if not is_open:
        yield f"{contract.name} is not trading now"
    if quantity <= 0 or quantity % listing.lot_size:
        yield f"quantity {quantity} is not a positive multiple of the lot {listing.lot_size}"
    if listing.freeze_quantity is not None and quantity > listing.freeze_quantity:
        yield f"quantity {quantity} is above the freeze quantity {listing.freeze_quantity}"
    if limit <= 0 or limit % listing.tick:
        yield f"limit {limit} is not a positive multiple of the tick {listing.tick}"
    if band is not None and limit not in band:
        yield f"limit {limit} is outside the price protection of {band.low} to {band.high}"


def totals(trades: Iterable[Trade]) -> tuple[int, Decimal]:
    """Units and value (rupees, exact) of the trades."""
    done, value = 0, ZERO
    for trade in trades:
        done += trade.quantity
        value += trade.price * trade.quantity
    return done, value


def state_of(done: int, quantity: int) -> OrderState:
    """The state of a working order of which this much is filled."""
    if done == 0:
        return OrderState.OPEN
    return OrderState.FILLED if done == quantity else OrderState.PARTIAL


def first(most: int, trades: Iterable[Trade]) -> tuple[Trade, ...]:
    """The first ``most`` units of the trades."""
    kept = []
    for trade in trades:
        if most == 0:
            break
        quantity = min(trade.quantity, most)
        kept.append(Trade(quantity, trade.price))
        most -= quantity
    return tuple(kept)


def filled(report: OrderReport, trades: Iterable[Trade], at: datetime) -> OrderReport:
    """The order after these trades; as it was where there are none."""
    done, value = totals(trades)
    if done == 0:
        return report
    done += report.filled
    return replace(report, state=state_of(done, report.quantity), filled=done, value=report.value + value, at=at)
