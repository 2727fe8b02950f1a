"""Queues of entries and of exits, each with a worker of its own and a queue for what cannot be done."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.entry_points import DELIVERIES, ENTRY_POINTS, QueueName
from infra.environments import Environment

KEPT_DEAD = Duration.days(14)
KEPT = Duration.hours(12)
"""A message is for a minute of its day; the next day's must not find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    by_name: Mapping[QueueName, sqs.Queue]
    dead: Mapping[QueueName, sqs.Queue]


def make_queues(scope: Construct, environment: Environment, functions: Mapping[str, lambda_.Function]) -> Queues:
    """Standard queues: a lease in the table orders what one account sends, so no order of messages is needed.

    The sender delays each message to just before its instant (at most 900 s), the worker waits out the rest.
    """
    dead = {name: dead_letters(scope, environment, name) for name in QueueName}
    by_name = {name: _queue(scope, environment, name, dead[name]) for name in QueueName}
    for point in ENTRY_POINTS:
        function = functions[point.name]
        for name in QueueName:
            if name in point.sends:
                function.add_environment(f"OPTION_BASKETS_{name.upper()}_QUEUE", by_name[name].queue_url)
        if point.sends:
            function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=["sqs:SendMessage"],
                    resources=[by_name[name].queue_arn for name in QueueName if name in point.sends],
                )
            )
        if point.drains is not None:
            _drain(function, by_name[point.drains], point.drains, environment)
    return Queues(by_name=by_name, dead=dead)


def dead_letters(scope: Construct, environment: Environment, name: str) -> sqs.Queue:
    """Where messages wait for a person: docs/operations.md, Redrive."""
    return sqs.Queue(
        scope,
        f"{name.capitalize()}Dead",
        queue_name=environment.named(f"{name}-dead"),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=KEPT_DEAD,
        removal_policy=RemovalPolicy.DESTROY,
    )


def _queue(scope: Construct, environment: Environment, name: QueueName, dead: sqs.Queue) -> sqs.Queue:
    delivery = DELIVERIES[name]
    return sqs.Queue(
        scope,
        f"{name.capitalize()}Queue",
        queue_name=environment.named(name),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=KEPT,
        visibility_timeout=Duration.seconds(delivery.visible_after),
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=delivery.receives),
        removal_policy=RemovalPolicy.DESTROY,
    )


def _drain(function: lambda_.Function, queue: sqs.Queue, name: QueueName, environment: Environment) -> None:
    """The source never asks for more workers than are reserved, so that no message is thrown back and counted."""
    reserved = {QueueName.ENTRIES: environment.concurrency.entries, QueueName.EXITS: environment.concurrency.exits}
    function.add_event_source(
        sources.SqsEventSource(
            queue,
            batch_size=DELIVERIES[name].batch,
            report_batch_item_failures=True,
            max_concurrency=min(1000, reserved[name]),
        )
    )
