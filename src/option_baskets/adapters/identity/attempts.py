"""How often logins may be tried: by email, and by the address they come from.

An attempt is counted durably before the password is looked at, so that a thousand at once are not more than the limit;
one that succeeds is forgotten. Whether such a user exists plays no part. Somebody else's attempts do not keep a user
out who logs in from an address where the login succeeded within the last weeks: those are counted for themselves.
"""

import hashlib
import ipaddress
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from option_baskets.domain.errors import TooMany
from option_baskets.ports import Clock
from option_baskets.store.people import Attempt, People


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most so many attempts in any such span."""

    most: int
    span: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    by_email: tuple[Window, ...] = (
        Window(most=5, span=timedelta(minutes=15)),
        Window(most=30, span=timedelta(days=1)),
    )
    """Failed logins of one email, and wrong passwords or codes of one user who is logged in."""
    by_client: tuple[Window, ...] = (Window(most=50, span=timedelta(minutes=15)),)
    """Failed logins from one address, whatever the email."""
    registrations: tuple[Window, ...] = (Window(most=20, span=timedelta(hours=1)),)
    """From one address, taken or not."""


def subject_of(kind: str, *whose: str) -> str:
    """What is counted, with a hash in the place of emails and addresses."""
    return f"{kind}.{hashlib.sha256(chr(31).join(whose).encode(errors='replace')).hexdigest()[:32]}"


def login_subject(email: str, client: str = "") -> str:
    """Failed logins of an email; with a client, those from an address where a login of it succeeded."""
    return subject_of("login", *filter(None, (email, client)))


def network_of(client: str) -> str:
    """The address attempts are counted for: of IPv6 the network of 64 bits, which one customer has."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


_counter = itertools.count()


def _number() -> str:
    """Sorts by the order of calls within an instant, and is like no other of another process."""
    return f"{next(_counter):012d}{secrets.token_hex(4)}"


class Attempts:
    """Counted in the store, on the wall clock, so that neither a restart nor another process forgets them."""

    def __init__(self, people: People, wall: Clock) -> None:
        self._people = people
        self._wall = wall

    async def count(self, *limits: tuple[str, Sequence[Window]]) -> tuple[Attempt, ...]:
        """Count an attempt for each subject, and return them.

        Raises:
            TooMany: one of the subjects has reached a limit; what was refused so is not counted.
        """
        now = self._wall.now()
        for subject, windows in limits:
            await self._require_fewer(subject, windows, now)
        counted = tuple(Attempt(subject=subject, at=now, number=_number()) for subject, _ in limits)
        longest = [max(window.span for window in windows) for _, windows in limits]
        await self._people.commit(
            *(self._people.put_attempt(each, kept=kept) for each, kept in zip(counted, longest, strict=True))
        )
        for (_, windows), mine in zip(limits, counted, strict=True):
            # Those that came through the first look together see each other now, and the later ones are too many.
            await self._require_fewer(mine.subject, windows, now, before=mine)
        return counted

    async def _require_fewer(
        self, subject: str, windows: Sequence[Window], now: datetime, *, before: Attempt | None = None
    ) -> None:
        found = await self._people.attempts(subject, most=max(window.most for window in windows), before=before)
        waits = [
            (found[window.most - 1].at + window.span - now).total_seconds()
            for window in windows
            if len(found) >= window.most
        ]
        longest = max(waits, default=0)
        if longest > 0:
            raise TooMany("tried too often; wait, then try again", retry_after=ceil(longest))
