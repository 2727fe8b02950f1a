"""Entries again, lazy legs and what wakes them, from tables. What contradicts itself is told with what to write."""

from collections.abc import Sequence
from datetime import time
from decimal import Decimal

from option_baskets.adapters.basket_file.fields import Fields, one_of, shown
from option_baskets.domain.basket import Holding, LegSpec, Strategy
from option_baskets.domain.entry_rules import Again, Move, Reentry

MOST_TIMES = 20


def read_again(fields: Fields, key: str) -> Again | None:
    """``on_stop`` or ``on_target`` of a leg; ``check_wakes`` holds the legs it names against those there are."""
    table = fields.table(key, '{ reenter = "cost" }', required=False)
    if table is None:
        return None
    reenter = table.optional_choice("reenter", Reentry, Reentry.COST)
    times, move = 1, None
    if reenter is None:
        for name in ("times", "points", "percent"):
            table.never(name, 'it says how a leg is entered again; write reenter = "cost" with it, or remove it')
    else:
        times = table.integer("times", 1, 1, least=1, most=MOST_TIMES)
        move = _move(table, reenter)
    wakes = _wakes(table)
    table.close()
    if reenter is None and not wakes and table.is_sound:
        table.add("", f'it sets nothing off; write {key} = {{ reenter = "cost" }} or {key} = {{ wakes = ["hedge"] }}')
    return Again(reenter=reenter, times=times, move=move, wakes=wakes)


def _move(table: Fields, reenter: Reentry) -> Move | None:
    """How far the price moves from the exit's average, up or down."""
    if reenter.plain is not Reentry.MOMENTUM:
        for name in ("points", "percent"):
            table.never(name, f'only momentum waits for a move; remove it, or write reenter = "{_momentum(reenter)}"')
        return None
    points = table.decimal("points", "5", Decimal(5), positive=False)
    percent = table.decimal("percent", "5", Decimal(5), positive=False)
    given = [name for name in ("points", "percent") if table.has(name)]
    if len(given) != 1:
        have = "both points and percent" if given else "neither points nor percent"
        table.add("", f"{have}; give one, for example points = 5: it enters 5 above the average of the exit")
        return None
    name, value = given[0], points if given == ["points"] else percent
    if value == 0:
        table.add(name, "0 is no move; write for example 5 for a rise, or -5 for a fall")
        return None
    if name == "percent" and value <= -100:
        table.add(name, f"{value:f} would need a price of zero or less; write more than -100")
        return None
    return Move(points=value) if name == "points" else Move(percent=value)


def _momentum(reenter: Reentry) -> Reentry:
    return Reentry.MOMENTUM_REVERSE if reenter.is_reverse else Reentry.MOMENTUM


def _wakes(table: Fields) -> tuple[str, ...]:
    names = [table.word(f"wakes[{index}]", each, "hedge") for index, each in table.elements("wakes", '["hedge"]')]
    if len(set(names)) < len(names) and table.is_good("wakes"):
        table.add("wakes", f"{shown(names)} names a leg twice; name it once")
    return tuple(dict.fromkeys(name for name in names if name))


# ---------------------------------------------------------------- contradictions


def check_leg_again(fields: Fields, leg: LegSpec) -> None:
    """Tell what of one leg could never happen."""
    for key, rule, way_out, again in (
        ("stop", leg.stop, "stop = { percent = 25 }", leg.on_stop),
        ("target", leg.target, "target = { percent = 50 }", leg.on_target),
    ):
        if again is not None and rule is None and not fields.has(key):
            fields.add(f"on_{key}", f"this leg has no {key}; write one, for example {way_out}, or remove on_{key}")
    for key, waits in (("wait", leg.wait), ("breakout", leg.breakout)):
        if leg.lazy and waits is not None:
            fields.add(
                key, "a lazy leg is entered when another leg wakes it and waits for nothing; remove this, or lazy"
            )


def check_again(fields: Fields, strategy: Strategy) -> None:
    """Tell what of the legs together could never happen."""
    legs = strategy.legs
    ids = [leg.id for leg in legs]
    lazy = [leg.id for leg in legs if leg.lazy]
    before = len(fields.report.problems)
    for index, leg in enumerate(legs):
        for key, again in (("on_stop", leg.on_stop), ("on_target", leg.on_target)):
            for number, name in enumerate(again.wakes if again is not None else ()):
                problem = _misnamed(name, leg, ids, lazy)
                if problem:
                    fields.add(f"legs[{index}].{key}.wakes[{number}]", problem)
        measured = leg.strike.leg if leg.strike is not None else None
        if measured in lazy and not leg.lazy:
            way_out = "measure from a leg that is entered, or write lazy = true in this one too"
            fields.add(f"legs[{index}].strike.leg", f'"{measured}" is lazy and has no strike until it wakes; {way_out}')
    if len(fields.report.problems) == before:
        _check_woken(fields, legs)
    if strategy.reenter_until is not None and fields.is_good("reenter_until"):
        _check_cut_off(fields, strategy.reenter_until, strategy)


def _misnamed(name: str, leg: LegSpec, ids: Sequence[str], lazy: Sequence[str]) -> str:
    if name == leg.id:
        return f"{shown(name)} is this leg itself; name a lazy leg, or write reenter to enter this one again"
    if name not in ids:
        return f"{shown(name)} is not the id of a leg; {one_of(name, lazy or ids)}"
    if name not in lazy:
        return f"{shown(name)} is not lazy and is entered with the others; write lazy = true in it, or do not name it"
    return ""


def _check_woken(fields: Fields, legs: Sequence[LegSpec]) -> None:
    """Every lazy leg is woken by one that is entered, itself perhaps once it is woken."""
    entered = {leg.id for leg in legs if not leg.lazy}
    found = True
    while found:
        rules = [each for leg in legs if leg.id in entered for each in (leg.on_stop, leg.on_target) if each is not None]
        found = bool(woken := {name for rule in rules for name in rule.wakes} - entered)
        entered |= woken
    for index, leg in enumerate(legs):
        if leg.id not in entered:
            way_out = f'write on_stop = {{ wakes = ["{leg.id}"] }} in a leg that is entered, or remove lazy'
            fields.add(f"legs[{index}].lazy", f"nobody wakes this leg, so it is never entered; {way_out}")


def _check_cut_off(fields: Fields, until: time, strategy: Strategy) -> None:
    schedule = strategy.schedule
    if strategy.restart is None and not any(leg.reentries for leg in strategy.legs):
        fields.add(
            "reenter_until", 'no leg is entered again; write on_stop = { reenter = "cost" } in one, or remove it'
        )
    elif schedule.holding is not Holding.INTRADAY:
        return
    elif until >= schedule.exit and fields.is_good("exit"):
        late = f'"{until:%H:%M}" is not before the exit at "{schedule.exit:%H:%M}"'
        fields.add("reenter_until", f"{late}, from which nothing is entered anyway; write an earlier time or remove it")
    elif until <= schedule.entry and fields.is_good("entry"):
        early = f'"{until:%H:%M}" is not after the entry at "{schedule.entry:%H:%M}"'
        fields.add("reenter_until", f"{early}, so no leg could ever be entered again; write a later time")
