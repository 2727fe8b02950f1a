"""The number of shards is stored with the tables, and nobody works with another."""

from pathlib import Path

import pytest

from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Halt
from option_baskets.store.shards import fix_shards, require_shards


async def test_the_first_use_fixes_the_shards_and_another_number_is_refused(tmp_path: Path) -> None:
    table = SqliteTable.open(tmp_path / "table.db", now=RealClock().now)
    try:
        assert not await require_shards(table, 16)
        await fix_shards(table, 16)
        assert await require_shards(table, 16)
        await fix_shards(table, 16)
        with pytest.raises(Halt, match="divided into 16 shards"):
            await require_shards(table, 4)
        with pytest.raises(Halt, match="OPTION_BASKETS_SHARDS to 16"):
            await fix_shards(table, 4)
    finally:
        await table.close()
