"""The books of one user: what an engine asks of everybody, it is told of one."""

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.kill import Kill
from option_baskets.domain.run import Run
from option_baskets.ports import Index, Table
from option_baskets.store import keys
from option_baskets.store.books import Books
from option_baskets.store.records import Edited, Leave
from option_baskets.store.shelf import CONFIGURATIONS


class BooksOfOne(Books):
    """An engine over these trades for one user and touches nobody else's runs, switches and accounts."""

    def __init__(self, table: Table, user_id: str, *, shards: int) -> None:
        super().__init__(table, shards=shards)
        self.user_id = user_id

    async def all_accounts(self) -> list[tuple[str, BrokerAccount]]:
        return [(self.user_id, account) for account in await self.accounts(self.user_id)]

    async def active_runs(self, shard: int | None = None) -> list[Run]:
        return await self.open_runs(self.user_id)

    async def kills(self) -> tuple[list[Kill], list[Leave], list[Edited]]:
        pk = keys.kills_of_shard(self._shard(self.user_id))
        begins_with = keys.kills_of(self.user_id)
        return self._sorted_out(await self._items(CONFIGURATIONS, pk, index=Index.PRIMARY, begins_with=begins_with))
