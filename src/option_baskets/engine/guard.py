"""The limits of users, what limits have ended today, and what is killed, held as the store has it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from option_baskets.domain.kill import Kill, Killed, killed_with
from option_baskets.domain.losses import HighWater, Over, Subject, subjects
from option_baskets.domain.run import Run
from option_baskets.engine.runs import RunKey
from option_baskets.store.records import Fence


@dataclass(slots=True, kw_only=True)
class Guard:
    """Of every user. Read from the store when a day is taken up, so that no entry asks it again."""

    limits: dict[str, Decimal] = field(default_factory=dict)
    """User → the daily loss of everything the user has; who has no limit is absent."""
    fences: dict[tuple[str, Subject], Fence] = field(default_factory=dict)
    """(user, what is fenced) → the fence."""
    kills: dict[tuple[str, Killed], Kill] = field(default_factory=dict)
    """(user, what is killed) → the switch that is thrown; they outlast the day."""
    highs: dict[tuple[str, str], HighWater] = field(default_factory=dict)
    """(user, basket) → how high it has been; of baskets with a limit on their fall."""
    accrued: dict[RunKey, tuple[int, dict[str, Decimal]]] = field(default_factory=dict)
    """Run → its version, and the charges of its fills by account as of then."""

    def begin(self, fences: Iterable[Fence]) -> None:
        """A day begins, with what has ended of it already."""
        self.fences = {(fence.user_id, fence.subject): fence for fence in fences}
        self.highs.clear()
        self.accrued.clear()

    def forget_charges(self, user_id: str) -> None:
        """Have them counted anew: an account of the user is charged otherwise."""
        for key in [key for key in self.accrued if key[0] == user_id]:
            del self.accrued[key]

    def stopped(self, run: Run, account: str) -> Over | None:
        """What ended the day of the account's part of a run, the first in the order of evaluation."""
        for subject in subjects(run.basket.id, run.strategy.id, account):
            if (run.user_id, subject) in self.fences:
                return subject[0]
        return None

    def killed(self, run: Run, account: str) -> Kill | None:
        """What has killed the account's part of a run, the widest first."""
        if not self.kills:
            return None
        subjects = killed_with(run.basket.id, run.strategy.id, account)
        return next((kill for each in subjects if (kill := self.kills.get((run.user_id, each))) is not None), None)
