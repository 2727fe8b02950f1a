"""How files say what is entered again and what wakes: what is read, what contradicts itself, and the words for it."""

from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.cli import main
from option_baskets.domain.basket import Strategy
from option_baskets.domain.entry_rules import Again, Move, Reentry
from option_baskets.domain.errors import Invalid
from tests.engine.test_again import BOUGHT, LAZY, on_stop, with_lazy
from tests.engine.test_out_rules import STOP, legs
from tests.engine.tiny_day import SPREAD

ASAP = on_stop('reenter = "asap"')
AGAIN = 'on_stop = { reenter = "cost" }'
WAKING = on_stop('wakes = ["late"]')
COVERED = "with less cover than the plan has; remove it, or write naked = true in the strategy"


def spread(short: str = "", wing: str = "", more: str = "") -> str:
    """A sold call and its wing with these rules, and more legs."""
    atm, of_leg = 'strike = { rule = "atm" }', "points = 100 }"
    basket = SPREAD.replace(atm, f"{atm}\n{short}", 1).replace(of_leg, f"{of_leg}\n{wing}", 1)
    return basket.replace("  [[strategies.allocations]]", f"{more}\n  [[strategies.allocations]]", 1)


def read(basket: str) -> Strategy:
    return parse_basket("format = 1\n" + basket, ["NIFTY"]).strategies[0]


CONTRADICTIONS = {
    "legs[0].on_stop: this leg has no stop": legs(AGAIN),
    "legs[1].on_target: this leg has no target": legs("", 'on_target = { reenter = "asap" }'),
    "legs[0].on_stop: it sets nothing off": legs(on_stop("")),
    "legs[0].on_stop.times: 21 is outside 1 to 20": legs(on_stop('reenter = "cost", times = 21')),
    "legs[0].on_stop.times: 0 is outside 1 to 20": legs(on_stop('reenter = "cost", times = 0')),
    "legs[0].on_stop.times: it says how a leg is entered again": with_lazy(
        legs(on_stop('wakes = ["late"], times = 2'))
    ),
    "legs[0].on_stop: neither points nor percent": legs(on_stop('reenter = "momentum"')),
    "legs[0].on_stop: both points and percent": legs(on_stop('reenter = "momentum", points = 1, percent = 1')),
    "legs[0].on_stop.points: 0 is no move": legs(on_stop('reenter = "momentum", points = 0')),
    "legs[0].on_stop.percent: -100 would need a price of zero": legs(on_stop('reenter = "momentum", percent = -100')),
    "legs[0].on_stop.points: only momentum waits for a move": legs(on_stop('reenter = "cost_reverse", points = 5')),
    'legs[0].on_stop.reenter: "now" is not known': legs(on_stop('reenter = "now"')),
    'legs[0].on_stop.wakes[0]: "lat" is not the id of a leg; did you mean "late"?': with_lazy(
        legs(WAKING, on_stop('wakes = ["late"]')).replace('["late"]', '["lat"]', 1)
    ),
    'legs[0].on_stop.wakes[0]: "2" is not lazy': legs(on_stop('wakes = ["2"]')),
    'legs[0].on_stop.wakes[0]: "1" is this leg itself': legs(on_stop('wakes = ["1"]')),
    'legs[0].on_stop.wakes: ["late", "late"] names a leg twice': with_lazy(legs(on_stop('wakes = ["late", "late"]'))),
    "legs[0].on_stop.wakes[0]: 2 is not text": legs(on_stop("wakes = [2]")),
    "legs[2].lazy: nobody wakes this leg": with_lazy(legs(STOP)),
    "legs[2].wait: a lazy leg is entered when another leg wakes it": with_lazy(legs(WAKING), "wait = { points = 5 }"),
    'legs[1].strike.leg: "1" is lazy and has no strike until it wakes': legs("lazy = true", STOP).replace(
        'type = "PE"\n  strike = { rule = "atm" }',
        'type = "PE"\n  strike = { rule = "of_leg", leg = "1", points = 0 }\n  on_stop = { wakes = ["1"] }',
    ),
    "reenter_until: no leg is entered again": legs(STOP, strategy='reenter_until = "09:30"'),
    'reenter_until: "09:20" is not after the entry': legs(ASAP, strategy='reenter_until = "09:20"'),
    'reenter_until: "09:35" is not before the exit': legs(ASAP, strategy='reenter_until = "09:35"'),
    'reenter_until: "9:30" is not a time': legs(ASAP, strategy='reenter_until = "9:30"'),
    f'legs[0].on_stop.reenter: entering leg "short" again would leave sold CE on "one" {COVERED}': spread(
        f'{ASAP}\nsquare_off = "all"'
    ),
    f'legs[1].on_target.reenter: reversing leg "wing" would leave sold CE on "one" {COVERED}': spread(
        wing='target = { points = 9 }\nsquare_off = "all"\non_target = { reenter = "asap_reverse" }'
    ),
    f'legs[0].on_stop.reenter: reversing leg "1" would leave sold CE on "one" {COVERED}': legs(
        on_stop('reenter = "cost_reverse"'), of=BOUGHT
    ),
    f'legs[0].on_stop.reenter: entering leg "short" again would leave sold CE on "one" {COVERED}\n': spread(
        on_stop('reenter = "asap", wakes = ["late"]'), more=LAZY
    ),
    f'legs[1].on_target.wakes: waking these legs would leave sold CE on "one" {COVERED}': spread(
        wing='ratio = 2\ntarget = { points = 9 }\nsquare_off = "all"\non_target = { wakes = ["late"] }', more=LAZY
    ),
}


@pytest.mark.parametrize("told", CONTRADICTIONS)
def test_a_contradiction_is_told_alone_with_what_to_write(told: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(CONTRADICTIONS[told])
    (problem,) = raised.value.problems
    assert f"{problem.where}: {problem.message}".startswith(f"strategies[0].{told.strip()}")
    assert any(word in problem.message for word in ("write", "remove", "give one", "name it", "Write"))


def test_two_lazy_legs_that_only_wake_each_other_are_both_told() -> None:
    other = LAZY.replace('"late"', '"later"') + on_stop('wakes = ["late"]')
    with pytest.raises(Invalid) as raised:
        read(with_lazy(legs(STOP), on_stop('wakes = ["later"]') + other))
    assert [each.where for each in raised.value.problems] == [
        "strategies[0].legs[2].lazy",
        "strategies[0].legs[3].lazy",
    ]


@pytest.mark.parametrize(
    ("fine", "again"),
    [
        (legs(on_stop('reenter = "asap"')), Again(reenter=Reentry.ASAP)),
        (legs(on_stop('reenter = "cost_reverse", times = 20')), Again(reenter=Reentry.COST_REVERSE, times=20)),
        (
            legs(on_stop('reenter = "momentum", percent = -2.5')),
            Again(reenter=Reentry.MOMENTUM, move=Move(percent=Decimal("-2.5"))),
        ),
        (with_lazy(legs(on_stop('wakes = ["late"]'))), Again(wakes=("late",))),
        (
            with_lazy(legs(on_stop('reenter = "asap", wakes = ["late"]'))),
            Again(reenter=Reentry.ASAP, wakes=("late",)),
        ),
        (spread(ASAP), Again(reenter=Reentry.ASAP)),
        (legs(on_stop('reenter = "asap_reverse"'), of=BOUGHT, strategy="naked = true"), None),
        (legs(f"{ASAP}\ntarget = {{ percent = 100 }}").replace('"asap"', '"asap_reverse"'), None),
        (legs(ASAP, of=BOUGHT, strategy="stop = { premium_percent = 150 }"), None),
    ],
)
def test_what_is_written_is_what_the_leg_has(fine: str, again: Again | None) -> None:
    found = read(fine).legs[0].on_stop
    assert found is not None
    assert again is None or found == again


def test_the_words_say_every_rule(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    first = on_stop('reenter = "cost", times = 2, wakes = ["late"]')
    target = 'target = { points = 20 }\non_target = { reenter = "asap_reverse", times = 3 }'
    rules = with_lazy(
        legs(f"{first}\n{target}", on_stop('reenter = "momentum", points = -5'), strategy='reenter_until = "09:30"')
    )
    path.write_text("format = 1\n" + rules, encoding="utf-8")
    told = " ".join(CliRunner().invoke(main, ["check", str(path)]).stdout.split())
    for words in (
        "After its stop leg 1 is entered again in the first contract, once its price is back at the average of its "
        "first entry, at most twice.",
        "The stop of leg 1 wakes leg late.",
        "After its target leg 1 is entered again at once on the other side, at a strike chosen anew, at most 3 times.",
        "After its stop leg 2 is entered again in the same contract, once its price falls by 5 from the average of its "
        "exit, once.",
        "Leg late is lazy: it is entered when it is woken.",
        "Nothing is entered again from 09:30 on.",
    ):
        assert words in told
