"""What commands of kill switches have in common, wherever the switches are: in a data folder or at a server."""

from collections.abc import Mapping
from datetime import timedelta

from option_baskets.domain.errors import Invalid
from option_baskets.domain.kill import Killed
from option_baskets.engine.left import Left

LOOK_EVERY = timedelta(seconds=0.2)
SEEN_WITHIN = timedelta(seconds=5)
"""An engine that has not taken a switch up by then cannot be reached; it takes a second when it can."""


def require_one(*, account: str | None, basket: str | None, strategy: str | None, everything: bool) -> None:
    """Raises Invalid: none of the options that say what, or several of them."""
    if sum((everything, account is not None, basket is not None, strategy is not None)) != 1:
        raise Invalid("say what: one of --account NAME, --basket NAME, --strategy NAME and --all")


def named(kind: str, name: str, known: Mapping[str, str]) -> str:
    """The id that is meant by an id or a name, of ``known`` names by id.

    Raises:
        Invalid: it means nothing, or several.
    """
    if name in known:
        return name
    found = sorted(id_ for id_, title in known.items() if title.casefold() == name.casefold())
    if len(found) > 1:
        raise Invalid(f"{name!r} is the name of several: say which, {' or '.join(found)}", where=f"--{kind}")
    if not found:
        there = ", ".join(sorted(known)) or "none at all"
        raise Invalid(f"there is no {kind} {name!r}; there are {there}", where=f"--{kind}")
    return found[0]


def told(left: Left) -> str:
    """What is left, for a person."""
    return "; ".join(f"{account}: {_on(left, account)}" for account in left.accounts) or "flat"


def _on(left: Left, account: str) -> str:
    counts = ((left.positions.get(account, 0), "open position"), (left.orders.get(account, 0), "working order"))
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts if count)


def option_of(subject: Killed) -> str:
    """What is killed, as it is given to kill and arm."""
    scope, name = subject
    return f"--{scope} {name}" if name else "--all"
