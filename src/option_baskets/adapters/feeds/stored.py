"""A market kept in the table: whoever has a feed writes chains, and every process reads the newest it may know.

A chain is one underlying with all its contracts at an instant, one item. It expires: this is a market to trade by, not
a history (``feeds/canonical.py`` is).
"""

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.ports import Item, Put, Table, TableName
from option_baskets.store import codec, keys

KEPT = timedelta(days=3)
_TABLE = TableName.CONFIGURATIONS
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    listing: Listing
    quote: Quote | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One underlying at an instant."""

    underlying: str
    at: datetime
    stale_after: timedelta
    spot: Quote | None
    monthly: tuple[date, ...]
    steps: tuple[tuple[date, Decimal], ...]
    """Strike interval near the money by expiry."""
    contracts: tuple[Priced, ...]


def chain_of(snapshot: Snapshot, underlying: str) -> Chain:
    """What a snapshot knows of one underlying."""
    listed = [listing for each in snapshot.contracts() if (listing := snapshot.listing(each)) is not None]
    mine = [listing for listing in listed if listing.contract.underlying == underlying]
    expiries = snapshot.expiries(underlying)
    return Chain(
        underlying=underlying,
        at=snapshot.at,
        stale_after=snapshot.stale_after,
        spot=snapshot.spot(underlying),
        monthly=snapshot.monthly_expiries(underlying),
        steps=tuple((expiry, snapshot.strike_step(underlying, expiry)) for expiry in expiries),
        contracts=tuple(Priced(listing=each, quote=snapshot.quote(each.contract)) for each in mine),
    )


def put_chain(chain: Chain) -> Put:
    """The write that makes it known; the newest at or before an instant is what is known then.

    Raises:
        Invalid: when it is committed, where it is larger than an item may be: some 4,000 contracts.
    """
    pk, sk = keys.chain(chain.underlying, chain.at)
    expires = keys.expiry_of(chain.at + KEPT)
    return Put(table=_TABLE, item=Item(pk=pk, sk=sk, body=zlib.compress(codec.encode(chain)), expires_at=expires))


def put_settlement(underlying: str, expiry: date, price: Decimal) -> Put:
    pk, sk = keys.final_settlement(underlying, expiry)
    return Put(table=_TABLE, item=Item(pk=pk, sk=sk, body=codec.encode(price)))


class StoredFeed:
    """MarketData over what was written. One query an underlying and minute."""

    def __init__(self, table: Table, underlyings: Iterable[str]) -> None:
        self._table = table
        self._underlyings = tuple(underlyings)
        self._known: dict[str, Chain] = {}
        self._latest: StoredSnapshot | None = None

    async def snapshot(self, at: datetime) -> Snapshot:
        """Raises Unavailable: nothing was ever written of any underlying by then."""
        latest = self._latest
        if latest is not None and latest.at == at and all(chain.at == at for chain in latest.chains.values()):
            return latest
        found = await asyncio.gather(*(self._newest(each, at) for each in self._underlyings))
        chains = {chain.underlying: chain for chain in found if chain is not None}
        if not chains:
            raise Unavailable(f"no prices are stored up to {at}: nobody writes them")
        self._latest = StoredSnapshot(at, chains)
        return self._latest

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        item = await self._table.get(_TABLE, *keys.final_settlement(underlying, expiry))
        return None if item is None else codec.decode(item.body, Decimal)

    async def _newest(self, underlying: str, at: datetime) -> Chain | None:
        known = self._known.get(underlying)
        if known is not None and known.at == at:
            return known
        pk, until = keys.chain(underlying, at)
        page = await self._table.query(_TABLE, pk, between=("0", until), descending=True, limit=1)
        if not page.items:
            return None
        if known is None or page.items[0].sk != keys.timestamp(known.at):
            known = self._known[underlying] = codec.decode(zlib.decompress(page.items[0].body), Chain)
        return known


class StoredSnapshot:
    """The Snapshot of chains that were known at an instant."""

    def __init__(self, at: datetime, chains: dict[str, Chain]) -> None:
        self.at = at
        self.chains = chains
        every = [priced for chain in chains.values() for priced in chain.contracts]
        self._priced = {priced.listing.contract: priced for priced in every}
        self._steps = {(chain.underlying, day): step for chain in chains.values() for day, step in chain.steps}

    @property
    def stale_after(self) -> timedelta:
        """That of their market, and a minute: until the next chain is written, this one is the newest."""
        return max(chain.stale_after for chain in self.chains.values()) + _MINUTE

    def quote(self, contract: Contract) -> Quote | None:
        priced = self._priced.get(contract)
        return priced.quote if priced else None

    def spot(self, underlying: str) -> Quote | None:
        chain = self.chains.get(underlying)
        return chain.spot if chain else None

    def expiries(self, underlying: str) -> tuple[date, ...]:
        return tuple(sorted(day for name, day in self._steps if name == underlying))

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]:
        chain = self.chains.get(underlying)
        return chain.monthly if chain else ()

    def listing(self, contract: Contract) -> Listing | None:
        priced = self._priced.get(contract)
        return priced.listing if priced else None

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        mine = (each for each in self._priced if (each.underlying, each.expiry) == (underlying, expiry))
        return tuple(sorted({each.strike for each in mine if each.strike is not None}))

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        return self._steps[underlying, expiry]

    def contracts(self) -> Iterable[Contract]:
        return self._priced.keys()
