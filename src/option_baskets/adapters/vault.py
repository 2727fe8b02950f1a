"""The Vault port over a key file that lies outside the database.

The file ``vault.keys`` has one key a line, the newest first: its name, when it was made, 32 bytes in base64. The newest
seals, every one opens. It is replaced whole, under a lock of its folder, and on disk before a key of it seals anything;
so no process that seals, makes or adds keys at the same time, and no crash, can leave a secret whose key is nowhere.

A sealed secret is one byte for this format, 8 bytes that name the key, a nonce of 12 bytes, and the secret encrypted by
AES-256-GCM with its tag of 16 bytes at the end. The owner and what stands before the nonce are authenticated with it.
"""

import base64
import binascii
import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from option_baskets.domain.errors import Invalid, Unavailable

KEY_FILE = "vault.keys"
_FORMAT = b"\x01"
_KEY, _NAME, _NONCE, _TAG = 32, 8, 12, 16
_HEAD = len(_FORMAT) + _NAME
Sight = tuple[int, ...]
"""What changes when a file is replaced or written to."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NOTICE = """\
# The keys that seal the secrets of broker accounts, the newest first. Whoever has this file and the database has them;
# without this file nobody has. Keep a copy apart from the backups of the database.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the file. Its name is a hash of it, so that a damaged one is noticed."""

    made_at: datetime
    secret: bytes = field(repr=False)

    @property
    def name(self) -> bytes:
        return hashlib.sha256(b"option-baskets vault key" + self.secret).digest()[:_NAME]


class KeyFileVault:
    """Seals and opens by the keys in ``folder``; the file is made when something is sealed first.

    The file is looked at before every use, so that a key added by another process is used from then on.

    Args:
        folder: best on another disk, and never in a backup, of what is sealed.
        now: when a key is made, for the file.
    """

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        self.path = folder / KEY_FILE
        self._now = now
        self._keys: tuple[Key, ...] = ()
        self._seen: Sight | None = None

    async def seal(self, secret: bytes, *, owner: str) -> bytes:
        """Encrypted by the newest key.

        Raises:
            Unavailable: the key file cannot be read or made, others may read it, or it is damaged.
        """
        key = (self.known_keys() or self._add(only_first=True))[0]
        head = _FORMAT + key.name
        nonce = os.urandom(_NONCE)
        return head + nonce + AESGCM(key.secret).encrypt(nonce, secret, head + owner.encode())

    async def open(self, sealed: bytes, *, owner: str) -> bytes:
        """The secret.

        Raises:
            Invalid: it was sealed for another owner, by a key that is not in the file, or was changed.
            Unavailable: as ``seal``.
        """
        head, nonce, text = sealed[:_HEAD], sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
        if not head.startswith(_FORMAT) or len(text) < _TAG:
            raise Invalid(f"what is sealed for {owner} is no secret of this program; give the secret anew")
        name = head[len(_FORMAT) :]
        key = next((each for each in self.known_keys() if each.name == name), None)
        if key is None:
            raise Invalid(
                f"what is sealed for {owner} was sealed by the key {name.hex()}, which is not in {self.path}; "
                "put that key file back, or give the secret anew"
            )
        try:
            return AESGCM(key.secret).decrypt(nonce, text, head + owner.encode())
        except InvalidTag:
            raise Invalid(
                f"what is sealed for {owner} was changed, or sealed for another owner; give the secret anew"
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest key sealed it; False where there is no key."""
        keys = self.known_keys()
        return bool(keys) and sealed[:_HEAD] == _FORMAT + keys[0].name

    def key_of(self, sealed: bytes) -> str:
        """The name of the key that sealed it, whether it is in the file or not."""
        return sealed[len(_FORMAT) : _HEAD].hex()

    def known_keys(self) -> Sequence[Key]:
        """The keys of the file as it is now, the newest first; none where there is no file yet.

        Raises:
            Unavailable: the file cannot be read, others may read it, it is damaged, or it was there and is gone.
        """
        try:
            if self._seen is None or _sight(self.path.stat()) != self._seen:
                self._keys, self._seen = self._read()
        except FileNotFoundError:
            if self._seen is not None:
                raise Unavailable(f"{self.path} is gone; put the copy of it back") from None
        except OSError as error:
            raise self._failure(error) from error
        return self._keys

    def add_key(self) -> Key:
        """Make a new key the newest; it is on disk when this returns.

        Raises:
            Unavailable: the file cannot be written, or is not sound; it is as it was.
        """
        return self._add(only_first=False)[0]

    def _read(self) -> tuple[tuple[Key, ...], Sight]:
        """The keys, and by what to see that the file has changed. That it has this name is on disk."""
        try:
            with self.path.open(encoding="ascii") as file:
                found = os.fstat(file.fileno())
                self._require_private(found.st_mode)
                lines = file.read().splitlines()
        except UnicodeDecodeError:
            raise self._damaged("it is no text") from None
        keys = tuple(self._key(number, line) for number, line in enumerate(lines, 1) if line and line[0] != "#")
        if not keys:
            raise self._damaged("there is no key in it")
        with _folder(self.path.parent) as folder:  # whoever wrote it may not have come so far yet
            os.fsync(folder)
        return keys, _sight(found)

    def _require_private(self, mode: int) -> None:
        if mode & _OTHERS:
            raise Unavailable(
                f"{self.path} may be read or written by others (mode {stat.S_IMODE(mode):04o}); "
                f"run chmod 600 {self.path}, and baskets vault rotate if somebody else may have read it"
            )

    def _key(self, number: int, line: str) -> Key:
        try:
            name, made_at, text = line.split()
            key = Key(made_at=datetime.fromisoformat(made_at), secret=base64.b64decode(text, validate=True))
        except (ValueError, binascii.Error):
            raise self._damaged(f"line {number} is no key") from None
        if len(key.secret) != _KEY or key.name.hex() != name:
            raise self._damaged(f"the key in line {number} is not the one it is named for")
        return key

    def _add(self, *, only_first: bool) -> Sequence[Key]:
        """Write the file with a new key before the others. ``only_first``: unless there is one already."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _folder(self.path.parent) as folder:
                fcntl.flock(folder, fcntl.LOCK_EX)  # the system lets go of it when a process dies
                keys = self.known_keys()
                if not (only_first and keys):
                    made_at = self._now().astimezone(UTC).replace(microsecond=0)
                    self._write((Key(made_at=made_at, secret=AESGCM.generate_key(8 * _KEY)), *keys))
        except OSError as error:
            raise self._failure(error) from error
        return self.known_keys()

    def _write(self, keys: Sequence[Key]) -> None:
        lines = [f"{key.name.hex()} {key.made_at.isoformat()} {base64.b64encode(key.secret).decode()}" for key in keys]
        part = self.path.with_name(KEY_FILE + ".part")
        part.unlink(missing_ok=True)
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as writing:
            writing.write(_NOTICE + "\n".join(lines) + "\n")
            writing.flush()
            os.fsync(writing.fileno())
        part.rename(self.path)

    def _failure(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self.path}: {error.strerror}; check the folder that is given as --keys, and who owns it")

    def _damaged(self, how: str) -> Unavailable:
        return Unavailable(f"{self.path} is damaged: {how}; put the copy of it back")


def _sight(found: os.stat_result) -> Sight:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
