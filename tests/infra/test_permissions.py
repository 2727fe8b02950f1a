"""What each function may do, as its policies say it: what it was given in ``infra/entry_points.py``, and no more."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.entry_points import ENTRY_POINTS, EntryPoint, QueueName, Secrets
from option_baskets.ports import TableName
from tests.infra.templates import ENVIRONMENTS, Template, auth_of, listed, text, trading_of

WITHOUT_RESOURCE = {
    "xray:PutTraceSegments", "xray:PutTelemetryRecords",
    "xray:GetSamplingRules", "xray:GetSamplingTargets",
    "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
    "dynamodb:ListStreams",
    "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
}  # fmt: skip
"""Actions for which AWS knows no resource, or whose resource has no name before it is there."""

WITH_A_STAR = (r"arn:<AWS::Partition>:execute-api:.*/live/(POST|DELETE)/@connections/\*",)
"""Resources that are named for a connection."""

POINTS = [pytest.param(point, id=point.name) for point in ENTRY_POINTS]


@dataclass(frozen=True, slots=True)
class Allowed:
    action: str
    resource: str
    condition: Any = None


def allowed(statement: Any) -> Iterator[Allowed]:
    assert statement["Effect"] == "Allow"
    for action in listed(statement["Action"]):
        for resource in listed(statement["Resource"]):
            yield Allowed(action, text(resource), statement.get("Condition"))


def of_function(template: Template, point: EntryPoint) -> list[Allowed]:
    """Everything that a function's role lets it do."""
    role = template.functions()[point.name]["Role"]["Fn::GetAtt"][0]
    assert "ManagedPolicyArns" not in template.all("IAM::Role")[role]["Properties"]
    return [each for statement in template.statements(role) for each in allowed(statement)]


def policies(template: Template) -> Iterator[Allowed]:
    """What any policy of the template allows; inline ones included."""
    for policy in template.properties("IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield from allowed(statement)
    for role in template.properties("IAM::Role").values():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield from allowed(statement)


def tables(template: Template, found: list[Allowed], actions: set[str]) -> set[TableName]:
    """The tables on which all of the actions are allowed."""
    prefix = f"table/{template.environment.table_prefix}"
    return {
        table
        for table in TableName
        if actions <= {each.action for each in found if each.resource.endswith(prefix + table)}
    }


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_policy_has_an_action_with_a_star(name: str) -> None:
    for template in (auth_of(name), trading_of(name)):
        assert [each for each in policies(template) if "*" in each.action] == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_policy_has_a_resource_with_a_star_but_the_few_that_have_to(name: str) -> None:
    for template in (auth_of(name), trading_of(name)):
        starred = [each for each in policies(template) if "*" in each.resource]
        wrong = [
            each
            for each in starred
            if not (each.resource == "*" and each.action in WITHOUT_RESOURCE)
            and not any(re.fullmatch(pattern, each.resource) for pattern in WITH_A_STAR)
        ]
        assert wrong == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_role_carries_a_policy_of_aws_s_own(name: str) -> None:
    for template in (auth_of(name), trading_of(name)):
        assert [role for role in template.properties("IAM::Role").values() if role.get("ManagedPolicyArns")] == []


@pytest.mark.parametrize("point", POINTS)
def test_a_function_reads_and_writes_the_tables_it_was_given(trading: Template, point: EntryPoint) -> None:
    found = of_function(trading, point)
    assert tables(trading, found, {"dynamodb:GetItem", "dynamodb:Query"}) == point.reads | point.writes
    assert tables(trading, found, {"dynamodb:PutItem"}) == point.writes
    assert tables(trading, found, {"dynamodb:PutItem", "dynamodb:DeleteItem"}) == point.writes
    assert not {"dynamodb:Scan", "dynamodb:UpdateItem"} & {each.action for each in found}


@pytest.mark.parametrize("point", POINTS)
def test_a_function_sends_to_the_queues_it_was_given(trading: Template, point: EntryPoint) -> None:
    sendable = {
        trading.properties("SQS::Queue")[each.resource.strip("<>").removesuffix(".Arn")]["QueueName"]
        for each in of_function(trading, point)
        if each.action == "sqs:SendMessage"
    }
    working = {trading.environment.named(queue) for queue in QueueName}
    assert sendable & working == {trading.environment.named(queue) for queue in point.sends}
    own = {trading.environment.named(f"{point.name}-dead")}
    assert sendable - working <= own


@pytest.mark.parametrize("point", POINTS)
def test_secrets_are_opened_only_as_somebody_s_and_sealed_only_by_who_may(trading: Template, point: EntryPoint) -> None:
    key = f"<import {trading.environment.exported('SecretsKey')}>"
    of_key = [each for each in of_function(trading, point) if each.action.startswith("kms:")]
    assert {each.resource for each in of_key} <= {key}
    as_owner = {each.action for each in of_key if each.condition == {"Null": {"kms:EncryptionContext:owner": "false"}}}
    match point.secrets:
        case Secrets.NONE:
            assert as_owner == set()
        case Secrets.OPENS:
            assert as_owner == {"kms:Decrypt"}
        case Secrets.SEALS_AND_OPENS:
            assert as_owner == {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}
    others = [each for each in of_key if each.action not in as_owner or "Null" not in (each.condition or {})]
    for each in others:
        assert each.action == "kms:Decrypt"
        (service,) = each.condition["StringEquals"].values()
        assert text(service) == "dynamodb.<AWS::Region>.amazonaws.com"
    assert bool(others) is (TableName.IDENTITY in point.reads | point.writes)


@pytest.mark.parametrize(
    ("action", "who"),
    [
        ("events:PutEvents", {"timer"}),
        ("states:StartExecution", {"watchdog"}),
        ("execute-api:ManageConnections", {"live", "socket"}),
        ("dynamodb:GetRecords", {"live"}),
        ("sqs:ReceiveMessage", {"entries", "exits"}),
        ("lambda:InvokeFunction", set()),
        ("ec2:CreateNetworkInterface", {point.name for point in ENTRY_POINTS if point.calls_brokers}),
    ],
)
def test_only_one_kind_of_function_may(action: str, who: set[str]) -> None:
    template = trading_of("production")
    assert {
        point.name for point in ENTRY_POINTS if action in {each.action for each in of_function(template, point)}
    } == who


@pytest.mark.parametrize("point", POINTS)
def test_a_function_writes_to_its_own_log_group_only(trading: Template, point: EntryPoint) -> None:
    own = text(trading.functions()[point.name]["LoggingConfig"]["LogGroup"]).strip("<>")
    written = {each.resource for each in of_function(trading, point) if each.action.startswith("logs:")}
    assert written == {f"<{own}.Arn>"}


def test_no_two_functions_share_a_role_and_only_lambda_may_take_it(trading: Template) -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in trading.functions().values()]
    assert len(set(roles)) == len(roles)
    for role in roles:
        (statement,) = trading.all("IAM::Role")[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_the_machine_and_the_schedules_may_call_the_functions_they_are_made_for(trading: Template) -> None:
    names = {id_: function["FunctionName"] for id_, function in trading.properties("Lambda::Function").items()}
    callable_by: dict[str, set[str]] = {}
    for policy in trading.properties("IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            for each in allowed(statement):
                if each.action == "lambda:InvokeFunction":
                    (role,) = (role["Ref"] for role in policy["Roles"])
                    called = names[each.resource.strip("<>").removesuffix(".Arn")]
                    callable_by.setdefault(re.sub(r"[0-9A-F]{8}$", "", role), set()).add(called)
    named = trading.environment.named
    assert callable_by == {
        "TimerMachineRole": {named("session"), named("timer")},
        "SchedulesRole": {named("watchdog")},
    }


def test_whoever_else_calls_a_function_is_named_with_what_it_calls_from(trading: Template) -> None:
    for permission in trading.properties("Lambda::Permission").values():
        assert permission["Principal"] in {"events.amazonaws.com", "apigateway.amazonaws.com"}
        assert permission["SourceArn"]
