"""Domain values as JSON and back, exactly: decimals are strings, instants keep their offset, names any Unicode."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_decoder: Callable[[Any], msgspec.json.Decoder[Any]] = cache(msgspec.json.Decoder)


def encode(value: object) -> bytes:
    """JSON of a dataclass, the same bytes for equal values."""
    return _encoder.encode(value)


def decode(body: bytes, type_: type[T]) -> T:
    """The value ``encode`` was given. Fields a newer program added are ignored, absent ones get their default.

    Raises:
        ValueError: the bytes are no such value.
    """
    try:
        value: T = _decoder(type_).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"stored {type_.__name__} cannot be read: {error}") from error
    return value


def convert(found: object, type_: type[T]) -> T:
    """As ``decode``, of JSON that somebody else has read.

    Raises:
        ValueError: it is no such value.
    """
    try:
        value: T = msgspec.convert(found, type_)
    except msgspec.ValidationError as error:
        raise ValueError(f"this {type_.__name__} cannot be read: {error}") from error
    return value
