"""docs/cost.md: its tables are what is computed, and what is computed adds up."""

from dataclasses import replace

import pytest

from infra.cost.inputs import Assumed, read_counts, read_prices
from infra.cost.month import events_a_day
from infra.cost.page import ENVIRONMENT, PAGE, USERS, Tables
from infra.timer_machine import events
from tests.infra.templates import ENVIRONMENTS, trading_of


@pytest.fixture
def tables() -> Tables:
    trading_of(ENVIRONMENT)  # skips where there are none
    return Tables()


def test_the_tables_of_the_page_are_the_ones_that_are_computed(tables: Tables) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert tables.page(text) == text, "run python -m infra.cost"
    assert set(tables.blocks) == {name for name in tables.blocks if f"<!-- {name}: begin -->" in text}


def test_every_price_that_was_not_found_for_the_region_is_marked_wherever_it_is_used(tables: Tables) -> None:
    lines = tables.months_table().splitlines()
    for line in tables.lines[USERS[0]]:
        named = (f"| {line.service}: {line.what} |", f"| {line.service}: {line.what} (UNVERIFIED) |")
        (row,) = (each for each in lines if each.startswith(named))
        assert ("UNVERIFIED" in row) is not tables.prices.by_name[line.price].quoted


def test_every_price_has_a_source_and_is_not_of_the_future() -> None:
    prices = read_prices()
    for price in prices.by_name.values():
        assert price.usd > 0
        assert price.source
        assert price.read <= prices.date


def test_a_month_of_the_timer_is_as_worked_out_by_hand(tables: Tables) -> None:
    (line,) = (each for each in tables.lines[10] if each.service == "Step Functions")
    turns = read_counts()["timer"]["turns"]
    assert turns == 401
    # 21 trading days of three states, and three a turn; the first three on the 9.4 others.
    assert line.quantity == pytest.approx(21 * (3 + 3 * 401) + 9.4 * 3)
    assert line.usd(tables.prices) == pytest.approx(0.7226, abs=1e-4)
    assert events(turns) == 3620


def test_events_of_a_day_are_those_of_the_timer_that_was_counted() -> None:
    assert sum(events_a_day().values()) == read_counts()["timer"]["events"]


def test_what_stands_there_costs_the_same_for_everybody_and_the_rest_grows_with_users(tables: Tables) -> None:
    standing = {"NAT", "Step Functions", "EventBridge"}
    for few, many in zip(tables.lines[10], tables.lines[100_000], strict=True):
        if few.service in standing:
            assert few.quantity == many.quantity
        else:
            assert few.quantity <= many.quantity
    assert tables.total(200_000, Assumed()) == pytest.approx(2 * tables.total(100_000), rel=0.02)


@pytest.mark.parametrize(
    "cheaper",
    [
        {"woken": 0.5},
        {"woken": 0.01},
        {"compared_apart": False},
        {"compared_apart": False, "woken": 0.2},
        {"minutes": 60},
        {"strategies": 1},
        {"trading": 0.1},
    ],
    ids=str,
)
def test_doing_less_costs_less(tables: Tables, cheaper: dict[str, float]) -> None:
    less = replace(Assumed(), **cheaper)  # type: ignore[arg-type]
    for users in USERS:
        assert tables.total(users, less) < tables.total(users, Assumed())
        for line in tables.month(users, less).lines():
            assert line.quantity >= 0


def test_users_that_trade_in_no_minute_leave_what_stands_there(tables: Tables) -> None:
    nobody = replace(Assumed(), trading=0.0)
    work = tables.month(1000, nobody).functions()
    assert work["entries"].invocations == work["exits"].invocations == 0
    assert work["stops"].invocations > 0


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_gateways_are_paid_for_where_an_environment_has_them(name: str) -> None:
    trading_of(name)
    tables = Tables(ENVIRONMENTS[name])
    hours = {line.what: line.quantity for line in tables.month(10).lines() if line.service == "NAT"}
    assert hours["hours"] == 730 * ENVIRONMENTS[name].egress.gateways
    assert hours["hours of addresses"] == hours["hours"]
