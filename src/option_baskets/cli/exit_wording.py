"""The words in which commands say when a leg or a strategy is left."""

from decimal import Decimal

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.exit_rules import Amount, Distance, Lock, Mtm, Per, PremiumBase, PriceUsed, Scope

_PER = {Per.ACCOUNT: " on one account", Per.UNIT: " a unit"}


def distance_in_words(distance: Distance | None) -> str:
    """Short enough for a column; a dash for no rule."""
    if distance is None:
        return "-"
    number = f"{distance.percent:f} %" if distance.percent is not None else f"{distance.points:f} pt"
    return f"{number} spot" if distance.underlying else number


def leg_in_words(leg: LegSpec) -> str:
    """What of the leg's exits has no column; empty where there is nothing to say."""
    notes = []
    if leg.trail is not None:
        by, every = distance_in_words(leg.trail.by), distance_in_words(leg.trail.every)
        notes.append(f"its stop moves {by} for each {every} in favour")
    if leg.price is PriceUsed.CLOSE:
        notes.append("its rules look at minute closes only")
    if leg.square_off is Scope.ALL:
        rules = " or ".join(name for name, rule in (("stop", leg.stop), ("target", leg.target)) if rule is not None)
        notes.append(f"its {rules} closes all legs")
    return f"Leg {leg.id}: {'; '.join(notes)}." if notes else ""


def strategy_in_words(strategy: Strategy) -> str:
    """When the whole strategy is left before its exit, in a sentence or two; empty where nothing is."""
    exits = strategy.exits
    each = _PER.get(exits.per, "")
    notes = []
    if exits.stop is not None:
        notes.append(f"at a loss of {_amount(exits.stop, exits.premium_base)}{each}")
    if exits.target is not None:
        notes.append(f"at a profit of {_amount(exits.target, exits.premium_base)}{each}")
    if exits.lock is not None:
        notes.append(f"{_lock(exits.lock)}{each}")
    told = f"All legs out {', '.join(notes)}." if notes else ""
    if exits.mtm is Mtm.NET:
        told += " Charges are taken off first."
    if exits.move_stop_to_cost:
        told += " Once a leg is stopped, the other sold legs' stops move to cost."
    return told.strip()


def rupees_in_words(amount: Decimal) -> str:
    """Grouped as in India: the last three digits, then twos, e.g. ₹5,00,000."""
    whole, _, fraction = f"{abs(amount):f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)][::-1]
    sign = "-" if amount < 0 else ""
    return f"{sign}₹{','.join([*groups, tail])}" + (f".{fraction}" if fraction else "")


def _amount(amount: Amount, base: PremiumBase) -> str:
    if amount.rupees is not None:
        return rupees_in_words(amount.rupees)
    gross = "gross " if base is PremiumBase.GROSS else ""
    return f"{amount.premium_percent:f} % of the {gross}premium"


def _lock(lock: Lock) -> str:
    told = f"falling to {rupees_in_words(lock.keep)} once {rupees_in_words(lock.at)} was made"
    if lock.by is None or lock.every is None:
        return told
    return f"{told} ({rupees_in_words(lock.by)} more for each further {rupees_in_words(lock.every)})"
