"""Copies of frozen values with some fields changed, for what happens to every order: a fifth of the time it takes."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def copied(value: T, /, **changes: object) -> T:
    """As ``dataclasses.replace``, of a slotted dataclass that checks nothing when it is made.

    Raises:
        TypeError: it has no such field, or checks its fields when it is made, which a copy does not.
    """
    copy: T = _copier(type(value))(value, **changes)
    return copy


def _written(cls: type[Any]) -> Callable[..., Any]:
    """A function of the class with a keyword a field, written out as ``dataclasses`` writes ``__init__``."""
    if hasattr(cls, "__post_init__"):
        raise TypeError(f"{cls.__name__} checks its fields when it is made; use dataclasses.replace")
    names = [field.name for field in fields(cls)]
    scope: dict[str, Any] = {"_new": object.__new__, "_cls": cls, "_KEPT": object()}
    scope |= {f"_set_{name}": getattr(cls, name).__set__ for name in names}
    lines = [f"def copier(_of, /, *, {', '.join(f'{name}=_KEPT' for name in names)}):", " _copy = _new(_cls)"]
    lines += [f" _set_{name}(_copy, _of.{name} if {name} is _KEPT else {name})" for name in names]
    exec("\n".join([*lines, " return _copy"]), scope)
    copier: Callable[..., Any] = scope["copier"]
    return copier


_copier: Callable[[Any], Callable[..., Any]] = cache(_written)
