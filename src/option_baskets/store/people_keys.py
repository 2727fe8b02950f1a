"""Keys of users and logins, in the table of identity; made as those of ``store/keys.py`` are."""

import hashlib
from datetime import datetime

from option_baskets.store.keys import Key, part, timestamp


def user(user_id: str) -> Key:
    return part(user_id), "USER"


def email(address: str) -> Key:
    """Whose an email is. Keys are shown in errors, so this has a hash of it."""
    return f"EMAIL#{hashlib.sha256(address.encode(errors='surrogatepass')).hexdigest()}", "EMAIL"


def users_of_shard(shard: int) -> str:
    """AllocationsByStrategy partition: the users of the shard."""
    return f"USERS#{shard}"


def login(user_id: str, login_id: str) -> Key:
    return part(user_id), f"LOGIN#{part(login_id)}"


def refresh_token(digest: bytes) -> Key:
    """Whose the token with this SHA-256 is."""
    return f"TOKEN#{digest.hex()}", "TOKEN"


def attempt(subject: str, at: datetime, number: str) -> Key:
    return attempts(subject), f"{timestamp(at)}#{part(number)}"


def attempts(subject: str) -> str:
    """What counts against a subject, sorted by time."""
    return f"ATTEMPTS#{part(subject)}"


def attempts_until(at: datetime, number: str) -> tuple[str, str]:
    """The range of sort keys of attempts up to one, it included."""
    return "0", f"{timestamp(at)}#{part(number)}"


def known(subject: str) -> Key:
    """That a login succeeded, of whom and from where only a hash is known."""
    return f"KNOWN#{part(subject)}", "KNOWN"
