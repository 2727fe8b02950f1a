"""What the cases had in them, counted: rules, entries, exits, skips."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from tests.reference.basket_toml import OF_ACCOUNTS, OF_BASKET
from tests.reference.run import Outcome, Table

MOVES = ("points", "percent")
LATER = ("wait", "breakout")
EXITS = (
    *("time", "stop", "target", "trail", "square_off", "strategy_stop", "strategy_target", "lock", "expiry"),
    *("basket_stop", "account_stop", "allocation_stop"),
)
KINDS = ("asap", "cost", "momentum", "asap_reverse", "cost_reverse", "momentum_reverse")
WAYS = (
    *("at its minute", "woken", "cycle after stop", "cycle after target"),
    *("leg wait", "leg breakout", "strategy wait", "strategy breakout"),
    *(f"{kind} after {cause}" for kind in KINDS for cause in ("stop", "target")),
)
RULES = (
    *(
        "reference spot",
        "reference synthetic",
        "reference future",
        "days",
        "dte",
        "expiry",
        "future",
        "ratio",
        "leg_lots",
    ),
    *("atm", "atm_points", "atm_percent", "strike", "straddle_width", "delta", "of_leg", "two accounts"),
    *(f"premium {pick}" for pick in ("closest", "at_least", "at_most", "range")),
    *(f"straddle_percent {pick}" for pick in ("closest", "at_least", "at_most")),
    *(f"{rule} {unit}" for rule in ("stop", "target") for unit in (*MOVES, "underlying_points", "underlying_percent")),
    *("trail", "close", "square_off all", "move_stop_to_cost", "lock", "lock trail", "mtm net"),
    *(f"strategy {rule} {unit}" for rule in ("stop", "target") for unit in ("rupees", "premium_percent")),
    *("per run", "per account", "per unit", "premium base net", "premium base gross"),
    *(f"{who} wait {unit}" for who in ("leg", "strategy") for unit in MOVES),
    *("lazy", "reenter_until", "restart on_stop", "restart on_target"),
    *("holding next_day", "holding positional", "settle"),
    *("basket max_daily_loss", "basket max_drawdown_percent", "account max_daily_loss", "allocation max_daily_loss"),
    *("allocation max_daily_trades", "allocation max_lots", "allocation max_position_value"),
)
"""Each is part of a case of the sample now and then, or the sample is none."""


@dataclass
class Tally:
    """What was compared, and what did not agree."""

    cases: int = 0
    """In which a leg entered."""
    skipped: int = 0
    not_due: int = 0
    legs: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    """By reason."""
    rules: Counter[str] = field(default_factory=Counter)
    """In how many cases that entered a rule was part of the strategy."""
    ways: Counter[str] = field(default_factory=Counter)
    """How legs were entered, and what cycles followed on."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Skips, by code."""
    disagreements: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("cases", "skipped", "not_due", "legs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("exits", "rules", "ways", "reasons"):
            getattr(self, name).update(getattr(other, name))
        self.disagreements += other.disagreements

    def count(self, table: Table, outcomes: list[Outcome], days: int) -> None:
        """A case is a run in which a leg entered."""
        self.not_due += days - len({outcome.day for outcome in outcomes if not outcome.cycle})
        for outcome in outcomes:
            if outcome.skipped:
                self.skipped += 1
                self.reasons[outcome.skipped] += 1
                continue
            self.cases += 1
            self.legs += len(outcome.positions)
            self.exits.update(position.exit_reason or "open" for position in outcome.positions)
            self.rules.update(rules_of(table))
            self.ways.update(position.way for position in outcome.positions)
            self.ways[outcome.came] += 1

    def counts(self) -> dict[str, Any]:
        """Everything but the disagreements, as plain values."""
        names = [each.name for each in fields(self) if each.name != "disagreements"]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, counts: dict[str, Any]) -> "Tally":
        whole = cls()
        for name, value in counts.items():
            setattr(whole, name, Counter(value) if isinstance(value, dict) else value)
        return whole

    def seldom(self, least: int) -> dict[str, int]:
        """Rules and reasons that occurred less often than that, those that never did included."""
        counted = {name: self.rules[name] for name in RULES}
        counted |= {f"exit {name}": self.exits[name] for name in EXITS}
        counted |= {name: self.ways[name] for name in WAYS}
        return {name: count for name, count in counted.items() if count < least}

    def __str__(self) -> str:
        lines = [
            f"{self.cases:,} cases entered {self.legs:,} legs; {self.skipped:,} were skipped, {self.not_due:,} not due;"
            f" {len(self.disagreements)} disagreements"
        ]
        for name, counter in (
            ("exits", self.exits),
            ("entries", self.ways),
            ("rules", self.rules),
            ("skips", self.reasons),
        ):
            lines.append(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in counter.most_common()))
        return "\n".join(lines)


def rules_of(table: Table) -> set[str]:
    found = {f"reference {table['reference']}"}
    found |= {key for key in ("days", "dte", "expiry", "lock", "move_stop_to_cost", "reenter_until") if key in table}
    if "trail" in table.get("lock", {}):
        found.add("lock trail")
    for key in ("stop", "target"):
        found |= {f"strategy {key} {unit}" for unit in table.get(key, {})}
    if "per" in table:
        found.add(f"per {table['per']}")
    if "premium_base" in table:
        found.add(f"premium base {table['premium_base']}")
    found |= {f"strategy {key} {unit}" for key in LATER for unit in table.get(key, {}) if unit != "until"}
    found |= {f"restart {key}" for key in table.get("restart", {})}
    found |= {"mtm net"} if table.get("mtm") == "net" else set()
    found |= {f"holding {table['holding']}"} if "holding" in table else set()
    found |= {"settle"} if table.get("settle") else set()
    found |= {f"basket {key}" for key in table.get(OF_BASKET, {})}
    found |= {f"account {key}" for key in table.get(OF_ACCOUNTS, {})}
    found |= {f"allocation {key}" for allocation in table["allocations"] for key in allocation.get("limits", {})}
    for leg in table["legs"]:
        if leg["type"] == "FUT":
            found.add("future")
        else:
            found.add(" ".join(filter(None, (leg["strike"]["rule"], leg["strike"].get("pick")))))
        for key in ("stop", "target"):
            found |= {f"{key} {unit}" for unit in leg.get(key, {})}
        found |= {key for key in ("trail", "ratio", "lazy") if key in leg}
        found |= {f"leg {key} {unit}" for key in LATER for unit in leg.get(key, {}) if unit != "until"}
        for key in ("on_stop", "on_target"):
            found |= {f"{key} {leg[key]['reenter']}"} if "reenter" in leg.get(key, {}) else set()
            found |= {f"{key} wakes"} if "wakes" in leg.get(key, {}) else set()
        found |= {"close"} if leg.get("price") == "close" else set()
        found |= {"square_off all"} if leg.get("square_off") == "all" else set()
    found |= {"leg_lots" for allocation in table["allocations"] if "leg_lots" in allocation}
    found |= {"two accounts"} if len(table["allocations"]) > 1 else set()
    return found
