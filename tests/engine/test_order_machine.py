"""Orders on a bad line, whatever befalls them and in whatever order: none is sent twice, none is lost, sums agree."""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from tests.engine.order_machine import CALM, World, odd

TIMES = int(os.environ.get("OPTION_BASKETS_FUZZ", "1"))
FAULTS = (
    "rejections",
    "partial_fills",
    "busy",
    "lost_requests",
    "lost_answers",
    "server_errors",
    "garbled_answers",
    "lost_changes",
    "crossed_cancels",
    "lost_updates",
    "doubled_updates",
    "late_updates",
)
NUMBERS = st.integers(0, 50)


class Orders(RuleBasedStateMachine):
    """A day of which Hypothesis decides what goes wrong, and when."""

    world_of = World

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="orders-"))
        self.world: World | None = None

    @initialize(
        seed=st.integers(0, 1000),
        faults=st.sets(st.sampled_from(FAULTS), max_size=5),
        latency=st.sampled_from([0, 2]),
        slow_book=st.sampled_from([0, 10]),
        modifications=st.sampled_from([None, 3]),
    )
    def begin(self, seed: int, faults: set[str], latency: int, slow_book: int, modifications: int | None) -> None:
        chances = dict.fromkeys(sorted(faults), 0.5)
        behaviour = Behaviour(
            seed=seed,
            latency=timedelta(seconds=latency),
            slow_book=timedelta(seconds=slow_book),
            max_modifications=modifications,
            **chances,  # type: ignore[arg-type]
        )
        self.world = self.world_of(self.folder, behaviour, note)

    def is_open(self) -> bool:
        return self.world is not None and self.world.clock.now() < CALM

    @property
    def here(self) -> World:
        assert self.world is not None
        return self.world

    # ------------------------------------------------------------ what may happen

    @rule(seconds=st.sampled_from([1, 4, 12, 35]))
    def time_passes(self, seconds: int) -> None:
        if self.is_open():
            self.here.advance(seconds)

    @precondition(is_open)
    @rule(factor=st.sampled_from(["0.7", "0.97", "1", "1.03", "1.5"]), lots=st.sampled_from([1, 1000]))
    def prices_move(self, factor: str, lots: int) -> None:
        self.here.move(factor, lots * 65)

    @precondition(lambda self: self.is_open() and self.here.seen)
    @rule(number=NUMBERS, times=st.integers(1, 3))
    def a_report_comes_again(self, number: int, times: int) -> None:
        self.here.report(self.here.seen[-1 - number % len(self.here.seen)], times)

    @precondition(lambda self: self.is_open() and self.here.seen)
    @rule(number=NUMBERS)
    def a_report_has_a_status_nobody_knows(self, number: int) -> None:
        self.here.report(odd(self.here.seen[-1 - number % len(self.here.seen)]))

    @precondition(lambda self: self.is_open() and self.here.seen)
    @rule(number=NUMBERS)
    def a_report_is_of_another_order_with_our_tag(self, number: int) -> None:
        report = self.here.seen[-1 - number % len(self.here.seen)]
        if report.tag in self.here.journal and self.here.journal[report.tag].broker_order_id:
            self.here.report(replace(report, broker_order_id="another"))

    @precondition(lambda self: self.is_open() and self.here.working())
    @rule(number=NUMBERS)
    def an_order_is_cancelled(self, number: int) -> None:
        orders = self.here.working()
        self.here.cancel(orders[number % len(orders)])

    @precondition(lambda self: self.is_open() and self.here.working())
    @rule(number=NUMBERS, by=st.sampled_from(["-0.50", "0.50"]))
    def an_order_is_moved(self, number: int, by: str) -> None:
        orders = self.here.working()
        self.here.reprice(orders[number % len(orders)], by)

    @precondition(is_open)
    @rule(number=NUMBERS)
    def a_run_is_closed(self, number: int) -> None:
        self.here.demand_exit(number)

    @precondition(is_open)
    @rule(seconds=st.sampled_from([3, 40]))
    def the_line_is_down(self, seconds: int) -> None:
        broker = self.here.exchange.broker("one")
        self.here.tell(f"the line is down for {seconds} s")
        outage = Outage(start=self.here.clock.now(), lasts=timedelta(seconds=seconds))
        broker.behaviour = replace(broker.behaviour, outages=(outage,))

    @precondition(is_open)
    @rule(seconds=st.sampled_from([0, 5, 40]))
    def the_engine_is_killed_and_started_again(self, seconds: int) -> None:
        self.here.die()
        self.here.loop.run_until_complete(
            self.here.clock.sleep_until(self.here.clock.now() + timedelta(seconds=seconds))
        )
        self.here.start()

    # ------------------------------------------------------------ what must hold

    @invariant()
    def nothing_is_doubled_and_sums_agree(self) -> None:
        if self.world is not None:
            assert list(self.world.faults()) == []

    def teardown(self) -> None:
        try:
            if self.world is not None:
                try:
                    self.world.end()
                    assert list(self.world.differences()) == []
                finally:
                    with suppress(Exception):
                        self.world.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


SETTINGS = settings(
    max_examples=15 * TIMES,
    stateful_step_count=15,
    deadline=None,
    derandomize=TIMES == 1,
    suppress_health_check=[*HealthCheck],
    print_blob=True,
)


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore")
def test_whatever_befalls_orders_none_is_sent_twice_and_the_books_agree() -> None:
    run_state_machine_as_test(Orders, settings=SETTINGS)
