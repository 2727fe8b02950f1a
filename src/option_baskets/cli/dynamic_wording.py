"""The words in which commands say how strategies share units from day to day."""

from collections.abc import Iterator

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.cli.exit_wording import rupees_in_words
from option_baskets.domain.allocation import policy_of
from option_baskets.domain.basket import Strategy
from option_baskets.domain.dynamic import DynamicPolicy, equal_units, in_units
from option_baskets.domain.money import HUNDRED
from option_baskets.domain.scores import Score

_SCORES = {
    Score.SHARPE: "the Sharpe ratio",
    Score.PROFIT_FACTOR: "the profit factor",
    Score.NET_PNL: "the net profit",
}


def units_to_begin_with(found: BasketFile, strategy: Strategy) -> int | None:
    """What the strategy has on its first day by its policy; None: it has none."""
    policy_id = policy_of(found.of(strategy))
    policy = found.basket.policy(policy_id) if policy_id is not None else None
    if policy is None:
        return None
    sharing = _sharing(found, policy.id)
    units = equal_units(policy, len(sharing))
    return units[[each.id for each in sharing].index(strategy.id)]


def policies_in_words(found: BasketFile) -> Iterator[str]:
    """Two sentences a policy: who shares what and by which rule, and with what they begin."""
    for policy in found.basket.dynamic:
        sharing = _sharing(found, policy.id)
        names = _and([each.name for each in sharing])
        score = f"{_SCORES[policy.score]} of the last {policy.look_back} closed runs"
        bounds = f"{policy.least} to {policy.most} each, at most {policy.max_step} more or less a day"
        begin = ", ".join(f"{each.name} {units_to_begin_with(found, each)}" for each in sharing)
        yield f"{policy.id}: {in_units(policy.total)} over {names} by {score}, {bounds}{_fall(found, policy)}."
        yield f"{policy.id}, to begin with: {begin}."


def _fall(found: BasketFile, policy: DynamicPolicy) -> str:
    percent = policy.max_drawdown_percent
    if percent is None:
        return ""
    fall = rupees_in_words((found.basket.capital * percent / HUNDRED).normalize())
    return f"; {policy.least} at once when more than {fall} below its best"


def _sharing(found: BasketFile, policy_id: str) -> list[Strategy]:
    """In the order in which equal claims are served."""
    sharing = [each for each in found.strategies if policy_of(found.of(each)) == policy_id]
    return sorted(sharing, key=lambda each: each.id)


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
