"""Small bodies as dataclasses: read with everything wrong told at once, and published as what is read."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from option_baskets.api.http.bodies import SMALL_BYTES, SMALL_VALUES, document
from option_baskets.domain.errors import Invalid, Problem

T = TypeVar("T")

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


async def form(request: Request, type_: type[T]) -> T:
    """The body as a dataclass; give it ``__pydantic_config__ = ConfigDict(extra="forbid")``.

    Raises:
        Told: it is no JSON, or large.
        Invalid: fields are missing, unknown, or of the wrong type; what was sent is not repeated.
    """
    found = await document(request, most_bytes=SMALL_BYTES, most_values=SMALL_VALUES)
    try:
        value: T = _adapter(type_).validate_python(found)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid([Problem(where=_path(each["loc"]), message=each["msg"]) for each in problems]) from None
    return value


def takes(type_: type[Any], *, example: Mapping[str, object]) -> dict[str, Any]:
    """``openapi_extra=`` of a route whose body is the dataclass."""
    schema = _adapter(type_).json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def _path(parts: tuple[int | str, ...]) -> str:
    return ".".join(map(str, parts)) or "body"
