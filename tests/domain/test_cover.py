"""I4 before any order: a file may not plan to leave a short with less cover than it has at full entry."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import (
    ExpiryRule,
    LegSpec,
    Schedule,
    Series,
    Strategy,
    Strike,
    StrikeRule,
)
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.cover import Stake, covered, covered_by, lost_cover, needed
from option_baskets.domain.exit_rules import Distance

STOP = Distance(percent=Decimal(25))
NEXT_WEEK = ExpiryRule(series=Series.WEEKLY, offset=1)
MONTHLY = ExpiryRule(series=Series.MONTHLY)
CE, PE, FUT = ContractType.CE, ContractType.PE, ContractType.FUT


def leg(
    text: str,
    *,
    stop: Distance | None = None,
    target: Distance | None = None,
    expiry: ExpiryRule | None = None,
    ratio: int = 1,
) -> LegSpec:
    """A leg from ``id SIDE TYPE``."""
    leg_id, side, kind = text.split()
    strike = Strike(rule=StrikeRule.ATM, offset=0) if kind != "FUT" else None
    return LegSpec(
        id=leg_id,
        side=Side(side),
        type=ContractType(kind),
        ratio=ratio,
        strike=strike,
        expiry=expiry,
        stop=stop,
        target=target,
    )


def plan(*legs: LegSpec) -> Strategy:
    schedule = Schedule(entry=time(9, 20), exit=time(15, 15))
    return Strategy(id="b.s", basket_id="b", name="s", underlying="NIFTY", schedule=schedule, legs=legs)


def lots(count: int) -> Allocation:
    return Allocation(id="b.s.a", strategy_id="b.s", account="a", units=count)


def per_leg(**leg_lots: int) -> Allocation:
    return Allocation(id="b.s.a", strategy_id="b.s", account="a", leg_lots=leg_lots)


def through(strategy: Strategy, *allocations: Allocation) -> list[str | None]:
    """The legs through which cover can be lost; None stands for the allocation itself."""
    return [loss.leg for loss in lost_cover(strategy, allocations or [lots(2)])]


def test_a_short_straddle_has_no_cover_to_lose() -> None:
    assert through(plan(leg("c SELL CE", stop=STOP), leg("p SELL PE", stop=STOP))) == []


def test_a_stop_on_the_short_alone_leaves_the_hedge_and_is_fine() -> None:
    assert through(plan(leg("c SELL CE", stop=STOP), leg("wing BUY CE"))) == []


def test_a_stop_on_the_hedge_leaves_the_short() -> None:
    assert through(plan(leg("c SELL CE"), leg("wing BUY CE", stop=STOP))) == ["wing"]


def test_a_target_on_the_hedge_leaves_the_short_as_well() -> None:
    assert through(plan(leg("c SELL CE"), leg("wing BUY CE", target=STOP))) == ["wing"]


def test_a_stop_on_both_still_leaves_the_short_when_the_hedge_goes_first() -> None:
    assert through(plan(leg("c SELL CE", stop=STOP), leg("wing BUY CE", stop=STOP))) == ["wing"]


def test_the_user_may_accept_it() -> None:
    assert through(replace(plan(leg("c SELL CE"), leg("wing BUY CE", stop=STOP)), naked=True)) == []


def test_a_bought_put_covers_no_call() -> None:
    assert through(plan(leg("c SELL CE"), leg("p BUY PE", stop=STOP))) == []


def test_a_bought_future_covers_a_sold_call_so_its_stop_uncovers_it() -> None:
    assert through(plan(leg("f BUY FUT"), leg("c SELL CE", stop=STOP))) == []
    assert through(plan(leg("f BUY FUT", stop=STOP), leg("c SELL CE"))) == ["f"]


def test_a_sold_future_covers_a_sold_put_and_not_a_sold_call() -> None:
    assert through(plan(leg("f SELL FUT", stop=STOP), leg("p SELL PE"))) == ["f"]
    assert through(plan(leg("f SELL FUT", stop=STOP), leg("c SELL CE"))) == []


def test_a_second_hedge_without_a_rule_covers_for_the_first() -> None:
    assert through(plan(leg("c SELL CE"), leg("w BUY CE", stop=STOP), leg("spare BUY CE"))) == []


def test_two_hedges_with_rules_may_both_go() -> None:
    both = plan(leg("c SELL CE"), leg("w1 BUY CE", stop=STOP), leg("w2 BUY CE", target=STOP))
    assert through(both) == ["w1", "w2"]


def test_cover_is_counted_in_lots_and_not_in_legs() -> None:
    hedges = (leg("w BUY CE", stop=STOP), leg("spare BUY CE"))
    assert through(plan(leg("c SELL CE", ratio=2), *hedges)) == ["w"]


def test_a_hedge_that_expires_earlier_is_no_cover() -> None:
    assert through(plan(leg("c SELL CE", expiry=NEXT_WEEK), leg("w BUY CE", stop=STOP))) == []
    assert through(plan(leg("c SELL CE"), leg("w BUY CE", stop=STOP, expiry=NEXT_WEEK))) == ["w"]


def test_a_future_of_the_month_covers_this_weeks_call_on_every_day() -> None:
    assert through(plan(leg("f BUY FUT", stop=STOP), leg("c SELL CE", expiry=ExpiryRule()))) == ["f"]


def test_next_weeks_hedge_of_a_monthly_call_is_cover_on_the_days_it_expires_no_earlier() -> None:
    assert through(plan(leg("c SELL CE", expiry=MONTHLY), leg("w BUY CE", stop=STOP, expiry=NEXT_WEEK))) == ["w"]


def test_a_future_of_the_month_covers_next_weeks_call_while_the_month_is_long() -> None:
    assert through(plan(leg("f BUY FUT", stop=STOP), leg("c SELL CE", expiry=NEXT_WEEK))) == ["f"]


def test_lots_of_two_shorts_are_covered_by_the_measure_of_the_larger() -> None:
    shared_wing = plan(leg("c SELL CE"), leg("d SELL CE"), leg("w BUY CE", ratio=2))
    assert through(shared_wing, per_leg(c=1, d=3, w=3)) == [None]
    assert through(shared_wing, per_leg(c=1, d=3, w=4)) == []


def test_lots_that_sell_more_than_they_cover_are_found() -> None:
    spread = plan(leg("c SELL CE"), leg("w BUY CE"))
    assert through(spread, per_leg(c=2, w=1)) == [None]
    assert through(spread, per_leg(c=2)) == [None]
    assert through(spread, per_leg(c=2, w=3)) == []
    assert through(spread, per_leg(w=3)) == []


def test_lots_of_a_plan_without_cover_may_be_anything() -> None:
    assert through(plan(leg("c SELL CE"), leg("p SELL PE")), per_leg(c=3)) == []


def test_lots_of_a_partly_covered_plan_keep_its_share_of_cover() -> None:
    ratio_spread = plan(leg("c SELL CE", ratio=2), leg("w BUY CE"))
    assert through(ratio_spread, per_leg(c=4, w=2)) == []
    assert through(ratio_spread, per_leg(c=3, w=1)) == [None]


def test_a_rule_may_be_harmless_in_the_plan_and_not_with_an_accounts_own_lots() -> None:
    guarded = plan(leg("c SELL CE"), leg("w BUY CE", stop=STOP), leg("spare BUY CE"))
    assert through(guarded, lots(1), per_leg(c=1, w=1)) == ["w"]


def test_one_loss_is_told_once_however_many_accounts_have_it() -> None:
    spread = plan(leg("c SELL CE"), leg("w BUY CE", stop=STOP))
    assert through(spread, lots(1), replace(lots(2), account="b")) == ["w"]


@pytest.mark.parametrize("count", [1, 7, 500])
def test_whole_units_never_lose_cover(count: int) -> None:
    condor = plan(leg("c SELL CE"), leg("p SELL PE"), leg("cw BUY CE"), leg("pw BUY PE"))
    assert through(condor, lots(count)) == []


STAKES = st.lists(
    st.builds(
        Stake,
        leg=st.uuids().map(str),
        side=st.sampled_from(Side),
        type=st.sampled_from(ContractType),
        expiry=st.integers(0, 3),
        quantity=st.integers(1, 3),
    ),
    max_size=6,
)


def rank(stake: Stake) -> int:
    assert isinstance(stake.expiry, int)
    return stake.expiry


def most_covered(stakes: list[Stake], short: ContractType) -> int:
    """The same by brute force, from Hall's theorem: the set of shorts with the least cover in reach decides."""
    shorts = [each for each in stakes if each.is_short_option and each.type is short]
    covers = [each for each in stakes if each.covers(short)]
    total = sum(int(each.quantity) for each in shorts)
    worst = 0
    for size in range(1, len(shorts) + 1):
        for some in combinations(shorts, size):
            within_reach = [c for c in covers if any(rank(c) >= rank(each) for each in some)]
            worst = max(worst, sum(int(s.quantity) for s in some) - sum(int(c.quantity) for c in within_reach))
    return total - worst


@given(stakes=STAKES, short=st.sampled_from([CE, PE]))
def test_the_greedy_count_of_cover_is_the_best_there_is(stakes: list[Stake], short: ContractType) -> None:
    assert covered(stakes, short) == most_covered(stakes, short)


LEGS = st.lists(
    st.builds(
        leg,
        st.sampled_from(["SELL CE", "BUY CE", "BUY FUT", "SELL PE", "BUY PE", "SELL FUT"]).map(
            lambda each: f"x {each}"
        ),
        stop=st.sampled_from([None, STOP]),
        expiry=st.builds(ExpiryRule, offset=st.integers(0, 2)),
        ratio=st.integers(1, 3),
    ),
    min_size=1,
    max_size=5,
)


def staked(legs: Iterable[LegSpec], strategy: Strategy) -> list[Stake]:
    return [
        Stake(
            leg=each.id,
            side=each.side,
            type=each.type,
            expiry=strategy.expiry_rule(each).offset,
            quantity=each.ratio,
        )
        for each in legs
    ]


def state_with_less_cover(strategy: Strategy) -> bool:
    """Whether legs with a rule can close so that the shorts left have less cover than all legs of the plan give."""
    closable = [each for each in strategy.legs if each.stop is not None]
    for count in range(len(closable) + 1):
        for closed in combinations(closable, count):
            left = [each for each in strategy.legs if each not in closed]
            shorts = [each for each in left if is_short(each)]
            covers = [each for each in left if not is_short(each)]
            planned = [each for each in strategy.legs if not is_short(each)]
            for short in (CE, PE):
                if covered(staked(shorts + covers, strategy), short) < covered(
                    staked(shorts + planned, strategy), short
                ):
                    return True
    return False


def is_short(each: LegSpec) -> bool:
    return each.side is Side.SELL and each.type.is_option


@given(legs=LEGS, count=st.integers(1, 3))
def test_cover_is_lost_exactly_where_some_order_of_rules_firing_loses_it(legs: list[LegSpec], count: int) -> None:
    strategy = plan(*(replace(each, id=str(number)) for number, each in enumerate(legs)))
    assert bool(lost_cover(strategy, [lots(count)])) == state_with_less_cover(strategy)


@given(stakes=STAKES)
def test_what_is_not_needed_may_go_without_any_short_losing_cover(stakes: list[Stake]) -> None:
    for stake in stakes:
        if stake.is_short_option:
            continue
        keep = needed(stake, stakes)
        assert 0 <= keep <= stake.quantity
        left = [replace(each, quantity=keep) if each is stake else each for each in stakes]
        assert all(covered(left, short) == covered(stakes, short) for short in (CE, PE))


def test_dates_order_expiries_as_ranks_do() -> None:
    sold = Stake(leg="c", side=Side.SELL, type=CE, expiry=date(2026, 11, 24), quantity=130)
    early = Stake(leg="w", side=Side.BUY, type=CE, expiry=date(2026, 11, 17), quantity=130)
    late = Stake(leg="f", side=Side.BUY, type=FUT, expiry=date(2026, 11, 24), quantity=65)
    assert covered([sold, early], CE) == 0
    assert covered([sold, early, late], CE) == 65
    assert (needed(early, [sold, early, late]), needed(late, [sold, early, late])) == (0, 65)


# ---------------------------------------------------------------- a leg that is taken out


@pytest.mark.parametrize(
    ("legs", "taken", "expected"),
    [
        (("call SELL CE", "put SELL PE", "wing BUY CE"), "wing", ("call",)),
        (("call SELL CE", "put SELL PE", "wing BUY CE"), "call", ()),
        (("call SELL CE", "put SELL PE", "future BUY FUT"), "future", ("call",)),
        (("call SELL CE", "wing BUY CE", "more BUY CE"), "wing", ()),
        (("one SELL CE", "two SELL CE", "wing BUY CE"), "wing", ("one", "two")),
        (("put SELL PE", "wing BUY CE"), "wing", ()),
    ],
)
def test_a_leg_covers_what_would_have_less_without_it(
    legs: tuple[str, ...], taken: str, expected: tuple[str, ...]
) -> None:
    whole = plan(*(leg(text) for text in legs))
    assert covered_by(whole, taken) == expected
    assert covered_by(replace(whole, naked=True), taken) == ()


def test_cover_of_some_days_only_counts() -> None:
    """The weekly may be listed beyond the monthly, or not."""
    whole = plan(leg("call SELL CE"), leg("near BUY CE", expiry=NEXT_WEEK), leg("far BUY CE", expiry=MONTHLY))
    assert covered_by(whole, "near") == ()
    assert covered_by(plan(*whole.legs[:2]), "near") == ("call",)
