"""Limits in basket files: what is read, and what is told of those that make no sense."""

from decimal import Decimal

import pytest

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.domain.allocation import AllocationLimits
from option_baskets.domain.errors import Invalid
from tests.engine.tiny_day import STRADDLE

LOTS = "  lots = 2\n"


def text(*, basket: str = "", account: str = "", limits: str = "", of: str = STRADDLE) -> str:
    of = of.replace("capital = 500000", f"capital = 500000\n{basket}").replace('id = "one"', f'id = "one"\n{account}')
    return "format = 1\n" + of.replace(LOTS, f"{LOTS}  limits = {{ {limits} }}\n" if limits else LOTS)


def problems(file: str) -> list[str]:
    with pytest.raises(Invalid) as raised:
        parse_basket(file)
    return [f"{problem.where}: {problem.message}" for problem in raised.value.problems]


def test_every_limit_is_read_and_what_is_not_written_is_no_limit() -> None:
    found = parse_basket(
        text(
            basket="max_daily_loss = 10000\nmax_drawdown_percent = 12.5",
            account="max_daily_loss = 20000.50",
            limits="max_daily_loss = 5000, max_daily_trades = 4, max_lots = 8, "
            "max_position_value = 90000, max_margin_percent = 60",
        )
    )
    assert (found.basket.max_daily_loss, found.basket.max_drawdown_percent) == (Decimal(10000), Decimal("12.5"))
    assert found.accounts[0].max_daily_loss == Decimal("20000.50")
    assert found.allocations[0].limits == AllocationLimits(
        max_daily_loss=Decimal(5000),
        max_daily_trades=4,
        max_lots=8,
        max_position_value=Decimal(90000),
        max_margin_percent=Decimal(60),
    )
    plain = parse_basket(text())
    assert (plain.basket.max_daily_loss, plain.basket.max_drawdown_percent) == (None, None)
    assert (plain.accounts[0].max_daily_loss, plain.allocations[0].limits) == (None, AllocationLimits())


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (text(basket="max_daily_loss = 0"), "basket.max_daily_loss: 0 must be above zero"),
        (text(basket="max_drawdown_percent = 100"), "basket.max_drawdown_percent: 100 % of the capital is all of it"),
        (text(account="max_daily_loss = -5"), "accounts[0].max_daily_loss: -5 must be above zero"),
        (
            text(limits="max_daily_loss = 5000.001"),
            "strategies[0].allocations[0].limits.max_daily_loss: 5000.001 has more than 2 decimals",
        ),
        (text(limits="max_lots = 0"), "strategies[0].allocations[0].limits.max_lots: 0 is outside 1 to 10000"),
        (text(limits="max_loss = 1"), "strategies[0].allocations[0].limits.max_loss: no such key"),
        (
            text(limits="max_lots = 3"),
            "strategies[0].allocations[0].limits.max_lots: 4 lots over 2 legs are entered at once, more than 3",
        ),
        (
            text(limits="max_daily_trades = 1"),
            "strategies[0].allocations[0].limits.max_daily_trades: 2 legs are entered at once, each a trade",
        ),
    ],
)
def test_what_makes_no_sense_is_told_with_the_way_out(file: str, told: str) -> None:
    (only,) = problems(file)
    assert only.startswith(told)


def test_legs_that_come_later_are_no_part_of_what_is_entered_at_once() -> None:
    """The call waits for its price; two lots of the put are entered at the minute."""
    waiting = STRADDLE.replace('type = "CE"', 'type = "CE"\n  wait = { points = 10 }')
    assert parse_basket(text(limits="max_lots = 2, max_daily_trades = 1", of=waiting)).strategies
    (told,) = problems(text(limits="max_lots = 1", of=waiting))
    assert "2 lots over 1 leg are entered at once, more than 1" in told


def test_the_lots_of_a_share_are_counted_after_the_split() -> None:
    """Ten units at 3 : 1 by weight are eight and two, on two legs: sixteen lots and four."""
    allocations = '  account = "one"\n  lots = 2\n'
    shared = (
        STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\nunits = 10')
        .replace('id = "one"', 'id = "one"\n[[accounts]]\nid = "two"')
        .replace(
            allocations,
            '  account = "one"\n  weight = 3\n  limits = { max_lots = 15 }\n'
            '  [[strategies.allocations]]\n  account = "two"\n  weight = 1\n  limits = { max_lots = 4 }\n',
        )
    )
    (told,) = problems("format = 1\n" + shared)
    assert told.startswith("strategies[0].allocations[0].limits.max_lots: 16 lots over 2 legs")
