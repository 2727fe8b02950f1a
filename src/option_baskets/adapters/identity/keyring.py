"""The keys access tokens are signed with: a file of their own, beside no database, that only its owner can read."""

import base64
import fcntl
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from option_baskets.domain.errors import Invalid, Unavailable

LOG = logging.getLogger(__name__)

FILE = "tokens.json"
KEPT = timedelta(days=1)
"""How long a key verifies after another has taken its place; access tokens live much shorter."""
_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    id: str
    secret: bytes = field(repr=False)
    made_at: datetime


class TokenKeys:
    """The newest signs, all of them verify. A file that another process rotated is read anew.

    Raises:
        Invalid: others can read the file, or it is no key file.
        Unavailable: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: tuple[TokenKey, ...] = ()
        self._seen: tuple[int, int] | None = None
        self._read()

    @classmethod
    def open(cls, folder: Path, *, now: datetime) -> Self:
        """The key file of the folder; both are made where they are missing."""
        path = folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                with suppress(FileExistsError):  # another process was faster
                    _write(path, [_made(now)], replace=False)
        except OSError as error:
            raise _unavailable(path, error) from error
        return cls(path)

    @property
    def newest(self) -> TokenKey:
        self._look()
        return self._keys[-1]

    def find(self, key_id: str) -> TokenKey | None:
        """The key of this id; None where it is not in the file, or not any more."""
        self._look()
        return next((key for key in self._keys if key.id == key_id), None)

    def rotate(self, *, now: datetime, forget: bool = False) -> TokenKey:
        """Sign with a new key from now on, in every process.

        Those that were replaced more than a day ago are dropped; with ``forget`` all are, and what they signed is
        refused at once.
        """
        try:
            with _alone(self.path.parent):
                self._read()
                replaced = zip(self._keys, self._keys[1:], strict=False)
                kept = [key for key, successor in replaced if now - successor.made_at <= KEPT]
                new = _made(now)
                _write(self.path, [new] if forget else [*kept, self._keys[-1], new], replace=True)
                self._read()
        except OSError as error:
            raise _unavailable(self.path, error) from error
        return new

    def _look(self) -> None:
        """Read the file again if it was changed; while it is not sound, what was read before stays good."""
        try:
            found = _identity(self.path.stat())
            if found != self._seen:
                self._seen = found
                self._read()
        except (OSError, Invalid, Unavailable) as error:
            LOG.warning("the keys of access tokens cannot be read anew: %s", error)

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                content = file.read()
        except OSError as error:
            raise _unavailable(self.path, error) from error
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise Invalid(
                f"{self.path} can be read by others than its owner; chmod 600 it, then rotate the key", where="--keys"
            )
        self._keys = _decoded(self.path, content)
        self._seen = _identity(found)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


def _made(now: datetime) -> TokenKey:
    return TokenKey(id=secrets.token_hex(8), secret=secrets.token_bytes(_BYTES), made_at=now)


def _decoded(path: Path, content: bytes) -> tuple[TokenKey, ...]:
    try:
        keys = tuple(map(_key, json.loads(content)["keys"]))
    except (ValueError, KeyError, TypeError):
        keys = ()
    if not keys or any(len(key.secret) < _BYTES for key in keys):
        raise Invalid(
            f"{path} is no key file; put back the one that was there, or move it away and start again with a new one "
            "(everybody then renews their login)",
            where="--keys",
        )
    return keys


def _key(table: Any) -> TokenKey:
    secret = base64.b64decode(table["secret"], validate=True)
    return TokenKey(id=str(table["id"]), secret=secret, made_at=datetime.fromisoformat(table["made_at"]))


def _write(path: Path, keys: Sequence[TokenKey], *, replace: bool) -> None:
    """Durably, and never half: the file appears under its name once it is whole."""
    tables = [
        {"id": key.id, "secret": base64.b64encode(key.secret).decode(), "made_at": key.made_at.isoformat()}
        for key in keys
    ]
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"keys": tables}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            part.replace(path)
        else:
            path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else rotates."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _unavailable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"{path}: {error.strerror}; name a folder that can be written, with --keys")
