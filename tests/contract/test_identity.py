"""What every Identity promises of access tokens. One joins the suite by a class like ``Embedded``, in ``KINDS``."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from option_baskets.adapters.aws.cognito import Cognito
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.identity.keyring import TokenKeys
from option_baskets.adapters.identity.passwords import Cost, Hashing
from option_baskets.adapters.identity.roster import Roster
from option_baskets.adapters.identity.sign_in import EmbeddedSignIn
from option_baskets.adapters.identity.terms import Terms
from option_baskets.adapters.vault import KeyFileVault
from option_baskets.domain.errors import Unauthenticated, Unavailable
from option_baskets.ports import Identity, Principal, Role
from option_baskets.store.people import People
from tests.contract.engines import PATIENCE, REGION, Engine, started
from tests.engine.small_market import HandClock

EMAIL, OTHER = "asha@example.org", "bharat@example.org"
PASSWORD = "Correct horse battery staple 4!"
CHEAP = Cost(memory=64)


class Login(Protocol):
    access: str
    others: Sequence[str]
    """Tokens of the same login that are no access tokens."""


class House(Protocol):
    """One installation, with a clock that tokens expire by."""

    clock: HandClock

    @property
    def identity(self) -> Identity: ...

    async def add(self, email: str, *, admin: bool = False) -> None: ...

    async def login(self, email: str) -> Login: ...

    async def end(self, login: Login) -> None:
        """End every login of the user."""
        ...

    def forged(self, token: str) -> Sequence[str]:
        """The token's claims, signed by whom nobody here trusts."""
        ...


class Tokens:
    def __init__(self, access: str, others: Sequence[str]) -> None:
        self.access = access
        self.others = others


class Embedded:
    def __init__(self, folder: Path) -> None:
        self.clock = HandClock(datetime(2026, 11, 24, 3, 30, tzinfo=UTC))
        self.table = SqliteTable.open(folder / "identity.sqlite", now=self.clock.now, durable=False)
        people = People(self.table)
        keys = TokenKeys.open(folder / "keys", now=self.clock.now())
        vault = KeyFileVault(folder / "keys", now=self.clock.now)
        self.identity = EmbeddedSignIn(people, wall=self.clock, keys=keys, vault=vault, terms=Terms(cost=CHEAP))
        self.hashing = Hashing(CHEAP)
        self.roster = Roster(people, self.hashing, self.clock)

    @classmethod
    @asynccontextmanager
    async def opened(cls, _: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Self]:
        house = cls(folder)
        yield house
        await house.identity.close()
        house.hashing.close()
        await house.table.close()

    async def add(self, email: str, *, admin: bool = False) -> None:
        await self.identity.register(email, PASSWORD, client="203.0.113.7")
        if admin:
            await self.roster.set_role(email, Role.ADMIN)

    async def login(self, email: str) -> Tokens:
        tokens = await self.identity.login(email, PASSWORD, code="", client="203.0.113.7")
        return Tokens(tokens.access_token, [tokens.refresh_token])

    async def end(self, login: Login) -> None:
        await self.identity.logout(await self.identity.verify(login.access), everywhere=True)

    def forged(self, token: str) -> Sequence[str]:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        return [jwt.encode(claims, "another secret that is long enough for HS256", headers=header), unsigned(token)]


class OfCognito:
    def __init__(self, cognito: Service, pool: str, client: str, identity: Cognito, clock: HandClock) -> None:
        self.cognito = cognito
        self.pool = pool
        self.client = client
        self.identity = identity
        self.clock = clock

    @classmethod
    @asynccontextmanager
    async def opened(cls, request: pytest.FixtureRequest, _: Path) -> AsyncIterator[Self]:
        engine: Engine = request.getfixturevalue("strict")
        cognito = await Service.open("cognito-idp", patience=PATIENCE)
        made = await cognito.call("create_user_pool", PoolName="people", UsernameAttributes=["email"])
        pool: str = made["UserPool"]["Id"]
        await cognito.call("create_group", GroupName="admin", UserPoolId=pool)
        client = await new_client(cognito, pool)
        clock = HandClock(RealClock().now())  # Cognito's tokens are of real time
        identity = await Cognito.open(
            region=REGION, pool=pool, client=client, wall=clock, endpoint=engine.endpoint, ended_within=timedelta(0)
        )
        yield cls(cognito, pool, client, identity, clock)
        await identity.close()
        await cognito.close()

    async def add(self, email: str, *, admin: bool = False) -> None:
        user = {"UserPoolId": self.pool, "Username": email}
        await self.cognito.call(
            "admin_create_user",
            **user,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
        )
        await self.cognito.call("admin_set_user_password", **user, Password=PASSWORD, Permanent=True)
        if admin:
            await self.cognito.call("admin_add_user_to_group", **user, GroupName="admin")

    async def login(self, email: str, client: str = "") -> Tokens:
        answer = await self.cognito.call(
            "initiate_auth",
            ClientId=client or self.client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )
        tokens = answer["AuthenticationResult"]
        return Tokens(tokens["AccessToken"], [tokens["IdToken"], tokens["RefreshToken"]])

    async def end(self, login: Login) -> None:
        await self.cognito.call("global_sign_out", AccessToken=login.access)

    def forged(self, token: str) -> Sequence[str]:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        named = {**header, "kid": "of nobody"}
        return [
            jwt.encode(claims, key, algorithm="RS256", headers=header),
            jwt.encode(claims, key, algorithm="RS256", headers=named),
            unsigned(token),
            by_the_public_key(token, header),
        ]


async def new_client(cognito: Service, pool: str) -> str:
    made = await cognito.call(
        "create_user_pool_client",
        UserPoolId=pool,
        ClientName="web",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )
    client: str = made["UserPoolClient"]["ClientId"]
    return client


def unsigned(token: str) -> str:
    header = {**jwt.get_unverified_header(token), "alg": "none"}
    return f"{encoded(json.dumps(header).encode())}.{token.split('.')[1]}."


def by_the_public_key(token: str, header: dict[str, Any]) -> str:
    """HS256 whose secret is what everybody knows: the key's name and public text."""
    said = f"{encoded(json.dumps({**header, 'alg': 'HS256'}).encode())}.{token.split('.')[1]}"
    return f"{said}.{encoded(hmac.digest(str(header['kid']).encode(), said.encode(), hashlib.sha256))}"


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


KINDS: dict[str, Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[House]]] = {
    "embedded": Embedded.opened,
    "Cognito": OfCognito.opened,
}


@pytest.fixture(scope="session")
def strictest(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Without ``AUTH`` the emulator lets in whose login has ended, as Cognito does not."""
    if engine.name != "ministack":
        pytest.skip("there is no Cognito here")
    with started(tmp_path_factory.mktemp("strict"), AUTH="true") as strict:
        yield strict


@pytest.fixture
def strict(strictest: Engine, aws: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("AWS_ENDPOINT_URL", strictest.endpoint)
    return strictest


@pytest.fixture(params=KINDS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with KINDS[request.param](request, tmp_path) as house:
        yield house


async def refusal(asked: Awaitable[Principal]) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await asked
    return str(refused.value)


async def test_every_login_proves_the_same_user_and_is_one_of_its_own(house: House) -> None:
    for email in (EMAIL, OTHER):
        await house.add(email)
    first, again, other = [
        await house.identity.verify((await house.login(email)).access) for email in (EMAIL, EMAIL, OTHER)
    ]
    assert first.user_id == again.user_id != other.user_id
    assert "#" not in first.user_id and first.user_id
    assert first.session_id and first.session_id != again.session_id
    assert (first.role, other.role) == (Role.USER, Role.USER)


async def test_an_administrator_is_known_as_one(house: House) -> None:
    await house.add(EMAIL, admin=True)
    assert (await house.identity.verify((await house.login(EMAIL)).access)).role is Role.ADMIN


async def test_a_token_proves_nothing_once_it_has_expired(house: House) -> None:
    await house.add(EMAIL)
    access = (await house.login(EMAIL)).access
    for minutes in (1, 13):
        house.clock.move(timedelta(minutes=minutes))
        await house.identity.verify(access)
    house.clock.move(timedelta(minutes=46, seconds=2))
    await refusal(house.identity.verify(access))


async def test_a_token_proves_nothing_once_its_login_was_ended(house: House) -> None:
    await house.add(EMAIL)
    await house.add(OTHER)
    ended, other = await house.login(EMAIL), await house.login(OTHER)
    await house.identity.verify(ended.access)
    await house.end(ended)
    await refusal(house.identity.verify(ended.access))
    await house.identity.verify(other.access)
    await house.identity.verify((await house.login(EMAIL)).access)


async def test_every_refusal_has_the_same_words(house: House) -> None:
    await house.add(EMAIL)
    login = await house.login(EMAIL)
    head, claims, signature = login.access.split(".")
    wrong = [
        "",
        "nonsense",
        "a.b.c",
        "x" * 100_000,
        "\x00",
        "é" * 10,
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[::-1]}",
        f"{head}.{encoded(b'{}')}.{signature}",
        *login.others,
        *house.forged(login.access),
    ]
    words = {await refusal(house.identity.verify(token)) for token in wrong}
    await house.identity.verify(login.access)
    await house.end(login)
    words.add(await refusal(house.identity.verify(login.access)))
    assert len(words) == 1


# ---------------------------------------------------------------- Cognito


@pytest.fixture
async def cognito(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OfCognito]:
    async with OfCognito.opened(request, tmp_path) as house:
        yield house


async def test_a_token_for_another_client_of_the_pool_is_none_of_ours(cognito: OfCognito) -> None:
    await cognito.add(EMAIL)
    another = await new_client(cognito.cognito, cognito.pool)
    await refusal(cognito.identity.verify((await cognito.login(EMAIL, another)).access))


async def test_a_token_of_another_pool_is_none_of_ours(
    cognito: OfCognito, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with OfCognito.opened(request, tmp_path) as other:
        await other.add(EMAIL)
        await refusal(cognito.identity.verify((await other.login(EMAIL)).access))


async def test_the_proof_ends_when_the_token_does(cognito: OfCognito) -> None:
    await cognito.add(EMAIL)
    access = (await cognito.login(EMAIL)).access
    proof = await cognito.identity.proof(access)
    assert proof.until.timestamp() == jwt.decode(access, options={"verify_signature": False})["exp"]


async def test_a_login_is_asked_about_once_a_while(cognito: OfCognito, strict: Engine) -> None:
    await cognito.add(EMAIL)
    login = await cognito.login(EMAIL)
    patient = await Cognito.open(
        region=REGION, pool=cognito.pool, client=cognito.client, wall=cognito.clock, endpoint=strict.endpoint
    )
    await patient.verify(login.access)
    await cognito.end(login)
    cognito.clock.move(timedelta(seconds=59))
    await patient.verify(login.access)
    cognito.clock.move(timedelta(seconds=1))
    await refusal(patient.verify(login.access))
    await patient.close()


async def test_without_the_keys_of_the_pool_nothing_can_be_said(cognito: OfCognito) -> None:
    await cognito.add(EMAIL)
    access = (await cognito.login(EMAIL)).access
    lost = await Cognito.open(
        region=REGION, pool=cognito.pool, client=cognito.client, wall=cognito.clock, endpoint="http://127.0.0.1:1"
    )
    with pytest.raises(Unavailable, match="keys of the user pool"):
        await lost.verify(access)
    await lost.close()
