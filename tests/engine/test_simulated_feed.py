"""The simulated market: the same day for the same seed, quotes nobody can milk, and the character of recorded days."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from benchmarks.simulator_yardstick import Figures, sessions, simulated

from option_baskets.adapters import facts
from option_baskets.adapters.feeds.simulated import Scenario, SimulatedFeed, SimulatedMarket, SimulatedSnapshot
from option_baskets.adapters.feeds.simulated.recording import record
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Quote
from option_baskets.domain.session import IST

TICK = Decimal("0.05")
AVERAGED = date(2026, 2, 3)
"""An expiry settled at the average of the last half hour."""
AUCTIONED = date(2026, 11, 17)
"""An expiry settled at the print of the closing auction."""
EARLY = date(2026, 12, 8)
"""An expiry whose contracts stop at 15:30 while the others trade to 15:45."""


@cache
def known() -> Facts:
    return facts.load()


@cache
def feed(seed: int = 1) -> SimulatedFeed:
    return SimulatedFeed(known(), seed=seed)


def at(day: date, clock: str) -> datetime:
    return datetime.combine(day, datetime.strptime(clock, "%H:%M:%S").time(), IST)  # noqa: DTZ007 - the zone is given


def snapshot(day: date, clock: str) -> SimulatedSnapshot:
    return feed().known(at(day, clock))


def option(expiry: date, type_: ContractType, strike: Decimal) -> Contract:
    return Contract(underlying="NIFTY", expiry=expiry, type=type_, strike=strike)


def chain(seen: SimulatedSnapshot, expiry: date, type_: ContractType) -> list[tuple[Decimal, Quote]]:
    return [
        (strike, quote)
        for strike in seen.strikes("NIFTY", expiry)
        if (quote := seen.quote(option(expiry, type_, strike))) is not None
    ]


def instants(day: date = AUCTIONED) -> Iterator[SimulatedSnapshot]:
    for clock in ("09:15:00", "09:20:07", "11:00:00", "14:30:00", "15:20:00", "15:29:59"):
        yield snapshot(day, clock)


def bid(quote: Quote) -> Decimal:
    return quote.bid if quote.bid is not None else Decimal(0)


def ask(quote: Quote) -> Decimal:
    assert quote.ask is not None
    return quote.ask


# ---------------------------------------------------------------- the same day again


def test_prices_do_not_depend_on_what_was_asked_before() -> None:
    moments = [at(AUCTIONED, clock) for clock in ("09:15:00", "10:31:17", "15:30:00")]
    forwards = SimulatedFeed(known(), seed=5)
    seen = {}
    for moment in moments:
        book = forwards.known(moment)
        seen[moment] = {contract: book.quote(contract) for contract in book.contracts()}

    backwards = SimulatedFeed(known(), seed=5)
    backwards.known(at(date(2026, 11, 19), "12:00:00"))
    for moment in reversed(moments):
        book = backwards.known(moment)
        for contract in list(book.contracts())[::-7]:
            assert book.quote(contract) == seen[moment][contract]


def test_another_underlying_beside_it_changes_nothing() -> None:
    both = SimulatedMarket(known(), AUCTIONED, seed=1, underlyings=("BANKNIFTY", "NIFTY"))
    assert np.array_equal(both.indices["NIFTY"].spot, feed().market(AUCTIONED).indices["NIFTY"].spot)


def test_another_seed_is_another_day() -> None:
    one, two = (feed(seed).known(at(AUCTIONED, "11:00:00")).spot("NIFTY") for seed in (1, 2))
    assert one != two


async def test_the_port_gives_the_snapshot_of_the_instant() -> None:
    seen = await feed().snapshot(at(AUCTIONED, "11:00:00"))
    assert seen.at == at(AUCTIONED, "11:00:00")
    assert seen.spot("NIFTY") == snapshot(AUCTIONED, "11:00:00").spot("NIFTY")


def test_a_day_begins_at_the_close_of_the_day_before() -> None:
    for first, second in ((date(2026, 11, 17), date(2026, 11, 18)), (date(2025, 6, 6), date(2025, 6, 9))):
        closing = snapshot(first, "16:00:00").spot("NIFTY")
        before = snapshot(second, "09:05:00").spot("NIFTY")
        assert closing is not None
        assert before is not None
        assert abs(closing.last - before.last) <= Decimal("0.01")


# ---------------------------------------------------------------- quotes


def test_every_price_is_a_positive_multiple_of_the_tick_and_the_bid_is_under_the_ask() -> None:
    for seen in instants():
        for contract in seen.contracts():
            quote, listing = seen.quote(contract), seen.listing(contract)
            assert quote is not None
            assert listing is not None
            assert quote.ask is not None
            assert quote.bid is None or TICK <= quote.bid < quote.ask
            assert TICK <= quote.last <= quote.ask
            assert all(price % TICK == 0 for price in (quote.last, quote.ask, quote.bid or TICK))
            assert quote.ask_quantity is not None
            assert quote.ask_quantity > 0
            assert quote.ask_quantity % listing.lot_size == 0
            assert (quote.bid is None) == (quote.bid_quantity is None)


def test_far_options_are_worth_a_few_ticks_until_nothing_can_happen_any_more() -> None:
    far = slice(60, 65)
    before = chain(snapshot(AUCTIONED, "15:00:00"), AUCTIONED, ContractType.CE)[far]
    after = chain(snapshot(AUCTIONED, "15:36:00"), AUCTIONED, ContractType.CE)[far]
    assert all(quote.bid is not None for _, quote in before)
    assert all(quote.bid is None and quote.last == TICK for _, quote in after)


def test_put_call_parity_cannot_be_traded_against() -> None:
    for seen in instants():
        for expiry in seen.expiries("NIFTY"):
            pairs = zip(chain(seen, expiry, ContractType.CE), chain(seen, expiry, ContractType.PE), strict=True)
            forwards = [(k + bid(c) - ask(p), k + ask(c) - bid(p)) for (k, c), (_, p) in pairs if p.bid and c.bid]
            assert max(low for low, _ in forwards) <= min(high for _, high in forwards)


def test_no_vertical_spread_and_no_butterfly_is_free() -> None:
    for seen in instants():
        for expiry in seen.expiries("NIFTY")[:4]:
            for type_, sign in ((ContractType.CE, 1), (ContractType.PE, -1)):
                quotes = chain(seen, expiry, type_)[::sign]
                for (k1, dear), (k2, cheap) in pairwise(quotes):
                    assert ask(dear) >= bid(cheap)
                    assert bid(dear) - ask(cheap) <= abs(k1 - k2)
                for (_, left), (_, body), (_, right) in zip(quotes, quotes[1:], quotes[2:], strict=False):
                    assert ask(left) + ask(right) - 2 * bid(body) >= 0


def test_no_quote_is_ever_stale_in_a_session() -> None:
    session = feed().market(AUCTIONED).session
    for second in range(0, int((session.close - session.open).total_seconds()), 397):
        asked = session.open + timedelta(seconds=second, milliseconds=700)
        seen = feed().known(asked)
        expiry = seen.expiries("NIFTY")[0]
        quotes = [seen.spot("NIFTY"), seen.quote(option(expiry, ContractType.CE, seen.strikes("NIFTY", expiry)[40]))]
        assert all(quote is not None and quote.age(asked) < timedelta(seconds=1) for quote in quotes)


def test_before_the_open_nothing_is_quoted_and_after_the_close_there_is_no_book() -> None:
    early, late = snapshot(AUCTIONED, "09:14:59"), snapshot(AUCTIONED, "15:40:00")
    contract = option(date(2026, 12, 1), ContractType.CE, early.strikes("NIFTY", date(2026, 12, 1))[40])
    assert early.quote(contract) is None
    quote = late.quote(contract)
    assert quote is not None
    assert quote.bid is None
    assert quote.ask is None
    assert quote.as_of == at(AUCTIONED, "15:40:00")


def test_what_is_not_listed_has_no_quote() -> None:
    seen = snapshot(AUCTIONED, "11:00:00")
    off_the_grid = option(AUCTIONED, ContractType.CE, Decimal(24033))
    weekly_future = Contract(underlying="NIFTY", expiry=AUCTIONED, type=ContractType.FUT)
    for contract in (off_the_grid, weekly_future):
        assert seen.quote(contract) is None
        assert seen.listing(contract) is None
    assert seen.spot("SENSEX") is None


def test_the_depth_begins_at_the_quote_and_gets_worse() -> None:
    seen = snapshot(AUCTIONED, "11:00:00")
    for contract in list(seen.contracts())[::50]:
        quote = seen.quote(contract)
        assert quote is not None
        offers, bids = seen.depth(contract, Side.BUY), seen.depth(contract, Side.SELL)
        assert (offers[0].price, offers[0].quantity) == (quote.ask, quote.ask_quantity)
        assert all(worse.price > better.price for better, worse in pairwise(offers))
        assert all(worse.price < better.price and worse.price > 0 for better, worse in pairwise(bids))
        assert bool(bids) == (quote.bid is not None)


def test_deep_options_and_distant_expiries_have_wider_spreads_for_their_price() -> None:
    seen = snapshot(AUCTIONED, "11:00:00")
    near, _, distant = (chain(seen, expiry, ContractType.CE) for expiry in seen.expiries("NIFTY")[:3])

    def width(quotes: list[tuple[Decimal, Quote]]) -> float:
        return float(np.mean([float((ask(quote) - bid(quote)) / quote.last) for _, quote in quotes]))

    assert width(near[:5]) > 3 * width(near[38:42])
    assert width(distant[38:42]) > 3 * width(near[38:42])


# ---------------------------------------------------------------- expiry


@pytest.mark.parametrize(("day", "clock"), [(AVERAGED, "15:30:00"), (AUCTIONED, "15:40:00"), (EARLY, "15:30:00")])
def test_an_expiring_option_ends_at_what_settlement_pays(day: date, clock: str) -> None:
    seen, paid = snapshot(day, clock), feed().market(day).settlement("NIFTY")
    for type_, sign in ((ContractType.CE, 1), (ContractType.PE, -1)):
        for strike, quote in chain(seen, day, type_):
            assert abs(quote.last - max(sign * (paid - strike), TICK)) <= TICK
            assert quote.bid is None
            assert quote.ask is None


def test_the_average_of_the_last_half_hour_settles() -> None:
    path = feed().market(AVERAGED).indices["NIFTY"].spot
    mean = path[6 * 3600 + 900 - 1800 + 1 :].mean()
    assert float(feed().market(AVERAGED).settlement("NIFTY")) == pytest.approx(mean, abs=0.01)


def test_the_index_stands_still_in_the_closing_auction_and_options_do_not() -> None:
    frozen = [snapshot(AUCTIONED, clock) for clock in ("15:15:00", "15:20:00", "15:34:59")]
    spots = {quote.last for seen in frozen if (quote := seen.spot("NIFTY")) is not None}
    assert len(spots) == 1
    moved = {quote.last for seen in frozen for _, quote in chain(seen, date(2026, 12, 1), ContractType.CE)[38:39]}
    assert len(moved) == 3
    printed = snapshot(AUCTIONED, "15:35:00").spot("NIFTY")
    assert printed is not None
    assert printed.last == feed().market(AUCTIONED).settlement("NIFTY")


def test_contracts_that_expire_today_stop_before_the_others_from_december_2026() -> None:
    seen = snapshot(EARLY, "15:31:00")
    expiring, later = (chain(seen, expiry, ContractType.CE)[40][1] for expiry in seen.expiries("NIFTY")[:2])
    assert expiring.ask is None
    assert later.ask is not None


def test_a_pause_between_two_windows_takes_the_market_with_it() -> None:
    day = date(2024, 3, 2)
    before, paused, after = (snapshot(day, clock).spot("NIFTY") for clock in ("09:59:59", "10:45:00", "11:30:00"))
    assert before is not None
    assert paused is not None
    assert after is not None
    assert paused.as_of == at(day, "10:00:00")
    assert paused.last == after.last


# ---------------------------------------------------------------- what a user may set


def test_the_level_and_the_volatility_are_what_was_asked_for() -> None:
    levels = Scenario(spot={"NIFTY": 30_000.0})
    opening = SimulatedFeed(known(), scenario=levels).known(at(AUCTIONED, "09:15:00")).spot("NIFTY")
    assert opening is not None
    assert opening.last == Decimal("30000.00")

    days = sessions(12)
    calm, wild = (simulated(days, [3], Scenario(volatility=each)) for each in (0.10, 0.40))
    figure = "realised volatility, % a year"
    assert wild.quantile(figure, 0.5) / calm.quantile(figure, 0.5) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("day", "underlyings", "scenario", "complaint"),
    [
        (date(2026, 11, 15), ("NIFTY",), Scenario(), "not a trading day"),
        (AUCTIONED, ("NIFTI",), Scenario(), "'NIFTI' is not an index we have facts of; choose from NIFTY"),
        (AUCTIONED, ("NIFTYNXT50",), Scenario(), "give one with --spot NIFTYNXT50=LEVEL"),
        (AUCTIONED, (), Scenario(), "name at least one"),
        (AUCTIONED, ("NIFTY",), Scenario(spot={"NIFTY": -1.0}), "out of range"),
        (AUCTIONED, ("NIFTY",), Scenario(volatility=0.0), "out of range"),
        (date(2015, 1, 1), ("NIFTY",), Scenario(), "cannot be simulated"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    day: date, underlyings: tuple[str, ...], scenario: Scenario, complaint: str
) -> None:
    with pytest.raises(Invalid, match=complaint):
        SimulatedMarket(known(), day, underlyings=underlyings, scenario=scenario)


# ---------------------------------------------------------------- recording


def test_a_recorded_bar_closes_at_the_price_the_live_market_had_at_its_end() -> None:
    market = feed().market(AUCTIONED)
    rows = record(market).bars.sample(200, seed=1).iter_rows(named=True)
    for row in (row for row in rows if row["type"] != "IDX"):
        contract = Contract(
            underlying=row["underlying"], expiry=row["expiry"], type=ContractType(row["type"]), strike=row["strike"]
        )
        quote = SimulatedSnapshot(market, row["start"] + timedelta(minutes=1)).quote(contract)
        assert quote is not None
        assert row["close"] == quote.last
        assert row["low"] <= min(row["open"], row["close"]) <= max(row["open"], row["close"]) <= row["high"]


# ---------------------------------------------------------------- the character of recorded days


@pytest.fixture(scope="module")
def figures() -> Figures:
    return simulated(sessions(30), [0, 1])


@pytest.mark.parametrize(
    ("figure", "low", "high"),
    [
        # The 5 % and 95 % quantiles of 171 recorded days (or the extremes where there are few), from the yardstick.
        ("realised volatility, % a year", 5.9, 16.4),
        ("day's range, %", 0.40, 1.80),
        ("excess kurtosis of minute returns", 0.64, 27.8),
        ("overnight gap, %, absolute", 0.03, 0.86),
        ("volatility from 09:15, of the day's", 1.00, 2.35),
        ("volatility from 12:15, of the day's", 0.44, 1.16),
        ("volatility from 14:15, of the day's", 0.60, 1.32),
        ("expiry-day straddle at 11:15, of 09:20", 0.75, 0.90),
        ("expiry-day straddle at 13:15, of 09:20", 0.55, 0.73),
        ("expiry-day straddle at 15:00, of 09:20", 0.19, 0.24),
        ("straddle at 11:15, 0 days to expiry, % of spot", 0.49, 0.81),
        ("straddle at 11:15, 1 days to expiry, % of spot", 1.02, 1.37),
        ("expiry-day option 2 % out of the money at 15:00, per 100,000 of spot", 0.82, 2.16),
        ("smile slope", -0.16, -0.01),
        ("smile curvature", 0.02, 0.07),
    ],
)
def test_the_median_of_simulated_days_lies_in_the_range_of_recorded_ones(
    figures: Figures, figure: str, low: float, high: float
) -> None:
    assert low <= figures.quantile(figure, 0.5) <= high


def test_calm_and_wild_days_are_as_far_apart_as_recorded_ones(figures: Figures) -> None:
    figure = "realised volatility, % a year"
    assert 1.8 <= figures.quantile(figure, 0.95) / figures.quantile(figure, 0.05) <= 4.5


def test_the_day_is_busiest_at_its_ends(figures: Figures) -> None:
    opening, noon, closing = (
        figures.quantile(f"volatility from {clock}, of the day's", 0.5) for clock in ("09:15", "12:15", "14:15")
    )
    assert opening > closing > noon
