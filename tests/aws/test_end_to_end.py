"""From a registration to the history of a closed day on the deployed platform: it ends as the day of one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from option_baskets.adapters.feeds.stored import Chain
from option_baskets.domain.events import EventType
from option_baskets.domain.run import RunStatus
from tests.aws.conftest import Stage
from tests.aws.day import MINUTES, Outcome, embedded, outcome
from tests.aws.day import MUHURAT_2023 as DAY
from tests.aws.deployed import ENVIRONMENT, Deployed
from tests.aws.person import Json, Person, registered


@dataclass(frozen=True, kw_only=True)
class Played:
    """The day as it was seen from everywhere."""

    embedded: Outcome
    outcome: Outcome
    of_nobody: Outcome
    """Of a user who logged in and traded nothing."""
    timer: str
    """How its execution ended."""
    again: str | None
    """The execution of a second start of the timer."""
    published: Sequence[EventType]
    """By the timer; all but the refresh of prices in a part for each shard."""
    delivered: int
    """Parts of events."""
    runs: Sequence[Json]
    orders: Sequence[Json]
    history: Sequence[Json]
    foreign: Sequence[Json]
    """Runs as the API shows them to the other user."""
    unproven: int
    """Status of an answer without a token."""
    told: Mapping[str, Sequence[Json]]
    told_to_another: Sequence[str]
    """Types of messages."""


@pytest.fixture(scope="module")
def played(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Played:
    chains = stage.play(DAY.chains())
    found = stage.play(_played(stage.platform, chains))
    return Played(embedded=embedded(tmp_path_factory.mktemp("one"), DAY, chains), **found)


async def _played(platform: Deployed, chains: Sequence[Chain]) -> Mapping[str, Any]:
    session = DAY.session
    before = (await platform.bus())["delivered"]
    await platform.lead(session.starts)
    await platform.store(chains)
    async with registered(platform, "ann@example.org") as ann, registered(platform, "bob@example.org") as bob:
        await ann.make(DAY.plans())
        async with ann.listening(), bob.listening():
            execution = await platform.start_timer(session)
            assert execution is not None
            again = await platform.start_timer(session)
            await platform.done(session)
            await platform.jump(session, session.open)
            await platform.tick_by_tick(session, DAY.minute(MINUTES - 1))
            await platform.jump(session, session.close)
            ended = await platform.ended(execution)
            await platform.met(lambda: _has_heard_all(ann), "the live stream has told of everything")
        return {
            "outcome": await outcome(platform.books, ann.id, DAY),
            "of_nobody": await outcome(platform.books, bob.id, DAY),
            "timer": ended,
            "again": again,
            "published": [type_ for mark in await platform.books.last_ticks(DAY.date) for type_ in mark.events],
            "delivered": (await platform.bus())["delivered"] - before,
            "runs": await ann.everything(f"/options/executions?date={DAY.date}"),
            "orders": await ann.everything(f"/options/orders?date={DAY.date}"),
            "history": await ann.everything(f"/options/history?from={DAY.date}&to={DAY.date}&order=asc"),
            "foreign": await bob.everything(f"/options/executions?date={DAY.date}"),
            "unproven": (await ann.http.get("/options/executions", headers={"Authorization": ""})).status_code,
            "told": {type_: ann.told(type_) for type_ in ("order", "fill", "run", "tick")},
            "told_to_another": sorted({message["type"] for message in bob.messages}),
        }


async def _has_heard_all(person: Person) -> bool:
    closed = {message["run"]["run_id"] for message in person.told("run") if message["run"]["status"] == "CLOSED"}
    return len(closed) == len(DAY.plans().strategies)


@pytest.mark.parametrize("part", ["runs", "legs", "orders", "fills", "profits"])
def test_a_day_on_the_deployed_platform_is_the_same_day_in_one_process(played: Played, part: str) -> None:
    there, here = getattr(played.outcome, part), getattr(played.embedded, part)
    assert there == here
    assert len(here) == {"runs": 2, "legs": 6, "orders": 12, "fills": 12, "profits": 2}[part]


def test_the_day_has_a_stop_and_exits_by_the_clock(played: Played) -> None:
    causes = [row["cause"] for row in played.history if row["what"] == "exit_decided"]
    assert sorted(causes) == ["stop"] * 2 + ["time"] * 4


def test_the_timer_starts_once_and_ends_itself_at_the_close(played: Played) -> None:
    assert played.timer == "SUCCEEDED"
    assert played.again is None


def test_every_event_that_the_timer_published_was_delivered_once_to_a_function(played: Played) -> None:
    parts = dict.fromkeys(EventType, ENVIRONMENT.shards) | {EventType.REFRESH_MARKET_DATA: 1}
    assert played.delivered == sum(parts[type_] for type_ in played.published)
    assert set(played.published) == set(EventType)


def test_the_api_shows_the_closed_runs_with_what_they_made(played: Played) -> None:
    assert {run["status"] for run in played.runs} == {RunStatus.CLOSED}
    made = {(run["strategy"], Decimal(str(run["realised"]))) for run in played.runs}
    assert made == {(name, gross) for name, gross, _ in played.embedded.profits}


def test_the_api_shows_every_order_filled(played: Played) -> None:
    assert [order["state"] for order in played.orders] == ["FILLED"] * len(played.embedded.orders)


def test_the_history_tells_of_every_fill(played: Played) -> None:
    fills = [row for row in played.history if row["what"] == "fill"]
    assert sum(row["quantity"] for row in fills) == sum(quantity for _, quantity, *_ in played.embedded.fills)


def test_the_live_stream_tells_of_every_order_to_its_end(played: Played) -> None:
    last = {message["order"]["order_id"]: message["order"]["state"] for message in played.told["order"]}
    assert list(last.values()) == ["FILLED"] * len(played.embedded.orders)


def test_the_live_stream_tells_of_every_fill(played: Played) -> None:
    told = {(message["order_id"], message["filled_before"]): message["quantity"] for message in played.told["fill"]}
    assert sum(told.values()) == sum(quantity for _, quantity, *_ in played.embedded.fills)


def test_the_live_stream_tells_how_every_run_ended(played: Played) -> None:
    told = sorted((message["run"] for message in played.told["run"]), key=lambda run: int(run["version"]))
    newest = {run["run_id"]: run["status"] for run in told}
    assert list(newest.values()) == ["CLOSED", "CLOSED"]


def test_another_user_sees_and_hears_nothing_of_it(played: Played) -> None:
    assert not played.foreign
    assert not played.of_nobody.runs
    assert set(played.told_to_another) <= {"listening", "tick"}


def test_nobody_is_answered_without_a_token(played: Played) -> None:
    assert played.unproven == 401
