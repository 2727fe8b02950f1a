"""Making the tables of the definition, for tests and trials; an installation gets them from its deployment."""

import asyncio
from contextlib import suppress

from option_baskets.adapters.aws.definition import TABLES, create_request, expiry_request, recovery_request
from option_baskets.adapters.aws.dynamo import Dynamo
from option_baskets.domain.errors import Conflict, Unavailable


async def create_tables(dynamo: Dynamo, *, prefix: str = "", guarded: bool = True) -> None:
    """Create both tables and return once they can be used. One that is there already stays as it is.

    Args:
        guarded: with time-to-live, point-in-time recovery and protection against deletion; without, they are only
            what a test needs.
    """
    for table in TABLES:
        with suppress(Conflict):  # of an earlier try whose answer was lost, perhaps
            await dynamo.call("create_table", create_request(table, prefix=prefix, guarded=guarded))
    for table in TABLES:
        await _wait_until_active(dynamo, prefix + table.name)
        if guarded:
            await dynamo.call("update_time_to_live", expiry_request(table, prefix=prefix))
            await dynamo.call("update_continuous_backups", recovery_request(table, prefix=prefix))


async def delete_tables(dynamo: Dynamo, *, prefix: str) -> None:
    """Delete tables that were made unguarded."""
    for table in TABLES:
        await dynamo.call("delete_table", {"TableName": prefix + table.name})


async def _wait_until_active(dynamo: Dynamo, name: str) -> None:
    for _ in range(60):
        answer = await dynamo.call("describe_table", {"TableName": name})
        if answer["Table"]["TableStatus"] == "ACTIVE":
            return
        await asyncio.sleep(1)
    raise Unavailable(f"table {name} did not become active within a minute; look at it in the AWS console")
