"""Entries by hand: a run claimed now, whatever its schedule says, with everything else an entry has to pass.

A strategy has one run a day by its schedule, cycle 0. Entered by hand before that one is claimed, it is that run and
is not entered again at its minute. Every other run by hand begins a hundred of its own, so that its restarts and those
of other runs never meet.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.errors import Conflict, NotFound, Refused
from option_baskets.domain.facts import Facts
from option_baskets.domain.ids import run_id
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.kill import killed_with
from option_baskets.domain.losses import EXIT_REASONS, REFUSALS, subjects
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Asked, Run, RunStatus
from option_baskets.domain.session import IST, Session, session_on
from option_baskets.engine.claims import Claims, expiries_of, timed
from option_baskets.store.records import Plan

CYCLES_APART = 100
"""More than a run and all its restarts after stops and targets have."""
_ATTEMPTS = 20


async def enter_now(
    claims: Claims, user_id: str, strategy_id: str, *, at: datetime, actor: str, key: str = "", another: bool = False
) -> Run:
    """Claim a run of the strategy and have it entered at once; weekdays, DTE and its entry minute are not asked.

    Whether it enters is decided where it is entered, by the rules and limits of every entry.

    Args:
        key: a request with the same key again on the same day is the same run.
        another: also where a run of it is open or due.

    Raises:
        NotFound: the user has no such strategy.
        Conflict: a run of it is open, or will be within minutes.
        Refused: nothing is traded now, it is paused, killed or fenced everywhere, or its exit is over.
    """
    plan = await claims.books.plan(user_id, strategy_id)
    if plan is None:
        raise NotFound(f"there is no strategy {strategy_id}")
    for _ in range(_ATTEMPTS):
        today = await _runs_of_today(claims, user_id, strategy_id, at)
        asked = next((run for run in today if key and run.asked is not None and run.asked.key == key), None)
        if asked is not None:
            return asked
        session = _require_trading(claims, plan, at)
        allocations = tuple(await claims.books.current_allocations(user_id, strategy_id))
        await _require_let_in(claims, user_id, plan, allocations, session)
        if not another:
            _require_none_open(plan, [*today, *await _of_earlier_days(claims, user_id, strategy_id, session)])
        run = await _run(claims, user_id, plan, allocations, session, at, today)
        run = replace(run, asked=Asked(by=actor, key=key))
        claimed = await claims.claim(run, at=at, cause="manual", actor=actor)
        if claimed is not None:
            return claimed
    raise Conflict(f"{plan.strategy.name} is being entered by somebody else; look at its runs")


def closed(facts: Facts, session: Session | None, at: datetime, underlying: str) -> Refused:
    """Why nothing is traded at an instant, and when it opens."""
    opens = _next_open(facts, session, at, underlying).astimezone(IST)
    return Refused(
        Reason.SESSION_CLOSED,
        f"nothing is traded at {at.astimezone(IST):%H:%M} on {at.astimezone(IST):%d-%b-%Y}; "
        f"the market opens at {opens:%H:%M} on {opens:%d-%b-%Y}",
    )


def _next_open(facts: Facts, session: Session | None, at: datetime, underlying: str) -> datetime:
    exchange = exchange_of(facts, underlying)
    day = at.astimezone(IST).date()
    today = session if session is not None and session.date == day else session_on(facts, day, exchange)
    for window in today.windows if today is not None else ():
        if window.open > at:
            return window.open
    found = None
    while found is None:
        day += timedelta(days=1)
        found = session_on(facts, day, exchange)
    return found.open


# ---------------------------------------------------------------- what keeps it out


def _require_trading(claims: Claims, plan: Plan, at: datetime) -> Session:
    session = claims.session
    if session is None or not session.is_trading(at):
        raise closed(claims.facts, session, at, plan.strategy.underlying)
    halt = session.halt_at(at)
    if halt is not None:
        raise Refused(
            Reason.MARKET_HALTED, f"trading is halted from {halt.open:%H:%M} to {halt.close:%H:%M}; nothing is entered"
        )
    return session


async def _require_let_in(
    claims: Claims, user_id: str, plan: Plan, allocations: Sequence[Allocation], session: Session
) -> None:
    """Raise Refused where the engine would let no account in; where it lets some in, it refuses the others itself."""
    name = plan.strategy.name
    if plan.strategy.paused or plan.basket.paused:
        what = name if plan.strategy.paused else f"basket {plan.basket.name}"
        raise Refused(Reason.PAUSED, f"{what} is paused; resume it first")
    if not allocations:
        raise Refused(Reason.ACCOUNT_UNKNOWN, f"no lots of {name} are allocated to any account")
    kills = {kill.subject: kill for kill in await claims.books.kills_of(user_id)}
    fences = {fence.subject: fence for fence in await claims.books.fences(user_id, session.date)}
    refusals: list[Refused] = []
    for account in dict.fromkeys(each.account for each in allocations):
        over = (plan.basket.id, plan.strategy.id, account)
        kill = next((kills[each] for each in killed_with(*over) if each in kills), None)
        fence = next((fences[each] for each in subjects(*over) if each in fences), None)
        if kill is not None:
            refusals.append(Refused(Reason.KILLED, f"{kill.told}; arm it first"))
        elif fence is not None:
            limit = fence.subject[0]
            told = f"{EXIT_REASONS[limit]}: the limit of the day is reached, nothing is entered on {account} today"
            refusals.append(Refused(REFUSALS[limit], told))
        else:
            return
    raise Refused(refusals[0].reason, "; ".join(dict.fromkeys(map(str, refusals))))


def _require_none_open(plan: Plan, runs: Sequence[Run]) -> None:
    run = next((run for run in runs if not run.status.is_over), None)
    if run is None:
        return
    when = run.entry_at.astimezone(IST)
    is_due = run.status is RunStatus.SCHEDULED
    if is_due:
        told = f"enters at {when:%H:%M}; wait for it, or ask for another run beside it"
    else:
        told = f"has a run open since {when:%d-%b-%Y %H:%M}; exit it first, or ask for another run beside it"
    raise Conflict(f"{plan.strategy.name} {told}")


# ---------------------------------------------------------------- the run


async def _runs_of_today(claims: Claims, user_id: str, strategy_id: str, at: datetime) -> list[Run]:
    day = at.astimezone(IST).date()
    return [run for run in await claims.books.runs_on(user_id, day) if run.strategy.id == strategy_id]


async def _of_earlier_days(claims: Claims, user_id: str, strategy_id: str, session: Session) -> list[Run]:
    runs = await claims.books.open_runs(user_id)
    return [run for run in runs if run.strategy.id == strategy_id and run.date < session.date]


async def _run(
    claims: Claims,
    user_id: str,
    plan: Plan,
    allocations: tuple[Allocation, ...],
    session: Session,
    at: datetime,
    today: Sequence[Run],
) -> Run:
    """The run as it is to be claimed, on the next free cycle."""
    strategy = plan.strategy
    found = [await claims.books.account(user_id, each.account) for each in allocations]
    accounts = [account for account in found if account is not None]
    expiries = expiries_of(strategy, await claims.market.snapshot(at))
    times = timed(claims.facts, session, strategy, expiries, accounts)
    if at >= times.exit:
        raise Refused(
            Reason.AT_OR_AFTER_EXIT, f"the exit of {strategy.name} at {times.exit:%H:%M} has come; move it first"
        )
    cycle = max((run.cycle // CYCLES_APART + 1 for run in today), default=0) * CYCLES_APART
    return Run(
        id=run_id(session.date, strategy.id, cycle),
        user_id=user_id,
        date=session.date,
        cycle=cycle,
        basket=plan.basket,
        strategy=strategy,
        allocations=allocations,
        entry_at=at,
        exit_at=times.exit,
        detail=times.note,
    )
