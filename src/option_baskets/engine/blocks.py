"""Rows of numbers in columns, written block by block: what a block's owner changes costs nothing to the others."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Block(NamedTuple):
    """So many rows from one on."""

    start: int = 0
    size: int = 0

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.size)


NOTHING = Block()
_FIRST = 1024


class Blocks:
    """Columns of equal length. Rows nobody owns have each column's neutral value; row 0 is never owned."""

    def __init__(self, **columns: tuple[type, float]) -> None:
        self._neutral = {name: neutral for name, (_, neutral) in columns.items()}
        self._columns: dict[str, NDArray[Any]] = {
            name: np.full(_FIRST, neutral, dtype=type_) for name, (type_, neutral) in columns.items()
        }
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self._used = 1

    def __len__(self) -> int:
        """Rows, owned or neutral."""
        return self._used

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; valid until the next write."""
        return self._columns[name][: self._used]

    def write(self, old: Block, rows: Mapping[str, Sequence[float]]) -> Block:
        """Replace a block by one of these columns, which may have another length, and return where it is."""
        size = len(next(iter(rows.values())))
        block = old
        if old.size != size:
            self.drop(old)
            block = self._taken(size)
        for name, values in rows.items():
            self._columns[name][block.rows] = values
        return block

    def drop(self, old: Block) -> None:
        """Give the block's rows back."""
        if old.size:
            for name, neutral in self._neutral.items():
                self._columns[name][old.rows] = neutral
            self._free[old.size].append(old.start)

    def _taken(self, size: int) -> Block:
        if size == 0:
            return NOTHING
        if self._free[size]:
            return Block(self._free[size].pop(), size)
        start, self._used = self._used, self._used + size
        for name, column in self._columns.items():
            if self._used > len(column):
                more = np.full(max(len(column), size), self._neutral[name], dtype=column.dtype)
                self._columns[name] = np.concatenate([column, more])
        return Block(start, size)
