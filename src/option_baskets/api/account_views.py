"""Broker accounts as they are shown: which secrets are set, and none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import WithJsonSchema

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.credentials import Needed
from option_baskets.store.secrets import AccountSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretField:
    """One secret the broker asks for."""

    name: str
    required: bool
    is_set: bool
    note: str
    """What it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """What is known of an account's secrets. They are never shown."""

    is_complete: bool
    """Whether all that the broker requires is set."""
    rotated_at: datetime | None
    """When they were given last; null where none are."""
    fields: tuple[SecretField, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """A broker account."""

    id: str
    broker: str
    charges_as: str
    """Whose brokerage and rate limits apply."""
    max_daily_loss: Annotated[Decimal, WithJsonSchema({"type": "number"})] | None
    """Rupees of net loss in a day at which everything on it is left for the rest of the day. A number, as in a file."""
    secret: SecretView
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView:
    """What came of asking the broker."""

    result: str
    """``connected``, ``no_connection``, ``unavailable`` or ``refused``."""
    detail: str
    orders: int | None
    """Of the day, on the account; null unless it is connected."""
    positions: int | None
    """Contracts that are not flat; null unless it is connected."""


def account_view(account: BrokerAccount, needed: Sequence[Needed], secret: AccountSecret | None) -> AccountView:
    given = () if secret is None else secret.fields
    fields = tuple(
        SecretField(name=each.field, required=each.is_required, is_set=each.field in given, note=each.note)
        for each in needed
    )
    is_complete = all(each.is_set for each in fields if each.required)
    rotated_at = None if secret is None else secret.rotated_at
    return AccountView(
        id=account.id,
        broker=account.broker,
        charges_as=account.charges_as,
        max_daily_loss=account.max_daily_loss,
        secret=SecretView(is_complete=is_complete, rotated_at=rotated_at, fields=fields),
        version=account.version,
    )


EXAMPLE = account_view(
    BrokerAccount(id="zerodha-1", broker="zerodha", max_daily_loss=Decimal(20000), version=1),
    (
        Needed(field="api_key", is_required=True, note="of the Kite Connect app"),
        Needed(field="api_secret", is_required=True, note="of the same app"),
        Needed(field="access_token", is_required=False, note="of today's login by a person"),
    ),
    AccountSecret(
        user_id="",
        account_id="zerodha-1",
        fields=("api_key", "api_secret"),
        rotated_at=datetime(2026, 11, 23, 3, 30, tzinfo=UTC),
        sealed=b"",
    ),
)
