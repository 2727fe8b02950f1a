"""Limits of losses over many runs: of a user, an account, a basket, and of a strategy's part on one account.

A day's profit is net of the charges accrued and counted from the previous close's marks, open positions included. A leg
without a newer price keeps its last one and never suppresses a limit. Everything is exact, in rupees, of one user.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.basket import Basket
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import HUNDRED, ZERO
from option_baskets.domain.mtm import profit_at
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run


class Over(StrEnum):
    """Over what a limit sums, in the order of evaluation."""

    USER = "user"
    ACCOUNT = "account"
    BASKET = "basket"
    ALLOCATION = "allocation"


EXIT_REASONS = {
    Over.USER: ExitReason.USER_STOP,
    Over.ACCOUNT: ExitReason.ACCOUNT_STOP,
    Over.BASKET: ExitReason.BASKET_STOP,
    Over.ALLOCATION: ExitReason.ALLOCATION_STOP,
}
REFUSALS = {
    Over.USER: Reason.USER_STOPPED,
    Over.ACCOUNT: Reason.ACCOUNT_STOPPED,
    Over.BASKET: Reason.BASKET_STOPPED,
    Over.ALLOCATION: Reason.ALLOCATION_STOPPED,
}


class Rule(StrEnum):
    MAX_DAILY_LOSS = "max_daily_loss"
    MAX_DRAWDOWN = "max_drawdown_percent"


Subject = tuple[Over, str, str]
"""What is limited: (user, "", ""), (account, id, ""), (basket, id, "") or (allocation, strategy, account)."""
EVERYTHING: Subject = (Over.USER, "", "")
"""All that the user has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLimits:
    """What a user may lose over everything together."""

    max_daily_loss: Decimal | None = None
    """Rupees of net loss in a day at which everything is left for the rest of that day."""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one account's part of a run made since the previous close, net rupees."""

    basket: str
    strategy: str
    account: str
    net: Decimal

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What it counts for."""
        return subjects(self.basket, self.strategy, self.account)


def subjects(basket: str, strategy: str, account: str) -> tuple[Subject, ...]:
    """What a part of a run is subject to, in the order of evaluation."""
    return EVERYTHING, (Over.ACCOUNT, account, ""), (Over.BASKET, basket, ""), (Over.ALLOCATION, strategy, account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one user, rupees above zero; what has none is absent."""

    losses: Mapping[Subject, Decimal] = field(default_factory=dict)
    falls: Mapping[str, Decimal] = field(default_factory=dict)
    """Basket → how far it may fall from its highest."""

    @property
    def any(self) -> bool:
        return bool(self.losses or self.falls)


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWater:
    """A basket's net profit over all days since it has a limit on its fall, rupees. Its capital cancels out."""

    made: Decimal = ZERO
    """Up to the close of ``counted``."""
    highest: Decimal = ZERO
    """The most that was ever made, at least nothing: at the beginning there is the capital."""
    counted: date | None = None
    """The last day whose close is in ``made``."""

    def at(self, today: Decimal) -> "HighWater":
        """With what today's profit shows; the very same if it is no new high."""
        made = self.made + today
        return replace(self, highest=made) if made > self.highest else self

    def fall(self, today: Decimal) -> Decimal:
        return self.highest - self.made - today

    def closed(self, day: date, today: Decimal) -> "HighWater":
        """After the day's close; a day that is counted already changes nothing."""
        if self.counted is not None and day <= self.counted:
            return self
        return replace(self.at(today), made=self.made + today, counted=day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A limit that is reached: nothing more is entered there that day, and what is open is closed."""

    subject: Subject
    rule: Rule
    loss: Decimal
    """Rupees lost, or fallen from the highest."""
    limit: Decimal


def results(run: Run, market: Snapshot, charges: Mapping[str, Decimal]) -> Iterator[Result]:
    """One for every account on which something was entered. ``charges`` are all of the run's so far, by account."""
    nets: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for position in run.positions:
        if position.entered:
            nets[position.account] += profit_at(position, market)
    for account, profit in nets.items():
        net = profit - charges.get(account, ZERO) - run.baseline.get(account, ZERO)
        yield Result(basket=run.basket.id, strategy=run.strategy.id, account=account, net=net)


def marked(run: Run, market: Snapshot, charges: Mapping[str, Decimal]) -> Run:
    """The run at a session's close: what it made until then is its baseline, and what it holds has a mark."""
    made = {each.account: each.net + run.baseline.get(each.account, ZERO) for each in results(run, market, charges)}
    positions = []
    for position in run.positions:
        quote = market.quote(position.contract) if position.open else None
        positions.append(position if quote is None else replace(position, mark=quote.last))
    return replace(run, positions=tuple(positions), baseline=made)


def limits_losses(run: Run) -> bool:
    """Its basket or an allocation of it has a limit of losses."""
    basket = run.basket
    if basket.max_daily_loss is not None or basket.max_drawdown_percent is not None:
        return True
    return any(each.limits.max_daily_loss is not None for each in run.allocations)


def limits_of(runs: Iterable[Run], accounts: Mapping[str, Decimal], everything: Decimal | None = None) -> Limits:
    """What limits these runs. Of a basket or allocation they know in several versions, the newest counts.

    Args:
        runs: of one user.
        accounts: the loss that each account with a limit may make.
        everything: the loss that the user may make; None: there is no limit.
    """
    baskets: dict[str, Basket] = {}
    allocations: dict[Subject, tuple[int, Decimal | None]] = {}
    for run in runs:
        known = baskets.get(run.basket.id)
        if known is None or run.basket.version > known.version:
            baskets[run.basket.id] = run.basket
        for each in run.allocations:
            subject = (Over.ALLOCATION, run.strategy.id, each.account)
            if subject not in allocations or each.version > allocations[subject][0]:
                allocations[subject] = (each.version, each.limits.max_daily_loss)
    losses: dict[Subject, Decimal] = {} if everything is None else {EVERYTHING: everything}
    losses |= {(Over.ACCOUNT, account, ""): limit for account, limit in accounts.items()}
    losses |= {(Over.BASKET, id_, ""): one.max_daily_loss for id_, one in baskets.items() if one.max_daily_loss}
    losses |= {subject: limit for subject, (_, limit) in allocations.items() if limit}
    falls = {
        id_: one.capital * one.max_drawdown_percent / HUNDRED
        for id_, one in baskets.items()
        if one.max_drawdown_percent
    }
    return Limits(losses=losses, falls=falls)


def totals(parts: Iterable[Result]) -> dict[Subject, Decimal]:
    """Net rupees of everything that could be limited."""
    sums: defaultdict[Subject, Decimal] = defaultdict(lambda: ZERO)
    for part in parts:
        for subject in part.subjects:
            sums[subject] += part.net
    return dict(sums)


def breaches(made: Mapping[Subject, Decimal], limits: Limits, highs: Mapping[str, HighWater]) -> tuple[Breach, ...]:
    """Every limit that is reached, in the order of evaluation.

    A basket that is as far below its highest as it was on an earlier day is at its limit before it enters anything.

    Args:
        made: as from ``totals``.
        highs: of every basket with a limit on its fall, brought up to date with ``made``.
    """
    found = [
        Breach(subject=subject, rule=Rule.MAX_DAILY_LOSS, loss=-made[subject], limit=limit)
        for subject, limit in limits.losses.items()
        if subject in made and made[subject] <= -limit
    ]
    for basket, limit in limits.falls.items():
        subject = (Over.BASKET, basket, "")
        fall = highs[basket].fall(made.get(subject, ZERO))
        if fall >= limit:
            found.append(Breach(subject=subject, rule=Rule.MAX_DRAWDOWN, loss=fall, limit=limit))
    order = tuple(Over)
    return tuple(sorted(found, key=lambda breach: (order.index(breach.subject[0]), breach.subject[1:])))
