"""The Identity port over a Cognito user pool: access tokens that Cognito signed for one client.

Signature, client and age are looked at here, by the public keys of the pool. Whether the login goes on Cognito knows,
and is asked once a minute and token. What it does not answer then changes nothing, since the token is proven: who has
open positions is not locked out by somebody else's failure, and no token lives longer than an hour.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import aiohttp
import jwt
from jwt.types import Options

from option_baskets.domain.errors import Unauthenticated, Unavailable
from option_baskets.ports import Clock, Principal, Role

LOG = logging.getLogger(__name__)

ADMINS = "admin"
"""The group whose members are administrators, as the stack makes it."""
REFUSED = "the access token is not valid; log in with Cognito, or renew it there"
"""The one message of every cause."""
ENDED_WITHIN = timedelta(minutes=1)
"""A login that was ended, a user that was switched off or deleted, is noticed within so long."""
_KEYS_AGAIN = timedelta(minutes=1)
"""How soon keys are fetched again for a token that names an unknown one."""
_LONGEST = 8192
_REMEMBERED = 10_000
_PATIENCE = aiohttp.ClientTimeout(total=5, connect=2)
_OVER = {
    "NotAuthorizedException",
    "UserNotFoundException",
    "PasswordResetRequiredException",
    "UserNotConfirmedException",
}
_OPTIONS: Options = {
    "require": ["sub", "exp", "iss"],
    # Of these PyJWT would ask the machine's clock.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,  # access tokens of Cognito name their client instead
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who a token proves its bearer to be, and until when."""

    principal: Principal
    until: datetime


class Cognito:
    """``open`` it on the loop that uses it. A user's role is that of the token, an hour old at most.

    Args:
        http: requests to Cognito; closed with this.
        address: Cognito's of the region, ``https://cognito-idp.ap-south-1.amazonaws.com``.
        issuer: as tokens name it.
        client: whose tokens are taken.
        wall: what tokens expire by.
        ended_within: how often Cognito is asked whether a login goes on.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        address: str,
        issuer: str,
        client: str,
        wall: Clock,
        ended_within: timedelta = ENDED_WITHIN,
    ) -> None:
        self._http = http
        self._address = address
        self._issuer = issuer
        self._client = client
        self._wall = wall
        self._ended_within = ended_within
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched: datetime | None = None
        self._proven: dict[str, Proof] = {}
        self._seen_to: dict[str, datetime] = {}
        """When Cognito was asked of a token."""

    @classmethod
    async def open(
        cls,
        *,
        region: str,
        pool: str,
        client: str,
        wall: Clock,
        endpoint: str = "",
        ended_within: timedelta = ENDED_WITHIN,
    ) -> Self:
        """``endpoint``: of an emulator."""
        real = f"https://cognito-idp.{region}.amazonaws.com"
        return cls(
            aiohttp.ClientSession(timeout=_PATIENCE),
            address=endpoint or real,
            issuer=f"{real}/{pool}",
            client=client,
            wall=wall,
            ended_within=ended_within,
        )

    async def close(self) -> None:
        await self._http.close()

    async def verify(self, token: str) -> Principal:
        """As the port says; an ended login is noticed within ``ended_within``.

        Raises:
            Unavailable: the pool's keys cannot be fetched, so that nothing can be said.
        """
        return (await self.proof(token)).principal

    async def proof(self, token: str) -> Proof:
        """As ``verify``, with the instant from which on the token proves nothing."""
        now = self._wall.now()
        proof = self._proven.get(token)
        if proof is None:
            proof = await self._read(token)
            if len(self._proven) >= _REMEMBERED:
                self._proven.clear()
                self._seen_to.clear()
            self._proven[token] = proof
        if now >= proof.until:
            raise Unauthenticated(REFUSED)
        await self._require_going_on(token, now)
        return proof

    async def _read(self, token: str) -> Proof:
        if len(token) > _LONGEST:
            raise Unauthenticated(REFUSED)
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid")))
            claims = jwt.decode(token, key, algorithms=["RS256"], issuer=self._issuer, options=_OPTIONS)
            until = datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise Unauthenticated(REFUSED) from error
        user_id = claims["sub"]
        if claims.get("token_use") != "access" or claims.get("client_id") != self._client or "#" in user_id:
            raise Unauthenticated(REFUSED)
        role = Role.ADMIN if ADMINS in claims.get("cognito:groups", ()) else Role.USER
        login = str(claims.get("origin_jti") or claims.get("jti") or "")
        return Proof(principal=Principal(user_id=user_id, role=role, session_id=login), until=until)

    async def _key(self, name: str) -> jwt.PyJWK:
        now = self._wall.now()
        if name not in self._keys and (self._fetched is None or now - self._fetched >= _KEYS_AGAIN):
            self._fetched = now
            self._keys = await self._fetch()
        if name not in self._keys:
            raise Unauthenticated(REFUSED)
        return self._keys[name]

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        pool = self._issuer.rpartition("/")[2]
        try:
            async with self._http.get(f"{self._address}/{pool}/.well-known/jwks.json") as answer:
                answer.raise_for_status()
                found = json.loads(await answer.text())
            return {each["kid"]: jwt.PyJWK(each, "RS256") for each in found["keys"]}
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, jwt.PyJWTError) as error:
            self._fetched = None
            raise Unavailable(f"the keys of the user pool cannot be fetched: {type(error).__name__} {error}") from error

    async def _require_going_on(self, token: str, now: datetime) -> None:
        seen = self._seen_to.get(token)
        if seen is not None and now - seen < self._ended_within:
            return
        if await self._is_over(token):
            self._seen_to.pop(token, None)
            raise Unauthenticated(REFUSED)
        self._seen_to[token] = now

    async def _is_over(self, token: str) -> bool:
        """Whether Cognito says that a token holds no more."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.GetUser",
        }
        body = json.dumps({"AccessToken": token})
        try:
            async with self._http.post(f"{self._address}/", data=body, headers=headers) as answer:
                if answer.status == 200:
                    return False
                said: Mapping[str, Any] = json.loads(await answer.text())
            code = str(said.get("__type", "")).rpartition("#")[2]
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            code = type(error).__name__
        if code in _OVER:
            return True
        LOG.warning("whether a login goes on is not known: Cognito said %s", code)
        return False
