"""Who may come in: users, their logins and secrets, over a file and keys of their own, on the wall clock."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.identity.keyring import TokenKeys
from option_baskets.adapters.identity.sign_in import EmbeddedSignIn
from option_baskets.adapters.identity.terms import Terms
from option_baskets.adapters.vault import KeyFileVault
from option_baskets.ports import Clock
from option_baskets.store.installation import cursor_key
from option_baskets.store.people import People

IDENTITY_FILE = "identity.sqlite"
KEYS_FOLDER = "keys"
"""Within the data folder, unless another is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """``table`` is TableName.IDENTITY; ``keys`` the folder of the key files, which no database file is in."""

    wall: Clock
    table: SqliteTable
    people: People
    vault: KeyFileVault
    sign_in: EmbeddedSignIn
    cursor_key: bytes

    @classmethod
    async def open(
        cls,
        data: Path,
        *,
        keys: Path | None = None,
        wall: Clock,
        terms: Terms | None = None,
        threaded: bool = True,
        durable: bool = True,
    ) -> Self:
        """Open or make the file, in a folder that is there, and the keys.

        Raises:
            Unavailable: one of them cannot be read or written.
            Invalid: a key file is damaged, or others can read it.
        """
        keys = keys or data / KEYS_FOLDER
        tokens = TokenKeys.open(keys, now=wall.now())
        vault = KeyFileVault(keys, now=wall.now)
        vault.known_keys()
        (data / IDENTITY_FILE).touch(mode=0o600)
        table = SqliteTable.open(data / IDENTITY_FILE, now=wall.now, threaded=threaded, durable=durable)
        people = People(table)
        return cls(
            wall=wall,
            table=table,
            people=people,
            vault=vault,
            sign_in=EmbeddedSignIn(people, wall=wall, keys=tokens, vault=vault, terms=terms),
            cursor_key=await cursor_key(table),
        )

    async def close(self) -> None:
        await self.sign_in.close()
        await self.table.close()
