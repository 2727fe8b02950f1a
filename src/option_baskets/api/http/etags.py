"""Versions on the wire: what was read is what may be changed, and nothing newer is lost."""

from typing import Annotated

from fastapi import Header, Request

from option_baskets.api.http.problems import Told

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description='The ETag of what is changed, e.g. "3". Without it 428, if it is old 412.'),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="An ETag that is known; 304 where nothing has changed.")
]


def etag(version: int) -> str:
    return f'"{version}"'


def require_match(given: str | None, version: int) -> None:
    """Raises Told: no version is named (428), or another than the stored one (412)."""
    if given is None:
        raise Told(
            kind="precondition-required",
            detail=f"send If-Match with the ETag that was read; the stored version is {etag(version)}",
        )
    if given.strip() != "*" and etag(version) not in _listed(given):
        raise Told(
            kind="stale",
            detail=f"it was changed meanwhile: the stored version is {etag(version)}, not {given.strip()}; "
            "read it again and repeat the change",
        )


def is_known(request: Request, version: int) -> bool:
    """Whether If-None-Match names this version, so that 304 is the answer."""
    given = request.headers.get("If-None-Match")
    return given is not None and (given.strip() == "*" or etag(version) in _listed(given))


def _listed(given: str) -> list[str]:
    return [each.strip().removeprefix("W/") for each in given.split(",")]
