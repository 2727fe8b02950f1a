"""Problem documents of the API as the errors they were, so that commands tell them as they tell their own."""

import json
from typing import Any

import httpx

from option_baskets.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OptionBasketsError,
    Problem,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unclear,
)
from option_baskets.domain.reasons import Reason

_BY_KIND: dict[str, type[OptionBasketsError]] = {
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "conflict": Conflict,
    "stale": Conflict,
    "precondition-required": Conflict,
    "unavailable": Unavailable,
    "unclear": Unclear,
    "internal": Unavailable,
}


def kind_of(answer: httpx.Response) -> str:
    """The last part of the problem's type; empty where the answer is no problem document."""
    return str(_document(answer).get("type", "")).rpartition("/")[2]


def error_of(answer: httpx.Response) -> OptionBasketsError:
    """The error an answer of 400 and above tells of."""
    found = _document(answer)
    if not found:
        asked = f"{answer.request.method} {answer.request.url}"
        return Unavailable(f"{asked} was answered {answer.status_code}, and not by the API; is the address right?")
    kind, detail = kind_of(answer), str(found.get("detail", ""))
    errors = tuple(Problem(where=each["where"], message=each["message"]) for each in found.get("errors", ()))
    match kind:
        case "invalid" if errors:
            return Invalid(errors)
        case "refused" if found.get("reason") in set(Reason):
            return Refused(Reason(found["reason"]), detail)
        case "in-use":
            users = (" ".join(filter(None, (each["kind"], each["id"]))) for each in found.get("used_by", ()))
            return Conflict("\n".join((detail, *(f"  used by {each}" for each in users))))
        case "too-many":
            return TooMany(detail, retry_after=seconds_of(answer))
    known = _BY_KIND.get(kind)
    return known(detail) if known is not None else Invalid(detail)


def seconds_of(answer: httpx.Response) -> int:
    """How long Retry-After asks to wait."""
    given = answer.headers.get("Retry-After", "")
    return int(given) if given.isdigit() else 1


def _document(answer: httpx.Response) -> dict[str, Any]:
    if answer.headers.get("Content-Type", "").partition(";")[0] != "application/problem+json":
        return {}
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
