"""Users and their logins. Mounted where the platform keeps users of its own."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, ClassVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from option_baskets.api.http.asking import Asking, platform_of
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.forms import form, takes
from option_baskets.domain.errors import NotFound
from option_baskets.domain.login import Profile, Tokens
from option_baskets.ports import SignIn

router = APIRouter(prefix="/auth", tags=["logins"])

_OPEN = (
    "malformed",
    "invalid",
    "too-many",
    "too-large",
    "unsupported-media-type",
    "internal",
    "unavailable",
    "unclear",
)
"""Problems of a route that asks for no token."""
_KNOWN = ("unauthenticated", "forbidden", "conflict", *_OPEN)
"""And of one that does."""
_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_NOT_KEPT = {"Cache-Control": "no-store"}

Email = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"})]
Password = Annotated[str, Field(max_length=1000, json_schema_extra={"format": "password"})]
NewSecret = Annotated[
    str,
    Field(max_length=1000, json_schema_extra={"format": "password", "minLength": 15, "maxLength": 128}),
]
"""How long it must be is told with what else is wrong with it."""
Code = Annotated[str, Field(max_length=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    email: Email = field(repr=False)
    password: NewSecret = field(repr=False)
    """At least 15 characters, and not what is tried first."""
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    email: Email = field(repr=False)
    password: Password = field(repr=False)
    code: Code = field(default="", repr=False)
    """Of the second factor, or a recovery code; who has none leaves it out."""
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    refresh_token: Annotated[str, Field(max_length=200)] = field(repr=False)
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    password: Password = field(repr=False)
    """The present one."""
    new_password: NewSecret = field(repr=False)
    """At least 15 characters, and not what is tried first."""
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    password: Password = field(repr=False)
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    code: Code = field(repr=False)
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    password: Password = field(repr=False)
    code: Code = field(repr=False)
    """Of the second factor, or a recovery code."""
    __pydantic_config__: ClassVar = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    detail: str
    """The same whether the email had a user or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginView:
    access_token: str = field(repr=False)
    token_type: str
    """Send it as `Authorization: Bearer …`."""
    expires_at: datetime
    """Of the access token, UTC."""
    refresh_token: str = field(repr=False)
    """Good once; used a second time, it ends the login."""
    refresh_expires_at: datetime

    @classmethod
    def of(cls, tokens: Tokens) -> "LoginView":
        return cls(
            access_token=tokens.access_token,
            token_type="Bearer",
            expires_at=tokens.expires_at,
            refresh_token=tokens.refresh_token,
            refresh_expires_at=tokens.refresh_expires_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentView:
    secret: str = field(repr=False)
    """Base32, for typing into an authenticator; shown once."""
    uri: str = field(repr=False)
    """For a QR code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodes:
    recovery_codes: tuple[str, ...] = field(repr=False)
    """Each is good once in the place of a code; shown once."""


_EMAIL = "asha@example.org"
_PASSWORD = "correct horse battery staple"
_AT = datetime.fromisoformat("2026-11-23T04:00:00Z")
_LOGIN = LoginView(
    access_token="eyJhbGciOi…",
    token_type="Bearer",
    expires_at=datetime.fromisoformat("2026-11-23T04:15:00Z"),
    refresh_token="obr_3vKd…",
    refresh_expires_at=datetime.fromisoformat("2026-12-07T04:00:00Z"),
)
_PROFILE = Profile(user_id="u2f1c9a0b7d3e4f56", email=_EMAIL, role="user", created_at=_AT)
_ENROLMENT = EnrolmentView(
    secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    uri="otpauth://totp/Option%20Baskets:asha%40example.org?secret=JBSWY3DPEHPK3PXP…&issuer=Option%20Baskets",
)
REGISTERED = Registered(detail="if this email had no user, it has one now: log in with it")


def _sign_in(request: Request) -> SignIn:
    found = platform_of(request).sign_in
    if found is None:
        raise NotFound("users log in elsewhere")
    return found


def _client(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@router.post(
    "/register",
    summary="Make a user",
    description="Whether the email has a user already is not told, and where it has one nothing changes.",
    status_code=202,
    responses=answers(Registered, status=202, description="Taken.", example=REGISTERED, always=(*_OPEN, "forbidden")),
    response_model=None,
    openapi_extra=takes(Registration, example={"email": _EMAIL, "password": _PASSWORD}),
)
async def register(request: Request) -> Response:
    given = await form(request, Registration)
    await _sign_in(request).register(given.email, given.password, client=_client(request))
    return Answer(REGISTERED, 202)


@router.post(
    "/login",
    summary="Log in",
    description=(
        "Five wrong attempts in 15 minutes lock an email for the rest of them, whether it has a user or not. A wrong "
        "email, password or code is answered alike."
    ),
    responses=answers(LoginView, description="A login.", example=_LOGIN, always=(*_OPEN, "unauthenticated")),
    response_model=None,
    openapi_extra=takes(Credentials, example={"email": _EMAIL, "password": _PASSWORD}),
)
async def login(request: Request) -> Response:
    given = await form(request, Credentials)
    tokens = await _sign_in(request).login(given.email, given.password, code=given.code, client=_client(request))
    return Answer(LoginView.of(tokens), headers=_NOT_KEPT)


@router.post(
    "/refresh",
    summary="Renew a login",
    description=(
        "The refresh token is good once. One that comes a second time was stolen, so its login ends, for whoever has "
        "the newest one too: never send one again, log in instead."
    ),
    responses=answers(LoginView, description="The login goes on.", example=_LOGIN, always=(*_OPEN, "unauthenticated")),
    response_model=None,
    openapi_extra=takes(Renewal, example={"refresh_token": "obr_3vKd…"}),
)
async def refresh(request: Request) -> Response:
    given = await form(request, Renewal)
    return Answer(LoginView.of(await _sign_in(request).refresh(given.refresh_token)), headers=_NOT_KEPT)


@router.post(
    "/logout",
    summary="End this login",
    description="Its access token and its refresh token are refused from now on.",
    status_code=204,
    responses=answers(None, status=204, description="It is ended.", always=("unauthenticated", *_OPEN)),
    response_model=None,
)
async def logout(
    asker: Asking, everywhere: Annotated[bool, Query(description="End every login of this user.")] = False
) -> Response:
    await _sign_in(asker.request).logout(asker.principal, everywhere=everywhere)
    return Response(status_code=204)


@router.post(
    "/password",
    summary="Change the password",
    description="Every login of the user ends, this one too; the answer is a new one.",
    responses=answers(LoginView, description="A new login.", example=_LOGIN, always=_KNOWN),
    response_model=None,
    openapi_extra=takes(NewPassword, example={"password": _PASSWORD, "new_password": "four words of another kind"}),
)
async def change_password(asker: Asking) -> Response:
    given = await form(asker.request, NewPassword)
    tokens = await _sign_in(asker.request).change_password(
        asker.principal, password=given.password, new_password=given.new_password
    )
    return Answer(LoginView.of(tokens), headers=_NOT_KEPT)


@router.get(
    "/me",
    summary="Who asks",
    responses=answers(Profile, example=_PROFILE, always=("unauthenticated", "too-many", "internal", "unavailable")),
    response_model=None,
)
async def get_me(asker: Asking) -> Response:
    """The user of the access token."""
    return Answer(await _sign_in(asker.request).profile(asker.principal), headers=_NOT_KEPT)


@router.post(
    "/totp",
    summary="Enrol a second factor",
    description="It is asked for once `PUT` has confirmed it. One that was never confirmed is replaced.",
    status_code=201,
    responses=answers(EnrolmentView, status=201, description="To be confirmed.", example=_ENROLMENT, always=_KNOWN),
    response_model=None,
    openapi_extra=takes(Proof, example={"password": _PASSWORD}),
)
async def enrol_totp(asker: Asking) -> Response:
    given = await form(asker.request, Proof)
    enrolment = await _sign_in(asker.request).enrol(asker.principal, password=given.password)
    return Answer(EnrolmentView(secret=enrolment.secret, uri=enrolment.uri), 201, headers=_NOT_KEPT)


@router.put(
    "/totp",
    summary="Confirm the second factor",
    description="From now on a login needs a code of it. The recovery codes are shown once.",
    responses=answers(
        RecoveryCodes,
        description="It is asked for from now on.",
        example=RecoveryCodes(recovery_codes=("ab2d-ef3h-ij4l-mn5p",)),
        always=_KNOWN,
    ),
    response_model=None,
    openapi_extra=takes(Confirmation, example={"code": "123456"}),
)
async def confirm_totp(asker: Asking) -> Response:
    given = await form(asker.request, Confirmation)
    codes = await _sign_in(asker.request).confirm(asker.principal, code=given.code)
    return Answer(RecoveryCodes(recovery_codes=codes), headers=_NOT_KEPT)


@router.delete(
    "/totp",
    summary="Remove the second factor",
    status_code=204,
    responses=answers(None, status=204, description="No code is asked for any more.", always=_KNOWN),
    response_model=None,
    openapi_extra=takes(Removal, example={"password": _PASSWORD, "code": "123456"}),
)
async def remove_totp(asker: Asking) -> Response:
    """Wants the password and a code, or a recovery code; who has none of them asks an admin."""
    given = await form(asker.request, Removal)
    await _sign_in(asker.request).remove_second_factor(asker.principal, password=given.password, code=given.code)
    return Response(status_code=204)
