"""How files say what an entry waits for: what is read, what contradicts itself, and the words for it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.cli import main
from option_baskets.cli.day_view import of_run
from option_baskets.domain.basket import Strategy
from option_baskets.domain.errors import Invalid
from tests.domain.test_waiting import leg, market, plan, points, waiting
from tests.engine.test_out_rules import legs
from tests.engine.tiny_day import SPREAD
from tests.entry.test_exits_in_files import BOUGHT, FUTURES

UP = "wait = { points = 10 }"
RANGE = 'breakout = { until = "09:25" }'
WING = 'strike = { rule = "of_leg", leg = "short", points = 100 }'
FUTURE = '  [[strategies.legs]]\n  id = "future"\n  side = "SELL"\n  type = "FUT"\n'

CONTRADICTIONS = {
    "wait: both points and percent; give one": legs(strategy="wait = { points = 1, percent = 1 }"),
    "wait: neither points nor percent; give one": legs(strategy="wait = {}"),
    "wait.points: 0 is no move": legs(strategy="wait = { points = 0 }"),
    "legs[0].wait.percent: 0 is no move": legs("wait = { percent = 0 }"),
    "legs[0].wait.percent: -100 is never reached": legs("wait = { percent = -100 }"),
    "wait.percent: -100 is never reached: the net premium of sold": legs(strategy="wait = { percent = -100 }"),
    "wait.percent: 100 is never reached: the net premium of bought": legs(
        strategy="wait = { percent = 100 }", of=BOUGHT
    ),
    "wait: the strategy has no option legs": legs(strategy=UP, of=FUTURES),
    "breakout: a wait and a breakout are two ways": legs(strategy=f"{UP}\n{RANGE}"),
    "legs[1].breakout: a wait and a breakout are two ways": legs("", f"{UP}\n{RANGE}"),
    "legs[0].breakout: the wait of the strategy enters all its legs together": legs(RANGE, strategy=UP),
    "legs[1].wait: the breakout of the strategy enters all its legs together": legs("", UP, strategy=RANGE),
    "breakout.until: missing": legs(strategy='breakout = { side = "high" }'),
    'breakout.side: "up" is not known': legs(strategy='breakout = { until = "09:25", side = "up" }'),
    'breakout.until: "09:20" is not after the entry at "09:20"': legs(strategy='breakout = { until = "09:20" }'),
    'legs[0].breakout.until: "09:35" is not before the exit at "09:35"': legs('breakout = { until = "09:35" }'),
    'legs[1].wait: entering leg "wing" later, if at all, would leave sold CE on "one"': SPREAD.replace(
        WING, f"{WING}\n  wait = {{ points = -2 }}"
    ),
    'legs[1].breakout: entering leg "wing" later, if at all, would leave sold CE': SPREAD.replace(
        WING, f"{WING}\n  {RANGE}"
    ),
}


def strategy_of(text: str) -> Strategy:
    (strategy,) = parse_basket("format = 1\n" + text, ["NIFTY"]).strategies
    return strategy


@pytest.mark.parametrize("told", CONTRADICTIONS)
def test_a_contradiction_is_told_alone_with_what_to_write(told: str) -> None:
    with pytest.raises(Invalid) as raised:
        strategy_of(CONTRADICTIONS[told])
    (problem,) = raised.value.problems
    assert f"{problem.where}: {problem.message}".startswith(f"strategies[0].{told}")
    assert any(word in problem.message for word in ("write", "remove", "give one"))


@pytest.mark.parametrize(
    "fine",
    [
        legs("wait = { percent = 150 }"),
        legs(strategy="wait = { percent = 150 }"),
        legs(strategy="wait = { percent = -150 }", of=BOUGHT),
        SPREAD.replace('exit = "09:35"', f'exit = "09:35"\n{UP}'),
        SPREAD.replace('exit = "09:35"', f'exit = "09:35"\n{RANGE}'),
        SPREAD.replace('strike = { rule = "atm" }', f'strike = {{ rule = "atm" }}\n  {UP}'),
        SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nnaked = true').replace(WING, f"{WING}\n  {UP}"),
        SPREAD.replace("  [[strategies.allocations]]", f"{FUTURE}  [[strategies.allocations]]", 1).replace(
            'exit = "09:35"', f'exit = "09:35"\n{UP}'
        ),
    ],
)
def test_what_only_looks_odd_is_taken(fine: str) -> None:
    assert strategy_of(fine).legs


def test_a_short_that_waits_with_its_cover_is_still_told_of_the_cover() -> None:
    """The same words at both are two prices: either may come first."""
    both = SPREAD.replace(WING, f"{WING}\n  {UP}").replace(
        'strike = { rule = "atm" }', f'strike = {{ rule = "atm" }}\n  {UP}'
    )
    with pytest.raises(Invalid) as raised:
        strategy_of(both)
    assert [problem.where for problem in raised.value.problems] == ["strategies[0].legs[1].wait"]


def test_the_words_say_what_is_waited_for(tmp_path: Path) -> None:
    told = {}
    for name, text in {
        "legs": legs("wait = { percent = -2.5 }", 'breakout = { until = "09:25", side = "low" }'),
        "wait": legs(strategy="wait = { points = 10 }"),
        "breakout": legs(strategy=RANGE),
    }.items():
        path = tmp_path / f"{name}.toml"
        path.write_text("format = 1\n" + text, encoding="utf-8")
        told[name] = " ".join(CliRunner().invoke(main, ["check", str(path)]).stdout.split())
    assert "Leg 1 is entered once its price falls by 2.5 %." in told["legs"]
    assert "Leg 2 is entered once its price is below its low from the entry to 09:25." in told["legs"]
    assert "All legs are entered together once their net premium rises by 10." in told["wait"]
    assert (
        "All legs are chosen and entered together once the NIFTY spot is above its high or below its low from the "
        "entry to 09:25." in told["breakout"]
    )


def test_a_running_day_tells_what_is_waited_for() -> None:
    prices = market()
    (told,) = of_run(waiting(plan(leg(wait=points("10"))), prices))
    assert (told.what, told.account, f"{told.at:%H:%M}") == ("wait", "zerodha-1", "09:20")
    assert told.text == "leg 1: waits for NIFTY 24-Nov-2026 26000 CE at 110.00 or more, from 100.00 at 09:20"
