"""What who runs the platform does to its users; the owner of the data folder needs no login for it."""

import re
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import replace

from option_baskets.adapters.identity.attempts import login_subject
from option_baskets.adapters.identity.passwords import Hashing, complaint
from option_baskets.domain.errors import Conflict, Invalid, NotFound, Problem
from option_baskets.ports import Clock, Role
from option_baskets.store.people import People, User

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_LONGEST_EMAIL = 254
_ATTEMPTS = 20
_MOST_FORGOTTEN = 100


def new_user_id() -> str:
    """Random, so that it tells nothing and nobody gets the data of a user who was before."""
    return f"u{secrets.token_hex(8)}"


def normalized_email(email: str) -> str:
    """One text for an email however it is typed: without spaces around, without case."""
    return unicodedata.normalize("NFC", email.strip().casefold())


def problems_of(email: str, password: str, *, field: str = "password") -> list[Problem]:
    """What keeps an email, normalized, and a new password from being a user's."""
    found = []
    if len(email) > _LONGEST_EMAIL or not _EMAIL.fullmatch(email) or not email.isprintable():
        message = "is no email address; write it as name@example.org, at most 254 characters"
        found.append(Problem(where="email", message=message))
    if wrong := complaint(password, email):
        found.append(Problem(where=field, message=f"the password {wrong}"))
    return found


class Roster:
    """Each change is checked against the newest version of the user and takes effect at once, in every process."""

    def __init__(self, people: People, hashing: Hashing, wall: Clock) -> None:
        self._people = people
        self._hashing = hashing
        self._wall = wall

    async def add(self, email: str, password: str, *, role: Role = Role.USER, user_id: str | None = None) -> User:
        """Make a user; of ``user_id``, where the partition is there already.

        Raises:
            Invalid: the email or the password cannot be taken, or the email or the partition has a user.
        """
        email = normalized_email(email)
        if problems := problems_of(email, password):
            raise Invalid(problems)
        user = User(
            id=user_id or new_user_id(),
            email=email,
            password=await self._hashing.hash(password),
            created_at=self._wall.now(),
            role=role,
        )
        try:
            return await self._people.add_user(user)
        except Conflict:
            raise Invalid(await self._taken(user)) from None

    async def users(self) -> list[User]:
        return await self._people.users()

    async def set_role(self, email: str, role: Role) -> User:
        return await self._change(email, lambda user: replace(user, role=role))

    async def set_password(self, email: str, password: str) -> User:
        """Give a user a new password, end every login, and forget attempts that failed.

        Raises:
            Invalid: the password cannot be taken.
        """
        email = normalized_email(email)
        if problems := problems_of(email, password):
            raise Invalid(problems)
        hashed = await self._hashing.hash(password)
        changed = await self._change(email, lambda user: replace(user, password=hashed, era=user.era + 1))
        failed = await self._people.attempts(login_subject(email), most=_MOST_FORGOTTEN)
        await self._people.commit(*map(self._people.delete_attempt, failed))
        return changed

    async def remove_second_factor(self, email: str) -> User:
        return await self._change(email, lambda user: replace(user, factor=None))

    async def disable(self, email: str) -> User:
        """End every login and let no new one begin. What trades goes on; that is the kill switch's to stop."""
        return await self._change(email, lambda user: replace(user, disabled=True, era=user.era + 1))

    async def enable(self, email: str) -> User:
        return await self._change(email, lambda user: replace(user, disabled=False))

    async def _change(self, email: str, change: Callable[[User], User]) -> User:
        for _ in range(_ATTEMPTS):
            user = await self._people.user_of(normalized_email(email))
            if user is None:
                raise NotFound(f"there is no user {email}; baskets user list shows who there is")
            write, changed = self._people.put_user(change(user))
            try:
                await self._people.commit(write)
            except Conflict:
                continue
            return changed
        raise Conflict("the user is being changed again and again; try once more")

    async def _taken(self, user: User) -> Problem:
        if await self._people.user_of(user.email) is not None:
            return Problem(where="email", message="has a user already; baskets user password gives it a new password")
        message = f"{user.id} has a login already; baskets user list shows which"
        return Problem(where="user", message=message)
