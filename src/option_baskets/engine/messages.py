"""Queued messages: what enters a run, and what looks at its exit, at the instant."""

from option_baskets.domain.run import Run
from option_baskets.engine.errand import carried
from option_baskets.ports import Message

ENTER_RUN = "enter"
EXIT_RUN = "exit"


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
