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
from tests.aws.day import MINUTES, MUHURAT_2024, MUHURAT_2025, Day, Outcome, embedded, outcome
from tests.aws.deployed import ENVIRONMENT, Deployed

ORDERS = 12
"""That a user hands to the exchange in the day."""
FULL = os.environ.get("FULL") == "1"
SEED = int(os.environ.get("OPTION_BASKETS_SEED", "1"))
DEATHS = int(os.environ.get("DEATHS", "2"))
DEADLY = sorted(random.Random(SEED).sample(range(1, ORDERS + 1), DEATHS))
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
class Repeated:
    """A day on which everything happens more than once."""

    embedded: Outcome
    after: After
    sent_again: int
    claimed_before: int
    """Runs, while the function that claims them could not run."""
    dead: int
    """Parts of events in its dead letters."""
    redriven: tuple[int, int]
    claimed_after: int
    timers: Sequence[str]
    """How their executions ended."""


@dataclass(frozen=True, kw_only=True)
class Disturbed:
    """A day on which processes are killed, with all the users they work for, and commits are contested."""

    after: Mapping[str, After]
    troubles: Mapping[str, Trouble]
    left: int
    """Messages that nobody has done."""


@pytest.fixture(scope="module")
def repeated(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Repeated:
    chains = stage.play(MUHURAT_2024.chains())
    found = stage.play(_repeated(stage.platform, MUHURAT_2024, chains))
    return Repeated(embedded=embedded(tmp_path_factory.mktemp("once"), MUHURAT_2024, chains), **found)


async def _repeated(platform: Deployed, day: Day, chains: Sequence[Chain]) -> Mapping[str, Any]:
    session, trouble = day.session, Trouble(sends=3)
    await _prepare(platform, day, chains, {TWICE: trouble})
    first = await platform.start_timer(session)
    await platform.done(session)
    await platform.jump(session, day.minute(-5))
    found = await _with_dead_letters(platform, day)
    second = await platform.start_another_timer(session)
    await platform.tick_by_tick(session, day.minute(MINUTES - 1), orderly=False)
    await platform.jump(session, session.close)
    return found | {
        "timers": [await platform.ended(each) for each in (first, second) if each is not None],
        "after": await _after(platform, TWICE, day),
        "sent_again": trouble.counts["sent again"],
    }


@pytest.fixture(scope="module")
def disturbed(stage: Stage) -> Disturbed:
    if not FULL:
        pytest.skip("two and a half minutes, most of it waiting for leases and queues: make aws-test FULL=1")
    chains = stage.play(MUHURAT_2025.chains())
    return stage.play(_disturbed(stage.platform, MUHURAT_2025, chains))


async def _disturbed(platform: Deployed, day: Day, chains: Sequence[Chain]) -> Disturbed:
    session = day.session
    troubles = {killed(order): Trouble(kills_at=order) for order in DEADLY}
    troubles[CONTESTED] = Trouble(conflicts_every=3)
    await _prepare(platform, day, chains, troubles)
    await platform.start_timer(session)
    await platform.done(session)
    await platform.jump(session, session.open)
    await platform.tick_by_tick(session, day.minute(MINUTES - 1), orderly=False)
    await platform.jump(session, session.close)
    return Disturbed(
        after={user: await _after(platform, user, day) for user in troubles},
        troubles=troubles,
        left=len(await platform.overdue(session.close)),
    )


async def _prepare(platform: Deployed, day: Day, chains: Sequence[Chain], troubles: Mapping[str, Trouble]) -> None:
    await platform.lead(day.session.starts)
    await platform.store(chains)
    platform.line.troubles = dict(troubles)
    for user in troubles:
        await _save(platform, user, day)


async def _save(platform: Deployed, user: str, day: Day) -> None:
    plans, books = day.plans(), platform.books
    for account in plans.accounts:
        await books.save_account(user, account)
    await books.save_basket(user, plans.basket)
    for strategy in plans.strategies:
        await books.save_strategy(user, strategy)
    for allocation in plans.allocations:
        await books.save_allocation(user, allocation)


async def _with_dead_letters(platform: Deployed, day: Day) -> dict[str, Any]:
    """The tick that claims the first entries finds nobody who could; later there is somebody, and it is redriven."""
    session, environment = day.session, platform.environment
    function = environment.named("schedule")

    async def claimed() -> int:
        return len(await platform.books.runs_on(TWICE, day.date))

    await platform.call("lambda", "put_function_concurrency", FunctionName=function, ReservedConcurrentExecutions=0)
    await platform.jump(session, session.open)
    found = {"claimed_before": await claimed(), "dead": await platform.visible("schedule-dead")}
    await platform.call("lambda", "delete_function_concurrency", FunctionName=function)
    endpoint = platform.emulator.endpoint
    redriven = await asyncio.to_thread(redrive, environment, "schedule", endpoint=endpoint)
    return found | {"redriven": redriven, "claimed_after": await claimed()}


async def _after(platform: Deployed, user: str, day: Day) -> After:
    book = await TableBook.open(platform.table, user, day.date)
    return After(
        outcome=await outcome(platform.books, user, day),
        runs=await platform.books.runs_on(user, day.date),
        tags=[entry.report.tag for entry in book.entries(day.date)],
        held=list(book.net()),
    )


@pytest.mark.parametrize("part", ["runs", "legs", "orders", "fills", "profits"])
def test_two_timers_and_wake_ups_that_come_three_times_trade_a_day_once(repeated: Repeated, part: str) -> None:
    assert getattr(repeated.after.outcome, part) == getattr(repeated.embedded, part)
    assert repeated.sent_again > ORDERS
    assert repeated.timers == ["SUCCEEDED", "SUCCEEDED"]


@pytest.mark.parametrize("order", DEADLY)
def test_a_process_killed_between_journal_and_send_leaves_no_lot_open_and_none_ordered_twice(
    disturbed: Disturbed, order: int
) -> None:
    assert disturbed.troubles[killed(order)].counts["killed"] == 1
    _is_over(disturbed.after[killed(order)])


def test_somebody_faster_at_every_third_commit_delays_and_loses_nothing(disturbed: Disturbed) -> None:
    assert disturbed.troubles[CONTESTED].counts["conflicts"] > ORDERS
    _is_over(disturbed.after[CONTESTED])


def _is_over(after: After) -> None:
    assert len(after.runs) == 2
    assert all(run.status.is_over for run in after.runs)
    assert not [position for run in after.runs for position in run.positions if position.open]
    assert len(after.tags) == len(set(after.tags))
    assert not after.held


def test_an_event_that_no_function_takes_is_a_dead_letter_and_claims_what_is_due_when_it_is_redriven(
    repeated: Repeated,
) -> None:
    assert (repeated.claimed_before, repeated.claimed_after) == (0, 1)
    assert repeated.dead == ENVIRONMENT.shards
    assert repeated.redriven == (repeated.dead, 0)


def test_nothing_is_left_undone_at_the_close(disturbed: Disturbed) -> None:
    assert disturbed.left == 0
