"""The desk on days made for it: worn orders, readings that wait longer and longer, odd words of a broker."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.wiring import LOCAL_USER
from tests.engine.order_machine import MANY, World, odd
from tests.engine.tiny_day import DAY, instant

pytestmark = [pytest.mark.usefixtures("burial"), pytest.mark.filterwarnings("ignore")]


def lived(folder: Path, behaviour: Behaviour | None = None) -> World:
    return World(folder, behaviour or Behaviour(), lambda _: None)


def test_an_order_of_unknown_fate_is_looked_for_after_growing_waits_and_then_ordered_anew(tmp_path: Path) -> None:
    world = lived(tmp_path, Behaviour(lost_requests=1))
    world.advance(12)
    (lost,) = (order for order in world.journal.values() if order.intent.leg == "wing")
    assert lost.state is OrderState.UNKNOWN
    world.advance(20)
    assert world.journal[lost.intent.id].state is OrderState.UNKNOWN
    world.exchange.broker("one", behaviour=Behaviour())
    world.advance(20)
    first, again = sorted(
        (each for each in world.journal.values() if each.intent.leg == "wing"), key=lambda each: each.intent.attempt
    )
    assert first.state is OrderState.ABSENT
    assert first.updated_at - instant("09:17") == timedelta(seconds=30)
    assert (again.state, again.intent.decided_at) == (OrderState.FILLED, instant("09:17") + timedelta(seconds=31))
    world.end()
    assert list(world.differences()) == []
    world.close()


def test_a_status_nobody_knows_is_told_once_and_the_order_goes_on(tmp_path: Path) -> None:
    world = lived(tmp_path, Behaviour(latency=timedelta(seconds=2), partial_fills=1))
    world.advance(14)
    report = world.seen[-1]
    assert report.state is OrderState.PARTIAL
    world.report(odd(report), times=3)
    alerts = world.loop.run_until_complete(world.machine.books.alerts(LOCAL_USER, DAY))
    assert [alert.code for alert in alerts] == ["unknown_status"]
    assert "PUT ORDER REQ RECEIVED" in alerts[0].message
    assert world.journal[report.tag].state is OrderState.PARTIAL
    world.end()
    assert list(world.differences()) == []
    world.close()


def test_a_run_that_is_over_is_taken_up_after_a_restart_where_a_fill_may_still_be_told(tmp_path: Path) -> None:
    world = lived(tmp_path, Behaviour(rejections=1))
    world.advance(12)
    assert {order.reason for order in world.journal.values()} >= {Reason.BROKER_REJECTED}
    world.die()
    world.start()
    world.advance(1)
    assert [run.strategy.name for run in world.trading.runs.in_hand() if run.status.is_over] == ["spread"]
    world.end()
    world.close()


def test_what_was_moved_as_often_as_its_broker_allows_is_ordered_anew(tmp_path: Path) -> None:
    """Nobody sells the wing for half a minute, and its price creeps up: after two new limits it is another order."""
    world = lived(tmp_path, Behaviour(max_modifications=2))
    world.pace_of(chases_an_order=2)
    world.sellers_leave()
    for step in range(10):
        world.creep(Decimal("0.20") * step)
        world.advance(4)
    wings = sorted(
        (each for each in world.journal.values() if each.intent.leg == "wing"), key=lambda each: each.intent.attempt
    )
    assert len(wings) > 1
    assert {each.reason for each in wings[:-1]} == {Reason.MODIFICATION_LIMIT}
    assert {each.repricings for each in wings[:-1]} == {2}
    world.quote("1", MANY)
    world.end()
    assert list(world.differences()) == []
    world.close()
