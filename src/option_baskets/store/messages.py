"""Queued messages as items of the table, for queues that live in it."""

from option_baskets.ports import Delete, Item, Message, Put, Table, TableName
from option_baskets.store import codec, keys


def put(queue: str, message: Message) -> Put:
    """The write that sends the message; sent again it is the same item."""
    pk, sk = keys.message(queue, message.id)
    return Put(table=TableName.CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(message)))


def delete(queue: str, message: Message) -> Delete:
    pk, sk = keys.message(queue, message.id)
    return Delete(table=TableName.CONFIGURATIONS, pk=pk, sk=sk)


async def pending(table: Table, queue: str) -> list[Message]:
    """Messages sent and not done, sorted by id."""
    found: list[Message] = []
    cursor: str | None = None
    while True:
        page = await table.query(TableName.CONFIGURATIONS, keys.messages(queue), cursor=cursor)
        found += [codec.decode(item.body, Message) for item in page.items]
        cursor = page.cursor
        if cursor is None:
            return found
