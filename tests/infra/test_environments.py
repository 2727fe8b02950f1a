"""environments.json: what it may say, and what is told about what it may not."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.environments import PATH, read, read_accounts

DOCUMENT = json.loads(PATH.read_text(encoding="utf-8"))


def written(folder: Path, changes: dict[str, Any]) -> Path:
    """The file, with dev changed."""
    document = json.loads(json.dumps(DOCUMENT))
    document["environments"]["dev"].update(changes)
    path = folder / "environments.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_there_are_three_environments_whose_logs_are_kept_7_30_and_90_days() -> None:
    assert {name: each.log_days for name, each in read().items()} == {"dev": 7, "staging": 30, "production": 90}


def test_only_production_keeps_its_data_when_its_stacks_go() -> None:
    assert [name for name, each in read().items() if each.keeps_data] == ["production"]


def test_stacks_and_resources_have_the_names_that_were_agreed_on() -> None:
    dev = read()["dev"]
    assert dev.auth_stack == "ql-algo-trading-dev-auth-broker-stack"
    assert dev.trading_stack == "ql-algo-trading-dev-options-trading-stack"
    assert dev.named("timer") == "options-dev-timer"
    assert dev.table_prefix == "options-dev-"


def test_no_two_environments_share_a_name() -> None:
    names = [(each.auth_stack, each.trading_stack, each.resources) for each in read().values()]
    assert len(set(names)) == len(names)


def test_whoever_sends_real_orders_has_a_static_address_and_a_second_factor() -> None:
    production = read()["production"]
    assert production.egress.static
    assert production.people.mfa == "required"
    assert production.people.threat_protection
    assert not production.people.password_login


def test_the_account_of_the_command_line_is_known() -> None:
    assert read_accounts()["account2"].profile == "account2"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"removal": "keep"}, "environments.dev.removal: 'keep'; give one of ('destroy', 'retain')"),
        ({"log_days": 8}, "environments.dev.log_days: 8; give one of"),
        ({"shards": 0}, "environments.dev.shards: 0; give 1 or more"),
        ({"concurrency": {"entries": 1, "exits": 5, "timer": 2}}, "concurrency.entries: 1; give 2 or more"),
        ({"egress": {"static": True, "gateways": 0}}, "give 1 or 2 gateways where it is static"),
        ({"egress": {"static": True, "gateways": 3}}, "give 1 or 2 gateways where it is static"),
        ({"colour": "blue"}, "environments.dev: "),
    ],
)
def test_what_an_environment_may_not_say_is_told_with_the_way_out(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=r"environments\.dev") as error:
        read(written(tmp_path, changes))
    assert told in str(error.value)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="removal") as error:
        read(written(tmp_path, {"removal": "keep", "shards": 0}))
    assert len(str(error.value).splitlines()) == 2
