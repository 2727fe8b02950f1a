"""I1: what is intended over accounts and slices is what was allocated, to the unit."""

from datetime import time
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.domain.allocation import Allocation, dropped_units, lots_by_leg, slices, units_by_allocation
from option_baskets.domain.basket import LegSpec, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import ContractType, Side
from option_baskets.store import codec

LOT_SIZES = st.sampled_from([10, 15, 20, 25, 40, 50, 65, 75, 120])
FREEZE = st.one_of(st.none(), st.integers(120, 6000))


def strategy_of(*ratios: int, base: int = 1) -> Strategy:
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
    return Strategy(id="b.s", basket_id="b", name="s", underlying="NIFTY", schedule=schedule, legs=legs, units=base)


def units(count: int, account: str = "a") -> Allocation:
    return Allocation(id=f"b.s.{account}", strategy_id="b.s", account=account, units=count)


def multiplied(by: str, account: str = "a") -> Allocation:
    return Allocation(id=f"b.s.{account}", strategy_id="b.s", account=account, multiplier=Decimal(by))


def weighted(weight: int, account: str = "a", priority: int = 0) -> Allocation:
    return Allocation(id=f"b.s.{account}", strategy_id="b.s", account=account, weight=weight, priority=priority)


def split(base: int, *weights: int) -> list[int]:
    """The units of accounts a0, a1 … in this order of priority."""
    allocations = [weighted(weight, f"a{index}", index) for index, weight in enumerate(weights)]
    found = units_by_allocation(strategy_of(1, base=base), allocations)
    return [found[each.id].whole for each in allocations]


def per_leg(lots: dict[str, int], account: str = "a") -> Allocation:
    return Allocation(id=f"b.s.{account}", strategy_id="b.s", account=account, leg_lots=lots)


def by_policy(account: str = "a", priority: int = 0) -> Allocation:
    return Allocation(id=f"b.s.{account}", strategy_id="b.s", account=account, dynamic="p", priority=priority)


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
    allocations = [units(count, f"a{number}") for number, count in enumerate(accounts)]
    for allocation in allocations:
        for leg, lots in lots_by_leg(strategy, allocation, allocations).items():
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
    lots = lots_by_leg(strategy_of(*ratios), units(count), [units(count)])
    assert [lots[str(number)] for number in range(1, len(ratios) + 1)] == [ratio * count for ratio in ratios]


@given(lots=st.dictionaries(st.sampled_from("123456"), st.integers(1, 50), min_size=1))
def test_leg_lots_are_traded_exactly_and_absent_legs_not_at_all(lots: dict[str, int]) -> None:
    assert lots_by_leg(strategy_of(1, 2, 3, 1, 2, 3), per_leg(lots), [per_leg(lots)]) == lots


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


# ---------------------------------------------------------------- every kind of allocation

RATIOS = st.lists(st.integers(1, 5), min_size=1, max_size=6)
MULTIPLIERS = st.decimals("0.0001", 50, places=4)
MANY = settings(max_examples=500, deadline=None)


@MANY
@given(
    ratios=RATIOS,
    base=st.integers(1, 1000),
    multipliers=st.lists(MULTIPLIERS, min_size=1, max_size=5),
    lot_size=LOT_SIZES,
    freeze=FREEZE,
)
def test_a_multiplier_trades_whole_units_and_what_it_drops_is_told_to_the_last_decimal(
    ratios: list[int], base: int, multipliers: list[Decimal], lot_size: int, freeze: int | None
) -> None:
    strategy = strategy_of(*ratios, base=base)
    allocations = [multiplied(f"{by}", f"a{index}") for index, by in enumerate(multipliers)]
    told = dropped_units(strategy, allocations)
    for by, allocation in zip(multipliers, allocations, strict=True):
        found = units_by_allocation(strategy, allocations)[allocation.id]
        assert Fraction(found.whole) + Fraction(found.dropped) == Fraction(by) * base
        assert 0 <= found.dropped < 1
        lots = lots_by_leg(strategy, allocation, allocations)
        assert list(lots.values()) == [leg.ratio * found.whole for leg in strategy.legs if found.whole]
        assert all(sum(slices(each, lot_size, freeze)) == each * lot_size for each in lots.values())
        assert any(line.startswith(f"{allocation.account}: ") for line in told) == bool(found.dropped)


@MANY
@given(
    ratios=RATIOS,
    base=st.integers(1, 1000),
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=8),
    lot_size=LOT_SIZES,
    freeze=FREEZE,
)
def test_a_split_sends_the_base_units_to_the_unit_and_nobody_is_a_unit_off_his_share(
    ratios: list[int], base: int, weights: list[int], lot_size: int, freeze: int | None
) -> None:
    strategy = strategy_of(*ratios, base=base)
    allocations = [weighted(weight, f"a{index}", index) for index, weight in enumerate(weights)]
    found = units_by_allocation(strategy, allocations)
    assert sum(each.whole for each in found.values()) == base
    for allocation, weight in zip(allocations, weights, strict=True):
        assert abs(found[allocation.id].whole - Fraction(base * weight, sum(weights))) < 1
    sent = {leg.id: 0 for leg in strategy.legs}
    for allocation in allocations:
        for leg, lots in lots_by_leg(strategy, allocation, allocations).items():
            sent[leg] += sum(slices(lots, lot_size, freeze))
    assert sent == {leg.id: leg.ratio * base * lot_size for leg in strategy.legs}


@MANY
@given(base=st.integers(1, 1000), weights=st.lists(st.integers(1, 1000), min_size=2, max_size=8))
def test_a_unit_that_remains_goes_to_the_largest_remainder_and_of_equals_to_the_first(
    base: int, weights: list[int]
) -> None:
    whole = split(base, *weights)
    shares = [Fraction(base * weight, sum(weights)) for weight in weights]
    extra = [units - share.__floor__() for units, share in zip(whole, shares, strict=True)]
    remainders = [share % 1 for share in shares]
    assert set(extra) <= {0, 1}
    for earlier, later in combinations(range(len(weights)), 2):
        if remainders[earlier] >= remainders[later]:
            assert extra[earlier] >= extra[later]
        else:
            assert extra[earlier] <= extra[later]


@MANY
@given(
    ratios=st.lists(st.integers(1, 5), min_size=2, max_size=6),
    base=st.integers(1, 1000),
    how=st.lists(st.one_of(st.integers(1, 500), MULTIPLIERS), min_size=1, max_size=6),
    weights=st.lists(st.integers(1, 50), max_size=4),
)
def test_a_ratio_strategy_keeps_its_ratio_on_every_account_however_its_lots_are_given(
    ratios: list[int], base: int, how: list[int | Decimal], weights: list[int]
) -> None:
    strategy = strategy_of(*ratios, base=base)
    allocations = [
        units(each, f"a{index}") if isinstance(each, int) else multiplied(f"{each}", f"a{index}")
        for index, each in enumerate(how)
    ] + [weighted(weight, f"w{index}", index) for index, weight in enumerate(weights)]
    for allocation in allocations:
        lots = lots_by_leg(strategy, allocation, allocations)
        assert not lots or {Fraction(lots[leg.id], leg.ratio) for leg in strategy.legs} == {
            Fraction(lots["1"], strategy.legs[0].ratio)
        }


KINDS = st.one_of(
    st.tuples(st.just("units"), st.integers(1, 500)),
    st.tuples(st.just("leg_lots"), st.dictionaries(st.sampled_from("123"), st.integers(1, 300), min_size=1)),
    st.tuples(st.just("multiplier"), MULTIPLIERS),
    st.tuples(st.just("weight"), st.integers(1, 1000)),
    st.tuples(st.just("dynamic"), st.none()),
)


@MANY
@given(
    ratios=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    base=st.integers(1, 1000),
    today=st.integers(0, 1000),
    kinds=st.lists(KINDS, min_size=1, max_size=6),
    lot_size=LOT_SIZES,
    freeze=FREEZE,
)
def test_what_is_sent_over_all_accounts_and_slices_is_what_each_kind_says_and_units_keep_the_ratio(
    ratios: tuple[int, int, int],
    base: int,
    today: int,
    kinds: list[tuple[str, Any]],
    lot_size: int,
    freeze: int | None,
) -> None:
    strategy = strategy_of(*ratios, base=base)
    allocations = []
    for index, (kind, wanted) in enumerate(kinds):
        given: dict[str, Any] = {kind: "p" if wanted is None else wanted}
        allocations.append(Allocation(id=f"b.s.a{index}", strategy_id="b.s", account=f"a{index}", **given))
    of_units = sum(wanted for kind, wanted in kinds if kind == "units")
    of_units += sum(int(Fraction(wanted) * base) for kind, wanted in kinds if kind == "multiplier")
    of_units += base * any(kind == "weight" for kind, _ in kinds)
    of_units += today * any(kind == "dynamic" for kind, _ in kinds)
    sent = {leg.id: 0 for leg in strategy.legs}
    for allocation in allocations:
        lots = lots_by_leg(strategy, allocation, allocations, today)
        if allocation.leg_lots is None:
            assert not lots or len({Fraction(lots[leg.id], leg.ratio) for leg in strategy.legs}) == 1
        for leg, count in lots.items():
            sent[leg] += sum(slices(count, lot_size, freeze))
    exactly = {
        leg.id: sum(wanted.get(leg.id, 0) for kind, wanted in kinds if kind == "leg_lots") for leg in strategy.legs
    }
    assert sent == {leg.id: (leg.ratio * of_units + exactly[leg.id]) * lot_size for leg in strategy.legs}


def test_the_units_of_a_day_are_split_evenly_and_without_a_day_each_account_has_one() -> None:
    """5 over two accounts: 3 for the first in priority."""
    allocations = [by_policy("a", 1), by_policy("b", 0)]
    strategy = strategy_of(2, 1, base=7)
    assert [lots_by_leg(strategy, each, allocations, 5) for each in allocations] == [
        {"1": 4, "2": 2},
        {"1": 6, "2": 3},
    ]
    assert [lots_by_leg(strategy, each, allocations, 0) for each in allocations] == [{}, {}]
    assert [lots_by_leg(strategy, each, allocations) for each in allocations] == 2 * [{"1": 2, "2": 1}]


@MANY
@given(
    base=st.integers(1, 1000),
    weights=st.dictionaries(st.text("abcxyz", min_size=1, max_size=3), st.integers(1, 9), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_the_order_in_which_allocations_are_read_changes_nothing(
    base: int, weights: dict[str, int], order: Random
) -> None:
    allocations = [weighted(weight, account) for account, weight in weights.items()]
    shuffled = list(allocations)
    order.shuffle(shuffled)
    strategy = strategy_of(1, base=base)
    assert units_by_allocation(strategy, allocations) == units_by_allocation(strategy, shuffled)


def test_one_and_a_half_times_three_units_are_four_and_the_half_is_told() -> None:
    """1.5 x 3 = 4.5 units. Rounded leg by leg a 2 : 1 spread would be 9 and 4 (or 5) lots: no longer 2 : 1."""
    strategy, allocation = strategy_of(2, 1, base=3), multiplied("1.5")
    assert lots_by_leg(strategy, allocation, [allocation]) == {"1": 8, "2": 4}
    assert dropped_units(strategy, [allocation]) == ("a: 1.5 x 3 units is 4.5; 4 traded, 0.5 dropped",)


def test_ten_units_at_two_to_one_to_one_are_five_three_and_two() -> None:
    """Shares 5, 2.5 and 2.5: the unit that remains goes to the first of the two equal remainders."""
    assert split(10, 2, 1, 1) == [5, 3, 2]


def test_one_unit_over_three_accounts_leaves_two_without_any() -> None:
    assert split(1, 1, 1, 1) == [1, 0, 0]
    allocations = [weighted(1, f"a{index}", index) for index in range(3)]
    assert lots_by_leg(strategy_of(2, 1), allocations[2], allocations) == {}


@pytest.mark.parametrize("allocation", [units(3), multiplied("1.2500"), weighted(7), by_policy(), per_leg({"1": 2})])
def test_an_allocation_comes_back_from_the_store_as_it_was(allocation: Allocation) -> None:
    assert codec.decode(codec.encode(allocation), Allocation) == allocation


def test_an_allocation_is_of_one_kind() -> None:
    with pytest.raises(ValueError, match="only one of them"):
        Allocation(id="x", strategy_id="b.s", account="a")
    with pytest.raises(ValueError, match="only one of them"):
        Allocation(id="x", strategy_id="b.s", account="a", units=1, leg_lots={"1": 1})
    with pytest.raises(ValueError, match="only one of them"):
        Allocation(id="x", strategy_id="b.s", account="a", multiplier=Decimal(1), weight=1)
