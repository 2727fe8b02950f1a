"""The spot a rule may read while the index stands still: by the synthetic, from the start of the window."""

from datetime import date, datetime, time
from decimal import Decimal

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.frozen_spot import ReadableSnapshot, readable
from option_baskets.domain.session import at
from option_baskets.engine.rule_market import RuleMarket
from tests.engine.small_market import SmallMarket, SmallSnapshot, chain, option

FACTS = load()
DAY = date(2026, 11, 25)
"""The index stands still from 15:15 to 15:35."""
EXPIRY = date(2026, 12, 1)


def market(day: date = DAY, *expiries: date) -> SmallMarket:
    listed = expiries or (EXPIRY,)
    chains = (chain("NIFTY", expiry, range(25900, 26201, 50), lot_size=65) for expiry in listed)
    return SmallMarket(listing for each in chains for listing in each)


def set_pair(small: SmallMarket, clock: str, call: str, put: str, *, day: date = DAY, expiry: date = EXPIRY) -> None:
    for type_, price in (("CE", call), ("PE", put)):
        small.set(option("NIFTY", expiry, 26000, type_), instant(clock, day), price)


def instant(clock: str, day: date = DAY) -> datetime:
    return at(day, time.fromisoformat(clock))


def read(small: SmallMarket, clock: str, day: date = DAY) -> Decimal | None:
    quote = readable(small.view, instant(clock, day), FACTS).spot("NIFTY")
    return None if quote is None else quote.last


def afternoon() -> SmallMarket:
    """Spot 26,010 at 15:15 with the 26000 call at 130 and put at 90: the synthetic is 26,040, 30 above the spot."""
    small = market()
    small.set("NIFTY", instant("15:14:30"), "26010")
    set_pair(small, "15:14:50", "130", "90")
    return small


def test_the_spot_moves_as_the_synthetic_has_moved_since_the_windows_start() -> None:
    """Call 175 and put 60 at 15:20 make a synthetic of 26,115; less the 30 of the start that is 26,085."""
    small = afternoon()
    small.set("NIFTY", instant("15:19:59"), "26010.40")
    set_pair(small, "15:20", "175", "60")
    assert read(small, "15:20") == Decimal(26085)


def test_at_the_windows_start_and_before_it_is_the_index_itself() -> None:
    small = afternoon()
    assert not isinstance(readable(small.view, instant("15:15"), FACTS), ReadableSnapshot)
    assert [read(small, clock) for clock in ("15:14:55", "15:15")] == [26010, 26010]


def test_a_price_of_the_window_is_no_price_after_it_either_until_the_index_has_a_new_one() -> None:
    """At 15:35 the newest index price is of the auction; at 15:35:30 there is one of after it."""
    small = afternoon()
    small.set("NIFTY", instant("15:35"), "26010")
    set_pair(small, "15:34:50", "150", "80")
    small.set("NIFTY", instant("15:35:30"), "26055")
    assert [read(small, clock) for clock in ("15:35", "15:35:30")] == [26040, 26055]


@pytest.mark.parametrize("clock", ["15:14:50", "15:20"])
def test_without_a_fresh_call_and_put_at_the_start_or_now_there_is_no_spot(clock: str) -> None:
    """Prices may be a minute old: those of 15:14:50 are at 15:15, not at 15:20."""
    small = market()
    small.set("NIFTY", instant("15:14:30"), "26010")
    set_pair(small, clock, "130", "90")
    assert read(small, "15:20") is None


def test_an_index_that_was_stale_at_the_start_has_no_basis() -> None:
    small = market()
    small.set("NIFTY", instant("15:13:59"), "26010")
    for clock in ("15:15", "15:20"):
        set_pair(small, clock, "130", "90")
    assert read(small, "15:20") is None


def test_the_nearest_expiry_is_asked_unless_it_stops_trading_inside_the_window() -> None:
    """From 7 December 2026 the index stands still from 15:30 to 15:40 and expiring contracts stop at 15:30.

    So on 8 December the options of the 15th tell: 200 - 150 at 15:30, 230 - 150 at 15:32. The spot was 26,000.
    """
    day, later = date(2026, 12, 8), date(2026, 12, 15)
    small = market(day, day, later)
    small.set("NIFTY", instant("15:30", day), "26000")
    for clock, call, expiring in (("15:30", "200", "10"), ("15:32", "230", "500")):
        set_pair(small, clock, call, "150", day=day, expiry=later)
        set_pair(small, clock, expiring, "5", day=day, expiry=day)
    assert read(small, "15:32", day) == 26030


async def test_a_market_first_asked_inside_the_window_reads_what_one_asked_all_day_reads() -> None:
    small = afternoon()
    set_pair(small, "15:20", "175", "60")
    all_day = RuleMarket(small, FACTS)
    for clock in ("15:14", "15:15", "15:16"):
        await all_day.snapshot(instant(clock))
    restarted = RuleMarket(small, FACTS)
    for each in (all_day, restarted):
        quote = (await each.snapshot(instant("15:20"))).spot("NIFTY")
        assert quote is not None and quote.last == 26085


class OnlyNow(SmallMarket):
    """A feed that cannot be asked for the past."""

    def __init__(self, other: SmallMarket, now: datetime) -> None:
        super().__init__(other.listings.values())
        self._quotes, self._now = other._quotes, now

    async def snapshot(self, at: datetime) -> SmallSnapshot:
        return self.view(self._now)


async def test_a_feed_that_knows_only_now_tells_no_basis_to_who_was_not_there() -> None:
    small = afternoon()
    small.set("NIFTY", instant("15:19:59"), "26010")
    set_pair(small, "15:20", "175", "60")
    snapshot = await RuleMarket(OnlyNow(small, instant("15:20")), FACTS).snapshot(instant("15:20"))
    assert snapshot.spot("NIFTY") is None
    assert snapshot.quote(option("NIFTY", EXPIRY, 26000, "CE")) is not None


@pytest.mark.parametrize("day", [date(2026, 7, 31), date(2026, 11, 8)])
def test_on_a_day_without_the_auction_the_index_is_read(day: date) -> None:
    """An ordinary day of before August 2026, and Muhurat."""
    small = market(day)
    small.set("NIFTY", instant("15:14", day), "26010")
    assert read(small, "15:20", day) == 26010
