"""The model of one entry minute (``benchmarks/_boundary.py``): conserves, is monotone, and agrees with a hand."""

from dataclasses import replace
from math import inf
from random import Random

import pytest
from benchmarks._boundary import RESOURCES, Boundary, Minute, Setting, Terms, alone

SMALL = Setting(strategies=400, shards=4, workers=inf, claims_at_once=32, timeout=300.0, table_writes=40_000.0)
PLAIN = Terms(
    decode=0.0,
    page_units=0.0,
    claim_waits=1.0,
    claim_cpu=0.5,
    claim_index=0.0,
    claim_table=0.0,
    shift_waits=2.0,
    shift_cpu=1.0,
    entry_waits=0.5,
    entry_cpu=0.25,
    entry_index=0.0,
    entry_table=0.0,
    after_waits=1.0,
    spread=0.0,
    orders=4,
    orders_a_second=7,
)


def played(setting: Setting, terms: Terms | None = None) -> Minute:
    return Boundary(setting, terms).play()


def some_setting(random: Random) -> Setting:
    """Anything, but claimed before the wake-ups are visible."""
    return replace(
        SMALL,
        strategies=random.randrange(1, 600),
        each=random.choice((1, 2, 5, 10)),
        shards=random.choice((1, 3, 16)),
        table_writes=random.choice((500.0, 4000.0, inf)),
        partition_writes=random.choice((50.0, 1000.0)),
        concurrency=float(random.randrange(1, 40)),
        pollers=float(random.randrange(1, 10)),
        pollers_a_second=random.choice((1.0, 5.0)),
        seed=random.randrange(1000),
    )


# ---------------------------------------------------------------- by hand


def test_three_users_and_one_worker_are_as_worked_out_by_hand() -> None:
    setting = Setting(
        strategies=3, each=1, shards=1, batch=1, claims_at_once=1, concurrency=1, cold=1.5, lead=100.0, timeout=60.0,
        partition_writes=inf, table_writes=inf,
    )  # fmt: skip
    minute = played(setting, PLAIN)
    # One process claims, each in half a second of its core and a second of waiting.
    assert minute.claimed == [1.5, 3.0, 4.5]
    # Visible at 95, begun at 96.5 by a cold environment, ready at 98.5; its orders are decided 0.75 s behind 100 and
    # have filled a second later. The next shift waits 2 s and 0.5 s, and decides in 0.25 s; so does the third.
    assert minute.entered == [100.75, 104.5, 108.25]


def test_the_rate_of_an_account_holds_up_its_later_strategies() -> None:
    setting = replace(alone(Setting(), "orders a second of an account"), strategies=5, each=5)
    # 20 orders, 7 a second: 4 and 8 of them are done in seconds 0 and 1, 12 in 1, 16 in 2, 20 in 2.
    assert [at - setting.lead for at in played(setting).entered] == [0, 1, 1, 2, 2]


def test_a_table_alone_takes_the_units_of_all_at_its_rate() -> None:
    setting = replace(alone(Setting(), "writing of a table"), strategies=1000, table_writes=4000.0)
    minute = played(setting, replace(PLAIN, entry_table=80.0))
    assert minute.last == pytest.approx(1000 * 80 / 4000)


def test_workers_come_as_fast_as_the_pollers_of_the_queue() -> None:
    setting = replace(alone(Setting(), "pollers of the queue"), strategies=305, each=1, batch=1, lead=100.0, early=0.0)
    terms = replace(PLAIN, after_waits=1000.0)  # none of them is there a second time
    # Five are there at once, 300 more in a minute; each is 0.75 s behind its wake-up's two seconds of getting ready.
    assert played(setting, terms).last == pytest.approx(300 / 5 + 2.0 + 0.5 + 0.25)


# ---------------------------------------------------------------- conservation


@pytest.mark.parametrize("seed", range(40))
def test_every_strategy_is_claimed_and_entered_once(seed: int) -> None:
    setting = some_setting(Random(seed))
    minute = played(setting)
    assert minute.unclaimed == 0
    assert minute.entries == [1] * setting.strategies
    assert all(
        claimed < setting.lead <= entered for claimed, entered in zip(minute.claimed, minute.entered, strict=True)
    )


def test_what_a_process_has_not_claimed_at_its_timeout_is_never_entered_and_the_rest_is() -> None:
    minute = played(replace(SMALL, workers=1, claims_at_once=1, timeout=5.0))
    assert 0 < minute.unclaimed < 400
    assert minute.entries == [int(claimed < inf) for claimed in minute.claimed]
    assert [entered < inf for entered in minute.entered] == [claimed < inf for claimed in minute.claimed]
    assert max(claimed for claimed in minute.claimed if claimed < inf) <= 5.0


def test_nothing_is_written_faster_than_a_partition_takes_it() -> None:
    setting = replace(SMALL.unlimited(), shards=1, partition_writes=100.0)
    terms = replace(PLAIN, claim_index=1.0, entry_index=5.0)
    minute = played(setting, terms)
    assert max(minute.claimed) == pytest.approx(400 * 1.0 / 100)
    assert minute.last == pytest.approx(400 * 5.0 / 100)


# ---------------------------------------------------------------- monotony


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(
    ("field", "factor"),
    [
        ("concurrency", 2),
        ("pollers", 2),
        ("table_writes", 2),
        ("partition_writes", 2),
        ("environments", 2),
        ("splits", 4),
    ],
)
def test_more_of_anything_is_never_later(seed: int, field: str, factor: int) -> None:
    setting = some_setting(Random(seed))
    less, more = played(setting), played(replace(setting, **{field: getattr(setting, field) * factor}))
    assert more.last <= less.last + 1e-9


@pytest.mark.parametrize("resource", RESOURCES)
def test_all_limits_together_are_never_earlier_than_one_alone(resource: str) -> None:
    together = replace(SMALL, strategies=2000)
    assert played(together).last >= played(alone(together, resource)).last - 1e-9


def test_one_worker_more_helps_where_workers_are_short() -> None:
    assert played(replace(SMALL, concurrency=2)).last < played(replace(SMALL, concurrency=1)).last


def test_a_seed_makes_the_same_minute_and_another_seed_another() -> None:
    assert played(SMALL).entered == played(SMALL).entered
    assert played(SMALL).entered != played(replace(SMALL, seed=8)).entered
