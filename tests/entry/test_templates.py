"""Templates: each is checked, fitted to every underlying, and traded on a simulated day."""

import json
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.basket_file import load_basket_file, parse_basket
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.templates import STEP, Template, template, templates
from option_baskets.cli import main
from option_baskets.cli.replaying import Replay
from option_baskets.domain.basket import Series, StrikeRule
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.errors import NotFound
from option_baskets.domain.instrument import strike_step
from option_baskets.domain.session import IST
from option_baskets.engine.report import as_json
from option_baskets.pricing import implied_volatility, price_and_greeks
from option_baskets.pricing.chain import parity_forward
from tests.engine.small_market import option

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "src" / "option_baskets" / "templates"
FACTS = load()
DAY = date(2026, 11, 18)
"""A Wednesday: the nearest expiry is in three trading days and monthly, so that weekly 0 and 1 and futures differ."""
EXPIRY = date(2026, 11, 23)
NAMED_FOR_A_RULE = {
    *("momentum-straddle", "opening-range-breakout", "range-breakout-straddle"),
    *("reentry-straddle", "rolling-strangle", "locked-straddle"),
    *("positional-condor", "btst-call", "stbt-iron-butterfly", "expiry-straddle"),
}
"""What shows a rule shows it on one of the four trading days from DAY to EXPIRY, on which these are replayed."""
NAMED_BY_THE_PLATFORM = {
    *("short-straddle", "long-straddle", "short-strangle", "long-strangle", "strip", "strap"),
    *("bull-call-spread", "bear-put-spread", "bull-put-spread", "bear-call-spread"),
    *("iron-condor", "iron-butterfly", "call-butterfly", "put-butterfly", "call-condor", "put-condor"),
    *("call-calendar", "put-calendar", "double-calendar", "call-diagonal"),
    *("call-ratio-spread", "put-ratio-spread", "call-back-spread", "put-back-spread"),
    *("jade-lizard", "batman", "covered-call", "protective-put", "collar"),
    *("synthetic-long", "synthetic-short", "box"),
}


WELL_KNOWN = [each for each in templates() if each.name not in NAMED_FOR_A_RULE]


def baskets(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "116"}).invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days")
    made = baskets("simulate", "--from", DAY, "--to", EXPIRY, "--seed", 7, "--out", folder)
    assert made.exit_code == 0
    return folder


def replayed(days: Path, names: Iterable[str], last: date) -> list[dict[str, Any]]:
    """The sessions of a replay of these templates from DAY on, as JSON has them."""
    replay = Replay.prepare(
        days,
        [FOLDER / f"{name}.toml" for name in sorted(names)],
        first=DAY,
        last=last,
        slippage=Decimal(0),
        stale=None,
        with_charges=True,
        facts=None,
    )
    sessions: list[dict[str, Any]] = json.loads(json.dumps(as_json(replay.run(None))))["sessions"]
    for session in sessions:
        assert session["alerts"] == []
        assert session["refused"] == []
    return sessions


@pytest.fixture(scope="module")
def runs(days: Path) -> dict[str, dict[str, Any]]:
    """What became of each well-known strategy on the simulated day, by the name of its basket."""
    (session,) = replayed(days, {each.name for each in templates()} - NAMED_FOR_A_RULE, DAY)
    return {run["basket"]: run for run in session["runs"]}


@pytest.fixture(scope="module")
def shown(days: Path) -> dict[str, list[dict[str, Any]]]:
    """By template the runs of the four days; one that was held over night has its legs of all of them."""
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in NAMED_FOR_A_RULE}
    names = {template(name).basket.basket.name: name for name in NAMED_FOR_A_RULE}
    for session in replayed(days, NAMED_FOR_A_RULE, EXPIRY):
        for run in session["runs"]:
            one = found[names[run["basket"]]]
            before = one.get(run["entered_on"], {"legs": []})
            one[run["entered_on"]] = run | {"legs": before["legs"] + run["legs"]}
    return {name: [*one.values()] for name, one in found.items()}


def test_the_well_known_strategies_are_there_under_their_names() -> None:
    names = [each.name for each in templates()]
    assert len(names) >= 30
    assert set(names) >= NAMED_BY_THE_PLATFORM
    assert names == sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_the_examples_lead_to_the_one_copy() -> None:
    assert (ROOT / "examples" / "templates").resolve() == FOLDER.resolve()


def test_an_installed_package_has_them() -> None:
    from hatchling.builders.wheel import WheelBuilder

    packed = {each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"option_baskets/templates/{each.name}.toml" for each in templates()} <= packed


def test_those_named_for_a_rule_are_there() -> None:
    assert {each.name for each in templates()} >= NAMED_FOR_A_RULE


@pytest.mark.parametrize("each", templates(), ids=lambda each: each.name)
class TestTemplate:
    def test_it_is_checked_and_says_when_it_is_used(self, each: Template) -> None:
        assert baskets("check", FOLDER / f"{each.name}.toml").exit_code == 0
        first, second = each.text.splitlines()[:2]
        assert first.startswith("# When ")
        assert first.endswith(".")
        assert not second.startswith("#")

    def test_it_fits_every_underlying_in_as_many_steps(self, each: Template) -> None:
        for underlying in FACTS.names:
            step = strike_step(FACTS, underlying, DAY)
            found = parse_basket(each.fitted(underlying, step), FACTS.names)
            (strategy,) = found.strategies
            assert strategy.underlying == underlying
            assert underlying in found.basket.name
            for mine, theirs in zip(each.strategy.legs, strategy.legs, strict=True):
                if mine.strike is None or mine.strike.points is None:
                    assert theirs.strike == mine.strike
                    continue
                assert theirs.strike is not None
                assert theirs.strike.points is not None
                assert mine.strike.points % STEP == 0
                assert theirs.strike.points / step == mine.strike.points / STEP


@pytest.mark.parametrize("each", WELL_KNOWN, ids=lambda each: each.name)
def test_it_is_entered_and_closed_as_it_is_written(each: Template, runs: dict[str, dict[str, Any]]) -> None:
    run = runs[each.basket.basket.name]
    assert (run["status"], run["reason"]) == ("CLOSED", None)
    traded = {leg["leg"]: leg for leg in run["legs"]}
    for leg in each.strategy.legs:
        assert traded[leg.id]["side"] == leg.side
        assert traded[leg.id]["contract"]["type"] == leg.type
        assert traded[leg.id]["lots"] == leg.ratio
        assert traded[leg.id]["exit_reason"] in {"time", "stop", "target"}
    assert len(run["legs"]) == len(each.strategy.legs)
    expiries = {leg["contract"]["expiry"] for leg in run["legs"]}
    assert len(expiries) == len({each.strategy.expiry_rule(leg) for leg in each.strategy.legs})


@pytest.mark.parametrize("each", WELL_KNOWN, ids=lambda each: each.name)
def test_its_wings_stand_where_it_says(each: Template, runs: dict[str, dict[str, Any]]) -> None:
    strikes = {leg["leg"]: leg["contract"]["strike"] for leg in runs[each.basket.basket.name]["legs"]}
    for leg in each.strategy.legs:
        if leg.strike is not None and leg.strike.rule is StrikeRule.OF_LEG:
            assert leg.strike.points is not None
            away = (Decimal(strikes[leg.id]) - Decimal(strikes[leg.strike.leg])) * leg.type.out_of_money
            assert away == leg.strike.points


def _legs(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [leg for run in runs for leg in run["legs"]]


def _at(leg: dict[str, Any], what: str) -> str:
    """The time of day."""
    return datetime.fromisoformat(leg[what]).strftime("%H:%M")


class TestOfARule:
    """Each template that is named for a rule has the rule at work on one of four made-up days."""

    def test_all_are_entered_and_over(self, shown: dict[str, list[dict[str, Any]]]) -> None:
        for name, found in shown.items():
            assert found, name
            over = [run for run in found if run["entered_on"] != EXPIRY.isoformat() or name != "btst-call"]
            assert {run["status"] for run in over} == {"CLOSED"}

    def test_reentry_straddle_comes_again_at_its_cost(self, shown: dict[str, list[dict[str, Any]]]) -> None:
        again = 0
        for run in shown["reentry-straddle"]:
            first = {leg["leg"]: leg for leg in run["legs"] if leg["entry_number"] == 0}
            for leg in _legs([run]):
                if leg["entry_number"] > 0:
                    again += 1
                    assert leg["contract"] == first[leg["leg"]]["contract"]
                    assert leg["entry_number"] <= 2
                    assert _at(leg, "entry_time") < "14:30"
        assert again >= 3

    def test_momentum_straddle_sells_what_fell_and_leaves_the_rest(
        self, shown: dict[str, list[dict[str, Any]]]
    ) -> None:
        runs = shown["momentum-straddle"]
        assert all(_at(leg, "entry_time") > "09:20" for leg in _legs(runs))
        assert {missed["reason"] for run in runs for missed in run["not_traded"]} == {"not_triggered"}

    def test_opening_range_breakout_buys_after_its_range_alone(self, shown: dict[str, list[dict[str, Any]]]) -> None:
        legs = _legs(shown["opening-range-breakout"])
        assert all(_at(leg, "entry_time") > "09:45" for leg in legs)
        assert "trail" in {leg["exit_reason"] for leg in legs}

    def test_range_breakout_straddle_buys_both_sides_at_one_strike_of_the_break(
        self, shown: dict[str, list[dict[str, Any]]]
    ) -> None:
        for run in shown["range-breakout-straddle"]:
            call, put = run["legs"]
            assert call["entry_time"] == put["entry_time"]
            assert call["contract"]["strike"] == put["contract"]["strike"]
            assert _at(call, "entry_time") > "10:15"

    def test_locked_straddle_is_left_by_its_lock(self, shown: dict[str, list[dict[str, Any]]]) -> None:
        assert "lock" in {leg["exit_reason"] for leg in _legs(shown["locked-straddle"])}

    def test_rolling_strangle_sells_further_out_when_a_side_is_stopped(
        self, shown: dict[str, list[dict[str, Any]]]
    ) -> None:
        rolled = 0
        for run in shown["rolling-strangle"]:
            legs = {leg["leg"]: leg for leg in run["legs"]}
            for side in ("call", "put"):
                woken = legs.get(f"further-{side}")
                assert (woken is not None) == (legs[side]["exit_reason"] == "stop")
                if woken is not None:
                    rolled += 1
                    assert woken["entry_time"] == legs[side]["exit_time"]
        assert rolled >= 3

    def test_positional_condor_is_held_from_three_days_before_expiry_to_one(
        self, shown: dict[str, list[dict[str, Any]]]
    ) -> None:
        (run,) = shown["positional-condor"]
        assert run["entered_on"] == DAY.isoformat()
        assert {leg["exit_time"] for leg in run["legs"]} == {"2026-11-20T15:15:00+05:30"}
        assert len(run["legs"]) == 4

    @pytest.mark.parametrize("name", ["btst-call", "stbt-iron-butterfly"])
    def test_overnight_templates_are_left_the_next_trading_day(
        self, name: str, shown: dict[str, list[dict[str, Any]]]
    ) -> None:
        days = ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-23"]
        next_day = dict(pairwise(days))
        over = [run for run in shown[name] if run["status"] == "CLOSED"]
        assert [run["entered_on"] for run in over] == days[:-1]
        for run in over:
            assert {leg["exit_time"][:10] for leg in run["legs"]} == {next_day[run["entered_on"]]}

    def test_expiry_straddle_settles_what_its_stops_leave(self, shown: dict[str, list[dict[str, Any]]]) -> None:
        (run,) = shown["expiry-straddle"]
        assert run["entered_on"] == EXPIRY.isoformat()
        assert {leg["exit_reason"] for leg in run["legs"]} == {"stop", "expiry"}


def test_calendars_and_diagonals_trade_two_expiries_with_the_later_one_bought(runs: dict[str, dict[str, Any]]) -> None:
    two = {each.name for each in templates() if any(leg.expiry is not None for leg in each.strategy.legs)}
    assert len(two) >= 6
    for each in (template(name) for name in two):
        legs = runs[each.basket.basket.name]["legs"]
        near, later = sorted({leg["contract"]["expiry"] for leg in legs})
        assert {leg["side"] for leg in legs if leg["contract"]["expiry"] == near} == {Side.SELL}
        assert {leg["side"] for leg in legs if leg["contract"]["expiry"] == later} == {Side.BUY}


def test_legs_chosen_by_delta_have_the_nearest_delta_of_their_chain(
    days: Path, runs: dict[str, dict[str, Any]]
) -> None:
    """Each option of the nearest expiry at the volatility its own price implies, on the forward parity gives."""
    market = RecordedFeed(days).market(DAY)
    snapshot = market.snapshot(datetime.combine(DAY, time(9, 20), IST))
    expiry = snapshot.expiries("NIFTY")[0]
    strikes = snapshot.strikes("NIFTY", expiry)
    prices = {
        (strike, type_): float(quote.last)
        for strike in strikes
        for type_ in ("CE", "PE")
        if (quote := snapshot.quote(option("NIFTY", expiry, strike, type_)))
    }
    forward = parity_forward(
        [float(strike) for strike in strikes],
        *([prices[strike, type_] for strike in strikes] for type_ in ("CE", "PE")),
    )
    closes = datetime.combine(expiry, time(15, 40), IST)
    years = (closes - snapshot.at) / timedelta(days=365)
    seen = 0
    for each in WELL_KNOWN:
        traded = {leg["leg"]: Decimal(leg["contract"]["strike"] or 0) for leg in runs[each.basket.basket.name]["legs"]}
        for leg in each.strategy.legs:
            if leg.strike is None or leg.strike.rule is not StrikeRule.DELTA:
                continue
            seen += 1
            off = {}
            for strike in strikes:
                is_call = leg.type is ContractType.CE
                volatility = implied_volatility(prices[strike, leg.type], forward, float(strike), years, is_call)
                delta = float(price_and_greeks(forward, float(strike), years, volatility, is_call).delta)
                off[strike] = abs(abs(delta) - float(leg.strike.value or 0))
            assert traded[leg.id] == min(off, key=lambda strike: off[strike] if off[strike] == off[strike] else 9)
    assert seen >= 10


def test_futures_are_beside_options_of_their_own_month() -> None:
    for each in templates():
        if any(not leg.type.is_option for leg in each.strategy.legs):
            assert each.strategy.expiry.series is Series.MONTHLY


# ---------------------------------------------------------------- baskets templates


def test_the_list_has_name_legs_and_use_of_every_template() -> None:
    result = baskets("templates")
    assert result.exit_code == 0
    for each in templates():
        assert f"\n{each.name} " in result.output
    said = " ".join(result.output.split())
    assert "BUY CE as leg near, weekly +1" in said
    assert "SELL 2 x CE leg long +200 pt" in said
    assert "…" not in said


def test_the_list_can_be_narrowed() -> None:
    said = baskets("templates", "calendar").output
    assert "double-calendar" in said
    assert "iron-condor" not in said
    nothing = baskets("templates", "moon")
    assert nothing.exit_code == 1
    assert "no template has 'moon'" in nothing.output


# ---------------------------------------------------------------- baskets new


def test_new_writes_a_file_that_check_takes(tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    result = baskets("new", "iron-condor", "--underlying", "banknifty", "--out", out, "--date", DAY)
    assert result.exit_code == 0
    assert "Iron condor on BANKNIFTY, strikes 100 points apart" in result.output
    (strategy,) = load_basket_file(out, FACTS.names).strategies
    wing = strategy.legs[2].strike
    assert wing is not None
    assert wing.points == 400, "200 points of NIFTY are four steps"
    assert baskets("check", out).exit_code == 0


def test_new_for_nifty_is_the_template_itself(tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    assert baskets("new", "Double calendar", "--out", out, "--date", DAY).exit_code == 0
    assert out.read_text(encoding="utf-8") == template("double-calendar").text


def test_new_never_overwrites(tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    out.write_text("mine", encoding="utf-8")
    result = baskets("new", "box", "--out", out)
    assert result.exit_code == 1
    assert "is there already and is not overwritten; give another name" in result.output
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("iron-condr",), "there is no template 'iron-condr'; did you mean \"iron-condor\"?"),
        (("box", "--underlying", "NIFTI"), "'NIFTI' is not an underlying with facts"),
    ],
)
def test_new_says_what_to_write_instead_and_writes_nothing(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    out = tmp_path / "mine.toml"
    result = baskets("new", *words, "--out", out, "--date", DAY)
    assert result.exit_code == 1
    assert told in result.output
    assert not out.exists()


def test_new_into_a_folder_that_is_not_there_is_explained(tmp_path: Path) -> None:
    result = baskets("new", "box", "--out", tmp_path / "none" / "mine.toml", "--date", DAY)
    assert result.exit_code == 1
    assert "No such file or directory" in result.output


def test_an_unlike_name_is_only_told_where_the_list_is() -> None:
    with pytest.raises(NotFound) as error:
        template("zzz")
    assert str(error.value) == "there is no template 'zzz'; `baskets templates` lists them"
