"""Who asks, and the books as they may see and change them."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from option_baskets.api.platform import Platform
from option_baskets.domain.errors import Forbidden, Unauthenticated
from option_baskets.ports import Principal, Role
from option_baskets.store.books import Books
from option_baskets.store.records import Editor

REPEAT_HEADER = "Idempotency-Key"
NOBODY = "send an access token as Authorization: Bearer …; POST /auth/login gives one"

_bearer = HTTPBearer(auto_error=False, description="An access token of POST /auth/login.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A request of somebody who is known."""

    principal: Principal
    platform: Platform
    request: Request

    @property
    def user_id(self) -> str:
        """Whose data this is about: every read and write is of this partition, and of no other."""
        return self.principal.user_id

    @property
    def books(self) -> Books:
        """The books, with every edit of plans in the history as this user's."""
        editor = Editor(actor=self.user_id, cause="api", now=self.platform.market.now)
        return self.platform.books.edited_by(editor)

    async def looked_at(self) -> None:
        """Call it once switches, leaves, accounts or limits of the user are stored as they are to be: where no engine
        looks by itself, somebody is sent for."""
        if self.platform.look is not None:
            await self.platform.look(self.user_id)

    def suffix(self) -> str:
        """Eight letters for a new id; a repeat with the same Idempotency-Key gets the same ones."""
        key = self.request.headers.get(REPEAT_HEADER)
        if key is None:
            return secrets.token_hex(4)
        named = "\x1f".join((self.user_id, self.request.url.path, key))
        return hashlib.sha256(named.encode()).hexdigest()[:8]

    def require_admin(self) -> None:
        """Raises Forbidden: this user is none."""
        if self.principal.role is not Role.ADMIN:
            raise Forbidden("only an admin may do this")


def platform_of(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


async def principal_of(request: Request) -> Principal:
    """Who asks; asked once a request, and counted against what they may ask.

    Raises:
        Unauthenticated: no token, or one that proves nothing.
        TooMany: this user asks too often.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(NOBODY)
    platform = platform_of(request)
    principal = await platform.identity.verify(token.strip())
    platform.allowance.take(principal.user_id, platform.wall.now())
    request.state.principal = principal
    return principal


async def _asker(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],  # documents the scheme
) -> Asker:
    return Asker(principal=await principal_of(request), platform=platform_of(request), request=request)


Asking = Annotated[Asker, Depends(_asker)]
"""The parameter of every route that needs to know who asks."""
