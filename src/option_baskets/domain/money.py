"""Exact money: rupees as decimals, rounded in one place.

Amounts have 2 decimals, prices 4, both half to even; rules compare exact values and never these roundings.
Order prices are multiples of the contract's tick.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)
_PAISA = Decimal("0.01")
_PRICE = Decimal("0.0001")


def rupees(amount: Decimal) -> Decimal:
    """An amount of money as it is shown: 2 decimals, half to even, and never minus nothing."""
    return amount.quantize(_PAISA, ROUND_HALF_EVEN) + ZERO


def price(value: Decimal) -> Decimal:
    """A price per unit as it is shown: 4 decimals, half to even."""
    return value.quantize(_PRICE, ROUND_HALF_EVEN)


def tick_up(value: Decimal, tick: Decimal) -> Decimal:
    """The lowest multiple of ``tick`` at or above ``value``."""
    return (value / tick).to_integral_value(ROUND_CEILING) * tick


def tick_down(value: Decimal, tick: Decimal) -> Decimal:
    """The highest multiple of ``tick`` at or below ``value``."""
    return (value / tick).to_integral_value(ROUND_FLOOR) * tick
