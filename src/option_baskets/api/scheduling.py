"""What a save, or the end of a pause, has to do with today: entries the schedule trigger has already passed."""

from option_baskets.api.http.asking import Asker
from option_baskets.engine.claims import Claims


def claims_of(asker: Asker) -> Claims:
    platform = asker.platform
    return Claims(
        books=platform.books,
        queue=platform.queue,
        facts=platform.facts,
        market=platform.feed,
        session=platform.session(),
    )


async def scheduled(asker: Asker, *strategy_ids: str) -> None:
    """To be called once these strategies are stored as they are to be: with their allocations, and no longer paused.

    Where the trigger has not looked at their minute yet, and outside a session, nothing is done.
    """
    claims = claims_of(asker)
    if claims.session is None:
        return
    for strategy_id in strategy_ids:
        now = asker.platform.market.now()
        await claims.claim_saved(asker.user_id, strategy_id, cadence=asker.platform.cadence, now=now)
