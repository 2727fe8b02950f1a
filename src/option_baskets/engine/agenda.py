"""What enters and what leaves on a day, and why a strategy does not: by the same rules that claim runs.

Expiries are those of the market's contract list on its own day, and of the calendar's on any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, BrokerAccount, Strategy
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.due import why_not_due
from option_baskets.domain.errors import NotFound
from option_baskets.domain.facts import Exchange, Facts, ListedSeries
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.instrument import listed_expiries as calendar_of
from option_baskets.domain.kill import Kill, KillScope
from option_baskets.domain.losses import REFUSALS, Over
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST, Session, session_on, trading_days_after
from option_baskets.engine.claims import expiries_of, planned_run
from option_baskets.store.books import Books, DueStrategy, Fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One strategy on the day."""

    basket: Basket
    strategy: Strategy
    accounts: tuple[str, ...]
    planned: Run | None
    """Its entry and its exit by the plan as it is now; None: it is not due."""
    reason: Reason | None
    """Why nothing is entered that is not entered yet; None: it will be."""
    detail: str
    runs: tuple[Run, ...]
    """What was claimed for the day, by cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """One user's day."""

    day: date
    sessions: Mapping[Exchange, Session | None]
    entries: tuple[Entry, ...]
    """Every strategy, by entry time, then by id."""
    exits: tuple[Run, ...]
    """Open runs that leave on the day, whichever day they were entered, by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What a user has planned, and what keeps it from being entered."""

    baskets: Mapping[str, Basket]
    strategies: Sequence[Strategy]
    allocations: Mapping[str, tuple[Allocation, ...]]
    """Strategy → its allocations, in order of priority."""
    accounts: Mapping[str, BrokerAccount]


async def plans_of(books: Books, user_id: str) -> Plans:
    """Everything a user has planned, in four queries."""
    by_strategy: dict[str, list[Allocation]] = {}
    for each in sorted(await books.allocations(user_id), key=lambda each: (each.priority, each.id)):
        by_strategy.setdefault(each.strategy_id, []).append(each)
    baskets = {basket.id: basket for basket in await books.baskets(user_id)}
    return Plans(
        baskets=baskets,
        strategies=[each for each in await books.strategies(user_id) if each.basket_id in baskets],
        allocations={strategy: tuple(found) for strategy, found in by_strategy.items()},
        accounts={account.id: account for account in await books.accounts(user_id)},
    )


def due_of(plans: Plans, user_id: str, strategy: Strategy) -> DueStrategy:
    """The strategy as the schedule trigger finds it."""
    allocations = plans.allocations.get(strategy.id, ())
    return DueStrategy(
        user_id=user_id, basket=plans.baskets[strategy.basket_id], strategy=strategy, allocations=allocations
    )


async def agenda_of(
    books: Books, facts: Facts, *, user_id: str, day: date, market: Snapshot | None, session: Session | None = None
) -> Agenda:
    """The user's day.

    Args:
        market: prices and contracts now; those of another day are not asked for expiries.
        session: the one under way, where it is of that day: a recorded one is the authority for its hours.
    """
    plans = await plans_of(books, user_id)
    listed = listed_on(facts, day, market)
    sessions = {exchange: _session(facts, day, exchange, session) for exchange in Exchange}
    fenced = {fence.subject: fence for fence in await books.fences(user_id, day)}
    kills = {kill.subject: kill for kill in await books.kills_of(user_id)}
    runs: dict[str, list[Run]] = {}
    for run in await books.runs_on(user_id, day):
        runs.setdefault(run.strategy.id, []).append(run)
    entries = [
        _entry(
            facts,
            plans,
            due_of(plans, user_id, strategy),
            sessions[Exchange(exchange_of(facts, strategy.underlying))],
            listed,
            sorted(runs.get(strategy.id, ()), key=lambda run: run.cycle),
            barred(plans, strategy, kills, fenced),
        )
        for strategy in plans.strategies
    ]
    leaving = [run for run in await books.open_runs(user_id) if run.exit_at.astimezone(IST).date() == day]
    return Agenda(
        day=day,
        sessions=sessions,
        entries=tuple(sorted(entries, key=lambda each: (each.strategy.schedule.entry, each.strategy.id))),
        exits=tuple(sorted(leaving, key=lambda run: (run.exit_at, run.id))),
    )


def is_due_on(
    facts: Facts,
    due: DueStrategy,
    day: date,
    market: Snapshot | None,
    session: Session | None = None,
) -> bool:
    """Whether the plan has it entered on a day, whatever may keep it from that. ``session`` as for ``agenda_of``."""
    of_day = _session(facts, day, Exchange(exchange_of(facts, due.strategy.underlying)), session)
    return of_day is not None and planned_run(facts, of_day, due, listed_on(facts, day, market), ()) is not None


def barred(
    plans: Plans,
    strategy: Strategy,
    kills: Mapping[tuple[KillScope, str], Kill],
    fenced: Mapping[tuple[Over, str, str], Fence],
) -> tuple[Reason, str] | None:
    """What keeps all of a strategy from being entered, the widest first."""
    basket = plans.baskets[strategy.basket_id]
    for subject in ((KillScope.USER, ""), (KillScope.BASKET, basket.id), (KillScope.STRATEGY, strategy.id)):
        if subject in kills:
            return Reason.KILLED, kills[subject].told
    for over, fence in ((each[0], fenced[each]) for each in fenced if each[0] is not Over.ACCOUNT):
        if fence.subject[1:] in {("", ""), (basket.id, "")}:
            return REFUSALS[over], f"{fence.rule} of {fence.limit:f} was reached at {fence.at.astimezone(IST):%H:%M}"
    if basket.paused:
        return Reason.PAUSED, f"basket {basket.name} is paused"
    if strategy.paused:
        return Reason.PAUSED, f"{strategy.name} is paused"
    if not plans.allocations.get(strategy.id):
        return Reason.ACCOUNT_UNKNOWN, "no lots are allocated to any account"
    return None


def _entry(
    facts: Facts,
    plans: Plans,
    due: DueStrategy,
    session: Session | None,
    listed: Snapshot,
    runs: Sequence[Run],
    bar: tuple[Reason, str] | None,
) -> Entry:
    strategy = due.strategy
    accounts = tuple(each.account for each in due.allocations)
    known = [plans.accounts[each] for each in accounts if each in plans.accounts]
    planned = None if session is None else planned_run(facts, session, due, listed, known)
    reason: Reason | None = None
    detail = ""
    if session is None:
        reason, detail = (
            Reason.SESSION_CLOSED,
            why_closed(facts, listed.at.date(), Exchange(exchange_of(facts, strategy.underlying))),
        )
    elif planned is None:
        reason, detail = Reason.NOT_DUE, _why(facts, strategy, session, listed)
    elif bar is not None:
        reason, detail = bar
    elif planned[1] is not None:
        reason, detail = planned[1].reason, str(planned[1])
    else:
        detail = planned[0].detail
    return Entry(
        basket=due.basket,
        strategy=strategy,
        accounts=accounts,
        planned=planned[0] if planned is not None else None,
        reason=reason,
        detail=detail,
        runs=tuple(runs),
    )


def _why(facts: Facts, strategy: Strategy, session: Session, listed: Snapshot) -> str:
    exchange = exchange_of(facts, strategy.underlying)
    first = min(expiries_of(strategy, listed), default=None)
    why = why_not_due(strategy, session, first, lambda day: trading_days_after(facts, session.date, day, exchange))
    return why or ""


def why_closed(facts: Facts, day: date, exchange: Exchange) -> str:
    """Why an exchange has no session on a day it has none on."""
    holiday = facts.holidays.get((exchange, day))
    return f"{holiday.name} is a holiday" if holiday is not None else f"there is no session on a {day:%A}"


def _session(facts: Facts, day: date, exchange: Exchange, under_way: Session | None) -> Session | None:
    if under_way is not None and under_way.date == day:
        return under_way
    return session_on(facts, day, exchange)


# ---------------------------------------------------------------- contracts by the calendar


def listed_on(facts: Facts, day: date, market: Snapshot | None) -> Snapshot:
    """What says which expiries are listed on a day: the market's list on its own day, else the calendar."""
    if market is not None and market.at.astimezone(IST).date() == day:
        return market
    return _Calendar(facts, day)


class _Calendar:
    """A snapshot of a day on which nothing is known but the calendar: expiries, and no price."""

    def __init__(self, facts: Facts, day: date) -> None:
        self._facts = facts
        self._day = day

    @property
    def at(self) -> datetime:
        return datetime.combine(self._day, time.min, IST)

    @property
    def stale_after(self) -> timedelta:
        return timedelta(0)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        return tuple(dict.fromkeys(each.date for each in calendar_of(self._facts, underlying, self._day)))

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]:
        listed = calendar_of(self._facts, underlying, self._day)
        return tuple(each.date for each in listed if each.series is ListedSeries.MONTHLY)

    def quote(self, _: Contract) -> Quote | None:
        return None

    def spot(self, _: str) -> Quote | None:
        return None

    def listing(self, _: Contract) -> Listing | None:
        return None

    def strikes(self, _: str, __: date) -> tuple[Decimal, ...]:
        return ()

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        raise NotFound(f"the calendar has no strikes of {underlying} {expiry}")

    def contracts(self) -> Iterable[Contract]:
        return ()
