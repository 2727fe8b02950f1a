"""Payoffs against brute force, known structures by hand, and what is said to be unbounded."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.pricing.payoff import (
    Leg,
    Position,
    at_expiry,
    break_evens,
    extremes,
    greeks,
    probability_of_profit,
    profit,
)

SPOT = 24_000.0
WEEK, MONTH = 7 / 365, 30 / 365
LEVELS = np.linspace(20_000.0, 28_000.0, 161)


def call(quantity: float, strike: float, entry: float, *, years: float = WEEK, forward: float = SPOT) -> Leg:
    return Leg(quantity=quantity, entry=entry, years=years, forward=forward, strike=strike, volatility=0.14)


def put(quantity: float, strike: float, entry: float, *, years: float = WEEK, forward: float = SPOT) -> Leg:
    return replace(call(quantity, strike, entry, years=years, forward=forward), is_call=False)


def future(quantity: float, entry: float, *, years: float = WEEK, forward: float = SPOT) -> Leg:
    return Leg(quantity=quantity, entry=entry, years=years, forward=forward)


def held(*legs: Leg, charges: float = 0.0, spot: float = SPOT, rate: float = 0.0) -> Position:
    return Position(legs=legs, spot=spot, charges=charges, rate=rate)


def black(forward: float, strike: float, years: float, volatility: float, is_call: bool) -> float:
    """One option, by the textbook and the standard library."""
    if years <= 0:
        return max(forward - strike if is_call else strike - forward, 0.0)
    deviation = volatility * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    sign = 1 if is_call else -1

    def normal(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    return sign * (forward * normal(sign * d1) - strike * normal(sign * (d1 - deviation)))


def by_hand(position: Position, level: float, after: float, shift: float = 0.0) -> float:
    """Leg by leg, without arrays."""
    total = -position.charges
    for leg in position.legs:
        left = leg.years - after
        forward = level + (leg.forward - position.spot) * (left / leg.years)
        if leg.strike is None:
            worth = forward
        else:
            worth = black(forward, leg.strike, left, leg.volatility + shift, leg.is_call)
            worth *= math.exp(-position.rate * left)
        total += leg.quantity * (worth - leg.entry)
    return total


quantities = st.sampled_from([-150.0, -75.0, 75.0, 150.0])
strikes = st.sampled_from([23_000.0, 23_500.0, 23_900.0, 24_000.0, 24_250.0, 25_000.0])
entries = st.floats(0.05, 900.0).map(lambda price: round(price / 0.05) * 0.05)
expiries = st.sampled_from([(WEEK, SPOT + 12.5), (MONTH, SPOT + 80.0)])


@st.composite
def leg(draw: st.DrawFn) -> Leg:
    years, forward = draw(expiries)
    kind = draw(st.sampled_from(["call", "put", "future"]))
    if kind == "future":
        return future(draw(quantities), SPOT + draw(entries), years=years, forward=forward)
    of = call if kind == "call" else put
    return of(draw(quantities), draw(strikes), draw(entries), years=years, forward=forward)


positions = st.builds(
    lambda legs, charges: held(*legs, charges=charges), st.lists(leg(), min_size=1, max_size=6), st.floats(0.0, 500.0)
)
one_expiry = positions.map(
    lambda position: replace(
        position, legs=tuple(replace(each, years=WEEK, forward=SPOT + 12.5) for each in position.legs)
    )
)


# ---------------------------------------------------------------- values


@settings(max_examples=60, deadline=None)
@given(positions, st.floats(0.0, 1.0), st.floats(-0.05, 0.2))
def test_the_curve_is_what_the_legs_make_one_by_one(position: Position, part: float, shift: float) -> None:
    after = position.horizon * part
    levels = [15_000.0, 23_017.3, SPOT, 24_250.0, 31_000.0]
    expected = [by_hand(position, level, after, shift) for level in levels]
    np.testing.assert_allclose(profit(position, levels, after=after, shift=shift), expected, rtol=1e-9, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(one_expiry)
def test_at_expiry_only_intrinsic_value_counts(position: Position) -> None:
    expected = [by_hand(position, level, position.horizon) for level in LEVELS.tolist()]
    np.testing.assert_allclose(at_expiry(position, LEVELS), expected, rtol=1e-12, atol=1e-6)


def test_interest_discounts_what_is_not_yet_settled() -> None:
    position = held(call(75, 24_000, 200.0), put(-75, 23_800, 100.0, years=MONTH), rate=0.065)
    assert float(profit(position, [24_100.0])[0]) == pytest.approx(by_hand(position, 24_100.0, 0.0), rel=1e-10)


def test_beyond_the_earliest_expiry_there_is_no_answer() -> None:
    with pytest.raises(ValueError, match=r"8\.00 days lie beyond the earliest expiry, in 7\.00"):
        profit(held(call(75, 24_000, 200.0)), [SPOT], after=8 / 365)


def test_an_expired_option_is_worth_what_it_settles_at() -> None:
    position = held(replace(call(75, 24_000, 200.0), years=0.0))
    assert profit(position, [24_300.0, 23_000.0]).tolist() == [7_500.0, -15_000.0]
    assert probability_of_profit(position, 0.14) == 0.0


# ---------------------------------------------------------------- known structures


UNBOUNDED = math.inf
STRUCTURES = {
    "long call": ((call(75, 24_000, 150),), [24_150], UNBOUNDED, -11_250),
    "short call": ((call(-75, 24_000, 150),), [24_150], 11_250, -UNBOUNDED),
    "long put": ((put(75, 24_000, 150),), [23_850], 23_850 * 75, -11_250),
    "short straddle": (
        (call(-75, 24_000, 160), put(-75, 24_000, 140)), [23_700, 24_300], 22_500, -UNBOUNDED,
    ),
    "bull call spread": ((call(75, 24_000, 150), call(-75, 24_200, 70)), [24_080], 9_000, -6_000),
    "iron condor": (
        (call(-75, 24_200, 80), call(75, 24_400, 30), put(-75, 23_800, 70), put(75, 23_600, 25)),
        [23_705, 24_295], 7_125, -7_875,
    ),
    "butterfly": (
        (call(75, 23_800, 260), call(-150, 24_000, 140), call(75, 24_200, 60)), [23_840, 24_160], 12_000, -3_000,
    ),
    "put ratio spread": (
        (put(75, 24_000, 150), put(-150, 23_800, 70)), [23_610, 23_990], 14_250, -23_610 * 75,
    ),
    "covered call": ((future(75, 24_010), call(-75, 24_200, 80)), [23_930], 20_250, -23_930 * 75),
    "synthetic future": ((call(75, 24_000, 160), put(-75, 24_000, 140)), [24_020], UNBOUNDED, -24_020 * 75),
    "box": (
        (call(75, 24_000, 160), call(-75, 24_200, 70), put(75, 24_200, 250), put(-75, 24_000, 145)), [], 375, 375,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_break_evens_and_extremes_of_a_known_structure_are_those_found_by_hand(name: str) -> None:
    legs, roots, best, worst = STRUCTURES[name]
    position = held(*legs)
    assert break_evens(position).tolist() == pytest.approx(roots, rel=1e-13)
    assert extremes(position) == pytest.approx((best, worst), rel=1e-12)


def test_charges_move_break_evens_and_extremes() -> None:
    position = held(call(-75, 24_000, 160), put(-75, 24_000, 140), charges=150.0)
    assert break_evens(position).tolist() == pytest.approx([23_702, 24_298])
    assert extremes(position).best == 22_350


def test_of_a_stretch_on_zero_both_ends_are_break_evens() -> None:
    position = held(call(75, 24_000, 100), call(-75, 24_100, 50), put(-75, 23_900, 50))
    assert break_evens(position).tolist() == [23_900, 24_000]


@settings(max_examples=60, deadline=None)
@given(one_expiry)
def test_every_crossing_of_the_curve_is_a_break_even_and_every_break_even_is_on_zero(position: Position) -> None:
    roots = break_evens(position)
    np.testing.assert_allclose(at_expiry(position, roots), 0.0, atol=1e-5)
    levels = np.linspace(1.0, 60_000.0, 4_001)
    signs = np.sign(at_expiry(position, levels))
    for left in np.flatnonzero(signs[:-1] * signs[1:] < 0):
        assert ((roots >= levels[left]) & (roots <= levels[left + 1])).any()


@settings(max_examples=60, deadline=None)
@given(one_expiry)
def test_no_level_makes_more_or_loses_more_than_the_extremes(position: Position) -> None:
    best, worst = extremes(position)
    values = at_expiry(position, np.linspace(0.0, 200_000.0, 2_001))
    assert values.max() <= best + 1e-6
    assert values.min() >= worst - 1e-6
    reached = at_expiry(position, [0.0, *position.kinks])
    for limit, near in ((best, reached.max()), (worst, reached.min())):
        assert math.isinf(limit) or limit == pytest.approx(near, abs=1e-6)


def test_a_calendar_is_bounded_and_its_break_evens_are_on_its_curve() -> None:
    position = held(call(-75, 24_000, 160), call(75, 24_000, 390, years=MONTH, forward=SPOT + 80))
    assert not position.is_piecewise_linear
    roots = break_evens(position)
    assert len(roots) == 2
    np.testing.assert_allclose(at_expiry(position, roots), 0.0, atol=75 * SPOT * 1e-9)
    fine = at_expiry(position, np.linspace(0.0, 60_000.0, 60_001))
    best, worst = extremes(position)
    assert best == pytest.approx(fine.max(), abs=0.05)
    assert worst == pytest.approx(fine.min(), abs=0.05)
    assert worst == pytest.approx(-230 * 75, rel=1e-3)  # what was paid; the basis left is worth a little far above


def test_a_later_long_call_leaves_an_earlier_short_one_bounded_and_a_later_put_does_not() -> None:
    assert math.isfinite(extremes(held(call(-75, 24_000, 160), call(75, 24_500, 200, years=MONTH))).worst)
    assert extremes(held(call(-75, 24_000, 160), put(75, 24_000, 390, years=MONTH))).worst == -math.inf


# ---------------------------------------------------------------- probability and Greeks


@pytest.mark.parametrize("name", ["long call", "short straddle", "iron condor", "butterfly", "put ratio spread", "box"])
def test_the_probability_of_profit_is_the_lognormal_weight_of_the_levels_that_make_one(name: str) -> None:
    position = held(*(replace(each, forward=24_050.0) for each in STRUCTURES[name][0]))
    deviation = 0.16 * math.sqrt(WEEK)
    points = np.linspace(-10.0, 10.0, 400_001)
    levels = 24_050.0 * np.exp(deviation * points - deviation**2 / 2)
    density = np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
    expected = float((density * (at_expiry(position, levels) > 0)).sum() * (points[1] - points[0]))
    assert probability_of_profit(position, 0.16) == pytest.approx(expected, abs=2e-5)


def test_without_a_volatility_there_is_no_probability() -> None:
    assert math.isnan(probability_of_profit(held(call(75, 24_000, 150)), math.nan))


@pytest.mark.parametrize("after", [0.0, 3 / 365])
def test_greeks_of_the_whole_are_the_slopes_of_its_profit(after: float) -> None:
    position = held(
        call(-75, 24_200, 80, forward=SPOT + 15),
        put(150, 23_800, 70, forward=SPOT + 15),
        call(75, 24_500, 250, years=MONTH, forward=SPOT + 80),
        future(75, 24_080, years=MONTH, forward=SPOT + 80),
    )
    found = greeks(position, level=24_100.0, after=after)
    up, here, down = profit(position, [24_102.0, 24_100.0, 24_098.0], after=after)
    assert found.delta == pytest.approx((up - down) / 4, rel=1e-4)
    assert found.gamma == pytest.approx((up - 2 * here + down) / 4, rel=1e-3)
    higher, lower = (float(profit(position, [24_100.0], after=after, shift=each)[0]) for each in (1e-4, -1e-4))
    assert found.vega == pytest.approx((higher - lower) / 0.02, rel=1e-5)
    no_basis = replace(position, legs=tuple(replace(each, forward=SPOT) for each in position.legs))
    later = float(profit(no_basis, [24_100.0], after=after + 1e-6)[0])
    now = float(profit(no_basis, [24_100.0], after=after)[0])
    assert greeks(no_basis, level=24_100.0, after=after).theta == pytest.approx((later - now) / 1e-6 / 365, rel=1e-3)
