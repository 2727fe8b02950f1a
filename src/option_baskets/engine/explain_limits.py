"""How much of every limit of size an entry takes, by account."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.errors import NotFound
from option_baskets.domain.money import HUNDRED, ZERO, rupees
from option_baskets.engine.valuation import Holding, Valuation


class Measure(StrEnum):
    TRADES = "entries a day"
    LOTS = "lots"
    VALUE = "position value"
    MARGIN = "estimated margin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one account is sent of one leg, at the price known then."""

    account: str
    contract: Contract
    side: Side
    lots: int
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One limit on one account. Rupees, or a count."""

    account: str
    measure: Measure
    taken: Decimal | None
    """By the entry; None: it cannot be worked out, and is refused."""
    limit: Decimal

    @property
    def passes(self) -> bool:
        return self.taken is not None and self.taken <= self.limit


def sizes(
    allocations: Iterable[Allocation], sent: Sequence[Sent], capital: Decimal, valuation: Valuation
) -> Iterator[Size]:
    """Of every limit that is given, what the entry at its minute takes of it while nothing else is held."""
    for allocation in allocations:
        mine = [each for each in sent if each.account == allocation.account]
        limits = allocation.limits

        def size(measure: Measure, taken: Decimal | None, limit: Decimal, account: str = allocation.account) -> Size:
            return Size(account=account, measure=measure, taken=taken, limit=limit)

        if limits.max_daily_trades is not None:
            yield size(Measure.TRADES, Decimal(len(mine)), Decimal(limits.max_daily_trades))
        if limits.max_lots is not None:
            yield size(Measure.LOTS, Decimal(sum(each.lots for each in mine)), Decimal(limits.max_lots))
        if limits.max_position_value is not None:
            value = sum((each.price * each.quantity for each in mine), ZERO)
            yield size(Measure.VALUE, value, limits.max_position_value)
        if limits.max_margin_percent is not None:
            yield size(Measure.MARGIN, _margin(mine, valuation), capital * limits.max_margin_percent / HUNDRED)


def _margin(sent: Iterable[Sent], valuation: Valuation) -> Decimal | None:
    holdings = [
        Holding(contract=each.contract, units=each.side.sign * each.quantity, price=each.price) for each in sent
    ]
    try:
        total = valuation.margin(holdings).total
    except NotFound:
        return None
    return rupees(Decimal(total)) if math.isfinite(total) else None
