"""The market-data refresh: keep a snapshot of what open runs hold or wait for, so that every reader sees the same.

It expires after 300 seconds.
"""

from option_baskets.domain.events import Event
from option_baskets.engine.trading import Trading
from option_baskets.store.records import MarketRecord


async def refresh_quotes(trading: Trading, event: Event) -> None:
    """Handle ``RefreshMarketData``: store spots and the prices of every contract held or waited for."""
    runs = trading.runs.all()
    if not runs:
        return
    snapshot = await trading.market.snapshot(event.at)
    used = {position.contract for run in runs for position in run.positions if position.open}
    used |= {contract for run in runs for pending in run.pending for contract in pending.watches}
    records = []
    for underlying in sorted({run.strategy.underlying for run in runs}):
        spot = snapshot.spot(underlying)
        quotes = {contract.key: snapshot.quote(contract) for contract in used if contract.underlying == underlying}
        prices = {key: quote.last for key, quote in sorted(quotes.items()) if quote is not None}
        records.append(
            MarketRecord(underlying=underlying, at=event.at, spot=spot.last if spot else None, prices=prices)
        )
    await trading.books.commit(*map(trading.books.put_market, records))
