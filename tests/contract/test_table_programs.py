"""One random program of operations gives the same answers on SQLite, on DynamoDB and on a dictionary."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Conflict
from option_baskets.ports import Delete, Index, Item, Put, Table, TableName, Write
from option_baskets.store.limits import key_of
from tests.contract.engines import Engine, opened

T = TypeVar("T")
START = datetime(2096, 11, 24, 6, 30, tzinfo=UTC)

# Few keys, and one partition more often than the others, so that programs meet themselves.
users = st.sampled_from(["u", "u", "u", "v"])
names = st.sampled_from(["a", "a#", "a#1", "a$", "é", "\uffff", "🙂"])
tables = st.sampled_from([TableName.CONFIGURATIONS, TableName.CONFIGURATIONS, TableName.HISTORY])
places = st.none() | st.tuples(users, names)
bodies = st.binary(max_size=3) | st.just("₹1.10".encode())
lives = st.none() | st.integers(-1, 8).map(lambda seconds: int(START.timestamp()) + seconds)
items = st.builds(
    Item, pk=users, sk=names, body=bodies, version=st.integers(1, 3), gsi1=places, gsi2=places, expires_at=lives
)
# Mostly none: a commit of several writes should hold about as often as not.
expectations = st.sampled_from([None] * 12 + [0, 1, 2])
fills = st.builds(Put, table=tables, item=items)
puts = st.builds(Put, table=tables, item=items, expected=expectations)
deletes = st.builds(Delete, table=tables, pk=users, sk=names, expected=expectations)
commits = st.lists(
    puts | puts | puts | deletes, min_size=1, max_size=8, unique_by=lambda write: (write.table, key_of(write))
)


class Dictionary:
    """What a table means, in the fewest words."""

    def __init__(self) -> None:
        self.items: dict[tuple[TableName, str, str], Item] = {}

    def there(self, table: TableName, pk: str, sk: str, now: float) -> Item | None:
        item = self.items.get((table, pk, sk))
        return item if item is not None and (item.expires_at is None or item.expires_at > now) else None

    def commit(self, writes: Sequence[Write], now: float) -> bool:
        for write in writes:
            found = self.there(write.table, *key_of(write), now)
            if write.expected is not None and write.expected != (found.version if found else 0):
                return False
        for write in writes:
            if isinstance(write, Put):
                self.items[write.table, *key_of(write)] = write.item
            else:
                self.items.pop((write.table, *key_of(write)), None)
        return True

    def partition(self, table: TableName, pk: str, index: Index, now: float) -> list[tuple[str, Item]]:
        """(sort key in this index, item), sorted by it and then by the primary key, which no engine promises."""
        found = []
        for (of, user, sk), item in self.items.items():
            keys = {Index.PRIMARY: (user, sk), Index.ALLOCATIONS_BY_STRATEGY: item.gsi1}.get(index, item.gsi2)
            if of is table and keys is not None and keys[0] == pk and self.there(of, user, sk, now):
                found.append((keys[1], item))
        return sorted(found, key=lambda each: (each[0].encode(), each[1].pk, each[1].sk.encode()))


class Programs(RuleBasedStateMachine):
    runner: ClassVar[asyncio.Runner]
    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.model = Dictionary()
        self.tables: list[Table] = []
        self.folder = TemporaryDirectory()

    def run(self, operation: Callable[[Table], Awaitable[T]]) -> list[T]:
        async def each() -> list[T]:
            return list(await asyncio.gather(*(operation(table) for table in self.tables)))

        return self.runner.run(each())

    @initialize(writes=st.lists(fills, min_size=12, max_size=24, unique_by=lambda put: (put.table, key_of(put))))
    def open(self, writes: list[Put]) -> None:
        path = Path(self.folder.name)
        sqlite = SqliteTable.open(path / "table.db", now=lambda: self.now, threaded=False, durable=False)
        self.tables = [sqlite, self.runner.run(opened(self.engine, path, lambda: self.now))]
        self.commit(writes)

    @rule(writes=commits)
    def commit(self, writes: list[Write]) -> None:
        async def held(table: Table) -> bool:
            try:
                await table.commit(writes)
            except Conflict:
                return False
            return True

        expected = self.model.commit(writes, self.now.timestamp())
        assert self.run(held) == [expected] * 2

    @rule(table=tables, pk=users, sk=names)
    def get(self, table: TableName, pk: str, sk: str) -> None:
        expected = self.model.there(table, pk, sk, self.now.timestamp())
        assert self.run(lambda each: each.get(table, pk, sk)) == [expected] * 2

    @rule(
        table=tables,
        pk=users,
        index=st.sampled_from(Index),
        prefix=st.sampled_from(["", "a", "a#", "🙂"]),
        between=st.none() | st.tuples(names, names),
        descending=st.booleans(),
        limit=st.integers(1, 6),
    )
    def query(
        self,
        table: TableName,
        pk: str,
        index: Index,
        prefix: str,
        between: tuple[str, str] | None,
        descending: bool,
        limit: int,
    ) -> None:
        async def pages(each: Table) -> list[Item]:
            found: list[Item] = []
            cursor: str | None = None
            while True:
                page = await each.query(
                    table,
                    pk,
                    index=index,
                    begins_with=prefix,
                    between=between,
                    descending=descending,
                    limit=limit,
                    cursor=cursor,
                )
                assert len(page.items) == limit or page.cursor is None
                found += page.items
                cursor = page.cursor
                if cursor is None:
                    return found

        def place(item: Item) -> bytes:
            keys = {Index.PRIMARY: (item.pk, item.sk), Index.ALLOCATIONS_BY_STRATEGY: item.gsi1}.get(index, item.gsi2)
            assert keys is not None
            return keys[1].encode()

        def is_asked(sort: str) -> bool:
            inside = between is None or between[0].encode() <= sort.encode() <= between[1].encode()
            return sort.startswith(prefix) and inside

        everything = self.model.partition(table, pk, index, self.now.timestamp())
        expected = [item for sort, item in everything if is_asked(sort)]
        for found in self.run(pages):
            order = [place(item) for item in found]
            assert order == sorted(order, reverse=descending)
            assert sorted(found, key=lambda item: (place(item), item.pk, item.sk.encode())) == expected

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def teardown(self) -> None:
        self.run(lambda table: table.close())
        self.folder.cleanup()


def test_any_program_gives_the_same_answers_on_every_engine_and_on_a_dictionary(engine: Engine) -> None:
    with asyncio.Runner() as runner:
        Programs.runner, Programs.engine = runner, engine
        run_state_machine_as_test(Programs, settings=settings(max_examples=12, stateful_step_count=20, deadline=None))
