"""The one definition of the tables: what is created from it, and what no emulator would tell."""

import itertools
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from option_baskets.adapters.aws.definition import EXPIRY, TABLES, TableDefinition, create_request
from option_baskets.adapters.aws.statements import attributes, query_request
from option_baskets.adapters.aws.tables import create_tables
from option_baskets.ports import Index, Item, TableName
from tests.contract.engines import Engine, opened

FULL = Item(pk="u", sk="s", body=b"{}", gsi1=("a", "b"), gsi2=("c", "d"), expires_at=1)


async def test_tables_created_from_the_definition_expire_recover_and_are_protected(
    engine: Engine, tmp_path: Path
) -> None:
    table = await opened(engine, tmp_path, lambda: datetime(2026, 11, 24, tzinfo=UTC))
    prefix = f"guarded-{table.prefix}"
    await create_tables(table.dynamo, prefix=prefix)
    await create_tables(table.dynamo, prefix=prefix)  # leaves what is there
    for definition in TABLES:
        name = {"TableName": prefix + definition.name}
        made = (await table.dynamo.call("describe_table", name))["Table"]
        assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert made["DeletionProtectionEnabled"] is True
        assert {
            index["IndexName"]: index["Projection"]["ProjectionType"] for index in made["GlobalSecondaryIndexes"]
        } == {
            "AllocationsByStrategy": "ALL",
            "UserExecutionSchedule": "ALL",
        }
        expiry = (await table.dynamo.call("describe_time_to_live", name))["TimeToLiveDescription"]
        assert (expiry["AttributeName"], expiry["TimeToLiveStatus"]) in {(EXPIRY, "ENABLED"), (EXPIRY, "ENABLING")}
        backups = (await table.dynamo.call("describe_continuous_backups", name))["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        stream = made.get("StreamSpecification", {})
        assert stream.get("StreamViewType") == ("NEW_IMAGE" if definition.stream else None)
    await table.close()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_key_of_the_definition_is_an_attribute_of_an_item_and_is_declared_once(table: TableDefinition) -> None:
    request = create_request(table)
    declared = [each["AttributeName"] for each in request["AttributeDefinitions"]]  # type: ignore[attr-defined]
    assert len(declared) == len(set(declared)) == 6
    assert set(declared) < set(attributes(FULL))
    assert EXPIRY in attributes(FULL)


def test_the_definition_has_both_tables_of_the_port_and_all_its_indexes() -> None:
    assert [table.name for table in TABLES] == list(TableName)
    for table in TABLES:
        assert {index.name for index in table.indexes} == set(Index) - {Index.PRIMARY}


def test_no_query_filters_and_an_index_is_never_asked_to_be_consistent() -> None:
    for index, prefix, between in itertools.product(Index, ("", "p"), (None, ("a", "z"))):
        request = query_request("t", "u", index, prefix, between)
        assert request is not None
        assert not {"FilterExpression", "QueryFilter", "ScanFilter"} & request.keys()
        assert ("ConsistentRead" in request) == (index is Index.PRIMARY) == ("IndexName" not in request)
        condition = str(request["KeyConditionExpression"])
        assert condition.count("BETWEEN") + condition.count("begins_with") == bool(prefix or between)


def test_the_definition_is_read_without_an_aws_library() -> None:
    code = (
        "import sys; import option_baskets.adapters.aws.definition; "
        "assert not {'boto3', 'botocore', 'aiobotocore'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
