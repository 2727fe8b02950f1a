"""Items, conditions, key ranges and cursors as DynamoDB has them."""

import json
from collections.abc import Mapping
from typing import Any

from option_baskets.adapters.aws.definition import EXPIRY, PARTITION_KEY, SORT_KEY, key_names
from option_baskets.domain.errors import Invalid
from option_baskets.ports import Index, Item, Put, Write
from option_baskets.store.limits import LONGEST_SORT_KEY

Attributes = dict[str, dict[str, Any]]

_ABSENT = f"attribute_not_exists({PARTITION_KEY}) OR {EXPIRY} <= :now"
_OF_VERSION = f"#version = :version AND (attribute_not_exists({EXPIRY}) OR {EXPIRY} > :now)"


def attributes(item: Item) -> Attributes:
    found: Attributes = {
        PARTITION_KEY: {"S": item.pk},
        SORT_KEY: {"S": item.sk},
        "version": {"N": str(item.version)},
        "body": {"B": item.body},
    }
    for index, place in ((Index.ALLOCATIONS_BY_STRATEGY, item.gsi1), (Index.USER_EXECUTION_SCHEDULE, item.gsi2)):
        if place is not None:
            found |= {name: {"S": value} for name, value in zip(key_names(index), place, strict=True)}
    if item.expires_at is not None:
        found[EXPIRY] = {"N": str(item.expires_at)}
    return found


def item_of(found: Mapping[str, Mapping[str, Any]]) -> Item:
    def place(index: Index) -> tuple[str, str] | None:
        pk, sk = key_names(index)
        return (found[pk]["S"], found[sk]["S"]) if pk in found else None

    return Item(
        pk=found[PARTITION_KEY]["S"],
        sk=found[SORT_KEY]["S"],
        body=found["body"]["B"],
        version=int(found["version"]["N"]),
        gsi1=place(Index.ALLOCATIONS_BY_STRATEGY),
        gsi2=place(Index.USER_EXECUTION_SCHEDULE),
        expires_at=int(found[EXPIRY]["N"]) if EXPIRY in found else None,
    )


def key(pk: str, sk: str) -> Attributes:
    return {PARTITION_KEY: {"S": pk}, SORT_KEY: {"S": sk}}


def transact_item(write: Write, table: str, now: int) -> dict[str, dict[str, object]]:
    """One write of a transaction; what has expired at ``now`` (Unix seconds) counts as absent."""
    request: dict[str, object] = {"TableName": table}
    if isinstance(write, Put):
        request["Item"] = attributes(write.item)
    else:
        request["Key"] = key(write.pk, write.sk)
    values: Attributes = {":now": {"N": str(now)}}
    if write.expected is not None:
        if write.expected == 0:
            request["ConditionExpression"] = _ABSENT
        else:
            request["ConditionExpression"] = _OF_VERSION
            request["ExpressionAttributeNames"] = {"#version": "version"}
            values[":version"] = {"N": str(write.expected)}
        request["ExpressionAttributeValues"] = values
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {"Put" if isinstance(write, Put) else "Delete": request}


def query_request(
    table: str, pk: str, index: Index, begins_with: str, between: tuple[str, str] | None
) -> dict[str, object] | None:
    """The part of a Query that stays the same from page to page; None where no key can be in the range.

    There is no filter expression: DynamoDB refuses one on a key, and emulators do not.
    """
    pk_name, sk_name = key_names(index)
    condition, values = f"{pk_name} = :pk", {":pk": {"S": pk}}
    if between is not None:
        # A query takes one condition on the sort key, so a prefix and a range together are one range.
        low, high = max(between[0], begins_with, "\x00"), between[1]
        if begins_with:
            high = min(high, _greatest(begins_with))
        if low > high:
            return None
        condition += f" AND {sk_name} BETWEEN :low AND :high"
        values |= {":low": {"S": low}, ":high": {"S": high}}
    elif begins_with:
        condition += f" AND begins_with({sk_name}, :prefix)"
        values[":prefix"] = {"S": begins_with}
    request: dict[str, object] = {
        "TableName": table,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
    }
    if index is Index.PRIMARY:
        request["ConsistentRead"] = True
    else:
        request["IndexName"] = index.value
    return request


def _greatest(prefix: str) -> str:
    """The greatest possible sort key that begins with ``prefix``."""
    room = LONGEST_SORT_KEY - len(prefix.encode())
    return prefix + "\U0010ffff" * (room // 4) + ("", "\x7f", "\u07ff", "\uffff")[room % 4]


def cursor_after(last: Mapping[str, Mapping[str, str]], index: Index) -> str:
    return json.dumps([index, {name: value["S"] for name, value in last.items()}], sort_keys=True)


def start(cursor: str, index: Index) -> Attributes:
    """The key that the page after ``cursor`` starts behind."""
    names = {PARTITION_KEY, SORT_KEY, *key_names(index)}
    try:
        of, last = json.loads(cursor)
        if of == index and last.keys() == names and all(isinstance(value, str) for value in last.values()):
            return {name: {"S": value} for name, value in last.items()}
    except (ValueError, TypeError, AttributeError):
        pass
    raise Invalid(f"{cursor!r} is no cursor of a query of {index}; give back the one a page came with", where="cursor")
