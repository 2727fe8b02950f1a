"""Events where many processes work: each becomes messages to the users it is about, and shifts do the rest.

The emitter's four events come here instead of to the handlers of a day (``engine/day.py``). What needs no broker is
done at once: claims of what is due, and prices kept for readers.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from option_baskets.domain.cadence import Cadence, planned_until
from option_baskets.domain.events import Event, EventType
from option_baskets.engine.errand import on_errand, tick_id
from option_baskets.engine.messages import CHECK, COMPARE, EVENING, MORNING, work_message
from option_baskets.engine.quotes import refresh_quotes
from option_baskets.engine.schedule import schedule_due
from option_baskets.engine.trading import Trading
from option_baskets.ports import Message, Queue
from option_baskets.store.inbox import Inbox

_MESSAGES_A_COMMIT = 50


async def dispatch(trading: Trading, event: Event, cadence: Cadence) -> None:
    """Handle one event of the emitter. ``trading`` has no brokers, and its session is set.

    It may be handled twice: claims are made once, and messages of one instant are one item.
    """
    with on_errand(tick_id(event.at), event.at):
        await _dispatch(trading, event, cadence)


async def _dispatch(trading: Trading, event: Event, cadence: Cadence) -> None:
    session = trading.session
    assert session is not None
    match event.type:
        case EventType.REFRESH_MARKET_DATA:
            trading.runs.adopt(await trading.books.active_runs())
            await refresh_quotes(trading, event)
        case EventType.CHECK_STOP_LOSS:
            await _to_holders(trading, CHECK, event.at)
        case EventType.CHECK_DUPLICATE_ORDERS:
            await _to_holders(trading, COMPARE, event.at)
        case EventType.SCHEDULE_STRATEGY_TRIGGER:
            await schedule_due(trading, session, event, planned_until(cadence, session, event.at))


async def begin_session(trading: Trading, at: datetime) -> None:
    """At a session's beginning: whoever holds something from before takes it over."""
    await _to_holders(trading, MORNING, at)


async def end_session(trading: Trading, at: datetime) -> None:
    """At its close: what expired settles, and what goes on is handed on."""
    await _to_holders(trading, EVENING, at)


async def _to_holders(trading: Trading, kind: str, at: datetime) -> None:
    """To every user with a run that has begun."""
    await send(trading, [work_message(kind, user_id, at) for user_id in await trading.books.holders()])


async def sweep(queue: Queue, inbox: Inbox, until: datetime, shards: Iterable[int]) -> int:
    """Have somebody come for what was due by an instant and is not done: its wake-up was lost. How many there were."""
    found = await asyncio.gather(*(inbox.overdue(shard, until) for shard in shards))
    overdue = [message for messages in found for message in messages]
    await queue.sent(overdue)
    return len(overdue)


async def send(trading: Trading, messages: list[Message]) -> None:
    """Commit the messages, then have somebody come for them."""
    for start in range(0, len(messages), _MESSAGES_A_COMMIT):
        some = messages[start : start + _MESSAGES_A_COMMIT]
        await trading.books.commit(*(trading.queue.write(message) for message in some))
        await trading.queue.sent(some)
