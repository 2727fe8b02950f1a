"""The kill switch end to end on the paper exchange: what it ends, what it leaves alone, that it outlasts a crash."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.domain.ids import Action
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.day import TradingDay
from option_baskets.engine.kills import arm, kill, leave
from option_baskets.engine.trading import Trading
from option_baskets.store import codec
from option_baskets.store.records import Leave, Occurrence
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, TRADING_FILE, Embedded
from tests.engine.test_limits import again
from tests.engine.test_out_rules import PLAIN
from tests.engine.test_recovery import Killed as Died
from tests.engine.test_recovery import Life, assert_journal_is_the_exchanges_book, dying
from tests.engine.tiny_day import QUIET, SPREAD, Act, Played, Prices, call, instant, play_day, put, record, steady

EVERYTHING: Killed = (KillScope.USER, "")
ONE: Killed = (KillScope.ACCOUNT, "one")
LOOKING = partial(Embedded, kills_every=timedelta(seconds=5))
"""A machine that looks for switches thrown elsewhere."""
EVERY_SECOND = partial(Embedded, kills_every=timedelta(seconds=1))
TWO_STRATEGIES = again(PLAIN, entry="09:30")
"""One is in from 09:20 to 09:35, the other is due at 09:30."""


def throws(at: str, subject: Killed, *, release: str = "") -> Act:
    """Somebody who only writes to the store, as another process does."""

    async def act(machine: Embedded) -> None:
        thrown = Kill(user_id=LOCAL_USER, subject=subject, at=instant(at), actor="asha", reason="a bad feeling")
        await machine.clock.sleep_until(instant(at))
        await machine.books.save_kill(thrown)
        if release:
            await machine.clock.sleep_until(instant(release))
            await machine.books.delete_kill(thrown, at=instant(release), actor="ravi")

    return act


def positions(played: Played, until: str = "23:59") -> dict[str, dict[str, int]]:
    """Account → contract → units at the exchange, by its own book, of orders up to a time of day."""
    held: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for account, name, side, filled, at in played.book("account, strike || ' ' || type, side, filled, updated_at"):
        if filled and f"{datetime.fromisoformat(at):%H:%M:%S}" <= until:
            held[account][name] += filled if side == "BUY" else -filled
    return {account: dict(contracts) for account, contracts in held.items()}


def assert_flat(played: Played) -> None:
    held = positions(played)
    assert held
    assert {units for contracts in held.values() for units in contracts.values()} == {0}
    assert_journal_is_the_exchanges_book(played)


def assert_never_short_of_its_hedge(played: Played) -> None:
    """After every instant of the exchange's book, every account has at least as many wings as sold calls."""
    connection = sqlite3.connect(played.data / PAPER_FILE)
    sql = """SELECT f.at, f.account, o.strike, IIF(o.side = 'BUY', f.quantity, -f.quantity) FROM fills f
        JOIN orders o USING (day, user, account, number) ORDER BY f.at"""
    rows = connection.execute(sql).fetchall()
    connection.close()
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _, fills in groupby(rows, key=lambda row: row[0]):
        for _, account, strike, units in fills:
            held[account][strike] += units
        assert all(units["26000"] + units["26100"] >= 0 for units in held.values())


def exits(played: Played, account: str = "one") -> list[str]:
    """When and on which side its exits were decided, in that order."""
    found = [each for each in played.orders if each.intent.action is Action.EXIT and each.intent.account == account]
    ordered = sorted(found, key=lambda order: (order.intent.decided_at, order.intent.side))
    return [f"{order.intent.decided_at:%H:%M:%S} {order.intent.side} {order.intent.cause}" for order in ordered]


def run_of(played: Played, strategy: str) -> Run:
    (run,) = [each.run for each in played.day.runs if each.run.strategy.name == strategy]
    return run


def inside(act: Callable[[Trading], object]) -> type[Embedded]:
    """A machine in whose process something is done beside the day."""

    class Inner(Embedded):
        async def trading_day(self, *given: object) -> TradingDay:
            day = await super().trading_day(*given)  # type: ignore[arg-type]
            day.trading.start(act(day.trading), name="act")  # type: ignore[arg-type]
            return day

    return Inner


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), QUIET)


# ---------------------------------------------------------------- what it covers


@pytest.mark.parametrize(
    "subject",
    [EVERYTHING, ONE, (KillScope.BASKET, "spread"), (KillScope.STRATEGY, "spread.spread")],
    ids=lambda subject: subject[0].value,
)
def test_a_switch_thrown_elsewhere_is_seen_within_a_second_and_closes_shorts_first(
    days: Path, tmp_path: Path, subject: Killed
) -> None:
    played = play_day(
        days, tmp_path, SPREAD, machine_of=EVERY_SECOND, acts=[throws("09:24:30", subject)], begin=instant("09:15")
    )
    assert_flat(played)
    by_time = "09:35:00 BUY time", "09:35:00 SELL time"
    at_once = exits(played)
    assert [each.split(" ", 1)[1] for each in at_once] == ["BUY kill", "SELL kill"]
    assert all("09:24:30" <= each[:8] <= "09:24:32" for each in at_once)
    assert tuple(exits(played, "two")) == (by_time if subject == ONE else tuple(at_once))
    assert played.alerts == ["killed"]


def test_a_kill_of_an_account_leaves_the_others_exactly_as_they_were(days: Path, tmp_path: Path) -> None:
    without = play_day(days, tmp_path / "without", SPREAD)
    killed = play_day(days, tmp_path / "killed", SPREAD, machine_of=LOOKING, acts=[throws("09:24:30", ONE)])

    def of_two(played: Played) -> list[tuple[object, ...]]:
        return [row for row in played.book("account, tag, side, filled, value, placed_at") if row[0] == "two"]

    assert of_two(killed) == of_two(without)


def test_entries_are_refused_until_it_is_armed_again_by_hand(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80")})
    thrown = play_day(days, tmp_path / "a", TWO_STRATEGIES, machine_of=LOOKING, acts=[throws("09:25", EVERYTHING)])
    assert_flat(thrown)
    second = run_of(thrown, "second")
    assert (second.status, second.reason, second.positions) == (RunStatus.SKIPPED, Reason.KILLED, ())
    assert second.detail.startswith("everything was killed by asha: a bad feeling; nothing is entered on one until")
    assert [refusal.reason for refusal in thrown.day.refusals] == [Reason.KILLED]
    armed = [throws("09:25", EVERYTHING, release="09:29")]
    released = play_day(days, tmp_path / "b", TWO_STRATEGIES, machine_of=LOOKING, acts=armed)
    assert_flat(released)
    assert {leg.exit_reason for leg in run_of(released, "straddle").positions} == {ExitReason.KILL}
    assert {leg.exit_reason for leg in run_of(released, "second").positions} == {ExitReason.TIME}


def test_a_switch_that_stands_when_a_day_begins_keeps_everything_from_entering(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path, SPREAD, acts=[throws("09:00", EVERYTHING)], begin=instant("08:59"))
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.KILLED)
    assert played.book("tag") == []


def test_it_is_recorded_who_did_it_and_why_for_ever(days: Path, tmp_path: Path) -> None:
    play_day(days, tmp_path, SPREAD, machine_of=LOOKING, acts=[throws("09:24", ONE, release="09:30")])
    connection = sqlite3.connect(tmp_path / TRADING_FILE)
    sql = "SELECT body FROM execution_history WHERE sk LIKE '%##EVENT#%' ORDER BY sk"
    kept = [codec.decode(body, Occurrence) for (body,) in connection.execute(sql)]
    connection.close()
    told = [f"{e.at:%H:%M} {e.what} {e.account} {e.cause} {e.actor} {e.detail}" for e in kept if e.cause == "kill"]
    assert told == ["09:24 killed one kill asha a bad feeling", "09:30 armed one kill ravi "]


# ---------------------------------------------------------------- before every rule


def test_it_goes_before_every_other_rule_of_its_instant(tmp_path: Path) -> None:
    """The call's stop of 25 %, the account's limit and the time are all due at the check of 09:24."""
    legs = 'type = "CE"\n  strike = { rule = "atm" }'
    basket = PLAIN.replace(legs, f"{legs}\n  stop = {{ percent = 25 }}")
    basket = basket.replace('id = "one"', 'id = "one"\nmax_daily_loss = 3000').replace("09:35", "09:24")
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0923="140"), put(): steady("80")}
    days = record(tmp_path / "days", prices)

    async def act(trading: Trading) -> None:
        """The switch is held, and the check of 09:24 is the first to come upon it."""
        await trading.clock.sleep_until(instant("09:23:30"))
        thrown = Kill(user_id=LOCAL_USER, subject=ONE, at=instant("09:23:30"), actor="asha")
        trading.guard.kills[LOCAL_USER, ONE] = thrown

    for machine, reason in ((Embedded, "account_stop"), (inside(act), "kill")):
        played = play_day(days, tmp_path / reason, basket, machine_of=machine)
        assert_flat(played)
        assert {f"{leg.exit_reason} {leg.exit_time:%H:%M}" for leg in played.run.positions} == {f"{reason} 09:24"}


def test_what_waits_is_dropped_and_nothing_is_entered_again(tmp_path: Path) -> None:
    """The call is stopped at 125, waits to be sold again at cost, and comes back to it after the kill."""
    cost = 'stop = { points = 20 }\n  on_stop = { reenter = "cost", times = 5 }'
    legs = 'type = "CE"\n  strike = { rule = "atm" }'
    basket = PLAIN.replace(legs, f"{legs}\n  {cost}")
    prices: Prices = {
        "NIFTY": steady("26010"),
        call(): steady("100", at0921="125", at0926="95"),
        put(): steady("80"),
    }
    days = record(tmp_path / "days", prices)
    usual = play_day(days, tmp_path / "usual", basket)
    assert sum(leg.leg == "1" for leg in usual.run.positions) == 2
    killed = play_day(days, tmp_path / "killed", basket, machine_of=LOOKING, acts=[throws("09:24", ONE)])
    assert_flat(killed)
    assert [leg.exit_reason for leg in killed.run.positions] == [ExitReason.STOP, ExitReason.KILL]
    assert killed.run.pending == ()


def test_a_strategy_that_its_own_stop_closed_at_the_same_time_is_not_begun_again(tmp_path: Path) -> None:
    """Its stop is due at 09:24:00 and its account out for ten seconds; the switch is thrown meanwhile."""
    rules = 'exit = "09:35"\nstop = { rupees = 3000 }\nrestart = { on_stop = 3 }'
    basket = PLAIN.replace('exit = "09:35"', rules)
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0923="140"), put(): steady("80")}
    days = record(tmp_path / "days", prices)
    out = {"one": Behaviour(outages=(Outage(start=instant("09:24"), lasts=timedelta(seconds=10)),))}
    usual = play_day(days, tmp_path / "usual", basket, behaviour=out)
    assert [each.run.status for each in usual.day.runs] == [RunStatus.CLOSED, RunStatus.CLOSED]
    acts = [throws("09:24:03", EVERYTHING)]
    played = play_day(days, tmp_path / "killed", basket, machine_of=LOOKING, behaviour=out, acts=acts)
    assert_flat(played)
    first, second = (each.run for each in played.day.runs)
    assert {leg.exit_reason for leg in first.positions} == {ExitReason.STRATEGY_STOP}
    assert (second.status, second.reason) == (RunStatus.SKIPPED, Reason.KILLED)


# ---------------------------------------------------------------- while entries are under way


SLOW = SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 300')


@pytest.mark.parametrize("at", ["09:20:00", "09:20:01", "09:20:02", "09:20:03", "09:20:05", "09:20:07"])
@pytest.mark.parametrize("crosses", [0, 1])
def test_thrown_while_entering_at_a_broker_that_takes_two_seconds_to_answer(
    days: Path, tmp_path: Path, at: str, crosses: int
) -> None:
    """Cancels that meet a fill, too: what the entry still got is exited, and no account is left short of its hedge."""
    behaviour = Behaviour(latency=timedelta(seconds=2), partial_fills=1, crossed_cancels=crosses)
    slow = dict.fromkeys(("one", "two"), behaviour)
    played = play_day(days, tmp_path, SLOW, machine_of=LOOKING, behaviour=slow, acts=[throws(at, EVERYTHING)])
    held = positions(played)
    assert {units for contracts in held.values() for units in contracts.values()} <= {0}
    assert_journal_is_the_exchanges_book(played)
    assert played.run.status in {RunStatus.CLOSED, RunStatus.FAILED, RunStatus.SKIPPED}
    late = [order for order in played.orders if order.intent.action is Action.ENTER and order.broker_order_id]
    assert all(order.intent.decided_at <= instant("09:20:30") for order in late)
    assert_never_short_of_its_hedge(played)
    last = max((order.updated_at for order in played.orders), default=instant("09:20"))
    assert last <= instant("09:21"), "flat within a minute, far from the exit at 09:35"


def test_an_entry_that_waits_for_its_hedge_does_not_leave_once_the_switch_is_known(days: Path, tmp_path: Path) -> None:
    """The wing is answered after two seconds; until the check of 09:21 nothing but the fence is there."""

    async def act(trading: Trading) -> None:
        await trading.clock.sleep_until(instant("09:20:01"))
        thrown = Kill(user_id=LOCAL_USER, subject=ONE, at=instant("09:20:01"), actor="asha")
        trading.guard.kills[LOCAL_USER, ONE] = thrown

    slow = dict.fromkeys(("one", "two"), Behaviour(latency=timedelta(seconds=2), lost_updates=1))
    played = play_day(days, tmp_path, SLOW, machine_of=inside(act), behaviour=slow)
    assert_flat(played)
    (refused,) = [each for each in played.day.refusals if each.account == "one"]
    assert (refused.reason, refused.leg, f"{refused.at:%H:%M:%S}") == (Reason.KILLED, "short", "09:20:02")
    assert [strike for account, strike in played.book("account, strike") if account == "one"] == ["26100", "26100"]
    assert played.leg("short", "two").entered > 0


def test_known_fills_are_exited_while_the_fate_of_another_order_is_not_known(tmp_path: Path) -> None:
    """Of the two sold legs one never arrives: after thirty seconds of looking for it, it is known to be nowhere."""
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80")})
    lost = {"one": Behaviour(lost_requests=0.5, seed=2)}
    played = play_day(
        days, tmp_path / "data", PLAIN, machine_of=LOOKING, behaviour=lost, acts=[throws("09:20:03", ONE)]
    )
    assert_flat(played)
    absent, filled = sorted(
        (order for order in played.orders if order.intent.action is Action.ENTER), key=lambda order: order.filled
    )
    assert (absent.state, filled.state) == (OrderState.ABSENT, OrderState.FILLED)
    assert absent.updated_at >= instant("09:20:30")
    assert exits(played) == ["09:20:05 BUY kill"]


# ---------------------------------------------------------------- brokers at their worst


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(latency=timedelta(seconds=2), jitter=timedelta(seconds=3)),
        Behaviour(rejections=0.6, seed=5),
        Behaviour(lost_answers=1),
        Behaviour(lost_requests=0.5, seed=2),
        Behaviour(outages=(Outage(start=instant("09:24"), lasts=timedelta(minutes=3)),)),
        Behaviour(busy=1, partial_fills=1, lost_updates=1, server_errors=0.5, seed=9),
    ],
    ids=["slow", "rejects", "silent", "loses", "out", "everything"],
)
def test_it_goes_on_until_flat_whatever_the_broker_does(days: Path, tmp_path: Path, behaviour: Behaviour) -> None:
    how = dict.fromkeys(("one", "two"), behaviour)
    played = play_day(days, tmp_path, SLOW, machine_of=LOOKING, behaviour=how, acts=[throws("09:24:30", EVERYTHING)])
    held = positions(played)
    assert {units for contracts in held.values() for units in contracts.values()} <= {0}
    assert_journal_is_the_exchanges_book(played)
    exited = [order for order in played.orders if order.intent.action is Action.EXIT and order.filled]
    assert exited == [] or max(order.updated_at for order in exited) <= instant("09:29")


# ---------------------------------------------------------------- through the engine's API


def test_thrown_and_released_through_the_engine_it_works_at_once(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80")})

    async def act(trading: Trading) -> None:
        await trading.clock.sleep_until(instant("09:25:10"))
        seen = await kill(trading, LOCAL_USER, EVERYTHING, actor="asha", reason="by hand")
        assert seen.seen_at == instant("09:25:10")
        await trading.clock.sleep_until(instant("09:26"))
        await arm(trading, LOCAL_USER, EVERYTHING, actor="asha")
        assert trading.guard.kills == {}

    played = play_day(days, tmp_path / "data", TWO_STRATEGIES, machine_of=inside(act))
    assert exits(played)[:2] == ["09:25:10 BUY kill", "09:25:10 BUY kill"]
    assert {leg.exit_reason for leg in run_of(played, "second").positions} == {ExitReason.TIME}
    assert_flat(played)


def test_a_strategy_is_left_by_hand_and_fences_nothing(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80")})

    async def act(trading: Trading) -> None:
        await trading.clock.sleep_until(instant("09:25:10"))
        await leave(trading, LOCAL_USER, "straddle.straddle", actor="asha")

    played = play_day(days, tmp_path / "data", TWO_STRATEGIES, machine_of=inside(act))
    assert exits(played)[:2] == ["09:25:10 BUY manual", "09:25:10 BUY manual"]
    assert {leg.exit_reason for leg in run_of(played, "second").positions} == {ExitReason.TIME}
    assert_flat(played)


def test_an_exit_asked_for_again_while_the_first_is_taken_up_is_not_taken_away_with_it(
    days: Path, tmp_path: Path
) -> None:
    async def asks(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:16"))
        asked = Leave(user_id=LOCAL_USER, strategy_id="spread.spread", at=instant("09:16"), actor="asha")
        await machine.books.save_leave(asked)
        _, (read,), _ = await machine.books.kills()
        again = await machine.books.save_leave(asked)
        await machine.books.delete_leave(read)
        assert await machine.books.leave_of(LOCAL_USER, "spread.spread") == again
        await machine.books.delete_leave(again)
        assert await machine.books.leave_of(LOCAL_USER, "spread.spread") is None

    assert play_day(days, tmp_path, SPREAD, acts=[asks]).run.status is RunStatus.CLOSED


def test_a_strategy_left_from_another_process_is_left_within_a_second(days: Path, tmp_path: Path) -> None:
    async def asks(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:24:30"))
        asked = Leave(user_id=LOCAL_USER, strategy_id="spread.spread", at=instant("09:24:30"), actor="asha")
        stored = await machine.books.save_leave(asked)
        assert await machine.books.leave_of(LOCAL_USER, "spread.spread") == stored
        await machine.clock.sleep_until(instant("09:24:33"))
        assert await machine.books.leave_of(LOCAL_USER, "spread.spread") is None

    played = play_day(days, tmp_path, SPREAD, machine_of=LOOKING, acts=[asks])
    assert_flat(played)
    assert {leg.exit_reason for leg in played.run.positions} == {ExitReason.MANUAL}


# ---------------------------------------------------------------- a crash at any commit


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("at", "part"), [("09:17:01", 0), ("09:18:30", 1)])
def test_killed_after_any_commit_the_process_finds_the_switch_and_ends_flat(tmp_path: Path, at: str, part: int) -> None:
    short = SPREAD.replace("09:20", "09:17").replace("09:35", "09:22")
    short = short.replace('exit = "09:22"', 'exit = "09:22"\nentry_grace_seconds = 60')
    prices: Prices = {
        "NIFTY": steady("26010", end="09:24"),
        call(): steady("100", end="09:24"),
        call(26100): steady("40", end="09:24"),
    }
    days = record(tmp_path / "days", prices, hours="09:15-09:24")
    slow = {account: Behaviour(latency=timedelta(seconds=2)) for account in ("one", "two")}
    survived, after_the_switch = False, 0
    for number in range(1 + part, 1000, 4):
        life, data = Life(number), tmp_path / str(number)
        mortal, acts = partial(dying(table=life), kills_every=timedelta(seconds=2)), [throws(at, EVERYTHING)]
        try:
            play_day(days, data, short, machine_of=mortal, behaviour=slow, acts=acts, begin=instant("09:15"))
            survived = True
            break
        except (Died, BaseExceptionGroup):
            pass
        resumed = play_day(days, data, short, machine_of=LOOKING, behaviour=slow, begin=instant("09:15"))
        assert resumed.run.is_flat
        assert_journal_is_the_exchanges_book(resumed)
        assert {units for contracts in positions(resumed).values() for units in contracts.values()} <= {0}
        if "killed" in resumed.alerts:
            after_the_switch += 1
            entered = [each for each in resumed.run.positions if each.entered]
            assert {each.exit_reason for each in entered} <= {ExitReason.KILL, ExitReason.UNWIND}
            filled = [order for order in resumed.orders if order.intent.action is Action.ENTER and order.filled]
            assert all(order.intent.decided_at <= instant(at) + timedelta(seconds=2) for order in filled)
            assert all(order.state.is_final for order in resumed.orders)
    assert survived
    assert after_the_switch >= 3
