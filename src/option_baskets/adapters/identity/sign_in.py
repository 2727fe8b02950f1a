"""The ports Identity and SignIn over the store: who asks, and how users come by the tokens that prove it."""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from option_baskets.adapters.identity import second_factor
from option_baskets.adapters.identity.access_tokens import REFUSED
from option_baskets.adapters.identity.attempts import Attempts, Window, login_subject, network_of, subject_of
from option_baskets.adapters.identity.keyring import TokenKeys
from option_baskets.adapters.identity.logins import Logins
from option_baskets.adapters.identity.passwords import Hashing
from option_baskets.adapters.identity.roster import new_user_id, normalized_email, problems_of
from option_baskets.adapters.identity.terms import Registration, Terms
from option_baskets.domain.errors import Conflict, Forbidden, Invalid, TooMany, Unauthenticated
from option_baskets.domain.login import Enrolment, Profile, Tokens
from option_baskets.ports import Clock, Delete, Principal, Vault, Write
from option_baskets.store.people import Attempt, People, SecondFactor, User

LOG = logging.getLogger(__name__)
LOGIN_REFUSED = "the email, the password or the code is not right"
PASSWORD_REFUSED = "the password is not right"
CODE_REFUSED = "the password or the code is not right"
_ATTEMPTS = 20
_DECOY_KEPT = timedelta(hours=1)


class EmbeddedSignIn:
    """Every refusal of one question has the same words and takes the same work, whatever its cause.

    Roles, and whether a login has ended, are read from the store each time: both take effect at once, in every
    process. ``close`` ends the threads that hash.
    """

    def __init__(
        self, people: People, *, wall: Clock, keys: TokenKeys, vault: Vault, terms: Terms | None = None
    ) -> None:
        self._terms = terms or Terms()
        self._people = people
        self._wall = wall
        self._vault = vault
        self._logins = Logins(people, wall=wall, keys=keys, terms=self._terms)
        self._hashing = Hashing(self._terms.cost)
        self._attempts = Attempts(people, wall)

    async def close(self) -> None:
        self._hashing.close()

    # ------------------------------------------------------------ Identity

    async def verify(self, token: str) -> Principal:
        return await self._logins.verify(token)

    # ------------------------------------------------------------ without a token

    async def register(self, email: str, password: str, *, client: str) -> None:
        if self._terms.registration is Registration.CLOSED:
            raise Forbidden("nobody may register here; who runs the platform makes users with baskets user add")
        email = normalized_email(email)
        if problems := problems_of(email, password):
            raise Invalid(problems)
        await self._attempts.count((subject_of("register", network_of(client)), self._terms.limits.registrations))
        user = User(
            id=new_user_id(),
            email=email,
            password=await self._hashing.hash(password),
            created_at=self._wall.now(),
            disabled=self._terms.registration is Registration.APPROVED,
        )
        try:
            await self._people.add_user(user)
        except Conflict:
            await self._write_as_much()

    async def login(self, email: str, password: str, *, code: str, client: str) -> Tokens:
        email, client = normalized_email(email), network_of(client)
        here = subject_of("known", email, client)
        mine = login_subject(email, client if await self._people.is_known(here) else "")
        limits = self._terms.limits
        counted = await self._attempts.count((mine, limits.by_email), (subject_of("client", client), limits.by_client))
        user = await self._people.user_of(email)
        if not await self._is_right(user.password if user else None, password, counted) or user is None:
            raise Unauthenticated(LOGIN_REFUSED)
        rehashed = await self._hashing.hash(password) if self._hashing.is_outdated(user.password) else user.password
        known = self._people.put_known(here, until=self._wall.now() + self._terms.known)
        for _ in range(_ATTEMPTS):
            admitted = await self._admitted(user, code)
            writes: list[Write] = [known, *self._forgotten(counted)]
            if rehashed != admitted.password or admitted != user:
                write, admitted = self._people.put_user(replace(admitted, password=rehashed))
                writes.append(write)
            try:
                return await self._logins.begin(admitted, *writes)
            except Conflict:  # the user was changed, or the same code was used, since the user was read
                before, user = user, await self._user(user.id)
                if user.password != before.password:
                    break
        raise Unauthenticated(LOGIN_REFUSED)

    async def refresh(self, token: str) -> Tokens:
        return await self._logins.renew(token)

    # ------------------------------------------------------------ with a token

    async def logout(self, principal: Principal, *, everywhere: bool) -> None:
        if not everywhere:
            await self._people.end_login(principal.user_id, principal.session_id)
            return
        for _ in range(_ATTEMPTS):
            user = await self._user(principal.user_id)
            write, _changed = self._people.put_user(replace(user, era=user.era + 1))
            try:
                await self._people.commit(write)
            except Conflict:
                continue
            return
        raise Conflict("the user is being changed again and again; try once more")

    async def change_password(self, principal: Principal, *, password: str, new_password: str) -> Tokens:
        user = await self._user(principal.user_id)
        if problems := problems_of(user.email, new_password, field="new_password"):
            raise Invalid(problems)
        counted = await self._require_password(user, password)
        hashed = await self._hashing.hash(new_password)
        write, changed = self._people.put_user(replace(user, password=hashed, era=user.era + 1))
        return await self._logins.begin(changed, write, *self._forgotten(counted))

    async def enrol(self, principal: Principal, *, password: str) -> Enrolment:
        user = await self._user(principal.user_id)
        if user.factor is not None and user.factor.confirmed:
            raise Conflict("there is a second factor already; remove it first")
        counted = await self._require_password(user, password)
        secret = second_factor.new_secret()
        sealed = await self._vault.seal(secret.encode(), owner=user.factor_owner)
        write, _ = self._people.put_user(replace(user, factor=SecondFactor(sealed=sealed)))
        await self._people.commit(write, *self._forgotten(counted))
        return Enrolment(secret=secret, uri=second_factor.uri(secret, user.email))

    async def confirm(self, principal: Principal, *, code: str) -> tuple[str, ...]:
        user = await self._user(principal.user_id)
        if user.factor is None or user.factor.confirmed:
            raise Conflict("no second factor waits to be confirmed; enrol one first")
        counted = await self._attempts.count(self._of_user(user))
        spent = await self._spent(user, user.factor, code)
        if spent is None:
            raise Forbidden("the code is not right; look at the phone's clock, and take the newest code")
        codes = second_factor.recovery_codes()
        kept = tuple(map(second_factor.digest, codes))
        write, _ = self._people.put_user(replace(user, factor=replace(spent, confirmed=True, recovery=kept)))
        await self._people.commit(write, *self._forgotten(counted))
        return codes

    async def remove_second_factor(self, principal: Principal, *, password: str, code: str) -> None:
        user = await self._user(principal.user_id)
        if user.factor is None or not user.factor.confirmed:
            raise Conflict("there is no second factor to remove")
        counted = await self._require_password(user, password, refusal=CODE_REFUSED)
        if await self._spent(user, user.factor, code) is None:
            raise Forbidden(CODE_REFUSED)
        write, _ = self._people.put_user(replace(user, factor=None))
        await self._people.commit(write, *self._forgotten(counted))

    async def profile(self, principal: Principal) -> Profile:
        user = await self._user(principal.user_id)
        factor = user.factor if user.factor is not None and user.factor.confirmed else None
        return Profile(
            user_id=user.id,
            email=user.email,
            role=user.role,
            created_at=user.created_at,
            second_factor=factor is not None,
            recovery_codes_left=len(factor.recovery) if factor else 0,
        )

    # ------------------------------------------------------------ steps

    async def _user(self, user_id: str) -> User:
        user = await self._people.user(user_id)
        if user is None:
            raise Unauthenticated(REFUSED)
        return user

    async def _admitted(self, user: User, code: str) -> User:
        """A user whose password was right, with the code spent where one is asked for."""
        if user.disabled:
            raise Unauthenticated(LOGIN_REFUSED)
        if user.factor is None or not user.factor.confirmed:
            return user
        factor = await self._spent(user, user.factor, code)
        if factor is None:
            raise Unauthenticated(LOGIN_REFUSED)
        return replace(user, factor=factor)

    async def _spent(self, user: User, factor: SecondFactor, code: str) -> SecondFactor | None:
        """The factor once the code was used, which then is good no more; None: it is not good."""
        try:
            secret = await self._vault.open(factor.sealed, owner=user.factor_owner)
        except Invalid as error:  # recovery codes need no key
            LOG.warning("the second factor of user %s cannot be checked: %s", user.id, error)
        else:
            step = second_factor.step_of(code, secret.decode(), now=self._wall.now(), after=factor.used_step)
            if step is not None:
                return replace(factor, used_step=step, sealed=await self._sealed_anew(user, factor, secret))
        digest = second_factor.digest(code)
        if digest in factor.recovery:
            return replace(factor, recovery=tuple(each for each in factor.recovery if each != digest))
        return None

    async def _sealed_anew(self, user: User, factor: SecondFactor, secret: bytes) -> bytes:
        """As it is, or by the newest key where another sealed it."""
        if self._vault.is_current(factor.sealed):
            return factor.sealed
        return await self._vault.seal(secret, owner=user.factor_owner)

    async def _require_password(
        self, user: User, password: str, *, refusal: str = PASSWORD_REFUSED
    ) -> tuple[Attempt, ...]:
        """Count an attempt and raise Forbidden unless it is the user's password; the attempt, to be forgotten."""
        counted = await self._attempts.count(self._of_user(user))
        if not await self._is_right(user.password, password, counted):
            raise Forbidden(refusal)
        return counted

    async def _is_right(self, known: str | None, password: str, counted: Sequence[Attempt]) -> bool:
        """Whether it is the password; an attempt that nobody has time to look at is not counted."""
        try:
            return await self._hashing.verify(known, password)
        except TooMany:
            await self._people.commit(*self._forgotten(counted))
            raise

    def _of_user(self, user: User) -> tuple[str, Sequence[Window]]:
        return subject_of("user", user.id), self._terms.limits.by_email

    def _forgotten(self, counted: Sequence[Attempt]) -> list[Delete]:
        return [self._people.delete_attempt(each) for each in counted]

    async def _write_as_much(self) -> None:
        """Two writes, as a new user would have been."""
        now = self._wall.now()
        decoys = [Attempt(subject="decoy", at=now, number=secrets.token_hex(8)) for _ in range(2)]
        await self._people.commit(*(self._people.put_attempt(each, kept=_DECOY_KEPT) for each in decoys))
