"""Every typed read and write of the store, over any Table."""

from option_baskets.store.accounts import Accounts
from option_baskets.store.guards import Guards
from option_baskets.store.journal import Journal
from option_baskets.store.kills import Kills
from option_baskets.store.lists import Listed, Lists
from option_baskets.store.records import (
    Alert,
    DueStrategy,
    Fence,
    Leave,
    Level,
    MarketRecord,
    Plan,
    Refusal,
    TickMark,
    TickState,
)

__all__ = [
    "Alert",
    "Books",
    "DueStrategy",
    "Fence",
    "Leave",
    "Level",
    "Listed",
    "MarketRecord",
    "Plan",
    "Refusal",
    "TickMark",
    "TickState",
]


class Books(Accounts, Journal, Lists, Guards, Kills):
    """Plans and accounts (what users wrote and when it is due), runs (what is open), the journal (what happened), lists
    of it for people, guards (what limits left behind) and kill switches.

    A value's ``version`` is the stored one it was read as; every save returns the value with its new version.
    ``put_…`` methods only make writes, for a ``commit`` or as extra writes of ``claim`` and ``save_run``.
    """
