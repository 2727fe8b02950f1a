"""The file commits go to while the tables cannot be written: append-only, on disk before anybody goes on."""

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from option_baskets.domain.errors import Unavailable
from option_baskets.ports import Write
from option_baskets.store import second_path

LOG = logging.getLogger(__name__)

RESERVED = 16 * 1024 * 1024
"""Bytes taken from the disk beforehand, so that a full one still has room for some thousand orders."""


class SecondPath:
    """Lines of commits (``store/second_path.py``), each fsynced before ``append`` returns.

    Args:
        path: best on another disk than the tables.
        reserved: bytes to reserve; 0: none, and nothing is created before the first line.
        durable: False skips every fsync, for simulated time.

    Raises:
        Halt: what a former process left there is damaged.
        Unavailable: the file cannot be read.
    """

    def __init__(self, path: Path, *, reserved: int = 0, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._reserved = reserved
        self._file: int | None = None
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise self._failure(error) from error
        self.left, self._end = second_path.commits(content, str(path))
        """What a former process left, in order; nobody has merged it yet."""
        self._number = len(self.left)
        self._torn = len(content.rstrip(b"\0")) - self._end
        if reserved:
            self._reserve()

    def append(self, writes: Sequence[Write], at: datetime) -> None:
        """Write one commit down, durably.

        Raises:
            Unavailable: the file cannot be written; it holds what it held before.
        """
        text = second_path.line(self._number, at, writes)
        try:
            file = self._opened()
            if self._torn > 0:
                os.pwrite(file, bytes(self._torn), self._end)
                self._torn = 0
            written = 0
            while written < len(text):
                written += os.pwrite(file, text[written:], self._end + written)
            if self._durable:
                os.fdatasync(file)
        except OSError as error:
            self._give_up()
            raise self._failure(error) from error
        self._end += len(text)
        self._number += 1

    def put_aside(self, at: datetime) -> Path | None:
        """Keep the lines under another name, which the instant is part of; they are merged. The file begins anew."""
        self.left = []
        if not self._number:
            return None
        aside = self.path.with_name(f"{self.path.stem}-{at:%Y%m%d-%H%M%S-%f}{self.path.suffix}")
        try:
            os.truncate(self.path, self._end)
            self.path.rename(aside)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            self._give_up()
        self._end = self._number = 0
        if self._reserved:
            self._reserve()
        return aside

    def close(self) -> None:
        self._give_up()

    def _reserve(self) -> None:
        try:
            os.posix_fallocate(self._opened(), 0, self._reserved)
        except OSError as error:
            LOG.warning("%s: no room could be reserved for orders: %s", self.path, error.strerror)

    def _opened(self) -> int:
        if self._file is None:
            is_new = not self.path.exists()
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if is_new and self._durable:
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        return self._file

    def _give_up(self) -> None:
        """Let go of the file: a descriptor whose fsync failed once may not be trusted again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _failure(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self.path}: {error.strerror}; check the folder and the space on its disk")
