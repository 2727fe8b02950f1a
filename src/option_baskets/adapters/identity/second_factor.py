"""One-time codes by time (RFC 6238: SHA-1, 30 s, six digits, as every authenticator has it), and recovery codes."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp

ISSUER = "Option Baskets"
RECOVERY_CODES = 10
_STEP = 30
_SKEW = 1
"""Steps a phone's clock may be off, each way."""


def new_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32()


def uri(secret: str, email: str) -> str:
    """What an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def step_of(code: str, secret: str, *, now: datetime, after: int) -> int | None:
    """The 30 seconds whose code it is, of those around ``now`` that are later than ``after``; None: it is none."""
    totp = pyotp.TOTP(secret)
    given = "".join(code.split()).encode(errors="replace")
    present = int(now.timestamp()) // _STEP
    matching = [
        step
        for step in range(present - _SKEW, present + _SKEW + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), given) and step > after
    ]
    return matching[-1] if matching else None


def recovery_codes() -> tuple[str, ...]:
    """Codes of 80 random bits, in four groups of letters and digits."""
    return tuple(_grouped(base64.b32encode(secrets.token_bytes(10)).decode().lower()) for _ in range(RECOVERY_CODES))


def digest(recovery_code: str) -> str:
    """What is kept of a recovery code; 80 random bits need no slow hash. Case, spaces and hyphens do not matter."""
    plain = "".join(each for each in recovery_code.lower() if each.isalnum())
    return hashlib.sha256(plain.encode(errors="replace")).hexdigest()


def _grouped(code: str) -> str:
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
