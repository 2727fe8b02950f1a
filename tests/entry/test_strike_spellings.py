"""Every strike rule as a person writes it: what it becomes, what ``baskets check`` says of it, what can be wrong."""

from decimal import Decimal

import pytest

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.cli.wording import strike_in_words
from option_baskets.domain.basket import Pick, Strike, StrikeRule
from option_baskets.domain.errors import Invalid

FILE = """\
[basket]
name = "Basket"
capital = 500000
[[accounts]]
id = "zerodha-1"
[[strategies]]
name = "Strategy"
underlying = "NIFTY"
entry = "09:20"
exit = "15:15"
  [[strategies.legs]]
  side = "SELL"
  type = "PE"
  strike = { rule = "atm" }
  [[strategies.legs]]
  side = "SELL"
  type = "CE"
  strike = { STRIKE }
  [[strategies.allocations]]
  account = "zerodha-1"
  lots = 1
"""

SPELLINGS = [
    ('rule = "atm"', Strike(rule=StrikeRule.ATM, offset=0), "ATM"),
    ('rule = "atm", offset = -2', Strike(rule=StrikeRule.ATM, offset=-2), "ATM -2 steps"),
    ('rule = "atm_points", points = 100', Strike(rule=StrikeRule.ATM_POINTS, points=Decimal(100)), "ATM +100 pt"),
    (
        'rule = "atm_percent", percent = -1.5',
        Strike(rule=StrikeRule.ATM_PERCENT, percent=Decimal("-1.5")),
        "ATM -1.5 %",
    ),
    ('rule = "strike", value = 26000', Strike(rule=StrikeRule.STRIKE, value=Decimal(26000)), "26000"),
    (
        'rule = "premium", pick = "closest", value = 50.5',
        Strike(rule=StrikeRule.PREMIUM, pick=Pick.CLOSEST, value=Decimal("50.5")),
        "premium closest 50.5",
    ),
    (
        'rule = "premium", pick = "at_least", value = 50',
        Strike(rule=StrikeRule.PREMIUM, pick=Pick.AT_LEAST, value=Decimal(50)),
        "premium at least 50",
    ),
    (
        'rule = "premium", pick = "at_most", value = 50',
        Strike(rule=StrikeRule.PREMIUM, pick=Pick.AT_MOST, value=Decimal(50)),
        "premium at most 50",
    ),
    (
        'rule = "premium", pick = "range", from = 40, to = 60',
        Strike(rule=StrikeRule.PREMIUM, pick=Pick.RANGE, low=Decimal(40), high=Decimal(60)),
        "premium 40 to 60",
    ),
    (
        'rule = "straddle_percent", pick = "at_least", percent = 30',
        Strike(rule=StrikeRule.STRADDLE_PERCENT, pick=Pick.AT_LEAST, percent=Decimal(30)),
        "premium at least 30 % of straddle",
    ),
    (
        'rule = "straddle_width", k = 0.5',
        Strike(rule=StrikeRule.STRADDLE_WIDTH, k=Decimal("0.5")),
        "ATM +0.5 straddles",
    ),
    (
        'rule = "delta", value = 0.25',
        Strike(rule=StrikeRule.DELTA, pick=Pick.CLOSEST, value=Decimal("0.25")),
        "delta 0.25",
    ),
    (
        'rule = "delta", pick = "closest", value = 0.25',
        Strike(rule=StrikeRule.DELTA, pick=Pick.CLOSEST, value=Decimal("0.25")),
        "delta 0.25",
    ),
    (
        'rule = "of_leg", leg = "1", points = 200',
        Strike(rule=StrikeRule.OF_LEG, leg="1", points=Decimal(200)),
        "leg 1 +200 pt",
    ),
]


@pytest.mark.parametrize(("spelling", "strike", "words"), SPELLINGS, ids=lambda each: str(each)[:60])
def test_a_spelling_is_read_and_said(spelling: str, strike: Strike, words: str) -> None:
    leg = parse_basket(FILE.replace("STRIKE", spelling)).strategies[0].legs[1]
    assert leg.strike == strike
    assert strike_in_words(leg.strike) == words


def test_every_rule_and_every_pick_is_spelled_here() -> None:
    assert {strike.rule for _, strike, _ in SPELLINGS} == set(StrikeRule)
    assert {strike.pick for _, strike, _ in SPELLINGS if strike.rule is StrikeRule.PREMIUM} == set(Pick)


@pytest.mark.parametrize(
    ("spelling", "told"),
    [
        ('rule = "atm_percent", percent = 100', "percent: 100 % of the reference is no strike; write a few percent"),
        ('rule = "atm_percent", points = 100', "percent: missing; write for example percent = 1.5"),
        ('rule = "strike"', "value: missing; write for example value = 26000"),
        ('rule = "strike", value = -5', "value: -5 must be above zero"),
        ('rule = "premium", pick = "at_lest", value = 50', 'pick: "at_lest" is not known; did you mean "at_least"?'),
        ('rule = "premium", pick = "range", value = 50', "from: missing; write for example from = 40"),
        ('rule = "premium", pick = "closest", from = 40', "value: missing"),
        ('rule = "premium", pick = "range", from = 60, to = 40', "to: 40 is below from = 60; write the lower premium"),
        (
            'rule = "straddle_percent", pick = "range", percent = 30',
            'pick: "range" is not known; write one of "closest"',
        ),
        ('rule = "straddle_percent", pick = "closest", percent = 0', "percent: 0 must be above zero"),
        ('rule = "straddle_width"', "k: missing; write for example k = 1"),
        ('rule = "delta", value = 25', "value: 25 is no delta; write its size between 0 and 1"),
        ('rule = "delta", value = -0.25', "value: -0.25 must be above zero"),
        ('rule = "delta", pick = "at_least", value = 0.25', 'pick: "at_least" is not known; write one of "closest"'),
    ],
)
def test_what_is_wrong_with_a_strike_is_said_with_the_way_out(spelling: str, told: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_basket(FILE.replace("STRIKE", spelling))
    assert f"strategies[0].legs[1].strike.{told}" in str(error.value)
