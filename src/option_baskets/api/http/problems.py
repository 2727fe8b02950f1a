"""Errors as RFC 9457 problem documents: a stable ``type``, a sentence for a person, and what to mend."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from option_baskets.domain import errors

LOG = logging.getLogger(__name__)

TYPES = "https://option-baskets.dev/problems/"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One thing wrong with the request."""

    where: str
    """Path of the field, e.g. ``legs[1].strike`` or ``query.limit``."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What keeps a thing from being deleted."""

    kind: str
    """``strategy``, ``allocation``, ``run`` or ``leg``."""
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457."""

    type: str
    """Stable; its last part is the kind of problem."""
    title: str
    status: int
    detail: str
    """What is wrong with this request, and the way out."""
    instance: str
    """The path that was asked for."""
    errors: tuple[FieldError, ...] = ()
    """Everything wrong with the input, not only the first."""
    reason: str | None = None
    """Where risk or a rule refused: its code, which never changes."""
    used_by: tuple[User, ...] = ()
    """What has to go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(status=400, title="The request cannot be read"),
    "unauthenticated": Kind(status=401, title="Nobody we know asks"),
    "forbidden": Kind(status=403, title="Not allowed"),
    "not-found": Kind(status=404, title="There is no such thing"),
    "method-not-allowed": Kind(status=405, title="The path has no such method"),
    "conflict": Kind(status=409, title="Somebody was faster"),
    "in-use": Kind(status=409, title="Still in use"),
    "stale": Kind(status=412, title="Changed since it was read"),
    "too-large": Kind(status=413, title="The body is too large"),
    "unsupported-media-type": Kind(status=415, title="The body is not JSON"),
    "invalid": Kind(status=422, title="The input is wrong"),
    "refused": Kind(status=422, title="Refused"),
    "precondition-required": Kind(status=428, title="Say which version you change"),
    "too-many": Kind(status=429, title="Asked too often"),
    "internal": Kind(status=500, title="The fault is ours"),
    "unavailable": Kind(status=503, title="Try again later"),
    "unclear": Kind(status=504, title="The outcome is not known"),
}


@dataclass(eq=False, kw_only=True)
class Told(Exception):
    """An error that is HTTP's own: a kind, and what there is to say."""

    kind: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    used_by: tuple[User, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def response(
    request: Request,
    kind: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    reason: str | None = None,
    used_by: tuple[User, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem as a response."""
    known = KINDS[kind]
    problem = Problem(
        type=TYPES + kind,
        title=known.title,
        status=known.status,
        detail=detail,
        instance=request.url.path,
        errors=errors,
        reason=reason,
        used_by=used_by,
    )
    return Response(msgspec.json.encode(problem), known.status, headers, MEDIA_TYPE)


def register(app: FastAPI) -> None:
    """Have every error of the tree, of FastAPI and of Starlette answered as a problem."""
    for error in (Told, errors.OptionBasketsError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, _answered)


async def _answered(request: Request, error: Exception) -> Response:
    return answer(request, error)


def answer(request: Request, error: Exception) -> Response:
    """What an error on its way out becomes, whichever it is."""
    match error:
        case Told():
            return response(
                request, error.kind, error.detail, errors=error.errors, used_by=error.used_by, headers=error.headers
            )
        case errors.Invalid():
            found = tuple(FieldError(where=each.where, message=each.message) for each in error.problems)
            return response(request, "invalid", str(error), errors=found)
        case errors.Refused():
            return response(request, "refused", str(error), reason=error.reason.value)
        case errors.TooMany():
            return response(request, "too-many", str(error), headers={"Retry-After": str(error.retry_after)})
        case errors.Unauthenticated():
            return response(request, "unauthenticated", str(error), headers={"WWW-Authenticate": "Bearer"})
        case errors.Unavailable():
            return response(request, "unavailable", str(error), headers={"Retry-After": "1"})
        case errors.OptionBasketsError() if (kind := _kind_of(error)) is not None:
            return response(request, kind, str(error))
        case RequestValidationError():
            return _of_validation(request, error)
        case HTTPException():
            return _of_http(request, error)
        case _:
            LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
            return response(request, "internal", "something failed here; it is logged, and nothing was half-done")


_BY_CLASS: Mapping[type[errors.OptionBasketsError], str] = {
    errors.NotFound: "not-found",
    errors.Forbidden: "forbidden",
    errors.Conflict: "conflict",
    errors.Unclear: "unclear",
}


def _kind_of(error: errors.OptionBasketsError) -> str | None:
    return next((kind for class_, kind in _BY_CLASS.items() if isinstance(error, class_)), None)


def _of_validation(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return response(request, "malformed", "the body is not JSON")
    each_field = tuple(FieldError(where=_path(each["loc"]), message=str(each["msg"])) for each in found)
    detail = "\n".join(f"{each.where}: {each.message}" for each in each_field)
    return response(request, "invalid", detail, errors=each_field)


def _path(parts: tuple[str | int, ...]) -> str:
    """``body`` is left out: the paths of a body are those a person sees in it."""
    named = parts[1:] if len(parts) > 1 and parts[0] == "body" else parts
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return text.lstrip(".")


_OF_STATUS = {405: "method-not-allowed", 404: "not-found", 401: "unauthenticated", 403: "forbidden", 413: "too-large"}


def _of_http(request: Request, error: HTTPException) -> Response:
    kind = _OF_STATUS.get(error.status_code, "malformed" if error.status_code < 500 else "internal")
    if kind == "method-not-allowed":
        allowed = ", ".join(_methods_at(request))
        return response(request, kind, f"this path has {allowed}", headers={"Allow": allowed})
    detail = "there is nothing at this path" if kind == "not-found" else HTTPStatus(error.status_code).phrase
    return response(request, kind, detail, headers=error.headers)


def _methods_at(request: Request) -> list[str]:
    """Of all routes of this path; Starlette names those of the first one."""
    found: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        route = context.original_route
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)
