"""The market-data refresh: keep a snapshot of what open runs hold, so that every reader sees the same recent prices."""

from datetime import timedelta

from option_baskets.domain.events import Event
from option_baskets.engine.trading import Trading

KEPT_FOR = timedelta(seconds=300)


async def refresh_quotes(trading: Trading, event: Event) -> None:
    """Handle ``RefreshMarketData``: store spots and the last prices of every held contract, for 300 seconds."""
    runs = trading.runs.all()
    if not runs:
        return
    snapshot = await trading.market.snapshot(event.at)
    prices: dict[str, str] = {}
    for underlying in sorted({run.strategy.underlying for run in runs}):
        spot = snapshot.spot(underlying)
        if spot is not None:
            prices[underlying] = str(spot.last)
    for contract in sorted({p.contract for run in runs for p in run.positions if p.open}, key=lambda each: each.key):
        quote = snapshot.quote(contract)
        if quote is not None:
            prices[contract.key] = str(quote.last)
    await trading.books.save_market_snapshot(event.at, prices, keep=KEPT_FOR)
