"""Which contract: expiries, the three reference prices, the strike rules of part 1, ties, staleness, and why not."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.basket import (
    ExpiryRule,
    LegSpec,
    Pick,
    Reference,
    Schedule,
    Series,
    Strategy,
    Strike,
    StrikeRule,
)
from option_baskets.domain.contract import Contract, ContractType, Listing, Side
from option_baskets.domain.errors import Refused
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import Resolution, expiry_of, resolve
from option_baskets.domain.session import IST
from tests.engine.small_market import SmallMarket, chain, future, option

WEEK, MONTH, NEXT_WEEK, NEXT_MONTH = date(2026, 11, 24), date(2026, 11, 26), date(2026, 12, 1), date(2026, 12, 31)
AT = datetime(2026, 11, 23, 9, 20, tzinfo=IST)
STRIKES = range(25800, 26201, 50)
CE, PE, FUT = ContractType.CE, ContractType.PE, ContractType.FUT


def futures(*expiries: date) -> tuple[Listing, ...]:
    return tuple(Listing(contract=future("NIFTY", expiry), lot_size=65, series="monthly") for expiry in expiries)


LISTED = (
    *chain("NIFTY", WEEK, STRIKES, lot_size=65),
    *chain("NIFTY", MONTH, STRIKES, lot_size=65, series="monthly"),
    *chain("NIFTY", NEXT_WEEK, STRIKES, lot_size=65),
    *chain("NIFTY", NEXT_MONTH, STRIKES, lot_size=65, series="monthly"),
    *futures(MONTH, NEXT_MONTH),
)


def market(*, spot: str | None = "26010", listed: tuple[Listing, ...] = LISTED) -> SmallMarket:
    """Calls cost 26300 - strike, puts strike - 25700 (both 100 to 500), the future 26060; nothing is stale."""
    made = SmallMarket(listed)
    if spot is not None:
        made.set("NIFTY", AT, spot)
    for each in listed:
        contract = each.contract
        if contract.strike is None:
            made.set(contract, AT, "26060" if contract.expiry == MONTH else "26160")
        else:
            made.set(contract, AT, 26300 - contract.strike if contract.type is CE else contract.strike - 25700)
    return made


def no_deltas(_: Contract) -> None:
    """None of these rules asks for one."""


def leg(rule: Strike | None, type_: ContractType = CE, name: str = "1", expiry: ExpiryRule | None = None) -> LegSpec:
    return LegSpec(id=name, side=Side.SELL, type=type_, strike=rule, expiry=expiry)


def plan(*legs: LegSpec, reference: Reference = Reference.SPOT, expiry: ExpiryRule | None = None) -> Strategy:
    return Strategy(
        id="s",
        basket_id="b",
        name="s",
        underlying="NIFTY",
        schedule=Schedule(entry=time(9, 20), exit=time(15, 15)),
        legs=legs,
        reference=reference,
        expiry=expiry or ExpiryRule(),
    )


def atm(offset: int = 0) -> Strike:
    return Strike(rule=StrikeRule.ATM, offset=offset)


def points(value: str) -> Strike:
    return Strike(rule=StrikeRule.ATM_POINTS, points=Decimal(value))


def premium(value: str) -> Strike:
    return Strike(rule=StrikeRule.PREMIUM, pick=Pick.CLOSEST, value=Decimal(value))


def of_leg(name: str, value: str) -> Strike:
    return Strike(rule=StrikeRule.OF_LEG, leg=name, points=Decimal(value))


def resolved(strategy: Strategy, in_market: SmallMarket | None = None) -> Resolution:
    return resolve(strategy, (in_market or market()).view(AT), no_deltas)


def strike(rule: Strike, type_: ContractType = CE, in_market: SmallMarket | None = None) -> Decimal | None:
    return resolved(plan(leg(rule, type_)), in_market).contracts["1"].strike


def refused(strategy: Strategy, in_market: SmallMarket) -> tuple[Reason, str]:
    with pytest.raises(Refused) as error:
        resolved(strategy, in_market)
    return error.value.reason, str(error.value)


# ---------------------------------------------------------------- strikes


@pytest.mark.parametrize(
    ("spot", "expected"),
    [("26010", 26000), ("26024.95", 26000), ("26025", 26000), ("26025.05", 26050), ("25000", 25800)],
)
def test_the_money_is_the_nearest_listed_strike_and_a_tie_goes_to_the_lower(spot: str, expected: int) -> None:
    assert strike(atm(), in_market=market(spot=spot)) == expected


@pytest.mark.parametrize(
    ("type_", "offset", "expected"), [(CE, 2, 26100), (CE, -2, 25900), (PE, 2, 25900), (PE, -1, 26050)]
)
def test_a_positive_offset_is_out_of_the_money_for_the_legs_own_type(
    type_: ContractType, offset: int, expected: int
) -> None:
    assert strike(atm(offset), type_) == expected


def test_an_offset_counts_arithmetic_steps_and_takes_no_neighbour() -> None:
    """26150 is not listed: three steps from 26000 are not eligible, however near 26100 and 26200 are."""
    listed = tuple(each for each in LISTED if each.contract.strike != 26150)
    reason, message = refused(plan(leg(atm(3))), market(listed=listed))
    assert reason is Reason.NOT_LISTED
    assert "leg 1: NIFTY 24-Nov-2026 26150 CE is not listed" in message


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [(CE, "100", 26100), (CE, "-100", 25900), (PE, "100", 25900), (CE, "120", 26150), (CE, "0", 26000)],
)
def test_points_are_counted_from_the_reference_and_then_the_nearest_strike_is_taken(
    type_: ContractType, value: str, expected: int
) -> None:
    assert strike(points(value), type_) == expected


def test_points_half_way_between_two_strikes_take_the_one_nearer_the_money() -> None:
    """Spot 26000: + 75 lies between 26050 and 26100, - 75 of a put between 25900 and 25950."""
    assert strike(points("75"), CE, market(spot="26000")) == 26050
    assert strike(points("75"), PE, market(spot="26000")) == 25950
    assert strike(points("-75"), CE, market(spot="26000")) == 25950


@pytest.mark.parametrize(
    ("type_", "value", "expected"), [(CE, "250", 26050), (CE, "10", 26200), (PE, "260", 25950), (CE, "999", 25800)]
)
def test_the_premium_closest_to_a_value(type_: ContractType, value: str, expected: int) -> None:
    assert strike(premium(value), type_) == expected


def test_equally_close_premiums_take_the_strike_nearer_the_money_then_the_lower() -> None:
    """Calls at 26050 and 26100 cost 250 and 200: 225 is half way. Alike, 25900 and 26100 are two steps off."""
    assert strike(premium("225")) == 26050
    made = market(spot="26000")
    for each in (25900, 26100):
        made.set(option("NIFTY", WEEK, each, CE), AT, "77")
    assert strike(premium("77"), in_market=made) == 25900


def test_a_wing_is_measured_from_the_resolved_strike_of_its_leg() -> None:
    legs = leg(atm(1), CE, "short"), leg(of_leg("short", "100"), CE, "wing"), leg(of_leg("short", "50"), PE, "below")
    contracts = resolved(plan(*legs)).contracts
    assert [contract.strike for contract in contracts.values()] == [26050, 26150, 26000]


def test_a_wing_takes_no_neighbour() -> None:
    reason, message = refused(plan(leg(atm(), CE, "short"), leg(of_leg("short", "75"), CE, "wing")), market())
    assert reason is Reason.NOT_LISTED
    assert "leg wing: NIFTY 24-Nov-2026 26075 CE" in message


# ---------------------------------------------------------------- references


@pytest.mark.parametrize(
    ("reference", "price"),
    [
        (Reference.SPOT, Decimal(26010)),
        (Reference.FUTURE, Decimal(26060)),  # the nearest monthly
        (Reference.SYNTHETIC, Decimal(26000)),  # 26000 + (26300 - 26000) - (26000 - 25700)
    ],
)
def test_the_three_references(reference: Reference, price: Decimal) -> None:
    found = resolved(plan(leg(points("100")), reference=reference))
    assert found.reference == price
    assert found.contracts["1"].strike == (26150 if reference is Reference.FUTURE else 26100)


def test_the_synthetic_is_taken_at_the_strike_nearest_the_spot_in_the_strategys_expiry() -> None:
    made = market()
    made.set(option("NIFTY", WEEK, 26000, CE), AT, "330")
    made.set(option("NIFTY", WEEK, 26000, PE), AT, "280.50")
    assert resolved(plan(leg(atm()), reference=Reference.SYNTHETIC), made).reference == Decimal("26049.50")


def test_without_a_spot_the_synthetic_is_taken_where_call_and_put_differ_least_and_that_is_noted() -> None:
    found = resolved(plan(leg(atm()), reference=Reference.SYNTHETIC), market(spot=None))
    assert found.reference == 26000
    assert found.notes == ("no spot: synthetic taken at 26000, where call and put differ least",)


def older(made: SmallMarket, thing: Contract | str, last: str) -> SmallMarket:
    """The only price of ``thing`` is two minutes old; a fresh market is made without it."""
    fresh = SmallMarket(made.listings.values())
    things: tuple[Contract | str, ...] = (*made.listings, "NIFTY")
    for each in things:
        quote = made.quote(each, AT)
        if quote is not None and each != thing:
            fresh.set(each, AT, quote.last)
    fresh.set(thing, AT - timedelta(minutes=2), last)
    return fresh


@pytest.mark.parametrize(
    ("reference", "missing", "others"),
    [
        (Reference.SPOT, "NIFTY", '"synthetic" or "future"'),
        (Reference.FUTURE, future("NIFTY", MONTH), '"spot" or "synthetic"'),
        (Reference.SYNTHETIC, option("NIFTY", WEEK, 26000, PE), '"spot" or "future"'),
    ],
)
def test_a_stale_reference_skips_with_a_reason_that_names_the_other_two(
    reference: Reference, missing: Contract | str, others: str
) -> None:
    reason, message = refused(plan(leg(atm()), reference=reference), older(market(), missing, "26010"))
    assert reason is Reason.NO_REFERENCE_PRICE
    assert f'reference = "{reference}"' in message
    assert others in message


def test_a_missing_spot_is_as_a_stale_one() -> None:
    assert refused(plan(leg(atm())), market(spot=None))[0] is Reason.NO_REFERENCE_PRICE


def test_without_a_listed_future_there_is_no_future_reference() -> None:
    listed = tuple(each for each in LISTED if each.contract.type is not FUT)
    assert refused(plan(leg(atm()), reference=Reference.FUTURE), market(listed=listed))[0] is Reason.NO_REFERENCE_PRICE


# ---------------------------------------------------------------- stale and missing quotes


@pytest.mark.parametrize("rule", [atm(), points("0"), of_leg("first", "-50")], ids=["atm", "atm_points", "of_leg"])
def test_a_chosen_strike_with_a_stale_price_skips_and_takes_no_neighbour(rule: Strike) -> None:
    contract = option("NIFTY", WEEK, 26000, CE)
    legs = leg(atm(1), CE, "first"), leg(rule, CE, "1")
    reason, message = refused(plan(*legs), older(market(), contract, "300"))
    assert reason is Reason.STALE_QUOTE
    assert f"{contract.name}: its price of 300 is from 09:18:00, over 60 s old" in message


def test_a_quote_is_fresh_up_to_the_limit_and_stale_beyond_it() -> None:
    made = market()
    late = made.view(AT + timedelta(seconds=60))
    assert resolve(plan(leg(atm())), late, no_deltas).contracts["1"].strike == 26000
    with pytest.raises(Refused):
        resolve(plan(leg(atm())), made.view(AT + timedelta(seconds=61)), no_deltas)


def test_a_contract_that_never_traded_has_no_quote() -> None:
    made = SmallMarket(LISTED)
    made.set("NIFTY", AT, "26010")
    assert refused(plan(leg(atm())), made)[0] is Reason.NO_QUOTE


def test_a_premium_is_chosen_among_fresh_prices_only() -> None:
    """26050 would be exactly 250, but its price is old."""
    assert strike(premium("250"), in_market=older(market(), option("NIFTY", WEEK, 26050, CE), "250")) == 26000
    empty = SmallMarket(LISTED)
    empty.set("NIFTY", AT, "26010")
    reason, message = refused(plan(leg(premium("250"))), empty)
    assert reason is Reason.NO_ELIGIBLE_STRIKE
    assert "no CE of NIFTY 24-Nov-2026 has a fresh price" in message


def test_the_money_needs_no_strike_interval() -> None:
    listed = chain("NIFTY", WEEK, [26000], lot_size=65)
    assert strike(atm(), in_market=market(listed=listed)) == 26000


def test_an_expiry_without_options_offers_nothing_to_choose() -> None:
    listed = futures(WEEK)
    reason, message = refused(plan(leg(atm())), market(listed=listed))
    assert reason is Reason.NOT_LISTED
    assert "no listed options" in message


# ---------------------------------------------------------------- expiries


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ExpiryRule(), WEEK),
        (ExpiryRule(offset=1), MONTH),  # a monthly counts as its week's weekly
        (ExpiryRule(offset=2), NEXT_WEEK),
        (ExpiryRule(series=Series.MONTHLY), MONTH),
        (ExpiryRule(series=Series.MONTHLY, offset=1), NEXT_MONTH),
    ],
)
def test_the_nth_expiry_by_the_list(rule: ExpiryRule, expected: date) -> None:
    assert expiry_of(plan(leg(atm()), expiry=rule), leg(atm()), market().view(AT)) == expected


def test_a_leg_may_have_another_expiry_and_a_future_takes_the_nearest_monthly() -> None:
    far = leg(atm(), CE, "far", ExpiryRule(series=Series.MONTHLY, offset=1))
    contracts = resolved(plan(leg(atm(), CE, "near"), far, leg(None, FUT, "hedge"))).contracts
    assert [contract.expiry for contract in contracts.values()] == [WEEK, NEXT_MONTH, MONTH]


def test_today_is_still_an_expiry_and_yesterday_is_not() -> None:
    on_expiry = market().view(AT + timedelta(days=1))
    after = market().view(AT + timedelta(days=2))
    assert expiry_of(plan(leg(atm())), leg(atm()), on_expiry) == WEEK
    assert expiry_of(plan(leg(atm())), leg(atm()), after) == MONTH


def test_an_offset_beyond_the_list_is_refused_with_what_is_there() -> None:
    reason, message = refused(plan(leg(atm()), expiry=ExpiryRule(series=Series.MONTHLY, offset=2)), market())
    assert reason is Reason.NOT_LISTED
    assert "2 listed monthly expiries" in message


def test_weekly_without_a_weekly_series_is_the_nearest_expiry_and_noted() -> None:
    listed = tuple(each for each in LISTED if each.contract.expiry in {MONTH, NEXT_MONTH})
    found = resolved(plan(leg(atm())), market(listed=listed))
    assert found.contracts["1"].expiry == MONTH
    assert found.notes == ("NIFTY has no weekly series: the nearest listed expiries are taken",)
    assert resolved(plan(leg(atm()))).notes == ()
    only_one = tuple(each for each in LISTED if each.contract.expiry == MONTH)
    assert resolved(plan(leg(atm())), market(listed=only_one)).notes == (), "a list of one expiry does not tell"


# ---------------------------------------------------------------- properties

RULES = st.one_of(
    st.integers(-3, 3).map(atm),
    st.integers(-250, 250).map(lambda value: points(str(value))),
    st.integers(1, 600).map(lambda value: premium(str(value))),
)


@given(rule=RULES, type_=st.sampled_from([CE, PE]), spot=st.integers(25700, 26300))
def test_what_is_chosen_is_listed_and_fresh_or_refused_with_a_code(
    rule: Strike, type_: ContractType, spot: int
) -> None:
    made = market(spot=str(spot))
    try:
        contract = resolved(plan(leg(rule, type_)), made).contracts["1"]
    except Refused as refusal:
        assert refusal.reason is Reason.NOT_LISTED
        return
    assert contract in made.listings
    assert contract.type is type_


@given(value=st.integers(0, 700), spot=st.integers(25700, 26300))
def test_no_premium_is_closer_than_the_one_chosen(value: int, spot: int) -> None:
    chosen = strike(premium(str(value)), in_market=market(spot=str(spot)))
    assert chosen is not None
    assert abs(26300 - chosen - value) == min(abs(26300 - each - value) for each in STRIKES)


def test_a_later_price_does_not_change_a_choice() -> None:
    made = market()
    before = resolved(plan(leg(premium("250")), leg(atm(), PE, "2")), made)
    for each in made.listings:
        made.set(each, AT + timedelta(microseconds=1), "1")
    made.set("NIFTY", AT + timedelta(microseconds=1), "25800")
    assert resolved(plan(leg(premium("250")), leg(atm(), PE, "2")), made) == before


def test_a_strategy_of_another_underlying_finds_nothing_here() -> None:
    other = replace(plan(leg(atm())), underlying="BANKNIFTY")
    assert refused(other, market())[0] is Reason.NOT_LISTED


# ---------------------------------------------------------------- chosen anew

SHORT = leg(Strike(rule=StrikeRule.ATM, offset=0), name="short")
WING = leg(Strike(rule=StrikeRule.OF_LEG, leg="short", points=Decimal(100)), name="wing")


def strikes_of(found: Resolution) -> dict[str, str]:
    return {name: f"{contract.strike:f}" for name, contract in found.contracts.items()}


@pytest.mark.parametrize(
    ("legs", "wing"),
    [(["wing"], "25950"), (["short", "wing"], "26100")],
    ids=["the wing alone", "with its short"],
)
def test_a_wing_is_measured_from_the_strike_its_leg_has_unless_that_is_chosen_anew_too(
    legs: list[str], wing: str
) -> None:
    """The short was sold at 25,850; the money is 26,000 now."""
    before = {"short": option("NIFTY", WEEK, 25850, "CE"), "wing": option("NIFTY", WEEK, 25900, "CE")}
    found = resolve(plan(SHORT, WING), market().view(AT), no_deltas, legs, before)
    assert strikes_of(found)["wing"] == wing


def test_what_is_chosen_anew_keeps_its_expiry() -> None:
    """On the day before the weekly expiry "weekly 0" was the 24th; a leg entered for the 1st stays there."""
    before = {"short": option("NIFTY", NEXT_WEEK, 25850, "CE")}
    found = resolve(plan(SHORT, WING), market().view(AT), no_deltas, ["short"], before)
    assert found.contracts["short"] == option("NIFTY", NEXT_WEEK, 26000, "CE")
    assert resolve(plan(SHORT), market().view(AT), no_deltas).contracts["short"].expiry == WEEK
