"""Entries again and lazy legs, step by step: what a stop or a target sets off, how often, and what ends it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Holding, LegSpec, Strategy
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.cover import Stake, covered, lost_cover
from option_baskets.domain.entry_rules import Again, Move, Reentry
from option_baskets.domain.exit_rules import Distance, Scope, Trail
from option_baskets.domain.exposure import exposures
from option_baskets.domain.pending import Cause
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.rules import Check, Close, Enter, ExitDemanded, step
from option_baskets.domain.run import LegPosition, Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.store import codec
from tests.engine.plans import CALL, instant, run, strategy
from tests.engine.small_market import SmallMarket, chain, option

ENTERED = instant("09:20")
EXIT = instant("09:50")
MINUTE = timedelta(minutes=1)
LOT = 75
STRIKES = (26000, 26100, 26200, 26300)
LISTED = chain("NIFTY", CALL.expiry, STRIKES, lot_size=LOT)
STOPPED = {ExitReason.STOP, ExitReason.TRAIL}
ASAP = Again(reenter=Reentry.ASAP)


def points(value: int) -> Distance:
    return Distance(points=Decimal(value))


def spec(id_: str = "1", side: Side = Side.SELL, type_: ContractType = ContractType.CE, **rules: object) -> LegSpec:
    return replace(strategy().legs[0], id=id_, side=side, type=type_, **{"stop": None, **rules})  # type: ignore[arg-type]


def planned(*legs: LegSpec, **rules: object) -> Strategy:
    return replace(strategy(exit_="09:50"), legs=legs, **rules)  # type: ignore[arg-type]


def contract_of(plan: Strategy, leg: str) -> Contract:
    """Each leg has a strike of its own."""
    index = [each.id for each in plan.legs].index(leg)
    return option("NIFTY", CALL.expiry, STRIKES[index], plan.leg(leg).type)


def held(plan: Strategy, entries: Mapping[str, int] | None = None) -> Run:
    """A run that holds every leg that is not lazy since 09:20, two lots each, at this price on each account."""
    first = run(plan=plan).positions[0]
    entries = entries or {"one": 100}
    positions = tuple(
        replace(
            first,
            leg=leg.id,
            account=account,
            contract=contract_of(plan, leg.id),
            side=leg.side,
            lots=2 * leg.ratio,
            entered=2 * leg.ratio * LOT,
            entered_value=Decimal(2 * leg.ratio * LOT * price),
            entry_time=ENTERED,
            entry_final=True,
        )
        for account, price in entries.items()
        for leg in plan.legs
        if not leg.lazy
    )
    allocations = tuple(
        Allocation(id=f"{plan.id}.{account}", strategy_id=plan.id, account=account, units=2) for account in entries
    )
    state = replace(run(plan=plan), status=RunStatus.ACTIVE, positions=positions, allocations=allocations)
    return replace(state, exit_at=EXIT)


@dataclass
class Game:
    """A run, filled at once at the prices of each minute: a market with no order in it."""

    state: Run
    at: datetime = ENTERED
    market: SmallMarket = field(default_factory=lambda: SmallMarket(LISTED))
    closed: list[str] = field(default_factory=list)
    entered: list[LegPosition] = field(default_factory=list)

    def minute(self, *prices: int | str) -> None:
        """The next minute closes with these prices of the legs in order; of the last one for all that follow."""
        self.at += MINUTE
        for index, leg in enumerate(self.state.strategy.legs):
            price = prices[min(index, len(prices) - 1)]
            self.market.set(contract_of(self.state.strategy, leg.id), self.at, price)
        snapshot = self.market.view(self.at)
        self.state, decisions = step(self.state, Check(at=self.at), snapshot)
        for decision in decisions:
            if isinstance(decision, Close):
                self._close(decision)
        for decision in decisions:
            if isinstance(decision, Enter):
                self._enter(decision)

    def path(self, *prices: int | str) -> "Game":
        for price in prices:
            self.minute(price)
        return self

    def _close(self, close: Close) -> None:
        before = self.state.position(close.position)
        quote = self.market.view(self.at).quote(before.contract)
        assert quote is not None
        value = quote.last * before.entered
        after = replace(before, exited=before.entered, exited_value=value, exit_time=self.at)
        positions = tuple(after if each is before else each for each in self.state.positions)
        self.state = replace(self.state, positions=positions)
        self.closed.append(f"{before.leg} {before.account} {close.reason}")

    def _enter(self, enter: Enter) -> None:
        (due,) = [each for each in self.state.pending if each.key == enter.pending]
        assert due.due == self.at
        contract = due.contract or contract_of(self.state.strategy, due.leg)
        quote = self.market.view(self.at).quote(contract)
        assert quote is not None
        units = due.lots * LOT
        position = replace(
            run(plan=self.state.strategy).positions[0],
            leg=due.leg,
            account=due.account,
            entry_number=due.entry_number,
            contract=contract,
            side=due.side,
            lots=due.lots,
            entered=units,
            entered_value=quote.last * units,
            entry_time=self.at,
            entry_final=True,
        )
        pending = tuple(each for each in self.state.pending if each is not due)
        self.state = replace(self.state, positions=(*self.state.positions, position), pending=pending)
        self.entered.append(position)

    def entries(self, leg: str = "1", account: str = "one") -> list[str]:
        own = [each for each in self.state.positions if (each.leg, each.account) == (leg, account)]
        return [f"{each.side} {each.entry_price:.2f} {each.exit_reason or 'open'}" for each in own]


def game(*legs: LegSpec, entries: Mapping[str, int] | None = None, **rules: object) -> Game:
    return Game(held(planned(*legs, **rules), entries))


# ---------------------------------------------------------------- what sets off what


def test_a_trailed_stop_counts_as_a_stop() -> None:
    """Stop 125, 10 nearer for each 10 in favour: 80 brings it to 105."""
    leg = spec(stop=points(25), trail=Trail(every=points(10), by=points(10)), on_stop=ASAP)
    assert game(leg).path(80, 105).entries() == ["SELL 100.00 trail", "SELL 105.00 open"]


def test_accounts_count_for_themselves() -> None:
    """Stops at 125 and at 130; the first account has used its one entry again when the second one's comes."""
    played = game(spec(stop=points(25), on_stop=ASAP), entries={"one": 100, "two": 105}).path(125, 130, 150, 155)
    assert played.entries() == ["SELL 100.00 stop", "SELL 125.00 stop"]
    assert played.entries(account="two") == ["SELL 105.00 stop", "SELL 130.00 stop"]


def test_cost_is_that_of_the_own_account() -> None:
    """Both are stopped by 131; one waits for 100, the other for 105."""
    leg = spec(stop=points(25), on_stop=Again(reenter=Reentry.COST))
    played = game(leg, entries={"one": 100, "two": 105}).path(131, 104, 101)
    assert played.entries() == ["SELL 100.00 stop"]
    assert played.entries(account="two") == ["SELL 105.00 stop", "SELL 104.00 open"]
    assert [each.account for each in played.state.pending] == ["one"]


def test_a_price_of_the_minute_that_stopped_it_does_not_set_it_off() -> None:
    """Bought at 100 and out at its target of 125: back at cost is 100 or below, and not the price before."""
    leg = spec(side=Side.BUY, target=points(25), on_target=Again(reenter=Reentry.COST))
    played = game(leg).path(99, 125)
    assert played.entries() == ["BUY 100.00 target"]
    (waiting,) = played.state.pending
    assert (waiting.cause, waiting.due, waiting.trigger) == (Cause.REENTRY, None, None)
    assert played.path(101).entries() == ["BUY 100.00 target"]
    (waiting,) = played.state.pending
    assert waiting.trigger is not None
    assert (waiting.trigger.low, waiting.trigger.high) == (Decimal(100), None)
    assert waiting.trigger.since == ENTERED + 2 * MINUTE
    assert waiting.detail == "cost after its target: NIFTY 24-Nov-2026 26000 CE at 100.0000 or below"
    assert played.path(100).entries() == ["BUY 100.00 target", "BUY 100.00 open"]


def test_reversed_at_cost_it_is_the_side_that_was_closed_that_tells_from_where_the_price_comes() -> None:
    leg = spec(stop=points(25), on_stop=Again(reenter=Reentry.COST_REVERSE, times=2))
    played = game(leg).path(125, 101, 99, 74, 98, 100)
    # Bought at 99, stopped at 74; a bought leg that was stopped waits for a price at or above 100.
    assert played.entries() == ["SELL 100.00 stop", "BUY 99.00 stop", "SELL 100.00 open"]


@pytest.mark.parametrize("reason", [ExitReason.KILL, ExitReason.MANUAL, ExitReason.UNWIND, ExitReason.ACCOUNT_STOP])
def test_what_is_demanded_sets_nothing_off_and_ends_what_is_waited_for(reason: ExitReason) -> None:
    legs = (spec(stop=points(25), on_stop=Again(reenter=Reentry.COST)), spec("2", stop=points(900), on_stop=ASAP))
    played = game(*legs, entries={"one": 100, "two": 100})
    played.minute(125, 100)
    assert len(played.state.pending) == 2
    demanded = ExitDemanded(at=played.at, reason=reason, account="one")
    state, decisions = step(played.state, demanded, played.market.view(played.at))
    assert [each.account for each in state.pending] == ["two"]
    assert [decision for decision in decisions if isinstance(decision, Enter)] == []


def test_the_cut_off_holds_every_day_and_not_for_lazy_legs() -> None:
    legs = (spec(stop=points(25), on_stop=replace(ASAP, wakes=("late",))), spec("late", lazy=True))
    for until, again in ((time(9, 21), []), (time(9, 22), [1])):
        played = game(*legs, reenter_until=until).path(125)
        assert [each.entry_number for each in played.entered] == [*again, 0]


def test_what_squares_off_ends_what_others_wait_for_and_not_what_it_sets_off_itself() -> None:
    waiting = spec(stop=points(25), on_stop=Again(reenter=Reentry.COST))
    closing = spec("2", stop=points(50), square_off=Scope.ALL, on_stop=replace(ASAP, wakes=("late",)))
    played = game(waiting, closing, spec("late", lazy=True))
    played.minute(125, 100)
    assert [each.leg for each in played.state.pending] == ["1"]
    played.minute(125, 150)
    assert played.state.pending == ()
    assert [each.leg for each in played.entered] == ["2", "late"]


def test_what_is_waited_for_is_stored_with_the_run() -> None:
    played = game(spec(stop=points(25), on_stop=Again(reenter=Reentry.MOMENTUM, move=Move(points=Decimal(-5)))))
    state = played.path(125, 124).state
    (waiting,) = state.pending
    assert waiting.trigger is not None
    assert (waiting.trigger.low, waiting.trigger.high) == (Decimal(120), None)
    assert codec.decode(codec.encode(state), Run) == state
    view = played.market.view(played.at)
    assert step(state, Check(at=played.at), view)[0] is state


# ---------------------------------------------------------------- whatever the prices do

REENTRIES = st.builds(
    lambda kind, times, move: Again(reenter=kind, times=times, move=move if "momentum" in kind else None),
    st.sampled_from(Reentry),
    st.integers(1, 3),
    st.integers(-12, 12).filter(bool).map(lambda move: Move(points=Decimal(move))),
)


@st.composite
def plans(draw: st.DrawFn) -> Strategy:
    """Up to four legs, every rule of being entered again, lazy legs after the first."""
    count = draw(st.integers(1, 4))
    ids = [str(number) for number in range(1, count + 1)]
    lazy = [draw(st.booleans()) for _ in ids]
    lazy[0] = False
    legs = []
    for leg, is_lazy in zip(ids, lazy, strict=True):

        def rule(leg: str = leg) -> Again | None:
            again = draw(st.none() | REENTRIES)
            wakes = tuple(
                name for name, sleeps in zip(ids, lazy, strict=True) if sleeps and name != leg and draw(st.booleans())
            )
            return replace(again or Again(), wakes=wakes) if again or wakes else None

        stop = draw(st.none() | st.integers(3, 20))
        target = draw(st.none() | st.integers(3, 20))
        legs.append(
            spec(
                leg,
                draw(st.sampled_from(Side)),
                draw(st.sampled_from([ContractType.CE, ContractType.PE])),
                lazy=is_lazy,
                ratio=draw(st.integers(1, 2)),
                stop=None if stop is None else points(stop),
                target=None if target is None else points(target),
                square_off=draw(st.sampled_from(Scope)),
                on_stop=None if stop is None else rule(),
                on_target=None if target is None else rule(),
            )
        )
    until = draw(st.none() | st.integers(22, 48).map(lambda minute: time(9, minute)))
    return planned(*legs, reenter_until=until)


PATHS = st.lists(st.tuples(*[st.integers(60, 140)] * 4), min_size=5, max_size=40)


def lots_held(state: Run, account: str) -> Iterator[tuple[LegPosition, Stake]]:
    for each in state.positions:
        if each.account == account and each.open:
            contract = each.contract
            yield (
                each,
                Stake(leg=each.leg, side=each.side, type=contract.type, expiry=contract.expiry, quantity=each.lots),
            )


@settings(deadline=None)
@given(plan=plans(), prices=PATHS)
def test_whatever_prices_do_entries_keep_their_counts_lots_and_times(
    plan: Strategy, prices: Sequence[tuple[int, int, int, int]]
) -> None:
    played = Game(held(plan, {"one": 100, "two": 103}))
    for minute in prices:
        played.minute(*minute)
    state = played.state
    keys = [each.key for each in state.positions]
    assert len(set(keys)) == len(keys)
    for account in ("one", "two"):
        for leg in plan.legs:
            own = [each for each in state.positions if (each.leg, each.account) == (leg.id, account)]
            assert [each.entry_number for each in own] == list(range(len(own)))
            assert {each.lots for each in own} <= {2 * leg.ratio}
            for rule, reasons in ((leg.on_stop, STOPPED), (leg.on_target, {ExitReason.TARGET})):
                used = sum(each.exit_reason in reasons for each in own[:-1])
                assert used <= (rule.times if rule is not None and rule.reenter is not None else 0)
            for before, after in pairwise(own):
                rule = leg.on_target if before.exit_reason is ExitReason.TARGET else leg.on_stop
                assert rule is not None
                assert rule.reenter is not None
                assert before.exit_reason in {*STOPPED, ExitReason.TARGET}
                assert (after.side is before.side) is not rule.reenter.is_reverse
    for each in played.entered:
        assert each.entry_time is not None
        assert each.entry_time < EXIT
        if each.entry_number and plan.reenter_until is not None:
            assert each.entry_time.astimezone(IST).time() < plan.reenter_until
    if played.at >= EXIT:
        assert state.pending == ()
        assert all(each.open == 0 for each in state.positions)


@settings(deadline=None, max_examples=200)
@given(plan=plans(), prices=PATHS)
def test_a_plan_that_is_told_nothing_never_uncovers_a_short(
    plan: Strategy, prices: Sequence[tuple[int, int, int, int]]
) -> None:
    """Less cover is more sold options uncovered than at full entry, where the plan had cover for any at all."""
    played = Game(held(plan))
    if lost_cover(plan, played.state.allocations) or exposures(plan, played.state.allocations):
        return
    most = {}
    for short in (ContractType.CE, ContractType.PE):
        written = [
            Stake(leg=leg.id, side=leg.side, type=leg.type, expiry=CALL.expiry, quantity=2 * leg.ratio)
            for leg in plan.legs
        ]
        if uncovered(written, short) == sold(written, short) > 0:
            continue
        most[short] = uncovered([stake for _, stake in lots_held(played.state, "one")], short)
    for minute in prices:
        played.minute(*minute)
        stakes = [stake for _, stake in lots_held(played.state, "one")]
        for short, allowed in most.items():
            assert uncovered(stakes, short) <= allowed


def sold(stakes: Sequence[Stake], short: ContractType) -> int:
    return sum(int(each.quantity) for each in stakes if each.is_short_option and each.type is short)


def uncovered(stakes: Sequence[Stake], short: ContractType) -> int:
    return sold(stakes, short) - int(covered(stakes, short))


# ---------------------------------------------------------------- cover

WING = spec("w", Side.BUY)


def told(*legs: LegSpec, **rules: object) -> list[str]:
    plan = planned(*legs, **rules)
    return [f"{each.leg} {each.rule} {each.through}" for each in exposures(plan, held(plan).allocations)]


@pytest.mark.parametrize(
    ("legs", "lost"),
    [
        ([spec(stop=points(5), on_stop=ASAP), WING], []),
        ([spec(stop=points(5), on_stop=ASAP, square_off=Scope.ALL), WING], ["1 stop reenter"]),
        ([spec(stop=points(5), on_stop=Again(reenter=Reentry.ASAP_REVERSE)), WING], []),
        (
            [spec(), spec("w", Side.BUY, target=points(9), square_off=Scope.ALL, on_target=ASAP)],
            [],
        ),
        (
            [
                spec(),
                spec(
                    "w",
                    Side.BUY,
                    target=points(9),
                    square_off=Scope.ALL,
                    on_target=Again(reenter=Reentry.COST_REVERSE),
                ),
            ],
            ["w target reenter"],
        ),
        ([spec(side=Side.BUY, stop=points(5), on_stop=Again(reenter=Reentry.ASAP_REVERSE))], ["1 stop reenter"]),
        ([spec(stop=points(5), on_stop=Again(wakes=("l",))), WING, spec("l", lazy=True)], []),
        ([spec(stop=points(5), on_stop=replace(ASAP, wakes=("l",))), WING, spec("l", lazy=True)], ["1 stop reenter"]),
        ([spec(), WING, spec("2", stop=points(5), on_stop=Again(wakes=("l",))), spec("l", lazy=True)], []),
        (
            [
                spec(),
                WING,
                spec("2", type_=ContractType.PE, stop=points(5), on_stop=Again(wakes=("l",))),
                spec("l", lazy=True),
            ],
            ["2 stop wakes"],
        ),
        (
            [
                spec(),
                WING,
                spec("2", type_=ContractType.PE, stop=points(5), on_stop=Again(wakes=("l", "lw"))),
                spec("l", lazy=True),
                spec("lw", Side.BUY, lazy=True, target=points(5)),
            ],
            ["lw target close"],
        ),
        ([spec(stop=points(5), on_stop=Again(wakes=("l",))), spec("l", lazy=True, type_=ContractType.PE)], []),
    ],
)
def test_what_would_leave_less_cover_than_the_plan_has_is_found_with_its_rule(
    legs: list[LegSpec], lost: list[str]
) -> None:
    assert told(*legs) == lost
    assert told(*legs, naked=True) == []


def test_a_holding_of_several_days_has_its_cut_off_on_each() -> None:
    leg = spec(stop=points(25), on_stop=ASAP)
    plan = planned(leg, reenter_until=time(9, 21))
    plan = replace(plan, schedule=replace(plan.schedule, holding=Holding.NEXT_DAY))
    overnight = timedelta(days=1)
    state = replace(held(plan), exit_at=EXIT + overnight)
    assert Game(state).path(125).entered == []
    assert len(Game(state, at=instant("09:19") + overnight).path(125).entered) == 1
