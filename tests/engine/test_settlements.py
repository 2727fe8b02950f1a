"""Final settlement prices: the file beside the sessions, what contracts pay, and the simulated market's own."""

import asyncio
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.feeds.settlements import FILE, add_settlements, read_settlements
from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.domain.contract import Side
from option_baskets.domain.errors import Invalid
from option_baskets.domain.session import at
from option_baskets.domain.settlement import Settlement, payoff, settlement_charges
from tests.engine.small_market import future, option

EXPIRY = date(2026, 12, 1)
CALL, PUT = option("NIFTY", EXPIRY, 26000, "CE"), option("NIFTY", EXPIRY, 26000, "PE")


def test_prices_are_kept_by_date_and_underlying_and_read_by_the_feed(tmp_path: Path) -> None:
    of_day = {(EXPIRY, "SENSEX"): (Decimal("85012.5"), "bse"), (EXPIRY, "NIFTY"): (Decimal(26040), "x")}
    add_settlements(tmp_path, of_day)
    add_settlements(tmp_path, {(EXPIRY - timedelta(days=7), "NIFTY"): (Decimal("25900.05"), "x")})
    assert (tmp_path / FILE).read_text() == (
        "date,underlying,price,source\n"
        "2026-11-24,NIFTY,25900.05,x\n2026-12-01,NIFTY,26040,x\n2026-12-01,SENSEX,85012.5,bse\n"
    )
    feed = RecordedFeed(tmp_path)
    assert asyncio.run(feed.settlement("NIFTY", EXPIRY)) == 26040
    assert asyncio.run(feed.settlement("BANKNIFTY", EXPIRY)) is None


def test_another_price_of_the_same_expiry_is_refused_unless_it_is_to_replace(tmp_path: Path) -> None:
    add_settlements(tmp_path, {(EXPIRY, "NIFTY"): (Decimal(26040), "x")})
    other = {(EXPIRY, "NIFTY"): (Decimal(26041), "y")}
    with pytest.raises(Invalid, match="has 26040 for NIFTY on 2026-12-01, the source 26041"):
        add_settlements(tmp_path, other)
    add_settlements(tmp_path, other, replace=True)
    assert read_settlements(tmp_path) == other


def test_every_bad_line_is_told_with_its_number(tmp_path: Path) -> None:
    bad = "1 Dec,NIFTY,1\n2026-12-01,,5\n2026-12-01,NIFTY,0\n2026-12-01,NIFTY,26041\n"
    (tmp_path / FILE).write_text(f"2026-12-01,NIFTY,26040\n{bad}")
    with pytest.raises(Invalid) as raised:
        read_settlements(tmp_path)
    assert [problem.line for problem in raised.value.problems] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("index", "of_call", "of_put"), [("26040.35", "40.35", "0"), ("26000", "0", "0"), ("25871.2", "0", "128.8")]
)
def test_an_option_pays_what_it_is_in_the_money_and_never_less_than_nothing(
    index: str, of_call: str, of_put: str
) -> None:
    level = Decimal(index)
    assert (payoff(CALL, level), payoff(PUT, level)) == (Decimal(of_call), Decimal(of_put))
    assert payoff(future("NIFTY", EXPIRY), level) == level


@pytest.mark.parametrize(("side", "stt"), [(Side.BUY, "7.8"), (Side.SELL, "0")])
def test_only_the_buyer_of_what_pays_is_charged(side: Side, stt: str) -> None:
    """0.15 % of 40 x 130 = 5,200 rupees."""
    paid = Settlement(index=Decimal(26040), price=Decimal(40), quantity=130, at=at(EXPIRY, time(15, 30)))
    assert settlement_charges(load(), CALL, side, paid).total == Decimal(stt)


def test_the_simulated_market_settles_near_where_its_options_trade_at_the_end() -> None:
    """On an expiry day the money's call and put end within a few points of what they pay."""
    facts = load()
    feed = SimulatedFeed(facts, seed=7)
    index = asyncio.run(feed.settlement("NIFTY", EXPIRY))
    assert index is not None
    last = feed.known(feed.session(EXPIRY).close)
    strike = min(last.strikes("NIFTY", EXPIRY), key=lambda each: abs(each - index))
    for type_ in ("CE", "PE"):
        contract = option("NIFTY", EXPIRY, strike, type_)
        quote = last.quote(contract)
        assert quote is not None
        assert abs(quote.last - payoff(contract, index)) < 5
    assert asyncio.run(feed.settlement("BANKNIFTY", EXPIRY)) is None
    assert asyncio.run(feed.settlement("NIFTY", date(2026, 11, 29))) is None
