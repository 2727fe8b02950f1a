"""One page: is the timer on time, do orders leave on time, what waits, what failed."""

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.alarms import MINUTE, Alarms, Watched, measured
from infra.environments import Environment
from infra.metrics import Measure

WIDTH = 12


def make_dashboard(scope: Construct, environment: Environment, watched: Watched, alarms: Alarms) -> None:
    """From top to bottom: alarms, time, orders, queues, functions."""
    functions = watched.functions.values()
    rows: list[list[cloudwatch.IWidget]] = [
        [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms.all, width=2 * WIDTH, height=5)],
        [
            _graph(
                "Boundary to events, ms", *(measured(environment, Measure.BOUNDARY_OFFSET, each) for each in _SPREAD)
            ),
            _graph("Due to sent, ms", *(measured(environment, Measure.DUE_TO_SENT, each) for each in _SPREAD)),
        ],
        [
            _graph(
                "Orders",
                measured(environment, Measure.ORDERS_SENT, "Sum"),
                measured(environment, Measure.REFUSALS, "Sum"),
                measured(environment, Measure.UNKNOWN_ORDERS, "Maximum"),
            ),
            _graph(
                "Waiting",
                *(
                    queue.metric_approximate_number_of_messages_visible(period=MINUTE)
                    for queue in watched.queues.values()
                ),
                *(
                    queue.metric_approximate_number_of_messages_visible(period=MINUTE)
                    for queue in watched.dead.values()
                ),
            ),
        ],
        [
            _graph("Function time, ms", *(each.metric_duration(period=MINUTE, statistic="p99") for each in functions)),
            _graph("Function errors", *(each.metric_errors(period=MINUTE) for each in functions)),
        ],
    ]
    cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=environment.named("trading"), widgets=rows)


_SPREAD = ("p50", "p99", "Maximum")


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH)
