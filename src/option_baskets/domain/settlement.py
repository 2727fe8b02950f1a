"""Settlement in cash at expiry: what a contract pays at the final settlement price of its index. It is no order."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.charges import Charges, stt_exercise
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.facts import Facts
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.money import ZERO
from option_baskets.domain.session import IST


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What of a position was held at its expiry, and what it was closed at."""

    index: Decimal
    """The final settlement price of the index, points."""
    price: Decimal
    """Rupees per unit: the intrinsic value of an option, of a future the settlement price itself."""
    quantity: int
    """Units."""
    at: datetime

    @property
    def value(self) -> Decimal:
        """Rupees."""
        return self.price * self.quantity


def payoff(contract: Contract, index: Decimal) -> Decimal:
    """Rupees per unit at expiry; never below zero for an option."""
    if contract.strike is None:
        return index
    inside = index - contract.strike if contract.type is ContractType.CE else contract.strike - index
    return max(inside, ZERO)


def settlement_charges(facts: Facts, contract: Contract, side: Side, settlement: Settlement) -> Charges:
    """What settling costs the holder: exercise STT of a bought option, nothing else. None where no rate is known.

    ``side`` is that of the position; units below zero are of one that was turned round.
    """
    stt: Decimal | None = ZERO
    is_holder = settlement.quantity * side.sign > 0
    if is_holder and contract.type.is_option and settlement.value:
        stt = stt_exercise(
            facts,
            exchange=exchange_of(facts, contract.underlying),
            intrinsic_value=abs(settlement.value),
            on=settlement.at.astimezone(IST).date(),
        )
    return Charges(brokerage=ZERO, exchange_txn=ZERO, ipft=ZERO, sebi_fee=ZERO, stt=stt, stamp_duty=ZERO, gst=ZERO)
