"""What an order on index options costs, from the table of rates of the shared market facts."""

import csv
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

from tests.conftest import SHARED
from tests.reference.positions import Position
from tests.reference.recording import date_of

RATES = SHARED / "market" / "charges.csv"
BROKERAGE = Fraction(20)
"""Rupees an executed order, of the broker whose rates a paper account has by default (brokerage.csv)."""


@cache
def _rates(path: Path, exchange: str) -> list[tuple[str, Fraction, str, str]]:
    """Charge, part of the turnover, first and last day."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            (row["charge"], Fraction(row["rate_percent"]) / 100, row["effective_from"], row["effective_to"])
            for row in csv.DictReader(file)
            if exchange in row["exchange"].split(";") and row["rate_percent"] != "slab"
        ]


@cache
def rate(charge: str, day: date) -> Fraction:
    (found,) = (
        part
        for name, part, first, last in _rates(RATES, "NSE")
        if name == charge and (first or "0000") <= day.isoformat() <= (last or "9999")
    )
    return found


def cost(position: Position, freeze: int | None) -> Fraction:
    """Of the orders that entered a position, and of those that left it."""
    return cost_on(position, freeze, None)


def cost_on(position: Position, freeze: int | None, day: date | None) -> Fraction:
    """Of those of one day, or of all."""
    leaves = "BUY" if position.side == "SELL" else "SELL"
    orders = [(position.side, position.entry_price, position.entry_time)]
    if position.exit_time is not None and position.exit_price is not None:
        orders.append((leaves, position.exit_price, position.exit_time))
    slices = _slices(position, freeze)
    return sum(
        (
            _order_cost(side, price, position.quantity, slices, date_of(at))
            for side, price, at in orders
            if day is None or date_of(at) == day
        ),
        Fraction(0),
    )


def _slices(position: Position, freeze: int | None) -> int:
    """Orders: each a whole number of lots and none above the freeze quantity."""
    if freeze is None:
        return 1
    lots_at_most = freeze // (position.quantity // position.lots)
    return -(-position.lots // lots_at_most)


@cache
def _order_cost(side: str, price: Decimal, quantity: int, slices: int, day: date) -> Fraction:
    turnover = Fraction(price) * quantity
    brokerage = BROKERAGE * slices
    exchange, sebi = rate("exchange_txn", day) * turnover, rate("sebi_fee", day) * turnover
    total = brokerage + exchange + sebi + rate("ipft", day) * turnover
    total += rate("gst", day) * (brokerage + exchange + sebi)
    return total + rate("stt_premium" if side == "SELL" else "stamp_duty", day) * turnover
