"""Units of DynamoDB as ``benchmarks/_meter.py`` counts them, by hand; and that what is written down is still so."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from benchmarks._meter import WHO, Meter, Work
from benchmarks.shifts import play

from infra.cost.inputs import amount, read_counts
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.ports import Delete, Index, Item, Put, TableName

HISTORY, CONFIGURATIONS = TableName.HISTORY, TableName.CONFIGURATIONS


def item(size: int, **places: Any) -> Item:
    """An item of about so many bytes more than 100."""
    return Item(pk="u", sk="s", body=b"x" * size, **places)


@pytest.fixture
async def meter(tmp_path: Path) -> AsyncIterator[Meter]:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    table = SqliteTable.open(tmp_path / "table.db", now=lambda: now, threaded=False, durable=False)
    yield Meter(table, defaultdict(Work))
    await table.close()


def writes(meter: Meter) -> float:
    work: Work = meter._work[WHO.get()]
    return work.writes


async def test_a_transaction_pays_a_kilobyte_twice_and_an_index_once(meter: Meter) -> None:
    await meter.commit([Put(table=HISTORY, item=item(1500))])
    assert writes(meter) == 2 * 2
    await meter.commit([Put(table=HISTORY, item=item(1500, gsi1=("a", "1")))])
    assert writes(meter) == 4 + 2 * 2 + 2


async def test_an_item_that_moves_in_an_index_is_written_there_where_it_was_and_where_it_is(meter: Meter) -> None:
    await meter.commit([Put(table=CONFIGURATIONS, item=item(500, gsi2=("EXIT#1", "1")))])
    await meter.commit([Put(table=CONFIGURATIONS, item=item(1500, gsi2=("EXIT#2", "1")))])
    assert writes(meter) == (2 + 1) + (4 + 1 + 2)
    await meter.commit([Delete(table=CONFIGURATIONS, pk="u", sk="s")])
    assert writes(meter) == 3 + 7 + 4 + 2
    assert meter._work[WHO.get()].by_table["trading-configurations gsi2 EXIT"] == 1 + 3 + 2


async def test_a_read_by_key_pays_four_kilobytes_and_an_index_half_of_it(meter: Meter) -> None:
    await meter.commit([Put(table=HISTORY, item=item(5000, gsi1=("a", "1")))])
    await meter.get(HISTORY, "u", "s")
    await meter.get(HISTORY, "u", "nothing")
    await meter.query(HISTORY, "a", index=Index.ALLOCATIONS_BY_STRATEGY)
    assert meter._work[WHO.get()].reads == 2 + 1 + 0.5 * 2
    assert meter._work[WHO.get()].requests == 4


def test_what_a_user_is_written_down_to_cost_is_what_a_day_costs_now(tmp_path: Path) -> None:
    """Within a tenth; ``python -m benchmarks.shifts write`` counts anew, ``python -m infra.cost`` writes the page."""
    shop = play(tmp_path / "day", 2, 12)
    counted = {
        f"{name} {quantity}": getattr(shop.work[name], quantity)
        for name in read_counts()["functions"]
        for quantity in ("reads", "writes", "requests", "invocations")
    }
    written = {
        f"{name} {quantity}": amount(found[quantity], 2, 12)
        for name, found in read_counts()["functions"].items()
        for quantity in ("reads", "writes", "requests", "invocations")
    }
    assert counted == {name: pytest.approx(value, rel=0.1, abs=1) for name, value in written.items()}
