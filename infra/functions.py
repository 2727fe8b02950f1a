"""The functions: each with a role of its own, its log group and its layer of dependencies."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import permissions
from infra.egress import Network
from infra.entry_points import ENTRIES, EXITS, TIMER, EntryPoint, Package
from infra.environments import Environment
from infra.retention import retention

RUNTIME = lambda_.Runtime.PYTHON_3_12
BUILT = Path(os.environ.get("OPTION_BASKETS_BUILD", Path(__file__).parents[1] / "out" / "lambda"))
"""Where ``infra/packages.py`` has put code and layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The package's code, and a layer with what it needs for each kind of function."""

    code: lambda_.Code
    layers: Mapping[Package, lambda_.LayerVersion]


@dataclass(slots=True, kw_only=True)
class Functions:
    """Makes functions of one stack. ``by_name`` has all of them so far."""

    scope: Construct
    environment: Environment
    code: Code
    network: Network | None
    key_arn: str
    variables: Mapping[str, str]
    by_name: dict[str, lambda_.Function] = field(default_factory=dict)

    def make(self, point: EntryPoint) -> lambda_.Function:
        id_ = point.name.capitalize()
        log = logs.LogGroup(
            self.scope,
            f"{id_}Log",
            retention=retention(self.environment.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        network = self.network if point.calls_brokers else None
        function = lambda_.Function(
            self.scope,
            id_,
            function_name=self.environment.named(point.name),
            description=point.does,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.X86_64,
            code=self.code.code,
            layers=[self.code.layers[package] for package in point.package.layers],
            handler=point.handler,
            timeout=Duration.seconds(point.timeout),
            memory_size=point.memory,
            reserved_concurrent_executions=self._reserved(point),
            role=self._role(point, log, in_network=network is not None),
            log_group=log,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            vpc=network.vpc if network is not None else None,
            vpc_subnets=network.subnets if network is not None else None,
            security_groups=[network.outward] if network is not None else None,
            environment={**self.variables, **self._powertools(point)},
        )
        self.by_name[point.name] = function
        return function

    def _reserved(self, point: EntryPoint) -> int | None:
        concurrency = self.environment.concurrency
        return {ENTRIES.name: concurrency.entries, EXITS.name: concurrency.exits, TIMER.name: concurrency.timer}.get(
            point.name
        )

    def _role(self, point: EntryPoint, log: logs.LogGroup, *, in_network: bool) -> iam.Role:
        role = iam.Role(
            self.scope,
            f"{point.name.capitalize()}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {self.environment.named(point.name)} may do",
        )
        statements = [
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[log.log_group_arn],
            ),
            permissions.of_tracing(),
            *permissions.of_tables(self.scope, point, self.environment),
            *permissions.of_secrets(self.scope, point, self.key_arn),
        ]
        if in_network:
            statements.append(permissions.of_network())
        for statement in statements:
            role.add_to_policy(statement)
        return role

    def _powertools(self, point: EntryPoint) -> dict[str, str]:
        """Metrics of all functions are one service's, so that an alarm looks at one place."""
        return {
            "POWERTOOLS_SERVICE_NAME": self.environment.resources,
            "POWERTOOLS_METRICS_NAMESPACE": "OptionBaskets",
            "POWERTOOLS_LOG_LEVEL": "INFO",
            "OPTION_BASKETS_FUNCTION": point.name,
        }


def read_code(scope: Construct, environment: Environment) -> Code:
    """Code and layers as they were packaged.

    Raises:
        FileNotFoundError: they were not.
    """
    missing = [name for name in ("code", *Package) if not (BUILT / name).is_dir()]
    if missing:
        raise FileNotFoundError(f"{BUILT} lacks {', '.join(missing)}; run make package")
    layers = {
        package: lambda_.LayerVersion(
            scope,
            f"{package.capitalize()}Layer",
            layer_version_name=environment.named(f"{package}-dependencies"),
            code=lambda_.Code.from_asset(str(BUILT / package)),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[lambda_.Architecture.X86_64],
        )
        for package in Package
    }
    return Code(code=lambda_.Code.from_asset(str(BUILT / "code")), layers=layers)
