"""How files say when to leave: what is read, what contradicts itself, and the words for it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.cli import main
from option_baskets.domain.errors import Invalid
from tests.engine.test_out_rules import STOP, legs
from tests.engine.tiny_day import STRADDLE

TRAIL = 'trail = { unit = "points", every = 10, by = 5 }'
BOUGHT = STRADDLE.replace(f"  {STOP}\n", "").replace("SELL", "BUY")
FUTURES = BOUGHT.replace('  type = "CE"\n  strike = { rule = "atm" }', '  type = "FUT"').replace(
    '  type = "PE"\n  strike = { rule = "atm" }', '  type = "FUT"'
)

CONTRADICTIONS = {
    "legs[0].trail: a trail moves a stop and this leg has none": legs(TRAIL),
    "legs[0].trail: a trail follows the leg's own price": legs(f"stop = {{ underlying_points = 9 }}\n{TRAIL}"),
    "legs[0].trail.by: 12 is more than every = 10": legs(f"{STOP}\n{TRAIL.replace('by = 5', 'by = 12')}"),
    'legs[0].price: "close" has no rule to serve': legs('price = "close"\nstop = { underlying_points = 9 }'),
    'legs[0].square_off: "all" never happens': legs('square_off = "all"'),
    "legs[0].stop: both points and underlying_points; give one": legs("stop = { points = 1, underlying_points = 2 }"),
    "legs[0].target.percent: 100 can never fire": legs("target = { percent = 100 }"),
    "legs[0].stop.percent: 100 can never fire": legs("stop = { percent = 100 }", of=BOUGHT),
    "legs[0].target.underlying_percent: 100 can never fire": legs("target = { underlying_percent = 100 }"),
    "legs[1].stop.underlying_percent: 100 can never fire": legs("", "stop = { underlying_percent = 100 }"),
    "lock.keep: 3000 is not below at = 3000": legs(strategy="lock = { at = 3000, keep = 3000 }"),
    "lock.trail.by: 600 is more than every = 500": legs(
        strategy="lock = { at = 9, keep = 1, trail = { every = 500, by = 600 } }"
    ),
    "lock.trail.by: missing": legs(strategy="lock = { at = 9, keep = 1, trail = { every = 500 } }"),
    "lock.at: 5000 is never locked": legs(strategy="lock = { at = 5000, keep = 1 }\ntarget = { rupees = 5000 }"),
    'mtm: "net" has no rule to serve': legs(strategy='mtm = "net"'),
    'per: "account" has no rule to serve': legs(strategy='per = "account"'),
    'premium_base: "gross" has no rule to serve': legs(strategy='stop = { rupees = 1 }\npremium_base = "gross"'),
    "stop.premium_percent: the strategy has no option legs": legs(
        strategy="stop = { premium_percent = 10 }", of=FUTURES
    ),
    "stop.premium_percent: 100 can never fire": legs(strategy="stop = { premium_percent = 100 }", of=BOUGHT),
    "target.premium_percent: 100 can never fire": legs(strategy="target = { premium_percent = 100 }"),
    "legs[1]: move_stop_to_cost needs a stop on every sold leg": legs(STOP, strategy="move_stop_to_cost = true"),
    "legs[1].stop: a stop on the underlying cannot move": legs(
        STOP, "stop = { underlying_points = 9 }", strategy="move_stop_to_cost = true"
    ),
    "move_stop_to_cost: there is no stop to move": legs(STOP, STOP, strategy="move_stop_to_cost = true", of=BOUGHT),
}


@pytest.mark.parametrize("told", CONTRADICTIONS)
def test_a_contradiction_is_told_alone_with_what_to_write(told: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_basket("format = 1\n" + CONTRADICTIONS[told], ["NIFTY"])
    (problem,) = raised.value.problems
    assert f"{problem.where}: {problem.message}".startswith(f"strategies[0].{told}")
    assert any(word in problem.message for word in ("write", "remove", "give one"))


@pytest.mark.parametrize(
    "fine",
    [
        legs("stop = { percent = 100 }"),
        legs("stop = { underlying_percent = 100 }"),
        legs(strategy="lock = { at = 3000, keep = -500 }"),
        legs(strategy="stop = { premium_percent = 150 }"),
        legs(f"{STOP}\n{TRAIL.replace('by = 5', 'by = 10')}"),
    ],
)
def test_what_only_looks_odd_is_taken(fine: str) -> None:
    assert parse_basket("format = 1\n" + fine, ["NIFTY"]).strategies


def test_the_words_say_every_rule(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    whole = (
        'stop = { rupees = 125000 }\nlock = { at = 3000, keep = 1000, trail = { every = 1000, by = 500 } }\nmtm = "net"'
    )
    path.write_text(
        "format = 1\n"
        + legs(
            f"{STOP}\n{TRAIL}",
            f'{STOP}\ntarget = {{ underlying_points = 100 }}\nprice = "close"\nsquare_off = "all"',
            strategy=f"{whole}\nmove_stop_to_cost = true",
        ),
        encoding="utf-8",
    )
    told = " ".join(CliRunner().invoke(main, ["check", str(path)]).stdout.split())
    for words in (
        "Leg 1: its stop moves 5 pt for each 10 pt in favour.",
        "100 pt spot",
        "Leg 2: its rules look at minute closes only; its stop or target closes all legs.",
        "All legs out at a loss of ₹1,25,000, falling to ₹1,000 once ₹3,000 was made",
        "(₹500 more for each further ₹1,000).",
        "Charges are taken off first.",
        "Once a leg is stopped, the other sold legs' stops move to cost.",
    ):
        assert words in told
