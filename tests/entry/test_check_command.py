"""``baskets check`` as a person runs it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from option_baskets.cli import main
from tests.engine.tiny_day import STRADDLE

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
FACTS = ROOT / "src" / "option_baskets" / "facts"
WIDTH = 100


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments], env={"COLUMNS": str(WIDTH)})


def test_there_are_examples_to_check() -> None:
    assert {path.name for path in EXAMPLES} >= {
        "conservative-income.toml",
        "straddle-0920.toml",
        "three-accounts.toml",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_ok_and_fits_a_hundred_columns(path: Path) -> None:
    result = check(str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith(f"{path}: ok\n")
    assert all(len(line.rstrip()) <= WIDTH for line in result.stdout.splitlines() if not line.startswith(str(path)))
    assert "…" not in result.stdout


def test_what_the_file_means_is_said_leg_by_leg() -> None:
    lines = check(str(ROOT / "examples" / "conservative-income.toml")).stdout.splitlines()
    assert lines[0] == "Conservative Income, paper, capital ₹5,00,000"
    assert "Iron condor  NIFTY, 09:30 to 15:10, every weekday" in lines
    rows = [" ".join(line.split()) for line in lines]
    assert "short-call SELL CE weekly ATM +2 steps 50 % - 2 1" in rows
    assert "call-wing BUY CE weekly leg short-call +100 pt - - 2 1" in rows
    assert "future BUY FUT monthly - - - 5" in rows


def test_units_that_are_multiplied_or_split_are_told_account_by_account(tmp_path: Path) -> None:
    path = tmp_path / "shares.toml"
    text = (ROOT / "examples" / "straddle-0920.toml").read_text(encoding="utf-8")
    text = text.replace('id = "zerodha-1"', 'id = "zerodha-1"\n[[accounts]]\nid = "angelone-1"')
    text = text.replace('exit = "15:15"', 'exit = "15:15"\nunits = 3')
    second = '\n[[strategies.allocations]]\naccount = "angelone-1"\n'

    path.write_text(text.replace("lots = 2", "multiplier = 2") + f"{second}multiplier = 1.5\n", encoding="utf-8")
    lines = check(str(path)).stdout.splitlines()
    assert "zerodha-1: 2 x 3 units is 6" in lines
    assert "angelone-1: 1.5 x 3 units is 4.5; 4 traded, 0.5 dropped" in lines
    assert any(" ".join(line.split()) == "1 SELL CE weekly ATM 25 % - 6 4" for line in lines)

    path.write_text(text.replace("lots = 2", "weight = 5") + f"{second}weight = 1\n", encoding="utf-8")
    lines = check(str(path)).stdout.splitlines()
    assert "3 units split 5 : 1: 3 on zerodha-1, 0 on angelone-1" in lines
    assert any(" ".join(line.split()) == "1 SELL CE weekly ATM 25 % - 3 -" for line in lines)


def test_what_becomes_of_a_failed_entry_is_said_where_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept.toml"
    text = (ROOT / "examples" / "straddle-0920.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('exit = "15:15"', 'exit = "15:15"\non_failure = "keep"'), encoding="utf-8")
    assert "what is filled is kept where a leg fails" in " ".join(check(str(path)).stdout.split())


def test_all_problems_of_all_files_are_told_with_file_and_line_and_the_exit_code_is_one(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[basket]\nname = "x"\ncapitol = 5\n', encoding="utf-8")
    good = EXAMPLES[0]
    result = check(str(bad), str(good), str(tmp_path / "none.toml"))
    assert result.exit_code == 1
    assert f'{bad}:3: basket.capitol: no such key; did you mean "capital"?' in result.stderr
    assert f"{tmp_path / 'none.toml'}: there is no such file; check the name" in result.stderr
    assert result.stderr.endswith("\n5 problems\n")
    assert f"{good}: ok" in result.stdout
    assert "Traceback" not in result.output


def test_a_name_with_markup_is_printed_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "markup.toml"
    text = (ROOT / "examples" / "straddle-0920.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('"Straddle"', '"[bold]Mine[/]"'), encoding="utf-8")
    assert check(str(path)).stdout.startswith("[bold]Mine[/], paper")


def test_an_underlying_is_known_once_a_facts_folder_has_it(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    text = (ROOT / "examples" / "straddle-0920.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('"NIFTY"', '"NIFTYNEW"'), encoding="utf-8")
    result = check(str(path))
    assert result.exit_code == 1
    assert '"NIFTYNEW" is not an underlying with facts; did you mean "NIFTY' in result.stderr

    header, nifty, *_ = (FACTS / "underlyings.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "underlyings.csv").write_text(
        f"{header}\n{nifty.replace('NIFTY,', 'NIFTYNEW,', 1)}\n", encoding="utf-8"
    )
    assert check("--facts", str(tmp_path), str(path)).exit_code == 0


def test_the_output_on_the_page_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "strategy-files.md").read_text(encoding="utf-8")
    command, shown = page.partition("```console\n$ baskets check ")[2].partition("```")[0].split("\n", 1)
    assert [line.rstrip() for line in check(command).stdout.splitlines()] == shown.splitlines()


def test_help_has_examples_that_name_files_that_exist() -> None:
    named = re.findall(r"examples/\S+\.toml", check("--help").stdout)
    assert named
    assert all(list(ROOT.glob(each)) for each in named)


def test_no_file_is_a_usage_error() -> None:
    assert check().exit_code == 2


def test_limits_are_told_in_words(tmp_path: Path) -> None:
    text = STRADDLE.replace("capital = 500000", "capital = 500000\nmax_daily_loss = 10000\nmax_drawdown_percent = 15")
    text = text.replace('id = "one"', 'id = "one"\nmax_daily_loss = 20000')
    limits = "max_daily_loss = 5000, max_daily_trades = 4, max_lots = 8"
    limits += ", max_position_value = 90000, max_margin_percent = 60"
    file = tmp_path / "limited.toml"
    text = text.replace("lots = 2", f"lots = 2\n  limits = {{ {limits} }}")
    file.write_text(f"format = 1\n{text}", encoding="utf-8")
    told = " ".join(check(str(file)).output.split())
    for sentence in (
        "At a net loss of ₹10,000 in a day all its strategies are closed, and nothing more is entered that day.",
        "At a fall of 15 % of its capital (₹75,000) from its highest all its strategies are closed,",
        "At a net loss of ₹20,000 in a day everything on one is closed,",
        "At a net loss of ₹5,000 in a day it is closed on one and not entered again.",
        "On one at most 4 entries a day, 8 lots, ₹90,000 of premium, 60 % of the basket's capital as margin;",
    ):
        assert sentence in told
