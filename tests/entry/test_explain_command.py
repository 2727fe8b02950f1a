"""``baskets explain``: the words of a small day worked out by hand, and a recorded day beside its replay."""

import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.cli import main
from option_baskets.cli.explain_command import explanations
from option_baskets.cli.replaying import Replay
from option_baskets.cli.valuing import RecordedDay
from option_baskets.domain.basket import Strategy
from option_baskets.domain.contract import Contract
from option_baskets.domain.facts import SessionKind
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.resolve import resolve
from option_baskets.engine.explain import Explanation, Rule, RuleOf, explain, only, rules_of
from tests.engine.small_market import chain
from tests.engine.tiny_day import DAY, QUIET, SPREAD, STRADDLE, Prices, call, put, record, steady

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
TARGETS = STRADDLE.replace("stop = { percent = 25 }", "stop = { percent = 25 }\n  target = { points = 30 }")
PRICES: Prices = {
    **QUIET,
    call(): steady("100", at0925="126"),
    call(25950): steady("130"),
    call(26050): steady("60"),
    put(25950): steady("60"),
    put(26050): steady("112"),
}
"""As QUIET, with prices beside the money, and the call at 126 from the bar of 09:25 on."""


def explained(basket: Path, days: Path, *more: str, day: str = f"{DAY}") -> Result:
    arguments = ["explain", str(basket), "--data", str(days), "--date", day, *more]
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "110"})


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


def basket_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "basket.toml"
    path.write_text(f"format = 1\n{text}", encoding="utf-8")
    return path


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", PRICES)


def test_the_page_shows_what_the_program_says(days: Path, tmp_path: Path) -> None:
    """Sold at 100 and 80: stops at 100 x 1.25 = 125 and 80 x 1.25 = 100, targets 30 lower, on 2 x 65 units each.

    (125 - 100) x 130 = 3,250 lost, (100 - 80) x 130 = 2,600 lost, 30 x 130 = 3,900 made. The call is at 126 when the
    bar of 09:25 has ended: stopped at 09:26.
    """
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    shown = page.partition("```text\n")[2].partition("```")[0].splitlines()
    told = explained(basket_of(tmp_path, TARGETS), days).output.splitlines()
    assert [line.rstrip() for line in told if line.strip()] == [line for line in shown if line.strip()]


def test_the_file_of_the_page_is_the_one_explained() -> None:
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    shown = parse_basket(page.partition("```toml\n")[2].partition("```")[0])
    assert shown == parse_basket(f"format = 1\n{TARGETS}")


def test_what_is_entered_again_and_what_wakes_is_told_in_words_and_as_it_came(days: Path, tmp_path: Path) -> None:
    """The call's stop at 125 fires at 09:26; it is sold again at 126 and the lazy put wakes, at the money."""
    atm = '  strike = { rule = "atm" }\n  stop = { percent = 25 }'
    again = f'{atm}\n  on_stop = {{ reenter = "asap", wakes = ["late"] }}'
    lazy = '  [[strategies.legs]]\n  id = "late"\n  side = "SELL"\n  type = "PE"\n  lazy = true\n' + atm
    text = STRADDLE.replace(atm, again, 1)
    text = text.replace("  [[strategies.allocations]]", f"{lazy}\n  [[strategies.allocations]]", 1)
    told = lines(explained(basket_of(tmp_path, text), days))
    for line in (
        "After its stop leg 1 is entered again at once, at a strike chosen anew, once.",
        "The stop of leg 1 wakes leg late.",
        "Leg late is lazy: it is entered when it is woken.",
        "one: SELL 130 of leg 1 at 100.00 at 09:20; out at 126.00 at 09:26 (stop, -₹3,380.00 before charges)",
        "one: SELL 130 of leg 1 again at 126.00 at 09:26; out at 126.00 at 09:35 (time, ₹0.00 before charges)",
        "one: SELL 130 of leg late at 80.00 at 09:26; out at 80.00 at 09:35 (time, ₹0.00 before charges)",
    ):
        assert line in told
    assert [line.split(" one")[0] for line in told if line.startswith(("stop of leg", "late "))] == [
        "stop of leg 1",
        "stop of leg 2",
    ]


def test_a_day_that_does_not_suit_says_which_condition_fails_and_what_would_be_chosen(
    days: Path, tmp_path: Path
) -> None:
    text = STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\ndays = ["MON", "FRI"]\ndte = [1, 2]')
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "Not due, entry 09:20, exit 09:35:" in told
    assert "- Tuesday is not one of its days (Mon Fri)" in told
    assert "- 0 trading days to its earliest expiry, 24-Nov-2026; it wants 1 or 2, so it does not trade" in told
    assert "On a day that suits, the same prices would give:" in told
    assert any(line.startswith("1 SELL ATM 24-Nov 26000 CE 100.00 25950 at 130.00, 26050 at 60.00") for line in told)
    assert not any(" out at " in line for line in told)


def test_a_paused_strategy_is_not_due(days: Path, tmp_path: Path) -> None:
    text = STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\npaused = true')
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "- it is paused, or its basket is" in told
    assert "Not due, entry 09:20, exit 09:35:" in told


def test_a_special_session_is_named(tmp_path: Path) -> None:
    days = record(tmp_path / "days", PRICES, kind=SessionKind.MUHURAT)
    told = lines(explained(basket_of(tmp_path, STRADDLE), days))
    assert any(line.endswith("such days are traded only with special_sessions = true") for line in told)
    assert "Not due, entry 09:20, exit 09:35:" in told


def test_an_entry_outside_the_session_is_skipped_and_an_exit_outside_is_moved(tmp_path: Path) -> None:
    quiet: dict[Contract | str, str] = {"NIFTY": "26010", call(): "100", put(): "80"}
    bars: Prices = {thing: steady(price, start="09:25") for thing, price in quiet.items()}
    late = record(tmp_path / "late", bars, hours="09:25-09:40")
    told = lines(explained(basket_of(tmp_path, STRADDLE), late))
    assert "- the session is 09:25 to 09:40; its entry is outside, so it is skipped" in told
    assert told[-1].startswith("Skipped: its entry at 09:20 is outside the session of 24-Nov-2026")
    bars = {thing: steady(price, end="09:30") for thing, price in quiet.items()}
    short = record(tmp_path / "short", bars, hours="09:15-09:30")
    told = lines(explained(basket_of(tmp_path, STRADDLE), short))
    assert "- exit moved from 09:35 to 09:28, before the close at 09:30" in told


def test_a_choice_that_cannot_be_made_gives_the_engine_s_own_reason(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {thing: bars for thing, bars in QUIET.items() if thing != put()})
    told = lines(explained(basket_of(tmp_path, STRADDLE), days))
    assert "No strikes, and so no order: NIFTY 24-Nov-2026 26000 PE has no price yet (no_quote)." in told


def test_a_premium_leg_has_the_next_best_premiums_beside_it(days: Path, tmp_path: Path) -> None:
    """Calls at 130, 100, 60 and 40; 65 asked for: 5, 25, 35 and 65 away."""
    text = SPREAD.replace('rule = "atm"', 'rule = "premium", pick = "closest", value = 65').replace("100 }", "50 }")
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "short SELL premium closest 65 24-Nov 26050 CE 60.00 26100 at 40.00, 26000 at 100.00" in told


def test_what_a_split_gives_each_account_is_told_with_its_orders(days: Path, tmp_path: Path) -> None:
    """3 units at 1 : 2 are 1 and 2; 2 lots of 65 are 130."""
    before, _, _ = SPREAD.partition("  [[strategies.allocations]]")
    text = before.replace('exit = "09:35"\n', 'exit = "09:35"\nunits = 3\n')
    for account, weight in (("one", 1), ("two", 2)):
        text += f'  [[strategies.allocations]]\n  account = "{account}"\n  weight = {weight}\n'
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "3 units split 1 : 2: 1 on one, 2 on two" in told
    assert "two short 2 130 one" in told


def test_a_rule_that_another_one_forestalled_is_told_too(tmp_path: Path) -> None:
    """The call's stop at 09:26 closes both legs; the put falls to 45, below its target of 50, in the bar of 09:28."""
    text = TARGETS.replace("target = { points = 30 }", 'target = { points = 30 }\n  square_off = "all"')
    days = record(tmp_path / "days", {**PRICES, put(): steady("80", at0928="45")})
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "stop of leg 1 one 125.00 -₹3,250.00 fires at 09:26, out at 126.00" in told
    assert "target of leg 2 one 50.00 ₹3,900.00 fires at 09:29, out at 45.00" in told
    assert any(" of leg 2 at 80.00 at 09:20; out at 80.00 at 09:26 (square_off, " in line for line in told)


EVERY_RULE = TARGETS.replace(
    'exit = "09:35"',
    'exit = "09:35"\nstop = { rupees = 3000 }\ntarget = { rupees = 2000 }\nlock = { at = 1000, keep = 500 }',
).replace("stop = { percent = 25 }", 'stop = { percent = 25 }\n  trail = { unit = "points", every = 10, by = 5 }', 1)


def test_alone_leaves_one_rule_and_a_trail_its_stop() -> None:
    (strategy,) = parse_basket(f"format = 1\n{EVERY_RULE}").strategies
    rules = list(rules_of(strategy))
    assert [f"{each.rule} {each.leg}".strip() for each in rules] == [
        "stop 1",
        "trail 1",
        "target 1",
        "stop 2",
        "target 2",
        "strategy stop",
        "strategy target",
        "lock",
    ]
    for rule in rules:
        left = set(rules_of(only(strategy, rule)))
        assert left == {rule} | ({RuleOf(rule=Rule.STOP, leg=rule.leg)} if rule.rule is Rule.TRAIL else set())


def test_each_rule_of_the_strategy_has_its_own_moment(tmp_path: Path) -> None:
    """130 units of each leg. The put falls from 80 to 72 in the bar of 09:22: 8 x 130 = 1,040 arm the lock at 09:23.

    From 09:25 on it is back at 80 and the call at 126, 26 x 130 = 3,380 lost: at 09:26 that is below what the lock
    keeps and beyond the strategy's stop. Its target of 2,000 is never seen.
    """
    days = record(tmp_path / "days", {**PRICES, put(): steady("80", at0922="72", at0925="80")})
    told = lines(explained(basket_of(tmp_path, EVERY_RULE), days))
    assert "strategy stop all - -₹3,000.00 fires at 09:26" in told
    assert "strategy target all - ₹2,000.00 does not fire by 09:35" in told
    assert "lock all - ₹500.00 fires at 09:26" in told


# ---------------------------------------------------------------- a recorded day


def told_of(days: Path, files: Sequence[Path]) -> list[Explanation]:
    told: list[Explanation] = []
    for file in files:
        replay = Replay.prepare(
            days, [file], first=None, last=None, slippage=Decimal(0), stale=None, with_charges=False, facts=None
        )
        told += explanations(replay, None)
    return told


FILES = sorted(EXAMPLES.glob("*.toml"))


def test_on_a_real_day_the_explanation_is_what_a_replay_of_the_file_does(june_10: Path, tmp_path: Path) -> None:
    told = told_of(june_10, FILES)
    files = [part for path in FILES for part in ("--basket", str(path))]
    out = tmp_path / "out.json"
    result = CliRunner().invoke(main, ["replay", str(june_10), *files, "--no-charges", "--json", str(out)])
    assert result.exit_code == 0, result.output
    (session,) = json.loads(out.read_text(encoding="utf-8"))["sessions"]
    replayed = {(run["basket"], run["strategy"]): run for run in session["runs"]}
    entered = 0
    for each in told:
        runs = [run for (_, name), run in replayed.items() if name == each.strategy.name]
        assert bool(runs) == (each.run is not None) == each.due.is_due
        for run in runs:
            legs = {(leg["leg"], leg["account"]): leg for leg in run["legs"]}
            sent = {(part.leg, part.account): part.quantity for part in each.parts}
            assert {key: leg["quantity"] for key, leg in legs.items()} == sent
            chosen = {choice.leg.id: choice.chosen.contract for choice in each.choices}
            for (leg, _), had in legs.items():
                assert Decimal(had["contract"]["strike"]) == chosen[leg].strike
                entered += 1
            for level in each.levels:
                had = legs[level.of.leg, level.account]
                if had["exit_reason"] == level.of.rule:
                    assert level.fired is not None
                    assert level.fired.isoformat() == had["exit_time"]
    assert entered > 20


def test_on_a_real_day_runners_up_of_a_premium_leg_are_the_next_nearest_fresh_prices(june_10: Path) -> None:
    told = told_of(june_10, [EXAMPLES / "three-accounts.toml"])
    seen = 0
    for each in told:
        for choice in each.choices:
            if choice.leg.strike is None or str(choice.leg.strike.rule) != "premium":
                continue
            aim = choice.leg.strike.value
            assert aim is not None
            by_hand = nearest_premiums(june_10, each.strategy, choice.chosen.contract, aim)
            assert [choice.chosen.contract.strike, *(one.contract.strike for one in choice.runners_up)] == by_hand
            seen += 1
    assert seen


def nearest_premiums(days: Path, strategy: Strategy, of: Contract, aim: Decimal) -> list[Decimal]:
    """The three strikes of the chain whose fresh price is nearest, straight from the recorded prices."""
    from option_baskets.adapters.feeds.recorded import RecordedFeed
    from option_baskets.domain.session import at

    feed = RecordedFeed(days)
    (day,) = feed.sessions()
    snapshot = feed.market(day).snapshot(at(day, strategy.schedule.entry))
    found = []
    for contract in snapshot.contracts():
        quote = snapshot.quote(contract)
        if (contract.expiry, contract.type) != (of.expiry, of.type) or quote is None or contract.strike is None:
            continue
        if snapshot.at - quote.as_of <= timedelta(seconds=60):
            found.append((abs(quote.last - aim), contract.strike))
    return [strike for _, strike in sorted(found)[:3]]


class Without:
    """A snapshot in which some contracts have no price."""

    def __init__(self, whole: Snapshot, hidden: Collection[Contract]) -> None:
        self.whole = whole
        self.hidden = hidden

    def quote(self, contract: Contract) -> Quote | None:
        return None if contract in self.hidden else self.whole.quote(contract)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


@pytest.mark.parametrize(
    "rule",
    [
        'rule = "premium", pick = "closest", value = 40',
        'rule = "premium", pick = "at_least", value = 40',
        'rule = "premium", pick = "at_most", value = 40',
        'rule = "premium", pick = "range", from = 20, to = 60',
        'rule = "straddle_percent", pick = "closest", percent = 30',
        'rule = "delta", value = 0.25',
    ],
)
def test_a_runner_up_is_what_the_rule_takes_once_the_better_ones_have_no_price(june_10: Path, rule: str) -> None:
    text = STRADDLE.replace('exit = "09:35"', 'exit = "15:15"').replace('rule = "atm"', rule)
    (strategy,) = parse_basket(f"format = 1\n{text}").strategies
    recorded = RecordedDay.opened(june_10, None, rate=0, facts=None)
    valuation = recorded.valued(strategy.schedule.entry)
    capital = Decimal(500_000)
    told = explain(
        strategy, (), valuation, paused=False, capital=capital, runs=(), alone={}, look=lambda _: valuation.snapshot
    )
    assert told.refusal is None
    for choice in told.choices:
        in_order = [choice.chosen.contract, *(each.contract for each in choice.runners_up)]
        assert len(set(in_order)) == 3
        for place, contract in enumerate(in_order):
            snapshot = cast(Snapshot, Without(valuation.snapshot, in_order[:place]))
            assert resolve(strategy, snapshot, valuation.delta).contracts[choice.leg.id] == contract
        deltas = [choice.chosen.delta, *(each.delta for each in choice.runners_up)]
        assert all((delta is not None) == ("delta" in rule) for delta in deltas)


def test_orders_above_the_freeze_quantity_are_told_slice_by_slice(tmp_path: Path) -> None:
    """2 lots of 65 under a freeze quantity of 100: one lot an order."""
    listings = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=65, freeze_quantity=100)
    days = record(tmp_path / "days", PRICES, listings=listings)
    assert "one 1 2 130 65 + 65" in lines(explained(basket_of(tmp_path, STRADDLE), days))


# ---------------------------------------------------------------- mistakes


def test_a_name_no_strategy_has_is_told_with_those_there_are(days: Path, tmp_path: Path) -> None:
    result = explained(basket_of(tmp_path, STRADDLE), days, "--strategy", "condor")
    assert result.exit_code == 1
    assert "there is no strategy 'condor' in that file; it has straddle" in result.output


def test_a_day_that_is_not_recorded_is_told(days: Path, tmp_path: Path) -> None:
    result = explained(basket_of(tmp_path, STRADDLE), days, day="2026-11-25")
    assert result.exit_code == 1
    assert "nothing is recorded for 2026-11-25" in result.output


def test_a_level_that_is_waited_for_is_told_with_when_it_was_reached(tmp_path: Path) -> None:
    """P = 100 and 80. The call is at 110 at 09:24; the put would have to come to 76 and does not."""
    prices: Prices = {**QUIET, call(): steady("100", at0923="110")}
    basket = STRADDLE.replace('type = "CE"', 'type = "CE"\n  wait = { points = 10 }')
    basket = basket.replace('type = "PE"', 'type = "PE"\n  wait = { percent = -5 }')
    told = lines(explained(basket_of(tmp_path, basket), record(tmp_path / "days", prices)))
    assert f"Leg 1 waits for {call().name} at 110.00 or more, from 100.00 at 09:20: there at 09:24." in told
    never = "not entered (not_triggered)."
    assert f"Leg 2 waits for {put().name} at 76.00 or less, from 80.00 at 09:20: {never}" in told
    assert "one: SELL 130 of leg 1 at 110.00 at 09:24; out at 110.00 at 09:35 (time, ₹0.00 before charges)" in told


def test_a_break_is_told_with_its_range_and_the_strikes_of_that_instant(tmp_path: Path) -> None:
    """26,010 to 26,040 from 09:21 to 09:24; 26,060 at 09:27, where the money is 26,050."""
    prices: Prices = {
        "NIFTY": steady("26010", at0921="26040", at0922="26010", at0926="26060"),
        call(26050): steady("70"),
        put(26050): steady("95"),
    }
    basket = STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\nbreakout = { until = "09:24", side = "high" }')
    told = lines(explained(basket_of(tmp_path, basket), record(tmp_path / "days", prices)))
    assert "Reference: NIFTY spot 26,060.00 as known at 09:27." in told
    waited = "The strategy waits for NIFTY above its high of 09:20 to 09:24, which was 26,010.00 to 26,040.00"
    assert f"{waited}: there at 09:27." in told
    assert any(line.startswith("1 SELL ATM 24-Nov 26050 CE 70.00") for line in told)


def test_a_rule_of_the_strategy_is_told_with_the_profit_at_which_it_fires(days: Path, tmp_path: Path) -> None:
    """Sold for (100 + 80) x 130 = 23,400: 20 % of it is 4,680. The lock keeps 1,000 at first; 100 is never lost."""
    keys = (
        'exit = "09:35"\nstop = { premium_percent = 20 }\ntarget = { rupees = 9000 }\nlock = { at = 2000, keep = 1000 }'
    )
    text = STRADDLE.replace('exit = "09:35"', keys)
    told = lines(explained(basket_of(tmp_path, text), days))
    assert "strategy stop all - -₹4,680.00 does not fire by 09:35" in told
    assert "strategy target all - ₹9,000.00 does not fire by 09:35" in told
    assert "lock all - ₹1,000.00 does not fire by 09:35" in told
    told = lines(explained(basket_of(tmp_path, text.replace("premium_percent = 20", "rupees = 2")), days))
    assert "strategy stop all - -₹2.00 fires at 09:26" in told


def test_a_rule_held_on_each_account_is_told_for_each(days: Path, tmp_path: Path) -> None:
    """130 and 65 units of 180: 10 % are 2,340 and 1,170."""
    text = STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\nstop = { premium_percent = 10 }\nper = "account"')
    text = text.replace('id = "one"', 'id = "one"\n[[accounts]]\nid = "two"')
    text += '  [[strategies.allocations]]\n  account = "two"\n  lots = 1\n'
    told = lines(explained(basket_of(tmp_path, text), days))
    assert any(line.startswith("strategy stop one - -₹2,340.00") for line in told)
    assert any(line.startswith("strategy stop two - -₹1,170.00") for line in told)


def test_an_entry_again_that_never_came_is_told_with_what_it_waited_for(days: Path, tmp_path: Path) -> None:
    """The call is stopped at 126 at 09:26 and stays there: it never comes back to 100."""
    again = '  stop = { percent = 25 }\n  on_stop = { reenter = "cost" }'
    told = lines(explained(basket_of(tmp_path, STRADDLE.replace("  stop = { percent = 25 }", again)), days))
    what = f"cost after its stop: {call().name} at 100.0000 or below"
    assert f"one: leg 1 again, {what}: waited for from 09:26, and it never came" in told
    assert not any("leg 2 again" in line for line in told)


def test_an_entry_again_that_came_is_not_told_as_waited_for(tmp_path: Path) -> None:
    """The call is stopped at 126 at 09:26 and back at 100 at 09:30."""
    prices: Prices = {**PRICES, call(): steady("100", at0925="126", at0929="100")}
    again = '  stop = { percent = 25 }\n  on_stop = { reenter = "cost" }'
    basket = basket_of(tmp_path, STRADDLE.replace("  stop = { percent = 25 }", again))
    told = lines(explained(basket, record(tmp_path / "back", prices)))
    assert any(line.startswith("one: SELL 130 of leg 1 again at 100.00 at 09:30") for line in told)
    assert not any("never came" in line for line in told)
