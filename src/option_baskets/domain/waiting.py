"""Wait-and-trade and range breakouts: what is waited for from the entry minute on."""

from collections.abc import Sequence
from dataclasses import dataclass

from option_baskets.domain.market import Snapshot
from option_baskets.domain.pending import Pending
from option_baskets.domain.resolve import Resolution
from option_baskets.domain.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Lots of one leg on one account that are to be entered at the entry minute, or from then on waited for."""

    leg: str
    account: str
    lots: int

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.leg, self.account, 0)


def pendings_at_entry(
    run: Run, shares: Sequence[Share], resolution: Resolution, snapshot: Snapshot
) -> tuple[Pending, ...]:
    """Which of the shares wait instead of being entered now, and for what.

    ``resolution`` has the contracts of the shares' legs; none where the whole strategy waits for a break of the
    underlying, as they are chosen at the break.

    Raises:
        Refused: what a trigger measures from is not known.
    """
    return ()
