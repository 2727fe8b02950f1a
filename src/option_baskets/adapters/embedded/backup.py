"""Copies of SQLite files taken while they are in use, and put back."""

import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path

from option_baskets.adapters.embedded.sqlite import failure
from option_baskets.domain.errors import Invalid, NotFound, Unavailable

_LEFT_BY_SQLITE = ("-wal", "-shm", "-journal")
_MOST_FAULTS = 5


def back_up(data: Path, out: Path, names: Iterable[str]) -> list[Path]:
    """Copy the files of a data folder to a new folder, one after the other, each as of the start of its copy.

    Nobody who reads or writes them waits. The folder appears under its name once every copy is whole and on disk.

    Args:
        names: of the files, in the order they are copied; those that are not there are left out.

    Raises:
        NotFound: there is none of the files.
        Invalid: ``out`` has something in it.
        Unavailable: a file is damaged, or the disk full.
    """
    found = [data / name for name in names if (data / name).is_file()]
    if not found:
        raise NotFound(f"there are no books in {data}; name the folder that was given to baskets run as --data")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Invalid(f"{out} is there already and not empty; name a new folder", where="OUT")
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for path in found:
            copy(path, part / path.name)
        part.rename(out)
    except OSError as error:
        raise Unavailable(f"{out}: {error.strerror}; check the folder and the space on its disk") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _sync(out.parent)
    return [out / path.name for path in found]


def restore(backup: Path, data: Path, names: Iterable[str], *, replace: bool = False) -> Path | None:
    """Put the files of a backup into a data folder, and return the folder where what was there is kept.

    Nothing is moved before every file of the backup is found whole and copied.

    Args:
        replace: set aside files that are there. Without it their presence is an error.

    Raises:
        NotFound: the backup has none of the files.
        Invalid: the data folder has files and ``replace`` is not given.
        Unavailable: a file of the backup is damaged, one of the data folder is in use, or the disk is full.
    """
    names = tuple(names)
    found = [backup / name for name in names if (backup / name).is_file()]
    if not found:
        raise NotFound(f"{backup} is no backup: it has none of {', '.join(names)}; baskets backup makes one")
    there = [data / name for name in names if (data / name).exists()]
    if there and not replace:
        raise Invalid(
            f"{data} has books already; give --replace to set them aside, or another --data folder", where="--data"
        )
    for path in there:
        _require_unused(path)
    parts = [data / f"{path.name}.part" for path in found]
    try:
        data.mkdir(parents=True, exist_ok=True)
        for path, part in zip(found, parts, strict=True):
            copy(path, part)
        aside = _set_aside(data, there) if there else None
        for path, part in zip(found, parts, strict=True):
            part.rename(data / path.name)
    except OSError as error:
        raise Unavailable(f"{data}: {error.strerror}; check the folder and the space on its disk") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    _sync(data)
    return aside


def copy(source: Path, target: Path) -> None:
    """Copy one file as it is now; the copy is checked, complete in itself, and on disk.

    Raises:
        Unavailable: the file is damaged or cannot be read, or the copy cannot be written.
    """
    target.unlink(missing_ok=True)
    path = source
    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading:
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            path = target
            with closing(sqlite3.connect(target)) as writing:
                reading.backup(writing)
                writing.execute("PRAGMA journal_mode = DELETE")
                faults = [row[0] for row in writing.execute(f"PRAGMA integrity_check({_MOST_FAULTS})")]
    except sqlite3.Error as error:
        raise failure(path, error) from error
    if faults != ["ok"]:
        target.unlink()
        raise Unavailable(f"{source}: the file is damaged ({'; '.join(faults)}); restore the last backup that is whole")
    target.chmod(source.stat().st_mode & 0o777)  # nobody reads the copy who may not read the file
    _sync(target)


def _require_unused(path: Path) -> None:
    """Raise Unavailable while another program has the file open."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise failure(path, error) from error
        # A file too damaged to be opened is in nobody's use and may be set aside.


def _set_aside(data: Path, paths: Iterable[Path]) -> Path:
    folder = next(each for number in count(1) if not (each := data / f"replaced-{number}").exists())
    folder.mkdir()
    for path in paths:
        for each in (path, *(path.with_name(path.name + suffix) for suffix in _LEFT_BY_SQLITE)):
            if each.exists():
                each.rename(folder / each.name)
    return folder


def _sync(path: Path) -> None:
    """Wait until the file, or the names in the folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
