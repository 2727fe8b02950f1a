"""Basket files: what a person writes becomes the domain's words, and every slip is told with its line and way out."""

import re
from datetime import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.adapters.basket_file import BasketFile, load_basket_file, parse_basket
from option_baskets.adapters.basket_file.names import slug
from option_baskets.adapters.basket_file.positions import lines_of_keys
from option_baskets.domain.basket import ExpiryRule, Pick, Reference, Series, Strike, StrikeRule, Weekday
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.errors import Invalid, Problem
from option_baskets.domain.exit_rules import Distance

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
KNOWN = ("NIFTY", "BANKNIFTY", "SENSEX")

STRADDLE = """\
format = 1
[basket]
name = "Conservative Income"
capital = 500000
mode = "paper"
[[accounts]]
id = "zerodha-1"
broker = "paper"
[[strategies]]
name = "0920 straddle"
underlying = "NIFTY"
entry = "09:20"
exit = "15:15"
days = ["MON", "TUE", "WED", "THU", "FRI"]
expiry = { series = "weekly", offset = 0 }
  [[strategies.legs]]
  side = "SELL"
  type = "CE"
  strike = { rule = "atm", offset = 0 }
  stop = { percent = 25 }
  [[strategies.legs]]
  side = "SELL"
  type = "PE"
  strike = { rule = "atm", offset = 0 }
  stop = { percent = 25 }
  [[strategies.allocations]]
  account = "zerodha-1"
  lots = 2
"""


def straddle_with(old: str, new: str) -> str:
    assert old in STRADDLE
    return STRADDLE.replace(old, new, 1)


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(Invalid) as raised:
        parse_basket(text, KNOWN, file="mine.toml")
    return raised.value.problems


def only_problem(text: str) -> str:
    (problem,) = problems_of(text)
    return str(problem)


# ---------------------------------------------------------------- what is right


def test_the_straddle_of_the_format_loads_as_written() -> None:
    found = parse_basket(STRADDLE, KNOWN)
    (strategy,) = found.strategies
    assert (found.basket.name, found.basket.capital) == ("Conservative Income", Decimal(500000))
    assert (strategy.schedule.entry, strategy.schedule.exit) == (time(9, 20), time(15, 15))
    assert strategy.schedule.days == tuple(Weekday)
    assert [(leg.id, leg.side, leg.type) for leg in strategy.legs] == [
        ("1", Side.SELL, ContractType.CE),
        ("2", Side.SELL, ContractType.PE),
    ]
    assert strategy.legs[0].strike == Strike(rule=StrikeRule.ATM, offset=0)
    assert strategy.legs[0].stop == Distance(percent=Decimal(25))
    assert [(each.account, each.units, each.leg_lots) for each in found.allocations] == [("zerodha-1", 2, None)]


def test_the_same_file_gives_the_same_ids_and_they_read_like_its_names() -> None:
    found = parse_basket(STRADDLE)
    assert found == parse_basket(STRADDLE)
    assert found.basket.id == "conservative-income"
    assert found.strategies[0].id == "conservative-income.0920-straddle"
    assert found.allocations[0].id == "conservative-income.0920-straddle.zerodha-1"


@given(first=st.text(min_size=1), second=st.text(min_size=1))
def test_slugs_are_never_empty_and_fit_a_key(first: str, second: str) -> None:
    for name in (first, second):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(name))


def test_names_in_other_scripts_stay_apart() -> None:
    assert len({slug("आय"), slug("व्यय"), slug("आय 2"), slug("income 2")}) == 4


def test_every_spelling_of_a_leg_is_read() -> None:
    found = parse_basket(
        straddle_with(
            '  strike = { rule = "atm", offset = 0 }\n',
            '  id = "call"\n  ratio = 2\n  strike = { rule = "premium", pick = "closest", value = 50.5 }\n'
            '  expiry = { series = "monthly", offset = 1 }\n  target = { points = 12.25 }\n',
        )
        .replace('[[strategies]]\nname = "0920', 'reference = "synthetic"\nname = "0920')
        .replace('reference = "synthetic"\nname', '[[strategies]]\nreference = "synthetic"\ndte = [1, 0]\nname')
    )
    call, put = found.strategies[0].legs
    assert found.strategies[0].reference is Reference.SYNTHETIC
    assert found.strategies[0].schedule.dte == (0, 1)
    assert call.strike == Strike(rule=StrikeRule.PREMIUM, pick=Pick.CLOSEST, value=Decimal("50.5"))
    assert (call.id, put.id, call.ratio) == ("call", "2", 2)
    assert call.expiry == ExpiryRule(series=Series.MONTHLY, offset=1)
    assert call.target == Distance(points=Decimal("12.25"))


def test_a_future_is_of_the_nearest_month_unless_it_says_otherwise() -> None:
    future = '  [[strategies.legs]]\n  side = "BUY"\n  type = "FUT"\n'
    strategy = parse_basket(straddle_with("  [[strategies.alloc", future + "  [[strategies.alloc")).strategies[0]
    assert strategy.expiry_rule(strategy.legs[2]) == ExpiryRule(series=Series.MONTHLY, offset=0)


def test_prices_are_exact_decimals() -> None:
    found = parse_basket(straddle_with("capital = 500000", "capital = 500000.10"))
    assert found.basket.capital == Decimal("500000.10")


ACCOUNTS = (
    '[[accounts]]\nid = "b"\ncharges_as = "angelone"\n[[accounts]]\nid = "c"\nbroker = "shoonya"\n[[strategies]]\n'
)
MORE = """
[[strategies.allocations]]
account = "b"
lots = 1
[[strategies.allocations]]
account = "c"
leg_lots = { "2" = 3 }
"""


def test_file_order_is_the_priority_of_allocations() -> None:
    found = parse_basket(straddle_with("[[strategies]]\n", ACCOUNTS) + MORE)
    assert [(each.account, each.priority) for each in found.allocations] == [("zerodha-1", 0), ("b", 1), ("c", 2)]
    assert found.allocations[2].leg_lots == {"2": 3}


def test_priorities_that_are_given_decide() -> None:
    text = straddle_with("[[strategies]]\n", ACCOUNTS) + MORE
    text = text.replace("lots = 2\n", "lots = 2\npriority = 30\n").replace("lots = 1\n", "lots = 1\npriority = 7\n")
    assert [each.account for each in parse_basket(text).allocations] == ["c", "b", "zerodha-1"]


def test_charges_are_the_brokers_own_unless_a_paper_account_picks() -> None:
    accounts = parse_basket(straddle_with("[[strategies]]\n", ACCOUNTS)).accounts
    assert [(each.broker, each.charges_as) for each in accounts] == [
        ("paper", "zerodha"),
        ("paper", "angelone"),
        ("shoonya", "shoonya"),
    ]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + STRADDLE.replace("\n", "\r\n").encode())
    assert load_basket_file(path) == parse_basket(STRADDLE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    assert load_basket_file(path, KNOWN).strategies


def test_conservative_income_sends_the_lots_the_story_tells() -> None:
    found = load_basket_file(ROOT / "examples" / "conservative-income.toml", KNOWN)
    charged = {account.id: account.charges_as for account in found.accounts}
    assert all(account.broker == "paper" for account in found.accounts)
    assert {
        strategy.name: [(charged[each.account], each.units) for each in found.of(strategy)]
        for strategy in found.strategies
    } == {
        "Iron condor": [("zerodha", 2), ("angelone", 1)],
        "Covered call": [("zerodha", 5)],
        "Cash-secured put": [("shoonya", 3), ("angelone", 2)],
    }
    assert [sorted(f"{leg.side} {leg.type}" for leg in each.legs) for each in found.strategies] == [
        ["BUY CE", "BUY PE", "SELL CE", "SELL PE"],
        ["BUY FUT", "SELL CE"],
        ["SELL PE"],
    ]


# ---------------------------------------------------------------- what is wrong

SLIPS = [
    ("format = 1", "format = 2", "1: format: 2 is not a format this version reads; write format = 1"),
    ("format = 1", "format = true", "1: format: true is not a format"),
    ("capital = 500000", "capital = 0", "4: basket.capital: 0 must be above zero"),
    ("capital = 500000", 'capital = "5 lakh"', '4: basket.capital: "5 lakh" is not a number; write for example'),
    ("capital = 500000", "capital = nan", "4: basket.capital: NaN is not a number"),
    ("capital = 500000", "capital = 1e999999", "4: basket.capital: 1E+999999 is beyond any price or amount"),
    ("capital = 500000", "capital = 0.001", "4: basket.capital: 0.001 has more than 2 decimals"),
    ("capital = 500000\n", "", "2: basket.capital: missing; write for example capital = 500000"),
    ('"Conservative Income"', '" "', '3: basket.name: " " is blank or not one line'),
    ('"Conservative Income"', f'"{"x" * 81}"', "3: basket.name: 81 characters; a name has at most 80"),
    ('mode = "paper"', 'mode = "Paper"', 'did you mean "paper"? Write one of "paper", "live"'),
    ('mode = "paper"', 'mode = "live"', "8: accounts[0].broker: a live basket cannot trade on the paper account"),
    ('mode = "paper"', 'colour = "red"', "5: basket.colour: no such key; remove it. Known: name, capital, mode"),
    ('broker = "paper"', 'broker = "kite"', '8: accounts[0].broker: "kite" is not known; did you mean "zerodha"?'),
    ('broker = "paper"', 'charges_as = "finvasia"', 'did you mean "shoonya"?'),
    ('broker = "paper"', 'broker = "zerodha"\ncharges_as = "angelone"', "only paper accounts choose, remove it"),
    (
        '"NIFTY"',
        '"nifty"',
        '11: strategies[0].underlying: "nifty" is not an underlying with facts; did you mean "NIFTY"?',
    ),
    (
        '"09:20"',
        '"9:20"',
        '12: strategies[0].entry: "9:20" is not a time HH:MM of 24 hours; write for example entry = "09:20"',
    ),
    ('"09:20"', "920", '12: strategies[0].entry: 920 is not text; write it in quotes, for example entry = "09:20"'),
    ('"09:20"', '"24:00"', '12: strategies[0].entry: "24:00" is not a time'),
    (
        '"09:20"',
        '"09:00"',
        '12: strategies[0].entry: "09:00" is outside trading hours (09:15 to 15:45, 24-hour clock); move',
    ),
    ('"15:15"', '"03:15"', '13: strategies[0].exit: "03:15" is outside trading hours'),
    ('"15:15"', '"09:20"', '13: strategies[0].exit: "09:20" is not after the entry at "09:20"'),
    ('"FRI"]', '"friday"]', '14: strategies[0].days[4]: "friday" is not known; did you mean "FRI"?'),
    ('"FRI"]', '"SUN"]', '14: strategies[0].days[4]: "SUN" is not known'),
    ('"FRI"]', '"MON"]', "names a day twice; name it once"),
    ('["MON", "TUE", "WED", "THU", "FRI"]', "[]", "14: strategies[0].days: an empty list never holds"),
    ('["MON", "TUE", "WED", "THU", "FRI"]', '"MON"', '14: strategies[0].days: "MON" is not a list'),
    ("days =", "dte = [-1]\ndays =", "14: strategies[0].dte[0]: -1 is outside 0 to 250"),
    ("days =", "dte = [1.5]\ndays =", "14: strategies[0].dte[0]: 1.5 is not a whole number"),
    ("days =", "dte = [1, 1]\ndays =", "14: strategies[0].dte: [1, 1] names a number twice"),
    (
        "days =",
        'naked = "yes"\ndays =',
        '14: strategies[0].naked: "yes" is not true or false; write naked = true, without',
    ),
    ("days =", 'reference = "futures"\ndays =', 'did you mean "future"?'),
    ("days =", "slippage_limit_percent = 500\ndays =", "500 is over 100"),
    ("offset = 0 }\n  [", "offset = -1 }\n  [", "15: strategies[0].expiry.offset: -1 is outside 0 to 12"),
    ('{ series = "weekly", offset = 0 }', '"weekly"', '"weekly" is not a table; write for example expiry = { series ='),
    ('side = "SELL"', 'side = "short"', '17: strategies[0].legs[0].side: "short" is not known; did you mean "SELL"?'),
    ('  side = "SELL"\n', "", '16: strategies[0].legs[0].side: missing; write for example side = "SELL"'),
    ('side = "SELL"', 'side = "SELL"\n  ratio = 0', "18: strategies[0].legs[0].ratio: 0 is outside 1 to 100"),
    ('side = "SELL"', 'side = "SELL"\n  ratio = 1.0', "ratio: 1.0 is not a whole number"),
    ('side = "SELL"', 'side = "SELL"\n  id = "2"', '22: strategies[0].legs[1]: leg id "2" is taken by an earlier leg'),
    ('side = "SELL"', 'side = "SELL"\n  id = 1', "18: strategies[0].legs[0].id: 1 is not text; write it in quotes"),
    ('side = "SELL"', 'side = "SELL"\n  stoploss = 1', '.stoploss: no such key; did you mean "stop"?'),
    ('type = "CE"', 'type = "FUT"', "19: strategies[0].legs[0].strike: a future has no strike; remove this key"),
    (
        '  strike = { rule = "atm", offset = 0 }\n',
        "",
        "16: strategies[0].legs[0].strike: missing; write for example strike =",
    ),
    (
        '{ rule = "atm", offset = 0 }',
        '{ rule = "amt" }',
        '19: strategies[0].legs[0].strike.rule: "amt" is not known; did you',
    ),
    ('{ rule = "atm", offset = 0 }', '{ rule = "atm", points = 5 }', "strike.points: no such key"),
    (
        '{ rule = "atm", offset = 0 }',
        '{ rule = "atm_points" }',
        "strike.points: missing; write for example points = 100",
    ),
    ('{ rule = "atm", offset = 0 }', '{ rule = "premium", value = 50 }', "strike.pick: missing"),
    (
        '{ rule = "atm", offset = 0 }',
        '{ rule = "premium", pick = "closest", value = 0 }',
        "strike.value: 0 must be above zero",
    ),
    ('{ rule = "atm", offset = 0 }', '{ rule = "of_leg", leg = "2", points = 1 }', "this is the first leg"),
    ("{ percent = 25 }", "{ percent = 0 }", "20: strategies[0].legs[0].stop.percent: 0 must be above zero"),
    ("{ percent = 25 }", "{ percent = -25 }", "stop.percent: -25 must be above zero"),
    ("{ percent = 25 }", "{ percent = 25, points = 5 }", "stop: both percent and points; give one"),
    (
        "{ percent = 25 }",
        "{ }",
        "stop: neither percent nor points nor underlying_percent nor underlying_points; give one",
    ),
    ("{ percent = 25 }", "25", "stop: 25 is not a table; write for example stop = { percent = 25 }"),
    (
        "stop = { percent = 25 }",
        "target = { percent = 100 }",
        "target.percent: 100 can never fire: a SELL leg reaches it",
    ),
    ("lots = 2", "lots = 0", "28: strategies[0].allocations[0].lots: 0 is outside 1 to 10000"),
    ("lots = 2", "lots = 2.5", "28: strategies[0].allocations[0].lots: 2.5 is not a whole number"),
    (
        "lots = 2",
        'leg_lots = { "1" = 0 }',
        '28: strategies[0].allocations[0].leg_lots.1: 0 is outside 1 to 10000; write for example "1"',
    ),
    ("lots = 2", 'leg_lots = { "1" = 1, "3" = 1 }', "leg_lots.3: no such leg; remove it. Known: 1, 2"),
    ("lots = 2", "leg_lots = { }", "leg_lots: names no leg; name at least one"),
    (
        "lots = 2",
        'lots = 2\nleg_lots = { "1" = 1 }',
        "26: strategies[0].allocations[0]: both lots and leg_lots; give one",
    ),
    (
        "lots = 2",
        "",
        "26: strategies[0].allocations[0]: neither lots nor leg_lots nor multiplier nor weight nor dynamic; give one",
    ),
    ("lots = 2", "lots = 2\npriority = -1", "29: strategies[0].allocations[0].priority: -1 is outside 0 to 999"),
    ('account = "zerodha-1"', 'account = "zerodha1"', 'account of this file; did you mean "zerodha-1"?'),
    (
        'entry = "09:20"',
        "entry = 09:20",
        'mine.toml:12: not TOML: Expected newline or end of document after a statement in "entry = 09:20"',
    ),
    ("capital = 500000", "capital = 500000\ncapital = 1", "mine.toml:5: not TOML: Cannot overwrite a value"),
    ("capital = 500000", f"capital = {'9' * 5000}", "mine.toml: not TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "told"), SLIPS, ids=[told[:60] for _, _, told in SLIPS])
def test_a_slip_is_told_alone_with_its_line_its_value_and_the_way_out(right: str, wrong: str, told: str) -> None:
    message = only_problem(straddle_with(right, wrong))
    assert message.startswith("mine.toml:")
    assert told in message


def test_an_account_id_that_could_not_be_part_of_a_key_is_refused() -> None:
    assert '7: accounts[0].id: "zerodha#1" is no id' in only_problem(STRADDLE.replace("zerodha-1", "zerodha#1"))


def test_a_key_below_the_wrong_header_is_sent_back_to_its_own() -> None:
    message = only_problem(straddle_with("  [[strategies.alloc", "  naked = true\n  [[strategies.alloc"))
    assert "26: strategies[0].legs[1].naked: no such key; it belongs to strategies[0]; move it up" in message
    message = only_problem("[basket]\n" + STRADDLE.replace("[basket]\n", ""))
    assert "2: basket.format: no such key; it belongs to the top of the file" in message


def test_a_bought_leg_cannot_lose_more_than_it_cost() -> None:
    text = straddle_with('"SELL"\n  type = "CE"', '"BUY"\n  type = "CE"').replace("percent = 25", "percent = 100", 1)
    assert "20: strategies[0].legs[0].stop.percent: 100 can never fire: a BUY leg" in only_problem(text)


def test_a_wing_cannot_be_measured_from_a_future() -> None:
    text = straddle_with('type = "CE"\n  strike = { rule = "atm", offset = 0 }', 'type = "FUT"')
    text = text.replace('{ rule = "atm", offset = 0 }', '{ rule = "of_leg", leg = "1", points = 100 }')
    assert '"1" is a future and has no strike; name an option leg' in only_problem(text)


def test_an_allocation_of_the_same_account_twice_is_refused() -> None:
    text = STRADDLE + '[[strategies.allocations]]\naccount = "zerodha-1"\nlots = 1\n'
    assert '30: strategies[0].allocations[1].account: "zerodha-1" has an allocation' in only_problem(text)


def test_two_allocations_cannot_share_a_priority() -> None:
    text = straddle_with("[[strategies]]\n", ACCOUNTS) + MORE.replace("lots = 1\n", "lots = 1\npriority = 0\n", 1)
    assert '0 is also that of "zerodha-1"; give each its own' in only_problem(text)


def test_two_strategies_whose_names_give_one_id_are_refused() -> None:
    second = STRADDLE[STRADDLE.index("[[strategies]]") :].replace("0920 straddle", "0920  Straddle!")
    assert '"0920  Straddle!" is too like the earlier "0920 straddle"' in only_problem(STRADDLE + second)


def test_two_accounts_cannot_have_one_id() -> None:
    text = straddle_with("[[strategies]]\n", '[[accounts]]\nid = "zerodha-1"\n[[strategies]]\n')
    assert '"zerodha-1" is taken by an earlier account' in only_problem(text)


def test_a_basket_has_at_most_ten_strategies() -> None:
    start = STRADDLE.index("[[strategies]]")
    text = STRADDLE[:start] + "".join(STRADDLE[start:].replace("0920", f"{number}", 1) for number in range(11))
    assert only_problem(text) == (
        "mine.toml:9: strategies: 11 strategies; a basket has at most 10. Move some to another file"
    )


def test_a_strategy_has_at_most_six_legs() -> None:
    leg = '  [[strategies.legs]]\n  side = "SELL"\n  type = "CE"\n  strike = { rule = "atm" }\n'
    assert "7 legs; a strategy has at most 6" in only_problem(
        straddle_with("  [[strategies.alloc", leg * 5 + "  [[strategies.alloc")
    )


def test_a_strategy_without_legs_or_allocations_is_told_of_both() -> None:
    text = STRADDLE[: STRADDLE.index("  [[strategies.legs]]")]
    assert [problem.where for problem in problems_of(text)] == ["strategies[0].legs", "strategies[0].allocations"]


def test_everything_wrong_with_a_file_is_told_at_once_in_the_order_of_its_lines() -> None:
    text = STRADDLE.replace('"paper"', '"papr"').replace("SELL", "sell").replace("lots = 2", "lots = -2")
    problems = problems_of(text)
    assert [problem.line for problem in problems] == [5, 8, 17, 22, 28]


WING = """\
  [[strategies.legs]]
  side = "BUY"
  type = "CE"
  strike = { rule = "of_leg", leg = "1", points = 200 }
"""


def with_wing(extra: str = "") -> str:
    return straddle_with("  [[strategies.alloc", WING + extra + "  [[strategies.alloc")


def test_a_stop_on_a_wing_that_would_leave_its_short_is_refused_with_the_way_out() -> None:
    message = only_problem(with_wing("  stop = { percent = 50 }\n"))
    assert message.startswith(
        'mine.toml:30: strategies[0].legs[2].stop: closing leg "3" would leave sold CE on "zerodha-1"'
    )
    assert message.endswith("remove it, or write naked = true in the strategy")


def test_leg_lots_that_leave_a_short_uncovered_are_refused_with_the_way_out() -> None:
    message = only_problem(with_wing().replace("lots = 2", 'leg_lots = { "1" = 2, "3" = 1 }'))
    assert "strategies[0].allocations[0].leg_lots: these lots would leave sold CE" in message
    assert "naked = true" in message


def test_naked_is_the_users_word_that_a_short_may_stand_alone() -> None:
    text = with_wing("  stop = { percent = 50 }\n").replace("days =", "naked = true\ndays =")
    assert parse_basket(text, KNOWN).strategies[0].naked


# ---------------------------------------------------------------- files that are no baskets


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"a = 1\nb = \xff\n", "x.toml:2: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"x = " + b"[" * 5000, "nested too deeply"),
        (b"#" * 1_000_001, "1,000,001 bytes is no basket file"),
        (b"[basket\n", "x.toml:1: not TOML"),
        (b'{"basket": {}}', "x.toml:1: not TOML"),
        (b"[[basket]]\n", "x.toml:1: basket: [{  }] is not a table"),
        (b"basket = 5\naccounts = [1]\nstrategies = {}\n", "x.toml:2: accounts[0]: 1 is not a table"),
    ],
)
def test_a_file_of_the_wrong_shape_is_told_by_name(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid) as raised:
        load_basket_file(path)
    assert told in str(raised.value)


@pytest.mark.parametrize("depth", range(50, 1000, 50))
def test_nesting_of_any_depth_is_invalid_and_no_crash(depth: int) -> None:
    with pytest.raises(Invalid):
        parse_basket(straddle_with('"Conservative Income"', "[" * depth + "]" * depth))


def test_a_missing_file_and_a_directory_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"nowhere\.toml: there is no such file"):
        load_basket_file(tmp_path / "nowhere.toml")
    with pytest.raises(Invalid, match="this is a directory"):
        load_basket_file(tmp_path)


def test_lines_are_found_through_every_way_toml_has_to_write_a_key() -> None:
    text = '''\
# a comment with [brackets] and "quotes"
a.b = 1
"quoted key" = { x = "}", y = [1,
  2, # ]
  { z = """
several = "lines"
""" } ] }
[t.'u']
v = \'\'\'
w = 1
\'\'\'
x = 1979-05-27T07:32:00Z
[[list]]
k = "\\"#"
[list.sub]
m = 1
[[list.inner]]
n = 1
[[list]]
k = 2
'''
    lines = lines_of_keys(text)
    assert {key: lines[key] for key in lines if key not in {"a", "t"}} == {
        "a.b": 2,
        "quoted key": 3,
        "quoted key.x": 3,
        "quoted key.y": 3,
        "quoted key.y[0]": 3,
        "quoted key.y[1]": 4,
        "quoted key.y[2]": 5,
        "quoted key.y[2].z": 5,
        "t.u": 8,
        "t.u.v": 9,
        "t.u.x": 12,
        "list": 13,
        "list[0]": 13,
        "list[0].k": 14,
        "list[0].sub": 15,
        "list[0].sub.m": 16,
        "list[0].inner": 17,
        "list[0].inner[0]": 17,
        "list[0].inner[0].n": 18,
        "list[1]": 19,
        "list[1].k": 20,
    }


@given(data=st.data())
def test_no_damage_to_a_file_is_more_than_invalid(data: st.DataObject) -> None:
    lines = STRADDLE.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    junk = data.draw(st.text(alphabet="[]{}=\"'#.,\\ \tab19-:é", max_size=12))
    lines[at] = data.draw(st.sampled_from([junk, lines[at] + junk, junk + lines[at], lines[at][:-1]]))
    try:
        found = parse_basket("\n".join(lines), KNOWN)
    except Invalid as error:
        assert all(problem.message for problem in error.problems)
    else:
        assert isinstance(found, BasketFile)
