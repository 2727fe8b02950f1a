"""The strike of a leg, from its table: each rule has keys of its own."""

from decimal import Decimal
from typing import TypedDict

from option_baskets.adapters.basket_file.fields import Fields, one_of, shown
from option_baskets.domain.basket import Pick, Strike, StrikeRule

_OF_ONE_VALUE = (Pick.CLOSEST, Pick.AT_LEAST, Pick.AT_MOST)


class _Given(TypedDict, total=False):
    offset: int
    points: Decimal
    percent: Decimal
    pick: Pick
    value: Decimal
    low: Decimal
    high: Decimal
    k: Decimal
    leg: str


def read_strike(table: Fields, earlier: list[str]) -> Strike | None:
    """The rule of a ``strike`` table; None where the rule is not known. ``earlier``: ids of the legs before."""
    rule = table.choice("rule", StrikeRule, StrikeRule.ATM)
    if not table.is_sound:
        return None
    given = _given(rule, table, earlier)
    table.close()
    return Strike(rule=rule, **given)


def _given(rule: StrikeRule, table: Fields, earlier: list[str]) -> _Given:
    match rule:
        case StrikeRule.ATM:
            return {"offset": table.integer("offset", 0, 0, least=-200, most=200)}
        case StrikeRule.ATM_POINTS:
            return {"points": table.decimal("points", "100", positive=False)}
        case StrikeRule.ATM_PERCENT:
            return {"percent": _below_a_hundred(table, "percent", "1.5")}
        case StrikeRule.STRIKE:
            return {"value": table.decimal("value", "26000", positive=True)}
        case StrikeRule.PREMIUM:
            pick = table.choice("pick", Pick, Pick.CLOSEST)
            if pick is Pick.RANGE:
                return {"pick": pick, **_range(table)}
            return {"pick": pick, "value": table.decimal("value", "50", positive=True)}
        case StrikeRule.STRADDLE_PERCENT:
            pick = table.choice("pick", Pick, Pick.CLOSEST, among=_OF_ONE_VALUE)
            return {"pick": pick, "percent": table.decimal("percent", "30", positive=True)}
        case StrikeRule.STRADDLE_WIDTH:
            return {"k": table.decimal("k", "1", positive=False)}
        case StrikeRule.DELTA:
            pick = table.choice("pick", Pick, Pick.CLOSEST, Pick.CLOSEST, among=(Pick.CLOSEST,))
            return {"pick": pick, "value": _size_of_delta(table)}
        case StrikeRule.OF_LEG:
            return {"leg": _earlier_leg(table, earlier), "points": table.decimal("points", "200", positive=False)}


def _range(table: Fields) -> _Given:
    low, high = table.decimal("from", "40", positive=True), table.decimal("to", "60", positive=True)
    if low > high and table.is_good("from") and table.is_good("to"):
        table.add("to", f"{high:f} is below from = {low:f}; write the lower premium as from, the higher as to")
    return {"low": low, "high": high}


def _below_a_hundred(table: Fields, key: str, example: str) -> Decimal:
    percent = table.decimal(key, example, positive=False)
    if abs(percent) >= 100:
        table.add(
            key, f"{percent:f} % of the reference is no strike; write a few percent, for example {key} = {example}"
        )
    return percent


def _size_of_delta(table: Fields) -> Decimal:
    value = table.decimal("value", "0.25", positive=True)
    if value >= 1:
        table.add("value", f"{value:f} is no delta; write its size between 0 and 1, for example value = 0.25")
    return value


def _earlier_leg(table: Fields, earlier: list[str]) -> str:
    leg = table.text("leg", "1")
    if leg and leg not in earlier:
        way_out = one_of(leg, earlier) if earlier else "this is the first leg; put the one it measures from before it"
        table.add("leg", f"{shown(leg)} is not the id of an earlier leg; {way_out}")
    return leg
