"""docs/operations.md: says what to do on every alarm, and tells environments as they are."""

import re

import pytest

from infra.environments import Environment, read
from infra.redrive import REDRIVABLE
from infra.timer_machine import events
from tests.infra.templates import ENVIRONMENTS, ROOT, trading_of

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Alarms")[2].partition("\n## ")[0]
TOLD = [name for row in re.findall(r"^\| (`.+?) \|", SECTION, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)]


def is_told(alarm: str) -> bool:
    return any(alarm == name or (name.startswith("…") and alarm.endswith(name[1:])) for name in TOLD)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_alarm_has_a_line_that_says_what_to_do(name: str) -> None:
    template = trading_of(name)
    alarms = [alarm["AlarmName"] for alarm in template.properties("CloudWatch::Alarm").values()]
    assert alarms
    assert [each for each in alarms if not is_told(each.removeprefix(template.environment.named("")))] == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_line_about_an_alarm_is_about_one_there_is(name: str) -> None:
    template = trading_of(name)
    alarms = {
        alarm["AlarmName"].removeprefix(template.environment.named(""))
        for alarm in template.properties("CloudWatch::Alarm").values()
    }
    assert [told for told in TOLD if not any(alarm.endswith(told.lstrip("…")) for alarm in alarms)] == []


def test_an_alarm_without_a_line_would_be_found() -> None:
    assert not is_told("moon-phase")
    assert is_told("watchdog-errors")


def row(words: str) -> list[str]:
    """The cells of the table of environments behind these words."""
    found = re.search(rf"^\| {re.escape(words)} \| (.+) \|$", PAGE, re.MULTILINE)
    assert found, words
    return found[1].split(" | ")


def of_each(environment: Environment) -> tuple[str, str, str]:
    concurrency = environment.concurrency
    return str(environment.log_days), str(environment.shards), f"{concurrency.entries} / {concurrency.exits}"


def test_the_table_of_environments_is_that_of_the_file() -> None:
    rows = [row("logs are kept, days"), row("shards"), row("workers reserved for entries / exits")]
    assert list(zip(*rows, strict=True)) == [of_each(environment) for environment in read().values()]


def test_the_concurrency_an_account_needs_is_what_is_reserved_and_a_hundred() -> None:
    needed = [
        100 + each.concurrency.entries + each.concurrency.exits + each.concurrency.timer for each in read().values()
    ]
    assert "{} for dev, {} for staging and {} for production".format(*needed) in PAGE


def test_the_history_of_a_day_is_the_one_that_is_computed() -> None:
    assert f"{events(401):,} for a day from 09:15 to 15:40, {events(896):,} for one to 23:55" in PAGE


def test_what_can_be_redriven_has_an_alarm_of_its_own() -> None:
    assert {f"{name}-dead" for name in REDRIVABLE} <= set(TOLD)
