"""When the store fails while positions are open: nothing is entered, exits go on, nothing is lost or doubled."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.clock import run_simulated
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.second_path import SecondPath
from option_baskets.domain.errors import Halt
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Order
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.ports import Item, Put, TableName, Write
from option_baskets.store.books import Books
from option_baskets.wiring import LOCAL_USER, SECOND_PATH_FILE, TRADING_FILE, Embedded
from tests.engine.small_disk import Fault, Forbidden, Full, Limited, Locked, disk, fill, free, on_disk
from tests.engine.tiny_day import DAY, LOT, QUIET, Act, Played, Prices, call, instant, play_day, put, record, steady

_SPREAD = """
[[strategies]]
name = "{name}"
underlying = "NIFTY"
entry = "{entry}"
exit = "09:35"
  [[strategies.legs]]
  id = "short"
  side = "SELL"
  type = "CE"
  strike = {{ rule = "atm" }}
  stop = {{ percent = 50 }}
  [[strategies.legs]]
  id = "wing"
  side = "BUY"
  type = "CE"
  strike = {{ rule = "of_leg", leg = "short", points = 100 }}
  [[strategies.allocations]]
  account = "one"
  lots = 2
  [[strategies.allocations]]
  account = "two"
  lots = 1
"""
THREE = """
[basket]
name = "Spreads"
capital = 500000
mode = "paper"
[[accounts]]
id = "one"
[[accounts]]
id = "two"
""" + "".join(
    _SPREAD.format(name=name, entry=entry) for name, entry in (("early", "09:17"), ("amid", "09:23"), ("late", "09:31"))
)
"""The first is in before the store fails and is stopped meanwhile; the second is due meanwhile, the third after it."""

STOPPED: Prices = {
    **QUIET,
    call(): steady("100", at0921="160", at0922="100"),
    call(26100): steady("40"),
    put(): steady("80"),
}
FAILS, MENDS = instant("09:20:30"), instant("09:29:30")


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), STOPPED)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=["full", "forbidden", "locked", "limited"])
def fault(request: pytest.FixtureRequest, tmp_path: Path, data: Path) -> Iterator[Fault]:
    with ExitStack() as stack:
        if request.param == "full":
            folder = stack.enter_context(disk(tmp_path / "disk"))
            on_disk(folder, data, TRADING_FILE)
            yield Full(folder)
        else:
            faults: dict[str, Fault] = {"forbidden": Forbidden(), "locked": Locked(), "limited": Limited()}
            yield faults[request.param]


def befalling(fault: Fault, *, ends: bool = True) -> list[Act]:
    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(FAILS)
        fault.strike(machine)
        try:
            await machine.clock.sleep_until(MENDS if ends else instant("09:39:59"))
        finally:
            if ends:
                fault.end(machine)

    return [act]


def run_of(played: Played, name: str) -> Run:
    (run,) = (each.run for each in played.day.runs if each.run.strategy.name == name)
    return run


def assert_flat_and_nothing_doubled(played: Played) -> None:
    """The exchange's book says so."""
    rows = played.book("tag, account, strike, side, filled")
    assert len({tag for tag, *_ in rows}) == len(rows)
    net: dict[tuple[str, str], int] = {}
    for _, account, strike, side, filled in rows:
        net[account, strike] = net.get((account, strike), 0) + (filled if side == "BUY" else -filled)
    assert set(net.values()) <= {0}


def assert_the_journal_is_the_exchanges_book(played: Played, orders: tuple[Order, ...]) -> None:
    book = {tag: (state, filled, value) for tag, state, filled, value in played.book("tag, state, filled, value")}
    handed = {order.intent.id: order for order in orders if order.broker_order_id}
    assert {tag: (order.state, order.filled, str(order.value)) for tag, order in handed.items()} == book


def stored(data: Path) -> tuple[tuple[Run, ...], tuple[Order, ...]]:
    """What the tables alone have, as another program reads them."""

    async def read(_: object) -> tuple[tuple[Run, ...], tuple[Order, ...]]:
        table = SqliteTable.open(data / TRADING_FILE, now=lambda: instant("15:40"), threaded=False)
        books = Books(table)
        orders = await books.orders_between(LOCAL_USER, instant("09:00"), instant("15:40"))
        runs = tuple(await books.runs_on(LOCAL_USER, DAY))
        await table.close()
        return runs, tuple(orders)

    return run_simulated(read, instant("15:40"))


# ---------------------------------------------------------------- it fails, and is well again


def test_meanwhile_a_stop_is_carried_out_and_nothing_entered_and_then_the_day_goes_on(
    days: Path, data: Path, fault: Fault
) -> None:
    played = play_day(days, data, THREE, acts=befalling(fault))
    assert_flat_and_nothing_doubled(played)

    early, amid, late = (run_of(played, name) for name in ("early", "amid", "late"))
    assert early.status is RunStatus.CLOSED
    assert {each.exit_reason for each in early.positions if each.leg == "short"} == {ExitReason.STOP}
    covers = [order for order in played.orders if order.intent.cause is ExitReason.STOP and order.intent.leg == "short"]
    assert [order.intent.decided_at < instant("09:23") for order in covers] == [True] * 2
    assert (amid.status, amid.reason) == (RunStatus.SKIPPED, Reason.STORE_UNWRITABLE)
    assert late.status is RunStatus.CLOSED and late.positions
    assert {"store_unwritable", "store_writable"} <= set(played.alerts)
    assert_the_journal_is_the_exchanges_book(played, played.orders)
    runs, orders = stored(data)
    assert {run.id: run for run in runs} == {each.run.id: each.run for each in played.day.runs}
    assert_the_journal_is_the_exchanges_book(played, orders)
    assert not (data / SECOND_PATH_FILE).exists()
    assert len([*data.glob("second-path-*.jsonl")]) == 1


def test_a_store_that_stays_broken_is_made_up_for_at_the_next_start(days: Path, data: Path, fault: Fault) -> None:
    played = play_day(days, data, THREE, acts=befalling(fault, ends=False))
    assert_flat_and_nothing_doubled(played)
    assert run_of(played, "early").status is RunStatus.CLOSED
    assert {run_of(played, name).reason for name in ("amid", "late")} == {Reason.STORE_UNWRITABLE}
    runs, _ = stored(data)
    assert RunStatus.ACTIVE in {run.status for run in runs}, "the tables know nothing of it yet"
    assert (data / SECOND_PATH_FILE).exists()

    fault.pass_over()
    again = play_day(days, data, THREE, begin=instant("09:39"))
    assert_flat_and_nothing_doubled(again)
    runs, orders = stored(data)
    assert {run.id: run for run in runs} == {each.run.id: each.run for each in played.day.runs}
    assert_the_journal_is_the_exchanges_book(again, orders)
    assert not (data / SECOND_PATH_FILE).exists()
    assert "store_unwritable" in again.alerts


# ---------------------------------------------------------------- at any commit


class Striking:
    """The tables, which can only be read any more from their n-th commit on."""

    def __init__(self, table: Any, machine: Embedded, number: int) -> None:
        self._table = table
        self._machine = machine
        self.left = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        self.left -= 1
        if self.left == 0:
            self._table.file._writer.execute("PRAGMA query_only = 1")
        await self._table.commit(writes)


def struck_at(number: int, *, mends: bool) -> tuple[list[Striking], list[Act]]:
    striking: list[Striking] = []

    async def act(machine: Embedded) -> None:
        striking.append(Striking(machine.table.table, machine, number))
        table: Any = striking[0]
        machine.table.table = table
        await machine.clock.sleep_until(MENDS)
        if mends:
            striking[0].file._writer.execute("PRAGMA query_only = 0")

    return striking, [act]


@pytest.mark.parametrize("part", range(2))
def test_struck_at_any_commit_nothing_is_doubled_and_nothing_stays_open(days: Path, tmp_path: Path, part: int) -> None:
    for number in range(1 + 12 * part, 1000, 24):
        striking, acts = struck_at(number, mends=bool(number // 24 % 2))
        played = play_day(days, tmp_path / str(number), THREE, acts=acts)
        assert_flat_and_nothing_doubled(played)
        assert all(each.run.status.is_over for each in played.day.runs)
        assert len(played.day.runs) == 3
        assert_the_journal_is_the_exchanges_book(played, played.orders)
        for each in played.day.runs:
            assert_every_lot_has_a_reason(each.run)
        if striking[0].left > 0:
            break
    assert number > 60


def assert_every_lot_has_a_reason(run: Run) -> None:
    if run.reason is None:
        missing = Counter({(short.leg, short.account): short.quantity for short in run.shortfalls})
        for leg in ("short", "wing"):
            for account, lots in (("one", 2), ("two", 1)):
                assert run.position((leg, account, 0)).entered + missing[leg, account] == lots * LOT


# ---------------------------------------------------------------- neither path


def test_where_neither_can_be_written_nothing_more_is_sent_and_the_day_halts(
    days: Path, data: Path, tmp_path: Path
) -> None:
    """Both on one full disk: what is open stays open, and a person is told."""
    with disk(tmp_path / "disk") as folder:
        on_disk(folder, data, TRADING_FILE, SECOND_PATH_FILE)
        with pytest.raises(ExceptionGroup) as raised:
            play_day(days, data, THREE, acts=befalling(Full(folder), ends=False))
        (halt,) = raised.value.exceptions
        assert isinstance(halt, Halt)
        assert "nothing more is sent" in str(halt) and "baskets kill --direct" in str(halt)
        free(folder)
        assert {order.intent.action for order in stored(data)[1]} == {Action.ENTER}

        again = play_day(days, data, THREE, begin=instant("09:22"))
        assert_flat_and_nothing_doubled(again)
        assert run_of(again, "early").status is RunStatus.CLOSED


def test_room_is_kept_for_orders_on_a_disk_that_is_full(days: Path, tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        second = SecondPath(folder / SECOND_PATH_FILE, reserved=256 * 1024)
        fill(folder)
        for number in range(20):
            second.append([a_write(number)], instant("09:20"))
        second.close()
        assert len(SecondPath(folder / SECOND_PATH_FILE).left) == 20


# ---------------------------------------------------------------- the file


def a_write(number: int) -> Put:
    return Put(table=TableName.HISTORY, item=Item(pk="u", sk=f"{number:03}", body=b'{"n":%d}' % number))


def test_a_torn_last_line_was_never_acknowledged_and_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / SECOND_PATH_FILE
    whole = SecondPath(path, durable=False)
    for number in range(3):
        whole.append([a_write(number)], instant("09:20"))
    whole.close()
    content = path.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(content)):
        path.write_bytes(content[:end])
        torn = SecondPath(path, durable=False)
        assert torn.left == [(a_write(0),), (a_write(1),)]
        torn.append([a_write(7)], instant("09:21"))
        torn.close()
        assert SecondPath(path).left[2:] == [(a_write(7),)]


def test_a_line_that_is_damaged_amid_others_halts_instead_of_forgetting_orders(tmp_path: Path) -> None:
    path = tmp_path / SECOND_PATH_FILE
    whole = SecondPath(path, durable=False)
    for number in range(3):
        whole.append([a_write(number)], instant("09:20"))
    whole.close()
    content = path.read_bytes()
    for damaged in (content.replace(b'"n":1', b'"n":9'), content.replace(content.split(b"\n")[1] + b"\n", b"")):
        path.write_bytes(damaged)
        with pytest.raises(Halt, match="damaged in line 2"):
            SecondPath(path)


# ---------------------------------------------------------------- a store that lost its end


def resumed_with_the_tables_of(
    copied: str, days: Path, data: Path, kept: Path, *, ended: str, garbage: bytes
) -> Played:
    """End the process at ``ended``; go on with the tables as they were at ``copied``, with garbage behind their log."""

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(copied))
        for end in ("", "-wal"):
            shutil.copy(data / f"{TRADING_FILE}{end}", kept / f"{TRADING_FILE}{end}")
        await machine.clock.sleep_until(instant(ended))
        raise SystemExit

    with pytest.raises(SystemExit):
        play_day(days, data, THREE, acts=[act])
    for end in ("", "-wal"):
        shutil.copy(kept / f"{TRADING_FILE}{end}", data / f"{TRADING_FILE}{end}")
    (data / f"{TRADING_FILE}-shm").unlink(missing_ok=True)
    with (data / f"{TRADING_FILE}-wal").open("ab") as log:
        assert log.tell() > 0
        log.write(garbage)
    return play_day(days, data, THREE, begin=instant(ended) + timedelta(seconds=5))


def test_orders_of_which_the_store_lost_every_trace_are_found_at_the_broker_and_not_sent_again(
    days: Path, data: Path, tmp_path: Path
) -> None:
    """The log ends before the entry: the same orders are meant once more, and are there."""
    again = resumed_with_the_tables_of("09:16:30", days, data, tmp_path, ended="09:17:20", garbage=b"")
    assert_flat_and_nothing_doubled(again)
    assert_the_journal_is_the_exchanges_book(again, again.orders)
    assert len(run_of(again, "early").positions) == 4


def test_a_log_with_garbage_at_its_end_is_read_up_to_its_last_commit(days: Path, data: Path, tmp_path: Path) -> None:
    garbage = bytes(range(256)) * 40
    again = resumed_with_the_tables_of("09:20:30", days, data, tmp_path, ended="09:20:30", garbage=garbage)
    assert_flat_and_nothing_doubled(again)
    assert_the_journal_is_the_exchanges_book(again, again.orders)
    assert run_of(again, "early").status is RunStatus.CLOSED
