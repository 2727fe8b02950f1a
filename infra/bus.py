"""The bus, and one rule per type of event: to its function, or to that function's dead-letter queue."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.entry_points import ENTRY_POINTS, TIMER
from infra.environments import Environment
from infra.queues import dead_letters

SOURCE = "option-baskets.timer"
"""The ``source`` of every event; its ``detail-type`` is the type of event."""

MOST_AGE = Duration.seconds(60)
"""An event older than a minute has a successor; what it would have planned is planned by the late one."""
RETRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    bus: events.EventBus
    dead: Mapping[str, sqs.Queue]
    """By the function whose events they are."""
    rules: Mapping[str, events.Rule]


def make_bus(scope: Construct, environment: Environment, functions: Mapping[str, lambda_.Function]) -> Bus:
    """A delivery that fails, and an invocation that fails, end in one queue as the event that it was."""
    bus = events.EventBus(
        scope,
        "Bus",
        event_bus_name=environment.named("bus"),
        description="Events of the timer",
    )
    functions[TIMER.name].add_to_role_policy(
        iam.PolicyStatement(actions=["events:PutEvents"], resources=[bus.event_bus_arn])
    )
    functions[TIMER.name].add_environment("OPTION_BASKETS_BUS", bus.event_bus_name)
    dead: dict[str, sqs.Queue] = {}
    rules: dict[str, events.Rule] = {}
    for point in ENTRY_POINTS:
        if point.serves is None:
            continue
        function = functions[point.name]
        dead[point.name] = dead_letters(scope, environment, point.name)
        rules[point.name] = events.Rule(
            scope,
            f"{point.name.capitalize()}Rule",
            rule_name=environment.named(point.name),
            description=point.does,
            event_bus=bus,
            event_pattern=events.EventPattern(source=[SOURCE], detail_type=[point.serves.value]),
            targets=[
                targets.LambdaFunction(
                    function, dead_letter_queue=dead[point.name], max_event_age=MOST_AGE, retry_attempts=RETRIES
                )
            ],
        )
        _catch_failures(function, dead[point.name])
    return Bus(bus=bus, dead=dead, rules=rules)


def _catch_failures(function: lambda_.Function, dead: sqs.Queue) -> None:
    """EventBridge hands over and is done; what the function then fails at is Lambda's to retry and to put away.

    As dead-letter queue and not as destination on failure: so the message is the event itself, as the rule's are.
    """
    function.configure_async_invoke(max_event_age=MOST_AGE, retry_attempts=RETRIES)
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)
    resource.dead_letter_config = lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=dead.queue_arn)
    function.add_to_role_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[dead.queue_arn]))
