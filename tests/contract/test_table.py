"""What every Table must do. An adapter joins by a line in ``ADAPTERS``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Conflict, Invalid
from option_baskets.ports import Delete, Index, Item, Put, Table, TableName, Write

CONFIGURATIONS, HISTORY = TableName.CONFIGURATIONS, TableName.HISTORY
GSI1, GSI2 = Index.ALLOCATIONS_BY_STRATEGY, Index.USER_EXECUTION_SCHEDULE
NOON = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)


class Hand:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


def threaded(path: Path, hand: Hand) -> Table:
    return SqliteTable.open(path / "table.db", now=hand.now)


def inline(path: Path, hand: Hand) -> Table:
    return SqliteTable.open(path / "table.db", now=hand.now, threaded=False, durable=False)


Opener = Callable[[Path, Hand], Table]
ADAPTERS: dict[str, Opener] = {"sqlite": threaded, "sqlite-inline": inline}


@pytest.fixture(params=ADAPTERS)
def opener(request: pytest.FixtureRequest) -> Opener:
    return ADAPTERS[request.param]


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
async def table(opener: Opener, tmp_path: Path, hand: Hand) -> AsyncIterator[Table]:
    table = opener(tmp_path, hand)
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
    table = opener(tmp_path, hand)
    await table.commit([put(f"{n:03}", expected=0) for n in range(100)])
    await table.close()
    again = opener(tmp_path, hand)
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=moments)
def test_any_commits_in_any_moments_do_what_a_dictionary_does(opener: Opener, moments: list[list[list[Write]]]) -> None:
    async def scenario(folder: str) -> None:
        table = opener(Path(folder), Hand())
        await run_and_compare(table, moments)
        await table.close()

    with TemporaryDirectory() as folder:
        asyncio.run(scenario(folder))
