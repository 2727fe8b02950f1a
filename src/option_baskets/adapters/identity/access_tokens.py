"""Access tokens: JWTs of one kind, HS256, that say who asks and from which login, and nothing else of them.

What else a token would say could be out of date, so roles and whether the login goes on are read from the store.
"""

from dataclasses import dataclass
from datetime import datetime

import jwt
from jwt.types import Options

from option_baskets.adapters.identity.keyring import TokenKey, TokenKeys
from option_baskets.domain.errors import Unauthenticated

ALGORITHM = "HS256"
ISSUER = "option-baskets"
KIND = "at+jwt"
REFUSED = "the access token is not valid; log in, or renew it with the refresh token"
"""The one message of every cause."""
_LONGEST = 4096
_REMEMBERED = 10_000
_CLAIMS: Options = {
    "require": ["sub", "sid", "iat", "exp", "iss", "aud"],
    # Of these PyJWT would ask the machine's clock.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who a token says its bearer is."""

    user_id: str
    login_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    bearer: Bearer
    key: TokenKey
    expires: int
    """Unix seconds."""


class AccessTokens:
    """Signed by the newest key, read by any in the file. Tokens are remembered: a signature is computed once."""

    def __init__(self, keys: TokenKeys) -> None:
        self._keys = keys
        self._proven: dict[str, _Proof] = {}

    def sign(self, bearer: Bearer, *, now: datetime, until: datetime) -> str:
        """A token that is good until an instant, cut to seconds."""
        key = self._keys.newest
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": bearer.user_id,
            "sid": bearer.login_id,
            "iat": int(now.timestamp()),
            "exp": int(until.timestamp()),
        }
        return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.id, "typ": KIND})

    def read(self, token: str, *, now: datetime) -> Bearer:
        """Who the bearer is.

        Raises:
            Unauthenticated: it was not signed by a key of ours in the one way we sign, or it is too old.
        """
        proof = self._proven.get(token)
        if proof is None or self._keys.find(proof.key.id) != proof.key:
            self._proven.pop(token, None)
            proof = self._proof(token)
            if len(self._proven) >= _REMEMBERED:
                self._proven.clear()
            self._proven[token] = proof
        if now.timestamp() >= proof.expires:
            raise Unauthenticated(REFUSED)
        return proof.bearer

    def _proof(self, token: str) -> _Proof:
        if len(token) > _LONGEST:
            raise Unauthenticated(REFUSED)
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(str(header.get("kid")))
            if key is None or header.get("typ") != KIND:
                raise Unauthenticated(REFUSED)
            claims = jwt.decode(
                token, key.secret, algorithms=[ALGORITHM], audience=ISSUER, issuer=ISSUER, options=_CLAIMS
            )
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise Unauthenticated(REFUSED) from error
        expires = claims["exp"]
        if type(expires) is not int:
            raise Unauthenticated(REFUSED)
        return _Proof(bearer=Bearer(user_id=str(claims["sub"]), login_id=str(claims["sid"])), key=key, expires=expires)
