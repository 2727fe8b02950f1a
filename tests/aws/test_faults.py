"""What goes wrong on AWS: killed processes, contested commits, repeated wake-ups, dead letters, two timers at once."""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from infra.redrive import redrive
from option_baskets.adapters.feeds.stored import Chain
from option_baskets.adapters.table_book import TableBook
from option_baskets.domain.run import Run
from tests.aws.bad_line import Trouble
from tests.aws.conftest import Stage
from tests.aws.day import MINUTES, Outcome, embedded, outcome
from tests.aws.day import MUHURAT_2025 as DAY
from tests.aws.deployed import ENVIRONMENT, Deployed

ORDERS = 12
"""That a user hands to the exchange in the day."""
FULL = os.environ.get("FULL") == "1"
SEED = int(os.environ.get("OPTION_BASKETS_SEED", "1"))
DEADLY = sorted(random.Random(SEED).sample(range(1, ORDERS + 1), ORDERS if FULL else 2))
"""Orders with which in hand a process is killed; each kills one of another user."""
TWICE, CONTESTED = "thrice-woken", "contested"


def killed(order: int) -> str:
    """The user whose so many-th order is deadly."""
    return f"killed-at-{order:02}"


@dataclass(frozen=True, kw_only=True)
class After:
    """What is left of a user's day."""

    outcome: Outcome
    runs: Sequence[Run]
    tags: Sequence[str]
    """Of the orders the exchange has."""
    held: Sequence[object]
    """By the exchange's book."""


@dataclass(frozen=True, kw_only=True)
class Played:
    embedded: Outcome
    after: Mapping[str, After]
    troubles: Mapping[str, Trouble]
    claimed_before: int
    """Runs, while the function that claims them could not run."""
    dead: int
    """Parts of events in its dead letters."""
    redriven: tuple[int, int]
    claimed_after: int
    timers: Sequence[str]
    """How their executions ended."""
    left: int
    """Messages that nobody has done."""


@pytest.fixture(scope="module")
def played(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Played:
    chains = stage.play(DAY.chains())
    found = stage.play(_played(stage.platform, chains))
    return Played(embedded=embedded(tmp_path_factory.mktemp("undisturbed"), DAY, chains), **found)


async def _played(platform: Deployed, chains: Sequence[Chain]) -> Mapping[str, Any]:
    session, troubles = DAY.session, platform.line.troubles
    await platform.lead(session.starts)
    await platform.store(chains)
    troubles |= {TWICE: Trouble(sends=3), CONTESTED: Trouble(conflicts_every=3)}
    troubles |= {killed(order): Trouble(kills_at=order) for order in DEADLY}
    for user in troubles:
        await _save(platform, user)
    first = await platform.start_timer(session)
    await platform.done(session)
    await platform.jump(session, DAY.minute(-5))
    found = await _with_dead_letters(platform)
    second = await platform.start_another_timer(session)
    await platform.tick_by_tick(session, DAY.minute(MINUTES - 1), orderly=False)
    await platform.jump(session, session.close)
    return found | {
        "timers": [await platform.ended(each) for each in (first, second) if each is not None],
        "left": len(await platform.overdue(session.close)),
        "after": {user: await _after(platform, user) for user in troubles},
        "troubles": dict(troubles),
    }


async def _save(platform: Deployed, user: str) -> None:
    plans, books = DAY.plans(), platform.books
    for account in plans.accounts:
        await books.save_account(user, account)
    await books.save_basket(user, plans.basket)
    for strategy in plans.strategies:
        await books.save_strategy(user, strategy)
    for allocation in plans.allocations:
        await books.save_allocation(user, allocation)


async def _with_dead_letters(platform: Deployed) -> dict[str, Any]:
    """The tick that claims the first entries finds nobody who could; later there is somebody, and it is redriven."""
    session, environment = DAY.session, platform.environment
    function = environment.named("schedule")

    async def claimed() -> int:
        return len(await platform.books.runs_on(TWICE, DAY.date))

    await platform.call("lambda", "put_function_concurrency", FunctionName=function, ReservedConcurrentExecutions=0)
    await platform.jump(session, session.open)
    found = {"claimed_before": await claimed(), "dead": await platform.visible("schedule-dead")}
    await platform.call("lambda", "delete_function_concurrency", FunctionName=function)
    endpoint = platform.emulator.endpoint
    redriven = await asyncio.to_thread(redrive, environment, "schedule", endpoint=endpoint)
    return found | {"redriven": redriven, "claimed_after": await claimed()}


async def _after(platform: Deployed, user: str) -> After:
    book = await TableBook.open(platform.table, user, DAY.date)
    return After(
        outcome=await outcome(platform.books, user, DAY),
        runs=await platform.books.runs_on(user, DAY.date),
        tags=[entry.report.tag for entry in book.entries(DAY.date)],
        held=list(book.net()),
    )


@pytest.mark.parametrize("part", ["runs", "legs", "orders", "fills", "profits"])
def test_two_timers_and_wake_ups_that_come_three_times_trade_a_day_once(played: Played, part: str) -> None:
    assert getattr(played.after[TWICE].outcome, part) == getattr(played.embedded, part)
    assert played.troubles[TWICE].counts["sent again"] > ORDERS
    assert played.timers == ["SUCCEEDED", "SUCCEEDED"]


@pytest.mark.parametrize("order", DEADLY)
def test_a_process_killed_between_journal_and_send_leaves_no_lot_open_and_none_ordered_twice(
    played: Played, order: int
) -> None:
    assert played.troubles[killed(order)].counts["killed"] == 1
    _is_over(played.after[killed(order)])


def test_somebody_faster_at_every_third_commit_delays_and_loses_nothing(played: Played) -> None:
    assert played.troubles[CONTESTED].counts["conflicts"] > ORDERS
    _is_over(played.after[CONTESTED])


def _is_over(after: After) -> None:
    assert len(after.runs) == len(DAY.plans().strategies)
    assert all(run.status.is_over for run in after.runs)
    assert not [position for run in after.runs for position in run.positions if position.open]
    assert len(after.tags) == len(set(after.tags))
    assert not after.held


def test_an_event_that_no_function_takes_is_a_dead_letter_and_claims_what_is_due_when_it_is_redriven(
    played: Played,
) -> None:
    assert (played.claimed_before, played.claimed_after) == (0, 1)
    assert played.dead == ENVIRONMENT.shards
    assert played.redriven == (played.dead, 0)


def test_nothing_is_left_undone_at_the_close(played: Played) -> None:
    assert played.left == 0
