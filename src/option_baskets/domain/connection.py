"""What came of asking a broker for an account."""

from dataclasses import dataclass
from enum import StrEnum


class ConnectionResult(StrEnum):
    """Codes never change."""

    CONNECTED = "connected"
    """The broker showed the account's orders and positions."""
    NO_CONNECTION = "no_connection"
    """This program has no connection to that broker; nobody was asked."""
    UNAVAILABLE = "unavailable"
    """The broker was asked and did not answer in time, or not now."""
    REFUSED = "refused"
    """The broker answered that it does not let this account in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTest:
    result: ConnectionResult
    detail: str
    """For a person: what was found, and the way out."""
    orders: int | None = None
    """Of the day, on the account; known where it is connected."""
    positions: int | None = None
    """Contracts that are not flat."""
