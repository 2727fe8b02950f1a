"""How long logins last, who may register, and how often may be tried."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from option_baskets.adapters.identity.attempts import Limits
from option_baskets.adapters.identity.passwords import Cost


class Registration(StrEnum):
    OPEN = "open"
    """Whoever can reach the API."""
    APPROVED = "approved"
    """Whoever can reach it asks; ``baskets user enable`` lets them in."""
    CLOSED = "closed"
    """Nobody; ``baskets user add`` makes users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    access: timedelta = timedelta(minutes=15)
    """How long an access token is good."""
    idle: timedelta = timedelta(days=14)
    """How long a refresh token is good, and so a login that is not renewed."""
    longest: timedelta = timedelta(days=90)
    """After which a login ends, however often it was renewed."""
    known: timedelta = timedelta(days=60)
    """How long it is remembered from where a login succeeded."""
    registration: Registration = Registration.OPEN
    limits: Limits = field(default_factory=Limits)
    cost: Cost = field(default_factory=Cost)
