"""What a function may do: statements with the actions it uses and nothing else. CDK's grants are wider."""

from collections.abc import Iterable

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.entry_points import EntryPoint, Secrets
from infra.environments import Environment
from infra.tables import arn_of
from option_baskets.adapters.aws.definition import INDEXES
from option_baskets.ports import TableName

READ = ("dynamodb:GetItem", "dynamodb:Query")
WRITE = ("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem")
"""What ``DynamoTable.commit`` is made of; a transaction needs the permissions of its parts."""

OPEN = ("kms:Decrypt",)
SEAL = ("kms:GenerateDataKey", "kms:Encrypt")
OWNER = "kms:EncryptionContext:owner"
"""A secret is sealed together with whose it is, and cannot be opened as another's."""

TRACE = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
JOIN_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


def of_tables(scope: Construct, point: EntryPoint, environment: Environment) -> Iterable[iam.PolicyStatement]:
    """Statements for the tables it reads and writes, their indexes included."""
    for table in TableName:
        if table not in point.reads | point.writes:
            continue
        arn = arn_of(scope, table, environment)
        yield iam.PolicyStatement(
            actions=list(READ), resources=[arn, *(f"{arn}/index/{each.name}" for each in INDEXES)]
        )
        if table in point.writes:
            yield iam.PolicyStatement(actions=list(WRITE), resources=[arn])


def of_secrets(scope: Construct, point: EntryPoint, key_arn: str) -> Iterable[iam.PolicyStatement]:
    """Statements for the key: of the table that is encrypted with it, and of the secrets themselves."""
    if TableName.IDENTITY in point.reads | point.writes:
        yield iam.PolicyStatement(
            actions=[*OPEN],
            resources=[key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"dynamodb.{Stack.of(scope).region}.amazonaws.com"}},
        )
    if point.secrets is not Secrets.NONE:
        seals = SEAL if point.secrets is Secrets.SEALS_AND_OPENS else ()
        yield iam.PolicyStatement(actions=[*OPEN, *seals], resources=[key_arn], conditions={"Null": {OWNER: "false"}})


def of_tracing() -> iam.PolicyStatement:
    """X-Ray knows no resources."""
    return iam.PolicyStatement(actions=list(TRACE), resources=["*"])


def of_network() -> iam.PolicyStatement:
    """A function in a VPC makes its own network interface, which has no name before."""
    return iam.PolicyStatement(actions=list(JOIN_NETWORK), resources=["*"])
