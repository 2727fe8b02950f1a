"""Every read of the books costs the requests that docs/data-model.md says, on every engine."""

import inspect
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.dynamic import DynamicPolicy, divide
from option_baskets.domain.events import MarketPhase, Tick
from option_baskets.domain.kill import Kill, KillScope
from option_baskets.domain.losses import HighWater, Over, Rule, UserLimits
from option_baskets.domain.order import Fill
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import RunStatus
from option_baskets.domain.settlement import Settlement
from option_baskets.ports import Index
from option_baskets.store.books import Alert, Books, Fence, Leave, Listed, MarketRecord, Refusal, TickState
from tests.contract.engines import opened
from tests.engine.plans import DAY, allocation, basket, instant, order, run, strategy

DOCUMENT = Path(__file__).parents[2] / "docs" / "data-model.md"
USER = "asha"
SHARDS = 4
RUNS = 2
ORDER = order(run(), instant("09:20"))
POLICY = DynamicPolicy(id="shared", total=4, most=4)
MINUTE = instant("09:20").time()
FENCE = Fence(
    user_id=USER,
    day=DAY,
    subject=(Over.BASKET, "income", ""),
    rule=Rule.MAX_DAILY_LOSS,
    at=instant("10:00"),
    loss=Decimal(5200),
    limit=Decimal(5000),
)
SETTLED = replace(
    run().positions[0],
    settlement=Settlement(index=Decimal(26040), price=Decimal(40), quantity=75, at=instant("15:30")),
)
Requests = Counter[tuple[str, Index | None]]

ASKED: dict[str, Callable[[Books], Awaitable[object]]] = {
    "basket": lambda books: books.basket(USER, "income"),
    "baskets": lambda books: books.baskets(USER),
    "plan": lambda books: books.plan(USER, "straddle"),
    "strategy": lambda books: books.strategy(USER, "straddle"),
    "strategies": lambda books: books.strategies(USER, "income"),
    "allocation": lambda books: books.allocation(USER, "straddle.zerodha-1"),
    "allocations": lambda books: books.allocations(USER, "straddle"),
    "current_allocations": lambda books: books.current_allocations(USER, "straddle"),
    "account": lambda books: books.account(USER, "zerodha-1"),
    "accounts": lambda books: books.accounts(USER),
    "all_accounts": lambda books: books.all_accounts(),
    "due": lambda books: books.due(MINUTE),
    "occupied_entry_minutes": lambda books: books.occupied_entry_minutes(),
    "run": lambda books: books.run(USER, run().id),
    "runs_on": lambda books: books.runs_on(USER, DAY),
    "open_runs": lambda books: books.open_runs(USER),
    "runs_listed": lambda books: books.runs_listed(USER, day=DAY),
    "over_listed": lambda books: books.over_listed(USER, "straddle"),
    "active_runs": lambda books: books.active_runs(),
    "holders": lambda books: books.holders(),
    "closed_runs": lambda books: books.closed_runs(USER, "straddle", before=instant("23:59"), most=20),
    "units": lambda books: books.units(USER, "income", "shared", DAY),
    "due_exits": lambda books: books.due_exits(instant("15:15")),
    "occupied_exit_minutes": lambda books: books.occupied_exit_minutes(DAY),
    "last_ticks": lambda books: books.last_ticks(DAY),
    "is_begun": lambda books: books.is_begun(DAY),
    "newest_session": lambda books: books.newest_session(),
    "market": lambda books: books.market("NIFTY"),
    "order": lambda books: books.order(USER, ORDER.intent.id),
    "orders_of_run": lambda books: books.orders_of_run(USER, run().id),
    "fills_of_run": lambda books: books.fills_of_run(USER, run().id),
    "fills_of_order": lambda books: books.fills_of_order(USER, run().id, ORDER.intent.id),
    "orders_listed": lambda books: books.orders_listed(USER, DAY),
    "traded_between": lambda books: books.traded_between(USER, instant("09:15"), instant("15:30")),
    "happened": lambda books: books.happened(USER, instant("00:00"), instant("23:59")),
    "orders_between": lambda books: books.orders_between(USER, instant("09:15"), instant("09:25")),
    "ended_between": lambda books: books.ended_between(USER, instant("09:15"), instant("15:30")),
    "carried_on": lambda books: books.carried_on(USER, DAY),
    "settlements_of_run": lambda books: books.settlements_of_run(USER, run().id),
    "fences": lambda books: books.fences(USER, DAY),
    "kills": lambda books: books.kills(),
    "kills_of": lambda books: books.kills_of(USER),
    "leave_of": lambda books: books.leave_of(USER, "straddle"),
    "limits": lambda books: books.limits(USER),
    "high_water": lambda books: books.high_water(USER, "income"),
    "alerts": lambda books: books.alerts(USER, DAY),
    "refusals": lambda books: books.refusals(USER, DAY),
    "alerts_listed": lambda books: books.alerts_listed(USER, DAY),
    "refusals_listed": lambda books: books.refusals_listed(USER, DAY),
}
WRITES = ("save_", "delete_", "claim", "commit", "mark_")


@dataclass(frozen=True)
class Row:
    function: str
    index: Index | None
    requests: str

    def expected(self) -> Requests:
        found: Requests = Counter()
        for amount, kind in re.findall(r"(\d+|S|R) (get|quer)", self.requests):
            count = {"S": SHARDS, "R": RUNS}.get(amount) or int(amount)
            if kind == "get":
                found["get", None] += count
            else:
                found["query", self.index or Index.PRIMARY] += count
        return found


def rows() -> Iterator[Row]:
    """The table of the document."""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and re.search(r"\b(gets?|quer(y|ies))$", cells[4]):
            yield Row(cells[1].strip("`"), Index(cells[3]) if cells[3] else None, cells[4])


@pytest.fixture(params=["sqlite", "dynamodb"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Books]:
    """Something of everything that is stored, twice where there may be several."""

    def now() -> datetime:
        return instant("09:20")

    table: SqliteTable | DynamoTable
    if request.param == "sqlite":
        table = SqliteTable.open(tmp_path / "table.db", now=now, threaded=False, durable=False)
    else:
        table = await opened(request.getfixturevalue("engine"), tmp_path, now)
    books = Books(table, shards=SHARDS)
    await books.save_basket(USER, basket())
    for account in ("zerodha-1", "angel-1"):
        await books.save_account(USER, BrokerAccount(id=account))
    for name in ("straddle", "condor"):
        await books.save_strategy(USER, strategy(name))
        await books.claim(replace(run(plan=strategy(name)), status=RunStatus.ACTIVE))
        for account in ("zerodha-1", "angel-1"):
            await books.save_allocation(USER, allocation(name, account))
    at = instant("09:20")
    done = run(cycle=1)
    position = replace(done.positions[0], exit_time=at)
    await books.claim(replace(done, status=RunStatus.CLOSED, positions=(position,)))
    await books.commit(
        books.put_units(USER, divide(POLICY, [], basket_id="income", capital=Decimal(500000), on=DAY)),
    )
    await books.mark_session(DAY)
    await books.save_limits(USER, UserLimits(max_daily_loss=Decimal(5000)), at=at, actor=USER)
    await books.mark_tick(Tick(at=at, phase=MarketPhase.EARLY_TRADING), TickState.DONE)
    await books.commit(
        books.put_market(MarketRecord(underlying="NIFTY", at=at, spot=Decimal(26000), prices={})),
        books.put_order(ORDER)[0],
        books.put_fill(ORDER.intent, Fill(intent_id=ORDER.intent.id, quantity=75, value=Decimal(1), at=at, number=0)),
        books.put_exit(run(), instant("15:15")),
        books.put_carried(run(), DAY),
        books.put_settlement(run(), SETTLED),
        books.put_fence(FENCE),
        books.put_high_water(USER, "income", HighWater(highest=Decimal(100))),
        books.put_alert(Alert(user_id=USER, at=at, code="drift", message="book and broker differ")),
        books.put_refusal(Refusal(user_id=USER, at=at, strategy_id="straddle", reason=Reason.PAUSED)),
    )
    await books.save_kill(Kill(user_id=USER, subject=(KillScope.ACCOUNT, "zerodha-1"), at=at, actor="asha"))
    await books.save_leave(Leave(user_id=USER, strategy_id="straddle", at=at, actor="asha"))
    yield books
    await table.close()


async def test_every_read_finds_something_at_the_documented_cost(books: Books) -> None:
    table = books.table
    assert isinstance(table, SqliteTable | DynamoTable)
    for row in rows():
        table.requests.clear()
        found = await ASKED[row.function](books)
        assert found.items if isinstance(found, Listed) else found, row.function
        assert table.requests == row.expected(), row.function


def test_the_document_lists_every_read_of_the_books_and_no_other() -> None:
    reads = {
        name
        for name, function in inspect.getmembers(Books, inspect.iscoroutinefunction)
        if not name.startswith(("_", *WRITES))
    }
    documented = [row.function for row in rows()]
    assert sorted(documented) == sorted(reads) == sorted(ASKED)
