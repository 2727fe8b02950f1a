"""Random strategies, as the tables of a basket file. A seed and a number give one strategy, on every machine."""

from decimal import Decimal
from random import Random

from tests.reference.basket_toml import OF_ACCOUNTS, OF_BASKET, Table
from tests.reference.generated_legs import Kind, breakout, clock, move, option_or_future, reenter, wait, wake

ACCOUNTS = ("one", "two")
FLAVOURS = ("plain", "wait", "again", "lazy", "held", "restart", "limits")
"""What a strategy has beside the rules that any may have; by turns, so that each occurs often."""


def strategy(seed: int, number: int, kind: Kind) -> Table:
    """The strategy of a number: on any machine the same."""
    rng = Random(f"{seed} {kind.underlying} {number}")
    flavour = FLAVOURS[number % len(FLAVOURS)]
    entry = rng.randint(9 * 60 + 16, 14 * 60 + 30) if rng.random() < 0.7 else 9 * 60 + 20
    exit_ = max(min(entry + rng.choice((20, 60, 180, 400)), 15 * 60 + rng.randint(0, 9)), entry + 2)
    table: Table = {
        "name": f"s{number}",
        "underlying": kind.underlying,
        "entry": clock(entry),
        "exit": clock(exit_),
        "naked": True,
        "reference": _reference(rng, kind),
    }
    if kind.days > 1 and rng.random() < 0.15:
        table["days"] = sorted(rng.sample(("MON", "TUE", "WED", "THU", "FRI"), 3))
    if kind.days > 1 and rng.random() < 0.15:
        table["dte"] = sorted(rng.sample(range(6), 4))
    if rng.random() < (0.3 if kind.expiries > 1 else 0.01):
        table["expiry"] = {"series": rng.choice(("weekly", "monthly")), "offset": rng.randint(0, 1)}
    if flavour == "held":
        _hold(rng, table, kind, entry)
    tight = flavour in ("again", "lazy", "restart")
    legs: list[Table] = []
    for position in range(rng.choice((1, 1, 2, 2, 2, 3, 4)) + (flavour == "lazy")):
        legs.append(option_or_future(rng, kind, position, legs, tight=tight))
    _strategy_exits(rng, table, legs, kind, flavour)
    _flavour(rng, table, legs, kind, flavour, entry, exit_)
    table["allocations"] = _allocations(rng, legs, by_legs=table.get("per") != "unit")
    if flavour == "limits":
        _limits(rng, table, legs, kind)
    table["legs"] = legs
    return table


def _reference(rng: Random, kind: Kind) -> str:
    choices = ["synthetic"] * 6 + ["spot"] * (12 if kind.has_spot else 1) + ["future"] * (6 if kind.has_future else 1)
    return rng.choice(choices)


def _flavour(rng: Random, table: Table, legs: list[Table], kind: Kind, flavour: str, entry: int, exit_: int) -> None:
    has_future = any(leg["type"] == "FUT" for leg in legs)
    match flavour:
        case "wait":
            if rng.random() < 0.35 and not has_future:
                table["wait"] = move(rng)
            elif rng.random() < 0.5 and kind.has_spot:
                table["breakout"] = breakout(rng, entry, exit_)
            else:
                wait(rng, legs, entry, exit_)
            if any("premium_percent" in table.get(key, {}) for key in ("stop", "target")):
                table.setdefault("premium_base", rng.choice(("net", "gross")))  # when it is judged is not decided
        case "again":
            reenter(rng, legs)
        case "lazy":
            wake(rng, legs)
            if rng.random() < 0.4:
                reenter(rng, [leg for leg in legs if "on_stop" not in leg and "on_target" not in leg])
        case "held":
            if rng.random() < 0.5:  # nothing of the legs' own comes before the last day
                table.pop("move_stop_to_cost", None)
                for leg in legs:
                    for key in ("stop", "target", "trail", "price", "square_off"):
                        leg.pop(key, None)
            if rng.random() < 0.4:
                reenter(rng, legs)
        case "limits":
            if rng.random() < 0.6:
                reenter(rng, legs)
        case "restart":
            causes = [key for key in ("stop", "target") if key in table or (key == "target" and "lock" in table)]
            table["restart"] = {f"on_{cause}": rng.randint(1, 3) for cause in causes}
    if any(_turns_without_a_price_to_stop_at(leg) for leg in legs):
        table.pop("move_stop_to_cost", None)  # what it does to such a leg is not decided
    is_again = any("reenter" in leg.get(key, {}) for leg in legs for key in ("on_stop", "on_target"))
    if (is_again or "restart" in table) and rng.random() < 0.3 and "holding" not in table:
        table["reenter_until"] = clock(min(entry + rng.randint(10, 200), exit_ - 1))


def _turns_without_a_price_to_stop_at(leg: Table) -> bool:
    turns = any(leg.get(key, {}).get("reenter", "").endswith("_reverse") for key in ("on_stop", "on_target"))
    return turns and not {"points", "percent"} & set(leg.get("stop", {}))


def _hold(rng: Random, table: Table, kind: Kind, entry: int) -> None:
    """Over one night, over several, or into the expiry."""
    table["settle"] = rng.random() < 0.75
    if rng.random() < 0.5:
        table["holding"] = "next_day"
        table["exit"] = clock(rng.randint(9 * 60 + 17, 15 * 60 + 9))
        if "dte" in table and not table["settle"]:
            table["dte"] = [days for days in table["dte"] if days] or [1]
    else:
        table.pop("dte", None)
        enter, leave = sorted((rng.randint(0, 4), rng.randint(0, 2)), reverse=True)
        table |= {"holding": "positional", "enter_before": enter, "exit_before": leave}
        if not leave and table["settle"] and rng.random() < 0.5:
            table["exit"] = "15:45"  # after the close: held into the expiry
        elif enter > leave:
            table["exit"] = clock(rng.randint(9 * 60 + 17, 15 * 60 + 9))


# ---------------------------------------------------------------- the whole strategy


def _strategy_exits(rng: Random, table: Table, legs: list[Table], kind: Kind, flavour: str) -> None:
    entered = legs[: max(1, len(legs) - 2)] if flavour == "lazy" else legs
    has_premium = any(leg["type"] != "FUT" for leg in entered)
    often = 0.7 if flavour == "restart" else 0.15
    for key in ("stop", "target"):
        if rng.random() < often or (flavour == "restart" and key == "stop"):
            table[key] = _amount(rng, has_premium=has_premium, tight=flavour == "restart")
    if rng.random() < 0.15:
        table["lock"] = _lock(rng, below=table.get("target", {}).get("rupees", 3000))
    if any(key in table for key in ("stop", "target", "lock")):
        table["per"] = rng.choice(("run", "run", "account", "unit"))
        if kind.has_charges and all(leg["type"] != "FUT" for leg in legs) and rng.random() < 0.4:
            table["mtm"] = "net"
    if any("premium_percent" in table.get(key, {}) for key in ("stop", "target")) and rng.random() < 0.6:
        table["premium_base"] = rng.choice(("net", "gross"))
    sold = [leg for leg in legs if leg["side"] == "SELL"]
    own = all({"points", "percent"} & set(leg.get("stop", {})) for leg in sold)
    moves = any(leg is not other for leg in sold for other in legs if "stop" in other)
    if own and moves and rng.random() < 0.8:
        table["move_stop_to_cost"] = True


def _amount(rng: Random, *, has_premium: bool, tight: bool) -> Table:
    if rng.random() < 0.5 or not has_premium:
        return {"rupees": rng.randint(100, 2000 if tight else 6000)}
    return {"premium_percent": Decimal(rng.randint(30, 200 if tight else 600)) / 10}


def _lock(rng: Random, below: int) -> Table:
    at = rng.randint(50, below - 1)
    lock: Table = {"at": at, "keep": rng.randint(at // 5, at - 1)}
    if rng.random() < 0.5:
        every = rng.randint(50, 600)
        lock["trail"] = {"every": every, "by": rng.randint(every // 3, every)}
    return lock


def _limits(rng: Random, table: Table, legs: list[Table], kind: Kind) -> None:
    """Losses are net of charges, which are known of options on some days only."""
    if kind.has_charges and all(leg["type"] != "FUT" for leg in legs):
        draw = rng.random()
        if draw < 0.3:
            table[OF_BASKET] = {"max_daily_loss": rng.randint(100, 4000)}
        elif draw < 0.55:
            table[OF_BASKET] = {"max_drawdown_percent": Decimal(rng.randint(2, 60)) / 1000}
        if rng.random() < 0.35:
            table[OF_ACCOUNTS] = {"max_daily_loss": rng.randint(100, 4000)}
        for allocation in table["allocations"]:
            if rng.random() < 0.35:
                allocation["limits"] = {"max_daily_loss": rng.randint(100, 3000)}
    for allocation in table["allocations"]:
        if "lots" not in allocation or rng.random() < 0.4:
            continue
        sizes = {
            "max_daily_trades": len(legs) + rng.randint(0, 3),
            "max_lots": sum(leg.get("ratio", 1) for leg in legs) * allocation["lots"] + rng.randint(0, 2),
            "max_position_value": rng.randint(5, 300) * 1000,
        }
        chosen = rng.sample(sorted(sizes), rng.randint(1, 2))
        allocation["limits"] = allocation.get("limits", {}) | {key: sizes[key] for key in chosen}


def _allocations(rng: Random, legs: list[Table], *, by_legs: bool) -> list[Table]:
    chosen = ACCOUNTS[: rng.choice((1, 1, 2))]
    allocations: list[Table] = []
    for number, account in enumerate(chosen):
        if by_legs and number == 1 and rng.random() < 0.5:
            ids = [str(leg.get("id", position + 1)) for position, leg in enumerate(legs)]
            some = rng.sample(ids, rng.randint(1, len(ids)))
            allocations.append({"account": account, "leg_lots": {leg: rng.randint(1, 4) for leg in sorted(some)}})
        else:
            allocations.append({"account": account, "lots": rng.randint(1, 5)})
    return allocations
