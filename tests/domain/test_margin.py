"""Margin estimates against a broker's answer, the clearing house's own scenarios, and the sums of public examples."""

import json
from dataclasses import astuple
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.errors import Invalid
from option_baskets.engine.valuation import margin_rates
from option_baskets.pricing.margin import NOTHING, MarginRates, estimate
from option_baskets.pricing.payoff import Leg, Position

WEEK = 7 / 365


FACTS = load()


def rates(on: date) -> MarginRates:
    return margin_rates(FACTS, on)


BEFORE, NOW = rates(date(2023, 7, 14)), rates(date(2026, 11, 20))


def leg(units: float, type_: str, strike: float, price: float, *, years: float = WEEK, expiring: bool = False) -> Leg:
    return Leg(
        quantity=units, entry=price, years=years, forward=strike, strike=strike, is_call=type_ == "CE",
        volatility=0.14, expiring=expiring,
    )  # fmt: skip


def test_the_rates_are_those_of_their_day() -> None:
    assert astuple(BEFORE) == pytest.approx((0.02, 0.0, 0.093, 2.0, 0.35, 1.0))
    assert (NOW.expiry_day, NOW.calendar_spread) == (0.02, 0.0)
    assert rates(date(2024, 11, 19)).expiry_day == 0.0
    assert rates(date(2021, 1, 4)).scan == pytest.approx(0.13)


def test_a_row_in_a_folder_of_facts_replaces_a_rate_from_its_day_on(tmp_path: Path) -> None:
    rows = "component,percent,effective_from\nexposure,3,2027-01-01\n"
    (tmp_path / "margins.csv").write_text(rows, encoding="utf-8")
    facts = load(tmp_path)
    assert margin_rates(facts, date(2026, 12, 31)).exposure == 0.02
    assert margin_rates(facts, date(2027, 1, 1)).exposure == 0.03
    (tmp_path / "margins.csv").write_text("component,percent\nspan,3\n", encoding="utf-8")
    with pytest.raises(Invalid, match=r"margins\.csv row 2: component 'span' is not one of exposure, expiry_day"):
        load(tmp_path)


def test_the_worked_example_is_one_percent_below_what_the_broker_answered(shared: Path) -> None:
    spread = Position(legs=(leg(-75, "CE", 20_600, 35.65), leg(75, "CE", 20_700, 6.95)), spot=19_434.15)
    margin = estimate(spread, BEFORE)
    assert margin.total == pytest.approx(34_498.725)
    answer = json.loads((shared / "data/broker/kite_mocks/basket_margins.json").read_text())["data"]
    assert margin.exposure == pytest.approx(answer["final"]["exposure"])
    assert margin.credit == pytest.approx(-answer["final"]["option_premium"])
    assert margin.total / answer["final"]["total"] == pytest.approx(0.992, abs=0.001)


def test_a_condor_is_the_sum_of_the_public_example_and_nearly_doubles_on_expiry_day() -> None:
    def condor(expiring: bool) -> Position:
        wings = (
            (-65, "CE", 23_000, 60.0),
            (65, "CE", 23_200, 30.0),
            (-65, "PE", 22_600, 60.0),
            (65, "PE", 22_400, 28.46),
        )
        return Position(legs=tuple(leg(*each, expiring=expiring) for each in wings), spot=22_800)

    usual, last = (estimate(condor(expiring), NOW) for expiring in (False, True))
    assert usual.total == pytest.approx(200 * 65 + 2 * 0.02 * 65 * 22_800 - 61.54 * 65)
    assert usual.total == pytest.approx(68_000, rel=0.01)
    assert last.total == pytest.approx(127_000, rel=0.01)


def test_the_expiry_day_add_on_is_that_of_the_brokers_own_example() -> None:
    short = Position(legs=(leg(-75, "CE", 23_500, 100.0, expiring=True),), spot=23_500)
    assert estimate(short, NOW).expiry_day == pytest.approx(35_250)
    assert estimate(short, BEFORE).expiry_day == 0.0


def test_a_bought_option_takes_its_premium_and_no_more() -> None:
    margin = estimate(Position(legs=(leg(65, "CE", 23_000, 210.0),), spot=22_800), NOW)
    assert margin.total == pytest.approx(210 * 65)
    assert (margin.exposure, margin.credit) == (0.0, 0.0)


def test_a_naked_straddle_before_its_credit_lies_in_the_known_range_of_12_to_15_percent() -> None:
    legs = (leg(-65, "CE", 22_800, 200.0), leg(-65, "PE", 22_800, 195.0))
    margin = estimate(Position(legs=legs, spot=22_800), NOW)
    assert 0.12 < margin.before_credit / (65 * 22_800) < 0.15
    assert margin.total == pytest.approx(margin.before_credit - 395 * 65)


def test_a_far_short_option_is_margined_by_the_extreme_scenario() -> None:
    margin = estimate(Position(legs=(leg(-65, "CE", 25_000, 5.0),), spot=22_800), NOW)
    assert margin.risk == pytest.approx(0.35 * (22_800 * 1.186 - 25_000 - 5) * 65)


def test_a_later_expiry_covers_an_earlier_one_except_on_its_last_day() -> None:
    def calendar(expiring: bool) -> Position:
        near = leg(-65, "CE", 22_800, 60.0, years=1 / 365, expiring=expiring)
        return Position(legs=(near, leg(65, "CE", 22_800, 300.0, years=30 / 365)), spot=22_800)

    usual, last, then = (estimate(calendar(e), r).risk for e, r in ((False, NOW), (True, NOW), (True, BEFORE)))
    assert usual == then <= 240 * 65
    naked = estimate(Position(legs=calendar(True).legs[:1], spot=22_800), NOW).risk
    assert last > naked > 5 * usual


def test_charges_are_no_margin_and_margins_add_up() -> None:
    legs = (leg(-65, "CE", 22_800, 200.0),)
    one = estimate(Position(legs=legs, spot=22_800, charges=500.0), NOW)
    assert one == estimate(Position(legs=legs, spot=22_800), NOW)
    assert sum((one, one), NOTHING).total == pytest.approx(2 * one.total)


# ---------------------------------------------------------------- the clearing house's scenarios


def scenarios(shared: Path) -> list[pl.DataFrame]:
    """One table a day and expiry: strike, price and 16 losses per unit long, of calls and puts."""
    rows = pl.read_csv(shared / "data/margin/nse_span_risk_arrays_nifty.csv", try_parse_dates=True)
    losses = [f"span_s{n}" for n in range(1, 17)]
    key = ["trade_date", "actual_expiry_date", "strike"]
    calls, puts = (
        rows.filter(pl.col("option_type") == side).select(*key, "span_price", *losses) for side in ("CALL", "PUT")
    )
    both = calls.join(puts, on=key, suffix="_put").sort(key)
    return both.partition_by("trade_date", "actual_expiry_date", maintain_order=True)


def scanned(parts: list[tuple[float, dict[str, float], str]]) -> float:
    """The worst of the 16 scenarios of a position: (units, row, suffix of its side)."""
    return max(sum(units * row[f"span_s{n}{side}"] for units, row, side in parts) for n in range(1, 17))


def forward_of(table: pl.DataFrame) -> float:
    """By parity at the parameters' own prices."""
    return float(np.median((table["strike"] + table["span_price"] - table["span_price_put"]).to_numpy()))


def test_a_naked_straddle_is_within_a_tenth_of_the_clearing_houses_worst_scenario(shared: Path) -> None:
    """SPAN revalues with time left, we settle: further out ours is the higher."""
    for table in scenarios(shared):
        day, expiry = table["trade_date"][0], table["actual_expiry_date"][0]
        forward, years = forward_of(table), (expiry - day).days / 365
        row = min(table.iter_rows(named=True), key=lambda each: abs(each["strike"] - forward))
        call = leg(-1, "CE", row["strike"], row["span_price"], years=years)
        put = leg(-1, "PE", row["strike"], row["span_price_put"], years=years)
        ours = estimate(Position(legs=(call, put), spot=forward), rates(day)).risk
        theirs = scanned([(-1, row, ""), (-1, row, "_put")])
        assert 0.98 < ours / theirs < 1.1, (day, expiry, ours, theirs)


def test_a_spread_is_the_clearing_houses_worst_scenario_in_the_median_of_a_week_and_above_it_further_out(
    shared: Path,
) -> None:
    """Every sold spread 200 and 500 points wide of strikes whose prices keep parity within 10 points. Single spreads
    lie up to 15 % of their width to either side: the file's scenarios are not of its own prices."""
    checked = 0
    for table in scenarios(shared):
        day, expiry = table["trade_date"][0], table["actual_expiry_date"][0]
        forward = forward_of(table)
        implied = pl.col("strike") + pl.col("span_price") - pl.col("span_price_put")
        rows = list(table.filter((implied - forward).abs() < 10).iter_rows(named=True))
        off = []
        for low, high in combinations(rows, 2):
            width = high["strike"] - low["strike"]
            for side, suffix, sold, bought in (("CE", "", low, high), ("PE", "_put", high, low)):
                if width in {200.0, 500.0}:
                    legs = tuple(
                        leg(units, side, row["strike"], row[f"span_price{suffix}"])
                        for units, row in ((-1, sold), (1, bought))
                    )
                    ours = estimate(Position(legs=legs, spot=forward), rates(day)).risk
                    off.append((ours - scanned([(-1, sold, suffix), (1, bought, suffix)])) / width)
        limits = (-0.01, 0.01) if (expiry - day).days < 14 else (0.0, 0.1)
        assert limits[0] < float(np.median(off)) < limits[1], (day, expiry, np.median(off))
        checked += len(off)
    assert checked > 250
