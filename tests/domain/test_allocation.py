"""I1: what is intended over accounts and slices is what was allocated, to the unit."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.allocation import Allocation, lots_by_leg, slices
from option_baskets.domain.basket import LegSpec, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import ContractType, Side

LOT_SIZES = st.sampled_from([10, 15, 20, 25, 40, 50, 65, 75, 120])
FREEZE = st.one_of(st.none(), st.integers(120, 6000))


def strategy_of(*ratios: int) -> Strategy:
    legs = tuple(
        LegSpec(
            id=str(number),
            side=Side.SELL,
            type=ContractType.CE,
            ratio=ratio,
            strike=Strike(rule=StrikeRule.ATM, offset=number),
        )
        for number, ratio in enumerate(ratios, 1)
    )
    schedule = Schedule(entry=time(9, 20), exit=time(15, 15))
    return Strategy(id="b.s", basket_id="b", name="s", underlying="NIFTY", schedule=schedule, legs=legs)


def units(count: int, account: str = "a") -> Allocation:
    return Allocation(id=f"b.s.{account}", strategy_id="b.s", account=account, units=count)


def per_leg(lots: dict[str, int]) -> Allocation:
    return Allocation(id="b.s.a", strategy_id="b.s", account="a", leg_lots=lots)


@given(
    ratios=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    accounts=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    lot_size=LOT_SIZES,
    freeze=FREEZE,
)
def test_slices_over_all_accounts_add_up_to_the_lots_allocated(
    ratios: list[int], accounts: list[int], lot_size: int, freeze: int | None
) -> None:
    strategy = strategy_of(*ratios)
    sent = {leg.id: 0 for leg in strategy.legs}
    for number, count in enumerate(accounts):
        for leg, lots in lots_by_leg(strategy, units(count, f"a{number}")).items():
            sent[leg] += sum(slices(lots, lot_size, freeze))
    assert sent == {leg.id: leg.ratio * sum(accounts) * lot_size for leg in strategy.legs}


@given(lots=st.integers(1, 10_000), lot_size=LOT_SIZES, freeze=st.integers(120, 6000))
def test_every_slice_is_whole_lots_within_the_freeze_quantity_and_as_equal_and_as_few_as_can_be(
    lots: int, lot_size: int, freeze: int
) -> None:
    quantities = slices(lots, lot_size, freeze)
    assert sum(quantities) == lots * lot_size
    assert all(quantity % lot_size == 0 and 0 < quantity <= freeze for quantity in quantities)
    assert max(quantities) - min(quantities) <= lot_size
    assert (len(quantities) - 1) * (freeze // lot_size) < lots


@given(ratios=st.lists(st.integers(1, 5), min_size=2, max_size=6), count=st.integers(1, 500))
def test_units_keep_the_ratio_of_the_legs_on_every_account(ratios: list[int], count: int) -> None:
    lots = lots_by_leg(strategy_of(*ratios), units(count))
    assert [lots[str(number)] for number in range(1, len(ratios) + 1)] == [ratio * count for ratio in ratios]


@given(lots=st.dictionaries(st.sampled_from("123456"), st.integers(1, 50), min_size=1))
def test_leg_lots_are_traded_exactly_and_absent_legs_not_at_all(lots: dict[str, int]) -> None:
    assert lots_by_leg(strategy_of(1, 2, 3, 1, 2, 3), per_leg(lots)) == lots


def test_one_slice_where_the_exchange_has_no_freeze_quantity() -> None:
    assert slices(400, 75, None) == (30_000,)


def test_forty_lots_of_fifty_under_a_freeze_quantity_of_1800_are_two_equal_orders() -> None:
    assert slices(40, 50, 1800) == (1000, 1000)


def test_a_lot_above_the_freeze_quantity_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="one lot of 75 is above the freeze quantity 50"):
        slices(1, 75, 50)


@pytest.mark.parametrize(("lots", "lot_size"), [(0, 75), (-1, 75), (1, 0)])
def test_nothing_is_not_sliced(lots: int, lot_size: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        slices(lots, lot_size, 1800)


def test_an_allocation_is_either_units_or_leg_lots() -> None:
    with pytest.raises(ValueError, match="only one of them"):
        Allocation(id="x", strategy_id="b.s", account="a")
    with pytest.raises(ValueError, match="only one of them"):
        Allocation(id="x", strategy_id="b.s", account="a", units=1, leg_lots={"1": 1})
