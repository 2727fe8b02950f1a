"""What every vault promises, and what the key file and KMS do besides.

A vault joins the suite by a class like ``KeyFiles``, in ``KINDS``: how to open one, again, with a new key, with others.
"""

import asyncio
import logging
import multiprocessing
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Protocol, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from option_baskets.adapters.aws.kms_vault import KmsVault
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.vault import KEY_FILE, KeyFileVault
from option_baskets.domain.errors import Invalid, Unavailable
from option_baskets.ports import Vault
from tests.contract.engines import PATIENCE, Engine

SECRET = b"kite-secret-9f27e1"
OWNER = "asha/ACCOUNT#zerodha-1"
MADE = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)


class Keys(Protocol):
    """The keys of one installation, wherever they are kept."""

    def vault(self) -> Vault:
        """A vault over them, as a process that starts has one."""
        ...

    async def add(self) -> None:
        """Make a new key the newest, as an operator does while processes go on."""
        ...

    def others(self) -> Vault:
        """A vault over keys of another installation."""
        ...


class KeyFiles:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def vault(self) -> KeyFileVault:
        return vault_in(self.folder / "keys")

    async def add(self) -> None:
        self.vault().add_key()

    def others(self) -> KeyFileVault:
        return vault_in(self.folder / "other")


class KmsKeys:
    def __init__(self, kms: Service, arns: list[str], others: list[str]) -> None:
        self.kms = kms
        self.arns = arns
        self._others = others

    @classmethod
    async def made(cls, kms: Service) -> Self:
        return cls(kms, [await kms_key(kms)], [await kms_key(kms)])

    def vault(self) -> KmsVault:
        return KmsVault(self.kms, self.arns)

    async def add(self) -> None:
        self.arns.insert(0, await kms_key(self.kms))

    def others(self) -> KmsVault:
        return KmsVault(self.kms, self._others)


async def kms_key(kms: Service) -> str:
    arn: str = (await kms.call("create_key", Description="tests"))["KeyMetadata"]["Arn"]
    return arn


@asynccontextmanager
async def of_files(_: pytest.FixtureRequest, folder: Path) -> AsyncIterator[KeyFiles]:
    yield KeyFiles(folder)


@asynccontextmanager
async def of_kms(request: pytest.FixtureRequest, _: Path) -> AsyncIterator[KmsKeys]:
    request.getfixturevalue("aws")
    kms = await Service.open("kms", patience=PATIENCE)
    try:
        yield await KmsKeys.made(kms)
    finally:
        await kms.close()


KINDS: dict[str, Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[Keys]]] = {
    "key file": of_files,
    "KMS": of_kms,
}


def vault_in(folder: Path) -> KeyFileVault:
    return KeyFileVault(folder, now=lambda: MADE)


@pytest.fixture(params=KINDS)
async def keys(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Keys]:
    async with KINDS[request.param](request, tmp_path) as keys:
        yield keys


async def refused(opening: Awaitable[bytes]) -> str:
    with pytest.raises(Invalid) as raised:
        await opening
    return str(raised.value)


# ---------------------------------------------------------------- every vault


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(secret=st.binary(max_size=5000), owner=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
async def test_what_is_sealed_opens_again_and_cannot_be_read_meanwhile(keys: Keys, secret: bytes, owner: str) -> None:
    sealed = await keys.vault().seal(secret, owner=owner)
    assert await keys.vault().open(sealed, owner=owner) == secret
    assert len(secret) < 4 or secret not in sealed


async def test_equal_secrets_do_not_look_alike(keys: Keys) -> None:
    vault = keys.vault()
    sealed = await asyncio.gather(*(vault.seal(SECRET, owner=OWNER) for _ in range(20)))
    assert not any(one[-16:] == other[-16:] or one[:-16] == other[:-16] for one, other in combinations(sealed, 2))


@pytest.mark.parametrize("other", ["asha/ACCOUNT#zerodha-2", "bharat/ACCOUNT#zerodha-1", "", f"{OWNER} "])
async def test_a_secret_moved_to_another_owner_does_not_open(keys: Keys, other: str) -> None:
    vault = keys.vault()
    assert other in await refused(vault.open(await vault.seal(SECRET, owner=OWNER), owner=other))


async def test_a_secret_with_any_bit_changed_does_not_open(keys: Keys) -> None:
    vault = keys.vault()
    sealed = await vault.seal(SECRET, owner=OWNER)
    for place in range(len(sealed)):
        for bit in (1, 128):
            changed = bytearray(sealed)
            changed[place] ^= bit
            await refused(vault.open(bytes(changed), owner=OWNER))


async def test_a_secret_cut_or_grown_does_not_open(keys: Keys) -> None:
    vault = keys.vault()
    sealed = await vault.seal(SECRET, owner=OWNER)
    for changed in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0", b"\0" + sealed):
        await refused(vault.open(changed, owner=OWNER))


async def test_a_secret_of_another_installation_does_not_open_and_is_not_current(keys: Keys) -> None:
    vault = keys.vault()
    await vault.seal(b"", owner=OWNER)
    strange = await keys.others().seal(SECRET, owner=OWNER)
    await refused(vault.open(strange, owner=OWNER))
    assert not vault.is_current(strange)


async def test_a_key_added_elsewhere_is_used_at_once_and_the_old_ones_still_open(keys: Keys) -> None:
    vault = keys.vault()
    generations = [await vault.seal(SECRET, owner=OWNER)]
    for _ in range(3):
        assert vault.is_current(generations[-1])
        await keys.add()
        assert not vault.is_current(generations[-1])
        generations.append(await vault.seal(SECRET, owner=OWNER))
    assert [vault.is_current(each) for each in generations] == [False, False, False, True]
    assert [await vault.open(each, owner=OWNER) for each in generations] == [SECRET] * 4


async def test_what_goes_wrong_is_told_without_the_secret(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    vault = keys.vault()
    sealed = await vault.seal(SECRET, owner=OWNER)
    told = [
        await refused(vault.open(sealed, owner="bharat")),
        await refused(vault.open(sealed[:-1], owner=OWNER)),
        await refused(vault.open(b"", owner=OWNER)),
        repr(vault),
        caplog.text,
    ]
    assert not any(SECRET.decode() in each for each in told)


# ---------------------------------------------------------------- the key file


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_the_key_file_is_made_by_the_first_seal_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        vault = vault_in(tmp_path / "deep" / "keys")
        assert (list(vault.known_keys()), vault.is_current(b"anything")) == ([], False)
        assert not vault.path.parent.exists()
        await vault.seal(SECRET, owner=OWNER)
    finally:
        os.umask(before)
    assert (mode(vault.path), mode(vault.path.parent)) == (0o600, 0o700)
    assert names(vault.path.parent) == [KEY_FILE]
    assert [key.made_at for key in vault.known_keys()] == [MADE]


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o660, 0o644])
async def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, open_to: int) -> None:
    vault = vault_in(tmp_path)
    sealed = await vault.seal(SECRET, owner=OWNER)
    vault.path.chmod(open_to)
    for each in (vault, vault_in(tmp_path)):
        with pytest.raises(Unavailable, match=f"mode {open_to:04o}.*chmod 600"):
            await each.open(sealed, owner=OWNER)
        with pytest.raises(Unavailable):
            each.add_key()
    vault.path.chmod(0o600)
    assert await vault.open(sealed, owner=OWNER) == SECRET


def shifted(text: str) -> str:
    """One character of the newest key changed."""
    *lines, key, _ = text.split("\n")
    return "\n".join([*lines, key[:-5] + ("A" if key[-5] != "A" else "B") + key[-4:], ""])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: "", "there is no key in it"),
        (lambda text: text[:-30], "line 3 is no key"),
        (lambda text: text + "rubbish\n", "line 4 is no key"),
        (shifted, "the key in line 3 is not the one it is named for"),
        (lambda text: "₹" + text, "it is no text"),
    ],
    ids=["emptied", "cut", "written to", "a digit changed", "not ASCII"],
)
async def test_a_damaged_key_file_is_named_and_never_replaced(
    tmp_path: Path, damage: Callable[[str], str], told: str
) -> None:
    vault = vault_in(tmp_path)
    await vault.seal(SECRET, owner=OWNER)
    vault.path.write_text(damage(vault.path.read_text()), encoding="utf-8")
    damaged = vault.path.read_bytes()
    for each in (vault, vault_in(tmp_path)):
        for use in (each.seal(SECRET, owner=OWNER), asyncio.to_thread(each.add_key)):
            with pytest.raises(Unavailable, match=f"damaged: {told}; put the copy of it back"):
                await use
    assert vault.path.read_bytes() == damaged


async def test_a_key_file_that_vanishes_is_not_made_anew_by_who_knew_it(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    sealed = await vault.seal(SECRET, owner=OWNER)
    kept = vault.path.rename(tmp_path / "kept")
    with pytest.raises(Unavailable, match="is gone; put the copy of it back"):
        await vault.seal(SECRET, owner=OWNER)
    kept.rename(vault.path)
    assert await vault.open(sealed, owner=OWNER) == SECRET


async def test_a_secret_whose_key_is_not_in_the_file_says_which_key_it_was(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    sealed = await vault.seal(SECRET, owner=OWNER)
    name = vault.known_keys()[0].name.hex()
    vault.path.unlink()
    other = vault_in(tmp_path)
    await other.seal(SECRET, owner=OWNER)
    assert f"key {name}, which is not in {vault.path}" in await refused(other.open(sealed, owner=OWNER))


async def test_a_folder_that_cannot_be_made_says_what_to_check(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="check the folder that is given as --keys"):
        await vault_in(tmp_path / "file" / "keys").seal(SECRET, owner=OWNER)


async def test_what_a_dying_process_left_half_written_is_not_a_key_file(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    sealed = await vault.seal(SECRET, owner=OWNER)
    (tmp_path / f"{KEY_FILE}.part").write_text("half a k")
    assert await vault_in(tmp_path).open(sealed, owner=OWNER) == SECRET
    vault.add_key()
    assert names(tmp_path) == [KEY_FILE]
    assert await vault.open(sealed, owner=OWNER) == SECRET


def seal_and_add(folder: str) -> list[bytes]:
    """In another process: seal, add a key, seal again."""
    vault = vault_in(Path(folder))
    sealed = [asyncio.run(vault.seal(SECRET, owner=OWNER))]
    vault.add_key()
    return [*sealed, asyncio.run(vault.seal(SECRET, owner=OWNER))]


async def test_processes_that_make_and_add_keys_at_once_lose_none(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        sealed = [each for many in processes.map(seal_and_add, [str(tmp_path)] * 8) for each in many]
    vault = vault_in(tmp_path)
    assert len(vault.known_keys()) == 9
    assert [await vault.open(each, owner=OWNER) for each in sealed] == [SECRET] * 16
    assert any(vault.is_current(each) for each in sealed)


# ---------------------------------------------------------------- KMS


@pytest.fixture
async def kms(aws: Engine) -> AsyncIterator[Service]:
    kms = await Service.open("kms", patience=PATIENCE)
    yield kms
    await kms.close()


async def test_kms_itself_refuses_to_unwrap_the_key_of_another_owners_secret(kms: Service) -> None:
    keys = await KmsKeys.made(kms)
    sealed = await keys.vault().seal(SECRET, owner=OWNER)
    length = int.from_bytes(sealed[9:11], "big")
    wrapped = sealed[11 : 11 + length]
    unwrapped = await kms.call("decrypt", CiphertextBlob=wrapped, EncryptionContext={"owner": OWNER})
    assert len(unwrapped["Plaintext"]) == 32
    for context in ({"owner": "bharat"}, {}):
        with pytest.raises(Unavailable, match="InvalidCiphertext"):
            await kms.call("decrypt", CiphertextBlob=wrapped, EncryptionContext=context)


async def test_a_kms_key_that_is_switched_off_is_a_failure_and_no_wrong_secret(kms: Service) -> None:
    keys = await KmsKeys.made(kms)
    vault = keys.vault()
    sealed = await vault.seal(SECRET, owner=OWNER)
    await kms.call("disable_key", KeyId=keys.arns[0])
    for asked in (vault.open(sealed, owner=OWNER), vault.seal(SECRET, owner=OWNER)):
        with pytest.raises(Unavailable, match="kms does not take"):
            await asked
    await kms.call("enable_key", KeyId=keys.arns[0])
    assert await vault.open(sealed, owner=OWNER) == SECRET


async def test_without_a_kms_key_nothing_is_sealed(kms: Service) -> None:
    vault = KmsVault(kms, ())
    assert not vault.is_current(b"\x02" * 100)
    with pytest.raises(Unavailable, match="OPTION_BASKETS_KEY"):
        await vault.seal(SECRET, owner=OWNER)
