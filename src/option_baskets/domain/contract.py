"""What is traded: contracts, and what a contract list says of each."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a BUY, -1 for a SELL: the sign of the position it opens."""
        return 1 if self is Side.BUY else -1


class ContractType(StrEnum):
    CE = "CE"
    PE = "PE"
    FUT = "FUT"

    @property
    def is_option(self) -> bool:
        return self is not ContractType.FUT

    @property
    def out_of_money(self) -> int:
        """+1 where a higher strike is further out of the money (CE), -1 where a lower one is (PE)."""
        return -1 if self is ContractType.PE else 1


@dataclass(frozen=True, slots=True, kw_only=True, order=False)
class Contract:
    """One listed instrument. ``strike`` is in index points and None for a future."""

    underlying: str
    expiry: date
    type: ContractType
    strike: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.strike is None) == self.type.is_option:
            raise ValueError(f"{self.type} of {self.underlying}: an option has a strike, a future has none")

    @property
    def name(self) -> str:
        """A readable name, e.g. ``NIFTY 24-Nov-2026 26000 CE``. Not a broker symbol."""
        strike = f" {self.strike:f}" if self.strike is not None else ""
        return f"{self.underlying} {self.expiry:%d-%b-%Y}{strike} {self.type}"

    @property
    def key(self) -> str:
        """A sortable identity, e.g. ``NIFTY|2026-11-24|00026000.00|CE``."""
        strike = self.strike if self.strike is not None else Decimal(0)
        return f"{self.underlying}|{self.expiry.isoformat()}|{strike:011.2f}|{self.type}"


def contract_of(key: str) -> Contract:
    """The contract with this key."""
    underlying, expiry, strike, type_ = key.split("|")
    type_of = ContractType(type_)
    at = Decimal(f"{Decimal(strike).normalize():f}") if type_of.is_option else None
    return Contract(underlying=underlying, expiry=date.fromisoformat(expiry), strike=at, type=type_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the day's contract list says of one contract; in replay the recorded list is trusted over the calendar."""

    contract: Contract
    lot_size: int
    """Units per lot."""
    tick: Decimal = Decimal("0.05")
    """Smallest price step, rupees per unit."""
    freeze_quantity: int | None = None
    """Largest quantity of one order, in units; None means no slicing."""
    series: str = "weekly"
    """``weekly``, ``monthly`` or ``long`` (quarterly and half-yearly)."""
