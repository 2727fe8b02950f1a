"""A whole strategy entered again after its stop or target: a new run with strikes of that instant, so often.

A call is sold at 100 and a put at 80 at 09:20, 2 lots of 65 each: 130 units. A rise of 40 in the call is 5,200 rupees.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.cli import main
from option_baskets.domain.contract import ContractType
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.report import as_json
from option_baskets.ports import Put, Write
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.nights import MON, TUE, days, on, trade
from tests.engine.test_out_rules import legs
from tests.engine.test_overnight import NEXT_DAY, market
from tests.engine.test_recovery import Killed, Life, dying
from tests.engine.tiny_day import DAY, Act, Played, Prices, call, instant, play_day, put, record, steady

STOP = "stop = { rupees = 5000 }\n"
TWICE = STOP + "restart = { on_stop = 2 }\n"
FALLING: Prices = {
    "NIFTY": steady("26010", at0922="26110", at0925="26210"),
    call(): steady("100", at0922="140"),
    put(): steady("80"),
    call(26100): steady("90", at0925="130"),
    put(26100): steady("70"),
    call(26200): steady("60", at0927="100"),
    put(26200): steady("50"),
}
"""The money goes to 26,100 and 26,200, and each time the sold call of the money before rises by 40."""


def play(tmp_path: Path, basket: str, prices: Prices = FALLING, *, acts: Sequence[Act] = ()) -> Played:
    recorded = record(tmp_path / "days", prices)
    return play_day(recorded, tmp_path / "data", basket, acts=acts)


def runs(played: Played) -> list[Run]:
    return [each.run for each in played.day.runs]


def told(played: Played) -> list[str]:
    """Of each cycle: its strike, when it was in and out, and why."""
    lines = []
    for run in runs(played):
        if not run.positions:
            lines.append(f"{run.cycle} {run.status} {run.reason}")
            continue
        leg = run.positions[0]
        assert leg.entry_time is not None
        assert leg.exit_time is not None
        lines.append(
            f"{run.cycle} {leg.contract.strike} {leg.entry_time:%H:%M} {leg.exit_time:%H:%M} {leg.exit_reason}"
        )
    return lines


def assert_flat(played: Played) -> None:
    held: dict[str, int] = {}
    for name, side, filled in played.book("strike || ' ' || type, side, filled"):
        held[name] = held.get(name, 0) + (filled if side == "BUY" else -filled)
    assert held
    assert set(held.values()) == {0}


def test_a_stopped_strategy_is_sold_again_at_that_instant_at_the_money_of_then_and_twice_only(tmp_path: Path) -> None:
    """09:23: 40 x 130 = 5,200 lost, out at 140 and 80, in at 26,100 for 90 and 70. 09:26: 130, again 5,200; in at
    26,200 for 60 and 50. 09:28: 100, the third stop, and two restarts are used up."""
    played = play(tmp_path, legs(strategy=TWICE))
    assert told(played) == [
        "0 26000 09:20 09:23 strategy_stop",
        "1 26100 09:23 09:26 strategy_stop",
        "2 26200 09:26 09:28 strategy_stop",
    ]
    assert [run.id for run in runs(played)] == [f"2026-11-24#straddle.straddle#{cycle}" for cycle in range(3)]
    assert [run.followed_by for run in runs(played)] == [*(run.id for run in runs(played)[1:]), ""]
    second = runs(played)[1]
    assert [f"{leg.entry_price:.0f} {leg.exit_price:.0f}" for leg in second.positions] == ["90 130", "70 70"]
    assert sum(leg.gross for leg in second.positions) == -40 * 130
    assert_flat(played)


def test_without_a_restart_a_stopped_strategy_stays_out(tmp_path: Path) -> None:
    assert told(play(tmp_path, legs(strategy=STOP))) == ["0 26000 09:20 09:23 strategy_stop"]


def test_stops_and_targets_are_counted_separately_and_a_lock_is_a_target(tmp_path: Path) -> None:
    """Stopped at 09:23. 26,100 sold at 90 is at 80 at 09:26: 1,300 arm the lock of 1,000; at 88 at 09:28 260 are left,
    no more than 500. Both restarts are used up, so that nothing follows the stop of the third run at 09:31."""
    prices: Prices = {
        "NIFTY": steady("26010", at0922="26110", at0927="26210"),
        call(): steady("100", at0922="140"),
        put(): steady("80"),
        call(26100): steady("90", at0925="80", at0927="88"),
        put(26100): steady("70"),
        call(26200): steady("60", at0930="100"),
        put(26200): steady("50"),
    }
    rules = STOP + "lock = { at = 1000, keep = 500 }\nrestart = { on_stop = 1, on_target = 1 }\n"
    assert told(play(tmp_path, legs(strategy=rules), prices)) == [
        "0 26000 09:20 09:23 strategy_stop",
        "1 26100 09:23 09:28 lock",
        "2 26200 09:28 09:31 strategy_stop",
    ]


def test_a_target_restarts_and_a_run_that_is_left_by_time_does_not(tmp_path: Path) -> None:
    """10 x 130 = 1,300 at 09:25; the next run makes nothing and goes at its time."""
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0924="90"), put(): steady("80")}
    rules = "target = { rupees = 1300 }\nrestart = { on_target = 5 }\n"
    assert told(play(tmp_path, legs(strategy=rules), prices)) == [
        "0 26000 09:20 09:25 strategy_target",
        "1 26000 09:25 09:35 time",
    ]


def test_a_legs_own_stop_is_no_stop_of_the_strategy(tmp_path: Path) -> None:
    rules = 'stop = { percent = 25 }\n  square_off = "all"'
    played = play(tmp_path, legs(rules, strategy="stop = { rupees = 50000 }\nrestart = { on_stop = 2 }\n"))
    assert told(played) == ["0 26000 09:20 09:23 stop"]


def test_nothing_begins_again_at_or_after_reenter_until(tmp_path: Path) -> None:
    """The second stop comes at 09:26, which is the cut-off."""
    until = 'reenter_until = "09:26"\n'
    assert told(play(tmp_path, legs(strategy=TWICE + until))) == [
        "0 26000 09:20 09:23 strategy_stop",
        "1 26100 09:23 09:26 strategy_stop",
    ]


def test_a_stop_at_the_exit_time_is_the_end(tmp_path: Path) -> None:
    basket = legs(strategy=TWICE).replace('exit = "09:35"', 'exit = "09:26"')
    assert told(play(tmp_path, basket)) == ["0 26000 09:20 09:23 strategy_stop", "1 26100 09:23 09:26 strategy_stop"]


def test_it_begins_again_once_every_account_is_flat_with_the_lots_of_each(tmp_path: Path) -> None:
    second = '  [[strategies.allocations]]\n  account = "two"\n  lots = 1\n'
    basket = legs(strategy=TWICE).replace("[[strategies]]", '[[accounts]]\nid = "two"\n[[strategies]]') + second
    played = play(tmp_path, basket)
    after = runs(played)[1]
    assert [(leg.account, leg.lots) for leg in after.positions] == [("one", 2), ("one", 2), ("two", 1), ("two", 1)]
    assert {leg.contract.type for leg in after.positions} == {ContractType.CE, ContractType.PE}
    assert_flat(played)


def test_a_pause_ends_it(tmp_path: Path) -> None:
    async def pause(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:22"))
        plan = await machine.books.plan(LOCAL_USER, "straddle.straddle")
        assert plan is not None
        await machine.books.save_strategy(LOCAL_USER, replace(plan.strategy, paused=True))

    played = play(tmp_path, legs(strategy=TWICE), acts=[pause])
    assert told(played) == ["0 26000 09:20 09:23 strategy_stop", "1 SKIPPED paused"]


def test_the_newest_plan_is_the_one_that_is_entered_again(tmp_path: Path) -> None:
    async def add_a_lot(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:22"))
        allocation = await machine.books.allocation(LOCAL_USER, "straddle.straddle.one")
        assert allocation is not None
        await machine.books.save_allocation(LOCAL_USER, replace(allocation, units=3))

    played = play(tmp_path, legs(strategy=TWICE), acts=[add_a_lot])
    assert [[leg.lots for leg in run.positions] for run in runs(played)][:2] == [[2, 2], [3, 3]]


def test_fewer_restarts_in_the_newest_plan_end_it(tmp_path: Path) -> None:
    async def take_it_back(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:22"))
        plan = await machine.books.plan(LOCAL_USER, "straddle.straddle")
        assert plan is not None
        await machine.books.save_strategy(LOCAL_USER, replace(plan.strategy, restart=None))

    played = play(tmp_path, legs(strategy=TWICE), acts=[take_it_back])
    assert told(played)[1:] == ["1 SKIPPED not_due"]
    assert runs(played)[1].reason is Reason.NOT_DUE


class UntilClaim(Life):
    """Dies right after the commit that closes the run and claims the next."""

    def spend(self, writes: Sequence[Write] = ()) -> None:
        if any(_claims(write) for write in writes):
            self.left = 0
            raise Killed


def _claims(write: Write) -> bool:
    return isinstance(write, Put) and write.item.sk.endswith("straddle#1") and write.item.version == 1


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_between_the_close_and_the_new_entry_it_is_entered_once(tmp_path: Path) -> None:
    recorded = record(tmp_path / "days", FALLING)
    whole = play_day(recorded, tmp_path / "whole", legs(strategy=TWICE))
    life = UntilClaim(1)
    with pytest.raises(Killed):
        play_day(recorded, tmp_path / "data", legs(strategy=TWICE), machine_of=dying(table=life))
    resumed = play_day(recorded, tmp_path / "data", legs(strategy=TWICE))
    assert json.dumps(as_json([resumed.day])) == json.dumps(as_json([whole.day]))
    assert told(resumed)[1] == "1 26100 09:23 09:26 strategy_stop"


def test_a_cycle_counts_its_own_losses_only(tmp_path: Path) -> None:
    """5,200 were lost before; 26,100 sold at 90 and then at 109 has lost 19 x 130 = 2,470, which stops nothing."""
    prices: Prices = {**FALLING, call(26100): steady("90", at0925="109")}
    played = play(tmp_path, legs(strategy=TWICE), prices)
    assert told(played)[1:] == ["1 26100 09:23 09:35 time"]
    assert runs(played)[1].status is RunStatus.CLOSED
    assert {leg.exit_reason for leg in runs(played)[1].positions} == {ExitReason.TIME}


def test_explain_tells_every_cycle(tmp_path: Path) -> None:
    recorded = record(tmp_path / "days", FALLING)
    file = tmp_path / "basket.toml"
    file.write_text("format = 1\n" + legs(strategy=TWICE), encoding="utf-8")
    command = ["explain", str(file), "--data", str(recorded), "--date", f"{DAY}"]
    told = CliRunner().invoke(main, command, env={"COLUMNS": "110"}).output.splitlines()
    assert "Once all is closed, the strategy is entered again after its stop, at most twice." in told
    first, second = (
        told.index(f"The whole strategy again at {at}, cycle {n}:") for n, at in ((1, "09:23"), (2, "09:26"))
    )
    bought = "one: SELL 130 of leg 1 at 90.00 at 09:23; out at 130.00 at 09:26"
    assert bought in "".join(told[first:second])
    assert any(" ".join(line.split()) == "strategy stop all - -₹5,000.00 fires at 09:23" for line in told)


@pytest.mark.parametrize("together", [False, True], ids=["a process a day", "one process"])
def test_a_strategy_stopped_on_its_second_day_begins_again_there_and_leaves_when_the_first_would_have(
    tmp_path: Path, together: bool
) -> None:
    """Sold on Monday at 100 and 80. On Tuesday the call is at 140 from the bar of 09:17 on, 5,200 lost at 09:18; sold
    again at 140 and 80, out at 09:30."""
    basket = NEXT_DAY.replace("  stop = { percent = 25 }\n", "").replace("09:20", "09:30")
    basket = basket.replace('days = ["MON"]', f'days = ["MON"]\n{TWICE}')
    monday = market(steady("100"), steady("80"))
    tuesday = market(steady("100", at0917="140"), steady("80"))
    nights = trade(days(tmp_path / "days", {MON: monday, TUE: tuesday}), tmp_path / "data", basket, together=together)
    first, second = nights.run(TUE), nights.run(TUE, 1)
    assert [first.id, second.id] == [f"{MON}#overnight.straddle#0", f"{MON}#overnight.straddle#1"]
    assert {leg.exit_reason for leg in first.positions} == {ExitReason.STRATEGY_STOP}
    assert [(leg.entry_time, leg.exit_time) for leg in second.positions] == 2 * [(on(TUE, "09:18"), on(TUE, "09:30"))]
    assert nights.held_at_the_exchange == {}
