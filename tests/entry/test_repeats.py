"""An Idempotency-Key whose work was begun and never answered: one of those who ask again does it."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.api.http.repeats import UNDER_WAY
from option_baskets.store.repeats import Repeat, Repeats

BEGAN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LATER = BEGAN + UNDER_WAY + timedelta(seconds=1)


async def left_behind(folder: Path) -> tuple[SqliteTable, Repeats, Repeat]:
    """A claim of a process that died, as two who ask again find it."""
    table = SqliteTable.open(folder / "identity.sqlite", now=lambda: LATER, threaded=False, durable=False)
    repeats = Repeats(table)
    assert await repeats.claim("ann", "k", "digest", BEGAN) is None
    found = await repeats.claim("ann", "k", "digest", LATER)
    assert found is not None and found.status is None
    return table, repeats, found


def test_one_of_two_who_ask_again_at_once_may_do_it(tmp_path: Path) -> None:
    async def main() -> None:
        table, repeats, found = await left_behind(tmp_path)
        assert await repeats.claim_again("ann", "k", found, LATER)
        assert not await repeats.claim_again("ann", "k", found, LATER)
        now = await repeats.claim("ann", "k", "digest", LATER)
        assert now is not None and now.at == LATER  # and the next one waits as long again
        await table.close()

    asyncio.run(main())


def test_what_was_answered_meanwhile_is_not_done_again(tmp_path: Path) -> None:
    async def main() -> None:
        table, repeats, found = await left_behind(tmp_path)
        await repeats.keep("ann", "k", Repeat(digest="digest", at=BEGAN, status=201, body=b"{}", version=2))
        assert not await repeats.claim_again("ann", "k", found, LATER)
        answered = await repeats.claim("ann", "k", "digest", LATER)
        assert answered is not None and (answered.status, answered.body) == (201, b"{}")
        await table.close()

    asyncio.run(main())
