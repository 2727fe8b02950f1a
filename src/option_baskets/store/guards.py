"""What limits leave behind: fences of a day, and how high a basket has been."""

from datetime import date

from option_baskets.domain.losses import HighWater
from option_baskets.ports import Item, Put
from option_baskets.store import codec, keys
from option_baskets.store.records import Fence
from option_baskets.store.shelf import CONFIGURATIONS, Shelf


class Guards(Shelf):
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
