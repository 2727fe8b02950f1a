"""What every Table must do, on every engine. An adapter joins by a line in ``ADAPTERS``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.second_path import SecondPath
from option_baskets.adapters.two_paths import TwoPathTable
from option_baskets.domain.errors import Conflict, Invalid
from option_baskets.ports import Delete, Index, Item, Put, Table, TableName, Write
from option_baskets.store import codec
from option_baskets.store.health import Health
from option_baskets.store.limits import LARGEST_ITEM, LONGEST_PARTITION_KEY, LONGEST_SORT_KEY, size_of
from tests.contract.engines import Engine, opened

CONFIGURATIONS, HISTORY = TableName.CONFIGURATIONS, TableName.HISTORY
GSI1, GSI2 = Index.ALLOCATIONS_BY_STRATEGY, Index.USER_EXECUTION_SCHEDULE
NOON = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)


class Hand:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


async def threaded(path: Path, hand: Hand, _: Engine | None) -> Table:
    return SqliteTable.open(path / "table.db", now=hand.now)


async def inline(path: Path, hand: Hand, _: Engine | None) -> Table:
    return SqliteTable.open(path / "table.db", now=hand.now, threaded=False, durable=False)


class Standing(Hand):
    """The same, for whoever would wait."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def now(self) -> datetime:
        return self._hand.now()

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.Event().wait()

    async def pause(self, span: timedelta) -> None:
        await asyncio.Event().wait()


async def two_paths(path: Path, hand: Hand, _: Engine | None) -> TwoPathTable:
    table = SqliteTable.open(path / "table.db", now=hand.now, threaded=False, durable=False)
    return TwoPathTable(table, SecondPath(path / "second-path.jsonl", durable=False), Standing(hand), Health())


async def unwritable(path: Path, hand: Hand, engine: Engine | None) -> Table:
    """A table whose file cannot be written: everything goes the second way."""
    table = await two_paths(path, hand, engine)
    assert isinstance(table.table, SqliteTable)
    await table.table.file.write(lambda connection: connection.execute("PRAGMA query_only = 1").fetchall())
    return table


async def dynamo(path: Path, hand: Hand, engine: Engine | None) -> Table:
    assert engine is not None
    return await opened(engine, path, hand.now)


Opener = Callable[[Path, Hand], Awaitable[Table]]
ADAPTERS = {
    "sqlite": threaded,
    "sqlite-inline": inline,
    "second-path": unwritable,
    "dynamodb": dynamo,
}


several_connections = pytest.mark.parametrize("adapter", [each for each in ADAPTERS if each != "second-path"])
"""A second path is one process's own."""


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def opener(adapter: str, request: pytest.FixtureRequest) -> Opener:
    """Opens the table that belongs to a folder, empty if the folder is."""
    engine = request.getfixturevalue("engine") if adapter == "dynamodb" else None
    return lambda path, hand: ADAPTERS[adapter](path, hand, engine)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
async def table(opener: Opener, tmp_path: Path, hand: Hand) -> AsyncIterator[Table]:
    table = await opener(tmp_path, hand)
    yield table
    await table.close()


def put(sk: str, body: bytes = b"{}", *, pk: str = "u", expected: int | None = None, version: int = 1) -> Put:
    return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=body, version=version), expected=expected)


async def bodies(table: Table, *sort_keys: str) -> list[bytes | None]:
    items = [await table.get(CONFIGURATIONS, "u", sk) for sk in sort_keys]
    return [item.body if item else None for item in items]


async def test_an_item_comes_back_as_it_was_put(table: Table) -> None:
    item = Item(pk="u", sk="s#é🙂", body=b'{"a":1}\x00\xff', version=7, gsi1=("p", "q"), gsi2=("r", "s"))
    await table.commit([Put(table=HISTORY, item=item)])
    assert await table.get(HISTORY, "u", "s#é🙂") == item
    assert await table.get(CONFIGURATIONS, "u", "s#é🙂") is None


async def test_a_create_once_write_meets_a_conflict_the_second_time(table: Table) -> None:
    await table.commit([put("a", b"first", expected=0)])
    with pytest.raises(Conflict, match="expected nothing, found version 1"):
        await table.commit([put("a", b"second", expected=0)])
    assert await bodies(table, "a") == [b"first"]


async def test_a_stale_version_is_a_conflict_and_never_an_overwrite(table: Table) -> None:
    await table.commit([put("a", b"1", expected=0)])
    await table.commit([put("a", b"2", expected=1, version=2)])
    with pytest.raises(Conflict):
        await table.commit([put("a", b"late", expected=1, version=2)])
    with pytest.raises(Conflict):
        await table.commit([put("absent", expected=1, version=2)])
    assert await bodies(table, "a", "absent") == [b"2", None]


async def test_a_conflict_in_the_third_write_leaves_nothing_of_the_first_two(table: Table) -> None:
    await table.commit([put("c", b"there")])
    with pytest.raises(Conflict):
        await table.commit([put("a"), Delete(table=CONFIGURATIONS, pk="u", sk="c"), put("b", expected=3, version=4)])
    assert await bodies(table, "a", "b", "c") == [None, None, b"there"]


async def test_writes_to_both_tables_commit_together(table: Table) -> None:
    journal = Put(table=HISTORY, item=Item(pk="u", sk="a", body=b"h"))
    with pytest.raises(Conflict):
        await table.commit([journal, put("a", expected=5, version=6)])
    assert await table.get(HISTORY, "u", "a") is None
    await table.commit([journal, put("a")])
    assert await table.get(HISTORY, "u", "a") is not None


async def test_a_delete_obeys_its_expected_version(table: Table) -> None:
    await table.commit([put("a")])
    with pytest.raises(Conflict):
        await table.commit([Delete(table=CONFIGURATIONS, pk="u", sk="a", expected=2)])
    await table.commit([Delete(table=CONFIGURATIONS, pk="u", sk="a", expected=1)])
    await table.commit([Delete(table=CONFIGURATIONS, pk="u", sk="a")])
    assert await bodies(table, "a") == [None]


async def test_of_fifty_that_create_one_item_at_once_exactly_one_wins(table: Table) -> None:
    async def create(number: int) -> bool:
        try:
            await table.commit([put(f"own-{number}"), put("one", str(number).encode(), expected=0)])
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*map(create, range(50)))
    assert won.count(True) == 1
    winner = won.index(True)
    assert await bodies(table, "one") == [str(winner).encode()]
    assert [await bodies(table, f"own-{n}") == [b"{}"] for n in range(50)] == won


@several_connections
async def test_of_fifty_that_create_one_item_over_five_connections_exactly_one_wins(
    opener: Opener, tmp_path: Path, hand: Hand
) -> None:
    tables = [await opener(tmp_path, hand) for _ in range(5)]

    async def create(number: int) -> bool:
        try:
            await tables[number % 5].commit([put(f"own-{number}"), put("one", str(number).encode(), expected=0)])
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*map(create, range(50)))
    assert won.count(True) == 1
    assert await bodies(tables[0], "one") == [str(won.index(True)).encode()]
    assert [await bodies(tables[1], f"own-{n}") == [b"{}"] for n in range(50)] == won
    for each in tables:
        await each.close()


async def test_commits_of_one_key_in_one_moment_follow_each_other(table: Table) -> None:
    steps = [table.commit([put("a", str(n).encode(), expected=n, version=n + 1)]) for n in range(20)]
    await asyncio.gather(*steps)
    found = await table.get(CONFIGURATIONS, "u", "a")
    assert found is not None and (found.version, found.body) == (20, b"19")


async def test_a_put_and_a_delete_of_one_key_in_one_moment_keep_their_order(table: Table) -> None:
    gone = Delete(table=CONFIGURATIONS, pk="u", sk="a")
    await asyncio.gather(table.commit([put("a")]), table.commit([gone]), table.commit([put("a", b"new", expected=0)]))
    assert await bodies(table, "a") == [b"new"]
    await asyncio.gather(table.commit([put("a")]), table.commit([gone]))
    assert await bodies(table, "a") == [None]


async def test_what_cannot_be_written_is_refused_with_every_problem_named(table: Table) -> None:
    with pytest.raises(Invalid, match="101 writes"):
        await table.commit([put(str(n)) for n in range(101)])
    with pytest.raises(Invalid) as caught:
        await table.commit([put("a"), put("a"), put(""), put("big", bytes(400 * 1024 + 1)), put("\ud800")])
    assert [problem.where for problem in caught.value.problems] == [f"writes[{n}]" for n in (1, 2, 3, 4)]
    assert await bodies(table, "a", "big") == [None, None]
    await table.commit([put(str(n)) for n in range(100)])


async def test_items_are_ordered_by_the_bytes_of_their_sort_key(table: Table) -> None:
    keys = ["a", "A", "a#", "a!", "é", "z", "\uffff", "🙂", "a\x00", "aa"]
    await table.commit([put(key) for key in keys])
    page = await table.query(CONFIGURATIONS, "u")
    assert [item.sk for item in page.items] == sorted(keys, key=str.encode)
    page = await table.query(CONFIGURATIONS, "u", descending=True)
    assert [item.sk for item in page.items] == sorted(keys, key=str.encode, reverse=True)


async def test_a_range_is_inclusive_and_a_prefix_is_exact(table: Table) -> None:
    await table.commit([put(key) for key in ("a", "b", "b#1", "b#2", "b$", "c", "c\x00")])

    async def found(**how: object) -> list[str]:
        return [item.sk for item in (await table.query(CONFIGURATIONS, "u", **how)).items]  # type: ignore[arg-type]

    assert await found(between=("b", "c")) == ["b", "b#1", "b#2", "b$", "c"]
    assert await found(begins_with="b#") == ["b#1", "b#2"]
    assert await found(begins_with="b", between=("b#2", "c")) == ["b#2", "b$"]
    assert await found(begins_with="x") == []


@pytest.mark.parametrize("index", [GSI1, GSI2])
async def test_an_index_holds_only_items_that_have_its_keys_and_follows_their_changes(
    table: Table, index: Index
) -> None:
    def item(sk: str, place: tuple[str, str] | None) -> Put:
        keys = {"gsi1": place} if index is GSI1 else {"gsi2": place}
        return Put(table=CONFIGURATIONS, item=Item(pk="u", sk=sk, body=b"", **keys))  # type: ignore[arg-type]

    async def found(partition: str) -> list[str]:
        return [each.sk for each in (await table.query(CONFIGURATIONS, partition, index=index)).items]

    await table.commit([item("a", ("p", "2")), item("b", ("p", "1")), item("c", None), item("d", ("q", "1"))])
    assert (await found("p"), await found("q")) == (["b", "a"], ["d"])
    await table.commit([item("a", ("q", "0")), item("b", None), Delete(table=CONFIGURATIONS, pk="u", sk="d")])
    assert (await found("p"), await found("q")) == ([], ["a"])


@pytest.mark.parametrize("index", [Index.PRIMARY, GSI1])
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_follow_each_other_without_gap_or_repetition(table: Table, index: Index, descending: bool) -> None:
    everything = [
        Put(table=CONFIGURATIONS, item=Item(pk="u", sk=f"{n:02}", body=b"", gsi1=("u", str(n // 10))))
        for n in range(47)
    ]
    await table.commit(everything)
    seen: list[tuple[str, str]] = []
    cursor, pages = None, 0
    while cursor is not None or pages == 0:
        page = await table.query(CONFIGURATIONS, "u", index=index, descending=descending, limit=5, cursor=cursor)
        assert len(page.items) <= 5
        seen += [(item.gsi1[1] if item.gsi1 and index is GSI1 else "", item.sk) for item in page.items]
        cursor, pages = page.cursor, pages + 1
    assert sorted(sk for _, sk in seen) == [f"{n:02}" for n in range(47)]
    order = [place or sk for place, sk in seen]
    assert order == sorted(order, reverse=descending)


async def test_a_cursor_that_no_page_gave_is_refused(table: Table) -> None:
    with pytest.raises(Invalid, match="cursor"):
        await table.query(CONFIGURATIONS, "u", cursor="nonsense")


async def test_a_page_is_filled_however_large_its_items_are(table: Table) -> None:
    await table.commit([put(f"{n:02}", bytes(50_000)) for n in range(30)])
    page = await table.query(CONFIGURATIONS, "u")
    assert ([item.sk for item in page.items], page.cursor) == ([f"{n:02}" for n in range(30)], None)
    page = await table.query(CONFIGURATIONS, "u", limit=25)
    assert len(page.items) == 25
    rest = await table.query(CONFIGURATIONS, "u", limit=25, cursor=page.cursor)
    assert [item.sk for item in rest.items] == [f"{n:02}" for n in range(25, 30)]


async def test_expired_items_do_not_shorten_a_page(table: Table, hand: Hand) -> None:
    soon = int((NOON + timedelta(seconds=1)).timestamp())
    short = [Put(table=CONFIGURATIONS, item=Item(pk="u", sk=f"{n}", body=b"", expires_at=soon)) for n in range(8)]
    await table.commit([*short, put("8"), put("9")])
    hand.time = NOON + timedelta(seconds=1)
    page = await table.query(CONFIGURATIONS, "u", limit=2)
    assert [item.sk for item in page.items] == ["8", "9"]


async def test_the_longest_keys_are_taken_and_longer_ones_refused(table: Table) -> None:
    pk, sk = "é" * (LONGEST_PARTITION_KEY // 2), "🙂" * (LONGEST_SORT_KEY // 4)
    item = Item(pk=pk, sk=sk, body=b"x", gsi1=(pk, sk), gsi2=(pk, sk))
    await table.commit([Put(table=HISTORY, item=item, expected=0)])
    assert await table.get(HISTORY, pk, sk) == item
    for where in (Index.PRIMARY, GSI1, GSI2):
        assert (await table.query(HISTORY, pk, index=where, begins_with=sk[:-1])).items == (item,)
        assert (await table.query(HISTORY, pk, index=where, begins_with="🙂", between=("a", "\U0010ffff"))).items
    for long in (
        Item(pk=pk + "a", sk="s", body=b""),
        Item(pk="p", sk=sk + "a", body=b""),
        Item(pk="p", sk="s", body=b"", gsi1=(pk + "a", "s")),
        Item(pk="p", sk="s", body=b"", gsi2=("p", sk + "a")),
    ):
        with pytest.raises(Invalid, match="at most"):
            await table.commit([Put(table=HISTORY, item=long)])
    with pytest.raises(Invalid, match="at most 1024"):
        await table.get(HISTORY, "p", sk + "a")


@pytest.mark.parametrize("index", [None, ("p", "q")])
async def test_an_item_of_four_hundred_kilobytes_is_taken_and_a_larger_one_refused(
    table: Table, index: tuple[str, str] | None
) -> None:
    def of(size: int) -> Item:
        empty = Item(pk="u", sk="é", body=b"", gsi1=index, gsi2=index, expires_at=4_000_000_000)
        return Item(pk="u", sk="é", body=bytes(size - size_of(empty)), gsi1=index, gsi2=index, expires_at=4_000_000_000)

    await table.commit([Put(table=CONFIGURATIONS, item=of(LARGEST_ITEM))])
    assert await table.get(CONFIGURATIONS, "u", "é") == of(LARGEST_ITEM)
    with pytest.raises(Invalid, match=r"409601 bytes; an item has at most 409600, so store it as several"):
        await table.commit([put("small"), Put(table=CONFIGURATIONS, item=of(LARGEST_ITEM + 1))])
    assert await bodies(table, "small") == [None]


async def test_four_megabytes_do_not_fit_in_one_commit(table: Table) -> None:
    large = [put(f"{n}", bytes(380_000)) for n in range(12)]
    with pytest.raises(Invalid, match="split"):
        await table.commit(large)
    await table.commit(large[:7])
    assert len((await table.query(CONFIGURATIONS, "u")).items) == 7


async def test_a_read_without_a_key_or_with_an_impossible_one_is_refused(table: Table) -> None:
    with pytest.raises(Invalid, match="pk is empty"):
        await table.get(CONFIGURATIONS, "", "s")
    with pytest.raises(Invalid, match="sk is empty"):
        await table.get(CONFIGURATIONS, "u", "")
    with pytest.raises(Invalid, match="pk is empty"):
        await table.query(CONFIGURATIONS, "")
    with pytest.raises(Invalid, match="no Unicode"):
        await table.query(CONFIGURATIONS, "u", begins_with="\ud800")
    with pytest.raises(Invalid, match="at least 1"):
        await table.query(CONFIGURATIONS, "u", limit=0)


@several_connections
async def test_no_update_is_lost_when_many_count_at_once_over_three_connections(
    opener: Opener, tmp_path: Path, hand: Hand
) -> None:
    tables = [await opener(tmp_path, hand) for _ in range(3)]

    async def count(table: Table) -> None:
        while True:
            found = await table.get(CONFIGURATIONS, "u", "counter")
            number, version = (int(found.body), found.version) if found else (0, 0)
            try:
                await table.commit([put("counter", b"%d" % (number + 1), expected=version, version=version + 1)])
            except Conflict:
                continue
            return

    await asyncio.gather(*(count(tables[n % 3]) for n in range(12)))
    assert await bodies(tables[0], "counter") == [b"12"]
    for each in tables:
        await each.close()


async def test_decimals_and_any_text_come_back_exactly(table: Table) -> None:
    value = {"₹ é 🙂 \x00": Decimal("0.10"), "z": Decimal("-1E-28"), "long": Decimal("1234567890123456789012345678.90")}
    await table.commit([put("a", codec.encode(value))])
    (body,) = await bodies(table, "a")
    assert body is not None
    found = codec.decode(body, dict[str, Decimal])
    assert {name: str(number) for name, number in found.items()} == {
        name: str(number) for name, number in value.items()
    }


async def test_an_expired_item_is_as_good_as_absent(table: Table, hand: Hand) -> None:
    expires = int((NOON + timedelta(seconds=300)).timestamp())
    item = Item(pk="u", sk="a", body=b"old", gsi1=("p", "q"), expires_at=expires)
    await table.commit([Put(table=CONFIGURATIONS, item=item)])
    hand.time = NOON + timedelta(seconds=299)
    assert await bodies(table, "a") == [b"old"]
    hand.time = NOON + timedelta(seconds=300)
    assert await bodies(table, "a") == [None]
    assert (await table.query(CONFIGURATIONS, "u")).items == ()
    assert (await table.query(CONFIGURATIONS, "p", index=GSI1)).items == ()
    with pytest.raises(Conflict):
        await table.commit([put("a", expected=1, version=2)])
    await table.commit([put("a", b"new", expected=0)])
    assert await bodies(table, "a") == [b"new"]


async def test_everything_is_found_after_reopening(opener: Opener, tmp_path: Path, hand: Hand) -> None:
    table = await opener(tmp_path, hand)
    await table.commit([put(f"{n:03}", expected=0) for n in range(100)])
    await table.close()
    again = await opener(tmp_path, hand)
    assert len((await again.query(CONFIGURATIONS, "u")).items) == 100
    with pytest.raises(Conflict):
        await again.commit([put("000", expected=0)])
    await again.close()


# ---------------------------------------------------------------- against a model

Key = tuple[TableName, str, str]
Model = dict[Key, Item]
names = st.sampled_from(["a", "b", "a#", "é", "🙂"])
places = st.one_of(st.none(), st.tuples(st.sampled_from(["p", "q"]), names))
tables = st.sampled_from(TableName)
expectations = st.sampled_from([None, None, 0, 1, 2])
items = st.builds(
    Item, pk=st.sampled_from(["u", "v"]), sk=names, body=st.binary(max_size=4), version=st.integers(1, 3), gsi1=places,
    gsi2=places,
)  # fmt: skip
puts = st.builds(Put, table=tables, item=items, expected=expectations)
deletes = st.builds(Delete, table=tables, pk=st.sampled_from(["u", "v"]), sk=names, expected=expectations)


def key_of(write: Write) -> Key:
    return (write.table, write.item.pk, write.item.sk) if isinstance(write, Put) else (write.table, write.pk, write.sk)


moments = st.lists(st.lists(st.lists(st.one_of(puts, deletes), min_size=1, max_size=4, unique_by=key_of), max_size=4))


def expected_outcome(model: Model, writes: list[Write]) -> bool:
    """Apply a commit to the dictionary; False and unchanged where a condition fails."""
    for write in writes:
        found = model.get(key_of(write))
        if write.expected is not None and write.expected != (found.version if found else 0):
            return False
    for write in writes:
        if isinstance(write, Put):
            model[key_of(write)] = write.item
        else:
            model.pop(key_of(write), None)
    return True


async def run_and_compare(table: Table, moments: list[list[list[Write]]]) -> None:
    model: Model = {}

    async def committed(writes: list[Write]) -> bool:
        try:
            await table.commit(writes)
        except Conflict:
            return False
        return True

    for moment in moments:
        held = await asyncio.gather(*map(committed, moment))
        assert held == [expected_outcome(model, writes) for writes in moment]
    for name in TableName:
        for pk in ("u", "v"):
            page = await table.query(name, pk)
            mine = [item for (of, owner, _), item in model.items() if (of, owner) == (name, pk)]
            assert list(page.items) == sorted(mine, key=lambda item: item.sk.encode())
        for index in (GSI1, GSI2):
            for partition in ("p", "q"):
                page = await table.query(name, partition, index=index)
                places = [
                    (item.gsi1 if index is GSI1 else item.gsi2, item) for (of, *_), item in model.items() if of is name
                ]
                assert sorted((item.pk, item.sk) for item in page.items) == sorted(
                    (item.pk, item.sk) for place, item in places if place is not None and place[0] == partition
                )


def test_any_commits_in_any_moments_do_what_a_dictionary_does(adapter: str, opener: Opener) -> None:
    @settings(max_examples=8 if adapter == "dynamodb" else 40, deadline=None)
    @given(moments=moments)
    def hold(moments: list[list[list[Write]]]) -> None:
        async def scenario(folder: str) -> None:
            table = await opener(Path(folder), Hand())
            await run_and_compare(table, moments)
            await table.close()

        with TemporaryDirectory() as folder:
            asyncio.run(scenario(folder))

    hold()
