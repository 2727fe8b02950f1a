"""Units that follow results: how a total is divided each day over the strategies that share it, by their closed runs.

Everything is exact: net profits are rupees of two decimals, scores have six, shares are fractions. The record of a
division has all that went into it, and ``again`` works it out anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from option_baskets.domain.apportionment import Claim, apportioned
from option_baskets.domain.money import ZERO
from option_baskets.domain.scores import Score, drawdown_of, score_of

FEWEST_RUNS = 5
"""With fewer closed runs a strategy has no score and keeps its units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicPolicy:
    """How strategies of a basket share a total of units."""

    id: str
    total: int
    score: Score = Score.SHARPE
    look_back: int = 20
    """So many closed runs of each strategy count, the newest."""
    least: int = 1
    most: int
    max_step: int = 1
    """By how many units a strategy may change from one day to the next."""
    max_drawdown_percent: Decimal | None = None
    """Of the basket's capital; a strategy that is further below its best goes to ``least`` at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a closed run made."""

    run_id: str
    net: Decimal
    """Rupees over all its accounts after charges, two decimals."""
    unknown: tuple[str, ...] = ()
    """Charges without a known rate, which were not taken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A strategy that shares the total, before it is divided."""

    strategy_id: str
    name: str
    results: tuple[Result, ...]
    """Of its look-back, the oldest first."""
    before: int | None = None
    """Its units on the last day that was divided; None: it was not there."""


class Verdict(StrEnum):
    """What decided a strategy's target."""

    SCORE = "score"
    FEW_RUNS = "few_runs"
    DRAWDOWN = "drawdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a strategy gets and every number on the way there."""

    strategy_id: str
    name: str
    results: tuple[Result, ...]
    before: int
    """Its units on the last day, or of an equal division where it was not there then."""
    is_new: bool
    score: Decimal | None
    """None with too few runs."""
    drawdown: Decimal
    """Rupees: how far its net profit, added up over the look-back, is below its highest, which is at least 0."""
    verdict: Verdict
    target: int
    """In proportion to the scores, within ``least`` and ``most``, whatever the units before."""
    low: int
    high: int
    """Between which its units may be today."""
    units: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsOfDay:
    """A division: its inputs, its steps and its result. ``divide`` gives the same again from what is in it."""

    policy: DynamicPolicy
    basket_id: str
    date: date
    capital: Decimal
    shares: tuple[Share, ...]
    note: str = ""
    """Why the units do not add up to the total, where they do not."""

    def share(self, strategy_id: str) -> Share | None:
        return next((share for share in self.shares if share.strategy_id == strategy_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicUnits:
    """What a run keeps of it: whole units of its strategy over all its accounts with the policy."""

    policy: str
    units: int
    why: str


def divide(
    policy: DynamicPolicy, members: Sequence[Member], *, basket_id: str, capital: Decimal, on: date
) -> UnitsOfDay:
    """The units of a day. ``members`` are in the order in which equal claims are served.

    A strategy beyond its drawdown has ``least``, one with too few runs what it had. The rest of the total goes to the
    others in proportion to their scores, none below zero, each within its bounds and its step: their sum is exactly
    that rest wherever the bounds of those with a score above zero allow.
    """
    begins = _begin(policy, members)
    drafts = [_draft(policy, member, begins[member.strategy_id], capital) for member in members]
    scored = [draft for draft in drafts if draft.verdict is Verdict.SCORE]
    rest = policy.total - sum(draft.low for draft in drafts if draft.verdict is not Verdict.SCORE)
    free = {draft.member.strategy_id: Claim(draft.weight, policy.least, policy.most) for draft in scored}
    stepped = {draft.member.strategy_id: Claim(draft.weight, draft.low, draft.high) for draft in scored}
    targets, units = apportioned(rest, free), apportioned(rest, stepped)
    of_all = sum((draft.weight for draft in scored), Fraction(0))
    shares = []
    for draft in drafts:
        target = targets.get(draft.member.strategy_id, draft.low)
        given = units.get(draft.member.strategy_id, draft.low)
        shares.append(
            Share(
                strategy_id=draft.member.strategy_id,
                name=draft.member.name,
                results=draft.member.results,
                before=draft.before,
                is_new=draft.member.before is None,
                score=draft.score,
                drawdown=draft.drawdown,
                verdict=draft.verdict,
                target=target,
                low=draft.low,
                high=draft.high,
                units=given,
                why=_why(policy, draft, target, given, of_all),
            )
        )
    note = _note(policy, shares)
    return UnitsOfDay(policy=policy, basket_id=basket_id, date=on, capital=capital, shares=tuple(shares), note=note)


def again(record: UnitsOfDay) -> UnitsOfDay:
    """The same division worked out anew from the inputs in its record."""
    members = [
        Member(
            strategy_id=share.strategy_id,
            name=share.name,
            results=share.results,
            before=None if share.is_new else share.before,
        )
        for share in record.shares
    ]
    return divide(record.policy, members, basket_id=record.basket_id, capital=record.capital, on=record.date)


# ---------------------------------------------------------------- what a strategy may have


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    member: Member
    before: int
    score: Decimal | None
    drawdown: Decimal
    verdict: Verdict
    low: int
    high: int

    @property
    def weight(self) -> Fraction:
        return Fraction(max(self.score or ZERO, ZERO))


def equal_units(policy: DynamicPolicy, members: int) -> tuple[int, ...]:
    """The total in equal parts within ``least`` and ``most``; where it is uneven the first are a unit larger."""
    claims = {str(number): Claim(Fraction(1), policy.least, policy.most) for number in range(members)}
    return tuple(apportioned(policy.total, claims).values())


def _begin(policy: DynamicPolicy, members: Sequence[Member]) -> dict[str, int]:
    parts = equal_units(policy, len(members))
    return {member.strategy_id: part for member, part in zip(members, parts, strict=True)}


def _draft(policy: DynamicPolicy, member: Member, begin: int, capital: Decimal) -> _Draft:
    before = begin if member.before is None else member.before
    nets = [result.net for result in member.results]
    drawdown = drawdown_of(nets)
    score = score_of(policy.score, nets) if len(nets) >= FEWEST_RUNS else None
    low = high = _within(before, policy)
    if _is_beyond(policy, drawdown, capital):
        verdict = Verdict.DRAWDOWN
        low = high = policy.least
    elif score is None:
        verdict = Verdict.FEW_RUNS
    else:
        verdict = Verdict.SCORE
        low, high = _within(before - policy.max_step, policy), _within(before + policy.max_step, policy)
    return _Draft(member=member, before=before, score=score, drawdown=drawdown, verdict=verdict, low=low, high=high)


def _within(units: int, policy: DynamicPolicy) -> int:
    return min(max(units, policy.least), policy.most)


def _is_beyond(policy: DynamicPolicy, drawdown: Decimal, capital: Decimal) -> bool:
    limit = policy.max_drawdown_percent
    return limit is not None and Fraction(drawdown) > Fraction(capital) * Fraction(limit) / 100


# ---------------------------------------------------------------- numbers and words


_NAMES = {Score.SHARPE: "Sharpe ratio", Score.PROFIT_FACTOR: "profit factor", Score.NET_PNL: "net profit"}


def in_units(count: int) -> str:
    return f"{count} unit{'' if count == 1 else 's'}"


def _why(policy: DynamicPolicy, draft: _Draft, target: int, given: int, of_all: Fraction) -> str:
    runs = len(draft.member.results)
    over = f"{runs} closed run{'' if runs == 1 else 's'}"
    told = in_units(given)
    if draft.verdict is Verdict.DRAWDOWN:
        limit = f"{policy.max_drawdown_percent:f} % of the capital"
        return f"{told}, the least: {draft.drawdown:,.2f} rupees below its best over {over}, beyond {limit}"
    if draft.score is None:
        came = f"an equal part of {policy.total} to begin with" if draft.member.before is None else "as before"
        return f"{told}, {came}: {over}, and a score takes {FEWEST_RUNS}"
    name = f"{_NAMES[policy.score]} {_shown(policy.score, draft.score)} over {over}"
    if not draft.weight:
        claim = f"{name} is not above 0, which asks for the least, {policy.least}"
    else:
        percent = _one_decimal(draft.weight * 100 / of_all)
        claim = f"{name} is {percent} % of all scores above 0, which asks for {target} of {policy.total}"
    if given == target:
        return f"{told}: {claim}"
    if given in {draft.low, draft.high} and abs(given - draft.before) == policy.max_step:
        return f"{told}: {claim}; {draft.before} before, and {policy.max_step} a day is the most it may change"
    return f"{told}: {claim}; {draft.before} before, and the steps of the others leave {given}"


def _shown(score: Score, value: Decimal) -> str:
    return f"{value:,.2f} rupees" if score is Score.NET_PNL else f"{value:f}"


def _one_decimal(value: Fraction) -> str:
    return f"{Decimal(round(value * 10)) / 10:f}"


def _note(policy: DynamicPolicy, shares: Sequence[Share]) -> str:
    given = sum(share.units for share in shares)
    if given == policy.total:
        return ""
    if given > policy.total:
        why = "least, steps and units kept as before allow no fewer"
        return f"{given} units, more than the total of {policy.total}: {why}"
    why = "most and steps allow no more to those with a score above 0"
    if not any(share.score is not None and share.score > 0 for share in shares):
        why = "no score is above 0"
    return f"{given} of {policy.total} units: {why}"
