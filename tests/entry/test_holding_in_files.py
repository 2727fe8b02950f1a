"""Holding, settlement and product in basket files: what is read, what is refused with a way out, what is said of it."""

from datetime import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.facts import load
from option_baskets.cli import main
from option_baskets.domain.basket import Holding, Product, Schedule
from option_baskets.domain.due import latest_mis_exits
from option_baskets.domain.errors import Invalid
from tests.engine.nights import MON, TUE, days, settle
from tests.engine.test_overnight import EXPIRING, NEXT_DAY, WEEKLY

PLAN = f"format = 1\n{NEXT_DAY}"
LATEST_MIS = latest_mis_exits(load())


def plan_with(*lines: str, entry: str = "09:30", exit_: str = "09:20") -> str:
    text = PLAN.replace('holding = "next_day"\n', "".join(f"{line}\n" for line in lines))
    return text.replace('entry = "09:30"', f'entry = "{entry}"').replace('exit = "09:20"', f'exit = "{exit_}"')


def problems_of(text: str) -> dict[str, str]:
    with pytest.raises(Invalid) as raised:
        parse_basket(text, None, LATEST_MIS)
    return {problem.where.removeprefix("strategies[0]."): problem.message for problem in raised.value.problems}


def test_without_a_word_a_strategy_is_intraday_and_carried_as_nrml() -> None:
    (strategy,) = parse_basket(plan_with(exit_="15:15")).strategies
    assert strategy.schedule.holding is Holding.INTRADAY
    assert (strategy.product, strategy.settle) == (Product.NRML, False)


def test_a_positional_strategy_says_its_days() -> None:
    (strategy,) = parse_basket(plan_with('holding = "positional"', "enter_before = 4", "exit_before = 1")).strategies
    schedule = Schedule(
        entry=time(9, 30),
        exit=time(9, 20),
        days=strategy.schedule.days,
        holding=Holding.POSITIONAL,
        enter_before=4,
        exit_before=1,
    )
    assert strategy.schedule == schedule


@pytest.mark.parametrize(
    ("lines", "where", "told"),
    [
        (('holding = "next_day"', "exit_before = 1"), "exit_before", 'write holding = "positional" with it'),
        (('holding = "positional"', "exit_before = 1"), "enter_before", "missing; write for example enter_before = 4"),
        (
            ('holding = "positional"', "enter_before = 1", "exit_before = 2"),
            "exit_before",
            "2 days before expiry is earlier than enter_before = 1; write at most that",
        ),
        (
            ('holding = "positional"', "enter_before = 2", "exit_before = 2"),
            "exit",
            '"09:20" is not after the entry at "09:30"; both are of the same day',
        ),
        (
            ('holding = "positional"', "enter_before = 2", "exit_before = 1", "dte = [3]"),
            "dte",
            "[3] never holds on the day 2 trading days before expiry",
        ),
        (('holding = "intraday"',), "exit", '"09:20" is not after the entry'),
        (('holding = "next_day"', "dte = [0, 1]"), "dte", "take 0 out, or write settle = true"),
        (('holding = "overnight"',), "holding", 'Write one of "intraday", "next_day", "positional"'),
        (('holding = "next_day"', 'product = "MIS"'), "product", 'the holding is "next_day"; write "NRML"'),
    ],
)
def test_what_contradicts_itself_is_told_with_the_way_out(lines: tuple[str, ...], where: str, told: str) -> None:
    problems = problems_of(plan_with(*lines))
    assert told.casefold() in problems[where].casefold()
    assert len(problems) == 1


def test_an_mis_exit_is_held_against_the_square_off_of_every_broker_it_trades_at() -> None:
    """Zerodha squares off at 15:25, so that 15:15 is the last exit; with the others it is 15:05."""
    early = plan_with('product = "MIS"', exit_="15:15")
    assert parse_basket(early, None, LATEST_MIS).strategies[0].product is Product.MIS
    late = problems_of(early.replace("15:15", "15:16"))
    assert late == {
        "exit": '"15:16" is too late for MIS on "one": zerodha squares off ten minutes after 15:15; '
        'write at most "15:15", or product = "NRML"'
    }
    assert "shoonya" in problems_of(early.replace('id = "one"', 'id = "one"\ncharges_as = "shoonya"'))["exit"]
    special = problems_of(plan_with('product = "MIS"', "special_sessions = true", exit_="15:15"))
    assert "no known square-off time in special sessions" in special["product"]


@pytest.mark.parametrize(
    ("lines", "exit_", "said"),
    [
        (('holding = "next_day"',), "09:20", "NIFTY, 09:30 to 09:20 the next trading day, Mon"),
        (
            ('holding = "positional"', "enter_before = 4", "exit_before = 1"),
            "15:15",
            "NIFTY, 09:30 4 trading days before expiry to 15:15 1 trading day before expiry, Mon",
        ),
        (
            ('holding = "positional"', "enter_before = 1", "exit_before = 0", "settle = true"),
            "15:30",
            "09:30 1 trading day before expiry to 15:30 on expiry day, Mon, may settle at expiry",
        ),
        (('product = "MIS"',), "15:00", "NIFTY, 09:30 to 15:00, Mon, product MIS"),
    ],
)
def test_the_check_says_until_when_it_is_held(lines: tuple[str, ...], exit_: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(plan_with(*lines, exit_=exit_), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(path)], env={"COLUMNS": "200"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert said in " ".join(result.stdout.split())


def test_the_check_tells_an_mis_exit_that_is_too_late(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(plan_with('product = "MIS"', exit_="15:20"), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(path)])
    assert result.exit_code == 1
    assert "is too late for MIS" in result.stderr


def test_explain_follows_a_run_to_the_settlement_of_the_next_day(tmp_path: Path) -> None:
    """Sold at 100 on Monday, the call pays 40 on Tuesday: 130 x 60 = 7,800."""
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: WEEKLY})
    settle(folder, TUE, "26040")
    path = tmp_path / "plan.toml"
    path.write_text(f"format = 1\n{EXPIRING}", encoding="utf-8")
    arguments = ["explain", str(path), "--data", str(folder), "--date", "2026-11-30"]
    told = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"}).stdout
    assert "Due, entry 09:30, exit 15:30 on 01-Dec-2026:" in told
    assert "SELL 130 of leg 1 at 100.00 at 09:30; out at 40.00 at 09:40 on 01-Dec-2026 (expiry, ₹7,800" in told


def test_explain_says_why_a_day_that_suits_is_skipped(tmp_path: Path) -> None:
    folder = days(tmp_path / "days", {TUE: WEEKLY})
    path = tmp_path / "plan.toml"
    text = f"format = 1\n{NEXT_DAY}".replace('expiry = { series = "monthly" }\n', "").replace('"MON"', '"TUE"')
    path.write_text(text, encoding="utf-8")
    arguments = ["explain", str(path), "--data", str(folder), "--date", "2026-12-01"]
    told = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"}).stdout
    assert "it is skipped: its exit on 02-Dec-2026 is after the expiry of a leg on 01-Dec-2026" in told
