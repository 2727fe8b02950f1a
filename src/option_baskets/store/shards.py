"""Into how many shards the tables are divided: stored with them, because items lie where that number put them."""

from option_baskets.domain.errors import Conflict, Halt
from option_baskets.ports import Item, Put, Table
from option_baskets.store import codec, keys
from option_baskets.store.shelf import CONFIGURATIONS


async def require_shards(table: Table, shards: int) -> bool:
    """See that the tables are divided as this process takes them to be; whether that is stored.

    Raises:
        Halt: they are divided otherwise: users' schedules would not be found.
    """
    item = await table.get(CONFIGURATIONS, *keys.SHARDS)
    stored = shards if item is None else codec.decode(item.body, int)
    if stored != shards:
        raise Halt(
            f"the tables are divided into {stored} shards and this process takes them to be {shards}; "
            f"set OPTION_BASKETS_SHARDS to {stored}"
        )
    return item is not None


async def fix_shards(table: Table, shards: int) -> None:
    """Store the number at the tables' first use. Raises Halt as ``require_shards``."""
    if await require_shards(table, shards):
        return
    pk, sk = keys.SHARDS
    item = Item(pk=pk, sk=sk, body=codec.encode(shards))
    try:
        await table.commit([Put(table=CONFIGURATIONS, item=item, expected=0)])
    except Conflict:
        await require_shards(table, shards)
