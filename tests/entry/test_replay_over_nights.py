"""``baskets replay`` over several days: what is held over a night survives an interruption, byte for byte."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.cli import main
from option_baskets.cli.replaying import Replay
from option_baskets.engine.report import as_json
from tests.engine.nights import MON, TUE, WED, days, on, settle
from tests.engine.test_overnight import EXPIRING, NEXT_DAY, QUIET, WEEKLY, market
from tests.engine.tiny_day import steady


class _Killed(Exception):
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prices = {MON: {**QUIET, **WEEKLY}, TUE: {**market(steady("90"), steady("84")), **WEEKLY}, WED: QUIET}
    found = days(tmp_path / "days", prices)
    settle(found, TUE, "26040")
    return found


def prepared(folder: Path, tmp_path: Path) -> Replay:
    files = []
    for name, basket in (("Overnight", NEXT_DAY), ("Expiring", EXPIRING)):
        path = tmp_path / f"{name}.toml"
        path.write_text("format = 1\n" + basket.replace('"Overnight"', f'"{name}"'), encoding="utf-8")
        files.append(path)
    return Replay.prepare(
        folder, files, first=None, last=None, slippage=Decimal(0), stale=None, with_charges=True, facts=None
    )


@pytest.mark.parametrize("moment", [on(MON, "09:35"), on(TUE, "09:18"), on(TUE, "09:39"), on(WED, "09:20")])
def test_a_replay_killed_on_any_day_goes_on_to_the_same_record(folder: Path, tmp_path: Path, moment: datetime) -> None:
    whole = json.dumps(as_json(prepared(folder, tmp_path).run(None)))
    assert '"settled": [{' in whole and '"carried": [{' in whole

    def kill(at: datetime, _: object) -> None:
        if at >= moment:
            raise _Killed

    with pytest.raises(_Killed):
        prepared(folder, tmp_path).run(tmp_path / "state", watch=kill)
    assert json.dumps(as_json(prepared(folder, tmp_path).run(tmp_path / "state"))) == whole


def test_the_days_are_shown_with_what_is_carried_and_what_settled(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path)
    files = [str(tmp_path / f"{name}.toml") for name in ("Overnight", "Expiring")]
    baskets = [word for file in files for word in ("--basket", file)]
    shown = CliRunner().invoke(main, ["replay", str(folder), *baskets, "--timeline"], env={"COLUMNS": "160"}).stdout
    assert "carried  straddle on one: SELL 2 NIFTY 29-Dec 26000 CE at 100.00, marked at 100.00 (+0.00 open)" in shown
    assert "settled 2 NIFTY 01-Dec 26000 CE at 40.00 (+7,800.00)" in shown
    monday, tuesday, wednesday = (shown.partition(f"{day:%A}")[2].partition("2026")[2] for day in (MON, TUE, WED))
    assert shown.count("SELL 2 NIFTY 29-Dec 26000 CE at 100.00") == 2  # entered, and carried
    assert "2 runs" in monday and "2 runs" in tuesday and "0 runs" in wednesday
