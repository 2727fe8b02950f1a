"""Who works in a data folder: one process at a time trades there, and others can tell which."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from option_baskets.domain.errors import Invalid, Unavailable

_LOCK = "lock"


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the data folder: two engines on one journal would order everything twice.

    Raises:
        Unavailable: another process holds it.
        Invalid: it cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / _LOCK).open("ab+", buffering=0)
    except OSError as error:
        raise Invalid(f"{data} cannot be written: {error.strerror}", where="--data") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(
                f"process {_name(lock)} trades in {data}; stop it, or give another --data folder"
            ) from None
        with contextlib.suppress(OSError):  # held without a name, where the disk is full
            lock.truncate(0)
            lock.write(str(os.getpid()).encode())
        yield


def holder(data: Path) -> str | None:
    """The number of the process that trades in the folder; None: nobody does."""
    try:
        lock = (data / _LOCK).open("rb", buffering=0)
    except OSError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _name(lock)
    return None


def _name(lock: IO[bytes]) -> str:
    lock.seek(0)
    return lock.read().decode().strip() or "(unknown)"
