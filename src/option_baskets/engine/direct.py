"""Closing an account from its broker's own book, without journal and runs: for when no engine can be started.

Every order that works there is cancelled and every position closed, whoever made it. A turn begins with nothing
working and with positions read anew, so no order closes more than there is, whatever became of the ones before.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from option_baskets.domain.allocation import slices
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.errors import Invalid, NotFound, OptionBasketsError, Unavailable, Unclear
from option_baskets.domain.facts import Facts
from option_baskets.domain.ids import Action, intent_id
from option_baskets.domain.order import Intent
from option_baskets.domain.price_band import price_band
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.risk import approve
from option_baskets.domain.session import IST
from option_baskets.engine.limits import marketable
from option_baskets.engine.rates import Bucket, Rate, Urgency
from option_baskets.engine.settling import GOOD_READS, READS_SPAN
from option_baskets.ports import Broker, Clock, MarketData

LOG = logging.getLogger(__name__)

FILLED_WITHIN = timedelta(seconds=3)
"""What is not filled by then is cancelled and ordered anew at the price of that moment."""
_AGAIN_AFTER = timedelta(seconds=1)
READ_EVERY = READS_SPAN / GOOD_READS
"""An order of unknown fate is nowhere after so many good reads over that span without its tag."""
_RATE = Rate()
MOST_TURNS = 30
"""In a row that have closed nothing although the account was reached; then a person has to look."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """One account to be closed. ``began`` makes the tags of this attempt differ from those of any other."""

    user_id: str
    broker: Broker
    market: MarketData
    clock: Clock
    facts: Facts
    began: datetime
    tell: Tell
    rate: Rate | None = _RATE
    _unpriced: set[Contract] = field(default_factory=set, init=False)
    """Told of already."""

    async def flatten(self) -> Mapping[Contract, int]:
        """Cancel and close everything; what could not be closed, net units by contract, empty where it is flat."""
        bucket = Bucket(self.clock, self.rate)
        held: Mapping[Contract, int] = {}
        in_vain, turn, is_told = 0, 0, False
        while in_vain < MOST_TURNS:
            try:
                before = held
                await self._cancel_all(bucket)
                held = await self.broker.positions()
                if not held:
                    return {}
                in_vain = in_vain + 1 if held == before else 0
                self._told(held, before)
                await self._close(bucket, held, turn)
                is_told = False
            except (Unavailable, Unclear) as error:
                if not is_told:
                    self.tell(f"{self.broker.account} cannot be reached, it is tried every second: {error}")
                is_told = True
            turn += 1
            await self.clock.sleep_until(self.clock.now() + _AGAIN_AFTER)
        return held

    def _told(self, held: Mapping[Contract, int], before: Mapping[Contract, int]) -> None:
        if held != before:
            units = ", ".join(f"{units:+d} {contract.name}" for contract, units in held.items())
            self.tell(f"{self.broker.account}: {units}")

    # ------------------------------------------------------------ nothing works

    async def _cancel_all(self, bucket: Bucket) -> None:
        """Cancel until the book shows nothing that works.

        Raises:
            Unavailable, Unclear: the account cannot be reached.
        """
        while working := [report for report in await self.broker.orders() if not report.state.is_final]:
            for report in working:
                self.tell(f"{self.broker.account}: cancels {report.side} {report.contract.name}")
                await bucket.take(1, Urgency.KILL)
                try:
                    await self.broker.cancel(report.broker_order_id)
                except (Invalid, NotFound) as error:  # it came to its end meanwhile
                    LOG.warning("cancel of %s: %s", report.broker_order_id, error)
            await self.clock.sleep_until(self.clock.now() + _AGAIN_AFTER / 10)

    # ------------------------------------------------------------ closing

    async def _close(self, bucket: Bucket, held: Mapping[Contract, int], turn: int) -> None:
        """One attempt at whatever goes first: sold options, then sold futures, then what was bought."""
        first = min(_turn(contract, units) for contract, units in held.items())
        wave = {contract: units for contract, units in held.items() if _turn(contract, units) == first}
        intents = [intent for each in wave.items() for intent in await self._intents(*each, turn)]
        taken: set[str] = set()
        for intent in intents:
            await bucket.take(1, Urgency.KILL)
            if await self._place(intent):
                taken.add(intent.id)
        if intents:
            await self._until_final({intent.id for intent in intents}, taken)

    async def _intents(self, contract: Contract, units: int, turn: int) -> list[Intent]:
        """What closes these units at the price of now; nothing where there is no price."""
        now = self.clock.now()
        snapshot = await self.market.snapshot(now)
        quote, listing = snapshot.quote(contract), snapshot.listing(contract)
        if quote is None or listing is None:
            if contract not in self._unpriced:
                self._unpriced.add(contract)
                self.tell(
                    f"{self.broker.account}: {contract.name} has no price, it cannot be closed; it is tried again"
                )
            return []
        side = Side.SELL if units > 0 else Side.BUY
        band = price_band(self.facts, contract, quote.as_of.astimezone(IST).date(), quote.last)
        lots, odd = divmod(abs(units), listing.lot_size)
        sizes = [*(slices(lots, listing.lot_size, listing.freeze_quantity) if lots else ()), *([odd] if odd else [])]
        return [
            Intent(
                id=self._tag(contract, turn, number),
                user_id=self.user_id,
                run_id=self._run,
                strategy_id="direct",
                leg=contract.key,
                account=self.broker.account,
                entry_number=0,
                action=Action.EXIT,
                attempt=turn,
                slice_number=number,
                contract=contract,
                side=side,
                quantity=size,
                limit=marketable(side, quote, listing.tick, band=band),
                decided_at=now,
                cause=ExitReason.KILL,
            )
            for number, size in enumerate(sizes)
        ]

    @property
    def _run(self) -> str:
        """No run has such an id: those begin with their day."""
        return f"DIRECT#{self.began.isoformat()}"

    def _tag(self, contract: Contract, turn: int, number: int) -> str:
        return intent_id(
            user_id=self.user_id,
            run=self._run,
            leg=contract.key,
            account=self.broker.account,
            entry_number=0,
            action=Action.EXIT,
            attempt=turn,
            slice_number=number,
        )

    async def _place(self, intent: Intent) -> bool:
        """Send it, once; whether its broker has said that it works.

        Where nobody knows what became of it, its fate is read from the book before anything else.
        """
        self.tell(f"{self.broker.account}: {intent.side} {intent.quantity} {intent.contract.name} at {intent.limit:f}")
        try:
            report = await self.broker.place(approve(intent))
        except Unavailable as error:
            self.tell(f"{self.broker.account}: not taken: {error}")
        except Exception as error:  # whatever it was, the order may have left before it
            LOG.warning("placing %s: %s", intent.id, error)
            await self._read_up(intent.id)
        else:
            if report.message:
                self.tell(f"{self.broker.account}: {report.state}: {report.message}")
            return not report.state.is_final
        return False

    async def _read_up(self, tag: str) -> None:
        """Return when the order shows, or is nowhere by three good reads over thirty seconds."""
        reads, started = 0, self.clock.now()
        while reads < GOOD_READS or self.clock.now() - started < READS_SPAN:
            try:
                if any(report.tag == tag for report in await self.broker.orders()):
                    return
                reads += 1
            except (Unavailable, Unclear) as error:
                LOG.warning("%s: %s", self.broker.account, error)
            await self.clock.sleep_until(self.clock.now() + READ_EVERY)

    async def _until_final(self, tags: set[str], taken: set[str]) -> None:
        """Return when all of them are final, or it has taken too long.

        What was taken may still be filled while the book does not show it yet, so that is waited for until it does.
        """
        started = self.clock.now()
        while True:
            waited = self.clock.now() - started
            try:
                mine = [report for report in await self.broker.orders() if report.tag in tags]
            except (Unavailable, Unclear) as error:
                LOG.warning("%s: %s", self.broker.account, error)
                mine = []
            hidden = taken - {report.tag for report in mine}
            if waited >= (READS_SPAN if hidden else FILLED_WITHIN):
                return
            if not hidden and all(report.state.is_final for report in mine):
                return
            await self.clock.sleep_until(self.clock.now() + _AGAIN_AFTER / (4 if waited < FILLED_WITHIN else 1))


def _turn(contract: Contract, units: int) -> int:
    if units > 0:
        return 2
    return 0 if contract.type.is_option else 1


async def flatten_all(accounts: Sequence[Direct]) -> Mapping[str, Mapping[Contract, int]]:
    """Close the accounts beside each other; of each what is left. One that fails keeps no other from being closed."""
    left = await asyncio.gather(*(each.flatten() for each in accounts), return_exceptions=True)
    found: dict[str, Mapping[Contract, int]] = {}
    for each, result in zip(accounts, left, strict=True):
        if isinstance(result, OptionBasketsError):
            each.tell(f"{each.broker.account}: {result}")
            found[each.broker.account] = await each.broker.positions()
        elif isinstance(result, BaseException):
            raise result
        else:
            found[each.broker.account] = result
    return found
