"""Notices: whose accounts or limits were edited, for an engine that holds them and reads nothing where nothing changed.

They lie where the kill switches do, in the partition the engine reads anyway. Whoever edits commits one together with
the edit; the engine reads that user's accounts and limits anew and takes away the notice it had seen.
"""

from option_baskets.domain.errors import Conflict
from option_baskets.ports import Delete, Item, Put
from option_baskets.store import keys
from option_baskets.store.records import Edited
from option_baskets.store.shelf import CONFIGURATIONS, Shelf

EDITED = "edited"


class Notices(Shelf):
    async def _noticed(self, user_id: str) -> Put:
        """The write that tells the engine of an edit, for the edit's own commit.

        It is a Conflict where another edit of the user was committed since: then the caller does all of it again.
        """
        pk, sk = self._notice(user_id)
        item = await self.table.get(CONFIGURATIONS, pk, sk)
        version = item.version if item else 0
        return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=b"{}", version=version + 1), expected=version)

    async def delete_notice(self, edited: Edited) -> None:
        """What it tells of is taken up; one that tells of a later edit stays."""
        pk, sk = self._notice(edited.user_id)
        try:
            await self.commit(Delete(table=CONFIGURATIONS, pk=pk, sk=sk, expected=edited.version))
        except Conflict:
            return

    def _notice(self, user_id: str) -> keys.Key:
        return keys.kill(user_id, self._shard(user_id), EDITED, "")
