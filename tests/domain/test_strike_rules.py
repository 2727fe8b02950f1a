"""Every strike rule on one chain that a person can check by hand, and on any chain as properties."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.basket import LegSpec, Pick, Reference, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType, Listing, Side
from option_baskets.domain.errors import Refused
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import Resolution, resolve
from option_baskets.domain.session import IST
from tests.domain.strike_oracle import Known, assert_no_better
from tests.engine.small_market import SmallMarket, chain, future, option

AT = datetime(2026, 11, 23, 9, 20, tzinfo=IST)
EXPIRY = date(2026, 11, 24)
CE, PE = ContractType.CE, ContractType.PE

# The chain: spot 26010, so the money is 26000 and its straddle costs 118.55 + 93.45 = 212.00. The synthetic is
# 26000 + 118.55 - 93.45 = 26025.10 and the future 26060; of both the money is 26050, whose straddle costs
# 91.80 + 118.20 = 210.00.
CALLS = {
    25800: "262.75",
    25850: "221.00",
    25900: "182.40",
    25950: "148.10",
    26000: "118.55",
    26050: "91.80",
    26100: "68.35",
    26150: "50.20",
    26200: "35.00",
}
PUTS = {
    25800: "28.15",
    25850: "38.90",
    25900: "54.25",
    25950: "71.60",
    26000: "93.45",
    26050: "118.20",
    26100: "145.95",
    26150: "177.10",
    26200: "212.00",
}
CALL_DELTAS = {26000: "0.52", 26050: "0.44", 26100: "0.36", 26150: "0.27", 26200: "0.19"}
PUT_DELTAS = {25800: "-0.16", 25850: "-0.21", 25900: "-0.3", 25950: "-0.38", 26000: "-0.48"}


def option_at(strike: int, type_: ContractType) -> Contract:
    return option("NIFTY", EXPIRY, strike, type_)


LISTED = (
    *chain("NIFTY", EXPIRY, CALLS, lot_size=65, series="monthly"),
    Listing(contract=future("NIFTY", EXPIRY), lot_size=65, series="monthly"),
)


def market(changed: Mapping[Contract | str, str | None] | None = None) -> SmallMarket:
    """The chain above; a changed price of None is one that was never known."""
    made = SmallMarket(LISTED)
    prices: dict[Contract | str, str | None] = {"NIFTY": "26010", future("NIFTY", EXPIRY): "26060"}
    prices |= {option_at(strike, CE): price for strike, price in CALLS.items()}
    prices |= {option_at(strike, PE): price for strike, price in PUTS.items()}
    for thing, price in (prices | dict(changed or {})).items():
        if price is not None:
            made.set(thing, AT, price)
    return made


def deltas(contract: Contract) -> Decimal | None:
    assert contract.strike is not None
    known = CALL_DELTAS if contract.type is CE else PUT_DELTAS
    delta = known.get(int(contract.strike))
    return None if delta is None else Decimal(delta)


def plan(rule: Strike, type_: ContractType, reference: Reference = Reference.SPOT) -> Strategy:
    leg = LegSpec(id="1", side=Side.SELL, type=type_, strike=rule)
    schedule = Schedule(entry=time(9, 20), exit=time(15, 15))
    return Strategy(
        id="s", basket_id="b", name="s", underlying="NIFTY", schedule=schedule, legs=(leg,), reference=reference
    )


def resolved(
    rule: Strike, type_: ContractType, in_market: SmallMarket | None = None, reference: Reference = Reference.SPOT
) -> Resolution:
    return resolve(plan(rule, type_, reference), (in_market or market()).view(AT), deltas)


def chosen(
    rule: Strike, type_: ContractType, in_market: SmallMarket | None = None, reference: Reference = Reference.SPOT
) -> Decimal | None:
    return resolved(rule, type_, in_market, reference).contracts["1"].strike


def refused(rule: Strike, type_: ContractType, in_market: SmallMarket | None = None) -> tuple[Reason, str]:
    with pytest.raises(Refused) as error:
        chosen(rule, type_, in_market)
    return error.value.reason, str(error.value)


def percent(value: str) -> Strike:
    return Strike(rule=StrikeRule.ATM_PERCENT, percent=Decimal(value))


def exactly(value: str) -> Strike:
    return Strike(rule=StrikeRule.STRIKE, value=Decimal(value))


def premium(pick: Pick, value: str) -> Strike:
    return Strike(rule=StrikeRule.PREMIUM, pick=pick, value=Decimal(value))


def between(low: str, high: str) -> Strike:
    return Strike(rule=StrikeRule.PREMIUM, pick=Pick.RANGE, low=Decimal(low), high=Decimal(high))


def of_straddle(pick: Pick, value: str) -> Strike:
    return Strike(rule=StrikeRule.STRADDLE_PERCENT, pick=pick, percent=Decimal(value))


def width(k: str) -> Strike:
    return Strike(rule=StrikeRule.STRADDLE_WIDTH, k=Decimal(k))


def delta(value: str) -> Strike:
    return Strike(rule=StrikeRule.DELTA, pick=Pick.CLOSEST, value=Decimal(value))


# ---------------------------------------------------------------- by distance


@pytest.mark.parametrize(
    ("type_", "value", "reference", "expected"),
    [
        (CE, "0.5", Reference.SPOT, 26150),  # 26010 x 1.005 = 26140.05
        (PE, "0.5", Reference.SPOT, 25900),  # 26010 x 0.995 = 25879.95
        (CE, "-0.5", Reference.SPOT, 25900),
        (CE, "0", Reference.SPOT, 26000),
        (CE, "0.5", Reference.SYNTHETIC, 26150),  # 26025.10 x 1.005 = 26155.2255
        (CE, "0.5", Reference.FUTURE, 26200),  # 26060 x 1.005 = 26190.3
        (PE, "0.6", Reference.FUTURE, 25900),  # 26060 x 0.994 = 25903.64
        (CE, "50", Reference.SPOT, 26200),  # beyond the list: its last
    ],
)
def test_a_percentage_of_the_reference_and_then_the_nearest_strike(
    type_: ContractType, value: str, reference: Reference, expected: int
) -> None:
    assert chosen(percent(value), type_, reference=reference) == expected


def test_a_percentage_half_way_between_two_strikes_takes_the_one_nearer_the_money() -> None:
    """0.3 % of 25000 are 75 points: 25075 for a call, 24925 for a put."""
    listed = chain("NIFTY", EXPIRY, range(24800, 25201, 50), lot_size=65)
    made = SmallMarket(listed)
    made.set("NIFTY", AT, "25000")
    for each in listed:
        made.set(each.contract, AT, "100")
    assert chosen(percent("0.3"), CE, made) == 25050
    assert chosen(percent("0.3"), PE, made) == 24950


def test_exactly_the_strike_that_is_written_whatever_the_reference() -> None:
    made = market({"NIFTY": None})
    found = resolved(exactly("26150"), CE, made)
    assert found.contracts["1"].strike == 26150
    assert found.reference is None
    assert chosen(exactly("26150.00"), CE, made) == 26150


def test_a_strike_that_is_not_listed_is_refused() -> None:
    reason, message = refused(exactly("26175"), CE)
    assert reason is Reason.NOT_LISTED
    assert "NIFTY 24-Nov-2026 26175 CE is not listed" in message


@pytest.mark.parametrize(
    ("type_", "k", "reference", "expected"),
    [
        (CE, "0.5", Reference.SPOT, 26100),  # 26000 + 0.5 x 212 = 26106
        (PE, "0.5", Reference.SPOT, 25900),  # 26000 - 106 = 25894
        (CE, "1", Reference.SPOT, 26200),  # 26212
        (CE, "-0.5", Reference.SPOT, 25900),  # into the money: 25894
        (CE, "0.5", Reference.FUTURE, 26150),  # 26050 + 0.5 x 210 = 26155
        (PE, "0.65", Reference.SYNTHETIC, 25900),  # 26050 - 0.65 x 210 = 25913.5
    ],
)
def test_so_many_widths_of_the_straddle_from_the_money(
    type_: ContractType, k: str, reference: Reference, expected: int
) -> None:
    assert chosen(width(k), type_, reference=reference) == expected


def test_a_width_that_ends_half_way_takes_the_strike_nearer_the_money() -> None:
    """A straddle of 150 at k = 0.5 ends at 26075, and for a put at 25925."""
    made = market({option_at(26000, CE): "80", option_at(26000, PE): "70"})
    assert chosen(width("0.5"), CE, made) == 26050
    assert chosen(width("0.5"), PE, made) == 25950


# ---------------------------------------------------------------- by price


@pytest.mark.parametrize(
    ("rule", "type_", "expected"),
    [
        (premium(Pick.CLOSEST, "60"), CE, 26100),  # 68.35 is 8.35 off, 50.20 is 9.80 off
        (premium(Pick.CLOSEST, "60"), PE, 25900),  # 54.25 is 5.75 off, 71.60 is 11.60 off
        (premium(Pick.AT_LEAST, "50"), CE, 26150),  # of 50.20 and more the lowest
        (premium(Pick.AT_LEAST, "50.20"), CE, 26150),
        (premium(Pick.AT_LEAST, "50.25"), CE, 26100),
        (premium(Pick.AT_LEAST, "50"), PE, 25900),
        (premium(Pick.AT_MOST, "50"), CE, 26200),  # of 35.00 and less the highest
        (premium(Pick.AT_MOST, "50.20"), CE, 26150),
        (premium(Pick.AT_MOST, "50"), PE, 25850),
        (between("40", "60"), CE, 26150),
        (between("30", "60"), CE, 26150),  # the middle is 45: 50.20 is 5.20 off, 35.00 is 10.00 off
        (between("30", "51"), CE, 26200),  # the middle is 40.50: 35.00 is 5.50 off, 50.20 is 9.70 off
        (between("38.90", "54.25"), PE, 25900),  # both ends belong and are equally far from 46.575
    ],
)
def test_premiums(rule: Strike, type_: ContractType, expected: int) -> None:
    assert chosen(rule, type_) == expected


@pytest.mark.parametrize(
    ("pick", "type_", "reference", "expected"),
    [
        (Pick.CLOSEST, CE, Reference.SPOT, 26150),  # 25 % of 212 is 53: 50.20 is 2.80 off
        (Pick.AT_LEAST, CE, Reference.SPOT, 26100),  # 68.35
        (Pick.AT_MOST, CE, Reference.SPOT, 26150),  # 50.20
        (Pick.CLOSEST, PE, Reference.SPOT, 25900),  # 54.25 is 1.25 off
        (Pick.AT_LEAST, PE, Reference.SPOT, 25900),
        (Pick.AT_MOST, PE, Reference.SPOT, 25850),  # 38.90
        (Pick.AT_LEAST, PE, Reference.FUTURE, 25900),  # 25 % of 210 is 52.50
        (Pick.AT_LEAST, CE, Reference.SYNTHETIC, 26100),
    ],
)
def test_a_quarter_of_the_straddles_premium(
    pick: Pick, type_: ContractType, reference: Reference, expected: int
) -> None:
    assert chosen(of_straddle(pick, "25"), type_, reference=reference) == expected


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (premium(Pick.AT_LEAST, "300"), "no CE of NIFTY 24-Nov-2026 has a premium of at least 300"),
        (premium(Pick.AT_MOST, "34.95"), "no CE of NIFTY 24-Nov-2026 has a premium of at most 34.95"),
        (between("69", "91.75"), "has a premium from 69 to 91.75; fresh ones are from 35.00 to 262.75"),
        (of_straddle(Pick.AT_LEAST, "125"), "has a premium of at least 265"),
    ],
)
def test_where_no_premium_fits_no_neighbour_is_taken(rule: Strike, told: str) -> None:
    reason, message = refused(rule, CE)
    assert reason is Reason.NO_ELIGIBLE_STRIKE
    assert told in message


@pytest.mark.parametrize(
    "rule",
    [premium(Pick.AT_LEAST, "77"), premium(Pick.AT_MOST, "77"), between("77", "77")],
    ids=["least", "most", "at"],
)
def test_equal_premiums_take_the_strike_nearer_the_money_then_the_lower(rule: Strike) -> None:
    """25900 and 26100 are equally near 26000 and the lower wins; 25950 is nearer than both."""
    made = market({option_at(25900, CE): "77", option_at(26100, CE): "77"})
    assert chosen(rule, CE, made) == 25900
    made = market({option_at(25850, CE): "77", option_at(26100, CE): "77"})
    assert chosen(rule, CE, made) == 26100


# ---------------------------------------------------------------- by delta


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (CE, "0.25", 26150),  # 0.27 is 0.02 off
        (CE, "0.22", 26200),  # 0.19 is 0.03 off, 0.27 is 0.05 off
        (CE, "0.23", 26150),  # 0.19 and 0.27 are both 0.04 off; 26150 is nearer the money
        (CE, "0.999999", 26000),
        (PE, "0.25", 25850),  # |-0.21| is 0.04 off, |-0.30| is 0.05 off
        (PE, "0.1", 25800),
    ],
)
def test_the_delta_nearest_in_size(type_: ContractType, value: str, expected: int) -> None:
    assert chosen(delta(value), type_) == expected


def test_deltas_are_compared_as_they_are_rounded_to_six_decimals() -> None:
    """0.190001 and 0.269999 are equally far from 0.23 only when rounded so."""
    rule, view = plan(delta("0.23"), CE), market().view(AT)
    near = {26150: Decimal("0.269999"), 26200: Decimal("0.190001")}
    assert resolve(rule, view, lambda each: near.get(int(each.strike or 0))).contracts["1"].strike == 26150
    near[26200] = Decimal("0.190002")
    assert resolve(rule, view, lambda each: near.get(int(each.strike or 0))).contracts["1"].strike == 26200


def test_without_any_delta_no_strike_is_eligible() -> None:
    with pytest.raises(Refused) as error:
        resolve(plan(delta("0.25"), CE), market().view(AT), lambda _: None)
    assert error.value.reason is Reason.NO_ELIGIBLE_STRIKE
    assert "no CE of NIFTY 24-Nov-2026 has a fresh price that implies a delta" in str(error.value)


# ---------------------------------------------------------------- stale and missing prices


def aged(*contracts: Contract) -> SmallMarket:
    """The chain, with prices of these that are two minutes old."""
    made = market(dict.fromkeys(contracts))
    for contract in contracts:
        assert contract.strike is not None
        side = CALLS if contract.type is CE else PUTS
        made.set(contract, AT - timedelta(minutes=2), side[int(contract.strike)])
    return made


@pytest.mark.parametrize(
    ("rule", "instead"),
    [
        (premium(Pick.CLOSEST, "50"), 26200),  # 35.00 is 15 off, 68.35 is 18.35 off
        (premium(Pick.AT_LEAST, "50"), 26100),
        (premium(Pick.AT_MOST, "50.20"), 26200),
        (between("30", "60"), 26200),
        (of_straddle(Pick.CLOSEST, "25"), 26100),  # of 53: 68.35 is 15.35 off, 35.00 is 18 off
        (delta("0.27"), 26200),  # 0.19 is 0.08 off, 0.36 is 0.09 off
    ],
)
def test_a_stale_price_is_not_eligible_where_the_rule_looks_for_one(rule: Strike, instead: int) -> None:
    assert chosen(rule, CE) == 26150
    assert chosen(rule, CE, aged(option_at(26150, CE))) == instead


@pytest.mark.parametrize("rule", [percent("0.5"), exactly("26150"), width("0.7")], ids=["percent", "strike", "width"])
def test_a_stale_price_at_the_strike_that_is_named_skips(rule: Strike) -> None:
    assert chosen(rule, CE) == 26150
    assert refused(rule, CE, aged(option_at(26150, CE)))[0] is Reason.STALE_QUOTE
    assert refused(rule, CE, market({option_at(26150, CE): None}))[0] is Reason.NO_QUOTE


@pytest.mark.parametrize("rule", [of_straddle(Pick.CLOSEST, "25"), width("0.5")], ids=["percent", "width"])
@pytest.mark.parametrize("side", [CE, PE])
def test_a_straddle_that_is_half_known_measures_nothing(rule: Strike, side: ContractType) -> None:
    half = option_at(26000, side)
    reason, message = refused(rule, CE, aged(half))
    assert reason is Reason.STALE_QUOTE
    assert half.name in message
    assert refused(rule, CE, market({half: None}))[0] is Reason.NO_QUOTE


@pytest.mark.parametrize(
    "rule", [percent("1"), premium(Pick.AT_LEAST, "50"), of_straddle(Pick.CLOSEST, "25"), width("1"), delta("0.25")]
)
def test_without_a_reference_price_nothing_can_be_measured(rule: Strike) -> None:
    reason, message = refused(rule, CE, market({"NIFTY": None}))
    assert reason is Reason.NO_REFERENCE_PRICE
    assert '"synthetic" or "future" may have a price' in message


@pytest.mark.parametrize(
    "rule",
    [
        percent("0.5"),
        exactly("26150"),
        premium(Pick.AT_LEAST, "50"),
        premium(Pick.AT_MOST, "50"),
        between("40", "60"),
        of_straddle(Pick.AT_LEAST, "25"),
        width("0.5"),
    ],
)
def test_what_is_known_later_changes_nothing(rule: Strike) -> None:
    made = market()
    before = resolved(rule, CE, made)
    later = AT + timedelta(microseconds=1)
    made.set("NIFTY", later, "25850")
    for strike in CALLS:
        made.set(option_at(strike, CE), later, "50")
        made.set(option_at(strike, PE), later, "500")
    assert resolved(rule, CE, made) == before


# ---------------------------------------------------------------- any chain

TICK = Decimal("0.05")
PRICES = st.integers(1, 6000).map(lambda ticks: ticks * TICK)
STATES = st.sampled_from(["fresh", "fresh", "fresh", "stale", "missing"])


@st.composite
def any_chain(draw: st.DrawFn) -> tuple[SmallMarket, Known]:
    """Prices without any order, some stale, some missing, strikes left out here and there."""
    strikes = sorted(draw(st.sets(st.integers(500, 530), min_size=2, max_size=12)))
    listed = chain("NIFTY", EXPIRY, [strike * 50 for strike in strikes], lot_size=65)
    made = SmallMarket(listed)
    fresh, known = {}, {}
    for listing in listed:
        state = draw(STATES)
        if state == "missing":
            continue
        price = draw(PRICES)
        made.set(listing.contract, AT if state == "fresh" else AT - timedelta(minutes=2), price)
        if state == "fresh":
            fresh[listing.contract] = price
        if draw(st.booleans()):
            sign = 1 if listing.contract.type is CE else -1
            known[listing.contract] = sign * Decimal(draw(st.integers(0, 10**6))) / 10**6
    spot = draw(st.integers(24_900 * 20, 26_600 * 20)) * TICK
    made.set("NIFTY", AT, spot)
    contracts = tuple(listing.contract for listing in listed)
    return made, Known(contracts=contracts, fresh=fresh, deltas=known, reference=spot)


CENTS = st.integers(1, 30_000).map(lambda cents: Decimal(cents) / 100)
RULES = st.one_of(
    st.integers(-500, 500).map(lambda value: percent(str(Decimal(value) / 100))),
    st.integers(500, 530).map(lambda value: exactly(str(value * 50))),
    st.builds(lambda pick, value: premium(pick, str(value)), st.sampled_from(list(Pick)[:3]), CENTS),
    st.tuples(CENTS, CENTS).map(lambda ends: between(str(min(ends)), str(max(ends)))),
    st.builds(lambda pick, value: of_straddle(pick, str(value)), st.sampled_from(list(Pick)[:3]), CENTS),
    st.integers(-300, 300).map(lambda value: width(str(Decimal(value) / 100))),
    st.integers(1, 99).map(lambda value: delta(str(Decimal(value) / 100))),
)


@given(rule=RULES, type_=st.sampled_from([CE, PE]), drawn=any_chain())
def test_whatever_the_chain_the_choice_is_listed_fresh_and_none_is_better(
    rule: Strike, type_: ContractType, drawn: tuple[SmallMarket, Known]
) -> None:
    made, known = drawn

    def choice() -> Contract:
        return resolve(plan(rule, type_), made.view(AT), known.deltas.get).contracts["1"]

    assert_no_better(rule, type_, known, choice)
