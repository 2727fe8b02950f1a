"""A snapshot, valued: time to the contract's own close, chains, positions, charges and margins."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.basket import LegSpec, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import ContractType, Listing, Side
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.facts import Span, clock_time
from option_baskets.domain.session import IST, session_of
from option_baskets.engine.valuation import Holding, Valuation
from option_baskets.pricing import price_and_greeks
from tests.engine.small_market import SmallMarket, chain, future, option

FACTS = load()
AT = datetime(2026, 11, 20, 9, 20, tzinfo=IST)
NEAR, FAR = date(2026, 11, 23), date(2026, 12, 29)
STRIKES = [str(strike) for strike in range(23_000, 25_001, 100)]


def priced(at: datetime = AT, *, spot: str | None = "24000") -> SmallMarket:
    """Two expiries at 14 %, forwards 10 and 90 points above 24,000, prices rounded to the tick."""
    listings = [
        *chain("NIFTY", NEAR, STRIKES, lot_size=65, freeze_quantity=1800),
        *chain("NIFTY", FAR, STRIKES, lot_size=65, freeze_quantity=1800, series="monthly"),
        Listing(contract=future("NIFTY", FAR), lot_size=65, series="monthly"),
    ]
    market = SmallMarket(listings)
    for expiry, forward in ((NEAR, 24_010.0), (FAR, 24_090.0)):
        years = Valuation(facts=FACTS, snapshot=market.view(AT)).years("NIFTY", expiry)
        for strike in STRIKES:
            for type_ in ("CE", "PE"):
                worth = float(price_and_greeks(forward, float(strike), years, 0.14, type_ == "CE").price)
                market.set(option("NIFTY", expiry, strike, type_), at, f"{max(round(worth * 20), 1) / 20:.2f}")
    market.set(future("NIFTY", FAR), at, "24090")
    if spot:
        market.set("NIFTY", at, spot)
    return market


def valued(market: SmallMarket | None = None, at: datetime = AT) -> Valuation:
    return Valuation(facts=FACTS, snapshot=(market or priced()).view(at))


def hold(units: int, strike: int | None, type_: str, price: str, expiry: date = NEAR) -> Holding:
    contract = future("NIFTY", expiry) if strike is None else option("NIFTY", expiry, strike, type_)
    return Holding(contract=contract, units=units, price=Decimal(price))


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("expiry", "closes"),
    [
        (date(2026, 7, 28), "15:30"),
        (date(2026, 8, 4), "15:40"),  # the session is longer from 2026-08-03 on
        (date(2026, 11, 23), "15:40"),
        (date(2026, 12, 8), "15:30"),  # expiring contracts stop earlier from 2026-12-07 on
        (date(2022, 6, 16), "15:30"),
    ],
)
def test_years_end_at_the_second_the_contracts_of_that_day_stop_trading(expiry: date, closes: str) -> None:
    at = datetime(expiry.year, expiry.month, expiry.day, 9, 20, 30, tzinfo=IST)
    valuation = Valuation(facts=FACTS, snapshot=SmallMarket([]).view(at))
    stops = datetime.combine(expiry, clock_time(closes), IST)
    assert valuation.closes("NIFTY", expiry) == stops
    assert valuation.years("NIFTY", expiry) == (stops - at).total_seconds() / (365 * 86_400)


def test_after_its_close_an_expiry_has_no_time_left() -> None:
    assert valued(at=datetime(2026, 11, 23, 15, 40, 1, tzinfo=IST)).years("NIFTY", NEAR) == 0.0


def test_the_recorded_session_is_the_authority_for_its_own_day() -> None:
    session = session_of(NEAR, Span.parse("09:15-12:00"))
    valuation = Valuation(facts=FACTS, snapshot=priced().view(AT), session=session)
    assert valuation.closes("NIFTY", NEAR) == datetime(2026, 11, 23, 12, 0, tzinfo=IST)


# ---------------------------------------------------------------- chains


def test_the_chain_says_what_the_prices_were_made_from() -> None:
    view = valued().chain("NIFTY", NEAR)
    assert view.numbers.forward == pytest.approx(24_010, abs=0.06)
    assert view.numbers.volatility == pytest.approx(0.14, abs=2e-4)
    assert view.strikes[view.numbers.at_the_money] == 24_000
    assert np.isnan(view.numbers.put_call_ratio)


def test_forward_deltas_have_six_decimals_and_belong_to_contracts() -> None:
    deltas = valued().chain("NIFTY", NEAR).forward_deltas()
    delta = deltas[option("NIFTY", NEAR, 24_000, "CE")]
    assert delta.as_tuple().exponent == -6
    years = valued().years("NIFTY", NEAR)
    assert float(delta) == pytest.approx(float(price_and_greeks(24_010, 24_000, years, 0.14, True).delta), abs=1e-3)
    assert deltas[option("NIFTY", NEAR, 24_000, "PE")] < 0
    assert len(deltas) > 30


def test_a_strike_rule_gets_the_delta_of_the_chain_and_none_where_the_price_implies_none() -> None:
    market = priced()
    worthless = option("NIFTY", NEAR, 23_000, "CE")
    market.set(worthless, AT, "900")  # below its intrinsic value of 1,010
    valuation = valued(market)
    assert valuation.delta(worthless) is None
    at_the_money = option("NIFTY", NEAR, 24_000, "PE")
    assert valuation.delta(at_the_money) == valuation.chain("NIFTY", NEAR).forward_deltas()[at_the_money]


def test_stale_prices_have_no_say_in_the_forward_while_others_are_fresh() -> None:
    market = priced()
    later = AT + timedelta(minutes=5)
    for strike in ("23900", "24000", "24100"):
        for type_ in ("CE", "PE"):
            quote = market.quote(option("NIFTY", NEAR, strike, type_), AT)
            assert quote is not None
            market.set(option("NIFTY", NEAR, strike, type_), later, quote.last + (30 if type_ == "CE" else 0))
    view = valued(market, later).chain("NIFTY", NEAR)
    assert view.numbers.forward == pytest.approx(24_040, abs=0.1)
    assert len(view.stale) == 2 * (len(STRIKES) - 3)
    hours = valued(market, later + timedelta(hours=1)).chain("NIFTY", NEAR)
    assert len(hours.stale) == 2 * len(STRIKES)
    assert hours.numbers.forward == pytest.approx(24_010, abs=1.0)


def test_an_expiry_without_options_is_named_with_those_that_have_some() -> None:
    with pytest.raises(NotFound, match="expiries with options: 2026-11-23, 2026-12-29"):
        valued().chain("NIFTY", date(2026, 12, 1))


# ---------------------------------------------------------------- positions


def straddle() -> Strategy:
    legs = tuple(
        LegSpec(id=type_, side=Side.SELL, type=type_, strike=Strike(rule=StrikeRule.ATM, offset=0))
        for type_ in (ContractType.CE, ContractType.PE)
    )
    schedule = Schedule(entry=clock_time("09:20"), exit=clock_time("15:10"))
    return Strategy(id="s", basket_id="b", name="S", underlying="NIFTY", schedule=schedule, legs=legs)


def test_resolved_legs_become_units_of_the_listed_lot_at_the_known_price() -> None:
    contracts = {type_: option("NIFTY", NEAR, 24_000, type_) for type_ in ("CE", "PE")}
    held = valued().holdings(straddle(), contracts, {"CE": 2, "PE": 1})
    assert [holding.units for holding in held] == [-130, -65]
    quote = priced().quote(contracts["CE"], AT)
    assert quote is not None and held[0].price == quote.last
    with pytest.raises(Refused, match="over 60 s old"):
        valued(at=AT + timedelta(minutes=2)).holdings(straddle(), contracts, {"CE": 1})


def test_a_position_takes_each_leg_with_its_own_forward_volatility_and_time() -> None:
    valuation = valued()
    position = valuation.position(
        [hold(-65, 24_000, "CE", "150"), hold(65, 24_500, "CE", "300", FAR), hold(65, None, "FUT", "24090", FAR)],
        charges=Decimal("12.5"),
    )
    near, far, held_future = position.legs
    assert position.spot == 24_000 and position.charges == 12.5
    assert near.years == valuation.years("NIFTY", NEAR) and far.years == valuation.years("NIFTY", FAR)
    assert (near.forward, far.forward) == pytest.approx((24_010, 24_090), abs=0.1)
    assert (near.volatility, far.volatility) == pytest.approx((0.14, 0.14), abs=5e-4)
    assert held_future.strike is None and held_future.forward == 24_090


def test_without_a_spot_the_nearest_forward_stands_in() -> None:
    position = valued(priced(spot=None)).position([hold(-65, 24_000, "CE", "150")])
    assert position.spot == pytest.approx(24_010, abs=0.1)


# ---------------------------------------------------------------- costs


def test_round_trip_charges_count_every_slice_both_ways() -> None:
    one, many = (valued().round_trip_charges([hold(-65 * lots, 24_000, "CE", "150")], "zerodha") for lots in (1, 30))
    assert one is not None and many is not None
    brokerage, taxed = 20 * Decimal("1.18"), 30 * (one - 2 * 20 * Decimal("1.18"))
    assert many == pytest.approx(taxed + 2 * 2 * brokerage)  # 30 lots are two slices of at most 1,800 units


def test_charges_without_a_known_rate_are_unknown_and_not_nothing() -> None:
    at = datetime(2024, 6, 3, 9, 20, tzinfo=IST)
    expiry = date(2024, 6, 7)
    market = SmallMarket(chain("SENSEX", expiry, [76_000], lot_size=10))
    held = [Holding(contract=option("SENSEX", expiry, 76_000, "CE"), units=-10, price=Decimal(100))]
    assert Valuation(facts=FACTS, snapshot=market.view(at)).round_trip_charges(held, "zerodha") is None


def test_margins_net_one_contract_of_several_strategies_and_cover_across_them() -> None:
    valuation = valued()
    sold, wing = hold(-65, 24_000, "CE", "150"), hold(65, 24_200, "CE", "70")
    naked, spread = valuation.margin([sold]), valuation.margin([sold, wing])
    assert spread.risk == pytest.approx((200 - 80) * 65)
    assert spread.exposure == naked.exposure == pytest.approx(0.02 * 24_000 * 65)
    assert naked.risk > 10 * spread.risk
    closed = valuation.margin([sold, wing, hold(65, 24_000, "CE", "140")])
    assert closed.exposure == 0.0
    assert closed.risk == pytest.approx(70 * 65)
    assert valuation.margin([]).total == 0.0


def test_the_expiry_day_add_on_is_charged_on_that_day_only() -> None:
    last = datetime(2026, 11, 23, 9, 20, tzinfo=IST)
    sold = [hold(-65, 24_000, "CE", "150")]
    assert valued(priced(last), last).margin(sold).expiry_day == pytest.approx(0.02 * 24_000 * 65)
    assert valued().margin(sold).expiry_day == 0.0
