"""Passwords: which are taken, and argon2id in threads of its own.

Rules are those of NIST SP 800-63B-4 for a password that is the only factor: at least 15 characters, any characters,
nothing about digits or symbols, no change without cause; what everybody tries first is refused.
"""

import asyncio
import base64
import re
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from option_baskets.domain.errors import TooMany

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SHORTEST = 15
LONGEST = 128
_FEWEST_OF_ITS_OWN = 5
"""Different characters that must be left when all that is guessed first is taken away."""
_COMMON = (
    "123123", "abcabc", "access", "admin", "baskets", "changeme", "dragon", "football", "hello", "iloveyou", "letmein",
    "login", "master", "monkey", "option", "passphrase", "password", "passwort", "princess", "p@ssw0rd", "passw0rd",
    "qwerty", "secret", "shadow", "sunshine", "superman", "trading", "trustno", "welcome", "zerodha",
)  # fmt: skip
_ROWS = ("1234567890", "0987654321", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHORTEST_RUN = 4
_MOST_WAITING = 64


def normalized(password: str) -> str:
    """The same password in the same bytes, however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


def complaint(password: str, email: str) -> str:
    """What is wrong with a new password, and what to do; empty if nothing is."""
    password = normalized(password)
    if len(password) < SHORTEST:
        return f"has {len(password)} characters; at least {SHORTEST} are needed, e.g. four words with spaces"
    if len(password) > LONGEST:
        return f"has {len(password)} characters; at most {LONGEST} are possible"
    if len(set(_without_common(password.casefold(), email))) < _FEWEST_OF_ITS_OWN:
        return "is made of what is tried first: common words, rows of keys, repetitions, the email; take other words"
    return ""


def _without_common(password: str, email: str) -> str:
    """What is left of a password without words that are guessed first, and without runs along an alphabet or a row."""
    of_email = (email.casefold(), *re.split(r"\W+", email.casefold()))
    words = {*_COMMON, *(word for word in of_email if len(word) >= _SHORTEST_RUN)}
    for word in sorted(words, key=len, reverse=True):
        password = password.replace(word, "")
    for row in _ROWS:
        for length in range(len(row), _SHORTEST_RUN - 1, -1):
            for start in range(len(row) - length + 1):
                password = password.replace(row[start : start + length], "")
    return password


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one hash; OWASP's first choice for argon2id: 46 MiB once, about 60 ms of one core."""

    passes: int = 1
    memory: int = 47_104
    """KiB."""


class Hashing:
    """Hashes and verifies in two threads, so that a hundred logins at once take neither all memory nor every core.

    Raises:
        TooMany: so many passwords wait for these threads that one more would wait for long.
    """

    def __init__(self, cost: Cost | None = None) -> None:
        cost = cost or Cost()
        self._argon2 = PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory, parallelism=1)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobody = _never_matches(cost)

    async def hash(self, password: str) -> str:
        return await self._in_thread(self._argon2.hash, _bytes(password))

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether it is the password of a hash; with None never, after as much work."""
        return await self._in_thread(self._verify, known or self._nobody, _bytes(password))

    def is_outdated(self, known: str) -> bool:
        """Whether it was made at another cost than hashes are now."""
        return self._argon2.check_needs_rehash(known)

    def close(self) -> None:
        self._threads.shutdown()

    def _verify(self, known: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if self._waiting >= _MOST_WAITING:
            raise TooMany("too many passwords are being checked at once; try again in a few seconds", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


def _bytes(password: str) -> bytes:
    return normalized(password).encode(errors="surrogatepass")


def _never_matches(cost: Cost) -> str:
    """A hash of no password: random bytes where the hash would be."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={cost.memory},t={cost.passes},p=1${salt}${digest}"
