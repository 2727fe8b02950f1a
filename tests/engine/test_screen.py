"""The screen of a stop check: it never misses a run that a step would change, and leaves quiet ones alone."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.exit_rules import Amount, Distance, Lock, Mtm, Per, PriceUsed, Scope, StrategyExits, Trail
from option_baskets.domain.levels import stop_in_force, target_level
from option_baskets.domain.market import Bar
from option_baskets.domain.pending import Cause, Pending
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.rules import Check, step
from option_baskets.domain.run import LegPosition, Run, RunStatus
from option_baskets.engine.screen import KNOWN, Screen
from tests.engine.plans import CALL, instant, run, strategy
from tests.engine.small_market import SmallMarket, SmallSnapshot, chain

ENTERED = instant("09:20")
NOW = instant("09:26")
MINUTE = timedelta(minutes=1)
STRIKES = (25900, 26000, 26100)
LISTED = chain("NIFTY", CALL.expiry, STRIKES, lot_size=75)
CONTRACTS = [listing.contract for listing in LISTED]
PLAN = strategy()


def position(
    leg: LegSpec, contract: Contract, *, value: str = "15000", account: str = "one", **state: Any
) -> LegPosition:
    first = run(plan=replace(PLAN, legs=(replace(PLAN.legs[0], id=leg.id),))).positions[0]
    held = replace(
        first,
        leg=leg.id,
        account=account,
        contract=contract,
        side=leg.side,
        entered=150,
        entered_value=Decimal(value),
        entry_time=ENTERED,
        entry_final=True,
        entry_spot=Decimal("26010.35"),
    )
    return replace(held, **state)


def made(number: int, legs: Sequence[LegSpec], positions: Sequence[LegPosition], **exits: Any) -> Run:
    plan = replace(PLAN, legs=tuple(legs), exits=StrategyExits(**exits))
    return replace(
        run(plan=plan),
        id=f"run-{number}",
        status=RunStatus.ACTIVE,
        positions=tuple(positions),
        exit_at=instant("15:15"),
    )


def leg(side: Side = Side.SELL, id_: str = "1", **rules: Any) -> LegSpec:
    return replace(PLAN.legs[0], id=id_, side=side, stop=None, **rules)


def selected(state: Run, view: SmallSnapshot) -> bool:
    screen = Screen()
    screen.take_up((state.user_id, state.id), state)
    return screen.select(view) == [(state.user_id, state.id)]


def moves(state: Run, view: SmallSnapshot) -> bool:
    return step(state, Check(at=view.at), view)[0] is not state


def view(
    price: Decimal | str, *, contract: Contract = CALL, at: datetime = NOW, spot: str | None = "26010.35"
) -> SmallSnapshot:
    small = SmallMarket(LISTED)
    small.set(contract, at, price)
    if spot is not None:
        small.set("NIFTY", at, spot)
    return small.view(at)


# ---------------------------------------------------------------- any runs, any prices

PRICES = st.integers(1200, 3200).map(lambda ticks: ticks * Decimal("0.05"))
DISTANCES = st.sampled_from(
    [Distance(points=Decimal("12.35")), Distance(percent=Decimal(25)), Distance(percent=Decimal("33.3"))]
)
OF_THE_UNDERLYING = st.sampled_from(
    [Distance(points=Decimal(60), underlying=True), Distance(percent=Decimal("0.25"), underlying=True)]
)
TRAILS = st.sampled_from(
    [
        Trail(every=Distance(points=Decimal(7)), by=Distance(points=Decimal(5))),
        Trail(every=Distance(percent=Decimal("8.3")), by=Distance(percent=Decimal("3.1"))),
    ]
)
AMOUNTS = st.sampled_from(
    [Amount(rupees=Decimal(1500)), Amount(rupees=Decimal("4999.95")), Amount(premium_percent=Decimal("12.5"))]
)
LOCKS = st.sampled_from(
    [
        Lock(at=Decimal(900), keep=Decimal(300)),
        Lock(at=Decimal(500), keep=Decimal(-100), every=Decimal("333.35"), by=Decimal(200)),
    ]
)
MOMENTS = [instant(clock) for clock in ("09:20", "09:24", "09:26")]


@st.composite
def any_leg(draw: st.DrawFn, id_: str) -> LegSpec:
    stop = draw(st.none() | DISTANCES | OF_THE_UNDERLYING)
    trails = stop is not None and not stop.underlying
    return replace(
        leg(draw(st.sampled_from(Side)), id_),
        stop=stop,
        target=draw(st.none() | DISTANCES | OF_THE_UNDERLYING),
        trail=draw(st.none() | TRAILS) if trails else None,
        price=draw(st.sampled_from(PriceUsed)),
        square_off=draw(st.sampled_from(Scope)),
    )


@st.composite
def any_position(draw: st.DrawFn, of: LegSpec, account: str) -> LegPosition:
    """Held whole or in part, filled at an average no decimal has, trailed, at cost; or closed; or not filled yet."""
    entered = draw(st.sampled_from([0, 75, 150, 150, 150]))
    exited = draw(st.sampled_from([0, 0, 0, 75])) if entered == 150 else 0
    held = position(of, draw(st.sampled_from(CONTRACTS)), account=account)
    return replace(
        held,
        side=draw(st.sampled_from([of.side, of.side, of.side.opposite])),
        entered=entered,
        entered_value=draw(PRICES) * entered + (Decimal("0.05") if entered else 0),
        entry_time=draw(st.sampled_from(MOMENTS)) if entered else None,
        entry_final=entered == 150,
        exited=exited,
        exited_value=draw(PRICES) * exited,
        trail_steps=draw(st.sampled_from([0, 0, 1, 3])) if of.trail and entered else 0,
        cost_at=draw(st.sampled_from([None, None, *MOMENTS])) if entered else None,
        exit_reason=draw(st.sampled_from([*[None] * 9, ExitReason.STOP, ExitReason.UNWIND])) if entered else None,
    )


@st.composite
def any_run(draw: st.DrawFn, number: int) -> Run:
    plan = [draw(any_leg(str(n + 1))) for n in range(draw(st.integers(1, 4)))]
    accounts = ["one", "two"][: draw(st.integers(1, 2))]
    positions = [draw(any_position(each, account)) for account in accounts for each in plan]
    per = draw(st.sampled_from(Per))
    lock = draw(st.none() | LOCKS)
    state = made(
        number,
        plan,
        positions,
        stop=draw(st.none() | AMOUNTS),
        target=draw(st.none() | AMOUNTS),
        lock=lock,
        per=per,
        mtm=draw(st.sampled_from([Mtm.GROSS] * 5 + [Mtm.NET])),
        move_stop_to_cost=draw(st.booleans()),
    )
    names = accounts if per is Per.ACCOUNT else [""]
    steps = {name: draw(st.integers(0, 2)) for name in names} if lock is not None and draw(st.booleans()) else {}
    late = draw(st.integers(0, 19)) == 0
    return replace(state, locked=steps, exit_at=NOW + MINUTE if late else state.exit_at)


@st.composite
def any_minute(draw: st.DrawFn, at: datetime) -> SmallSnapshot:
    """Most contracts closed a minute now, some with a high and a low; the others have an old price or none."""
    small = SmallMarket(LISTED)
    for contract in CONTRACTS:
        kind, close = draw(st.integers(0, 9)), draw(PRICES)
        if kind == 0:
            continue
        bar = None
        if kind >= 5:
            opened, inside = draw(PRICES), draw(PRICES)
            prices = sorted([opened, inside, close])
            bar = Bar(start=at - MINUTE, end=at, open=opened, high=prices[2], low=prices[0], close=close)
        small.set(contract, at - MINUTE * 3 if kind == 1 else at, close, bar=bar)
    if draw(st.integers(0, 9)):
        small.set("NIFTY", at, draw(st.integers(25800, 26200)))
    return small.view(at)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_a_step_would_change_is_selected_minute_after_minute(data: st.DataObject) -> None:
    """Runs change between checks as the step says; what changed is taken up, and a new screen would say the same."""
    runs = {
        (each.user_id, each.id): each for each in (data.draw(any_run(n)) for n in range(data.draw(st.integers(1, 5))))
    }
    screen = Screen()
    for key, state in runs.items():
        screen.take_up(key, state)
    for minute in range(3):
        seen = data.draw(any_minute(NOW + minute * MINUTE))
        chosen = screen.select(seen)
        anew = Screen()
        for key, state in runs.items():
            anew.take_up(key, state)
        assert anew.select(seen) == chosen == sorted(chosen)
        for key, state in runs.items():
            after, _ = step(state, Check(at=seen.at), seen)
            event(f"changed: {after is not state}, selected: {key in chosen}")
            assert after is state or key in chosen
            if after is not state:
                runs[key] = after
                screen.take_up(key, after)
        gone = data.draw(st.sampled_from([None, None, *runs]))
        if gone is not None:
            del runs[gone]
            screen.take_up(gone, None)


# ---------------------------------------------------------------- levels reached exactly, and a tick before

TICK = Decimal("0.05")
VALUES = ["15000", "15000.05", "14999.95", "10005.35", "15123.45"]
"""Of 150 units: averages of 100, and some that no decimal has."""


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    "rule", [Distance(percent=Decimal(25)), Distance(percent=Decimal("33.3")), Distance(points=TICK * 7)]
)
def test_a_price_at_the_very_level_is_seen_and_one_a_tick_before_it_is_not(
    value: str, side: Side, rule: Distance
) -> None:
    spec = replace(leg(side), stop=rule, target=rule)
    held = position(spec, CALL, value=value)
    state = made(1, [spec], [held])
    assert held.entry_price is not None
    stop, target = stop_in_force(spec, held), target_level(spec, side, held.entry_price)
    assert stop is not None and target is not None
    inward = TICK if stop[0] < held.entry_price else -TICK
    for level, before in ((stop[0], inward), (target, -inward)):
        assert moves(state, view(level)) and selected(state, view(level))
        assert not moves(state, view(level + before)) and not selected(state, view(level + before))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("unit", ["points", "percent"])
def test_a_trails_next_step_is_a_change_too(value: str, side: Side, unit: str) -> None:
    every, by = (
        Distance(points=Decimal(size)) if unit == "points" else Distance(percent=Decimal(size))
        for size in ("8.3", "3.1")
    )
    spec = replace(leg(side), stop=Distance(percent=Decimal(40)), trail=Trail(every=every, by=by))
    held = position(spec, CALL, value=value, trail_steps=2)
    state = made(1, [spec], [held])
    assert held.entry_price is not None
    level = held.entry_price + side.sign * 3 * every.of(held.entry_price)
    at_it = level + side.sign * Decimal("1e-20")  # the level itself is a quotient, cut off at 28 digits
    assert moves(state, view(at_it)) and selected(state, view(at_it)) and selected(state, view(level))
    assert not selected(state, view(level - side.sign * TICK))


@pytest.mark.parametrize("lots", [1, 40_000])
@pytest.mark.parametrize(
    ("exits", "locked", "profit"),
    [
        ({"stop": Amount(rupees=Decimal("1999.95"))}, {}, "-1999.95"),
        ({"target": Amount(rupees=Decimal("2000.10"))}, {}, "2000.10"),
        ({"stop": Amount(premium_percent=Decimal(10))}, {}, "-1500"),
        ({"target": Amount(premium_percent=Decimal("12.5")), "per": Per.ACCOUNT}, {}, "1875"),
        ({"lock": Lock(at=Decimal(900), keep=Decimal(300))}, {}, "900"),
        ({"lock": Lock(at=Decimal(900), keep=Decimal(300))}, {"": 0}, "300"),
        ({"lock": Lock(at=Decimal(900), keep=Decimal(300), every=Decimal(50), by=Decimal(30))}, {"": 3}, "1100"),
        ({"lock": Lock(at=Decimal(900), keep=Decimal(300), every=Decimal(50), by=Decimal(30))}, {"": 3}, "390"),
        ({"stop": Amount(rupees=Decimal(500)), "per": Per.UNIT}, {}, "-1000"),
    ],
)
def test_a_profit_at_the_very_amount_is_seen(exits: Any, locked: dict[str, int], profit: str, lots: int) -> None:
    """2 units of 75, or 80,000: the amounts, and the rounding, grow with them. A tick before nothing is."""
    spec = leg()
    units = 150 * lots
    grown = {
        name: Amount(rupees=rule.rupees * lots)
        if isinstance(rule, Amount) and rule.rupees is not None and exits.get("per") is not Per.UNIT
        else Lock(**{each.name: getattr(rule, each.name) and getattr(rule, each.name) * lots for each in fields(Lock)})
        if isinstance(rule, Lock)
        else rule
        for name, rule in exits.items()
    }
    held = position(spec, CALL, entered=units, entered_value=Decimal(100) * units, lots=2 * lots)
    state = replace(made(1, [spec], [held], **grown), locked=locked)
    price = 100 - Decimal(profit) / 150
    at_it = [price, *(price + each for each in (Decimal("1e-24"), Decimal("-1e-24")))]
    assert any(moves(state, view(each)) for each in at_it)
    assert all(selected(state, view(each)) for each in at_it)
    quiet = [each for each in (price + TICK, price - TICK) if not moves(state, view(each))]
    assert quiet and not any(selected(state, view(each)) for each in quiet)


def test_what_was_entered_at_this_very_instant_counts_as_nothing_yet() -> None:
    """The call has lost 2,250; the put, bought now at 100 and last at 115, makes up for it only later."""
    specs = [leg(), leg(Side.BUY, "2")]
    held = [position(specs[0], CALL), position(specs[1], CONTRACTS[1], entry_time=NOW)]
    state = made(1, specs, held, stop=Amount(rupees=Decimal(2000)))
    for at, fires in ((NOW, True), (NOW + MINUTE, False)):
        small = SmallMarket(LISTED)
        for contract in (CALL, CONTRACTS[1]):
            small.set(contract, at, "115")
        assert (moves(state, small.view(at)), selected(state, small.view(at))) == (fires, fires)


def test_a_stop_on_the_underlying_is_seen_at_its_index_level() -> None:
    """26,010.35 + 60: a sold call is stopped there. Without a spot the run is looked at, and step finds nothing."""
    spec = replace(leg(), stop=Distance(points=Decimal(60), underlying=True))
    state = made(1, [spec], [position(spec, CALL)])
    found = {spot: selected(state, view("100", spot=spot)) for spot in ("26070.35", "26070.30", None)}
    assert found == {"26070.35": True, "26070.30": False, None: True}


def test_the_high_of_a_bar_counts() -> None:
    spec = replace(leg(), stop=Distance(percent=Decimal(25)))
    small = SmallMarket(LISTED)
    prices = {name: Decimal(text) for name, text in (("open", "100"), ("high", "125"), ("low", "99"), ("close", "101"))}
    small.set(CALL, NOW, "101", bar=Bar(start=NOW - MINUTE, end=NOW, **prices))
    assert selected(made(1, [spec], [position(spec, CALL)]), small.view(NOW))


# ---------------------------------------------------------------- what it does not know it selects

QUIET = replace(leg(), stop=Distance(percent=Decimal(25)))


def quiet_run(**changes: Any) -> Run:
    return replace(made(1, [QUIET], [position(QUIET, CALL)]), **changes)


def test_a_quiet_run_is_left_alone_until_its_exit_time() -> None:
    assert not selected(quiet_run(), view("100"))
    assert not selected(quiet_run(exit_at=NOW + timedelta(seconds=1)), view("100"))
    assert selected(quiet_run(exit_at=NOW), view("100"))


def test_what_waits_is_closing_or_counts_charges_is_always_looked_at() -> None:
    held = position(QUIET, CALL)
    waiting = Pending(leg="1", account="one", entry_number=1, side=Side.SELL, lots=2, cause=Cause.REENTRY)
    net = StrategyExits(stop=Amount(rupees=Decimal(90_000)), mtm=Mtm.NET)
    assert selected(quiet_run(pending=(waiting,)), view("100"))
    assert selected(quiet_run(positions=(replace(held, exit_reason=ExitReason.STOP),)), view("100"))
    assert selected(quiet_run(strategy=replace(PLAN, legs=(QUIET,), exits=net)), view("100"))
    assert not selected(quiet_run(positions=(replace(held, exit_reason=ExitReason.STOP, exited=150),)), view("100"))


@pytest.mark.parametrize("status", [RunStatus.SCHEDULED, RunStatus.CLOSED])
def test_a_run_that_is_over_or_not_begun_is_never_looked_at(status: RunStatus) -> None:
    assert not selected(quiet_run(status=status, exit_at=NOW), view("100"))


@pytest.mark.parametrize(
    ("of", "field", "value"),
    [
        (LegSpec, "square_off", Scope.ALL),
        (StrategyExits, "move_stop_to_cost", True),
        (Strategy, "settle", True),
        (LegPosition, "trail_steps", 1),
        (Distance, "points", Decimal(5)),
        (Run, "locked", {"": 1}),
    ],
)
def test_a_rule_nobody_taught_the_screen_has_its_run_looked_at(of: type, field: str, value: Any) -> None:
    """As if the field had been added since: at its default there is no such rule, otherwise it is not known."""
    screen = Screen({**KNOWN, of: " ".join(name for name in KNOWN[of].split() if name != field)})

    def chosen(**changes: Any) -> bool:
        def given(what: Any) -> Any:
            return replace(what, **changes) if type(what) is of else what  # type: ignore[type-var]

        stop = Distance(points=Decimal(5)) if of is Distance and changes else QUIET.stop
        own = given(replace(QUIET, stop=stop))
        plan = given(replace(PLAN, legs=(own,), exits=given(StrategyExits())))
        state: Run = given(quiet_run(strategy=plan, positions=(given(position(QUIET, CALL)),)))
        screen.take_up((state.user_id, state.id), state)
        return bool(screen.select(view("101")))

    assert [chosen(), chosen(**{field: value})] == [False, True]


def test_another_kind_of_rule_in_the_place_of_a_known_one_has_its_run_looked_at() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Ladder(Distance):
        pass

    spec = replace(QUIET, stop=Ladder(percent=Decimal(25)))
    assert selected(made(1, [spec], [position(spec, CALL)]), view("100"))


def test_every_field_there_is_was_thought_of() -> None:
    """A field added since is known once ``quiet_ranges`` or ``quiet_sums`` has it, or nothing needs it."""
    missing = {of.__name__: {each.name for each in fields(of)} - set(known.split()) for of, known in KNOWN.items()}
    assert missing == {of.__name__: {"pending"} if of is Run else set() for of in KNOWN}
