"""What an order costs: dated rates, exact and unrounded, with nothing guessed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.facts import Exchange, Facts


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
    def unknown(self) -> tuple[str, ...]:
        """Names of the components nobody could tell us."""
        raise NotImplementedError

    @property
    def total(self) -> Decimal | None:
        raise NotImplementedError


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

    Raises:
        Invalid: no brokerage is known of that broker at all.
    """
    raise NotImplementedError


def stt_exercise(facts: Facts, *, exchange: Exchange | str, intrinsic_value: Decimal, on: date) -> Decimal | None:
    """What the holder of an in-the-money option pays at expiry, rupees unrounded; None where no rate is known."""
    raise NotImplementedError


def day_rounding(day: Iterable[Charges]) -> Decimal | None:
    """What rounding STT and stamp duty to the rupee adds to one account's day (one contract note); None if unknown."""
    raise NotImplementedError
