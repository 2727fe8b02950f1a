"""What every process over one set of tables has in common."""

import secrets

from option_baskets.domain.errors import Conflict
from option_baskets.ports import Item, Put, Table, TableName
from option_baskets.store import codec, keys

_BYTES = 32


async def cursor_key(table: Table) -> bytes:
    """What page cursors are signed with; drawn by the process that asks first."""
    pk, sk = keys.CURSOR_KEY
    while True:
        item = await table.get(TableName.IDENTITY, pk, sk)
        if item is not None:
            return bytes.fromhex(codec.decode(item.body, str))
        drawn = Item(pk=pk, sk=sk, body=codec.encode(secrets.token_hex(_BYTES)))
        try:
            await table.commit([Put(table=TableName.IDENTITY, item=drawn, expected=0)])
        except Conflict:
            continue
