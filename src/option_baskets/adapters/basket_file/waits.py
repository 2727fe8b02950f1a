"""Wait-and-trade and range breakouts, from tables. What contradicts itself is told with what to write."""

from collections.abc import Sequence
from decimal import Decimal

from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.adapters.basket_file.positions import extend
from option_baskets.domain.basket import Holding, LegSpec, Strategy
from option_baskets.domain.contract import Side
from option_baskets.domain.entry_rules import Breakout, BreakSide, Move

_MOVES = {"points": "10", "percent": "-5"}
_UNTIL = "09:45"


def read_wait(fields: Fields, key: str = "wait") -> Move | None:
    """A move up or down: never of zero."""
    table = fields.table(key, "{ points = 10 }", required=False)
    if table is None:
        return None
    values = {unit: table.decimal(unit, example, Decimal(example), positive=False) for unit, example in _MOVES.items()}
    table.close()
    given = table.only_one(tuple(values), f"{key} = {{ points = 10 }}")
    if given is not None and values[given] == 0:
        table.add(given, f"0 is no move; write how far, for example {given} = 10, or {given} = -10 for a fall")
        values[given] = Decimal(_MOVES[given])
    if given == "percent":
        return Move(percent=values[given])
    return Move(points=values["points"] or Decimal(_MOVES["points"]))


def read_breakout(fields: Fields) -> Breakout | None:
    table = fields.table("breakout", f'{{ until = "{_UNTIL}", side = "high" }}', required=False)
    if table is None:
        return None
    until = table.clock("until", _UNTIL)
    side = table.choice("side", BreakSide, BreakSide.HIGH, BreakSide.EITHER)
    table.close()
    return Breakout(until=until, side=side)


def check_waits(fields: Fields, strategy: Strategy) -> None:
    """Tell what a strategy or its legs wait for that contradicts something or never comes."""
    _check_one(fields, "", strategy)
    _check_until(fields, "breakout", strategy.breakout, strategy)
    if strategy.wait is not None:
        _check_premium(fields, strategy.wait, strategy.legs)
    for index, leg in enumerate(strategy.legs):
        _check_leg(fields, f"legs[{index}]", leg, strategy)


def _check_one(fields: Fields, path: str, rules: Strategy | LegSpec) -> None:
    if rules.wait is not None and rules.breakout is not None:
        way_out = "a wait and a breakout are two ways to be entered; keep one and remove the other"
        fields.add(f"{path}.breakout".lstrip("."), way_out)


def _check_until(fields: Fields, path: str, rule: Breakout | None, strategy: Strategy) -> None:
    when = strategy.schedule
    where = extend(fields.where, path)
    is_told = any(problem.where.startswith(where) for problem in fields.report.problems)
    if rule is None or is_told or not fields.is_good("entry") or not fields.is_good("exit"):
        return
    until = f'"{rule.until:%H:%M}"'
    if rule.until <= when.entry:
        what = f'{until} is not after the entry at "{when.entry:%H:%M}", where the range begins'
        fields.add(f"{path}.until", f"{what}; write a later time")
    elif when.holding is Holding.INTRADAY and rule.until >= when.exit:
        what = f'{until} is not before the exit at "{when.exit:%H:%M}", and nothing would be entered'
        fields.add(f"{path}.until", f"{what}; write an earlier time")


def _check_premium(fields: Fields, wait: Move, legs: Sequence[LegSpec]) -> None:
    """The net premium of all sold legs is never zero or less, that of all bought ones never zero or more."""
    sides = {leg.side for leg in legs if leg.type.is_option and not leg.lazy}
    if legs and not sides:
        way_out = "write a breakout of the underlying, or a wait in the leg"
        fields.add("wait", f"the strategy has no option legs and so no premium to wait for; {way_out}")
    towards_zero = {Side.SELL} if not wait.is_up else {Side.BUY}
    if wait.percent is not None and abs(wait.percent) >= 100 and sides == towards_zero:
        what = f"the net premium of {'sold' if Side.SELL in sides else 'bought'} legs alone never comes to zero"
        nearer = "less than 100" if wait.is_up else "more than -100"
        fields.add("wait.percent", f"{wait.percent:f} is never reached: {what}; write {nearer}")


def _check_leg(fields: Fields, path: str, leg: LegSpec, strategy: Strategy) -> None:
    own = next((key for key in ("wait", "breakout") if getattr(leg, key) is not None), None)
    if own is None:
        return
    _check_one(fields, path, leg)
    _check_until(fields, f"{path}.breakout", leg.breakout, strategy)
    whole = next((key for key in ("wait", "breakout") if getattr(strategy, key) is not None), None)
    if whole is not None:
        way_out = f"the {whole} of the strategy enters all its legs together; remove this one, or that of the strategy"
        fields.add(f"{path}.{own}", way_out)
    if leg.wait is not None and leg.wait.percent is not None and leg.wait.percent <= -100:
        what = "a price never comes to zero or less"
        fields.add(f"{path}.wait.percent", f"{leg.wait.percent:f} is never reached: {what}; write more than -100")
