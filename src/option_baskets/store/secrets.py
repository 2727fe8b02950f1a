"""The secrets of broker accounts: sealed in the identity table, and in no other form anywhere.

The account itself is in the configurations (``store/accounts.py``), which another file or service may hold; so the two
are not written together. Secrets are written after their account and deleted after it: what a crash leaves behind is an
account that shows which secrets it lacks, or something sealed that belongs to nothing and goes with the next account of
that id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from option_baskets.domain.errors import Conflict, NotFound
from option_baskets.ports import Delete, Index, Item, Put, Table, TableName, Vault
from option_baskets.store import codec, keys
from option_baskets.store.shelf import Shelf

IDENTITY = TableName.IDENTITY
_ATTEMPTS = 5
_Values = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSecret:
    """What is known of an account's secrets without opening them."""

    user_id: str
    account_id: str
    fields: tuple[str, ...]
    """Which are set, in alphabetical order."""
    rotated_at: datetime
    """When somebody gave them last."""
    sealed: bytes = field(repr=False)
    version: int = 0

    @property
    def owner(self) -> str:
        """What it is sealed for."""
        return f"{self.user_id}/{keys.ACCOUNTS}{self.account_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Something sealed, of whatever kind, and how it is stored when it is sealed anew."""

    owner: str
    sealed: bytes = field(repr=False)
    put: Callable[[bytes], Put]
    """The write of it, unless it was changed since it was read."""


class Secrets(Shelf):
    """Given, replaced whole, opened for a broker's adapter, and never shown."""

    def __init__(self, table: Table, vault: Vault, *, shards: int = 1) -> None:
        super().__init__(table, shards=shards)
        self.vault = vault

    async def secret(self, user_id: str, account_id: str) -> AccountSecret | None:
        """Which secrets the account has; None: none."""
        return await self._get(IDENTITY, keys.secret(user_id, account_id), AccountSecret)

    async def secrets(self, user_id: str) -> list[AccountSecret]:
        """Which secrets the user's accounts have, by account."""
        items = await self._items(IDENTITY, user_id, begins_with=keys.ACCOUNTS)
        return [self._decode(item, AccountSecret) for item in items]

    async def save_secret(
        self, user_id: str, account_id: str, values: Mapping[str, str], *, at: datetime
    ) -> AccountSecret:
        """Seal the values and store them in the place of whatever is there.

        Raises:
            Conflict: others keep writing them.
        """
        for _ in range(_ATTEMPTS):
            found = await self.secret(user_id, account_id)
            given = AccountSecret(
                user_id=user_id, account_id=account_id, fields=tuple(sorted(values)), rotated_at=at, sealed=b""
            )
            sealed = await self.vault.seal(codec.encode(dict(values)), owner=given.owner)
            version = found.version if found else 0
            put, stored = self._put(replace(given, sealed=sealed, version=version))
            try:
                await self.commit(put)
            except Conflict:
                continue
            return stored
        raise Conflict(f"the secrets of account {account_id} are being changed by somebody else; try again")

    async def open_secret(self, user_id: str, account_id: str) -> Mapping[str, str]:
        """The values, for who connects to the broker.

        Raises:
            NotFound: the account has none.
            Invalid: they cannot be opened: moved, changed, or sealed by a key that is lost.
        """
        found = await self.secret(user_id, account_id)
        if found is None:
            raise NotFound(f"account {account_id} has no secrets; give them first")
        return codec.decode(await self.vault.open(found.sealed, owner=found.owner), _Values)

    async def delete_secret(self, user_id: str, account_id: str) -> None:
        """Whether there are some or not."""
        pk, sk = keys.secret(user_id, account_id)
        await self.commit(Delete(table=IDENTITY, pk=pk, sk=sk))

    async def all_sealed(self) -> list[Sealed]:
        """Everybody's, by user and account within each shard. Those of the last second may be missing."""
        found: list[Sealed] = []
        for shard in range(self.shards):
            items = await self._items(IDENTITY, keys.secrets_of_shard(shard), index=Index.ALLOCATIONS_BY_STRATEGY)
            found += map(self._resealable, (self._decode(item, AccountSecret) for item in items))
        return found

    def _resealable(self, secret: AccountSecret) -> Sealed:
        def put(sealed: bytes) -> Put:
            return self._put(replace(secret, sealed=sealed))[0]

        return Sealed(owner=secret.owner, sealed=secret.sealed, put=put)

    def _put(self, secret: AccountSecret) -> tuple[Put, AccountSecret]:
        pk, sk = keys.secret(secret.user_id, secret.account_id)
        place = keys.secrets_of_shard(self._shard(secret.user_id)), f"{secret.user_id}#{secret.account_id}"
        stored = replace(secret, version=secret.version + 1)
        item = Item(pk=pk, sk=sk, body=codec.encode(stored), version=stored.version, gsi1=place)
        return Put(table=IDENTITY, item=item, expected=secret.version), stored
