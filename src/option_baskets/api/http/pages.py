"""Lists in pages. A cursor is opaque and signed: it is good for the user and the list it was given for."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request

from option_baskets.api.http.asking import Asking
from option_baskets.domain.errors import Invalid

T = TypeVar("T")
V = TypeVar("V")
MOST = 200
USUAL = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next: str | None
    """Give it back as ``cursor`` for what follows; null at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    limit: int
    cursor: str | None
    """Where the page before ended, in the words of whoever made it; None: the beginning."""
    _key: bytes
    _list: str

    def seal(self, position: str | None) -> str | None:
        """The cursor on the wire."""
        if position is None:
            return None
        raw = position.encode()
        return base64.urlsafe_b64encode(_mac(self._key, self._list, raw) + raw).decode().rstrip("=")

    def of(self, items: Sequence[T], name: Callable[[T], str], view: Callable[[T], V]) -> Page[V]:
        """A page of what is in memory, sorted by ``name``, which tells items apart."""
        rest = sorted((each for each in items if self.cursor is None or name(each) > self.cursor), key=name)
        shown = rest[: self.limit]
        following = name(shown[-1]) if len(rest) > len(shown) else None
        return Page(items=tuple(view(each) for each in shown), next=self.seal(following))


def _mac(key: bytes, of_list: str, raw: bytes) -> bytes:
    return hmac.digest(key, of_list.encode() + b"\x1f" + raw, hashlib.sha256)[:12]


def _opened(cursor: str, key: bytes, of_list: str) -> str:
    try:
        both = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        mac, raw = both[:12], both[12:]
        if hmac.compare_digest(mac, _mac(key, of_list, raw)):
            return raw.decode()
    except (binascii.Error, ValueError):
        pass
    raise Invalid("is no cursor of this list; give back the one a page came with, or none", where="query.cursor")


async def _paging(
    request: Request,
    asker: Asking,
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many at most.")] = USUAL,
    cursor: Annotated[str | None, Query(max_length=4000, description="``next`` of the page before.")] = None,
) -> Paging:
    key, of_list = asker.platform.cursor_key, f"{asker.user_id}\x1f{request.url.path}"
    return Paging(
        limit=limit, cursor=None if cursor is None else _opened(cursor, key, of_list), _key=key, _list=of_list
    )


Paged = Annotated[Paging, Depends(_paging)]
"""The parameter of every route that answers a list."""
