"""Days after each other under a policy: units fixed in the morning from the runs that closed before, and kept.

Two strategies share 4 units: "calls" sells a call at 100 at 09:20 and has it back at 09:25, "puts" a put at 80. A unit
is a lot of 65, so that a fall of the call by 10 makes 650 rupees before charges.
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from option_baskets.cli import main
from option_baskets.cli.day_view import show_result
from option_baskets.cli.replaying import Replay
from option_baskets.domain.dynamic import UnitsOfDay, Verdict, again
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.scores import Score
from option_baskets.engine.report import DayRecord, as_json
from option_baskets.ports import Put, Write
from tests.engine.test_recovery import Killed, Life, dying
from tests.engine.tiny_day import DAY, Prices, call, instant, play_day, put, record, steady

DAYS = [DAY - timedelta(days=back) for back in (11, 8, 7, 6, 5, 4, 1, 0)]
"""Friday 13th to Tuesday 24th November 2026, without the weekends."""


def basket(**policy: object) -> str:
    given = {"id": '"by-result"', "total": 4, "most": 3, "score": '"net_pnl"', **policy}
    keys = "\n".join(f"{key} = {value}" for key, value in given.items())
    strategies = "".join(
        f"""
[[strategies]]
name = "{name}"
underlying = "NIFTY"
entry = "09:20"
exit = "09:25"
  [[strategies.legs]]
  side = "SELL"
  type = "{type_}"
  strike = {{ rule = "atm" }}
  [[strategies.allocations]]
  account = "one"
  dynamic = "by-result"
"""
        for name, type_ in (("calls", "CE"), ("puts", "PE"))
    )
    return f"""
[basket]
name = "Shared"
capital = 100000
[[accounts]]
id = "one"
[[dynamic]]
{keys}
{strategies}"""


def recorded(folder: Path, falls: Sequence[tuple[str, str]], days: Sequence[date] = DAYS) -> Path:
    """Of each day the prices of the call and the put from 09:22 on."""
    for day, (of_call, of_put) in zip(days, falls, strict=True):
        prices: Prices = {
            "NIFTY": steady("26010", end="09:30"),
            call(): steady("100", end="09:30", at0922=of_call),
            put(): steady("80", end="09:30", at0922=of_put),
        }
        record(folder, prices, hours="09:15-09:30", day=day)
    return folder


def replayed(tmp_path: Path, text: str, falls: Sequence[tuple[str, str]]) -> list[DayRecord]:
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "basket.toml"
    file.write_text("format = 1\n" + text, encoding="utf-8")
    replay = Replay.prepare(
        recorded(tmp_path / "days", falls, DAYS[: len(falls)]),
        [file],
        first=None,
        last=None,
        slippage=Decimal(0),
        stale=None,
        with_charges=True,
        facts=None,
    )
    return replay.run(None)


def of_day(day: DayRecord) -> UnitsOfDay:
    (found,) = day.units
    return found


def lots(day: DayRecord) -> list[int]:
    return [run.run.positions[0].lots for run in day.runs]


def assert_every_day_can_be_worked_out_again(days: Sequence[DayRecord]) -> None:
    made: dict[str, list[tuple[str, Decimal]]] = {}
    for day in days:
        found = of_day(day)
        assert again(found) == found
        for share, account in zip(found.shares, day.runs, strict=True):
            assert [(each.run_id, each.net) for each in share.results] == made.get(share.strategy_id, [])
            assert account.run.dynamic is not None
            assert (account.run.dynamic.units, account.run.dynamic.why) == (share.units, share.why)
            assert account.profit.net is not None
            net = account.profit.net.quantize(Decimal("0.01"))
            made.setdefault(share.strategy_id, []).append((account.run.id, net))


def test_units_follow_what_the_runs_of_earlier_days_made(tmp_path: Path) -> None:
    """The calls win 10 every day and the puts lose 1: five days of 2 and 2, as a score takes five runs; then 3, the
    most, and 1, the least. A day of the puts is -1 x 130 less 71.92 of charges: five make -1,009.60."""
    days = replayed(tmp_path, basket(), 8 * [("90", "81")])
    assert [lots(day) for day in days] == [*5 * [[2, 2]], *3 * [[3, 1]]]
    first, sixth = of_day(days[0]), of_day(days[5])
    assert [share.verdict for share in first.shares] == 2 * [Verdict.FEW_RUNS]
    assert first.shares[0].why == "2 units, an equal part of 4 to begin with: 0 closed runs, and a score takes 5"
    assert [len(share.results) for share in sixth.shares] == [5, 5]
    score = sixth.shares[0].score
    assert score == sum(result.net for result in sixth.shares[0].results)
    assert sixth.shares[0].why.startswith(f"3 units: net profit {score:,.2f} rupees over 5 closed runs is 100 % of all")
    assert sixth.shares[1].why == (
        "1 unit: net profit -1,009.60 rupees over 5 closed runs is not above 0, which asks for the least, 1"
    )
    assert_every_day_can_be_worked_out_again(days)


def test_the_days_record_tells_why(tmp_path: Path) -> None:
    days = replayed(tmp_path, basket(), 6 * [("90", "81")])
    told = json.loads(json.dumps(as_json(days)))
    (division,) = told["sessions"][5]["dynamic"]
    assert (division["policy"], division["total"], division["note"]) == ("by-result", 4, None)
    assert [share["units"] for share in division["shares"]] == [3, 1]
    assert [run["run"] for run in division["shares"][0]["closed_runs"]] == [f"{day}#shared.calls#0" for day in DAYS[:5]]
    of_run = told["sessions"][5]["runs"][0]["dynamic"]
    assert of_run == {"policy": "by-result", "units": 3, "why": division["shares"][0]["why"]}


def test_a_drawdown_takes_a_strategy_to_the_least_before_it_has_a_score(tmp_path: Path) -> None:
    """On the second day the put rises from 80 to 120: 40 x 130 is 5,200 and more with charges, over 5 % of 100,000."""
    falls = [("100", "80"), ("100", "120"), ("100", "80"), ("100", "80")]
    days = replayed(tmp_path, basket(max_drawdown_percent=5), falls)
    assert [lots(day) for day in days] == [[2, 2], [2, 2], [2, 1], [2, 1]]
    assert of_day(days[2]).shares[1].verdict is Verdict.DRAWDOWN
    assert of_day(days[2]).note == "3 of 4 units: no score is above 0"
    assert_every_day_can_be_worked_out_again(days)


def test_at_no_units_a_run_is_skipped_and_says_why(tmp_path: Path) -> None:
    days = replayed(tmp_path, basket(least=0, max_drawdown_percent=5), [("100", "120"), ("100", "80")])
    run = days[1].runs[1].run
    assert (run.status, run.reason) == (RunStatus.SKIPPED, Reason.NO_UNITS)
    assert run.detail.startswith("0 units, the least: ")
    assert lots(days[0]) == [2, 2]


def test_only_the_newest_runs_of_the_look_back_count(tmp_path: Path) -> None:
    """The big first day of the puts is out of a look-back of 5 on the seventh day."""
    falls = [("99", "40"), *6 * [("99", "81")]]
    days = replayed(tmp_path, basket(look_back=5), falls)
    assert [of_day(day).shares[1].score is not None and of_day(day).shares[1].units for day in days[5:]] == [3, 2]
    newest = of_day(days[6]).shares[1]
    assert [result.run_id for result in newest.results] == [f"{day}#shared.puts#0" for day in DAYS[1:6]]
    assert newest.target == 1


def test_each_score_divides_by_its_own_reckoning(tmp_path: Path) -> None:
    for score in Score:
        days = replayed(tmp_path / score, basket(score=f'"{score}"'), 6 * [("90", "81")])
        assert lots(days[5]) == [3, 1], score
        assert_every_day_can_be_worked_out_again(days)


class UntilUnits(Life):
    """Dies right after the commit that fixes the units of the day."""

    def spend(self, writes: Sequence[Write] = ()) -> None:
        if any(isinstance(write, Put) and "UNITS#" in write.item.sk for write in writes):
            self.left = 0
            raise Killed


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_fixed_before_a_crash_is_what_trades_after_it_whatever_the_file_says_then(tmp_path: Path) -> None:
    days = recorded(tmp_path / "days", [("90", "81")], [DAY])
    with pytest.raises(Killed):
        play_day(days, tmp_path / "data", basket(), machine_of=dying(table=UntilUnits(1)))
    resumed = play_day(days, tmp_path / "data", basket(total=6))
    runs: list[Run] = [each.run for each in resumed.day.runs]
    assert [run.positions[0].lots for run in runs] == [2, 2]
    (found,) = resumed.day.units
    assert found.policy.total == 4


def test_units_are_fixed_before_the_open_and_after_a_late_start_at_the_first_trigger(tmp_path: Path) -> None:
    days = recorded(tmp_path / "days", [("90", "81")], [DAY])
    late = play_day(days, tmp_path / "data", basket(), begin=instant("09:16"))
    assert [each.run.positions[0].lots for each in late.day.runs] == [2, 2]
    assert len(late.day.units) == 1


def explained(tmp_path: Path, text: str, *more: str) -> str:
    days = recorded(tmp_path / "days", 6 * [("90", "81")], DAYS[:6])
    file = tmp_path / "basket.toml"
    file.write_text("format = 1\n" + text, encoding="utf-8")
    command = ["explain", str(file), "--data", str(days), "--date", f"{DAYS[5]}", *more]
    result = CliRunner().invoke(main, command, env={"COLUMNS": "110"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_explain_says_why_so_many_units_and_counts_the_days_before_where_they_are_asked_for(tmp_path: Path) -> None:
    """A unit is a lot here: 1 lot of the puts on the sixth day, 65 units; without the days before a half, 130."""
    alone = explained(tmp_path, basket())
    assert "By by-result: 2 units, an equal part of 4 to begin with: 0 closed runs, and a score takes 5." in alone
    assert "one: SELL 130 of leg 1 at 80.00" in alone
    after = explained(tmp_path, basket(), "--since", f"{DAYS[0]}")
    why = "1 unit: net profit -1,009.60 rupees over 5 closed runs is not above 0, which asks for the least, 1."
    assert f"By by-result: {why}" in after
    assert "one: SELL 65 of leg 1 at 80.00" in after
    assert "one: SELL 195 of leg 1 at 100.00" in after


def test_check_says_who_shares_what_and_with_what_they_begin(tmp_path: Path) -> None:
    file = tmp_path / "basket.toml"
    file.write_text("format = 1\n" + basket(max_drawdown_percent=10), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(file)], env={"COLUMNS": "200"})
    shared = "by-result: 4 units over calls and puts by the net profit of the last 20 closed runs, 1 to 3 each, "
    shared += "at most 1 more or less a day; 1 at once when more than ₹10,000 below its best."
    assert shared in result.output.splitlines()
    assert "by-result, to begin with: calls 2, puts 2." in result.output.splitlines()


def test_the_terminal_says_why_beside_the_days_result(tmp_path: Path) -> None:
    days = replayed(tmp_path, basket(least=0, max_drawdown_percent=5), [("100", "120"), ("100", "80")])
    console = Console(width=200, record=True, file=StringIO())
    show_result(console, days[1])
    told = console.export_text().splitlines()
    assert any(line.startswith("by-result: calls 2 units, as before: 1 closed run") for line in told)
    assert any(line.startswith("by-result: puts 0 units, the least: ") for line in told)
    assert "by-result: 2 of 4 units: no score is above 0" in told
