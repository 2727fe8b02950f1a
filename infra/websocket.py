"""Live updates: the history's stream, to a function, to the users' WebSockets."""

from collections.abc import Mapping

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

STAGE = "live"
ROUTES = ("$connect", "$disconnect", "$default")
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
    _let_push(scope, api, functions[LIVE.name])
    CfnOutput(
        scope,
        "SocketUrl",
        value=f"wss://{api.ref}.execute-api.{scope.region}.{scope.url_suffix}/{STAGE}",
        description="Live updates",
    )
    return api


def feed(scope: Stack, environment: Environment, history: dynamodb.CfnTable, live: lambda_.Function) -> sqs.Queue:
    """The history's stream into the live function; what it cannot send is put away as a note of where it was."""
    dead = dead_letters(scope, environment, "live")
    lambda_.CfnEventSourceMapping(
        scope,
        "LiveSource",
        function_name=live.function_name,
        event_source_arn=history.attr_stream_arn,
        starting_position="LATEST",
        batch_size=100,
        bisect_batch_on_function_error=True,
        maximum_retry_attempts=3,
        maximum_record_age_in_seconds=MOST_AGE_SECONDS,
        parallelization_factor=4,
        function_response_types=["ReportBatchItemFailures"],
        destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
            on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=dead.queue_arn)
        ),
    ).node.add_dependency(live.role)
    live.add_to_role_policy(
        iam.PolicyStatement(
            actions=["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
            resources=[history.attr_stream_arn],
        )
    )
    live.add_to_role_policy(iam.PolicyStatement(actions=["dynamodb:ListStreams"], resources=["*"]))
    live.add_to_role_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[dead.queue_arn]))
    return dead


def _let_push(scope: Stack, api: apigw.CfnApi, live: lambda_.Function) -> None:
    """To any connection of this API; connections have no names before they are there."""
    live.add_to_role_policy(
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
    live.add_environment(
        "OPTION_BASKETS_SOCKET", f"https://{api.ref}.execute-api.{scope.region}.{scope.url_suffix}/{STAGE}"
    )
