"""What the history keeps of a run beside its orders: how it entered, and how it ended."""

import asyncio
from datetime import datetime
from pathlib import Path

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.ports import TableName
from option_baskets.store import codec
from option_baskets.wiring import LOCAL_USER, TRADING_FILE
from tests.engine.tiny_day import DAY, QUIET, STRADDLE, instant, play_day, record


async def kept(data: Path) -> dict[str, Run]:
    """ENTRY and EXIT items by kind, read from the closed file."""
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: datetime(DAY.year, 12, 31, tzinfo=IST), threaded=False)
    try:
        page = await table.query(TableName.HISTORY, LOCAL_USER)
    finally:
        await table.close()
    kinds = {kind: item for item in page.items for kind in ("ENTRY", "EXIT") if f"#{kind}#" in item.sk}
    return {kind: codec.decode(item.body, Run) for kind, item in kinds.items()}


def test_a_run_is_kept_as_it_entered_and_as_it_ended(tmp_path: Path) -> None:
    played = play_day(record(tmp_path / "days", QUIET), tmp_path / "data", STRADDLE)
    items = asyncio.run(kept(played.data))
    assert items["ENTRY"].status is RunStatus.ENTERING
    assert items["ENTRY"].entry_at == instant("09:20")
    assert [position.intended for position in items["ENTRY"].positions] == [p.intended for p in played.run.positions]
    assert items["EXIT"].status is RunStatus.CLOSED
    assert [position.gross for position in items["EXIT"].positions] == [p.gross for p in played.run.positions]
