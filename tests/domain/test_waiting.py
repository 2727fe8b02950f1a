"""Wait-and-trade and range breakouts, step by step: what is waited for, the range, and the price that enters.

At 09:20 the call costs 100 and the put 80; the spot is 26,010. One bar is a minute.
"""

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.entry_rules import Breakout, BreakSide, Move
from option_baskets.domain.errors import Refused
from option_baskets.domain.exit_rules import Amount, Distance, Per, Scope, StrategyExits
from option_baskets.domain.market import Bar
from option_baskets.domain.pending import Cause, Trigger
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.resolve import Resolution
from option_baskets.domain.rules import Check, Enter, step
from option_baskets.domain.run import LegPosition, Run, RunStatus
from option_baskets.domain.waiting import Share, pendings_at_entry
from option_baskets.store import codec
from tests.engine.plans import CALL, allocation, instant, run, strategy
from tests.engine.small_market import SmallMarket, chain, option

ENTRY = instant("09:20")
MINUTE = timedelta(minutes=1)
PUT = option("NIFTY", CALL.expiry, 26000, "PE")
WING = option("NIFTY", CALL.expiry, 26100, "CE")
LISTED = chain("NIFTY", CALL.expiry, [26000, 26100], lot_size=75)
CONTRACTS = {"1": CALL, "2": PUT, "3": WING}
PRICES: dict[Contract | str, str] = {CALL: "100", PUT: "80", WING: "40", "NIFTY": "26010"}


def points(value: str) -> Move:
    return Move(points=Decimal(value))


def percent(value: str) -> Move:
    return Move(percent=Decimal(value))


def until(text: str, side: BreakSide = BreakSide.EITHER) -> Breakout:
    return Breakout(until=time.fromisoformat(text), side=side)


def leg(number: str = "1", side: Side = Side.SELL, ratio: int = 1, **rules: object) -> LegSpec:
    contract = CONTRACTS[number]
    spec = replace(strategy().legs[0], id=number, side=side, type=contract.type, ratio=ratio, stop=None)
    return replace(spec, **rules)  # type: ignore[arg-type]


def plan(*legs: LegSpec, **rules: object) -> Strategy:
    return replace(strategy(), legs=legs, **rules)  # type: ignore[arg-type]


def market() -> SmallMarket:
    """Every price was confirmed at 09:20 and not since."""
    made = SmallMarket(LISTED)
    for thing, price in PRICES.items():
        made.set(thing, ENTRY, price)
    return made


NAMES: dict[str, Contract | str] = {"call": CALL, "put": PUT, "wing": WING, "spot": "NIFTY"}


def waiting(of: Strategy, at: SmallMarket, accounts: tuple[str, ...] = ("zerodha-1",)) -> Run:
    """The run after its entry minute, with nothing entered yet."""
    allocations = tuple(allocation(account=each, priority=index) for index, each in enumerate(accounts))
    state = replace(run(plan=of), positions=(), allocations=allocations, status=RunStatus.WAITING)
    shares = [Share(leg=spec.id, account=account, lots=2 * spec.ratio) for account in accounts for spec in of.legs]
    contracts = {} if of.breakout is not None else {spec.id: CONTRACTS[spec.id] for spec in of.legs}
    resolution = Resolution(contracts=contracts, reference=None)
    return replace(state, pending=pendings_at_entry(state, shares, resolution, at.view(ENTRY)))


def entered_at(state: Run, at: SmallMarket, last: str = "09:35") -> list[tuple[str, str]]:
    """When what became due, looked at every minute up to ``last``."""
    found = []
    now = ENTRY
    while now < instant(last):
        now += MINUTE
        state, decisions = step(state, Check(at=now), at.view(now))
        found += [(f"{now:%H:%M}", each.pending[0]) for each in decisions if isinstance(each, Enter)]
    return found


def told(at: SmallMarket, name: str, **closes: str) -> SmallMarket:
    """Closes by the instant at which they are known: ``told(market(), "call", t0921="105")``."""
    for when, price in closes.items():
        at.set(NAMES[name], instant(f"{when[1:3]}:{when[3:]}"), price)
    return at


# ---------------------------------------------------------------- a move


@pytest.mark.parametrize(
    ("move", "high", "low"),
    [
        (points("10"), "110", None),
        (points("-10"), None, "90"),
        (percent("12.5"), "112.5", None),
        (percent("-12.5"), None, "87.5"),
    ],
)
def test_a_legs_wait_is_a_level_from_the_price_at_the_entry_minute(
    move: Move, high: str | None, low: str | None
) -> None:
    (pending,) = waiting(plan(leg(wait=move)), market()).pending
    assert pending.trigger is not None
    assert (pending.trigger.high, pending.trigger.low) == (high and Decimal(high), low and Decimal(low))
    assert (pending.contract, pending.cause, pending.lots) == (CALL, Cause.WAIT, 2)


def test_a_wait_fires_at_its_level_and_not_a_tick_before_it() -> None:
    """P = 100, +10: 109.95 at 09:22 is short of 110, which is there at 09:24."""
    prices = told(market(), "call", t0921="100", t0922="109.95", t0923="104", t0924="110", t0925="120")
    assert entered_at(waiting(plan(leg(wait=points("10"))), prices), prices) == [("09:24", "1")]


def test_a_fall_fires_at_or_below_its_level() -> None:
    """P = 100, -5 %: at 95 or less. 95.05 is not, 94 is."""
    prices = told(market(), "call", t0921="95.05", t0922="94")
    assert entered_at(waiting(plan(leg(wait=percent("-5"))), prices), prices) == [("09:22", "1")]


def test_the_price_at_the_entry_minute_sets_nothing_off() -> None:
    state = waiting(plan(leg(wait=points("10"))), market())
    assert step(state, Check(at=ENTRY), market().view(ENTRY)) == (state, ())


def test_a_high_inside_a_bar_sets_nothing_off() -> None:
    """Level 110. The bar to 09:22 has a high of 115 and closes at 104; that to 09:23 closes at 111."""
    prices = market()
    barred(prices, CALL, "09:22", ("100", "115", "99", "104"))
    barred(prices, CALL, "09:23", ("104", "111", "104", "111"))
    assert entered_at(waiting(plan(leg(wait=points("10"))), prices), prices) == [("09:23", "1")]


def test_a_stale_price_sets_nothing_off() -> None:
    """112 is known at 09:22:30 at the latest; the next look is at 09:24, 90 s later, and the limit is 60 s."""
    prices = market()
    prices.set(CALL, instant("09:22") + timedelta(seconds=30), "112")
    state = waiting(plan(leg(wait=points("10"))), prices)
    assert step(state, Check(at=instant("09:24")), prices.view(instant("09:24")))[1] == ()
    assert step(state, Check(at=instant("09:23")), prices.view(instant("09:23")))[1] != ()


def test_a_strategys_wait_is_of_its_net_premium_sold_less_bought_by_ratio() -> None:
    """Sold 100 and 80, bought twice 40: a credit of 100 + 80 - 2 x 40 = 100. +10 % is 110.

    09:21: 104 + 85 - 80 = 109. 09:22: the wings fall to 39, and 104 + 85 - 78 = 111.
    """
    legs = (leg("1"), leg("2"), leg("3", Side.BUY, ratio=2))
    prices = told(told(told(market(), "call", t0921="104"), "put", t0921="85"), "wing", t0922="39")
    state = waiting(plan(*legs, wait=percent("10")), prices)
    assert {each.trigger for each in state.pending} == {state.pending[0].trigger}
    assert entered_at(state, prices) == [("09:22", "1"), ("09:22", "2"), ("09:22", "3")]


def test_a_debit_is_negative_and_its_percentage_of_its_size() -> None:
    """Bought at 100: P = -100. +10 % is -90, so the call has to fall to 90; 90.05 is not there."""
    prices = told(market(), "call", t0921="90.05", t0922="90")
    state = waiting(plan(leg(side=Side.BUY), wait=percent("10")), prices)
    assert state.pending[0].trigger is not None
    assert state.pending[0].trigger.high == -90
    assert entered_at(state, prices) == [("09:22", "1")]


def test_a_sum_with_one_stale_price_waits_for_it() -> None:
    """100 + 80 = 180, +10: 110 + 80 is there at 09:22, but the put was last seen at 09:20; at 09:24 both are fresh."""
    prices = told(told(market(), "call", t0922="110", t0923="110", t0924="110"), "put", t0924="80")
    state = waiting(plan(leg("1"), leg("2"), wait=points("10")), prices)
    assert entered_at(state, prices) == [("09:24", "1"), ("09:24", "2")]


def test_a_percentage_of_a_net_premium_of_nothing_is_refused() -> None:
    """Sold 80, bought twice 40."""
    legs = plan(leg("2"), leg("3", Side.BUY, ratio=2), wait=percent("10"))
    with pytest.raises(Refused) as refused:
        waiting(legs, market())
    assert refused.value.reason is Reason.PREMIUM_BASE_UNCLEAR
    assert waiting(replace(legs, wait=points("10")), market()).pending[0].trigger is not None


def test_every_account_waits_for_the_same_and_is_entered_at_one_instant() -> None:
    prices = told(market(), "call", t0921="110")
    state = waiting(plan(leg("1"), leg("2"), wait=points("10")), prices, ("two", "one"))
    after, decisions = step(state, Check(at=instant("09:21")), prices.view(instant("09:21")))
    keys = [(account, number) for account in ("two", "one") for number in ("1", "2")]
    assert [(each.account, each.leg) for each in after.pending] == keys
    assert {each.due for each in after.pending} == {instant("09:21")}
    assert [each.pending for each in decisions if isinstance(each, Enter)] == [(leg, at, 0) for at, leg in keys]


@given(price=st.decimals("0.05", "900", places=2), move=st.decimals("-90", "90", places=2).filter(bool))
def test_a_level_is_never_reached_before_the_price_has_moved_so_far(price: Decimal, move: Decimal) -> None:
    for rule in (Move(points=move), Move(percent=move)):
        moved = price + (move if rule.points is not None else price * move / 100)
        sliver = Decimal("0.0001")
        for last, is_there in ((moved, True), (moved - sliver if move > 0 else moved + sliver, False)):
            prices = market()
            prices.set(CALL, ENTRY, price)
            prices.set(CALL, instant("09:21"), last)
            state = waiting(plan(leg(wait=rule)), prices)
            assert bool(step(state, Check(at=instant("09:21")), prices.view(instant("09:21")))[1]) is is_there


# ---------------------------------------------------------------- a range


def barred(of: SmallMarket, thing: Contract, end: str, bar: tuple[str, str, str, str]) -> None:
    """A bar of the minute to ``end``: open, high, low, close."""
    opened, high, low, close = map(Decimal, bar)
    at = instant(end)
    made = Bar(start=at - MINUTE, end=at, open=opened, high=high, low=low, close=close)
    of.set(thing, at, close, bar=made)


def range_of(state: Run) -> tuple[Decimal | None, Decimal | None]:
    trigger = state.pending[0].trigger
    assert isinstance(trigger, Trigger)
    return trigger.low, trigger.high


def seen(state: Run, of: SmallMarket, *at: str) -> Run:
    for each in at:
        state, decisions = step(state, Check(at=instant(each)), of.view(instant(each)))
        assert decisions == ()
    return state


def test_the_range_is_of_highs_and_lows_after_the_entry_minute_up_to_its_end() -> None:
    """The bar to 09:20 (high 130) was before. 09:21 and 09:22 span 96 to 107; the bar to 09:23 lies after the end."""
    prices = market()
    barred(prices, CALL, "09:20", ("100", "130", "70", "100"))
    barred(prices, CALL, "09:21", ("100", "107", "99", "101"))
    barred(prices, CALL, "09:22", ("101", "103", "96", "102"))
    barred(prices, CALL, "09:23", ("102", "150", "50", "102"))
    state = waiting(plan(leg(breakout=until("09:22"))), prices)
    assert range_of(seen(state, prices, "09:20")) == (None, None)
    assert range_of(seen(state, prices, "09:20", "09:21", "09:22", "09:23")) == (Decimal(96), Decimal(107))


def test_close_only_data_has_a_range_of_closes() -> None:
    prices = told(market(), "call", t0921="104", t0922="97", t0923="104")
    state = seen(waiting(plan(leg(breakout=until("09:22"))), prices), prices, "09:21", "09:22", "09:23")
    assert range_of(state) == (Decimal(97), Decimal(104))


@pytest.mark.parametrize(
    ("side", "at"), [(BreakSide.HIGH, "09:26"), (BreakSide.LOW, "09:24"), (BreakSide.EITHER, "09:24")]
)
def test_a_break_is_a_close_strictly_beyond_the_chosen_side(side: BreakSide, at: str) -> None:
    """97 to 104 until 09:22. 104 at 09:23 is no break; 96.95 at 09:24 is one of the low, 104.05 at 09:26 of the
    high."""
    prices = told(market(), "call", t0921="104", t0922="97", t0923="104", t0924="96.95", t0925="100", t0926="104.05")
    assert entered_at(waiting(plan(leg(breakout=until("09:22", side))), prices), prices)[0] == (at, "1")


def test_a_break_inside_a_bar_after_the_range_is_none_until_a_close_is_beyond() -> None:
    prices = told(market(), "call", t0921="104", t0922="97")
    barred(prices, CALL, "09:23", ("100", "110", "90", "100"))
    barred(prices, CALL, "09:24", ("100", "110", "90", "105"))
    assert entered_at(waiting(plan(leg(breakout=until("09:22"))), prices), prices) == [("09:24", "1")]


def test_inside_the_range_nothing_fires_however_far_the_price_goes() -> None:
    prices = told(market(), "call", t0921="104", t0922="300", t0923="300")
    assert entered_at(waiting(plan(leg(breakout=until("09:22"))), prices), prices) == []


def test_a_range_without_a_price_is_never_broken() -> None:
    prices = told(market(), "call", t0923="140", t0924="10")
    assert entered_at(waiting(plan(leg(breakout=until("09:22"))), prices), prices) == []


BARS = st.lists(st.none() | st.lists(st.integers(90, 110), min_size=4, max_size=4), min_size=12, max_size=12)


@given(bars=BARS, end=st.integers(1, 10), side=st.sampled_from(BreakSide))
def test_a_break_is_the_first_close_beyond_all_prices_of_the_range(
    bars: list[list[int] | None], end: int, side: BreakSide
) -> None:
    """Minutes with a bar of four prices, its close the last of them, or without any."""
    prices = market()
    for minute, bar in enumerate(bars, 1):
        if bar is not None:
            made = (f"{bar[0]}", f"{max(bar)}", f"{min(bar)}", f"{bar[3]}")
            barred(prices, CALL, f"{ENTRY + minute * MINUTE:%H:%M}", made)
    inside = [price for bar in bars[:end] for price in bar or ()]
    beyond = [
        f"{ENTRY + minute * MINUTE:%H:%M}"
        for minute, bar in enumerate(bars, 1)
        if minute > end
        and bar is not None
        and inside
        and (
            (side is not BreakSide.LOW and bar[3] > max(inside))
            or (side is not BreakSide.HIGH and bar[3] < min(inside))
        )
    ]
    state = waiting(plan(leg(breakout=until(f"{ENTRY + end * MINUTE:%H:%M}", side))), prices)
    assert entered_at(state, prices, "09:32") == [(at, "1") for at in beyond[:1]]


def test_a_strategys_breakout_is_of_the_spot_and_chooses_its_contracts_at_the_break() -> None:
    """26,000 to 26,030 until 09:22; 26,030.05 at 09:24."""
    prices = told(market(), "spot", t0921="26030", t0922="26000", t0923="26030", t0924="26030.05")
    state = waiting(plan(leg("1"), leg("2"), breakout=until("09:22")), prices)
    assert [each.contract for each in state.pending] == [None, None]
    assert entered_at(state, prices) == [("09:24", "1"), ("09:24", "2")]


def test_a_breakout_of_an_underlying_without_a_fresh_spot_is_refused() -> None:
    prices = SmallMarket(LISTED)
    prices.set("NIFTY", ENTRY - 2 * MINUTE, "26010")
    with pytest.raises(Refused) as refused:
        waiting(plan(leg(), breakout=until("09:22")), prices)
    assert refused.value.reason is Reason.NO_REFERENCE_PRICE


@pytest.mark.parametrize("spec", [leg(wait=points("10")), leg(breakout=until("09:22"))])
def test_a_leg_whose_price_is_stale_at_the_entry_minute_is_refused(spec: LegSpec) -> None:
    prices = SmallMarket(LISTED)
    prices.set(CALL, ENTRY - 2 * MINUTE, "100")
    with pytest.raises(Refused) as refused:
        waiting(plan(spec), prices)
    assert refused.value.reason is Reason.STALE_QUOTE


# ---------------------------------------------------------------- what ends it


def test_at_the_exit_time_nothing_is_entered_and_what_waited_is_recorded() -> None:
    """110 is there at the exit time itself: no entry at or after it."""
    state = waiting(plan(leg(wait=points("10"))), told(market(), "call", t1515="110"))
    prices = told(market(), "call", t1515="110")
    after, decisions = step(state, Check(at=instant("15:15")), prices.view(instant("15:15")))
    assert (after.pending, decisions) == ((), ())
    (short,) = after.shortfalls
    assert (short.leg, short.quantity, short.reason) == ("1", 150, Reason.NOT_TRIGGERED)
    assert "at 110.00 or more, from 100.00 at 09:20" in short.detail


def test_a_leg_with_a_stop_that_squares_off_takes_what_waits_on_its_account_with_it() -> None:
    held = leg("2", stop=Distance(points=Decimal(5)), square_off=Scope.ALL)
    state = waiting(plan(leg("1", wait=points("10")), held), told(market(), "put", t0921="86"))
    state = with_position(state, "2", PUT, "80")
    prices = told(market(), "put", t0921="86")
    after, _ = step(state, Check(at=instant("09:21")), prices.view(instant("09:21")))
    assert after.pending == ()
    assert [short.leg for short in after.shortfalls] == ["1"]


def test_a_range_survives_storage() -> None:
    prices = told(market(), "call", t0921="104", t0922="97")
    state = seen(waiting(plan(leg(breakout=until("09:22"))), prices), prices, "09:21", "09:22")
    assert codec.decode(codec.encode(state), Run) == state


# ---------------------------------------------------------------- what a percentage is of


def with_position(state: Run, number: str, contract: Contract, price: str, **changes: object) -> Run:
    position = LegPosition(
        leg=number,
        account="zerodha-1",
        entry_number=0,
        contract=contract,
        side=state.strategy.leg(number).side,
        lots=2,
        lot_size=75,
        freeze_quantity=1800,
        tick=Decimal("0.05"),
        entered=150,
        entered_value=Decimal(price) * 150,
        entry_time=ENTRY,
        entry_final=True,
    )
    changed = replace(position, **changes)  # type: ignore[arg-type]
    return replace(state, positions=(*state.positions, changed), status=RunStatus.ACTIVE)


@pytest.mark.parametrize("per", [Per.RUN, Per.ACCOUNT])
def test_a_percentage_of_the_premium_is_of_what_was_entered_first(per: Per) -> None:
    """The call sold at 100 came first: 30 % of 150 x 100 is 4,500. The put, sold at 80 at 09:25, moves nothing.

    At 120 and 90 the loss is 150 x (20 + 10) = 4,500: out. Of both, 150 x 180, it would be 8,100 and far away.
    """
    exits = StrategyExits(stop=Amount(premium_percent=Decimal(30)), per=per)
    state = with_position(replace(run(plan=plan(leg("1"), leg("2"), exits=exits)), positions=()), "1", CALL, "100")
    later = with_position(state, "2", PUT, "80", due=instant("09:25"), entry_time=instant("09:25"))
    prices = told(told(market(), "call", t0926="120"), "put", t0926="90")
    _, decisions = step(later, Check(at=instant("09:26")), prices.view(instant("09:26")))
    assert {each.reason for each in decisions if not isinstance(each, Enter)} == {ExitReason.STRATEGY_STOP}
    near = told(told(market(), "call", t0926="119.95"), "put", t0926="90")
    assert step(later, Check(at=instant("09:26")), near.view(instant("09:26")))[1] == ()


def test_a_later_leg_that_is_still_filling_keeps_no_percentage_waiting() -> None:
    exits = StrategyExits(stop=Amount(premium_percent=Decimal(30)))
    state = with_position(replace(run(plan=plan(leg("1"), leg("2"), exits=exits)), positions=()), "1", CALL, "100")
    later = with_position(
        state, "2", PUT, "0", due=instant("09:25"), entered=0, entered_value=Decimal(0), entry_final=False
    )
    prices = told(market(), "call", t0926="130")
    assert step(later, Check(at=instant("09:26")), prices.view(instant("09:26")))[1] != ()


def test_where_every_leg_waits_the_premium_is_of_the_one_set_off_first() -> None:
    """The put came at 09:22 for 80, the call at 09:25 for 100: 50 % of 150 x 80 is 6,000, a loss of 40 on the call."""
    exits = StrategyExits(stop=Amount(premium_percent=Decimal(50)))
    state = replace(run(plan=plan(leg("1"), leg("2"), exits=exits)), positions=())
    state = with_position(state, "1", CALL, "100", due=instant("09:25"))
    state = with_position(state, "2", PUT, "80", due=instant("09:22"))
    there = told(told(market(), "call", t0926="140"), "put", t0926="80")
    short_of = told(told(market(), "call", t0926="139.95"), "put", t0926="80")
    assert step(state, Check(at=instant("09:26")), there.view(instant("09:26")))[1] != ()
    assert step(state, Check(at=instant("09:26")), short_of.view(instant("09:26")))[1] == ()


def test_what_is_due_is_not_decided_again() -> None:
    prices = told(market(), "call", t0921="110", t0922="111")
    state = waiting(plan(leg(wait=points("10"))), prices)
    after, first = step(state, Check(at=instant("09:21")), prices.view(instant("09:21")))
    assert len(first) == 1
    assert step(after, Check(at=instant("09:22")), prices.view(instant("09:22"))) == (after, ())


def test_what_is_waited_for_is_told_in_words() -> None:
    rules = leg("1", breakout=until("09:22", BreakSide.HIGH)), leg("2", wait=percent("-5"))
    assert [each.detail for each in waiting(plan(*rules), market()).pending] == [
        f"waits for {CALL.name} above its high of 09:20 to 09:22",
        f"waits for {PUT.name} at 76.00 or less, from 80.00 at 09:20",
    ]
