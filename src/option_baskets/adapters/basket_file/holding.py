"""Until when a strategy holds, in which product, and whether it may settle: from its table."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import time

from option_baskets.adapters.basket_file.fields import Fields, shown
from option_baskets.domain.basket import BrokerAccount, Holding, Product, Schedule, Strategy

_MOST_DAYS = 250
_EXAMPLES = {"enter_before": 4, "exit_before": 1}


def read_holding(fields: Fields, schedule: Schedule) -> Schedule:
    """The schedule with its holding."""
    holding = fields.choice("holding", Holding, Holding.INTRADAY, Holding.INTRADAY)
    days = {key: fields.integer(key, example, example, most=_MOST_DAYS) for key, example in _EXAMPLES.items()}
    for key, example in _EXAMPLES.items():
        if holding is Holding.POSITIONAL and not fields.has(key):
            fields.add(key, f"missing; write for example {key} = {example}")
        if holding is not Holding.POSITIONAL and fields.has(key):
            fields.add(key, 'counts trading days before expiry; write holding = "positional" with it, or remove it')
    if holding is not Holding.POSITIONAL:
        return replace(schedule, holding=holding)
    return replace(schedule, holding=holding, enter_before=days["enter_before"], exit_before=days["exit_before"])


def check_holding(fields: Fields, strategy: Strategy) -> None:
    """Tell an exit before its entry, days that never come, and a product that cannot be carried."""
    schedule = strategy.schedule
    enter, leave = schedule.enter_before, schedule.exit_before
    if enter is not None and leave is not None and leave > enter and fields.is_good("exit_before"):
        fields.add(
            "exit_before", f"{leave} days before expiry is earlier than enter_before = {enter}; write at most that"
        )
    same_day = schedule.holding is Holding.INTRADAY or (enter is not None and enter == leave)
    known = fields.is_good("holding") or not fields.has("holding")
    if known and same_day and schedule.entry >= schedule.exit and fields.is_good("entry") and fields.is_good("exit"):
        after = f'"{schedule.exit:%H:%M}" is not after the entry at "{schedule.entry:%H:%M}"'
        fields.add("exit", f"{after}; both are of the same day")
    _check_dte(fields, strategy)
    if strategy.product is Product.MIS:
        if schedule.holding is not Holding.INTRADAY:
            fields.add(
                "product", f'"MIS" is squared off the same day and the holding is "{schedule.holding}"; write "NRML"'
            )
        elif strategy.special_sessions:
            fields.add("product", '"MIS" has no known square-off time in special sessions; write "NRML"')


def _check_dte(fields: Fields, strategy: Strategy) -> None:
    schedule = strategy.schedule
    if not fields.is_good("dte"):
        return
    days = shown(list(schedule.dte))
    if schedule.holding is Holding.NEXT_DAY and 0 in schedule.dte and not strategy.settle:
        way_out = "take 0 out, or write settle = true to let the leg settle in cash"
        fields.add(
            "dte", f"{days}: entered on the expiry day of a leg, the exit of the next day comes too late; {way_out}"
        )
    if schedule.enter_before is not None and schedule.enter_before not in schedule.dte:
        way_out = "remove dte; enter_before says the day"
        fields.add(
            "dte", f"{days} never holds on the day {schedule.enter_before} trading days before expiry; {way_out}"
        )


def check_product(
    fields: Fields, strategy: Strategy, accounts: Iterable[BrokerAccount], latest_mis: Mapping[str, time]
) -> None:
    """Tell an MIS exit that leaves less than ten minutes before the square-off of a broker it trades at."""
    if strategy.product is not Product.MIS:
        return
    for account in accounts:
        latest = latest_mis.get(account.charges_as)
        if latest is not None and strategy.schedule.exit > latest:
            told = f'"{strategy.schedule.exit:%H:%M}" is too late for MIS on "{account.id}"'
            why = f"{account.charges_as} squares off ten minutes after {latest:%H:%M}"
            fields.add("exit", f'{told}: {why}; write at most "{latest:%H:%M}", or product = "NRML"')
            return
