"""Secrets of broker accounts in a real table: sealed, apart by user, replaced whole, sealed anew under a new key."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.vault import KeyFileVault
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.ports import Write
from option_baskets.store.people import People, SecondFactor, User
from option_baskets.store.resealing import everything_sealed, reseal
from option_baskets.store.secrets import IDENTITY, Secrets

NOW = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
KITE = {"api_key": "kite-key-5512", "api_secret": "kite-sécret-9f27e1"}
ANGEL = {"api_key": "angel-77", "client_code": "A1234", "pin": "8812", "totp_secret": "JBSWY3DPEHPK3PXP"}


class Died(BaseException):
    """The process is killed."""


class Mortal(SqliteTable):
    """Dies at a commit, before or after it is on disk."""

    commits_left: int | None = None

    async def commit(self, writes: Sequence[Write]) -> None:
        if self.commits_left == 0:
            raise Died
        await super().commit(writes)
        if self.commits_left is not None:
            self.commits_left -= 1


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Mortal]:
    table = Mortal.open(tmp_path / "identity.sqlite", now=lambda: NOW)
    yield table
    await table.close()


@pytest.fixture
def vault(tmp_path: Path) -> KeyFileVault:
    return KeyFileVault(tmp_path / "keys", now=lambda: NOW)


@pytest.fixture
def secrets(table: Mortal, vault: KeyFileVault) -> Secrets:
    return Secrets(table, vault)


@pytest.fixture
def people(table: Mortal) -> People:
    return People(table)


async def test_secrets_are_given_back_to_who_opens_them_and_only_named_otherwise(secrets: Secrets) -> None:
    stored = await secrets.save_secret("asha", "zerodha-1", KITE, at=NOW)
    assert await secrets.secret("asha", "zerodha-1") == stored
    assert (stored.fields, stored.rotated_at) == (("api_key", "api_secret"), NOW)
    assert not any(value in repr(stored) for value in KITE.values())
    assert await secrets.open_secret("asha", "zerodha-1") == KITE


async def test_nobody_opens_the_secrets_of_another(secrets: Secrets) -> None:
    await secrets.save_secret("asha", "zerodha-1", KITE, at=NOW)
    for user, account in (("ash", "zerodha-1"), ("asha2", "zerodha-1"), ("asha", "zerodha"), ("bharat", "zerodha-1")):
        assert await secrets.secret(user, account) is None
        with pytest.raises(NotFound, match="give them first"):
            await secrets.open_secret(user, account)
    await secrets.delete_secret("bharat", "zerodha-1")
    assert await secrets.open_secret("asha", "zerodha-1") == KITE


async def test_a_sealed_secret_copied_to_another_user_or_account_does_not_open(secrets: Secrets) -> None:
    stored = await secrets.save_secret("asha", "zerodha-1", KITE, at=NOW)
    for user, account in (("bharat", "zerodha-1"), ("asha", "zerodha-2")):
        other = await secrets.save_secret(user, account, ANGEL, at=NOW)
        item = await secrets.table.get(IDENTITY, user, f"ACCOUNT#{account}")
        assert item is not None
        forged, _ = secrets._put(replace(other, sealed=stored.sealed))
        await secrets.commit(forged)
        with pytest.raises(Invalid, match="sealed for another owner"):
            await secrets.open_secret(user, account)


async def test_new_secrets_take_the_place_of_the_old_ones_whole(secrets: Secrets) -> None:
    await secrets.save_secret("asha", "angel-1", KITE, at=NOW)
    later = NOW.replace(hour=5)
    stored = await secrets.save_secret("asha", "angel-1", ANGEL, at=later)
    assert (stored.fields, stored.rotated_at) == (tuple(sorted(ANGEL)), later)
    assert await secrets.open_secret("asha", "angel-1") == ANGEL
    await secrets.delete_secret("asha", "angel-1")
    assert await secrets.secret("asha", "angel-1") is None
    assert await secrets.all_sealed() == []


async def test_of_many_that_write_at_once_one_wins_whole(table: Mortal, vault: KeyFileVault, secrets: Secrets) -> None:
    await secrets.save_secret("asha", "zerodha-1", KITE, at=NOW)
    given = [{"api_key": f"key-{n}", "api_secret": f"secret-{n}"} for n in range(4)]
    writers = [Secrets(table, vault) for _ in given]
    await asyncio.gather(
        *(each.save_secret("asha", "zerodha-1", values, at=NOW) for each, values in zip(writers, given, strict=True))
    )
    assert await secrets.open_secret("asha", "zerodha-1") in given


async def test_no_file_of_the_database_has_a_secret_in_plain(tmp_path: Path, table: Mortal, secrets: Secrets) -> None:
    for n in range(20):
        await secrets.save_secret("asha", f"zerodha-{n}", KITE, at=NOW)
        await secrets.save_secret("asha", f"angel-{n}", ANGEL, at=NOW)
    written = b"".join((tmp_path / f"identity.sqlite{suffix}").read_bytes() for suffix in ("", "-shm", "-wal"))
    assert b"zerodha-19" in written
    long = [value.encode() for value in (*KITE.values(), *ANGEL.values()) if len(value) > 4]
    assert len(long) == 5
    assert not any(value in written for value in long)


# ---------------------------------------------------------------- a new key


async def filled(secrets: Secrets, people: People, vault: KeyFileVault) -> Mapping[str, Mapping[str, str]]:
    """Three users with accounts, one of them with a second factor. Returns what each account has."""
    given = {f"{user}/zerodha-1": {**KITE, "api_secret": f"{user}'s"} for user in ("asha", "bharat", "chitra")}
    for name, values in given.items():
        user, account = name.split("/")
        await secrets.save_secret(user, account, values, at=NOW)
    asha = User(id="asha", email="asha@example.in", password="$argon2id$…", created_at=NOW)
    sealed = await vault.seal(b"JBSWY3DPEHPK3PXP", owner=asha.factor_owner)
    await people.add_user(replace(asha, factor=SecondFactor(sealed=sealed, confirmed=True, used_step=7)))
    return given


async def opened(secrets: Secrets) -> Mapping[str, Mapping[str, str]]:
    names = [each.owner.replace("ACCOUNT#", "") for each in await secrets.all_sealed()]
    return {name: await secrets.open_secret(*name.split("/")) for name in names}


async def test_everything_is_sealed_anew_and_stays_what_it_was(
    secrets: Secrets, people: People, vault: KeyFileVault
) -> None:
    given = await filled(secrets, people, vault)
    before = await people.user("asha")
    (old,) = vault.known_keys()
    vault.add_key()
    outcome = await reseal(secrets, people, vault)
    assert (outcome.done, outcome.left) == (4, {})
    vault.path.write_text(
        "".join(line for line in vault.path.read_text().splitlines(True) if old.name.hex() not in line)
    )
    assert len(vault.known_keys()) == 1
    assert await opened(secrets) == given
    assert {(await secrets.secret(*name.split("/"))).rotated_at for name in given} == {NOW}  # type: ignore[union-attr]
    after = await people.user("asha")
    assert before is not None and before.factor is not None
    assert after is not None and after.factor is not None
    assert await vault.open(after.factor.sealed, owner=after.factor_owner) == b"JBSWY3DPEHPK3PXP"
    assert replace(after, factor=before.factor, version=before.version) == before
    assert (await reseal(secrets, people, vault)).done == 0


@pytest.mark.parametrize("commits", range(4))
async def test_cut_off_after_any_commit_nothing_is_lost_and_the_rest_follows(
    commits: int, table: Mortal, secrets: Secrets, people: People, vault: KeyFileVault
) -> None:
    given = await filled(secrets, people, vault)
    vault.add_key()
    table.commits_left = commits
    with pytest.raises(Died):
        await reseal(secrets, people, vault)
    table.commits_left = None
    assert await opened(secrets) == given
    assert (await reseal(secrets, people, vault)).done == 4 - commits
    assert await opened(secrets) == given
    assert all(vault.is_current(each.sealed) for each in await everything_sealed(secrets, people))


class Meddled(SqliteTable):
    """Whenever a secret is to be sealed anew, its user has just given another one."""

    others: Secrets | None = None

    async def commit(self, writes: Sequence[Write]) -> None:
        others, self.others = self.others, None
        if others is not None:
            await others.save_secret("asha", "zerodha-1", ANGEL, at=NOW)
        await super().commit(writes)


async def test_a_secret_that_is_given_while_it_is_sealed_anew_is_the_one_that_stays(
    tmp_path: Path, vault: KeyFileVault
) -> None:
    table = Meddled.open(tmp_path / "meddled.sqlite", now=lambda: NOW)
    secrets = Secrets(table, vault)
    await secrets.save_secret("asha", "zerodha-1", KITE, at=NOW)
    vault.add_key()
    table.others = Secrets(table, vault)
    outcome = await reseal(secrets, People(table), vault)
    assert (outcome.done, outcome.left) == (0, {})
    assert await secrets.open_secret("asha", "zerodha-1") == ANGEL
    assert all(vault.is_current(each.sealed) for each in await secrets.all_sealed())
    await table.close()


async def test_what_cannot_be_opened_is_named_and_holds_nothing_else_up(
    tmp_path: Path, secrets: Secrets, people: People, vault: KeyFileVault
) -> None:
    await filled(secrets, people, vault)
    lost = KeyFileVault(tmp_path / "lost", now=lambda: NOW)
    await Secrets(secrets.table, lost).save_secret("bharat", "zerodha-1", KITE, at=NOW)
    vault.add_key()
    outcome = await reseal(secrets, people, vault)
    assert outcome.done == 3
    assert list(outcome.left) == ["bharat/ACCOUNT#zerodha-1"]
    assert "which is not in" in outcome.left["bharat/ACCOUNT#zerodha-1"]


async def test_secrets_of_all_shards_are_found(table: Mortal, vault: KeyFileVault) -> None:
    secrets = Secrets(table, vault, shards=4)
    users = [f"user-{n}" for n in range(12)]
    for user in users:
        await secrets.save_secret(user, "zerodha-1", KITE, at=NOW)
    found = [each.owner for each in await secrets.all_sealed()]
    assert sorted(found) == sorted(f"{user}/ACCOUNT#zerodha-1" for user in users)


async def test_an_item_nobody_sealed_is_refused_not_read(tmp_path: Path, table: Mortal, secrets: Secrets) -> None:
    stored = await secrets.save_secret("asha", "zerodha-1", KITE, at=NOW)
    put, _ = secrets._put(replace(stored, sealed=b'{"api_key": "plain"}'))
    await table.commit([put])
    with pytest.raises(Invalid, match="is no secret of this program"):
        await secrets.open_secret("asha", "zerodha-1")
