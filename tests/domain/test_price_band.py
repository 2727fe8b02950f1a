from datetime import date
from decimal import Decimal

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.price_band import Band, price_band
from tests.engine.small_market import option

FACTS = load()
TODAY = date(2026, 11, 23)
CALL = option("NIFTY", date(2026, 11, 24), 26000, "CE")


@pytest.mark.parametrize(
    ("reference", "low", "high"),
    [
        ("12", "0", "32"),  # 20 rupees either way, never below zero
        ("50", "30", "70"),  # 40 % of 50 is 20
        ("200", "120", "280"),
    ],
)
def test_the_band_is_forty_percent_and_at_least_twenty_rupees(reference: str, low: str, high: str) -> None:
    band = price_band(FACTS, CALL, TODAY, Decimal(reference))
    assert band == Band(low=Decimal(low), high=Decimal(high))


def test_a_day_before_the_first_rule_has_no_band() -> None:
    sensex = option("SENSEX", date(2025, 11, 27), 85000, "CE")
    assert price_band(FACTS, sensex, date(2025, 11, 24), Decimal(100)) is None
    assert price_band(FACTS, sensex, date(2025, 12, 1), Decimal(100)) is not None


@pytest.mark.parametrize(("limit", "nearest"), [("10.05", "10.05"), ("4", "6.70"), ("31", "30.05"), ("0.05", "6.70")])
def test_a_limit_outside_moves_to_the_nearest_tick_inside(limit: str, nearest: str) -> None:
    band = Band(low=Decimal("6.66"), high=Decimal("30.09"))
    assert band.nearest(Decimal(limit), Decimal("0.05")) == Decimal(nearest)
