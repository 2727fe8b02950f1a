"""Policies that divide units over strategies from day to day, from tables, and whether the file gives them work."""

from collections.abc import Collection, Sequence

from option_baskets.adapters.basket_file.fields import Fields, shown
from option_baskets.domain.allocation import MAX_LOTS, Allocation, policy_of
from option_baskets.domain.basket import Strategy
from option_baskets.domain.dynamic import FEWEST_RUNS, DynamicPolicy
from option_baskets.domain.money import HUNDRED
from option_baskets.domain.scores import Score

LONGEST_LOOK_BACK = 100


def read_policies(fields: Fields) -> tuple[DynamicPolicy, ...]:
    """The policies in file order; ``check_policies`` holds them against the strategies that share them."""
    policies: list[DynamicPolicy] = []
    for table in fields.tables("dynamic", "[[dynamic]]", required=False):
        policy = _policy(table)
        if policy.id and policy.id in [each.id for each in policies]:
            table.add("id", f"{shown(policy.id)} is taken by an earlier policy; give it another id")
        policies.append(policy)
    return tuple(policies)


def _policy(table: Fields) -> DynamicPolicy:
    policy = DynamicPolicy(
        id=table.identifier("id", "by-result", most=40),
        total=table.integer("total", 10, least=1, most=MAX_LOTS),
        score=table.choice("score", Score, Score.SHARPE, Score.SHARPE),
        look_back=table.integer("look_back", 20, 20, least=FEWEST_RUNS, most=LONGEST_LOOK_BACK),
        least=table.integer("least", 1, 1, most=MAX_LOTS),
        most=table.integer("most", 5, least=1, most=MAX_LOTS),
        max_step=table.integer("max_step", 1, 1, least=1, most=MAX_LOTS),
        max_drawdown_percent=table.optional("max_drawdown_percent", "10"),
    )
    table.close()
    if not table.is_sound:
        return policy
    if policy.least > policy.most:
        table.add("least", f"{policy.least} is more than most = {policy.most}; write at most {policy.most}")
    if policy.most > policy.total:
        table.add("most", f"{policy.most} is more than total = {policy.total}; write at most {policy.total}")
    if policy.max_drawdown_percent is not None and policy.max_drawdown_percent >= HUNDRED:
        way_out = "write less than 100, for example max_drawdown_percent = 10"
        table.add("max_drawdown_percent", f"{policy.max_drawdown_percent:f} % of the capital is all of it; {way_out}")
    return policy


def check_policies(
    fields: Fields,
    policies: Sequence[DynamicPolicy],
    strategies: Sequence[Strategy],
    allocations: Collection[Allocation],
    *,
    is_file: bool = True,
) -> None:
    """Tell policies that nobody shares, and totals that the bounds of those who do cannot reach.

    What is not a whole file may still come to be shared, and by more: only too much is told of it.
    """
    for index, policy in enumerate(policies):
        sharing = {each.strategy_id for each in allocations if each.dynamic == policy.id}
        members = [strategy for strategy in strategies if strategy.id in sharing]
        path, count = f"dynamic[{index}]", len(members)
        named = f"{count} {'strategy shares' if count == 1 else 'strategies share'} it"
        if not members and not is_file:
            continue
        if not members:
            way_out = f"write dynamic = {shown(policy.id)} in an allocation, or remove it"
            fields.add(path, f"no allocation names it; {way_out}")
        elif policy.least * count > policy.total:
            most = f"write at most {policy.total // count}, or a larger total"
            fields.add(f"{path}.least", f"{named}, and {count} x {policy.least} is more than {policy.total}; {most}")
        elif is_file and policy.most * count < policy.total:
            least = f"write at least {-(-policy.total // count)}, or a smaller total"
            fields.add(f"{path}.most", f"{named}, and {count} x {policy.most} is less than {policy.total}; {least}")
        for strategy in members:
            largest = max((leg.ratio for leg in strategy.legs), default=1)
            if policy.most * largest > MAX_LOTS:
                over = f"{policy.most} units at a ratio of {largest} are more than {MAX_LOTS} lots of one leg"
                fields.add(f"{path}.most", f"{over}; write fewer")


def check_one_policy(fields: Fields, allocations: Sequence[Allocation]) -> None:
    """A strategy's units come from one policy."""
    first = policy_of(allocations)
    for index, each in enumerate(allocations):
        if each.dynamic is not None and each.dynamic != first:
            told = f"{shown(each.dynamic)} is another policy than {shown(first)} above"
            fields.add(f"allocations[{index}].dynamic", f"{told}; a strategy shares the units of one policy only")
