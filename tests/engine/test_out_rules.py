"""Every rule of leaving a leg or a strategy, end to end: real orders on the paper exchange and a flat account.

The call is sold (or bought) at 100 and the put at 80 at 09:20, 2 lots of 65 each: 130 units, a premium of 23,400.
"""

import json
from pathlib import Path

import pytest

from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.report import as_json
from tests.engine.test_recovery import Killed, Life, being_sent, dying
from tests.engine.tiny_day import SPREAD, STRADDLE, Bars, Played, Prices, call, play_day, put, record, steady

STOP = "stop = { percent = 25 }"
PLAIN = STRADDLE.replace(f"  {STOP}\n", "")
"""Sold at 09:20 without any rule, out at 09:35."""


def legs(first: str = "", second: str = "", *, strategy: str = "", of: str = PLAIN) -> str:
    """The straddle with these rules on the call, the put and the strategy."""
    head, call_leg, put_leg = of.partition("  [[strategies.allocations]]")[0].split("  [[strategies.legs]]\n")
    tail = "  [[strategies.allocations]]" + of.partition("  [[strategies.allocations]]")[2]
    opening = "  [[strategies.legs]]\n"
    return f"{head}{strategy}\n{opening}{call_leg}{first}\n{opening}{put_leg}{second}\n{tail}"


def play(
    tmp_path: Path, basket: str, *, of_call: Bars | None = None, of_put: Bars | None = None, spot: Bars | None = None
) -> Played:
    prices: Prices = {
        "NIFTY": spot or steady("26010"),
        call(): of_call or steady("100"),
        put(): of_put or steady("80"),
    }
    return play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)


def flat(price: str, **bars: tuple[str, str, str, str]) -> Bars:
    return {start: bars.get(f"at{start.replace(':', '')}", (price,) * 4) for start in steady(price)}


def ended(played: Played, leg: str = "1", account: str = "one") -> str:
    """Why, when and at what price the leg was closed, once the whole account is seen to be flat by its orders."""
    held: dict[tuple[str, str], int] = {}
    for name, side, filled, at in played.book("strike || ' ' || type, side, filled, account"):
        held[at, name] = held.get((at, name), 0) + (filled if side == "BUY" else -filled)
    assert held
    assert set(held.values()) == {0}
    assert played.run.status is RunStatus.CLOSED
    position = played.leg(leg, account)
    assert position.exit_time is not None
    return f"{position.exit_reason} {position.exit_time:%H:%M} {position.exit_price:.2f}"


# ---------------------------------------------------------------- legs


def test_a_trailed_stop_closes_where_its_steps_have_brought_it(tmp_path: Path) -> None:
    """Stop 130. The price falls to 79, 21 in favour: two steps of 10 move it by 5 each to 120. 119.95 is not there."""
    rules = 'stop = { points = 30 }\ntrail = { unit = "points", every = 10, by = 5 }'
    played = play(tmp_path, legs(rules), of_call=steady("100", at0922="79", at0924="119.95", at0926="120"))
    assert ended(played) == "trail 09:27 120.00"
    assert ended(played, "2") == "time 09:35 80.00"


def test_inside_a_bar_the_stop_is_where_the_trail_had_left_it_at_the_bars_start(tmp_path: Path) -> None:
    """The bar of 09:22 sees 78 and 119; its own low moves the stop from 130 to 120 for the bar of 09:23 only."""
    rules = 'stop = { points = 30 }\ntrail = { unit = "points", every = 10, by = 5 }'
    bars = flat("100", at0922=("100", "125", "78", "90"), at0923=("90", "121", "90", "118"))
    assert ended(play(tmp_path, legs(rules), of_call=bars)) == "trail 09:24 120.00"


def test_a_stop_on_the_underlying_closes_at_the_legs_own_price(tmp_path: Path) -> None:
    """26,010 at the entry; 26,109.95 is 99.95 against the sold call, 26,110 is 100."""
    basket = legs("stop = { underlying_points = 100 }", "target = { underlying_percent = 0.5 }")
    spot = steady("26010", at0923="26109.95", at0926="26110")
    played = play(tmp_path, basket, spot=spot, of_call=steady("100", at0923="150", at0926="155"))
    assert ended(played) == "stop 09:27 155.00"
    assert ended(played, "2") == "time 09:35 80.00"


def test_a_target_on_the_underlying_is_a_rise_for_a_sold_put(tmp_path: Path) -> None:
    """0.5 % of 26,010 is 130.05: at 26,140.05, not at 26,140."""
    spot = steady("26010", at0923="26140", at0925="26140.05")
    played = play(tmp_path, legs("", "target = { underlying_percent = 0.5 }"), spot=spot)
    assert ended(played, "2") == "target 09:26 80.00"


def test_without_a_spot_price_a_rule_on_the_underlying_is_not_entered(tmp_path: Path) -> None:
    basket = legs("stop = { underlying_points = 100 }", strategy='reference = "synthetic"')
    prices: Prices = {call(): steady("100"), put(): steady("80")}
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.NO_REFERENCE_PRICE)
    assert played.orders == ()


def test_a_spike_inside_a_minute_is_nothing_to_a_rule_on_closes(tmp_path: Path) -> None:
    """Stop 125: the bar of 09:22 has 140 inside and closes at 110; 09:26 closes at 126, 09:27 opens at 127."""
    bars = flat("100", at0922=("100", "140", "99", "110"), at0926=("110", "126", "110", "126"), at0927=("127",) * 4)
    assert ended(play(tmp_path, legs(f'{STOP}\nprice = "close"'), of_call=bars)) == "stop 09:27 127.00"


def test_a_stop_that_squares_off_closes_every_leg_of_its_account(tmp_path: Path) -> None:
    played = play(tmp_path, legs(f'{STOP}\nsquare_off = "all"'), of_call=steady("100", at0925="125"))
    assert ended(played) == "stop 09:26 125.00"
    assert ended(played, "2") == "square_off 09:26 80.00"


def test_a_target_squares_off_too_and_the_short_goes_before_its_wing(tmp_path: Path) -> None:
    """The wing's own target may close everything, for the short is bought back before the wing is sold."""
    wing = 'strike = { rule = "of_leg", leg = "short", points = 100 }'
    basket = SPREAD.replace(wing, f'{wing}\n  target = {{ points = 20 }}\n  square_off = "all"')
    prices: Prices = {
        "NIFTY": steady("26010"),
        call(): steady("100"),
        call(26100): steady("40", at0925="60"),
    }
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", basket)
    for account in ("one", "two"):
        assert ended(played, "wing", account) == "target 09:26 60.00"
        assert ended(played, "short", account) == "square_off 09:26 100.00"
        sides = [side for side, at in played.book("side, account") if at == account]
        assert sides == ["BUY", "SELL", "BUY", "SELL"]


def test_once_a_leg_is_stopped_the_other_stop_is_its_entry_price(tmp_path: Path) -> None:
    """The call is stopped at 125; the put's stop comes from 100 down to 80, where it is from 09:28 on."""
    played = play(
        tmp_path,
        legs(STOP, STOP, strategy="move_stop_to_cost = true"),
        of_call=steady("100", at0925="125"),
        of_put=steady("80", at0922="70", at0926="79.95", at0928="80"),
    )
    assert ended(played) == "stop 09:26 125.00"
    assert ended(played, "2") == "stop 09:29 80.00"


def test_a_leg_that_is_beyond_cost_when_its_stop_is_moved_goes_at_the_next_evaluation(tmp_path: Path) -> None:
    played = play(
        tmp_path,
        legs(STOP, STOP, strategy="move_stop_to_cost = true"),
        of_call=steady("100", at0925="125"),
        of_put=steady("80", at0922="85"),
    )
    assert (ended(played), ended(played, "2")) == ("stop 09:26 125.00", "stop 09:27 85.00")


def test_a_target_moves_no_stop(tmp_path: Path) -> None:
    played = play(
        tmp_path,
        legs(f"{STOP}\ntarget = {{ points = 50 }}", STOP, strategy="move_stop_to_cost = true"),
        of_call=steady("100", at0925="50"),
        of_put=steady("80", at0922="85"),
    )
    assert (ended(played), ended(played, "2")) == ("target 09:26 50.00", "time 09:35 85.00")


# ---------------------------------------------------------------- the whole strategy


@pytest.mark.parametrize(
    ("rule", "of_call", "of_put", "expected"),
    [
        # 38 x 130 = 4,940 lost, then 39 x 130 = 5,070
        ("stop = { rupees = 5000 }", {"at0923": "138", "at0926": "139"}, {}, "strategy_stop 09:27 139.00"),
        # exactly 40 x 130 = 5,200 lost
        ("stop = { rupees = 5200 }", {"at0923": "139.95", "at0926": "140"}, {}, "strategy_stop 09:27 140.00"),
        # 20 and 18 x 130 = 4,940 made, then 20 and 20: 5,200
        (
            "target = { rupees = 5200 }",
            {"at0923": "80"},
            {"at0924": "62", "at0926": "60"},
            "strategy_target 09:27 80.00",
        ),
        # half of 23,400 is 90 a unit: 50 and 40
        ("target = { premium_percent = 50 }", {"at0923": "50"}, {"at0925": "40"}, "strategy_target 09:26 50.00"),
        # a tenth is 18 a unit
        ("stop = { premium_percent = 10 }", {"at0923": "117.95", "at0925": "118"}, {}, "strategy_stop 09:26 118.00"),
        # 20 a unit = 2,600 arms, 10.05 is above 1,300, 10 is 1,300
        (
            "lock = { at = 2600, keep = 1300 }",
            {"at0921": "90", "at0922": "80", "at0924": "89.95", "at0926": "90"},
            {},
            "lock 09:27 90.00",
        ),
        # a peak of 31 a unit is 4,030: two steps of 650 above 2,600 keep 1,300 + 2 x 325 = 1,950 = 15 a unit
        (
            "lock = { at = 2600, keep = 1300, trail = { every = 650, by = 325 } }",
            {"at0922": "69", "at0924": "84.95", "at0926": "85"},
            {},
            "lock 09:27 85.00",
        ),
        # never 2,600: never armed
        ("lock = { at = 2600, keep = 1300 }", {"at0922": "80.05", "at0924": "95"}, {}, "time 09:35 95.00"),
    ],
)
def test_the_strategy_is_left_whole(
    tmp_path: Path, rule: str, of_call: dict[str, str], of_put: dict[str, str], expected: str
) -> None:
    played = play(tmp_path, legs(strategy=rule), of_call=steady("100", **of_call), of_put=steady("80", **of_put))
    assert ended(played) == expected
    assert ended(played, "2").split()[:2] == expected.split()[:2]


def test_net_of_charges_a_loss_is_reached_earlier(tmp_path: Path) -> None:
    """4,940 lost. Two sold orders of 13,000 and 10,400 cost 2 x 20 brokerage, 18 % GST on it, and STT: more than 60."""
    of_call = steady("100", at0923="138")
    gross = play(tmp_path / "gross", legs(strategy="stop = { rupees = 5000 }"), of_call=of_call)
    net = play(tmp_path / "net", legs(strategy='stop = { rupees = 5000 }\nmtm = "net"'), of_call=of_call)
    assert ended(gross) == "time 09:35 138.00"
    assert ended(net) == "strategy_stop 09:24 138.00"


TWO = legs().replace('id = "one"', 'id = "one"\n[[accounts]]\nid = "two"') + (
    '  [[strategies.allocations]]\n  account = "two"\n  lots = 1\n'
)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # 130 and 65 units: 26 x 195 = 5,070
        ("stop = { rupees = 5000 }", "strategy_stop 09:23 126.00"),
        # 39 x 130 = 5,070 on the larger account, which takes the other with it
        ('stop = { rupees = 5000 }\nper = "account"', "strategy_stop 09:25 139.00"),
        # a unit is 65 units of each: 77 x 65 = 5,005
        ('stop = { rupees = 5000 }\nper = "unit"', "strategy_stop 09:27 177.00"),
    ],
)
def test_the_sum_is_over_accounts_or_of_each_or_of_a_unit(tmp_path: Path, rules: str, expected: str) -> None:
    of_call = steady("100", at0921="125", at0922="126", at0923="138", at0924="139", at0925="176", at0926="177")
    played = play(tmp_path, legs(strategy=rules, of=TWO), of_call=of_call)
    assert ended(played) == ended(played, account="two") == expected


NEARLY = legs("", "", strategy="naked = true\nstop = { premium_percent = 50 }").replace(
    'side = "SELL"\n  type = "PE"', 'side = "BUY"\n  type = "PE"'
)


def test_a_percentage_of_next_to_nothing_is_not_entered_until_its_base_is_said(tmp_path: Path) -> None:
    """Sold at 100, bought at 82: 18 net of 182, less than a tenth. Half of gross is 91 a unit."""
    of_put = steady("82")
    refused = play(tmp_path / "auto", NEARLY, of_put=of_put)
    assert (refused.run.status, refused.run.reason) == (RunStatus.SKIPPED, Reason.PREMIUM_BASE_UNCLEAR)
    assert refused.orders == ()
    said = NEARLY.replace("naked = true", 'naked = true\npremium_base = "gross"')
    played = play(tmp_path / "gross", said, of_put=of_put, of_call=steady("100", at0923="190.95", at0925="191"))
    assert ended(played) == "strategy_stop 09:26 191.00"


def test_the_strategys_stop_goes_before_its_legs_stops(tmp_path: Path) -> None:
    """At 139 both are reached; the leg's would have filled inside the bar."""
    bars = flat("100", at0925=("100", "139", "100", "139"), at0926=("140",) * 4)
    played = play(tmp_path, legs(STOP, strategy="stop = { rupees = 5000 }"), of_call=bars)
    assert ended(played) == "strategy_stop 09:26 140.00"


# ---------------------------------------------------------------- restarts

MOVED = (
    legs(
        'stop = { points = 30 }\ntrail = { unit = "points", every = 10, by = 5 }',
        STOP,
        strategy="move_stop_to_cost = true\nlock = { at = 3250, keep = 650, trail = { every = 650, by = 325 } }",
    )
    .replace("09:20", "09:17")
    .replace("09:35", "09:23")
)
"""In at 09:17; a trail's steps, a locked profit and a stop at cost are what a process that dies has to leave behind."""


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("of_call", "of_put", "expected"),
    [
        # 21 in favour trails the stop to 120, where it fires; the put's comes to 80 and fires there
        ({"at0917": "79", "at0918": "120"}, {"at0918": "75", "at0920": "80"}, {ExitReason.TRAIL, ExitReason.STOP}),
        # a peak of 31 x 130 = 4,030 keeps 650 + 325 = 975, 7.5 a unit
        ({"at0917": "69", "at0919": "92.50"}, {}, {ExitReason.LOCK}),
    ],
)
def test_killed_after_any_commit_levels_and_peaks_are_where_they_were(
    tmp_path: Path, of_call: dict[str, str], of_put: dict[str, str], expected: set[ExitReason]
) -> None:
    prices: Prices = {
        "NIFTY": steady("26010", end="09:26"),
        call(): steady("100", end="09:26", **of_call),
        put(): steady("80", end="09:26", **of_put),
    }
    days = record(tmp_path / "days", prices, hours="09:15-09:26")
    whole = play_day(days, tmp_path / "whole", MOVED)
    assert {position.exit_reason for position in whole.run.positions} == expected
    compared = 0
    for number in range(1, 1000):
        life = Life(number)
        try:
            play_day(days, tmp_path / str(number), MOVED, machine_of=dying(table=life))
            break
        except Killed:
            pass
        resumed = play_day(days, tmp_path / str(number), MOVED)
        assert resumed.run.is_flat
        if not being_sent(life, resumed):
            compared += 1
            assert json.dumps(as_json([resumed.day])) == json.dumps(as_json([whole.day])), f"after commit {number}"
    assert compared >= 5
