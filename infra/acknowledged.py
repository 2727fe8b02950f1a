"""What cdk-nag finds and is left as it is, each with the reason. Whatever else it finds fails the synthesis."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import Acknowledgment, Stack, Validations

from infra.api import OPEN_ROUTES
from infra.entry_points import ENTRY_POINTS, LIVE
from infra.environments import Environment
from infra.websocket import PUSHES, ROUTES, STAGE

_ARN = "arn:<AWS::Partition>:{}:<AWS::Region>:<AWS::AccountId>:{}"
_OPEN = {
    "GET /health": "A load balancer's question; the answer holds no user's data",
    "GET /ready": "A load balancer's question; the answer holds no user's data",
    "GET /openapi.json": "The description of the API is public",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    path: str
    """Of the construct, below its stack."""
    rule: str
    reason: str


def acknowledge(stack: Stack, findings: Iterable[Acknowledged]) -> None:
    """Leave the findings as they are.

    Raises:
        LookupError: a construct is not there (any more).
    """
    for each in findings:
        construct = stack
        for name in each.path.split("/"):
            found = construct.node.try_find_child(name)
            if found is None:
                raise LookupError(f"{stack.stack_name} has no {each.path}; take it out of what is acknowledged")
            construct = found
        rule = Acknowledgment(id=f"AwsSolutions::AwsSolutions-{each.rule}", reason=each.reason)
        Validations.of(construct).acknowledge(rule)


def of_auth(environment: Environment) -> Iterable[Acknowledged]:
    people = environment.people
    if people.mfa == "optional":
        yield Acknowledged(
            path="Users/Resource",
            rule="COG2",
            reason="Test users of scripts have no authenticator; where real orders are sent it is required",
        )
    if not people.threat_protection:
        yield Acknowledged(
            path="Users/Resource",
            rule="COG8",
            reason="The plus plan is paid by user and month; production has it, test installations do not need it",
        )


def of_trading(environment: Environment) -> Iterable[Acknowledged]:
    yield from _of_functions(environment)
    for number, route in enumerate(OPEN_ROUTES):
        yield Acknowledged(path=f"OpenRoute{number}", rule="APIG4", reason=_OPEN[route])
    reasons: Mapping[str, str] = {
        "$connect": "A browser cannot send a header here: the function verifies the token it is given, and refuses",
        "$disconnect": "API Gateway takes an authorizer for $connect only; nobody is here who did not pass it",
        "$default": "API Gateway takes an authorizer for $connect only; nobody is here who did not pass it",
    }
    for route in ROUTES:
        yield Acknowledged(path=f"SocketRoute{route[1:].capitalize()}", rule="APIG4", reason=reasons[route])
    for name in ("Live", "Schedules"):
        yield Acknowledged(
            path=f"{name}Dead/Resource", rule="SQS3", reason="It is a dead-letter queue, of a source that is no queue"
        )
    yield Acknowledged(
        path="TimerMachine/Role/DefaultPolicy/Resource",
        rule="IAM5[Resource::*]",
        reason="Delivery of logs, and X-Ray, know no resources",
    )


def _of_functions(environment: Environment) -> Iterable[Acknowledged]:
    star = "X-Ray takes no resource in its policies"
    if environment.egress.static:
        star += "; a network interface has no name before it is made"
    for point in ENTRY_POINTS:
        id_ = point.name.capitalize()
        yield Acknowledged(
            path=f"{id_}/Resource",
            rule="L1",
            reason="Python 3.12 is what dependencies are packaged for; it has security updates until October 2028",
        )
        yield Acknowledged(
            path=f"{id_}Role/DefaultPolicy/Resource",
            rule="IAM5[Resource::*]",
            reason=star + ("; ListStreams knows no resources" if point is LIVE else ""),
        )
    for point in PUSHES:
        for method in ("POST", "DELETE"):
            connections = _ARN.format("execute-api", f"<SocketApi>/{STAGE}/{method}/@connections/*")
            yield Acknowledged(
                path=f"{point.name.capitalize()}Role/DefaultPolicy/Resource",
                rule=f"IAM5[Resource::{connections}]",
                reason="Connections of this one API, which have no names before they are there",
            )
