"""Sold legs whose prices have stopped coming: no stop of theirs can fire."""

from datetime import datetime, timedelta

from option_baskets.domain.contract import Side
from option_baskets.domain.market import Snapshot
from option_baskets.domain.run import LegPosition, Run


def unseen(run: Run, market: Snapshot, after: timedelta) -> tuple[LegPosition, ...]:
    """Open sold legs, nothing closing them yet, whose quote nobody has confirmed for ``after`` or longer."""
    return tuple(
        position
        for position in run.positions
        if position.side is Side.SELL and position.open and position.exit_reason is None
        if market.at - silent_since(position, market) >= after
    )


def silent_since(position: LegPosition, market: Snapshot) -> datetime:
    """When a price of it came last; where none has, its entry."""
    quote = market.quote(position.contract)
    since = quote.as_of if quote is not None else position.entry_time
    return since if since is not None else market.at
