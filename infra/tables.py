"""Tables, as the package defines them; nothing about them is written twice."""

from aws_cdk import CfnDeletionPolicy, CfnTag, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.environments import Environment
from option_baskets.adapters.aws.definition import EXPIRY, TABLES, TableDefinition, create_request
from option_baskets.ports import TableName


def definitions(*, of_people: bool) -> tuple[TableDefinition, ...]:
    """The tables of the auth stack (people and their secrets), or those of the trading stack."""
    return tuple(table for table in TABLES if (table.name is TableName.IDENTITY) is of_people)


def removal(environment: Environment) -> RemovalPolicy:
    """What becomes of what holds data when its stack goes."""
    return RemovalPolicy.RETAIN if environment.keeps_data else RemovalPolicy.DESTROY


def make_table(
    scope: Construct, table: TableDefinition, environment: Environment, *, key: kms.IKey | None = None
) -> dynamodb.CfnTable:
    """A table with time-to-live, point-in-time recovery and encryption: by ``key``, or by AWS's key of the account.

    The resource is made from the request that makes it in tests, so both have the same keys and indexes.
    """
    request = create_request(table, prefix=environment.table_prefix, guarded=environment.keeps_data)
    stream = request.get("StreamSpecification")
    made = dynamodb.CfnTable(
        scope,
        _id_of(table.name),
        table_name=str(request["TableName"]),
        billing_mode=str(request["BillingMode"]),
        attribute_definitions=_lower(request["AttributeDefinitions"]),
        key_schema=_lower(request["KeySchema"]),
        global_secondary_indexes=_lower(request["GlobalSecondaryIndexes"]),
        deletion_protection_enabled=environment.keeps_data,
        stream_specification=dynamodb.CfnTable.StreamSpecificationProperty(stream_view_type=stream["StreamViewType"])
        if isinstance(stream, dict)
        else None,
        time_to_live_specification=dynamodb.CfnTable.TimeToLiveSpecificationProperty(
            enabled=True, attribute_name=EXPIRY
        ),
        point_in_time_recovery_specification=dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
            point_in_time_recovery_enabled=True
        ),
        sse_specification=dynamodb.CfnTable.SSESpecificationProperty(
            sse_enabled=True, sse_type="KMS", kms_master_key_id=key.key_arn if key is not None else None
        ),
        tags=[CfnTag(key="table", value=table.name)],
    )
    kept = CfnDeletionPolicy.RETAIN if environment.keeps_data else CfnDeletionPolicy.DELETE
    made.cfn_options.deletion_policy = kept
    made.cfn_options.update_replace_policy = kept
    return made


def arn_of(scope: Construct, table: TableName, environment: Environment) -> str:
    """By its name, which both stacks know."""
    name = environment.table_prefix + table
    arn: str = Stack.of(scope).format_arn(service="dynamodb", resource="table", resource_name=name)
    return arn


def _id_of(table: TableName) -> str:
    return "".join(word.capitalize() for word in table.split("-"))


def _lower(value: object) -> object:
    """The request's names as the resource's arguments: ``IndexName`` is ``indexName``."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lower(each) for key, each in value.items()}
    return [_lower(each) for each in value] if isinstance(value, list) else value
