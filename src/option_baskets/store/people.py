"""Users, their logins and refresh tokens, and failed attempts to log in. Nothing here can be used to log in.

Passwords are hashes that were made to be slow, tokens and recovery codes are hashes of random values, the secret of a
second factor is sealed. Emails are in the item of their user only; keys, which errors may show, have a hash of them.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from option_baskets.ports import Delete, Index, Item, Put, Role, TableName
from option_baskets.store import codec, keys, people_keys
from option_baskets.store.shelf import Shelf

IDENTITY = TableName.IDENTITY
_NOBODY = "nobody"
"""The user that is read for an email nobody has, so that both take as many requests."""
_COUNTED = b"{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactor:
    """One-time codes by time (RFC 6238)."""

    sealed: bytes = field(repr=False)
    """The secret, as the vault sealed it."""
    confirmed: bool = False
    """Until then it is not asked for."""
    used_step: int = 0
    """The 30 seconds of the newest code that was taken; it and those before are not taken again."""
    recovery: tuple[str, ...] = field(default=(), repr=False)
    """Hashes of the codes that are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who may log in."""

    id: str
    """The partition of everything the user owns."""
    email: str = field(repr=False)
    password: str = field(repr=False)
    """The argon2id hash, with its salt and its cost."""
    created_at: datetime
    role: Role = Role.USER
    disabled: bool = False
    """Logs in no more, and every login has ended. Who registers where that needs approval begins so."""
    era: int = 0
    """Raised to end all logins at once: those of another era are none."""
    factor: SecondFactor | None = None
    version: int = 0

    @property
    def factor_owner(self) -> str:
        """What the secret of the second factor is sealed for."""
        return f"{self.id}/totp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login and all refresh tokens that follow from it. Only the newest is good."""

    id: str
    user_id: str
    era: int
    """The user's, when it began."""
    began_at: datetime
    expires_at: datetime
    """Unless it is renewed."""
    generation: int = 0
    """How often it was renewed."""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """Whose a refresh token is. One of an older generation than its login was used before."""

    user_id: str
    login_id: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try that counts against ``subject`` until it is forgotten."""

    subject: str
    """What is counted, and a hash of whose."""
    at: datetime
    number: str
    """Random, so that two of one instant are two."""


class People(Shelf):
    """``put_…`` methods only make writes, for a ``commit``."""

    # ------------------------------------------------------------ users

    async def add_user(self, user: User) -> User:
        """Make a user, unless the id or the email has one.

        Raises:
            Conflict: one of them has; nothing was written.
        """
        pk, sk = people_keys.email(user.email)
        owner = Put(table=IDENTITY, item=Item(pk=pk, sk=sk, body=codec.encode(user.id)), expected=0)
        made = replace(user, version=1)
        await self.commit(owner, self._put_user(made, expected=0))
        return made

    def put_user(self, user: User) -> tuple[Put, User]:
        """The write of a user that was changed, unless somebody else changed it since it was read."""
        changed = replace(user, version=user.version + 1)
        return self._put_user(changed, expected=user.version), changed

    async def user(self, user_id: str) -> User | None:
        return await self._get(IDENTITY, people_keys.user(user_id), User)

    async def user_of(self, email: str) -> User | None:
        """The user of an email; as many requests whether there is one or not."""
        found = await self._get(IDENTITY, people_keys.email(email), str)
        return await self.user(found if found is not None else _NOBODY)

    async def users(self) -> list[User]:
        """Everybody, by email."""
        shards = [
            await self._items(IDENTITY, people_keys.users_of_shard(shard), index=Index.ALLOCATIONS_BY_STRATEGY)
            for shard in range(self.shards)
        ]
        users = [self._decode(item, User) for items in shards for item in items]
        return sorted(users, key=lambda user: user.email)

    def _put_user(self, user: User, *, expected: int) -> Put:
        pk, sk = people_keys.user(user.id)
        place = people_keys.users_of_shard(self._shard(user.id)), user.id
        item = Item(pk=pk, sk=sk, body=codec.encode(user), version=user.version, gsi1=place)
        return Put(table=IDENTITY, item=item, expected=expected)

    # ------------------------------------------------------------ logins and refresh tokens

    def put_login(self, login: Login, token: bytes) -> tuple[Put, Put]:
        """The writes that begin or renew a login with a refresh token, whose SHA-256 is given.

        They fail where somebody else renewed or ended the login since it was read. It is known whose the token was
        until the token itself is too old.
        """
        pk, sk = people_keys.login(login.user_id, login.id)
        expires = keys.expiry_of(login.expires_at)
        after = replace(login, version=login.version + 1)
        item = Item(pk=pk, sk=sk, body=codec.encode(after), version=after.version, expires_at=expires)
        pk, sk = people_keys.refresh_token(token)
        whose = RefreshToken(user_id=login.user_id, login_id=login.id, generation=login.generation)
        known = Item(pk=pk, sk=sk, body=codec.encode(whose), expires_at=expires)
        return (
            Put(table=IDENTITY, item=item, expected=login.version),
            Put(table=IDENTITY, item=known, expected=0),
        )

    async def login(self, user_id: str, login_id: str) -> Login | None:
        """The login; None where it has ended or was not renewed in time."""
        return await self._get(IDENTITY, people_keys.login(user_id, login_id), Login)

    async def end_login(self, user_id: str, login_id: str) -> None:
        """End a login, whatever version it has by now: a renewal that read it before finds nothing to renew."""
        pk, sk = people_keys.login(user_id, login_id)
        await self.commit(Delete(table=IDENTITY, pk=pk, sk=sk))

    async def refresh_token(self, digest: bytes) -> RefreshToken | None:
        """Whose the refresh token with this SHA-256 is, or was."""
        return await self._get(IDENTITY, people_keys.refresh_token(digest), RefreshToken)

    # ------------------------------------------------------------ attempts

    def put_attempt(self, attempt: Attempt, *, kept: timedelta) -> Put:
        """The write that counts an attempt for so long."""
        pk, sk = people_keys.attempt(attempt.subject, attempt.at, attempt.number)
        item = Item(pk=pk, sk=sk, body=_COUNTED, expires_at=keys.expiry_of(attempt.at + kept))
        return Put(table=IDENTITY, item=item)

    def delete_attempt(self, attempt: Attempt) -> Delete:
        pk, sk = people_keys.attempt(attempt.subject, attempt.at, attempt.number)
        return Delete(table=IDENTITY, pk=pk, sk=sk)

    async def attempts(self, subject: str, *, most: int, before: Attempt | None = None) -> list[Attempt]:
        """The newest attempts that still count, newest first; of those before one of them, if it is given."""
        pk = people_keys.attempts(subject)
        between = None if before is None else people_keys.attempts_until(before.at, before.number)
        page = await self.table.query(IDENTITY, pk, between=between, descending=True, limit=most + 1)
        found = [
            Attempt(subject=subject, at=keys.instant_of(item.sk), number=item.sk.split("#", 1)[1])
            for item in page.items
        ]
        return [each for each in found if each != before][:most]

    # ------------------------------------------------------------ addresses a login succeeded from

    def put_known(self, subject: str, *, until: datetime) -> Put:
        pk, sk = people_keys.known(subject)
        return Put(table=IDENTITY, item=Item(pk=pk, sk=sk, body=_COUNTED, expires_at=keys.expiry_of(until)))

    async def is_known(self, subject: str) -> bool:
        return await self.table.get(IDENTITY, *people_keys.known(subject)) is not None
