"""After a new key: everything sealed by an older one is sealed anew, each by a commit of its own, so that it can be
cut off anywhere and done again. Old keys stay in the vault, for backups."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from option_baskets.domain.errors import Conflict, Invalid
from option_baskets.ports import Put, Vault
from option_baskets.store.people import People, User
from option_baskets.store.secrets import Sealed, Secrets

_PASSES = 5
_BUSY = "it is being changed by somebody else; do it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    done: int
    left: Mapping[str, str]
    """Owner → why it could not be."""


async def everything_sealed(secrets: Secrets, people: People) -> list[Sealed]:
    """Secrets of broker accounts and of second factors."""
    factors = [found for user in await people.users() if (found := _factor(people, user)) is not None]
    return [*await secrets.all_sealed(), *factors]


async def reseal(secrets: Secrets, people: People, vault: Vault) -> Resealed:
    """Seal by the newest key all that an older one sealed. Who changes or uses a secret meanwhile is not disturbed."""
    done = 0
    left: dict[str, str] = {}
    for _ in range(_PASSES):
        busy: dict[str, str] = {}
        for each in await everything_sealed(secrets, people):
            if each.owner in left or vault.is_current(each.sealed):
                continue
            try:
                secret = await vault.open(each.sealed, owner=each.owner)
                await secrets.commit(each.put(await vault.seal(secret, owner=each.owner)))
                done += 1
            except Invalid as error:
                left[each.owner] = str(error)
            except Conflict:  # changed since it was read: the next pass sees by which key
                busy[each.owner] = _BUSY
        if not busy:
            break
    return Resealed(done=done, left=left | busy)


def _factor(people: People, user: User) -> Sealed | None:
    if user.factor is None:
        return None
    factor = user.factor

    def put(sealed: bytes) -> Put:
        return people.put_user(replace(user, factor=replace(factor, sealed=sealed)))[0]

    return Sealed(owner=user.factor_owner, sealed=factor.sealed, put=put)
