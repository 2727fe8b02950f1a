"""How often one user, or one address, may ask: a bucket that fills steadily."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from option_baskets.domain.errors import TooMany

_REMEMBERED = 50_000


@dataclass(slots=True, kw_only=True)
class Allowance:
    """``a_second`` requests a second in the long run, ``burst`` at once. Of one process."""

    a_second: float = 50.0
    burst: int = 200
    _left: OrderedDict[str, tuple[float, datetime]] = field(default_factory=OrderedDict)

    def take(self, name: str, now: datetime) -> None:
        """Count one request of ``name``.

        Raises:
            TooMany: it has used up what it may ask.
        """
        left, seen = self._left.pop(name, (float(self.burst), now))
        left = min(float(self.burst), left + max(0.0, (now - seen).total_seconds()) * self.a_second)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            wait = max(1, round((1 - left) / self.a_second))
            raise TooMany(f"more than {self.a_second:g} requests a second; wait {wait} s", retry_after=wait)
