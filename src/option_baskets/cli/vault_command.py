"""``baskets vault``: the keys that seal the secrets of broker accounts and second factors."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from option_baskets.cli.kill_options import data_folder

if TYPE_CHECKING:
    from option_baskets.adapters.vault import KeyFileVault
    from option_baskets.store.people import People
    from option_baskets.store.resealing import Resealed
    from option_baskets.store.secrets import Secrets

F = TypeVar("F", bound=Callable[..., object])

_keys: Callable[[F], F] = click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_KEYS",
    help="Where the keys are kept (or OPTION_BASKETS_KEYS). Default: DATA/keys.",
)


@click.group("vault")
def command() -> None:
    """The keys that seal secrets: in the data folder's own keys, also while baskets serve runs there."""


@command.command("rotate")
@data_folder
@_keys
def rotate(data: Path, keys: Path | None) -> None:
    """Make a new key and seal every secret by it. A running server uses it at once.

    Where a rotation was cut off, this finishes that one and makes no key. Old keys stay in the file: backups of the
    database need them. Copy the key file to where its copies are, before and after.

    \b
    Examples:
      baskets vault rotate
      baskets vault rotate --data /var/lib/baskets --keys /etc/baskets/keys
    """
    click.echo(asyncio.run(_rotate(data, keys)))


@command.command("status")
@data_folder
@_keys
def status(data: Path, keys: Path | None) -> None:
    """Show the keys, how many secrets each seals, and what cannot be opened.

    \b
    Examples:
      baskets vault status
    """
    click.echo(asyncio.run(_status(data, keys)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    vault: "KeyFileVault"
    secrets: "Secrets"
    people: "People"


@contextlib.asynccontextmanager
async def _opened(data: Path, keys: Path | None) -> AsyncIterator[_Place]:
    """The sealed things of a data folder and their keys.

    Raises:
        NotFound: there are none, or no keys.
    """
    from option_baskets.adapters.clock import RealClock
    from option_baskets.adapters.embedded.table import SqliteTable
    from option_baskets.adapters.vault import KeyFileVault
    from option_baskets.domain.errors import NotFound
    from option_baskets.entrance import IDENTITY_FILE, KEYS_FOLDER
    from option_baskets.store.people import People
    from option_baskets.store.secrets import Secrets

    path, now = data / IDENTITY_FILE, RealClock().now
    if not path.is_file():
        raise NotFound(f"there are no users and no secrets in {data}; name the folder given to baskets serve as --data")
    vault = KeyFileVault(keys or data / KEYS_FOLDER, now=now)
    if not vault.known_keys():
        raise NotFound(
            f"there is no key in {vault.path}: the first secret makes one; if there are secrets, "
            "name the folder given to baskets serve as --keys, or put the copy of the file back"
        )
    table = SqliteTable.open(path, now=now)
    try:
        yield _Place(vault=vault, secrets=Secrets(table, vault), people=People(table))
    finally:
        await table.close()


async def _rotate(data: Path, keys: Path | None) -> str:
    from option_baskets.store.resealing import reseal

    async with _opened(data, keys) as place:
        outcome = await reseal(place.secrets, place.people, place.vault)
        if outcome.done:
            said = f"a rotation that was cut off is finished: {_many(outcome.done)} sealed anew, no new key"
        else:
            key = place.vault.add_key()
            outcome = await reseal(place.secrets, place.people, place.vault)
            said = f"key {key.name.hex()} made; {_many(outcome.done)} sealed anew"
        _require_whole(said, outcome)
        return f"{said}\ncopy {place.vault.path} to where its copies are"


async def _status(data: Path, keys: Path | None) -> str:
    from option_baskets.store.resealing import everything_sealed

    async with _opened(data, keys) as place:
        known = place.vault.known_keys()
        counts = Counter(
            place.vault.key_of(each.sealed) for each in await everything_sealed(place.secrets, place.people)
        )
        lines = [f"{place.vault.path}"]
        for number, key in enumerate(known):
            newest = ", the newest" if number == 0 else ""
            name = key.name.hex()
            lines.append(f"  {name}  made {key.made_at:%Y-%m-%d %H:%M} UTC  seals {_many(counts.pop(name, 0))}{newest}")
        lines += [f"  {name}  is not in the file, and seals {_many(count)}" for name, count in sorted(counts.items())]
        return "\n".join(lines)


def _require_whole(said: str, outcome: "Resealed") -> None:
    """Raises Unavailable: something could not be sealed anew."""
    from option_baskets.domain.errors import Unavailable

    if outcome.left:
        left = "\n".join(f"  {owner}: {why}" for owner, why in sorted(outcome.left.items()))
        raise Unavailable(f"{said}, but {_many(len(outcome.left))} could not be:\n{left}")


def _many(count: int) -> str:
    return f"{count} secret{'' if count == 1 else 's'}"
