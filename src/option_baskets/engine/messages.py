"""Queued messages: what enters a run, what looks at its exit, and what else is to be done for a user, at an instant."""

from datetime import datetime, timedelta

from option_baskets.domain.run import Run
from option_baskets.engine.errand import carried
from option_baskets.ports import Message

ENTER_RUN = "enter"
EXIT_RUN = "exit"
CHECK = "check"
"""Look at every rule of the user."""
COMPARE = "compare"
"""And compare the accounts with their brokers."""
LOOK = "look"
"""A kill switch was thrown or released, or a strategy is to be left."""
MORNING, EVENING = "morning", "evening"
"""A session begins, or has ended, with something held."""
PRICES = "prices"
"""Some minutes after the open: tell what is held and has no price."""

AHEAD = timedelta(seconds=10)
"""What is due so soon is waited for by whoever works for the user, instead of ending before it."""


def work_message(kind: str, user_id: str, at: datetime) -> Message:
    """Work of a user at an instant, once an instant."""
    return Message(id=f"{kind}-{at:%Y%m%dT%H%M%S%f}", at=at, kind=kind, body={"user_id": user_id, **carried()})


def entry_message(run: Run) -> Message:
    """Enters the run at its instant; an entry that was moved is another message."""
    return Message(
        id=f"{ENTER_RUN}-{run.user_id}-{run.id}-{run.entry_at:%H%M}",
        at=run.entry_at,
        kind=ENTER_RUN,
        body={"user_id": run.user_id, "run_id": run.id, **carried()},
    )


def exit_message(run: Run) -> Message:
    return Message(
        id=f"{EXIT_RUN}-{run.user_id}-{run.id}-{run.exit_at:%Y%m%d%H%M}",
        at=run.exit_at,
        kind=EXIT_RUN,
        body={"user_id": run.user_id, "run_id": run.id, **carried()},
    )
