"""How an account stands beside our books: what its last readings showed that they do not say."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from option_baskets.domain.contract import Contract, contract_of
from option_baskets.domain.drift import Drift

EXTERNAL = "external_position"
"""Alerts of what is held beside our runs. Their subject is the contract's key and the units, or ``gone``."""
_GONE = "gone"


def subject_of(contract: Contract, units: int) -> str:
    """Units that are not ours; 0: there are none any more."""
    return f"{contract.key} {units:+d}" if units else f"{contract.key} {_GONE}"


@dataclass(slots=True, kw_only=True)
class Missing:
    """An order of ours that should be in the order book and is not."""

    since: datetime
    reads: int = 0
    is_told: bool = False


@dataclass(slots=True, kw_only=True)
class Standing:
    """One account's, from reading to reading. Only whoever holds the lock reads and changes it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    read_at: datetime | None = None
    """When it was last read whole."""
    is_unread: bool = False
    """The last reading failed, and that is told."""
    foreign: set[str] = field(default_factory=set)
    """Tags that are in no journal of ours."""
    missing: dict[str, Missing] = field(default_factory=dict)
    """By intent id."""
    suspected: dict[Contract, tuple[Drift, datetime]] = field(default_factory=dict)
    """What the last reading showed for the first time, and when."""
    apart: dict[Contract, int] = field(default_factory=dict)
    """Units that are not ours, confirmed: nothing is entered in the contract."""
    told: set[Contract] = field(default_factory=set)
    """Contracts of which something was said since the process began."""

    @property
    def may_lose(self) -> bool:
        """Something of ours seems to be closed by others."""
        return any(drift.closed for drift, _ in self.suspected.values())

    @property
    def is_settled(self) -> bool:
        """Nothing waits for another reading."""
        return not self.suspected and all(each.is_told for each in self.missing.values())

    def remember(self, subject: str) -> None:
        """Take up what an alert of before has said; of several of a contract the last counts."""
        key, _, units = subject.rpartition(" ")
        contract = contract_of(key)
        self.told.add(contract)
        self.apart.pop(contract, None)
        if units != _GONE:
            self.apart[contract] = int(units)
