"""Limits end to end: what they refuse is never sent, what they end is flat at the exchange, a restart changes nothing.

A call is sold at 100 and a put at 80, 2 lots of 65 each: 130 units, 23,400 of premium. The orders that sell them cost

    brokerage    2 orders x 20                                                 40.00
    STT          0.15 % of 23,400                                              35.10
    exchange     0.0355299 % of 23,400                                          8.31
    SEBI         0.0001 % of 23,400                                             0.02
    GST          18 % of 48.34 (brokerage, exchange and SEBI)                   8.70

    together                                                                   92.14

so the net loss is 92.14 more than the gross one.
"""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.cli import main
from option_baskets.domain.ids import Action
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.report import as_json
from option_baskets.wiring import Embedded
from tests.engine.test_out_rules import PLAIN, TWO
from tests.engine.test_recovery import Killed, Life, being_sent, dying
from tests.engine.tiny_day import LISTED, LOT, Bars, Played, Prices, call, instant, play_day, put, record, steady

LOTS = '  account = "one"\n  lots = 2\n'
STRATEGY = PLAIN[PLAIN.index("[[strategies]]") :]
"""Sold at 09:20 without any rule, out at 09:35."""


def limited(*, allocation: str = "", account: str = "", basket: str = "", of: str = PLAIN) -> str:
    """The straddle with these limits."""
    of = of.replace(LOTS, f"{LOTS}  limits = {{ {allocation} }}\n") if allocation else of
    of = of.replace('id = "one"', f'id = "one"\n{account}')
    return of.replace('mode = "paper"', f'mode = "paper"\n{basket}')


def again(strategy: str, **changes: str) -> str:
    """The file with a second strategy; ``entry="09:30"`` and so on are changed in it."""
    second = STRATEGY.replace('name = "straddle"', 'name = "second"')
    for key, value in changes.items():
        was = {"entry": "09:20", "exit": "09:35"}[key]
        second = second.replace(f'{key} = "{was}"', f'{key} = "{value}"')
    return strategy + second


def play(tmp_path: Path, basket: str, *, of_call: Bars | None = None, of_put: Bars | None = None) -> Played:
    prices: Prices = {"NIFTY": steady("26010"), call(): of_call or steady("100"), put(): of_put or steady("80")}
    return play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)


def run_of(played: Played, strategy: str = "straddle") -> Run:
    (run,) = [each.run for each in played.day.runs if each.run.strategy.name == strategy]
    return run


def ended(played: Played, strategy: str = "straddle", leg: str = "1", account: str = "one") -> str:
    """Why, when and at what price the leg was closed, once every account is seen to be flat by its orders."""
    held: dict[tuple[str, str], int] = {}
    for name, side, filled, at in played.book("strike || ' ' || type, side, filled, account"):
        held[at, name] = held.get((at, name), 0) + (filled if side == "BUY" else -filled)
    assert held
    assert set(held.values()) == {0}
    run = run_of(played, strategy)
    assert run.status is RunStatus.CLOSED
    position = run.position((leg, account, 0))
    assert position.exit_time is not None
    return f"{position.exit_reason} {position.exit_time:%H:%M} {position.exit_price:.2f}"


def fences(played: Played) -> list[str]:
    (session,) = json.loads(json.dumps(as_json([played.day])))["sessions"]
    return [
        f"{each['over']} {each['account'] or each['basket']} {each['rule']} {each['loss']} of {each['limit']}"
        for each in session["fences"]
    ]


# ---------------------------------------------------------------- losses


def test_an_allocation_is_left_at_its_daily_loss_and_the_other_account_goes_on(tmp_path: Path) -> None:
    """37.75 x 130 = 4,907.50 and 92.14 are 4,999.64; 37.80 x 130 = 4,914 and 92.14 are 5,006.14."""
    of_call = steady("100", at0923="137.75", at0926="137.80", at0928="150")
    played = play(tmp_path, limited(allocation="max_daily_loss = 5000", of=TWO), of_call=of_call)
    assert ended(played) == "allocation_stop 09:27 137.80"
    assert ended(played, leg="2") == "allocation_stop 09:27 80.00"
    assert ended(played, account="two") == "time 09:35 150.00"
    assert fences(played) == ["allocation one max_daily_loss 5006.14 of 5000.00"]
    assert played.alerts == ["allocation_stop"]


def test_an_account_is_left_by_every_strategy_when_their_losses_add_up(tmp_path: Path) -> None:
    """Two straddles: 260 units, 184.28 of charges. 18.50 x 260 = 4,810 and 184.28 are 4,994.28; 18.55: 5,007.28."""
    basket = again(limited(account="max_daily_loss = 5000"))
    played = play(tmp_path, basket, of_call=steady("100", at0923="118.50", at0926="118.55"))
    for strategy in ("straddle", "second"):
        assert ended(played, strategy) == "account_stop 09:27 118.55"
        assert ended(played, strategy, "2") == "account_stop 09:27 80.00"
    assert fences(played) == ["account one max_daily_loss 5007.28 of 5000.00"]


def test_a_basket_counts_what_was_lost_in_runs_that_are_over(tmp_path: Path) -> None:
    """The first is out at 09:24 with the call at 110: 1,300 lost, and the charges of four orders.

    Selling cost 92.14; buying back for 14,300 and 10,400 costs 40 + 8.78 exchange + 0.02 SEBI + 8.78 GST + 0.74 stamp
    duty = 58.33: a net loss of 1,450.46. The second, sold at 100 too, has 92.14 of charges. At 126.55 it is 3,451.50
    down, 4,994.10 together; at 126.60 it is 3,458, and 5,000.60.
    """
    basket = again(limited(basket="max_daily_loss = 5000").replace("09:35", "09:24"), entry="09:20", exit="09:35")
    played = play(tmp_path, basket, of_call=steady("100", at0923="110", at0925="126.55", at0928="126.60"))
    assert ended(played) == "time 09:24 110.00"
    assert ended(played, "second") == "basket_stop 09:29 126.60"
    assert fences(played) == ["basket straddle max_daily_loss 5000.60 of 5000.00"]


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_lost_before_a_restart_counts_after_it(tmp_path: Path) -> None:
    """As above, with a process that dies at 09:26, when the first run is over."""
    basket = again(limited(basket="max_daily_loss = 5000").replace("09:35", "09:24"), entry="09:20", exit="09:35")
    of_call = steady("100", at0923="110", at0925="126.55", at0928="126.60")
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): of_call, put(): steady("80")})

    async def dies(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:26:30"))
        raise Killed

    with pytest.raises(Killed):
        play_day(days, tmp_path / "data", basket, acts=[dies])
    played = play_day(days, tmp_path / "data", basket)
    assert ended(played) == "time 09:24 110.00"
    assert ended(played, "second") == "basket_stop 09:29 126.60"
    assert fences(played) == ["basket straddle max_daily_loss 5000.60 of 5000.00"]


def test_a_basket_is_left_when_it_falls_from_its_highest(tmp_path: Path) -> None:
    """1 % of 500,000 is 5,000. At 80 it has made 2,600 less 92.14. 4,998.50 below that is the call at 118.45 (38.45 x
    130), 5,005.00 at 118.50."""
    of_call = steady("100", at0922="80", at0924="118.45", at0927="118.50")
    played = play(tmp_path, limited(basket="max_drawdown_percent = 1"), of_call=of_call)
    assert ended(played) == "basket_stop 09:28 118.50"
    assert fences(played) == ["basket straddle max_drawdown_percent 5005.00 of 5000.00"]


def test_the_account_is_named_before_the_basket_and_that_before_the_allocation_and_the_strategy(tmp_path: Path) -> None:
    """At 140 the loss of 5,292.14 reaches all of them."""
    rule = 'exit = "09:35"\nstop = { rupees = 5000 }'
    loss = "max_daily_loss = 5000"
    expected = {
        "account_stop": limited(allocation=loss, account=loss, basket=loss),
        "basket_stop": limited(allocation=loss, basket=loss),
        "allocation_stop": limited(allocation=loss),
        "strategy_stop": PLAIN,
    }
    for reason, basket in expected.items():
        played = play(tmp_path / reason, basket.replace('exit = "09:35"', rule), of_call=steady("100", at0923="140"))
        assert ended(played) == f"{reason} 09:24 140.00"


def test_a_limit_goes_before_a_stop_inside_the_same_bar(tmp_path: Path) -> None:
    basket = limited(allocation="max_daily_loss = 5000").replace(
        'type = "CE"\n  strike = { rule = "atm" }', 'type = "CE"\n  strike = { rule = "atm" }\n  stop = { points = 30 }'
    )
    assert ended(play(tmp_path, basket, of_call=steady("100", at0923="140"))) == "allocation_stop 09:24 140.00"


def test_a_price_that_stands_still_keeps_no_limit_from_firing(tmp_path: Path) -> None:
    """The call has no bar after 09:23 and keeps its 130; the put adds 1,007.50 at 09:27: 3,900 + 1,007.50 + 92.14."""
    stale = {start: price for start, price in steady("100", at0922="130").items() if start <= "09:23"}
    stale |= dict.fromkeys(("09:34", "09:35"), "131")
    basket = limited(allocation="max_daily_loss = 4999")
    played = play(tmp_path, basket, of_call=stale, of_put=steady("80", at0926="87.75"))
    position = run_of(played).position(("2", "one", 0))
    assert position.exit_reason is ExitReason.ALLOCATION_STOP
    assert f"{position.exit_time:%H:%M}" == "09:27"


# ---------------------------------------------------------------- no more entries that day


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"account": "max_daily_loss = 5000"}, Reason.ACCOUNT_STOPPED),
        ({"basket": "max_daily_loss = 5000"}, Reason.BASKET_STOPPED),
    ],
)
def test_after_it_nothing_is_entered_that_day(tmp_path: Path, limits: dict[str, str], reason: Reason) -> None:
    basket = again(limited(**limits), entry="09:30")
    played = play(tmp_path, basket, of_call=steady("100", at0923="140"))
    assert ended(played) in {"account_stop 09:24 140.00", "basket_stop 09:24 140.00"}
    second = run_of(played, "second")
    assert (second.status, second.reason, second.positions) == (RunStatus.SKIPPED, reason, ())
    assert [refusal.reason for refusal in played.day.refusals] == [reason]


def test_an_allocation_that_is_stopped_leaves_other_strategies_of_the_account_alone(tmp_path: Path) -> None:
    basket = again(limited(allocation="max_daily_loss = 5000"), entry="09:30")
    played = play(tmp_path, basket, of_call=steady("100", at0923="140"))
    assert (ended(played), ended(played, "second")) == ("allocation_stop 09:24 140.00", "time 09:35 140.00")


def test_what_waits_there_is_dropped(tmp_path: Path) -> None:
    """The second waits for the call to rise by 45 to 145; at 140 the basket is at its limit, at 150 nothing happens."""
    head, tail = again(limited(basket="max_daily_loss = 5000")).rsplit('exit = "09:35"', 1)
    waiting = head + 'exit = "09:35"\nwait = { points = 45 }' + tail
    played = play(tmp_path, waiting, of_call=steady("100", at0923="140", at0925="150"))
    assert ended(played) == "basket_stop 09:24 140.00"
    run = run_of(played, "second")
    assert (run.status, run.reason, run.positions, run.pending) == (RunStatus.SKIPPED, Reason.CANCELLED, (), ())
    assert run.detail == "ended by basket_stop"
    assert [refusal.reason for refusal in played.day.refusals] == [Reason.CANCELLED]


def test_an_entry_under_way_is_ended_and_what_it_has_is_closed(tmp_path: Path) -> None:
    """Answers take 100 s: the first is filled at 09:21:40, the second is sent at 09:22, filled at 09:23:40. The fence
    is of 09:23."""
    basket = again(limited(account="max_daily_loss = 5000"), entry="09:22")
    basket = basket.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 300')
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0922="140"), put(): steady("80")}
    days = record(tmp_path / "days", prices)
    slow = {"one": Behaviour(latency=timedelta(seconds=100))}
    played = play_day(days, tmp_path / "data", basket, behaviour=slow)
    held: dict[str, int] = {}
    for name, side, filled in played.book("strike || ' ' || type, side, filled"):
        held[name] = held.get(name, 0) + (filled if side == "BUY" else -filled)
    assert set(held.values()) == {0}
    assert fences(played)[0].startswith("account one max_daily_loss")
    for each in played.day.runs:
        assert {leg.exit_reason for leg in each.run.positions if leg.entered} == {ExitReason.ACCOUNT_STOP}
    causes = {order.intent.cause for order in played.orders if order.intent.action is Action.EXIT}
    assert causes == {ExitReason.ACCOUNT_STOP}


FENCED = (
    again(limited(basket="max_daily_loss = 5000"), entry="09:21").replace("09:20", "09:17").replace("09:35", "09:22")
)
"""In at 09:17, at its limit at 09:19, fenced when the second is due at 09:21."""


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_after_any_commit_the_fence_stands_and_the_day_ends_the_same(tmp_path: Path) -> None:
    prices: Prices = {
        "NIFTY": steady("26010", end="09:24"),
        call(): steady("100", end="09:24", at0918="140"),
        put(): steady("80", end="09:24"),
    }
    days = record(tmp_path / "days", prices, hours="09:15-09:24")
    whole = play_day(days, tmp_path / "whole", FENCED)
    assert ended(whole) == "basket_stop 09:19 140.00"
    assert run_of(whole, "second").reason is Reason.BASKET_STOPPED
    compared = 0
    for number in range(1, 1000):
        life = Life(number)
        try:
            play_day(days, tmp_path / str(number), FENCED, machine_of=dying(table=life))
            break
        except Killed:
            pass
        resumed = play_day(days, tmp_path / str(number), FENCED)
        assert all(each.run.is_flat for each in resumed.day.runs)
        if not being_sent(life, resumed):
            compared += 1
            assert json.dumps(as_json([resumed.day])) == json.dumps(as_json([whole.day])), f"after commit {number}"
    assert compared >= 5


# ---------------------------------------------------------------- how much is entered


def test_a_position_value_above_its_limit_is_not_entered_and_the_other_account_goes_on(tmp_path: Path) -> None:
    """2 lots are 23,400 of premium, 1 lot 11,700."""
    played = play(tmp_path, limited(allocation="max_position_value = 23399.99", of=TWO))
    assert {order.intent.account for order in played.orders} == {"two"}
    assert ended(played, account="two") == "time 09:35 100.00"
    assert {(short.account, short.reason) for short in played.run.shortfalls} == {("one", Reason.MAX_POSITION_VALUE)}
    assert [(each.account, each.reason) for each in played.day.refusals] == [("one", Reason.MAX_POSITION_VALUE)]
    just = play(tmp_path / "just", limited(allocation="max_position_value = 23400", of=TWO))
    assert {order.intent.account for order in just.orders} == {"one", "two"}


def test_a_margin_above_its_percentage_of_the_capital_is_not_entered(tmp_path: Path) -> None:
    """A sold straddle at 26,000 blocks several times its premium of 23,400: far more than 5 % of 500,000."""
    played = play(tmp_path, limited(allocation="max_margin_percent = 5"))
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.MAX_MARGIN)
    assert played.orders == ()
    assert ended(play(tmp_path / "roomy", limited(allocation="max_margin_percent = 300"))) == "time 09:35 100.00"


AGAIN = PLAIN.replace(
    'type = "CE"\n  strike = { rule = "atm" }',
    'type = "CE"\n  strike = { rule = "atm" }\n  stop = { points = 20 }\n  on_stop = { reenter = "asap", times = 5 }',
)
"""The call is sold again whenever its stop has fired: at 120, then 140 and so on."""
RISING = {"at0922": "120", "at0924": "140", "at0926": "160"}


def calls_entered(played: Played) -> list[str]:
    return [
        f"{leg.entry_time:%H:%M} {leg.entry_price:.2f}"
        for leg in played.run.positions
        if leg.leg == "1" and leg.entry_time is not None
    ]


def test_entries_again_count_as_trades_and_exits_do_not(tmp_path: Path) -> None:
    """Two legs and one entry again are three trades; the fourth is not made, and all are closed regardless."""
    played = play(tmp_path, limited(allocation="max_daily_trades = 3", of=AGAIN), of_call=steady("100", **RISING))
    assert calls_entered(played) == ["09:20 100.00", "09:23 120.00"]
    assert [(short.leg, short.reason) for short in played.run.shortfalls] == [("1", Reason.MAX_DAILY_TRADES)]
    assert [(each.account, each.reason) for each in played.day.refusals] == [("one", Reason.MAX_DAILY_TRADES)]
    assert ended(played, leg="2") == "time 09:35 80.00"
    free = play(tmp_path / "free", AGAIN, of_call=steady("100", **RISING))
    assert len(calls_entered(free)) == 4


def test_slices_of_one_entry_are_one_trade(tmp_path: Path) -> None:
    """30 lots are 1,950 units, above the freeze quantity of 1,800: two orders a leg, four together."""
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80")}
    listings = [replace(each, freeze_quantity=1800) for each in LISTED]
    days = record(tmp_path / "days", prices, listings=listings)
    basket = limited(allocation="max_daily_trades = 2").replace("lots = 2", "lots = 30")
    played = play_day(days, tmp_path / "data", basket)
    assert ended(played) == "time 09:35 100.00"
    assert sum(order.intent.action is Action.ENTER for order in played.orders) == 4


LAZY = """
  [[strategies.legs]]
  id = "3"
  side = "BUY"
  type = "CE"
  ratio = 2
  lazy = true
  strike = { rule = "atm", offset = 2 }
"""


def test_lots_count_over_all_open_legs_and_a_leg_that_would_pass_the_limit_stays_out(tmp_path: Path) -> None:
    """The stopped call wakes four lots; with the put's two they are six, and five are allowed."""
    woken = AGAIN.replace('{ reenter = "asap", times = 5 }', '{ wakes = ["3"] }').replace(
        "  [[strategies.allocations]]", f"{LAZY}  [[strategies.allocations]]"
    )
    prices: Prices = {
        "NIFTY": steady("26010"),
        call(): steady("100", **RISING),
        put(): steady("80"),
        call(26100): steady("40"),
    }
    days = record(tmp_path / "days", prices)
    for most, reasons in ((5, [Reason.MAX_LOTS]), (6, [])):
        played = play_day(days, tmp_path / str(most), limited(allocation=f"max_lots = {most}", of=woken))
        assert [short.reason for short in played.run.shortfalls] == reasons
        assert sum(leg.leg == "3" and leg.entered == 4 * LOT for leg in played.run.positions) == 1 - len(reasons)
        assert ended(played, leg="2") == "time 09:35 80.00"


def test_an_entry_again_is_not_made_where_the_day_has_ended(tmp_path: Path) -> None:
    """The stop of 50 would fire at 150 and enter again; at 149.90 the account is at its limit, 6,487 and charges."""
    basket = limited(account="max_daily_loss = 6500", of=AGAIN.replace("points = 20", "points = 50"))
    played = play(tmp_path, basket, of_call=steady("100", at0923="149.90", at0925="150"))
    assert ended(played) == "account_stop 09:24 149.90"
    assert calls_entered(played) == ["09:20 100.00"]
    assert played.run.pending == ()


# ---------------------------------------------------------------- two ways to play a day


def test_a_day_that_a_limit_ended_is_the_same_traded_and_replayed(tmp_path: Path) -> None:
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100", at0923="140"), put(): steady("80")}
    days = record(tmp_path / "days", prices)
    file = tmp_path / "limited.toml"
    text = again(limited(basket="max_daily_loss = 5000"), entry="09:30")
    file.write_text(f"format = 1\n{text}", encoding="utf-8")
    ran, replayed = tmp_path / "ran.json", tmp_path / "replayed.json"
    as_run = ["run", str(file), "--market", f"recorded:{days}", "--speed", "max", "--data", str(tmp_path / "data")]
    for line, out in ((as_run, ran), (["replay", str(days), "--basket", str(file)], replayed)):
        result = CliRunner().invoke(main, [*line, "--json", str(out)])
        assert result.exit_code == 0, result.output
        assert "basket_stop" in result.output
    assert ran.read_bytes() == replayed.read_bytes()
    (session,) = json.loads(ran.read_text(encoding="utf-8"))["sessions"]
    assert [(each["over"], each["basket"], each["rule"]) for each in session["fences"]] == [
        ("basket", "straddle", "max_daily_loss")
    ]


def test_two_files_cannot_give_one_account_different_limits(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80")})
    line = ["replay", str(days)]
    for number, limit in enumerate(("max_daily_loss = 5000", "")):
        file = tmp_path / f"{number}.toml"
        text = limited(account=limit).replace('name = "Straddle"', f'name = "Basket {number}"')
        file.write_text(f"format = 1\n{text}", encoding="utf-8")
        line += ["--basket", str(file)]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 1
    assert "account one has the limit 5000 in one file and none in another; write the same in both" in result.output
