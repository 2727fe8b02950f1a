"""The whole strategy entered again: once a run that its own stop or target closed is flat, the next cycle begins."""

from dataclasses import replace
from datetime import datetime

from option_baskets.domain.entry_rules import Restart
from option_baskets.domain.ids import run_id
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST

MOST_RESTARTS = 20
"""After stops, and as many after targets."""
_TARGETS = frozenset({ExitReason.STRATEGY_TARGET, ExitReason.LOCK})
_FINAL = frozenset(
    {
        ExitReason.KILL,
        ExitReason.MANUAL,
        ExitReason.EXTERNAL,
        ExitReason.BASKET_STOP,
        ExitReason.ALLOCATION_STOP,
        ExitReason.ACCOUNT_STOP,
        ExitReason.USER_STOP,
    }
)
"""A person, the account or a limit closed something: what they ended is not begun again."""


def restarted(run: Run, at: datetime) -> tuple[Run, Run] | None:
    """The run with the name of its successor, and that successor, due at ``at``; None where there is none.

    ``at`` is when the run closed. The successor keeps the plan and the exit of the run and resolves its contracts anew
    when it enters. Restarts after a stop and after a target, to which a lock counts, are counted separately.
    """
    rule = run.strategy.restart
    if rule is None or run.followed_by or run.status is not RunStatus.CLOSED:
        return None
    counted = _counted(run)
    if counted is None or not is_allowed(counted, rule) or not _is_early(run, at):
        return None
    successor = Run(
        id=run_id(run.date, run.strategy.id, run.cycle + 1),
        user_id=run.user_id,
        date=run.date,
        cycle=run.cycle + 1,
        basket=run.basket,
        strategy=run.strategy,
        allocations=run.allocations,
        entry_at=at,
        exit_at=run.exit_at,
        dynamic=run.dynamic,
        restarts=counted,
    )
    return replace(run, followed_by=successor.id), successor


def is_allowed(counted: Restart, rule: Restart | None) -> bool:
    """Whether so many restarts lie within the rule."""
    return rule is not None and counted.on_stop <= rule.on_stop and counted.on_target <= rule.on_target


def _counted(run: Run) -> Restart | None:
    """The restarts with this one; None: nothing closed the run that would begin it again."""
    reasons = {position.exit_reason for position in run.positions}
    if reasons & _FINAL:
        return None
    if ExitReason.STRATEGY_STOP in reasons:
        return replace(run.restarts, on_stop=run.restarts.on_stop + 1)
    if reasons & _TARGETS:
        return replace(run.restarts, on_target=run.restarts.on_target + 1)
    return None


def _is_early(run: Run, at: datetime) -> bool:
    until = run.strategy.reenter_until
    return at < run.exit_at and (until is None or at.astimezone(IST).time() < until)
