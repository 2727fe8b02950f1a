"""Drift: where the net position a broker shows is not the sum of our runs, and what of it is whose.

What takes from the net we hold was closed by others; everything else they opened. A broker nets an account, so which
lot of equal contracts somebody closed cannot be known: the one entered first goes first.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.cover import Stake, covered
from option_baskets.domain.run import LegPosition, Run

Net = Mapping[Contract, int]
"""Net units by contract; what is flat may be absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One contract on one account; units, below zero where sold."""

    contract: Contract
    ours: int
    """The sum of our runs."""
    held: int
    """What the broker shows."""

    @property
    def units(self) -> int:
        return self.held - self.ours

    @property
    def closed(self) -> int:
        """Units of ours that others closed, never below zero."""
        if self.ours * self.units >= 0:
            return 0
        return min(abs(self.ours), abs(self.units))

    @property
    def opened(self) -> int:
        """What others hold beside what is left of ours, signed."""
        return self.units + (self.closed if self.ours > 0 else -self.closed)


def drifts(ours: Net, held: Net, today: date) -> dict[Contract, Drift]:
    """Every contract on which the two differ, those that expired before today left out."""
    found = {}
    for contract in {**ours, **held}:
        mine, theirs = ours.get(contract, 0), held.get(contract, 0)
        if mine != theirs and contract.expiry >= today:
            found[contract] = Drift(contract=contract, ours=mine, held=theirs)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """Units that one position loses."""

    user_id: str
    run_id: str
    position: tuple[str, str, int]
    quantity: int


def reductions(runs: Iterable[Run], account: str, drift: Drift) -> Iterator[Reduction]:
    """Which positions lose what others closed: of the side we hold net, the one entered first goes first."""
    side = Side.BUY if drift.ours > 0 else Side.SELL
    open_ = [
        (run, position)
        for run in runs
        for position in run.positions
        if (position.account, position.contract, position.side) == (account, drift.contract, side) and position.open > 0
    ]
    left = drift.closed
    for run, position in sorted(open_, key=_entered):
        quantity = min(left, position.open)
        if quantity:
            yield Reduction(user_id=run.user_id, run_id=run.id, position=position.key, quantity=quantity)
        left -= quantity


def _entered(held: tuple[Run, LegPosition]) -> tuple[datetime, str, tuple[str, str, int]]:
    run, position = held
    return position.entry_time or run.entry_at, run.id, position.key


def uncovered(run: Run, account: str) -> dict[ContractType, int | Fraction]:
    """Units of sold options on the account that nothing held there covers, by type; those without any left out."""
    stakes = [
        Stake(
            leg=each.leg,
            side=each.side,
            type=each.contract.type,
            expiry=each.contract.expiry,
            quantity=each.open,
        )
        for each in run.positions
        if each.account == account and each.open > 0
    ]
    found = {}
    for short in (ContractType.CE, ContractType.PE):
        sold = sum(each.quantity for each in stakes if each.is_short_option and each.type is short)
        if bare := sold - covered(stakes, short):
            found[short] = bare
    return found
