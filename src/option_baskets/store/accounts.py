"""Broker accounts, without their secrets: what trades on one keeps it from being deleted."""

from dataclasses import dataclass, replace

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.errors import Conflict, NotFound
from option_baskets.domain.run import Run
from option_baskets.ports import Delete, Index, Item, Put, Write
from option_baskets.store import codec, keys
from option_baskets.store.notices import Notices
from option_baskets.store.plans import Plans
from option_baskets.store.records import What
from option_baskets.store.runs import Runs
from option_baskets.store.shelf import CONFIGURATIONS, require_version


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUse:
    """What trades on an account."""

    allocations: tuple[Allocation, ...]
    runs: tuple[Run, ...]
    """Those that are not over."""

    def __bool__(self) -> bool:
        return bool(self.allocations or self.runs)


class Accounts(Plans, Runs, Notices):
    """Edits are those of plans: none of one user overlap, versions are checked, and the history keeps them.

    The engine is told of each by a notice.
    """

    async def account(self, user_id: str, account_id: str) -> BrokerAccount | None:
        return await self._get(CONFIGURATIONS, keys.account(user_id, account_id), BrokerAccount)

    async def accounts(self, user_id: str) -> list[BrokerAccount]:
        items = await self._items(CONFIGURATIONS, user_id, begins_with=keys.ACCOUNTS)
        return [self._decode(item, BrokerAccount) for item in items]

    async def all_accounts(self) -> list[tuple[str, BrokerAccount]]:
        """(user, account) of everybody, sorted by user and id within each shard: what to connect at start."""
        shards = await self._of_shards(keys.accounts_of_shard, Index.ALLOCATIONS_BY_STRATEGY)
        return [(item.pk, self._decode(item, BrokerAccount)) for items in shards for item in items]

    async def save_account(self, user_id: str, account: BrokerAccount) -> BrokerAccount:
        """Store the account over the version it carries (0: new) and return it with its new version."""

        async def edit() -> tuple[list[Write], BrokerAccount]:
            found = await self.account(user_id, account.id)
            require_version(f"account {account.id}", found.version if found else 0, account.version)
            stored = replace(account, version=account.version + 1)
            pk, sk = keys.account(user_id, account.id)
            gsi1 = (keys.accounts_of_shard(self._shard(user_id)), f"{user_id}#{account.id}")
            item = Item(pk=pk, sk=sk, body=codec.encode(stored), version=stored.version, gsi1=gsi1)
            detail = f"account {stored.id}, version {stored.version}"
            told = self._told(user_id, What.ACCOUNT_SAVED, detail, account=stored.id)
            # No version is expected of the item: accounts of older files have none. The edit counter stands in.
            return [Put(table=CONFIGURATIONS, item=item), *told, await self._noticed(user_id)], stored

        return await self._edit(user_id, edit)

    async def delete_account(self, user_id: str, account_id: str, *, version: int | None = None) -> None:
        """Delete an account that nothing trades on. ``version``: only if it still has this one.

        Raises:
            NotFound: there is no such account.
            Conflict: it has another version; an allocation or an open run uses it (``use_of`` says which).
        """

        async def edit() -> tuple[list[Write], None]:
            found = await self.account(user_id, account_id)
            if found is None:
                raise NotFound(f"there is no account {account_id}")
            if version is not None:
                require_version(f"account {account_id}", found.version, version)
            use = await use_of(self, user_id, account_id)
            if use:
                raise Conflict(
                    f"account {account_id} is used: {len(use.allocations)} allocations, {len(use.runs)} open runs; "
                    "delete the allocations, and let the runs end or exit them"
                )
            pk, sk = keys.account(user_id, account_id)
            told = self._told(user_id, What.ACCOUNT_DELETED, f"account {account_id}", account=account_id)
            return [Delete(table=CONFIGURATIONS, pk=pk, sk=sk), *told, await self._noticed(user_id)], None

        await self._edit(user_id, edit)


async def use_of(books: Accounts, user_id: str, account_id: str) -> AccountUse:
    """The allocations to the account, and the open runs that trade, or are to trade, on it."""
    allocations = [one for one in await books.allocations(user_id) if one.account == account_id]
    runs = [run for run in await books.open_runs(user_id) if _trades_on(run, account_id)]
    return AccountUse(allocations=tuple(allocations), runs=tuple(runs))


def _trades_on(run: Run, account_id: str) -> bool:
    accounts = {each.account for each in run.allocations} | {each.account for each in run.positions}
    return account_id in accounts
