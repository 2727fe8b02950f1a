"""Ways in which a store really fails while a day goes on: a full disk, a lock, a limit of file size, no permission."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from subprocess import PIPE

import pytest

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.wiring import TRADING_FILE, Embedded

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    """A file system of that size; where it may not be mounted the test is skipped."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte on the disk."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            return


def free(folder: Path) -> None:
    (folder / "filler").unlink()


class Full:
    """The disk with the tables, and nothing else, is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def strike(self, machine: Embedded) -> None:
        fill(self._folder)

    def end(self, machine: Embedded) -> None:
        free(self._folder)

    def pass_over(self) -> None:
        """End it after the machine is gone."""
        free(self._folder)


class Forbidden:
    """The tables can only be read any more."""

    def strike(self, machine: Embedded) -> None:
        writer(machine).execute("PRAGMA query_only = 1")

    def end(self, machine: Embedded) -> None:
        writer(machine).execute("PRAGMA query_only = 0")

    def pass_over(self) -> None:
        """It went with the connection."""


class Locked:
    """Another process holds the tables for itself."""

    def strike(self, machine: Embedded) -> None:
        writer(machine).execute("PRAGMA busy_timeout = 1")
        path = str(tables(machine).file.path)
        self._holder = subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdin=PIPE, stdout=PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"held\n"

    def end(self, machine: Embedded) -> None:
        self.pass_over()

    def pass_over(self) -> None:
        self._holder.kill()
        self._holder.communicate()


class Limited:
    """No file of this process may grow beyond what the log of the tables has now."""

    def strike(self, machine: Embedded) -> None:
        path = tables(machine).file.path
        size = path.with_name(path.name + "-wal").stat().st_size
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._before[1]))

    def end(self, machine: Embedded) -> None:
        self.pass_over()

    def pass_over(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


Fault = Full | Forbidden | Locked | Limited


def tables(machine: Embedded) -> SqliteTable:
    table = machine.table.table
    assert isinstance(table, SqliteTable)
    return table


def writer(machine: Embedded) -> Connection:
    return tables(machine).file._writer


def on_disk(folder: Path, data: Path, *names: str) -> None:
    """Put these files of a data folder on the disk; the exchange's book stays where it is."""
    data.mkdir(parents=True, exist_ok=True)
    for name in names or (TRADING_FILE,):
        (data / name).symlink_to(folder / name)
