"""Approval of entries: all of an account's or none, at a limit and beyond it."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.allocation import AllocationLimits
from option_baskets.domain.errors import Refused
from option_baskets.domain.facts import Span
from option_baskets.domain.market import Quote
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import Exposure, Far, Moment, approve, approve_entries, require_sendable
from option_baskets.domain.session import Window, session_of
from tests.engine.plans import DAY, instant, order, run

INTENTS = [replace(order(run(), instant("09:20")).intent, id=f"intent-{number}") for number in range(3)]
LIMITS = AllocationLimits(
    max_daily_trades=4, max_position_value=Decimal(200_000), max_margin_percent=Decimal(60), max_lots=10
)
AT_ITS_LIMITS = Exposure(
    account="one",
    limits=LIMITS,
    capital=Decimal(500_000),
    trades=4,
    lots=10,
    value=Decimal(200_000),
    margin=Decimal(300_000),
)


def test_what_just_reaches_every_limit_is_approved_whole() -> None:
    assert [each.intent for each in approve_entries(INTENTS, AT_ITS_LIMITS)] == INTENTS


@pytest.mark.parametrize(
    ("beyond", "reason", "told"),
    [
        ({"trades": 5}, Reason.MAX_DAILY_TRADES, "5 entries in a day on one, the limit is 4"),
        ({"lots": 11}, Reason.MAX_LOTS, "11 lots on one, the limit is 10"),
        ({"value": Decimal("200000.01")}, Reason.MAX_POSITION_VALUE, "200000.01 on one, the limit is 200000.00"),
        ({"margin": Decimal("300000.01")}, Reason.MAX_MARGIN, "300000.00, 60 % of the capital"),
        ({"margin": None}, Reason.MARGIN_UNKNOWN, "cannot be estimated"),
        ({"stopped": Reason.BASKET_STOPPED}, Reason.BASKET_STOPPED, "no more entries on one today"),
    ],
)
def test_one_limit_passed_refuses_all_of_them(beyond: dict[str, object], reason: Reason, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        approve_entries(INTENTS, replace(AT_ITS_LIMITS, **beyond))  # type: ignore[arg-type]
    assert refused.value.reason is reason


# ---------------------------------------------------------------- at the moment of sending

AT = instant("10:00")
ENTRY = replace(INTENTS[0], limit=Decimal(101))
MOMENT = Moment(
    at=AT,
    quote=Quote(last=Decimal(100), as_of=AT - timedelta(seconds=60)),
    known_at=AT,
    stale_after=timedelta(seconds=60),
    trades_until=instant("15:30"),
    session=replace(
        session_of(DAY, Span.parse("09:15-15:30")), halts=(Window(open=instant("11:00"), close=instant("11:45")),)
    ),
)
LATER = timedelta(microseconds=1)


def moved(at: datetime, quote: Quote | None = MOMENT.quote) -> Moment:
    """The moment at another time, with a price as old as before."""
    return replace(MOMENT, at=at, known_at=at, quote=quote and replace(quote, as_of=at - timedelta(seconds=60)))


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        moved(instant("09:15")),
        moved(instant("11:00") - LATER),
        moved(instant("11:45")),
        moved(instant("15:30") - LATER),
        replace(moved(instant("03:00")), session=None),
    ],
)
@pytest.mark.parametrize("limit", ["75", "101", "125"])
def test_an_entry_leaves_in_trading_hours_at_a_known_price_with_a_near_limit(moment: Moment, limit: str) -> None:
    require_sendable(replace(ENTRY, limit=Decimal(limit)), moment, Far())


@pytest.mark.parametrize(
    ("moment", "limit", "reason", "told"),
    [
        (moved(instant("09:15") - LATER), "101", Reason.SESSION_CLOSED, "does not trade in PRE_OPEN"),
        (moved(instant("15:30")), "101", Reason.SESSION_CLOSED, "does not trade in CLOSED"),
        (replace(MOMENT, trades_until=AT), "101", Reason.SESSION_CLOSED, "has stopped trading at 10:00"),
        (moved(instant("11:00")), "101", Reason.MARKET_HALTED, "halted from 11:00 to 11:45"),
        (replace(MOMENT, quote=None), "101", Reason.NO_QUOTE, "has no price any more"),
        (replace(MOMENT, known_at=AT + LATER), "101", Reason.STALE_QUOTE, "60 s old, over 60 s"),
        (MOMENT, "125.05", Reason.PRICE_FAR, "25.05 from its last price 100, more than 25"),
        (MOMENT, "74.95", Reason.PRICE_FAR, "25.05 from its last price 100, more than 25"),
        (
            moved(AT, Quote(last=Decimal(2), as_of=AT)),
            "7.05",
            Reason.PRICE_FAR,
            "5.05 from its last price 2, more than 5",
        ),
    ],
)
def test_an_entry_that_may_not_leave_says_why(moment: Moment, limit: str, reason: Reason, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        require_sendable(replace(ENTRY, limit=Decimal(limit)), moment, Far())
    assert refused.value.reason is reason


sizes = st.integers(0, 20)


@given(st.booleans(), sizes, sizes, sizes, st.none() | sizes, st.lists(st.booleans(), min_size=4, max_size=4))
def test_entries_pass_if_and_only_if_no_given_limit_is_passed(
    stopped: bool, trades: int, lots: int, value: int, margin: int | None, given_: list[bool]
) -> None:
    """Limits of 10 each; the margin's is 10 % of 100."""
    ten = Decimal(10)
    exposure = Exposure(
        account="one",
        limits=AllocationLimits(
            max_daily_trades=10 if given_[0] else None,
            max_lots=10 if given_[1] else None,
            max_position_value=ten if given_[2] else None,
            max_margin_percent=ten if given_[3] else None,
        ),
        capital=Decimal(100),
        stopped=Reason.ACCOUNT_STOPPED if stopped else None,
        trades=trades,
        lots=lots,
        value=Decimal(value),
        margin=None if margin is None else Decimal(margin),
    )
    sizes_ = [trades, lots, value, 99 if margin is None else margin]
    passed = stopped or any(limited and size > 10 for limited, size in zip(given_, sizes_, strict=True))
    try:
        approved = approve_entries(INTENTS, exposure)
    except Refused:
        assert passed
    else:
        assert not passed
        assert len(approved) == len(INTENTS)


def test_an_exit_asks_no_limit() -> None:
    """There is nothing to give it: an exit is approved for what it is."""
    assert approve(INTENTS[0]).intent is INTENTS[0]
