"""Live updates: streams of tables, to a function, to the users' WebSockets."""

import json
from collections.abc import Iterable, Mapping

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs

from infra.api import arn_for_access_logs
from infra.entry_points import LIVE, SOCKET
from infra.environments import Environment
from infra.queues import dead_letters
from infra.retention import retention
from option_baskets.ports import TableName
from option_baskets.store import keys

STAGE = "live"
ROUTES = ("$connect", "$disconnect", "$default")
PUSHES = (LIVE, SOCKET)
"""Who may write to a WebSocket: changes, and the answer to whoever connects."""
SHOWN: Mapping[TableName, tuple[tuple[str, str], ...]] = {
    TableName.HISTORY: (),
    TableName.CONFIGURATIONS: (("sk", keys.RUNS), ("pk", keys.TICKS)),
}
"""Tables whose changes are shown, with the beginnings of the keys that are; none: all."""
MOST_AGE_SECONDS = 300
"""A change older than this is history; who missed it reads it from the API."""

_LOGGED = (
    '{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","at":"$context.requestTime",'
    '"event":"$context.eventType","connection":"$context.connectionId","status":"$context.status"}'
)


def make_websocket(scope: Stack, environment: Environment, functions: Mapping[str, lambda_.Function]) -> apigw.CfnApi:
    """The WebSocket API; its three routes lead to the socket function, which lets only holders of a token connect."""
    api = apigw.CfnApi(
        scope,
        "SocketApi",
        name=environment.named("live"),
        description="Live updates of Option Baskets",
        protocol_type="WEBSOCKET",
        route_selection_expression="$request.body.action",
    )
    function = functions[SOCKET.name]
    integration = apigw.CfnIntegration(
        scope,
        "SocketIntegration",
        api_id=api.ref,
        integration_type="AWS_PROXY",
        integration_uri=(
            f"arn:{scope.partition}:apigateway:{scope.region}:lambda:path/2015-03-31/functions/"
            f"{function.function_arn}/invocations"
        ),
    )
    for key in ROUTES:
        apigw.CfnRoute(
            scope,
            f"SocketRoute{key[1:].capitalize()}",
            api_id=api.ref,
            route_key=key,
            authorization_type="NONE",
            target=Fn.join("/", ["integrations", integration.ref]),
        )
    log = logs.LogGroup(
        scope, "SocketLogOfAccess", retention=retention(environment.log_days), removal_policy=RemovalPolicy.DESTROY
    )
    apigw.CfnStage(
        scope,
        "SocketStage",
        api_id=api.ref,
        stage_name=STAGE,
        auto_deploy=True,
        access_log_settings=apigw.CfnStage.AccessLogSettingsProperty(
            destination_arn=arn_for_access_logs(log), format=_LOGGED
        ),
        default_route_settings=apigw.CfnStage.RouteSettingsProperty(
            throttling_rate_limit=environment.api.requests_per_second, throttling_burst_limit=environment.api.burst
        ),
    )
    function.add_permission(
        "FromSocket",
        principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
        source_arn=scope.format_arn(service="execute-api", resource=api.ref, resource_name="*/*"),
    )
    for point in PUSHES:
        _let_push(scope, api, functions[point.name])
    CfnOutput(
        scope,
        "SocketUrl",
        value=f"wss://{api.ref}.execute-api.{scope.region}.{scope.url_suffix}/{STAGE}",
        description="Live updates",
    )
    return api


def feed(
    scope: Stack, environment: Environment, tables: Mapping[TableName, dynamodb.CfnTable], live: lambda_.Function
) -> sqs.Queue:
    """The streams of the tables that have one into the live function.

    What it cannot send is put away as a note of where in the stream it was.
    """
    dead = dead_letters(scope, environment, LIVE.name)
    streams = {name: table.attr_stream_arn for name, table in tables.items() if name in SHOWN}
    for name, stream in streams.items():
        source = lambda_.CfnEventSourceMapping(
            scope,
            f"{''.join(word.capitalize() for word in name.split('-'))}Source",
            function_name=live.function_name,
            event_source_arn=stream,
            starting_position="LATEST",
            batch_size=100,
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=3,
            maximum_record_age_in_seconds=MOST_AGE_SECONDS,
            parallelization_factor=4,
            function_response_types=["ReportBatchItemFailures"],
            filter_criteria=_only(SHOWN[name]),
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=dead.queue_arn)
            ),
        )
        source.node.add_dependency(live.role)
    read = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")
    for actions, resources in (
        (read, list(streams.values())),
        (("dynamodb:ListStreams",), ["*"]),
        (("sqs:SendMessage",), [dead.queue_arn]),
    ):
        live.add_to_role_policy(iam.PolicyStatement(actions=list(actions), resources=resources))
    return dead


def _only(keys: Iterable[tuple[str, str]]) -> lambda_.CfnEventSourceMapping.FilterCriteriaProperty | None:
    """Changes of items with one of these beginnings of a key; none given: all changes."""
    patterns = [{"dynamodb": {"Keys": {name: {"S": [{"prefix": begins}]}}}} for name, begins in keys]
    if not patterns:
        return None
    return lambda_.CfnEventSourceMapping.FilterCriteriaProperty(
        filters=[lambda_.CfnEventSourceMapping.FilterProperty(pattern=json.dumps(each)) for each in patterns]
    )


def _let_push(scope: Stack, api: apigw.CfnApi, function: lambda_.Function) -> None:
    """To any connection of this API; connections have no names before they are there."""
    function.add_to_role_policy(
        iam.PolicyStatement(
            actions=["execute-api:ManageConnections"],
            resources=[
                scope.format_arn(service="execute-api", resource=api.ref, resource_name=f"{STAGE}/POST/@connections/*"),
                scope.format_arn(
                    service="execute-api", resource=api.ref, resource_name=f"{STAGE}/DELETE/@connections/*"
                ),
            ],
        )
    )
    function.add_environment(
        "OPTION_BASKETS_SOCKET", f"https://{api.ref}.execute-api.{scope.region}.{scope.url_suffix}/{STAGE}"
    )
