"""Lots by multiplier and by weight, from the file to the exchange's book."""

from pathlib import Path

import pytest

from option_baskets.adapters.basket_file import BasketFile, parse_basket
from option_baskets.domain.allocation import units_by_allocation
from option_baskets.domain.errors import Invalid
from tests.engine.tiny_day import LOT, QUIET, SPREAD, play_day, record

BEFORE, _, _ = SPREAD.partition("  [[strategies.allocations]]")
FIRST, SECOND = '  [[strategies.allocations]]\n  account = "one"\n', '  [[strategies.allocations]]\n  account = "two"\n'


def spread(*, units: str, one: str, two: str) -> str:
    """SPREAD with its short sold twice for each wing."""
    top = BEFORE.replace('exit = "09:35"\n', f'exit = "09:35"\nnaked = true\n{units}\n')
    top = top.replace('id = "short"\n', 'id = "short"\n  ratio = 2\n')
    return f"{top}{FIRST}  {one}\n{SECOND}  {two}\n"


def parsed(text: str) -> BasketFile:
    return parse_basket(f"format = 1\n{text}", ["NIFTY"])


def quantities(days: Path, data: Path, basket: str) -> tuple[dict[tuple[str, str], int], str]:
    """(account, leg) → units entered, and what the run says for a person."""
    played = play_day(days, data, basket)
    return {(leg.account, leg.leg): leg.entered for leg in played.run.positions}, played.run.detail


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


def test_a_multiplier_is_traded_in_whole_units_and_the_run_keeps_what_was_dropped(days: Path, tmp_path: Path) -> None:
    """3 base units: 1 x 3 = 3 units on one, 1.5 x 3 = 4.5, so 4 units on two; a unit is 2 lots sold and 1 bought."""
    basket = spread(units="units = 3", one="multiplier = 1", two="multiplier = 1.5")
    entered, detail = quantities(days, tmp_path / "data", basket)
    assert entered == {
        ("one", "short"): 6 * LOT,
        ("one", "wing"): 3 * LOT,
        ("two", "short"): 8 * LOT,
        ("two", "wing"): 4 * LOT,
    }
    assert detail == "two: 1.5 x 3 units is 4.5; 4 traded, 0.5 dropped"


def test_a_split_trades_all_base_units_and_no_more(days: Path, tmp_path: Path) -> None:
    """5 units at 2 : 1 are 3.33 and 1.67: 3 and 1, and the fifth goes to the larger remainder."""
    basket = spread(units="units = 5", one="weight = 2", two="weight = 1")
    entered, detail = quantities(days, tmp_path / "data", basket)
    assert entered == {
        ("one", "short"): 6 * LOT,
        ("one", "wing"): 3 * LOT,
        ("two", "short"): 4 * LOT,
        ("two", "wing"): 2 * LOT,
    }
    assert detail == ""


def test_an_account_whose_share_is_no_unit_trades_nothing(days: Path, tmp_path: Path) -> None:
    entered, _ = quantities(days, tmp_path / "data", spread(units="", one="weight = 2", two="weight = 1"))
    assert entered == {("one", "short"): 2 * LOT, ("one", "wing"): LOT}


def test_of_equal_remainders_the_lower_priority_number_is_served_first() -> None:
    one, two = "weight = 1\n  priority = 2", "weight = 1\n  priority = 1"
    file = parsed(spread(units="units = 3", one=one, two=two))
    (strategy,) = file.strategies
    units = units_by_allocation(strategy, file.of(strategy))
    assert {each.account: units[each.id].whole for each in file.allocations} == {"one": 1, "two": 2}


@pytest.mark.parametrize(
    ("units", "one", "two", "message"),
    [
        ("units = 3", "lots = 1", "lots = 2", "units: no allocation reads it: each says its own lots; remove it, or"),
        ("units = 3", "weight = 1", "lots = 2", "allocations[1]: the others split the units by weight; give this one"),
        ("units = 3", "multiplier = 2", "weight = 2", "allocations[0]: the others split the units by weight"),
        ("units = 3", "multiplier = 0.2", "lots = 1", "0.2 x 3 base units is 0.6, less than one whole unit"),
        ("units = 3", "multiplier = 0", "lots = 1", "multiplier: 0 must be above zero"),
        ("units = 3", "multiplier = 2000", "lots = 1", "2000 x 3 units at a ratio of 2 are more than 10000 lots"),
        ("units = 6000", "weight = 1", "weight = 1", "6000 units at a ratio of 2 are more than 10000 lots of one leg"),
        ("units = 0", "weight = 1", "weight = 1", "units: 0 is outside 1 to 10000"),
        ("", "weight = 0", "weight = 1", "weight: 0 is outside 1 to 1000"),
        ("", "weight = 1\n  multiplier = 2", "weight = 1", "both multiplier and weight; give one"),
    ],
)
def test_an_allocation_that_cannot_be_meant_is_told_with_the_way_out(
    units: str, one: str, two: str, message: str
) -> None:
    with pytest.raises(Invalid, match=r".") as raised:
        parsed(spread(units=units, one=one, two=two))
    assert message in str(raised.value)
