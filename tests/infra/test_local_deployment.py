"""The templates as they are, deployed to the emulator: twice, with a destruction in between, and asked from outside."""

from collections.abc import Mapping

import pytest

from infra.destruction import destroy
from infra.environments import Account, read
from infra.local_deployment import LOCAL, Emulator, deploy
from infra.preflight import look
from infra.smoke import Deployed, looks
from tests.infra.templates import Template, trading_of
from tests.infra.test_packages import packaged

DEV = read()["dev"]
ANYBODY = Account(profile="any", number=None)
__all__ = ["packaged"]


@pytest.fixture(autouse=True)
def endpoint(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of programs that take it from their environment; another test's emulator may be there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.endpoint)


@pytest.fixture(scope="module")
def template() -> Template:
    return trading_of("dev")


@pytest.fixture(scope="module")
def outputs(emulator: Emulator, template: Template) -> Mapping[str, str]:
    """Of stacks that were deployed, destroyed and deployed again."""
    if not LOCAL.exists():
        pytest.skip("there are no packages of this machine; make aws-test makes them")
    deploy(emulator, DEV)
    destroy(emulator.client("cloudformation"), DEV, every=1)
    return deploy(emulator, DEV)


def test_what_was_destroyed_is_deployed_again(outputs: Mapping[str, str]) -> None:
    assert {"ApiUrl", "SocketUrl", "AlarmTopic", "UserPoolOutput"} <= outputs.keys()


def test_everything_in_the_template_is_there(
    outputs: Mapping[str, str], emulator: Emulator, template: Template
) -> None:
    pages = emulator.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=template.name)
    made = {resource["LogicalResourceId"] for page in pages for resource in page["StackResourceSummaries"]}
    metadata = {name for name, resource in template.body["Resources"].items() if "CDK::Metadata" in resource["Type"]}
    assert made == template.body["Resources"].keys() - metadata
    assert len(made) > 120


def test_the_smoke_test_finds_it_well(outputs: Mapping[str, str], emulator: Emulator) -> None:
    deployed = Deployed(DEV, emulator.endpoint)
    looked = list(looks(deployed))
    assert len(looked) > 20
    assert {look.what: wrong for look in looked if (wrong := look.wrong())} == {}


def test_the_smoke_test_finds_what_is_not_there(outputs: Mapping[str, str], emulator: Emulator) -> None:
    deployed = Deployed(DEV, emulator.endpoint)
    emulator.client("sqs").send_message(
        QueueUrl=emulator.client("sqs").get_queue_url(QueueName=DEV.named("live-dead"))["QueueUrl"], MessageBody="lost"
    )
    (dead,) = (look for look in looks(deployed) if "dead-letter" in look.what)
    assert "options-dev-live-dead" in dead.wrong()


def test_variables_for_a_rehearsal_reach_every_function(outputs: Mapping[str, str], emulator: Emulator) -> None:
    deploy(emulator, DEV, variables={"OPTION_BASKETS_TIME": "led"})
    client = emulator.client("lambda")
    for name in ("timer", "exits"):
        told = client.get_function_configuration(FunctionName=DEV.named(name))["Environment"]["Variables"]
        assert told["OPTION_BASKETS_TIME"] == "led"
        assert told["OPTION_BASKETS_TABLE_PREFIX"] == "options-dev-"


def test_an_account_that_is_ready_is_told_by_its_number(outputs: Mapping[str, str]) -> None:
    assert look(ANYBODY, DEV) == "000000000000"


def test_a_profile_of_another_account_is_refused(outputs: Mapping[str, str]) -> None:
    with pytest.raises(SystemExit, match="profile any is of account 000000000000, not 111111111111"):
        look(Account(profile="any", number="111111111111"), DEV)


def test_an_account_that_is_not_bootstrapped_is_told_how(outputs: Mapping[str, str], emulator: Emulator) -> None:
    ssm = emulator.client("ssm")
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="3", Type="String", Overwrite=True)
    with pytest.raises(SystemExit, match="npx aws-cdk bootstrap aws://000000000000/ap-south-1"):
        look(ANYBODY, DEV)
