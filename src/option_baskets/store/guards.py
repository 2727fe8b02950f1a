"""A user's own limits, and what limits leave behind: fences of a day, and how high a basket has been."""

from dataclasses import replace
from datetime import date, datetime

from option_baskets.domain.errors import Conflict
from option_baskets.domain.losses import HighWater, UserLimits
from option_baskets.domain.money import rupees
from option_baskets.ports import Item, Put
from option_baskets.store import codec, keys, occurrences
from option_baskets.store.notices import Notices
from option_baskets.store.records import Fence, Occurrence, What
from option_baskets.store.shelf import CONFIGURATIONS, require_version

_ATTEMPTS = 20


class Guards(Notices):
    """``put_…`` functions make writes; what is there already is written over."""

    def put_fence(self, fence: Fence) -> Put:
        level, *names = fence.subject
        pk, sk = keys.fence(fence.user_id, fence.day, level, *filter(None, names))
        return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(fence)))

    async def fences(self, user_id: str, day: date) -> list[Fence]:
        """Every fence of the day, by level and what it fences."""
        items = await self._items(CONFIGURATIONS, user_id, begins_with=keys.fences_on(day))
        return [self._decode(item, Fence) for item in items]

    def put_high_water(self, user_id: str, basket_id: str, mark: HighWater) -> Put:
        pk, sk = keys.high_water(user_id, basket_id)
        return Put(table=CONFIGURATIONS, item=Item(pk=pk, sk=sk, body=codec.encode(mark)))

    async def high_water(self, user_id: str, basket_id: str) -> HighWater | None:
        return await self._get(CONFIGURATIONS, keys.high_water(user_id, basket_id), HighWater)

    # ------------------------------------------------------------ a user's own limits

    async def limits(self, user_id: str) -> UserLimits | None:
        """The user's limits, as they were last set."""
        return await self._get(CONFIGURATIONS, keys.limits(user_id), UserLimits)

    async def save_limits(self, user_id: str, limits: UserLimits, *, at: datetime, actor: str) -> UserLimits:
        """Store the limits over the version they carry; the engine takes them up.

        Raises:
            Conflict: somebody else changed them; what is stored stays.
        """
        pk, sk = keys.limits(user_id)
        for _ in range(_ATTEMPTS):
            found = await self.limits(user_id)
            require_version("the limits", found.version if found else 0, limits.version)
            stored = replace(limits, version=limits.version + 1)
            item = Item(pk=pk, sk=sk, body=codec.encode(stored), version=stored.version)
            put = Put(table=CONFIGURATIONS, item=item, expected=limits.version)
            told = occurrences.put(_saved(user_id, stored, at, actor))
            try:
                await self.commit(put, told, await self._noticed(user_id))
            except Conflict:
                continue
            return stored
        raise Conflict("the limits are being changed by somebody else; try again")


def _saved(user_id: str, limits: UserLimits, at: datetime, actor: str) -> Occurrence:
    loss = limits.max_daily_loss
    return Occurrence(
        user_id=user_id,
        at=at,
        what=What.LIMITS_SAVED,
        cause="limits",
        actor=actor,
        subject=str(limits.version),
        detail="no daily loss" if loss is None else f"a daily loss of {rupees(loss):,}",
    )
