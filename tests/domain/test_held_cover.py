"""Cover at the moment of selling: what is held by then, against what the plan has. Lots of 75 units."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import LegSpec, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.held_cover import lacks_cover
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition, Run
from tests.engine.plans import DAY, run, strategy

MONTHLY = date(2026, 12, 29)
LOT = 75


def spec(id_: str, side: Side, type_: ContractType = ContractType.CE, **changes: object) -> LegSpec:
    strike = None if type_ is ContractType.FUT else Strike(rule=StrikeRule.ATM, offset=0)
    return replace(LegSpec(id=id_, side=side, type=type_, strike=strike), **changes)  # type: ignore[arg-type]


SHORT = spec("short", Side.SELL)
WING = spec("wing", Side.BUY)


def of(leg: LegSpec, lots: int = 1, *, held: bool = True, expiry: date = DAY, number: int = 0) -> LegPosition:
    contract = Contract(
        underlying="NIFTY",
        expiry=expiry,
        type=leg.type,
        strike=None if leg.type is ContractType.FUT else Decimal(26000),
    )
    return LegPosition(
        leg=leg.id,
        account="one",
        entry_number=number,
        contract=contract,
        side=leg.side,
        lots=lots,
        lot_size=LOT,
        freeze_quantity=None,
        tick=Decimal("0.05"),
        entered=lots * LOT if held else 0,
        entry_final=held,
    )


def plan(*legs: LegSpec, lots: int = 1, naked: bool = False) -> Run:
    strategy_ = replace(strategy(), legs=legs, naked=naked)
    allocation = Allocation(id="a", strategy_id=strategy_.id, account="one", units=lots)
    return replace(run(plan=strategy_), allocations=(allocation,), positions=())


def lacking(of_run: Run, *coming: LegPosition, expiry: date | None = DAY) -> ContractType | None:
    return lacks_cover(of_run, "one", coming, lambda _: expiry)


def test_a_short_whose_wing_is_held_is_covered() -> None:
    held = replace(plan(SHORT, WING), positions=(of(WING),))
    assert lacking(held, of(SHORT, held=False, number=1)) is None


def test_a_short_whose_wing_is_gone_is_not() -> None:
    gone = replace(of(WING), exited=LOT, exit_reason=ExitReason.TARGET)
    assert lacking(replace(plan(SHORT, WING), positions=(gone,)), of(SHORT, held=False)) is ContractType.CE


def test_a_wing_that_is_being_closed_is_no_cover() -> None:
    closing = replace(of(WING), exit_reason=ExitReason.TARGET)
    assert lacking(replace(plan(SHORT, WING), positions=(closing,)), of(SHORT, held=False)) is ContractType.CE


def test_a_wing_that_is_bought_with_it_is_cover() -> None:
    assert lacking(plan(SHORT, WING), of(SHORT, held=False), of(WING, held=False)) is None


def test_half_a_wing_is_not_enough() -> None:
    held = replace(plan(SHORT, WING, lots=2), positions=(replace(of(WING, 2), entered=LOT),))
    assert lacking(held, of(SHORT, 2, held=False)) is ContractType.CE


def test_a_wing_serves_one_short_at_a_time() -> None:
    """The plan has two wings for its two shorts; one is held, and a short it serves already."""
    other = spec("other", Side.SELL)
    held = replace(plan(SHORT, other, replace(WING, ratio=2)), positions=(of(WING), of(SHORT)))
    assert lacking(held, of(other, held=False)) is ContractType.CE


def test_a_plan_without_cover_has_none_to_lose() -> None:
    assert lacking(plan(SHORT), of(SHORT, held=False)) is None


def test_a_ratio_spread_needs_only_the_cover_it_was_planned_with() -> None:
    twice = replace(SHORT, ratio=2)
    held = replace(plan(twice, WING), positions=(of(WING),))
    assert lacking(held, of(twice, 2, held=False)) is None
    assert lacking(plan(twice, WING), of(twice, 2, held=False)) is ContractType.CE


def test_naked_is_the_users_word() -> None:
    assert lacking(plan(SHORT, WING, naked=True), of(SHORT, held=False)) is None


def test_a_bought_wing_of_an_earlier_expiry_was_never_cover() -> None:
    far = of(SHORT, held=False, expiry=MONTHLY)
    assert lacking(plan(SHORT, WING), far, expiry=DAY) is None
    assert lacking(plan(SHORT, WING), far, expiry=MONTHLY) is ContractType.CE


def test_a_lazy_wing_is_no_part_of_a_full_entry() -> None:
    assert lacking(plan(SHORT, replace(WING, lazy=True)), of(SHORT, held=False)) is None


def test_a_bought_future_covers_a_sold_call() -> None:
    future = spec("future", Side.BUY, ContractType.FUT)
    held = replace(plan(SHORT, future), positions=(of(future, expiry=MONTHLY),))
    assert lacking(held, of(SHORT, held=False)) is None
    assert lacking(plan(SHORT, future), of(SHORT, held=False), expiry=MONTHLY) is ContractType.CE


def test_another_accounts_wing_is_no_cover() -> None:
    elsewhere = replace(of(WING), account="two")
    assert lacking(replace(plan(SHORT, WING), positions=(elsewhere,)), of(SHORT, held=False)) is ContractType.CE


def test_buying_lacks_nothing() -> None:
    assert lacking(replace(plan(SHORT, WING), positions=(of(SHORT),)), of(WING, held=False)) is None


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 30), st.integers(0, 30))
def test_the_full_entry_of_any_plan_is_covered_and_more_cover_never_hurts(
    ratio: int, of_wing: int, units: int, extra: int
) -> None:
    units = units or 1
    short, wing = replace(SHORT, ratio=ratio), replace(WING, ratio=of_wing)
    full = plan(short, wing, lots=units)
    coming = of(short, ratio * units, held=False)
    assert lacking(full, coming, of(wing, of_wing * units, held=False)) is None
    held = replace(full, positions=(of(wing, of_wing * units + extra),))
    assert lacking(held, coming) is None
