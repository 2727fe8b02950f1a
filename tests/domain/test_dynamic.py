"""Units that follow results: scores, a total over bounded claims, and the division of a day, by hand and property."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.domain.apportionment import Claim, apportioned
from option_baskets.domain.dynamic import (
    FEWEST_RUNS,
    DynamicPolicy,
    Member,
    Result,
    UnitsOfDay,
    Verdict,
    again,
    divide,
    equal_units,
)
from option_baskets.domain.scores import LARGEST_RATIO, Score, drawdown_of, score_of
from option_baskets.store import codec

DAY = date(2026, 11, 24)
CAPITAL = Decimal(500000)
MANY = settings(max_examples=200, deadline=None)


def nets(*amounts: int | str) -> list[Decimal]:
    return [Decimal(amount) for amount in amounts]


def member(name: str, amounts: Sequence[int | str | Decimal], before: int | None = None) -> Member:
    results = tuple(Result(run_id=f"{name}-{index}", net=Decimal(each)) for index, each in enumerate(amounts))
    return Member(strategy_id=name, name=name, results=results, before=before)


def policy(**changes: object) -> DynamicPolicy:
    return replace(DynamicPolicy(id="p", total=10, most=8, max_step=2), **changes)  # type: ignore[arg-type]


def divided(of: DynamicPolicy, *members: Member) -> UnitsOfDay:
    return divide(of, members, basket_id="b", capital=CAPITAL, on=DAY)


def units(record: UnitsOfDay) -> list[int]:
    return [share.units for share in record.shares]


# ---------------------------------------------------------------- scores


def test_a_sharpe_ratio_is_the_mean_over_the_sample_deviation() -> None:
    """Mean 200; squares of 800, -200, -200, -200, -200: 800,000 / 4 = 200,000; 200 / 447.2135955 = 0.4472136."""
    assert score_of(Score.SHARPE, nets(1000, 0, 0, 0, 0)) == Decimal("0.447214")
    assert score_of(Score.SHARPE, nets(-1000, 0, 0, 0, 0)) == Decimal("-0.447214")


def test_a_profit_factor_is_what_was_gained_over_what_was_lost() -> None:
    """3,000 / 700 = 4.2857142857."""
    assert score_of(Score.PROFIT_FACTOR, nets(1000, 2000, -500, -200, 0)) == Decimal("4.285714")


def test_net_pnl_is_the_sum() -> None:
    assert score_of(Score.NET_PNL, nets("1000.05", "-300.10", 0, 0, "0.01")) == Decimal("699.96")


@pytest.mark.parametrize(
    ("score", "amounts", "expected"),
    [
        (Score.SHARPE, nets(100, 100, 100, 100, 100), LARGEST_RATIO),
        (Score.SHARPE, nets(-100, -100, -100, -100, -100), -LARGEST_RATIO),
        (Score.SHARPE, nets(0, 0, 0, 0, 0), Decimal(0)),
        (Score.SHARPE, nets(1000, 1001, 1000, 1001, 1000), LARGEST_RATIO),
        (Score.PROFIT_FACTOR, nets(1, 2, 3, 4, 5), LARGEST_RATIO),
        (Score.PROFIT_FACTOR, nets(5000, -1, 0, 0, 0), LARGEST_RATIO),
        (Score.PROFIT_FACTOR, nets(0, 0, 0, 0, 0), Decimal(0)),
        (Score.PROFIT_FACTOR, nets(-1, -1, -1, -1, -1), Decimal(0)),
    ],
)
def test_a_ratio_without_spread_or_losses_is_the_largest(
    score: Score, amounts: Sequence[Decimal], expected: Decimal
) -> None:
    assert score_of(score, amounts) == expected


def test_a_drawdown_is_the_fall_from_the_highest_sum_so_far() -> None:
    """0, 300, 200, 500, 100, 250: 250 below 500. Losses from the beginning fall from 0."""
    assert drawdown_of(nets(300, -100, 300, -400, 150)) == 250
    assert drawdown_of(nets(-100, -50)) == 150
    assert drawdown_of(nets(100, 50)) == 0
    assert drawdown_of([]) == 0


AMOUNTS = st.lists(st.decimals(-100000, 100000, places=2), min_size=2, max_size=30)


@MANY
@given(amounts=AMOUNTS)
def test_a_score_is_the_exact_one_to_six_decimals(amounts: list[Decimal]) -> None:
    """Half a millionth at most off the exact value, whose square is compared because its root may not be rational."""
    exact = [Fraction(each) for each in amounts]
    half, most = Fraction(1, 2_000_000), Fraction(LARGEST_RATIO)
    assert score_of(Score.NET_PNL, amounts) == sum(amounts)
    gains, losses = sum(each for each in exact if each > 0), -sum(each for each in exact if each < 0)
    if losses:
        factor = Fraction(score_of(Score.PROFIT_FACTOR, amounts))
        assert abs(factor - min(gains / losses, most)) <= half
    mean = sum(exact) / len(exact)
    variance = sum((each - mean) ** 2 for each in exact) / (len(exact) - 1)
    if variance and mean * mean / variance < most**2:
        sharpe = Fraction(score_of(Score.SHARPE, amounts))
        assert (sharpe < 0) <= (mean < 0)
        size = abs(sharpe)
        assert max(size - half, Fraction(0)) ** 2 <= mean * mean / variance <= (size + half) ** 2


# ---------------------------------------------------------------- a total over claims

CLAIMS = st.lists(
    st.builds(
        lambda weight, low, room: Claim(Fraction(weight), low, low + room),
        st.fractions(0, 10, max_denominator=10),
        st.integers(0, 30),
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=6,
)


@MANY
@given(claims=CLAIMS, total=st.integers(0, 400))
def test_shares_keep_their_bounds_and_add_up_wherever_those_with_weight_can(claims: list[Claim], total: int) -> None:
    named = {str(index): each for index, each in enumerate(claims)}
    found = apportioned(total, named)
    assert all(named[name].low <= share <= named[name].high for name, share in found.items())
    least = sum(each.low for each in claims)
    most = sum(each.high if each.weight else each.low for each in claims)
    assert sum(found.values()) == min(max(total, least), most)
    assert all(found[name] == each.low for name, each in named.items() if not each.weight)


@MANY
@given(claims=CLAIMS, total=st.integers(0, 400))
def test_who_weighs_more_and_has_the_wider_bounds_never_has_less(claims: list[Claim], total: int) -> None:
    named = {str(index): each for index, each in enumerate(claims)}
    found = apportioned(total, named)
    for one, first in named.items():
        for other, second in named.items():
            if first.weight > second.weight and first.low >= second.low and first.high >= second.high:
                assert found[one] >= found[other]


@MANY
@given(weights=st.lists(st.integers(1, 1000), min_size=1, max_size=8), total=st.integers(0, 1000))
def test_without_bounds_nobody_is_a_unit_off_his_exact_part(weights: list[int], total: int) -> None:
    found = apportioned(total, {str(index): Claim(Fraction(each), 0, total) for index, each in enumerate(weights)})
    parts = [Fraction(total * each, sum(weights)) for each in weights]
    assert all(abs(found[str(index)] - part) < 1 for index, part in enumerate(parts))
    equal = apportioned(total, {str(index): Claim(Fraction(1), 0, total) for index in range(len(weights))})
    assert all(before - after in {0, 1} for before, after in pairwise(equal.values()))


# ---------------------------------------------------------------- a day by hand

STEADY = nets(200, 200, 200, 200, 200)
"""A net profit of 1,000."""


def test_units_follow_the_scores_a_step_a_day_until_they_are_there() -> None:
    """Net profits of 3,000 and 1,000: 7.5 and 2.5 of 10; both remainders are a half, the first has the unit: 8 and 2.
    From 5 and 5, two a day: 7 and 3, then 8 and 2, and there they stay."""
    by_sum = policy(score=Score.NET_PNL)
    one, two = nets(1000, 1000, 1000, 0, 0), STEADY
    first = divided(by_sum, member("a", one, 5), member("b", two, 5))
    assert [(share.target, share.low, share.high) for share in first.shares] == [(8, 3, 7), (2, 3, 7)]
    assert units(first) == [7, 3]
    second = divided(by_sum, member("a", one, 7), member("b", two, 3))
    assert units(second) == [8, 2]
    assert units(divided(by_sum, member("a", one, 8), member("b", two, 2))) == [8, 2]
    assert first.note == second.note == ""


def test_why_is_said_with_the_numbers_it_was_worked_out_from() -> None:
    by_sum = policy(score=Score.NET_PNL)
    one, two = nets(1000, 1000, 1000, 0, 0), STEADY
    first = divided(by_sum, member("a", one, 5), member("b", two, 5))
    assert [share.why for share in first.shares] == [
        "7 units: net profit 3,000.00 rupees over 5 closed runs is 75 % of all scores above 0, which asks for 8 of 10; "
        "5 before, and 2 a day is the most it may change",
        "3 units: net profit 1,000.00 rupees over 5 closed runs is 25 % of all scores above 0, which asks for 2 of 10; "
        "5 before, and 2 a day is the most it may change",
    ]
    there = divided(by_sum, member("a", one, 8), member("b", two, 2))
    assert there.shares[1].why == (
        "2 units: net profit 1,000.00 rupees over 5 closed runs is 25 % of all scores above 0, which asks for 2 of 10"
    )


def test_what_one_may_not_take_in_its_step_the_others_get() -> None:
    """Scores 1 : 1 : 0 from 4, 3 and 3, a unit a day: c goes to 2, and 8 remain for a and b, who may have 5 and 4."""
    equal = policy(score=Score.NET_PNL, max_step=1, least=0)
    record = divided(equal, member("a", STEADY, 4), member("b", STEADY, 3), member("c", nets(0, 0, 0, 0, -1), 3))
    assert [share.target for share in record.shares] == [5, 5, 0]
    assert units(record) == [4, 4, 2]
    assert record.shares[0].why.endswith("asks for 5 of 10; 4 before, and the steps of the others leave 4")
    assert record.shares[2].why == (
        "2 units: net profit -1.00 rupees over 5 closed runs is not above 0, which asks for the least, 0; 3 before, "
        "and 1 a day is the most it may change"
    )


def test_with_fewer_than_five_runs_units_stay_and_the_rest_is_divided() -> None:
    """c keeps 4; 6 remain for scores 2 : 1."""
    by_sum = policy(score=Score.NET_PNL, max_step=9)
    twice = [2 * each for each in STEADY]
    record = divided(by_sum, member("a", twice, 3), member("b", STEADY, 3), member("c", nets(9, 9, 9, 9), 4))
    assert units(record) == [4, 2, 4]
    assert record.shares[2].verdict is Verdict.FEW_RUNS
    assert record.shares[2].why == "4 units, as before: 4 closed runs, and a score takes 5"


def test_without_any_history_the_total_is_divided_equally() -> None:
    """10 over three: the first has the unit that is left."""
    record = divided(policy(), member("a", []), member("b", []), member("c", []))
    assert units(record) == [4, 3, 3]
    assert record.shares[0].why == "4 units, an equal part of 10 to begin with: 0 closed runs, and a score takes 5"
    assert equal_units(policy(most=3), 3) == (3, 3, 3)


def test_beyond_its_drawdown_a_strategy_goes_to_the_least_at_once_whatever_its_score_and_step() -> None:
    """10 % of 500,000: 50,000.01 down is beyond it, 50,000 is not. b may rise by two only: 2 units are left."""
    limited = policy(score=Score.NET_PNL, max_drawdown_percent=Decimal(10))
    down = nets(200000, 0, 0, 0, "-50000.01")
    record = divided(limited, member("a", down, 5), member("b", STEADY, 5))
    assert units(record) == [1, 7]
    assert record.shares[0].verdict is Verdict.DRAWDOWN
    assert record.shares[0].why == (
        "1 unit, the least: 50,000.01 rupees below its best over 5 closed runs, beyond 10 % of the capital"
    )
    assert record.note == "8 of 10 units: most and steps allow no more to those with a score above 0"
    at_it = divided(limited, member("a", nets(200000, 0, 0, 0, -50000), 5), member("b", STEADY, 5))
    assert at_it.shares[0].verdict is Verdict.SCORE
    early = divided(limited, member("a", nets("-50000.01"), 5), member("b", STEADY, 5))
    assert early.shares[0].units == 1


def test_without_a_score_above_zero_all_go_to_the_least() -> None:
    losing = nets(-1, -1, -1, -1, -2)
    record = divided(policy(score=Score.NET_PNL, max_step=9), member("a", losing, 5), member("b", losing, 5))
    assert units(record) == [1, 1]
    assert record.note == "2 of 10 units: no score is above 0"


def test_more_than_the_total_is_told_too() -> None:
    """b joined with few runs and has an equal half to begin with; a had all and may give up one unit."""
    record = divided(policy(most=10, max_step=1), member("a", STEADY, 10), member("b", []))
    assert units(record) == [9, 5]
    assert record.note == "14 units, more than the total of 10: least, steps and units kept as before allow no fewer"


def test_bounds_that_were_edited_hold_at_once() -> None:
    record = divided(policy(most=6), member("a", nets(1, 1, 1), 9), member("b", nets(1, 1, 1), 1))
    assert units(record) == [6, 1]


# ---------------------------------------------------------------- a day by property

NETS = st.lists(st.decimals(-50000, 50000, places=2), max_size=12)


@st.composite
def divisions(draw: st.DrawFn) -> tuple[DynamicPolicy, tuple[Member, ...]]:
    least = draw(st.integers(0, 5))
    most = draw(st.integers(max(least, 1), 20))
    count = draw(st.integers(1, 6))
    of = DynamicPolicy(
        id="p",
        total=draw(st.integers(1, 60)),
        score=draw(st.sampled_from(Score)),
        least=least,
        most=most,
        max_step=draw(st.integers(1, 5)),
        max_drawdown_percent=draw(st.none() | st.decimals("0.1", 20, places=1)),
    )
    before = st.none() | st.integers(least, most)
    return of, tuple(member(f"s{index}", draw(NETS), draw(before)) for index in range(count))


@settings(max_examples=300, deadline=None)
@given(case=divisions())
def test_a_division_keeps_every_bound_and_step_adds_up_or_says_why_and_is_worked_out_again_from_its_record(
    case: tuple[DynamicPolicy, tuple[Member, ...]],
) -> None:
    of, members = case
    record = divided(of, *members)
    assert again(codec.decode(codec.encode(record), UnitsOfDay)) == record
    free: list[int] = []
    for share in record.shares:
        assert of.least <= share.units <= of.most
        assert share.low <= share.units <= share.high
        assert share.why.startswith(f"{share.units} unit")
        match share.verdict:
            case Verdict.FEW_RUNS:
                assert len(share.results) < FEWEST_RUNS
                assert share.units == share.before
            case Verdict.DRAWDOWN:
                assert of.max_drawdown_percent is not None
                assert share.drawdown > CAPITAL * of.max_drawdown_percent / 100
                assert share.units == of.least
            case Verdict.SCORE:
                assert abs(share.units - share.before) <= of.max_step
                assert share.score is not None
                free.append(share.high if share.score > 0 else share.low)
    fixed = sum(share.units for share in record.shares if share.verdict is not Verdict.SCORE)
    lowest = sum(share.low for share in record.shares)
    given = sum(units(record))
    assert given == min(max(of.total, lowest), fixed + sum(free))
    assert bool(record.note) == (given != of.total)
