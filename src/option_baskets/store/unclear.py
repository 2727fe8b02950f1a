"""Commits whose answer was lost: what was to be written is read before anything is decided."""

from collections.abc import Sequence

from option_baskets.domain.errors import Conflict, Unavailable, Unclear
from option_baskets.ports import Put, Table, Write

_TRIES = 3


async def commit_surely(table: Table, writes: Sequence[Write]) -> None:
    """As ``table.commit``; an unclear answer is cleared by reading, and what is not there is written again.

    A repetition writes nothing over what came after it: where the first attempt takes effect late, the versions that
    the second expects are gone, and reading then shows that the first one is there.

    Raises:
        Unclear: it still is: the table cannot be read, or three attempts left no trace.
    """
    doubt: Unclear | None = None
    for _ in range(_TRIES):
        try:
            await table.commit(writes)
        except Unclear as error:
            doubt = error
        except Conflict:
            if doubt is None or not await is_written(table, writes):
                raise
            return
        except Unavailable as error:
            if doubt is None:
                raise
            raise doubt from error
        else:
            return
        try:
            if await is_written(table, writes):
                return
        except Unavailable as error:
            raise doubt from error
    assert doubt is not None
    raise doubt


async def is_written(table: Table, writes: Sequence[Write]) -> bool:
    """Whether the table shows everything the commit would have written."""
    for write in writes:
        if isinstance(write, Put):
            found = await table.get(write.table, write.item.pk, write.item.sk)
            if found is None or (found.version, found.body) != (write.item.version, write.item.body):
                return False
        elif await table.get(write.table, write.pk, write.sk) is not None:
            return False
    return True
