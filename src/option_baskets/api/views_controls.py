"""Kill switches and what they leave open, on the wire."""

from dataclasses import dataclass
from datetime import datetime

from option_baskets.api.views_runs import SummaryView
from option_baskets.api.views_trading import exchange_time
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.domain.session import IST
from option_baskets.engine.left import Left


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftView:
    """What is not flat on one account, by the journal."""

    account: str
    open_positions: int
    working_orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KillView:
    """A switch that is thrown. It stands until somebody re-arms, over nights and restarts too."""

    id: str
    """``user``, or ``{scope}~{id}``."""
    scope: KillScope
    subject_id: str | None
    """Of the account, basket or strategy; null: everything."""
    thrown_at: datetime
    thrown_by: str
    reason: str
    taken_up_at: datetime | None
    """When the engine saw it, and from when on nothing is entered and what is open is being closed; null: not yet."""
    is_flat: bool
    """Nothing behind it is open or working."""
    left: tuple[LeftView, ...]

    @classmethod
    def of(cls, kill: Kill, left: Left) -> "KillView":
        scope, name = kill.subject
        return cls(
            id=kill_id(kill.subject),
            scope=scope,
            subject_id=name or None,
            thrown_at=kill.at.astimezone(IST),
            thrown_by=kill.actor,
            reason=kill.reason,
            taken_up_at=exchange_time(kill.seen_at),
            is_flat=left.is_flat,
            left=left_views(left),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitView:
    """What was asked to be closed."""

    strategy_id: str
    runs: tuple[SummaryView, ...]
    """Open as of now; they are being closed."""
    left: tuple[LeftView, ...]


def left_views(left: Left) -> tuple[LeftView, ...]:
    return tuple(
        LeftView(
            account=account,
            open_positions=left.positions.get(account, 0),
            working_orders=left.orders.get(account, 0),
        )
        for account in left.accounts
    )


def kill_id(subject: Killed) -> str:
    """A switch as it stands in URLs."""
    scope, name = subject
    return f"{scope}~{name}" if name else scope.value


def subject_of(text: str) -> Killed | None:
    """What a switch in a URL is of; None where the text is none."""
    word, _, name = text.partition("~")
    scope = next((each for each in KillScope if each == word), None)
    if scope is None or (scope is KillScope.USER) is bool(name) or text != kill_id((scope, name)):
        return None
    return scope, name


LEFT = LeftView(account="zerodha-1", open_positions=2, working_orders=1)
KILL = KillView(
    id="account~zerodha-1",
    scope=KillScope.ACCOUNT,
    subject_id="zerodha-1",
    thrown_at=datetime(2026, 11, 24, 10, 2, 11, tzinfo=IST),
    thrown_by="u0f3c9a1e5b7d2468",
    reason="wrong file",
    taken_up_at=None,
    is_flat=False,
    left=(LEFT,),
)
