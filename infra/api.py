"""The HTTP API: made in the auth stack with who may call it; routes are added by the trading stack."""

from dataclasses import dataclass

from aws_cdk import ArnFormat, Fn, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from infra.environments import Environment
from infra.retention import retention

OPEN_ROUTES = ("GET /health", "GET /ready", "GET /openapi.json")
"""Routes without a token. Everything else needs one, whether there is such a path or not."""
PROTECTED_ROUTES = ("ANY /{proxy+}",)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
HEADERS = ["authorization", "content-type", "if-match", "if-none-match", "idempotency-key"]

_LOGGED = (
    '{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","at":"$context.requestTime",'
    '"method":"$context.httpMethod","route":"$context.routeKey","path":"$context.path","status":"$context.status",'
    '"length":"$context.responseLength","latency":"$context.responseLatency","user":"$context.authorizer.claims.sub",'
    '"error":"$context.integrationErrorMessage"}'
)
"""No header and no query, which may hold tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpApi:
    api: apigw.CfnApi
    authorizer: apigw.CfnAuthorizer


def make_api(scope: Stack, environment: Environment, pool: cognito.UserPool, client: cognito.UserPoolClient) -> HttpApi:
    """The API, its one stage, and the authorizer that takes tokens of the pool made for its client."""
    limits = environment.api
    api = apigw.CfnApi(
        scope,
        "Api",
        name=environment.named("api"),
        description="Option Baskets",
        protocol_type="HTTP",
        cors_configuration=apigw.CfnApi.CorsProperty(
            allow_origins=list(limits.origins),
            allow_methods=METHODS,
            allow_headers=HEADERS,
            expose_headers=["etag", "retry-after"],
            max_age=3600,
        )
        if limits.origins
        else None,
    )
    log = logs.LogGroup(
        scope, "ApiLog", retention=retention(environment.log_days), removal_policy=RemovalPolicy.DESTROY
    )
    apigw.CfnStage(
        scope,
        "ApiStage",
        api_id=api.ref,
        stage_name="$default",
        auto_deploy=True,
        access_log_settings=apigw.CfnStage.AccessLogSettingsProperty(
            destination_arn=arn_for_access_logs(log),
            format=_LOGGED,
        ),
        default_route_settings=apigw.CfnStage.RouteSettingsProperty(
            throttling_rate_limit=limits.requests_per_second,
            throttling_burst_limit=limits.burst,
            detailed_metrics_enabled=True,
        ),
    )
    authorizer = apigw.CfnAuthorizer(
        scope,
        "ApiAuthorizer",
        api_id=api.ref,
        name=environment.named("users"),
        authorizer_type="JWT",
        identity_source=["$request.header.Authorization"],
        jwt_configuration=apigw.CfnAuthorizer.JWTConfigurationProperty(
            audience=[client.user_pool_client_id],
            issuer=f"https://cognito-idp.{scope.region}.amazonaws.com/{pool.user_pool_id}",
        ),
    )
    return HttpApi(api=api, authorizer=authorizer)


def add_routes(scope: Stack, *, api_id: str, authorizer_id: str, function: lambda_.Function) -> None:
    """All routes lead to one function, which is the whole application."""
    integration = apigw.CfnIntegration(
        scope,
        "ApiIntegration",
        api_id=api_id,
        integration_type="AWS_PROXY",
        integration_uri=function.function_arn,
        payload_format_version="2.0",
        timeout_in_millis=29_000,
    )
    target = Fn.join("/", ["integrations", integration.ref])
    for number, key in enumerate(OPEN_ROUTES):
        apigw.CfnRoute(
            scope, f"OpenRoute{number}", api_id=api_id, route_key=key, target=target, authorization_type="NONE"
        )
    for number, key in enumerate(PROTECTED_ROUTES):
        apigw.CfnRoute(
            scope,
            f"ProtectedRoute{number}",
            api_id=api_id,
            route_key=key,
            target=target,
            authorization_type="JWT",
            authorizer_id=authorizer_id,
        )
    function.add_permission(
        "FromApi",
        principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
        source_arn=scope.format_arn(service="execute-api", resource=api_id, resource_name="*/*"),
    )


def arn_for_access_logs(log: logs.LogGroup) -> str:
    """The group's ARN without the ``:*`` that its own ends with."""
    arn: str = Stack.of(log).format_arn(
        service="logs",
        resource="log-group",
        resource_name=log.log_group_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return arn
