"""Plans that come one at a time, as JSON in the tables of a basket file, held against what is stored beside them.

A path in a problem is one of the body that was sent. What is wrong with something that is stored is named by
``allocations[{account}]…`` and ``strategy.…``: the change would break it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time

from option_baskets.adapters.basket_file.allocations import PAPER, Around
from option_baskets.adapters.basket_file.basket import read_basket
from option_baskets.adapters.basket_file.dynamic import check_policies, read_policies
from option_baskets.adapters.basket_file.fields import Fields, Report, shown
from option_baskets.adapters.basket_file.names import slug
from option_baskets.adapters.basket_file.positions import extend
from option_baskets.adapters.basket_file.tables import Table, allocation_table, leg_table, strategy_table
from option_baskets.adapters.basket_file.together import read_together
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, BrokerAccount, Mode, Strategy
from option_baskets.domain.errors import Invalid, Problem

HIGHEST_PRIORITY = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What facts say of names and times in plans."""

    underlyings: Collection[str]
    latest_mis: Mapping[str, time]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A basket with all that stands in it, and the user's broker accounts."""

    basket: Basket
    strategies: tuple[Strategy, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    accounts: tuple[BrokerAccount, ...] = ()

    def of(self, strategy: Strategy) -> tuple[Allocation, ...]:
        return tuple(each for each in self.allocations if each.strategy_id == strategy.id)


def read_new_basket(body: object) -> Basket:
    """The basket of a body; its id is of its name, and for the caller to make free.

    Raises:
        Invalid: every problem, by its path in the body. So do all functions here.
    """
    report = Report()
    basket = _basket(_table(body), report)
    report.raise_if_any()
    return basket


def read_basket_again(body: object, stored: Stored) -> Basket:
    """What a stored basket becomes; its strategies, allocations and accounts must agree with it."""
    report = Report()
    before = stored.basket
    basket = _basket(_without(body, report, id=before.id, version=before.version), report)
    _check_mode(report, basket, stored)
    named = {each.dynamic for each in stored.allocations if each.dynamic is not None}
    kept = [policy.id for policy in basket.dynamic]
    for policy in sorted(named - set(kept)):
        used = next(each for each in stored.allocations if each.dynamic == policy)
        way_out = f"keep it, or change allocation {shown(used.id)} first"
        report.add("dynamic", f"{shown(policy)} is gone and has strategies that share it; {way_out}")
    fields = Fields({}, "", report)
    check_policies(fields, basket.dynamic, stored.strategies, stored.allocations, is_file=False)
    report.raise_if_any()
    return replace(basket, id=before.id, version=before.version)


def read_new_strategy(body: object, stored: Stored, known: Known) -> tuple[Strategy, tuple[Allocation, ...]]:
    """The strategy of a body and the allocations in it; the strategy's id is of its name, and to be made free."""
    report = Report()
    strategy, allocations = _together(Fields(_table(body), "", report), None, stored, known)
    _check_shared(report, stored, strategy, allocations)
    report.raise_if_any()
    return strategy, tuple(sorted(allocations.values(), key=lambda each: each.priority))


def read_strategy_again(body: object, before: Strategy, stored: Stored, known: Known) -> Strategy:
    """What a stored strategy becomes; the allocations it has must agree with it."""
    report = Report()
    answered = {"id": before.id, "basket_id": before.basket_id, "version": before.version}
    table = _without(body, report, **answered)
    if "allocations" in table:
        report.add("allocations", "they are changed one by one, below brokers; leave the key out")
    changed = _with_allocations(table, stored.of(before))
    strategy, allocations = _together(Fields(changed, "", report), before, stored, known)
    if not report.problems:
        _check_shared(report, stored, strategy, allocations)
    _raise(report, _of_stored(stored.of(before)))
    return strategy


def read_allocation(
    body: object, before: Allocation | None, strategy: Strategy, stored: Stored, known: Known
) -> Allocation:
    """A new allocation of a stored strategy, or what a stored one becomes."""
    report, aside = Report(), Report()
    table = _table(body)
    others = [each for each in stored.of(strategy) if before is None or each.id != before.id]
    if before is not None:
        answered = {"id": before.id, "strategy_id": before.strategy_id, "version": before.version}
        table = _without(table, aside, **answered)
        if table.get("account", before.account) != before.account:
            way_out = "delete this one and add one for the other account"
            aside.add("account", f"an allocation stays on its account, {shown(before.account)}; {way_out}")
    taken = [each.priority for each in others]
    usual = min(max(taken, default=-1) + 1, HIGHEST_PRIORITY) if before is None else before.priority
    changed = strategy_table(strategy) | {
        "allocations": [*(allocation_table(each) for each in others), {"priority": usual} | table]
    }
    own = f"allocations[{len(others)}]"
    _, allocations = _together(Fields(changed, "", report), strategy, stored, known)
    if not report.problems:
        _check_shared(report, stored, strategy, allocations)
    _raise(report, _of_part(own, others), aside)
    made = allocations[len(others)]
    return made if before is None else replace(made, id=before.id, version=before.version)


def read_leg(body: object, before: str | None, strategy: Strategy, stored: Stored, known: Known) -> Strategy:
    """The stored strategy with a leg more, or with another one in the place of the leg ``before``."""
    aside = Report()
    table = _table(body)
    ids = [leg.id for leg in strategy.legs]
    if before is not None:
        table = _without(table, aside, strategy_id=strategy.id, version=strategy.version)
        if table.get("id", before) != before:
            way_out = "delete this leg and add one of that id"
            aside.add("id", f"a leg keeps its id, {shown(before)}; {way_out}")
    at = len(ids) if before is None else ids.index(before)
    table = {"id": _next_id(ids) if before is None else before} | table
    legs: list[Table] = [leg_table(leg) for leg in strategy.legs]
    legs[at : at + 1] = [table]
    return _with_legs(legs, strategy, stored, known, own=f"legs[{at}]", aside=aside)


def without_leg(leg_id: str, strategy: Strategy, stored: Stored, known: Known) -> Strategy:
    """The stored strategy without one of its legs. What uses the leg is for the caller to ask."""
    legs = [leg_table(leg) for leg in strategy.legs if leg.id != leg_id]
    return _with_legs(legs, strategy, stored, known, own="", aside=Report())


# ---------------------------------------------------------------- reading


def _basket(table: Table, report: Report) -> Basket:
    """The basket with its policies, which in a body stand inside of it."""
    fields = Fields(table, "", report)
    policies = read_policies(fields)
    return replace(read_basket(fields), dynamic=policies)


def _together(
    fields: Fields, before: Strategy | None, stored: Stored, known: Known
) -> tuple[Strategy, dict[int, Allocation]]:
    """The strategy, as the next version of the one before, and its allocations."""
    name = fields.name("name", "0920 straddle")
    strategy, allocations = read_together(
        fields,
        strategy_id=before.id if before is not None else f"{stored.basket.id}.{slug(name)}",
        basket_id=stored.basket.id,
        name=name,
        around=Around(
            accounts=stored.accounts,
            policies=tuple(policy.id for policy in stored.basket.dynamic),
            mode=stored.basket.mode,
            underlyings=known.underlyings,
            latest_mis=known.latest_mis,
            is_file=False,
        ),
    )
    return replace(strategy, version=before.version if before is not None else 0), allocations


def _with_allocations(table: Table, allocations: Sequence[Allocation]) -> Table:
    rest = {key: value for key, value in table.items() if key != "allocations"}
    return rest | ({"allocations": [allocation_table(each) for each in allocations]} if allocations else {})


def _with_legs(
    legs: list[Table], strategy: Strategy, stored: Stored, known: Known, *, own: str, aside: Report
) -> Strategy:
    report = Report()
    changed = _with_allocations(strategy_table(strategy) | {"legs": legs}, stored.of(strategy))
    found, allocations = _together(Fields(changed, "", report), strategy, stored, known)
    if not report.problems:
        _check_shared(report, stored, found, allocations)
    _raise(report, _of_part(own, stored.of(strategy)), aside)
    return found


def _next_id(ids: Collection[str]) -> str:
    number = len(ids) + 1
    while str(number) in ids:
        number += 1
    return str(number)


def _table(body: object) -> Table:
    if not isinstance(body, dict):
        raise Invalid(f"{shown(body)} is not an object; send the keys and values of one")
    return body


def _without(body: object, report: Report, **answered: object) -> Table:
    """The table without the keys that answers have beside those of a file; each must be as it was answered."""
    table = dict(_table(body))
    for key, value in answered.items():
        if key not in table:
            continue
        given = table.pop(key)
        if given != value or type(given) is not type(value):
            report.add(key, f"{shown(given)} is not what is stored, {shown(value)}; leave it as it was, or out")
    return table


# ---------------------------------------------------------------- against what is stored


def _check_mode(report: Report, basket: Basket, stored: Stored) -> None:
    """A live basket trades on no paper account."""
    if basket.mode is not Mode.LIVE:
        return
    used = {each.account for each in stored.allocations}
    for account in stored.accounts:
        if account.id in used and account.broker == PAPER:
            way_out = "move its allocations to an account at a broker first"
            report.add("mode", f"a live basket cannot trade on the paper account {shown(account.id)}; {way_out}")


def _check_shared(report: Report, stored: Stored, strategy: Strategy, allocations: Mapping[int, Allocation]) -> None:
    """Policies that this strategy shares must have units enough for all who share them."""
    shared = {each.dynamic: index for index, each in allocations.items() if each.dynamic is not None}
    if not shared:
        return
    others = [each for each in stored.strategies if each.id != strategy.id]
    ids = {each.id for each in others}
    beside = [each for each in stored.allocations if each.strategy_id in ids]
    mine = [replace(each, strategy_id=strategy.id) for each in allocations.values()]
    for policy in stored.basket.dynamic:
        if policy.id in shared:
            aside = Report()
            check_policies(Fields({}, "", aside), [policy], [*others, strategy], [*beside, *mine], is_file=False)
            for problem in aside.problems:
                key = problem.where.rpartition(".")[2]
                told = f"{key} of the policy {shown(policy.id)}: {problem.message}"
                report.add(f"allocations[{shared[policy.id]}].dynamic", told)


# ---------------------------------------------------------------- paths


def _of_stored(allocations: Sequence[Allocation]) -> Callable[[str], str]:
    """Names stored allocations in a path by their account, not by their place in a list nobody sent."""

    def named(path: str) -> str:
        for index, each in enumerate(allocations):
            place = f"allocations[{index}]"
            if _is_within(path, place):
                return f"allocations[{each.account}]{path.removeprefix(place)}"
        return path

    return named


def _of_part(own: str, allocations: Sequence[Allocation]) -> Callable[[str], str]:
    """Paths of a body that stands at ``own`` in its strategy: its own begin in it, others name what is stored."""
    stored = _of_stored(allocations)

    def named(path: str) -> str:
        if own and _is_within(path, own):
            return path.removeprefix(own).lstrip(".")
        other = stored(path)
        return other if other != path else extend("strategy", path) if path else "strategy"

    return named


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))


def _raise(report: Report, named: Callable[[str], str], aside: Report | None = None) -> None:
    """Everything found, if anything; what is aside has the paths of the body already."""
    found = [Problem(where=named(each.where), message=each.message) for each in report.problems]
    if aside is not None:
        found = aside.problems + found
    if found:
        raise Invalid(found)
