"""What a login gives and what is told of a user. Secrets are left out of every ``repr``, so that none reaches a log."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a login or its renewal gives; shown once and not kept."""

    access_token: str = field(repr=False)
    expires_at: datetime
    """Of the access token."""
    refresh_token: str = field(repr=False)
    """Good once. Used again, it ends the login it belongs to."""
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A second factor that counts once it is confirmed with a code of it; shown once."""

    secret: str = field(repr=False)
    """Base32, for typing into an authenticator."""
    uri: str = field(repr=False)
    """``otpauth://``, for a QR code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What users are told of themselves."""

    user_id: str
    email: str = field(repr=False)
    role: str
    created_at: datetime
    second_factor: bool = False
    recovery_codes_left: int = 0
