"""The exchange's price protection: how far from where a contract trades a limit price may lie."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from option_baskets.domain.contract import Contract
from option_baskets.domain.facts import Facts, Instrument, in_force
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.money import HUNDRED, tick_down, tick_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Limits from ``low`` to ``high``, rupees per unit, are taken; ``low`` may be zero."""

    low: Decimal
    high: Decimal

    def __contains__(self, limit: Decimal) -> bool:
        return self.low <= limit <= self.high

    def nearest(self, limit: Decimal, tick: Decimal) -> Decimal:
        """The limit inside the band nearest to this one, a positive multiple of the tick."""
        return max(tick, min(max(limit, tick_up(self.low, tick)), tick_down(self.high, tick)))


def price_band(facts: Facts, contract: Contract, on: date, reference: Decimal) -> Band | None:
    """The band around a reference price in rupees per unit; None where the exchange has none on that day.

    The exchange's reference is its average of the last 30 seconds of trades; ours is the last price known.
    """
    exchange = exchange_of(facts, contract.underlying)
    instrument = Instrument.OPTION if contract.type.is_option else Instrument.FUTURE
    row = in_force(
        (row for row in facts.price_bands if exchange in row.exchanges and instrument in row.instruments), on
    )
    if row is None:
        return None
    width = max(reference * row.percent / HUNDRED, row.least)
    return Band(low=max(Decimal(0), reference - width), high=reference + width)
