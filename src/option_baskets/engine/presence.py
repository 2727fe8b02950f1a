"""When the engine was there: the beginning of a day, going on after a restart, and the end, in every user's history."""

import contextlib
import logging
from collections.abc import Iterable, Sequence

from option_baskets.domain.errors import Unavailable
from option_baskets.engine.trading import Trading
from option_baskets.store.records import Occurrence, What

LOG = logging.getLogger(__name__)

_WRITES_A_COMMIT = 100


async def note_beginning(trading: Trading, *, resumed: bool) -> None:
    """Keep that the day begins here, or goes on after a process before this one has ended in the middle of it."""
    await _note(trading, What.RESTARTED if resumed else What.STARTED, "process")


async def note_coming(trading: Trading, user_id: str) -> None:
    """Keep that the engine is there for a user whose first account came in the middle of the day."""
    await _note(trading, What.STARTED, "account", [user_id])


async def note_end(trading: Trading) -> None:
    """Keep that the day is over and everything of it is done."""
    await _note(trading, What.STOPPED, "day_over")


async def _note(trading: Trading, what: What, cause: str, users: Sequence[str] = ()) -> None:
    """Of everybody, where nobody is named.

    A store that cannot take it keeps nobody from trading; it is told, as far as that can be written.
    """
    now = trading.clock.now()
    users = users or sorted({user for user, _ in trading.desk.brokers})
    day = trading.close_of_day().date().isoformat()
    deeds = [Occurrence(user_id=user, at=now, what=what, cause=cause, detail=f"session of {day}") for user in users]
    try:
        for some in _groups(deeds):
            await trading.books.commit(*(trading.books.put_occurrence(each) for each in some))
    except Unavailable as error:
        LOG.warning("that the engine %s is not written: %s", what, error)
        with contextlib.suppress(Unavailable):
            for user in users:
                await trading.failed(user, f"noting that the engine {what}", error)


def _groups(deeds: list[Occurrence]) -> Iterable[list[Occurrence]]:
    return (deeds[first : first + _WRITES_A_COMMIT] for first in range(0, len(deeds), _WRITES_A_COMMIT))
