"""Random legs: strikes, stops, targets, trails, and entries that come later or again."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

Table = dict[str, Any]
KINDS = ("asap", "cost", "momentum", "asap_reverse", "cost_reverse", "momentum_reverse")


@dataclass(frozen=True)
class Kind:
    """What the days have on which a strategy is played. What they lack is asked for seldom, so that few cases skip."""

    underlying: str
    level: int
    days: int
    has_spot: bool
    has_future: bool
    has_charges: bool
    expiries: int


def option_or_future(rng: Random, kind: Kind, position: int, earlier: list[Table], *, tight: bool) -> Table:
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
    _exits(rng, leg, tight=tight)
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
        {"rule": "straddle_width", "k": Decimal(rng.choice((1, -1)) * rng.randint(1, 15)) / 10},
        {"rule": "delta", "value": Decimal(rng.randint(4, 90)) / 100},
    ]
    if earlier:
        choices += [{"rule": "of_leg", "leg": rng.choice(earlier), "points": 50 * wide * rng.randint(-2, 6)}] * 3
    return rng.choice(choices)


def _exits(rng: Random, leg: Table, *, tight: bool) -> None:
    if rng.random() < (0.9 if tight else 0.75):
        leg["stop"] = _distance(rng, tight=tight)
    if rng.random() < (0.75 if tight else 0.5):
        leg["target"] = _distance(rng, tight=tight)
    own = [key for key in ("stop", "target") if {"points", "percent"} & set(leg.get(key, {}))]
    if "stop" in own and rng.random() < 0.4:
        every = Decimal(rng.randint(5, 150)) / 10
        by = every if rng.random() < 0.4 else (every * rng.randint(3, 10) / 10).quantize(Decimal("0.01"))
        leg["trail"] = {"unit": rng.choice(("points", "percent")), "every": every, "by": by}
    if own and rng.random() < 0.25:
        leg["price"] = "close"
    if ("stop" in leg or "target" in leg) and rng.random() < (0.1 if tight else 0.2):
        leg["square_off"] = "all"


def _distance(rng: Random, *, tight: bool) -> Table:
    """``tight`` ones are reached often, so that what follows on them does too."""
    draw, size = rng.random(), 3 if tight else 1
    if draw < 0.5:
        return {
            "percent": Decimal(rng.randint(20, 300) // size) / 10 if rng.random() < 0.7 else rng.randint(2, 90 // size)
        }
    if draw < 0.85:
        return {"points": Decimal(rng.randint(2, 60 // size)) / 2}
    if draw < 0.93:
        return {"underlying_points": rng.randint(10, 150 // size)}
    return {"underlying_percent": Decimal(rng.randint(5, 90 // size)) / 100}


# ---------------------------------------------------------------- later, and again


def move(rng: Random) -> Table:
    """Up or down, in points or percent."""
    way = rng.choice((1, -1))
    if rng.random() < 0.5:
        return {"points": way * Decimal(rng.randint(1, 30)) / 2}
    return {"percent": way * Decimal(rng.randint(5, 150)) / 10}


def breakout(rng: Random, entry: int, exit_: int) -> Table:
    until = min(entry + rng.randint(2, 45), exit_ - 1)
    return {"until": clock(until), "side": rng.choice(("high", "low", "either"))}


def wait(rng: Random, legs: list[Table], entry: int, exit_: int) -> None:
    """Some legs wait for their price."""
    for leg in rng.sample(legs, rng.randint(1, len(legs))):
        if rng.random() < 0.7:
            leg["wait"] = move(rng)
        else:
            leg["breakout"] = breakout(rng, entry, exit_)


def reenter(rng: Random, legs: list[Table]) -> None:
    """Some legs come again after their stop, their target or both."""
    for leg in legs:
        for cause in ("stop", "target"):
            if cause in leg and rng.random() < (0.7 if cause == "stop" else 0.95):
                kind = rng.choice(KINDS if cause == "stop" else (*KINDS, "momentum"))
                rule: Table = {"reenter": kind, "times": rng.randint(1, 4)}
                if kind.startswith("momentum"):
                    rule |= move(rng)
                leg[f"on_{cause}"] = rule


def wake(rng: Random, legs: list[Table]) -> None:
    """The last leg, or the last two, wait for a stop or target of one before them."""
    if len(legs) < 2:
        return
    lazy = rng.randint(1, min(2, len(legs) - 1))
    for place in range(len(legs) - lazy, len(legs)):
        wakers = [
            (leg, cause)
            for number, leg in enumerate(legs[:place])
            for cause in ("stop", "target")
            if cause in leg and not leg.get("lazy", False) | (number == place)
        ]
        if not wakers:
            continue
        legs[place]["lazy"] = True
        for leg, cause in rng.sample(wakers, rng.randint(1, min(2, len(wakers)))):
            leg.setdefault(f"on_{cause}", {}).setdefault("wakes", []).append(str(legs[place].get("id", place + 1)))


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
