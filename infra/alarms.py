"""Alarms, each with what to do about it in docs/operations.md under its name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.entry_points import ENTRIES, EXITS, TIMER, QueueName
from infra.environments import Environment
from infra.metrics import NAMESPACE, SERVICE, Measure

MINUTE = Duration.minutes(1)
FIVE_MINUTES = Duration.minutes(5)
LOOK_AHEAD_SECONDS = 300
"""A message may lie in its queue so long before it is due."""
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Everything that alarms look at."""

    functions: Mapping[str, lambda_.Function]
    machine: sfn.StateMachine
    queues: Mapping[QueueName, sqs.Queue]
    dead: Mapping[str, sqs.Queue]
    tables: Iterable[dynamodb.CfnTable]
    api_id: str


class Alarms:
    """Raises every alarm to one topic. Silence is health: outside sessions nothing is measured."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        self._scope = scope
        self._environment = environment
        self.all: list[cloudwatch.Alarm] = []
        self._topic = sns.Topic(scope, "Alarms", topic_name=environment.named("alarms"), enforce_ssl=True)
        if environment.alarms.email:
            self._topic.add_subscription(subscriptions.EmailSubscription(environment.alarms.email))
        CfnOutput(scope, "AlarmTopic", value=self._topic.topic_arn, description="Subscribe here to be told of alarms")

    def watch(self, watched: Watched) -> None:
        self._trading()
        self._timer(watched.machine)
        for name, queue in watched.dead.items():
            depth = queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
            self._raise(f"{name}-dead", depth, above=0, says="a message was given up; see Redrive")
        for name, waiting in watched.queues.items():
            age = waiting.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum")
            self._raise(f"{name}-waiting", age, above=LOOK_AHEAD_SECONDS + 60, says="messages are not worked off")
        for name, function in watched.functions.items():
            errors = function.metric_errors(period=MINUTE, statistic="Sum")
            self._raise(f"{name}-errors", errors, above=0, says="an invocation failed", minutes=2, of=5)
        for name in (TIMER.name, ENTRIES.name, EXITS.name):
            throttles = watched.functions[name].metric_throttles(period=MINUTE, statistic="Sum")
            self._raise(f"{name}-throttled", throttles, above=0, says="more work than reserved concurrency")
        for table in watched.tables:
            self._table(table)
        self._api(watched.api_id)

    def _trading(self) -> None:
        limits = self._environment.alarms
        self._raise(
            "boundary-offset",
            self.measured(Measure.BOUNDARY_OFFSET, "p99"),
            above=limits.boundary_offset_ms,
            says="ticks are emitted late",
            minutes=3,
            of=5,
        )
        self._raise(
            "due-to-sent",
            self.measured(Measure.DUE_TO_SENT, "p99"),
            above=limits.due_to_sent_ms,
            says="orders leave late",
            minutes=2,
            of=5,
        )
        self._raise(
            "refusals",
            self.measured(Measure.REFUSALS, "Sum", FIVE_MINUTES),
            above=limits.refusals_in_five_minutes,
            says="many entries are refused",
        )
        self._raise(
            "unknown-orders",
            self.measured(Measure.UNKNOWN_ORDERS, "Maximum"),
            above=0,
            says="the fate of an order is not known",
        )

    def _timer(self, machine: sfn.StateMachine) -> None:
        """Sums of metrics would make one alarm of three; the emulator has no arithmetic of metrics."""
        for how, metric in (
            ("failed", machine.metric_failed(period=MINUTE)),
            ("timed-out", machine.metric_timed_out(period=MINUTE)),
            ("aborted", machine.metric_aborted(period=MINUTE)),
        ):
            self._raise(f"timer-{how}", metric, above=0, says="the timer ended before the close")
        self._raise(
            "timer-restarts",
            self.measured(Measure.TIMER_RESTARTS, "Sum"),
            above=0,
            says="the watchdog started the timer anew",
        )

    def _table(self, table: dynamodb.CfnTable) -> None:
        name = str(table.table_name).removeprefix(self._environment.table_prefix)
        for what in ("Read", "Write"):
            throttled = cloudwatch.Metric(
                namespace="AWS/DynamoDB",
                metric_name=f"{what}ThrottleEvents",
                dimensions_map={"TableName": str(table.table_name)},
                statistic="Sum",
                period=MINUTE,
            )
            says = f"the table was asked to {what.lower()} faster than it grows"
            self._raise(f"{name}-{what.lower()}-throttled", throttled, above=0, says=says, minutes=2, of=5)

    def _api(self, api_id: str) -> None:
        failed = cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name="5xx",
            dimensions_map={"ApiId": api_id},
            statistic="Sum",
            period=MINUTE,
        )
        self._raise("api-5xx", failed, above=5, says="the API answers with errors of its own", minutes=2, of=5)

    def measured(self, measure: Measure, statistic: str, period: Duration = MINUTE) -> cloudwatch.Metric:
        return measured(self._environment, measure, statistic, period)

    def _raise(
        self, name: str, metric: cloudwatch.IMetric, *, above: float, says: str, minutes: int = 1, of: int = 1
    ) -> None:
        alarm = cloudwatch.Alarm(
            self._scope,
            "".join(word.capitalize() for word in name.split("-")) + "Alarm",
            alarm_name=self._environment.named(name),
            alarm_description=f"{says}. docs/operations.md, {name}",
            metric=metric,
            threshold=above,
            comparison_operator=_ABOVE,
            datapoints_to_alarm=minutes,
            evaluation_periods=of,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        self.all.append(alarm)


def measured(
    environment: Environment, measure: Measure, statistic: str, period: Duration = MINUTE
) -> cloudwatch.Metric:
    """What the functions write themselves."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=measure.value,
        dimensions_map={SERVICE: environment.resources},
        statistic=statistic,
        period=period,
    )
