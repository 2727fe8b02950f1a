"""What the DynamoDB tables are, once: tests create them from here, the deployment stack reads the same values.

Nothing here needs an AWS library. The attribute names are the item's own (``ports.Item``).
"""

from dataclasses import dataclass

from option_baskets.ports import Index, TableName

PARTITION_KEY, SORT_KEY = "pk", "sk"
EXPIRY = "expires_at"
"""The attribute that time-to-live reads: Unix seconds. DynamoDB deletes late, so every read hides what has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDefinition:
    """A global secondary index: sparse, and with whole items, so that finding needs no second read."""

    name: Index
    partition_key: str
    sort_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDefinition:
    """Keys are text; the price is by request; a table cannot be deleted by mistake and can be taken back in time."""

    name: TableName
    indexes: tuple[IndexDefinition, ...]
    stream: bool
    """Whether every change is published, as the new item, for live updates."""


INDEXES = (
    IndexDefinition(name=Index.ALLOCATIONS_BY_STRATEGY, partition_key="gsi1pk", sort_key="gsi1sk"),
    IndexDefinition(name=Index.USER_EXECUTION_SCHEDULE, partition_key="gsi2pk", sort_key="gsi2sk"),
)
TABLES = (
    TableDefinition(name=TableName.CONFIGURATIONS, indexes=INDEXES, stream=True),
    TableDefinition(name=TableName.HISTORY, indexes=INDEXES, stream=True),
    TableDefinition(name=TableName.IDENTITY, indexes=INDEXES, stream=False),
    TableDefinition(name=TableName.PAPER_EXCHANGE, indexes=INDEXES, stream=False),
)


def key_names(index: Index) -> tuple[str, str]:
    """Attribute names of (partition key, sort key)."""
    for each in INDEXES:
        if each.name is index:
            return each.partition_key, each.sort_key
    return PARTITION_KEY, SORT_KEY


def create_request(table: TableDefinition, *, prefix: str = "", guarded: bool = True) -> dict[str, object]:
    """The CreateTable request. ``guarded=False`` leaves the table deletable, for tables of tests."""
    keys = [key_names(Index.PRIMARY), *(key_names(index.name) for index in table.indexes)]
    request: dict[str, object] = {
        "TableName": prefix + table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for pair in keys for name in pair],
        "KeySchema": _schema(keys[0]),
        "GlobalSecondaryIndexes": [
            {"IndexName": index.name, "KeySchema": _schema(pair), "Projection": {"ProjectionType": "ALL"}}
            for index, pair in zip(table.indexes, keys[1:], strict=True)
        ],
        "DeletionProtectionEnabled": guarded,
    }
    if table.stream:
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    return request


def expiry_request(table: TableDefinition, *, prefix: str = "") -> dict[str, object]:
    """The UpdateTimeToLive request."""
    return {
        "TableName": prefix + table.name,
        "TimeToLiveSpecification": {"Enabled": True, "AttributeName": EXPIRY},
    }


def recovery_request(table: TableDefinition, *, prefix: str = "") -> dict[str, object]:
    """The UpdateContinuousBackups request: the table can be taken back to any second of the last 35 days."""
    return {
        "TableName": prefix + table.name,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }


def _schema(pair: tuple[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(pair, ("HASH", "RANGE"), strict=True)]
