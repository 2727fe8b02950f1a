"""What an order costs: dated rates, exact and unrounded, with nothing guessed."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Charge, ChargedSide, Exchange, Facts, Instrument, Rate, in_force
from option_baskets.domain.money import HUNDRED, ONE, ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """Rupees, unrounded. A component is None where no rate is known for its date; then so is the total."""

    brokerage: Decimal | None
    exchange_txn: Decimal | None
    ipft: Decimal | None
    sebi_fee: Decimal | None
    stt: Decimal | None
    stamp_duty: Decimal | None
    gst: Decimal | None

    @property
    def components(self) -> dict[str, Decimal | None]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the components without a known rate; GST is among them where its base is."""
        return tuple(name for name, amount in self.components.items() if amount is None)

    @property
    def total(self) -> Decimal | None:
        return _sum(self.components.values())


UNKNOWN = Charges(**dict.fromkeys((field.name for field in fields(Charges)), None))
"""Where no rate is known at all."""


def order_charges(
    facts: Facts,
    *,
    broker: str,
    exchange: Exchange | str,
    type: ContractType,  # noqa: A002  the word of the field, as on Contract
    side: Side,
    quantity: int,
    value: Decimal,
    on: date,
) -> Charges:
    """Charges of one order on its cumulative fills: ``value`` is premium turnover, of a future the contract value.

    Nothing filled (``quantity`` 0) costs nothing.

    Raises:
        Invalid: no brokerage is known of that broker at all.
    """
    instrument = Instrument.OPTION if type.is_option else Instrument.FUTURE
    brokerage = _brokerage(facts, broker, instrument, value, on)
    if quantity == 0:
        return Charges(**dict.fromkeys((field.name for field in fields(Charges)), ZERO))

    def charged(charge: Charge, base: Decimal | None) -> Decimal | None:
        rate = _rate(facts, charge, Exchange(exchange), instrument, on)
        if rate is None or base is None:
            return None
        if rate.side not in {ChargedSide.BOTH, ChargedSide(side.lower())}:
            return ZERO
        return None if rate.percent is None else base * rate.percent / HUNDRED

    exchange_txn = charged(Charge.EXCHANGE_TXN, value)
    sebi_fee = charged(Charge.SEBI_FEE, value)
    return Charges(
        brokerage=brokerage,
        exchange_txn=exchange_txn,
        ipft=charged(Charge.IPFT, value),
        sebi_fee=sebi_fee,
        stt=charged(Charge.STT, value),
        stamp_duty=charged(Charge.STAMP_DUTY, value),
        gst=charged(Charge.GST, _sum((brokerage, exchange_txn, sebi_fee))),
    )


def stt_exercise(facts: Facts, *, exchange: Exchange | str, intrinsic_value: Decimal, on: date) -> Decimal | None:
    """What the holder of an in-the-money option pays at expiry, rupees unrounded; None where no rate is known."""
    rate = _rate(facts, Charge.STT_EXERCISE, Exchange(exchange), Instrument.OPTION, on)
    if rate is None or rate.percent is None:
        return None
    return intrinsic_value * rate.percent / HUNDRED


def day_rounding(day: Iterable[Charges]) -> Decimal | None:
    """What rounding to the rupee adds (or takes, below zero) on one account's day, which is one contract note.

    STT and stamp duty are each rounded on the day's sum, half up. None where one of them is unknown.
    """
    orders = tuple(day)
    stt = _sum(order.stt for order in orders)
    stamp_duty = _sum(order.stamp_duty for order in orders)
    if stt is None or stamp_duty is None:
        return None
    return sum((amount.quantize(ONE, ROUND_HALF_UP) - amount for amount in (stt, stamp_duty)), ZERO)


def _brokerage(facts: Facts, broker: str, instrument: Instrument, value: Decimal, on: date) -> Decimal | None:
    known = {row.broker for row in facts.brokerages}
    if broker not in known:
        raise Invalid(
            f"no brokerage is known of {broker!r}; charge as one of {', '.join(sorted(known))}, "
            "or give a row of brokerage.csv in a --facts folder",
            where="charges_as",
        )
    row = in_force((row for row in facts.brokerages if row.broker == broker and row.instrument is instrument), on)
    if row is None:
        return None
    return row.rupees if row.percent is None else min(row.rupees, value * row.percent / HUNDRED)


@lru_cache(maxsize=1024)
def _rate(facts: Facts, charge: Charge, exchange: Exchange, instrument: Instrument, on: date) -> Rate | None:
    rows = (
        row
        for row in facts.rates
        if row.charge is charge and exchange in row.exchanges and instrument in row.instruments
    )
    return in_force(rows, on)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum, or None where one part is unknown: unknown plus anything is unknown."""
    total = ZERO
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total
