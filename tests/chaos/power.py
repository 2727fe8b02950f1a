"""Power that fails instead of a process that is killed: of the tables' log only what was fsynced is there afterwards.

A commit that returned on a durable file has its part of the log on disk, as SQLite asks for before it returns; how long
the log was then is noted. What was written behind it, by a commit nobody was told of, is lost, or there in part, or
garbage, as the seed has it. The exchange keeps its book in another process, which has power.
"""

import mmap
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from option_baskets.ports import Write
from option_baskets.wiring import TRADING_FILE

_NOTE = "synced"
_SIZE = struct.Struct("<Q")


class Synced:
    """How much of the log is on disk, noted so that it outlives the process. Nothing is where files are not durable."""

    def __init__(self, data: Path, *, durable: bool) -> None:
        self._wal = data / f"{TRADING_FILE}-wal"
        self._durable = durable
        with (data / _NOTE).open("a+b") as file:
            file.truncate(_SIZE.size)
            self._note = mmap.mmap(file.fileno(), _SIZE.size)
        self.note()

    def note(self) -> None:
        if self._durable and self._wal.exists():
            self._note[:] = _SIZE.pack(self._wal.stat().st_size)


class SyncedTable:
    """A table whose commits are noted when they have returned."""

    def __init__(self, table: Any, synced: Synced) -> None:
        self._table = table
        self._synced = synced

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        await self._table.commit(writes)
        self._synced.note()


def lose_power(data: Path, seed: str) -> int:
    """Leave of the log what was on disk, and something of what was not; how many bytes were not."""
    wal, note = data / f"{TRADING_FILE}-wal", data / _NOTE
    (data / f"{TRADING_FILE}-shm").unlink(missing_ok=True)
    if not wal.exists() or not note.exists():
        return 0
    (synced,) = _SIZE.unpack(note.read_bytes())
    content = wal.read_bytes()
    tail = content[synced:]
    draw = random.Random(seed)
    kept = tail[: draw.randint(0, len(tail))]
    if draw.random() < 0.5:
        kept = kept[: len(kept) // 2] + draw.randbytes(draw.randint(0, 2 * 4096))
    wal.write_bytes(content[:synced] + kept)
    return len(tail)
