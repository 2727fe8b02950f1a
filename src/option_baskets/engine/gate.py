"""What every entry passes before it leaves: where it is decided, and again where it had to wait. No exit is looked at.

An entry may wait for tokens, or for its hedges to be filled. By then its price may be old, its limit far from where the
contract trades, or the market shut, or somebody has thrown the kill switch.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from option_baskets.domain.contract import Contract
from option_baskets.domain.errors import Refused, Unavailable
from option_baskets.domain.ids import Action
from option_baskets.domain.market import Snapshot
from option_baskets.domain.order import Intent
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import Approved, Moment, approve, require_sendable
from option_baskets.domain.run import Run
from option_baskets.engine.trading import LOG, Trading
from option_baskets.store.records import Refusal

LOOK_AGAIN = timedelta(seconds=1)
"""What was decided or looked at no longer ago needs no new look."""


def require_sendable_now(trading: Trading, intent: Intent, snapshot: Snapshot) -> None:
    """See that an entry may leave now, as far as the snapshot knows.

    Raises:
        Refused: it may not.
    """
    moment = Moment(
        at=trading.clock.now(),
        quote=snapshot.quote(intent.contract),
        known_at=snapshot.at,
        stale_after=snapshot.stale_after,
        trades_until=trading.last_trade(intent.contract),
        session=trading.session,
    )
    require_sendable(intent, moment, trading.far)


def require_armed(trading: Trading, run: Run, account: str) -> None:
    """Raises Refused: the kill switch is on over the account's part of the run."""
    kill = trading.guard.killed(run, account)
    if kill is not None:
        raise Refused(Reason.KILLED, f"{kill.told}; nothing is entered on {account} until it is armed again")


class Gate:
    """Approval of one order at the instant it is handed to its broker."""

    def __init__(self, trading: Trading) -> None:
        self._trading = trading
        self._seen: tuple[datetime, Snapshot] | None = None
        """When the market was looked at last, and what it showed."""
        self._passed: set[tuple[Contract, Decimal]] = set()
        """Contracts and limits that passed by it: in a burst many accounts order alike."""

    async def __call__(self, intent: Intent) -> Approved:
        """Approve it.

        Raises:
            Refused: it is an entry that is killed, or has waited and may not leave any more; that is recorded.
        """
        if intent.action is Action.EXIT:
            return approve(intent)
        try:
            run = self._trading.runs.get((intent.user_id, intent.run_id))
            require_armed(self._trading, run, intent.account)
            await self._require_sendable(intent)
        except Refused as refusal:
            await self._record(intent, refusal)
            raise
        return approve(intent)

    async def _require_sendable(self, intent: Intent) -> None:
        now = self._trading.clock.now()
        if abs(now - intent.decided_at) <= LOOK_AGAIN:
            return
        if self._seen is None or abs(now - self._seen[0]) > LOOK_AGAIN:
            self._seen = now, await self._trading.market.snapshot(now)
            self._passed.clear()
        if (intent.contract, intent.limit) not in self._passed:
            require_sendable_now(self._trading, intent, self._seen[1])
            self._passed.add((intent.contract, intent.limit))

    async def _record(self, intent: Intent, refusal: Refused) -> None:
        record = Refusal(
            user_id=intent.user_id,
            at=self._trading.clock.now(),
            strategy_id=intent.strategy_id,
            reason=refusal.reason,
            detail=str(refusal),
            run_id=intent.run_id,
            account=intent.account,
            leg=intent.leg,
            quantity=intent.quantity,
        )
        try:
            await self._trading.books.commit(self._trading.books.put_refusal(record))
        except Unavailable as error:  # the order says so too, once the store takes it
            LOG.warning("the refusal of %s is not written: %s", intent.id, error)
