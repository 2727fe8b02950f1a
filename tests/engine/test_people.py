"""Users and logins over a real table: what proves who asks, what ends it, and what answers give away."""

import asyncio
import base64
import inspect
import json
import logging
import stat
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

import jwt
import pyotp
import pytest

from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.identity.access_tokens import ISSUER, KIND
from option_baskets.adapters.identity.attempts import Limits, Window, login_subject, network_of
from option_baskets.adapters.identity.keyring import KEPT, TokenKeys
from option_baskets.adapters.identity.passwords import Cost, Hashing, complaint
from option_baskets.adapters.identity.roster import Roster
from option_baskets.adapters.identity.sign_in import EmbeddedSignIn
from option_baskets.adapters.identity.terms import Registration, Terms
from option_baskets.adapters.vault import KeyFileVault
from option_baskets.domain.errors import Conflict, Forbidden, Invalid, TooMany, Unauthenticated
from option_baskets.domain.login import Tokens
from option_baskets.ports import Identity, Principal, Role, SignIn
from option_baskets.store.people import Attempt, Login, People, User
from tests.contract.engines import opened
from tests.engine.small_market import HandClock

START = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
EMAIL = "asha@example.org"
PASSWORD = "correct horse battery staple"
OTHER = "four words of another kind"
HERE = "203.0.113.7"
CHEAP = Cost(memory=64)
TERMS = Terms(cost=CHEAP)


class House:
    """One installation: the table, the keys beside it, and the login service over them."""

    def __init__(self, folder: Path, terms: Terms = TERMS) -> None:
        self.folder = folder
        self.clock = HandClock(START)
        self.path = folder / "identity.sqlite"
        self.table = SqliteTable.open(self.path, now=self.clock.now, durable=False)
        self.people = People(self.table)
        self.keys = TokenKeys.open(folder / "keys", now=START)
        self.vault = KeyFileVault(folder / "keys", now=self.clock.now)
        self.sign_in = self.service(terms)
        self.hashing = Hashing(CHEAP)
        self.roster = Roster(self.people, self.hashing, self.clock)

    def service(self, terms: Terms) -> EmbeddedSignIn:
        return EmbeddedSignIn(self.people, wall=self.clock, keys=self.keys, vault=self.vault, terms=terms)

    async def login(self, email: str = EMAIL, password: str = PASSWORD, code: str = "", client: str = HERE) -> Tokens:
        return await self.sign_in.login(email, password, code=code, client=client)

    async def asha(self, password: str = PASSWORD) -> tuple[Tokens, Principal]:
        """Registered and logged in."""
        await self.sign_in.register(EMAIL, password, client=HERE)
        tokens = await self.login(password=password)
        return tokens, await self.sign_in.verify(tokens.access_token)

    async def with_factor(self) -> tuple[Principal, pyotp.TOTP, tuple[str, ...]]:
        """Asha with a confirmed second factor, whose code of this half minute is used."""
        _, principal = await self.asha()
        enrolment = await self.sign_in.enrol(principal, password=PASSWORD)
        totp = pyotp.TOTP(enrolment.secret)
        return principal, totp, await self.sign_in.confirm(principal, code=totp.at(self.clock.now()))

    async def close(self) -> None:
        await self.sign_in.close()
        self.hashing.close()
        await self.table.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.close()


async def refusal(asked: Awaitable[object]) -> str:
    """The words of a refusal."""
    with pytest.raises(Unauthenticated) as refused:
        await asked
    return str(refused.value)


# ---------------------------------------------------------------- who asks


async def test_a_login_proves_who_asks_with_the_role_the_store_has(house: House) -> None:
    tokens, principal = await house.asha()
    assert (principal.role, principal.user_id[0], len(principal.user_id)) == (Role.USER, "u", 17)
    assert tokens.expires_at - START == timedelta(minutes=15)
    await house.roster.set_role(EMAIL, Role.ADMIN)
    assert (await house.sign_in.verify(tokens.access_token)).role is Role.ADMIN


def test_the_service_is_both_ports(house: House) -> None:
    both: tuple[Identity, SignIn] = (house.sign_in, house.sign_in)
    assert both


def forged(house: House, principal: Principal, **changed: object) -> str:
    """A token as ours are, but for what is changed."""
    now = int(house.clock.now().timestamp())
    claims: dict[str, object] = {"iss": ISSUER, "aud": ISSUER, "sub": principal.user_id, "sid": principal.session_id}
    claims |= {"iat": now, "exp": now + 900}
    claims |= {name: value for name, value in changed.items() if name in claims}
    key = house.keys.newest
    secret = changed.get("secret", key.secret)
    assert isinstance(secret, bytes)
    headers = {"kid": changed.get("kid", key.id), "typ": changed.get("typ", KIND)}
    algorithm = str(changed.get("algorithm", "HS256"))
    return jwt.encode(claims, "" if algorithm == "none" else secret, algorithm=algorithm, headers=headers)


async def test_what_is_forged_is_otherwise_as_ours_are(house: House) -> None:
    _, principal = await house.asha()
    assert await house.sign_in.verify(forged(house, principal)) == principal


Made = Callable[[House, Principal], Awaitable[str]]


async def by_another_key(house: House, principal: Principal) -> str:
    return forged(house, principal, secret=b"x" * 32)


async def by_an_unknown_key(house: House, principal: Principal) -> str:
    return forged(house, principal, secret=b"x" * 32, kid="0123456789abcdef")


async def unsigned(house: House, principal: Principal) -> str:
    return forged(house, principal, algorithm="none")


async def unsigned_by_hand(house: House, principal: Principal) -> str:
    head, body, _ = forged(house, principal).split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    without = base64.urlsafe_b64encode(json.dumps(header | {"alg": "none"}).encode()).decode().rstrip("=")
    return f"{without}.{body}."


async def in_another_way(house: House, principal: Principal) -> str:
    return forged(house, principal, algorithm="HS512")


async def of_another_kind(house: House, principal: Principal) -> str:
    return forged(house, principal, typ="JWT")


async def for_somebody_else(house: House, principal: Principal) -> str:
    return forged(house, principal, aud="another program")


async def by_somebody_else(house: House, principal: Principal) -> str:
    return forged(house, principal, iss="another program")


async def expired(house: House, principal: Principal) -> str:
    token = (await house.login()).access_token
    house.clock.move(timedelta(minutes=15))
    return token


async def good_for_ever(house: House, principal: Principal) -> str:
    return forged(house, principal, exp=1e18)


async def of_an_ended_login(house: House, principal: Principal) -> str:
    tokens = await house.login()
    await house.sign_in.logout(await house.sign_in.verify(tokens.access_token), everywhere=False)
    return tokens.access_token


async def of_a_login_ended_elsewhere(house: House, principal: Principal) -> str:
    token = (await house.login()).access_token
    await house.sign_in.logout(principal, everywhere=True)
    return token


async def of_a_login_before_a_new_password(house: House, principal: Principal) -> str:
    token = (await house.login()).access_token
    await house.sign_in.change_password(principal, password=PASSWORD, new_password=OTHER)
    return token


async def of_a_disabled_user(house: House, principal: Principal) -> str:
    token = (await house.login()).access_token
    await house.roster.disable(EMAIL)
    return token


async def of_no_user(house: House, principal: Principal) -> str:
    return forged(house, principal, sub="u0000000000000000")


async def of_another_s_login(house: House, principal: Principal) -> str:
    await house.roster.add("bharat@example.org", PASSWORD)
    bharat = await house.people.user_of("bharat@example.org")
    assert bharat is not None
    return forged(house, principal, sub=bharat.id)


async def changed_on_the_way(house: House, principal: Principal) -> str:
    head, body, signature = forged(house, principal).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "local"}).encode()).decode().rstrip("=")
    return f"{head}.{other}.{signature}"


async def no_token(house: House, principal: Principal) -> str:
    return "\ud800 no token, é"


async def a_refresh_token(house: House, principal: Principal) -> str:
    return (await house.login()).refresh_token


async def a_very_long_one(house: House, principal: Principal) -> str:
    return "a" * 100_000


@pytest.mark.parametrize(
    "made",
    [
        by_another_key, by_an_unknown_key, unsigned, unsigned_by_hand, in_another_way, of_another_kind,
        for_somebody_else, by_somebody_else, expired, good_for_ever, of_an_ended_login, of_a_login_ended_elsewhere,
        of_a_login_before_a_new_password, of_a_disabled_user, of_no_user, of_another_s_login, changed_on_the_way,
        no_token, a_refresh_token, a_very_long_one,
    ],
)  # fmt: skip
async def test_every_token_that_proves_nothing_is_refused_in_the_same_words(house: House, made: Made) -> None:
    _, principal = await house.asha()
    token = await made(house, principal)
    assert await refusal(house.sign_in.verify(token)) == await refusal(house.sign_in.verify(""))


async def test_an_access_token_is_good_to_its_last_second_and_no_longer(house: House) -> None:
    tokens, _ = await house.asha()
    house.clock.move(timedelta(minutes=14, seconds=59))
    assert await house.sign_in.verify(tokens.access_token)
    house.clock.move(timedelta(seconds=1))
    await refusal(house.sign_in.verify(tokens.access_token))


# ---------------------------------------------------------------- refresh tokens


async def test_a_login_goes_on_over_refresh_tokens_each_good_once(house: House) -> None:
    tokens, principal = await house.asha()
    for _ in range(3):
        house.clock.move(timedelta(days=10))
        tokens = await house.sign_in.refresh(tokens.refresh_token)
        assert await house.sign_in.verify(tokens.access_token) == principal


async def test_a_refresh_token_used_twice_ends_the_login_of_thief_and_owner(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    stolen, principal = await house.asha()
    others = await house.login()
    newest = await house.sign_in.refresh((await house.sign_in.refresh(stolen.refresh_token)).refresh_token)
    words = await refusal(house.sign_in.refresh(stolen.refresh_token))
    assert await refusal(house.sign_in.refresh(newest.refresh_token)) == words
    await refusal(house.sign_in.verify(newest.access_token))
    assert await house.sign_in.verify(others.access_token), "another login of the user is not touched"
    assert principal.session_id in caplog.text
    assert stolen.refresh_token not in caplog.text


async def test_a_refresh_token_used_at_the_same_time_is_taken_once_at_most_and_ends_the_login(house: House) -> None:
    tokens, _ = await house.asha()
    asked = (house.sign_in.refresh(tokens.refresh_token) for _ in range(5))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    given = [each for each in answers if isinstance(each, Tokens)]
    assert len(given) == 1
    assert all(isinstance(each, Tokens | Unauthenticated) for each in answers)
    await refusal(house.sign_in.refresh(given[0].refresh_token))


async def test_a_renewal_that_meets_a_logout_does_not_bring_the_login_back(house: House) -> None:
    tokens, principal = await house.asha()
    renewal, _ = await asyncio.gather(
        house.sign_in.refresh(tokens.refresh_token),
        house.sign_in.logout(principal, everywhere=False),
        return_exceptions=True,
    )
    if isinstance(renewal, Tokens):
        await refusal(house.sign_in.refresh(renewal.refresh_token))
    assert await house.people.login(principal.user_id, principal.session_id) is None


@pytest.mark.parametrize("made", [of_an_ended_login, of_a_disabled_user, of_a_login_before_a_new_password])
async def test_what_ends_access_tokens_ends_refresh_tokens_too(house: House, made: Made) -> None:
    tokens, principal = await house.asha()
    words = await refusal(house.sign_in.refresh("obr_never-given"))
    if made is of_an_ended_login:
        await house.sign_in.logout(principal, everywhere=False)
    else:
        await made(house, principal)
    assert await refusal(house.sign_in.refresh(tokens.refresh_token)) == words


async def test_a_login_that_is_not_renewed_for_two_weeks_is_over(house: House) -> None:
    tokens, _ = await house.asha()
    house.clock.move(timedelta(days=14))
    await refusal(house.sign_in.refresh(tokens.refresh_token))


async def test_no_login_outlasts_ninety_days(house: House) -> None:
    tokens, _ = await house.asha()
    for _ in range(8):
        house.clock.move(timedelta(days=10))
        tokens = await house.sign_in.refresh(tokens.refresh_token)
    assert tokens.refresh_expires_at == START + timedelta(days=90)
    house.clock.move(timedelta(days=10))
    await refusal(house.sign_in.refresh(tokens.refresh_token))


# ---------------------------------------------------------------- what answers give away


async def test_registering_an_email_that_is_taken_is_answered_as_a_new_one_and_changes_nothing(house: House) -> None:
    await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    await house.sign_in.register(f" {EMAIL.upper()} ", OTHER, client=HERE)
    assert await house.login()
    await refusal(house.login(password=OTHER))
    assert len(await house.people.users()) == 1


async def test_a_registration_costs_as_many_requests_whether_the_email_is_taken_or_not(house: House) -> None:
    costs = []
    for _ in range(2):
        house.table.requests.clear()
        await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
        costs.append(house.table.requests.copy())
    new, taken = costs
    assert taken - new == {("commit", None): 1}, "the commit that was refused wrote nothing; the one after it did"
    assert new - taken == {}


async def test_a_login_fails_in_the_same_words_and_requests_for_every_cause(house: House) -> None:
    await house.asha()
    await house.roster.add("bharat@example.org", PASSWORD)
    await house.roster.disable("bharat@example.org")
    asked = {
        "wrong password": (EMAIL, OTHER),
        "no such user": ("nobody@example.org", PASSWORD),
        "disabled": ("bharat@example.org", PASSWORD),
        "no email": ("\ud800", PASSWORD),
    }
    words, costs = {}, {}
    for number, (cause, (email, password)) in enumerate(asked.items()):
        house.table.requests.clear()
        words[cause] = await refusal(house.login(email, password, client=f"198.51.100.{number}"))
        costs[cause] = tuple(house.table.requests.items())
    assert len(set(words.values())) == len(set(costs.values())) == 1, (words, costs)


async def test_a_login_of_nobody_hashes_as_one_of_somebody(house: House) -> None:
    slow = house.service(Terms(cost=Cost(passes=2, memory=32_768)))
    await slow.register(EMAIL, PASSWORD, client=HERE)
    took = {}
    for email in (EMAIL, "nobody@example.org"):
        spent = []
        for _ in range(4):
            before = process_time()
            with pytest.raises(Unauthenticated):
                await slow.login(email, OTHER, code="", client=HERE)
            spent.append(process_time() - before)
        took[email] = min(spent)
    await slow.close()
    assert 0.5 < took["nobody@example.org"] / took[EMAIL] < 2, took


async def test_who_registers_where_that_needs_approval_cannot_tell_that_they_exist(house: House) -> None:
    closed = house.service(replace(TERMS, registration=Registration.APPROVED))
    await closed.register(EMAIL, PASSWORD, client=HERE)
    pending = await refusal(closed.login(EMAIL, PASSWORD, code="", client=HERE))
    assert pending == await refusal(closed.login("nobody@example.org", PASSWORD, code="", client=HERE))
    await house.roster.enable(EMAIL)
    assert await closed.login(EMAIL, PASSWORD, code="", client=HERE)
    await closed.close()


async def test_nobody_registers_where_registration_is_closed(house: House) -> None:
    closed = house.service(replace(TERMS, registration=Registration.CLOSED))
    with pytest.raises(Forbidden, match="baskets user add"):
        await closed.register(EMAIL, PASSWORD, client=HERE)
    await closed.close()


async def test_no_secret_is_logged_kept_in_the_clear_or_shown(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens, principal = await house.asha()
    enrolment = await house.sign_in.enrol(principal, password=PASSWORD)
    code = pyotp.TOTP(enrolment.secret).at(START)
    codes = await house.sign_in.confirm(principal, code=code)
    await refusal(house.login(password=OTHER, code=codes[0]))
    await house.sign_in.refresh(tokens.refresh_token)
    await refusal(house.sign_in.refresh(tokens.refresh_token))
    user = await house.people.user_of(EMAIL)
    with pytest.raises(Conflict) as conflict:
        await house.people.add_user(replace(user, id="u1")) if user else None
    profile = await house.sign_in.profile(principal)
    shown = caplog.text + f"{tokens} {enrolment} {user} {profile} {house.keys.newest} {conflict.value}"
    secrets = [tokens.access_token, tokens.refresh_token, enrolment.secret, PASSWORD, OTHER, *codes]
    assert [each for each in [EMAIL, *secrets] if each in shown] == []
    kept = b"".join(file.read_bytes() for file in house.folder.glob("identity.sqlite*"))
    assert user.id.encode() in kept if user else None
    assert [each for each in secrets if each.encode() in kept] == []
    assert [key for key in (house.keys.newest.secret, base64.b64encode(house.keys.newest.secret)) if key in kept] == []


# ---------------------------------------------------------------- attempts


async def test_five_wrong_passwords_lock_an_email_for_a_quarter_of_an_hour_also_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    for _ in range(5):
        await refusal(house.login(password=OTHER))
        house.clock.move(timedelta(minutes=1))
    now = house.clock.now()
    await house.close()
    house = House(tmp_path)
    house.clock.move_to(now)
    with pytest.raises(TooMany) as locked:
        await house.login()
    assert locked.value.retry_after == 600
    house.clock.move(timedelta(seconds=599))
    with pytest.raises(TooMany):
        await house.login()
    house.clock.move(timedelta(seconds=1))
    assert await house.login()
    await house.close()


async def test_an_email_nobody_has_is_locked_just_so(house: House) -> None:
    for _ in range(5):
        await refusal(house.login("nobody@example.org"))
    with pytest.raises(TooMany) as locked:
        await house.login("nobody@example.org")
    assert locked.value.retry_after == 900


async def test_a_hundred_guesses_at_once_are_no_more_than_five(house: House) -> None:
    await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    answers = await asyncio.gather(
        *(house.login(password=OTHER, client=f"198.51.100.{number}") for number in range(100)), return_exceptions=True
    )
    assert [type(each) for each in answers].count(Unauthenticated) == 5
    assert [type(each) for each in answers].count(TooMany) == 95


async def test_a_login_that_succeeds_is_not_counted(house: House) -> None:
    await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    for _ in range(60):
        assert await house.login()


async def test_what_nobody_has_time_to_look_at_is_not_counted(house: House) -> None:
    busy = house.service(replace(TERMS, cost=Cost(memory=16_384)))
    emails = [f"u{number}@example.org" for number in range(100)]
    asked = (busy.login(email, OTHER, code="", client=f"198.51.100.{number}") for number, email in enumerate(emails))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    await busy.close()
    sent_away = [email for email, answer in zip(emails, answers, strict=True) if isinstance(answer, TooMany)]
    assert 0 < len(sent_away) < 100
    counts = {email: len(await house.people.attempts(login_subject(email), most=9)) for email in emails}
    assert [email for email, count in counts.items() if count == 0] == sent_away


async def test_who_logged_in_from_an_address_is_not_locked_out_by_others(house: House) -> None:
    await house.asha()
    for _ in range(5):
        await refusal(house.login(password=OTHER, client="198.51.100.1"))
    with pytest.raises(TooMany):
        await house.login(client="198.51.100.2")
    assert await house.login(client=HERE)
    for _ in range(5):
        await refusal(house.login(password=OTHER, client=HERE))
    with pytest.raises(TooMany):
        await house.login(client=HERE)


async def test_one_address_that_tries_many_emails_is_stopped_and_others_are_not(house: House) -> None:
    await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    for number in range(50):
        await refusal(house.login(f"u{number}@example.org", client="198.51.100.1"))
    with pytest.raises(TooMany):
        await house.login(client="198.51.100.1")
    assert await house.login(client=HERE)


async def test_one_address_registers_twenty_an_hour(house: House) -> None:
    for number in range(20):
        await house.sign_in.register(f"u{number}@example.org", PASSWORD, client=HERE)
    with pytest.raises(TooMany):
        await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    await house.sign_in.register(EMAIL, PASSWORD, client="198.51.100.1")
    house.clock.move(timedelta(hours=1))
    await house.sign_in.register("late@example.org", PASSWORD, client=HERE)


async def test_the_day_s_limit_outlasts_the_quarter_hours(tmp_path: Path) -> None:
    by_email = (Window(most=2, span=timedelta(minutes=1)), Window(most=4, span=timedelta(days=1)))
    house = House(tmp_path, replace(TERMS, limits=Limits(by_email=by_email)))
    for _ in range(4):
        await refusal(house.login())
        house.clock.move(timedelta(minutes=1))
    with pytest.raises(TooMany) as locked:
        await house.login()
    assert locked.value.retry_after == 86_400 - 4 * 60
    await house.close()


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(client: str, network: str) -> None:
    assert network_of(client) == network


# ---------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    ("password", "wrong"),
    [
        ("fourteen chars", "has 14 characters; at least 15"),
        ("a" * 129, "at most 128"),
        ("a" * 20, "tried first"),
        ("passwordpassword", "tried first"),
        ("PASSWORD12345678", "tried first"),
        ("qwertyuiopasdfgh", "tried first"),
        ("123456789012345", "tried first"),
        ("asha@example.org", "tried first"),
        ("ababababababababab", "tried first"),
        (PASSWORD, ""),
        ("पासवर्ड मेरा बहुत लंबा", ""),
        ("7f3d 9b21 66e0 41aa", ""),
        ("my password is a horse", ""),
    ],
)
def test_passwords_are_judged_by_length_and_by_what_is_tried_first(password: str, wrong: str) -> None:
    assert wrong in complaint(password, EMAIL)
    assert bool(wrong) == bool(complaint(password, EMAIL))


async def test_a_password_is_the_same_however_its_letters_are_composed(house: House) -> None:
    await house.asha("kaf\u00e9 kaf\u00e9 na\u00efve bien")
    assert await house.login(password="kafe\u0301 kafe\u0301 nai\u0308ve bien")


async def test_everything_wrong_with_a_registration_is_told_at_once(house: House) -> None:
    with pytest.raises(Invalid) as invalid:
        await house.sign_in.register("no email", "short", client=HERE)
    assert [problem.where for problem in invalid.value.problems] == ["email", "password"]
    assert "short" not in str(invalid.value)


async def test_a_new_password_ends_every_login_and_begins_one(house: House) -> None:
    tokens, principal = await house.asha()
    with pytest.raises(Forbidden):
        await house.sign_in.change_password(principal, password=OTHER, new_password=OTHER)
    with pytest.raises(Invalid, match="new_password: the password has 5 characters"):
        await house.sign_in.change_password(principal, password=PASSWORD, new_password="short")
    fresh = await house.sign_in.change_password(principal, password=PASSWORD, new_password=OTHER)
    await refusal(house.sign_in.verify(tokens.access_token))
    await refusal(house.login())
    assert (await house.sign_in.verify(fresh.access_token)).user_id == principal.user_id
    assert await house.login(password=OTHER)


async def test_a_stolen_access_token_cannot_guess_the_password(house: House) -> None:
    _, principal = await house.asha()
    for _ in range(5):
        with pytest.raises(Forbidden):
            await house.sign_in.change_password(principal, password="no", new_password=OTHER)
    with pytest.raises(TooMany):
        await house.sign_in.change_password(principal, password=PASSWORD, new_password=OTHER)


async def test_a_password_is_hashed_anew_at_the_next_login_where_the_cost_has_changed(house: House) -> None:
    await house.asha()
    dearer = house.service(Terms(cost=Cost(passes=2, memory=128)))
    await dearer.login(EMAIL, PASSWORD, code="", client=HERE)
    await dearer.close()
    user = await house.people.user_of(EMAIL)
    assert user is not None
    assert "$m=128,t=2,p=1$" in user.password
    assert await house.login()


# ---------------------------------------------------------------- the second factor


async def test_a_confirmed_second_factor_is_asked_for_and_each_code_is_good_once(house: House) -> None:
    _, totp, _ = await house.with_factor()
    words = await refusal(house.login("nobody@example.org"))
    assert await refusal(house.login()) == words
    assert await refusal(house.login(code=totp.at(house.clock.now()))) == words, "it confirmed the factor"
    house.clock.move(timedelta(seconds=30))
    code = totp.at(house.clock.now())
    assert await house.login(code=code)
    assert await refusal(house.login(code=code)) == words
    house.clock.move(timedelta(seconds=30))
    assert await house.login(code=totp.at(house.clock.now() + timedelta(seconds=30))), "a phone that is fast"


async def test_one_code_used_twice_at_the_same_time_lets_in_one(house: House) -> None:
    _, totp, _ = await house.with_factor()
    house.clock.move(timedelta(seconds=30))
    code = totp.at(house.clock.now())
    answers = await asyncio.gather(*(house.login(code=code) for _ in range(4)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in answers) == ["Tokens"] + ["Unauthenticated"] * 3


async def test_a_code_is_not_good_a_minute_early_or_late(house: House) -> None:
    _, totp, _ = await house.with_factor()
    house.clock.move(timedelta(minutes=10))
    for off in (-60, 60):
        await refusal(house.login(code=totp.at(house.clock.now() + timedelta(seconds=off))))


async def test_a_factor_that_was_not_confirmed_is_not_asked_for(house: House) -> None:
    _, principal = await house.asha()
    await house.sign_in.enrol(principal, password=PASSWORD)
    with pytest.raises(Forbidden):
        await house.sign_in.confirm(principal, code="000000")
    assert await house.login()
    assert not (await house.sign_in.profile(principal)).second_factor


async def test_a_recovery_code_is_good_once_however_it_is_typed(house: House) -> None:
    principal, _, codes = await house.with_factor()
    assert len(set(codes)) == 10
    assert await house.login(code=codes[0].upper().replace("-", " "))
    await refusal(house.login(code=codes[0]))
    assert (await house.sign_in.profile(principal)).recovery_codes_left == 9


async def test_a_second_factor_is_removed_with_password_and_code_only(house: House) -> None:
    principal, totp, codes = await house.with_factor()
    house.clock.move(timedelta(seconds=30))
    code = totp.at(house.clock.now())
    with pytest.raises(Forbidden) as wrong_password:
        await house.sign_in.remove_second_factor(principal, password=OTHER, code=code)
    with pytest.raises(Forbidden) as wrong_code:
        await house.sign_in.remove_second_factor(principal, password=PASSWORD, code="000000")
    assert str(wrong_password.value) == str(wrong_code.value)
    with pytest.raises(Conflict):
        await house.sign_in.enrol(principal, password=PASSWORD)
    await house.sign_in.remove_second_factor(principal, password=PASSWORD, code=codes[3])
    assert await house.login()
    with pytest.raises(Conflict):
        await house.sign_in.remove_second_factor(principal, password=PASSWORD, code=code)


async def test_a_second_factor_moves_to_the_newest_key_of_the_vault_with_its_next_code(house: House) -> None:
    _, totp, _ = await house.with_factor()
    house.vault.add_key()
    house.clock.move(timedelta(seconds=30))
    assert await house.login(code=totp.at(house.clock.now()))
    user = await house.people.user_of(EMAIL)
    assert user is not None
    assert user.factor is not None
    assert house.vault.is_current(user.factor.sealed)


async def test_where_the_vault_s_key_is_lost_recovery_codes_still_let_in_and_refusals_tell_nothing(
    house: House,
) -> None:
    _, totp, codes = await house.with_factor()
    house.vault.path.unlink()
    other = KeyFileVault(house.folder / "keys", now=house.clock.now)
    await other.seal(b"something", owner="somebody")
    house.clock.move(timedelta(seconds=30))
    moved = EmbeddedSignIn(house.people, wall=house.clock, keys=house.keys, vault=other, terms=TERMS)
    words = await refusal(house.login("nobody@example.org"))
    code = totp.at(house.clock.now())
    assert await refusal(moved.login(EMAIL, PASSWORD, code=code, client=HERE)) == words
    assert await moved.login(EMAIL, PASSWORD, code=codes[0], client=HERE)
    await moved.close()


# ---------------------------------------------------------------- who runs the platform


async def test_one_user_an_email_and_one_a_partition(house: House) -> None:
    local = await house.roster.add(EMAIL, PASSWORD, role=Role.ADMIN, user_id="local")
    assert (local.id, local.role) == ("local", Role.ADMIN)
    with pytest.raises(Invalid, match="email: has a user already"):
        await house.roster.add(EMAIL.title(), PASSWORD)
    with pytest.raises(Invalid, match="local has a login already"):
        await house.roster.add("bharat@example.org", PASSWORD, user_id="local")
    assert await house.people.user_of("bharat@example.org") is None


async def test_a_password_given_by_the_operator_ends_every_login(house: House) -> None:
    tokens, _ = await house.asha()
    await house.roster.set_password(EMAIL, OTHER)
    await refusal(house.sign_in.verify(tokens.access_token))
    await refusal(house.sign_in.refresh(tokens.refresh_token))
    assert await house.login(password=OTHER)


async def test_logins_of_a_user_who_was_disabled_stay_ended_when_the_user_is_let_in_again(house: House) -> None:
    tokens, _ = await house.asha()
    await house.roster.disable(EMAIL)
    await house.roster.enable(EMAIL)
    await refusal(house.sign_in.verify(tokens.access_token))
    await refusal(house.sign_in.refresh(tokens.refresh_token))
    assert await house.login()


async def test_a_user_who_is_marked_as_disabled_by_any_means_is_refused(house: House) -> None:
    tokens, principal = await house.asha()
    user = await house.people.user(principal.user_id)
    assert user is not None
    await house.people.commit(house.people.put_user(replace(user, disabled=True))[0])
    await refusal(house.sign_in.verify(tokens.access_token))
    await refusal(house.sign_in.refresh(tokens.refresh_token))


async def test_users_are_listed_by_email_and_read_by_nobody_else_s_id(house: House) -> None:
    for email in ("bharat@example.org", EMAIL):
        await house.roster.add(email, PASSWORD)
    users = await house.people.users()
    assert [each.email for each in users] == [EMAIL, "bharat@example.org"]
    login = await house.login()
    session = (await house.sign_in.verify(login.access_token)).session_id
    assert await house.people.login(users[0].id, session) is not None
    assert await house.people.login(users[1].id, session) is None


# ---------------------------------------------------------------- what reads cost

SHARDS = 4
ALICE = User(id="u1", email=EMAIL, password="no hash", created_at=START)
LOGIN = Login(id="l1", user_id="u1", era=0, began_at=START, expires_at=START + timedelta(days=14))
ATTEMPT = Attempt(subject="login.0", at=START, number="0")
ASKED: dict[str, Callable[[People], Awaitable[object]]] = {
    "user": lambda people: people.user("u1"),
    "user_of": lambda people: people.user_of(EMAIL),
    "users": lambda people: people.users(),
    "login": lambda people: people.login("u1", "l1"),
    "refresh_token": lambda people: people.refresh_token(b"token"),
    "attempts": lambda people: people.attempts("login.0", most=5),
    "is_known": lambda people: people.is_known("known.0"),
}
WRITES = ("add_", "commit", "end_")


def documented() -> dict[str, str]:
    """Read → requests, from the section of the page."""
    page = (Path(__file__).parents[2] / "docs" / "data-model.md").read_text(encoding="utf-8")
    section = page.partition("## broker-accounts: users and logins\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    return {row[1].strip("`"): row[3] for row in rows if len(row) == 4 and row[1].startswith("`")}


@pytest.mark.parametrize("engine_name", ["sqlite", "dynamodb"])
async def test_every_read_finds_something_at_the_documented_cost(
    engine_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clock = HandClock(START)
    table: SqliteTable | DynamoTable
    if engine_name == "sqlite":
        table = SqliteTable.open(tmp_path / "identity.sqlite", now=clock.now, threaded=False, durable=False)
    else:
        table = await opened(request.getfixturevalue("engine"), tmp_path, clock.now)
    people = People(table, shards=SHARDS)
    await people.add_user(ALICE)
    await people.commit(
        *people.put_login(LOGIN, b"token"),
        people.put_attempt(ATTEMPT, kept=timedelta(days=1)),
        people.put_known("known.0", until=START + timedelta(days=1)),
    )
    rows = documented()
    for function, ask in ASKED.items():
        table.requests.clear()
        assert await ask(people), function
        number, kind = rows[function].split()
        assert table.requests.total() == (SHARDS if number == "S" else int(number)), function
        assert {operation for operation, _ in table.requests} == {"get" if kind.startswith("get") else "query"}
    await table.close()


def test_the_page_lists_every_read_of_people() -> None:
    reads = {
        name
        for name, function in inspect.getmembers(People, inspect.iscoroutinefunction)
        if not name.startswith(("_", *WRITES))
    }
    assert reads == set(ASKED)
    assert reads <= set(documented())


async def test_a_login_and_a_request_cost_what_the_page_says(house: House) -> None:
    await house.sign_in.register(EMAIL, PASSWORD, client=HERE)
    house.table.requests.clear()
    tokens = await house.login()
    assert Counter(kind for kind, _ in house.table.requests.elements()) == {"get": 3, "query": 4, "commit": 2}
    house.table.requests.clear()
    await house.sign_in.verify(tokens.access_token)
    assert Counter(kind for kind, _ in house.table.requests.elements()) == {"get": 2}


# ---------------------------------------------------------------- the key file


def test_the_key_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    keys = TokenKeys.open(tmp_path / "keys", now=START)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700
    assert TokenKeys.open(tmp_path / "keys", now=START).newest == keys.newest
    assert list(keys.path.parent.iterdir()) == [keys.path]
    keys.path.chmod(0o640)
    with pytest.raises(Invalid, match="can be read by others"):
        TokenKeys.open(tmp_path / "keys", now=START)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"keys": []}', '{"keys": [{"id": "a", "secret": "YQ==", "made_at": "2026-01-01"}]}']
)
def test_a_damaged_key_file_is_refused_and_not_replaced(tmp_path: Path, content: str) -> None:
    keys = TokenKeys.open(tmp_path, now=START)
    keys.path.write_text(content)
    with pytest.raises(Invalid, match="is no key file"):
        TokenKeys.open(tmp_path, now=START)
    assert keys.path.read_text() == content


async def test_a_running_service_goes_on_with_its_keys_where_the_file_is_lost_or_damaged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    tokens, principal = await house.asha()
    for spoil in (lambda: house.keys.path.write_text("no keys"), house.keys.path.unlink):
        spoil()
        assert await house.sign_in.verify(tokens.access_token) == principal
        assert await house.login()
    assert "is no key file" in caplog.text


async def test_a_rotated_key_signs_at_once_and_the_one_before_verifies_for_a_day(house: House) -> None:
    tokens, principal = await house.asha()
    elsewhere = TokenKeys.open(house.folder / "keys", now=START)
    first = house.keys.newest
    second = elsewhere.rotate(now=START)
    assert house.keys.newest == second, "the running service reads the changed file"
    assert await house.sign_in.verify(tokens.access_token) == principal
    assert jwt.get_unverified_header((await house.login()).access_token)["kid"] == second.id
    elsewhere.rotate(now=START + KEPT)
    assert elsewhere.find(first.id) == first
    elsewhere.rotate(now=START + KEPT + timedelta(seconds=1))
    assert elsewhere.find(first.id) is None
    assert elsewhere.find(second.id) == second
    await refusal(house.sign_in.verify(tokens.access_token))


async def test_what_a_forgotten_key_signed_is_refused_at_once_and_the_login_goes_on(house: House) -> None:
    tokens, principal = await house.asha()
    TokenKeys.open(house.folder / "keys", now=START).rotate(now=START, forget=True)
    await refusal(house.sign_in.verify(tokens.access_token))
    renewed = await house.sign_in.refresh(tokens.refresh_token)
    assert await house.sign_in.verify(renewed.access_token) == principal
