"""The timer: its state machine, its start every day, and the look at it every minute."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.entry_points import SESSION, TIMER, WATCHDOG
from infra.environments import Environment
from infra.queues import dead_letters
from infra.retention import retention
from infra.timer_machine import LEAD_SECONDS, definition
from option_baskets.domain.session import IST

START = "cron(0 9 * * ? *)"
"""Every day: special sessions fall on weekends. On a day without a session the first state ends it."""
LOOKS = "cron(* 9-23 * * ? *)"
"""Every minute in which a session may be under way; Muhurat trading is in the evening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    machine: sfn.StateMachine
    dead: sqs.Queue
    """Starts and looks that could not be delivered."""


def make_timer(scope: Construct, environment: Environment, functions: Mapping[str, lambda_.Function]) -> Timer:
    """The state machine. Its executions are started by the watchdog only, named for their day.

    A schedule cannot name an execution for its day, and only the name makes Step Functions refuse a second one; so
    both schedules call the watchdog, which does.
    """
    log = logs.LogGroup(
        scope, "TimerMachineLog", retention=retention(environment.log_days), removal_policy=RemovalPolicy.DESTROY
    )
    machine = sfn.StateMachine(
        scope,
        "TimerMachine",
        state_machine_name=environment.named("timer"),
        state_machine_type=sfn.StateMachineType.STANDARD,
        definition_body=sfn.DefinitionBody.from_string(
            json.dumps(definition(session="${Session}", timer="${Timer}"), separators=(",", ":"))
        ),
        definition_substitutions={
            "Session": functions[SESSION.name].function_arn,
            "Timer": functions[TIMER.name].function_arn,
        },
        logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ALL, include_execution_data=True),
        tracing_enabled=True,
        removal_policy=RemovalPolicy.DESTROY,
    )
    machine.add_to_role_policy(
        iam.PolicyStatement(
            actions=["lambda:InvokeFunction"],
            resources=[functions[SESSION.name].function_arn, functions[TIMER.name].function_arn],
        )
    )
    for name in (SESSION.name, TIMER.name):
        functions[name].add_environment("OPTION_BASKETS_TIMER_LEAD", str(LEAD_SECONDS))
    _let_start(scope, environment, functions[WATCHDOG.name])
    dead = _schedule(scope, environment, functions[WATCHDOG.name])
    return Timer(machine=machine, dead=dead)


def _let_start(scope: Construct, environment: Environment, watchdog: lambda_.Function) -> None:
    """By the machine's name: its ARN as a reference would make a circle through the watchdog."""
    stack = Stack.of(scope)
    name = environment.named("timer")
    machine = stack.format_arn(
        service="states", resource="stateMachine", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )
    watchdog.add_to_role_policy(iam.PolicyStatement(actions=["states:StartExecution"], resources=[machine]))
    watchdog.add_environment("OPTION_BASKETS_TIMER", machine)


def _schedule(scope: Construct, environment: Environment, watchdog: lambda_.Function) -> sqs.Queue:
    """Both schedules; what they cannot deliver is in the queue."""
    group = scheduler.CfnScheduleGroup(scope, "Schedules", name=environment.resources)
    dead = dead_letters(scope, environment, "schedules")
    role = iam.Role(
        scope,
        "SchedulesRole",
        assumed_by=iam.ServicePrincipal(
            "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}}
        ),
        description="What the schedules of the timer may do",
    )
    role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[watchdog.function_arn]))
    role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[dead.queue_arn]))
    for name, when, why in (
        ("start", START, "The day's timer, at 09:00 IST"),
        ("watch", LOOKS, "Whether the timer is alive"),
    ):
        scheduler.CfnSchedule(
            scope,
            f"{name.capitalize()}Schedule",
            name=environment.named(name),
            group_name=group.ref,
            description=why,
            schedule_expression=when,
            schedule_expression_timezone=IST.key,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=watchdog.function_arn,
                role_arn=role.role_arn,
                input=json.dumps({"reason": name, "at": "<aws.scheduler.scheduled-time>"}),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=dead.queue_arn),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=60, maximum_retry_attempts=3
                ),
            ),
        ).node.add_dependency(role)
    return dead
