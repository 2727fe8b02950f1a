"""Commits as lines of a file, for when the tables cannot be written: each checked, numbered and readable."""

import builtins
import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from option_baskets.domain.errors import Halt
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Order, OrderState
from option_baskets.ports import Delete, Item, Put, TableName, Write
from option_baskets.store import codec
from option_baskets.store.keys import ORDER

_NULL = msgspec.Raw(b"null")


class _Written(msgspec.Struct, frozen=True, omit_defaults=True):
    """A write. Where body and bytes are null it deletes."""

    table: TableName
    pk: str
    sk: str
    body: msgspec.Raw
    """As it is stored, where that is JSON on one line and not null."""
    bytes: "builtins.bytes | None" = None
    """Where it is anything else: in base 64."""
    version: int = 0
    gsi1: tuple[str, str] | None = None
    gsi2: tuple[str, str] | None = None
    expires_at: int | None = None


class _Commit(msgspec.Struct, frozen=True):
    number: int
    at: datetime
    writes: tuple[_Written, ...]


class _Line(msgspec.Struct, frozen=True):
    sum: str
    """Of the bytes of the commit."""
    commit: msgspec.Raw


def line(number: int, at: datetime, writes: Sequence[Write]) -> bytes:
    """One commit as one line.

    Args:
        number: of the line in its file, from 0.
        at: when it was committed.
    """
    commit = msgspec.json.encode(_Commit(number=number, at=at, writes=tuple(map(_written, writes))))
    return msgspec.json.encode(_Line(sum=_sum(commit), commit=msgspec.Raw(commit))) + b"\n"


def commits(content: bytes, name: str) -> tuple[list[tuple[Write, ...]], int]:
    """The commits of a file's content in order, and how many of its bytes they are.

    A last line that is torn was never acknowledged to anybody and counts for nothing; neither does room kept behind it.

    Raises:
        Halt: a line before the last is damaged or missing; nobody can say what it held.
    """
    found: list[tuple[Write, ...]] = []
    end = 0
    content = content.rstrip(b"\0")
    while end < len(content):
        newline = content.find(b"\n", end)
        commit = None if newline < 0 else _read(content[end:newline])
        if commit is None or commit.number != len(found):
            if commit is None and newline in {-1, len(content) - 1}:
                break
            raise Halt(
                f"{name} is damaged in line {len(found) + 1}: what was ordered there is not known; compare the "
                "brokers' order books with the journal, then move the file away"
            )
        found.append(tuple(map(_write, commit.writes)))
        end = newline + 1
    return found, end


def begins_entry(writes: Sequence[Write]) -> bool:
    """Whether a commit journals an entry that is still to be sent."""
    for write in writes:
        if isinstance(write, Put) and ORDER in write.item.sk:
            order = codec.decode(write.item.body, Order)
            if order.intent.action is Action.ENTER and order.state in {OrderState.CREATED, OrderState.SENDING}:
                return True
    return False


def _read(text: bytes) -> _Commit | None:
    try:
        read = msgspec.json.decode(text, type=_Line)
        commit = bytes(read.commit)
        return msgspec.json.decode(commit, type=_Commit) if read.sum == _sum(commit) else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_plain(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return b"\n" not in body and body == body.strip() != bytes(_NULL)


def _sum(commit: bytes) -> str:
    return hashlib.sha256(commit).hexdigest()[:16]


def _written(write: Write) -> _Written:
    if isinstance(write, Delete):
        return _Written(table=write.table, pk=write.pk, sk=write.sk, body=_NULL)
    item = write.item
    is_plain = _is_plain(item.body)
    return _Written(
        table=write.table,
        pk=item.pk,
        sk=item.sk,
        version=item.version,
        body=msgspec.Raw(item.body) if is_plain else _NULL,
        bytes=None if is_plain else item.body,
        gsi1=item.gsi1,
        gsi2=item.gsi2,
        expires_at=item.expires_at,
    )


def _write(written: _Written) -> Write:
    """The write without its condition: that held when it was written down, and what came later is in later lines."""
    body = written.bytes if bytes(written.body) == bytes(_NULL) else bytes(written.body)
    if body is None:
        return Delete(table=written.table, pk=written.pk, sk=written.sk)
    item = Item(
        pk=written.pk,
        sk=written.sk,
        body=body,
        version=written.version,
        gsi1=written.gsi1,
        gsi2=written.gsi2,
        expires_at=written.expires_at,
    )
    return Put(table=written.table, item=item)
