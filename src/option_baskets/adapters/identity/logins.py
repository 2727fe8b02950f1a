"""Logins: begun, renewed by refresh tokens that are good once, ended, and proven by access tokens."""

import hashlib
import logging
import secrets
from dataclasses import replace

from option_baskets.adapters.identity.access_tokens import REFUSED, AccessTokens, Bearer
from option_baskets.adapters.identity.keyring import TokenKeys
from option_baskets.adapters.identity.terms import Terms
from option_baskets.domain.errors import Conflict, Unauthenticated
from option_baskets.domain.login import Tokens
from option_baskets.ports import Clock, Principal, Write
from option_baskets.store.people import Login, People, User

LOG = logging.getLogger(__name__)
REFRESH_REFUSED = "the refresh token is not valid; log in"
_MARK = "obr_"
"""What a refresh token begins with, so that one in a wrong place is recognised."""


class Logins:
    """A refresh token that comes a second time was stolen, by whoever came first or second: its login ends for both."""

    def __init__(self, people: People, *, wall: Clock, keys: TokenKeys, terms: Terms) -> None:
        self._people = people
        self._wall = wall
        self._tokens = AccessTokens(keys)
        self._terms = terms

    async def verify(self, token: str) -> Principal:
        """Who the bearer of an access token is; the user and the login are read, so that an end takes effect at once.

        Raises:
            Unauthenticated: for whatever reason.
        """
        bearer = self._tokens.read(token, now=self._wall.now())
        login = await self._people.login(bearer.user_id, bearer.login_id)
        user = await self._people.user(bearer.user_id)
        if user is None or login is None or not _goes_on(user, login):
            raise Unauthenticated(REFUSED)
        return Principal(user_id=user.id, role=user.role, session_id=login.id)

    async def begin(self, user: User, *writes: Write) -> Tokens:
        """A new login, committed together with other writes. Raises Conflict: one of those did not hold."""
        now = self._wall.now()
        login = Login(id=secrets.token_hex(16), user_id=user.id, era=user.era, began_at=now, expires_at=now)
        return await self._give(login, *writes)

    async def renew(self, token: str) -> Tokens:
        """New tokens for a refresh token.

        Raises:
            Unauthenticated: for whatever reason.
        """
        whose = await self._people.refresh_token(_digest(token))
        if whose is None:
            raise Unauthenticated(REFRESH_REFUSED)
        login = await self._people.login(whose.user_id, whose.login_id)
        if login is None:
            raise Unauthenticated(REFRESH_REFUSED)
        if login.generation != whose.generation:
            await self._end_stolen(login)
            raise Unauthenticated(REFRESH_REFUSED)
        user = await self._people.user(login.user_id)
        if user is None or not _goes_on(user, login):
            raise Unauthenticated(REFRESH_REFUSED)
        try:
            return await self._give(replace(login, generation=login.generation + 1))
        except Conflict:  # the same token was used at the same time, or the login has just been ended
            await self._end_stolen(login)
            raise Unauthenticated(REFRESH_REFUSED) from None

    async def _give(self, login: Login, *writes: Write) -> Tokens:
        now = self._wall.now()
        until = min(now + self._terms.idle, login.began_at + self._terms.longest)
        token = _MARK + secrets.token_urlsafe(32)
        login = replace(login, expires_at=until)
        await self._people.commit(*self._people.put_login(login, _digest(token)), *writes)
        expires = min(now + self._terms.access, until)
        bearer = Bearer(user_id=login.user_id, login_id=login.id)
        return Tokens(
            access_token=self._tokens.sign(bearer, now=now, until=expires),
            expires_at=expires,
            refresh_token=token,
            refresh_expires_at=until,
        )

    async def _end_stolen(self, login: Login) -> None:
        LOG.warning("a refresh token of user %s came twice: login %s is ended", login.user_id, login.id)
        await self._people.end_login(login.user_id, login.id)


def _goes_on(user: User, login: Login) -> bool:
    return not user.disabled and user.era == login.era


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
