"""Domain values as the live stream writes them."""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from option_baskets.domain.contract import Contract
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.money import price, rupees
from option_baskets.domain.session import IST
from option_baskets.engine.live_messages import ContractTold


@lru_cache(maxsize=10_000)
def contract_told(contract: Contract) -> ContractTold:
    return ContractTold(
        underlying=contract.underlying,
        expiry=contract.expiry,
        strike=None if contract.strike is None else f"{contract.strike.normalize():f}",
        type=contract.type,
    )


def run_id_told(run_id: str) -> str | None:
    return public_run_id(run_id) if run_id else None


def rupees_told(amount: Decimal) -> str:
    return f"{rupees(amount):f}"


def price_told(value: Decimal) -> str:
    return f"{price(value):f}"


def price_or_none(value: Decimal | None) -> str | None:
    return None if value is None else f"{price(value):f}"


def rupees_or_none(value: Decimal | None) -> str | None:
    return None if value is None else f"{rupees(value):f}"


def time_told(at: datetime) -> datetime:
    """On the exchange's clock; nearly always it is so already."""
    return at if at.utcoffset() == IST.utcoffset(at) else at.astimezone(IST)


def time_or_none(at: datetime | None) -> datetime | None:
    return None if at is None else time_told(at)
