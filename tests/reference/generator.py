"""Random strategies, as the tables of a basket file. A seed and a number give one strategy, on every machine."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

Table = dict[str, Any]
ACCOUNTS = ("one", "two")


@dataclass(frozen=True)
class Kind:
    """What the days have on which a strategy is played. What they lack is asked for seldom, so that few cases skip."""

    underlying: str
    level: int
    days: int
    has_spot: bool
    has_future: bool
    expiries: int


def strategy(seed: int, number: int, kind: Kind) -> Table:
    """The strategy of a number: on any machine the same."""
    rng = Random(f"{seed} {kind.underlying} {number}")
    entry = rng.randint(9 * 60 + 16, 14 * 60 + 30) if rng.random() < 0.7 else 9 * 60 + 20
    table: Table = {
        "name": f"s{number}",
        "underlying": kind.underlying,
        "entry": _time(entry),
        "exit": _time(min(entry + rng.choice((20, 60, 180, 400)), 15 * 60 + rng.randint(0, 9))),
        "naked": True,
        "reference": _reference(rng, kind),
    }
    if kind.days > 1 and rng.random() < 0.15:
        table["days"] = sorted(rng.sample(("MON", "TUE", "WED", "THU", "FRI"), 3))
    if kind.days > 1 and rng.random() < 0.15:
        table["dte"] = sorted(rng.sample(range(6), 4))
    if rng.random() < (0.3 if kind.expiries > 1 else 0.01):
        table["expiry"] = {"series": rng.choice(("weekly", "monthly")), "offset": rng.randint(0, 1)}
    legs: list[Table] = []
    for position in range(rng.choice((1, 1, 2, 2, 2, 3, 4))):
        legs.append(_leg(rng, kind, position, legs))
    _strategy_exits(rng, table, legs)
    table["allocations"] = _allocations(rng, legs, by_legs=table.get("per") != "unit")
    table["legs"] = legs
    return table


def _time(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _reference(rng: Random, kind: Kind) -> str:
    choices = ["synthetic"] * 6 + ["spot"] * (12 if kind.has_spot else 1) + ["future"] * (6 if kind.has_future else 1)
    return rng.choice(choices)


# ---------------------------------------------------------------- legs


def _leg(rng: Random, kind: Kind, position: int, earlier: list[Table]) -> Table:
    leg: Table = {"side": rng.choice(("SELL", "SELL", "BUY")), "type": rng.choice(("CE", "PE"))}
    if rng.random() < 0.3:
        leg["id"] = f"leg-{position + 1}"
    if rng.random() < 0.2:
        leg["ratio"] = rng.randint(2, 3)
    if rng.random() < (0.08 if kind.has_future else 0.005):
        leg["type"] = "FUT"
    else:
        options = [number for number, other in enumerate(earlier) if other["type"] != "FUT"]
        leg["strike"] = _strike(rng, kind, [str(earlier[n].get("id", n + 1)) for n in options])
        if rng.random() < (0.1 if kind.expiries > 1 else 0.005):
            leg["expiry"] = {"series": rng.choice(("weekly", "monthly")), "offset": rng.randint(0, 2)}
    _leg_exits(rng, leg)
    return leg


def _strike(rng: Random, kind: Kind, earlier: list[str]) -> Table:
    wide = 2 if kind.underlying == "BANKNIFTY" else 1
    premium = rng.randint(2, 240)
    choices: list[Table] = [
        {"rule": "atm"},
        {"rule": "atm", "offset": rng.randint(-4, 12)},
        {"rule": "atm_points", "points": rng.randint(-200, 600) * wide},
        {"rule": "atm_percent", "percent": Decimal(rng.randint(-100, 300)) / 100},
        {"rule": "strike", "value": kind.level + 50 * wide * rng.randint(-6, 6)},
        {"rule": "premium", "pick": rng.choice(("closest", "at_least", "at_most")), "value": premium},
        {"rule": "premium", "pick": "range", "from": premium, "to": premium + rng.randint(5, 60)},
        {
            "rule": "straddle_percent",
            "pick": rng.choice(("closest", "at_least", "at_most")),
            "percent": Decimal(rng.randint(30, 600)) / 10,
        },
        {"rule": "straddle_width", "k": Decimal(rng.randint(-5, 15)) / 10},
    ]
    if earlier:
        choices += [{"rule": "of_leg", "leg": rng.choice(earlier), "points": 50 * wide * rng.randint(-2, 6)}] * 3
    strike = rng.choice(choices)
    if strike["rule"] == "straddle_width" and not strike["k"]:
        strike["k"] = Decimal("0.5")
    return strike


def _leg_exits(rng: Random, leg: Table) -> None:
    if rng.random() < 0.75:
        leg["stop"] = _distance(rng)
    if rng.random() < 0.5:
        leg["target"] = _distance(rng)
    own = [key for key in ("stop", "target") if {"points", "percent"} & set(leg.get(key, {}))]
    if "stop" in own and rng.random() < 0.4:
        every = Decimal(rng.randint(5, 150)) / 10
        by = every if rng.random() < 0.4 else (every * rng.randint(3, 10) / 10).quantize(Decimal("0.01"))
        leg["trail"] = {"unit": rng.choice(("points", "percent")), "every": every, "by": by}
    if own and rng.random() < 0.25:
        leg["price"] = "close"
    if ("stop" in leg or "target" in leg) and rng.random() < 0.2:
        leg["square_off"] = "all"


def _distance(rng: Random) -> Table:
    draw = rng.random()
    if draw < 0.5:
        return {"percent": Decimal(rng.randint(20, 300)) / 10 if rng.random() < 0.7 else rng.randint(2, 90)}
    if draw < 0.85:
        return {"points": Decimal(rng.randint(2, 60)) / 2}
    if draw < 0.93:
        return {"underlying_points": rng.randint(10, 150)}
    return {"underlying_percent": Decimal(rng.randint(5, 90)) / 100}


# ---------------------------------------------------------------- the whole strategy


def _strategy_exits(rng: Random, table: Table, legs: list[Table]) -> None:
    has_premium = any(leg["type"] != "FUT" for leg in legs)
    for key in ("stop", "target"):
        if rng.random() < 0.15:
            table[key] = _amount(rng, has_premium=has_premium)
    if rng.random() < 0.15:
        table["lock"] = _lock(rng, below=table.get("target", {}).get("rupees", 3000))
    if any(key in table for key in ("stop", "target", "lock")):
        table["per"] = rng.choice(("run", "run", "account", "unit"))
    if any("premium_percent" in table.get(key, {}) for key in ("stop", "target")) and rng.random() < 0.6:
        table["premium_base"] = rng.choice(("net", "gross"))
    sold = [leg for leg in legs if leg["side"] == "SELL"]
    own = all({"points", "percent"} & set(leg.get("stop", {})) for leg in sold)
    moves = any(leg is not other for leg in sold for other in legs if "stop" in other)
    if own and moves and rng.random() < 0.8:
        table["move_stop_to_cost"] = True


def _amount(rng: Random, *, has_premium: bool) -> Table:
    if rng.random() < 0.5 or not has_premium:
        return {"rupees": rng.randint(100, 6000)}
    return {"premium_percent": Decimal(rng.randint(30, 600)) / 10}


def _lock(rng: Random, below: int) -> Table:
    at = rng.randint(50, below - 1)
    lock: Table = {"at": at, "keep": rng.randint(at // 5, at - 1)}
    if rng.random() < 0.5:
        every = rng.randint(50, 600)
        lock["trail"] = {"every": every, "by": rng.randint(every // 3, every)}
    return lock


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


# ---------------------------------------------------------------- TOML


def basket_file(name: str, strategies: list[Table]) -> str:
    """A basket of at most ten strategies, on accounts nobody else has."""
    lines = ["[basket]", f'name = "{name}"', "capital = 10000000", ""]
    for account in ACCOUNTS:
        lines += ["[[accounts]]", f'id = "{name}-{account}"', ""]
    for table in strategies:
        own = {**table, "allocations": [{**a, "account": f"{name}-{a['account']}"} for a in table["allocations"]]}
        lines += [as_toml(own), ""]
    return "\n".join(lines)


def as_toml(table: Table) -> str:
    """One strategy as the person who has to understand a failure reads it."""
    parts = {key: table[key] for key in ("legs", "allocations")}
    lines = ["[[strategies]]", *(f"{key} = {_value(value)}" for key, value in table.items() if key not in parts)]
    for key, tables in parts.items():
        for part in tables:
            lines += ["", f"[[strategies.{key}]]", *(f"{name} = {_value(value)}" for name, value in part.items())]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())} }}"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _key(key: str) -> str:
    return key if key.isalpha() or "_" in key else f'"{key}"'
