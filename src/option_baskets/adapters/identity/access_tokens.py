"""Access tokens: JWTs of one kind, HS256, that say who asks and from which login, and nothing else of them.

What else a token would say could be out of date, so roles and whether the login goes on are read from the store.
"""

from dataclasses import dataclass
from datetime import datetime

import jwt
from jwt.types import Options

from option_baskets.adapters.identity.keyring import TokenKeys
from option_baskets.domain.errors import Unauthenticated

ALGORITHM = "HS256"
ISSUER = "option-baskets"
KIND = "at+jwt"
REFUSED = "the access token is not valid; log in, or renew it with the refresh token"
"""The one message of every cause."""
_LONGEST = 4096
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


def sign(keys: TokenKeys, bearer: Bearer, *, now: datetime, until: datetime) -> str:
    """A token that is good until an instant, cut to seconds."""
    key = keys.newest
    claims = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": bearer.user_id,
        "sid": bearer.login_id,
        "iat": int(now.timestamp()),
        "exp": int(until.timestamp()),
    }
    return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.id, "typ": KIND})


def read(keys: TokenKeys, token: str, *, now: datetime) -> Bearer:
    """Who the bearer is.

    Raises:
        Unauthenticated: it was not signed by a key of ours in the one way we sign, or it is too old.
    """
    try:
        if len(token) > _LONGEST:
            raise Unauthenticated(REFUSED)
        header = jwt.get_unverified_header(token)
        key = keys.find(str(header.get("kid")))
        if key is None or header.get("typ") != KIND:
            raise Unauthenticated(REFUSED)
        claims = jwt.decode(token, key.secret, algorithms=[ALGORITHM], audience=ISSUER, issuer=ISSUER, options=_CLAIMS)
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise Unauthenticated(REFUSED) from error
    expires = claims["exp"]
    if not isinstance(expires, int) or now.timestamp() >= expires:
        raise Unauthenticated(REFUSED)
    return Bearer(user_id=str(claims["sub"]), login_id=str(claims["sid"]))
