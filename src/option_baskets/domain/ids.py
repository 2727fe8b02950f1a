"""Identities that are functions of what they name, so that doing a thing twice names it once."""

import base64
import hashlib
from datetime import date
from enum import StrEnum

TAG_LENGTH = 20


class Action(StrEnum):
    ENTER = "ENTER"
    EXIT = "EXIT"


def run_id(day: date, strategy_id: str, cycle: int = 0) -> str:
    return f"{day.isoformat()}#{strategy_id}#{cycle}"


def public_run_id(run: str) -> str:
    """A run's id as it stands in URLs and answers: ``~`` for ``#``, which a URL cuts off."""
    day, rest = run.split("#", 1)
    strategy_id, cycle = rest.rsplit("#", 1)
    return f"{day}~{strategy_id}~{cycle}"


def run_id_of(public: str) -> str | None:
    """The run's id; None where the text is no public run id. The id of its strategy may itself contain ``~``."""
    day, _, rest = public.partition("~")
    strategy_id, _, cycle = rest.rpartition("~")
    try:
        found = run_id(date.fromisoformat(day), strategy_id, int(cycle))
    except ValueError:
        return None
    return found if strategy_id and "#" not in public and public_run_id(found) == public else None


def intent_id(
    *,
    user_id: str,
    run: str,
    leg: str,
    account: str,
    entry_number: int,
    action: Action,
    attempt: int = 0,
    slice_number: int = 0,
) -> str:
    """The identity of one order, also its tag at the broker: 20 characters of A-Z and 2-7.

    The cause of an exit is never part of it, so that two causes name the same exit. 100 bits of SHA-256: among ten
    million intents the chance of any collision is about 4e-17.
    """
    parts = (user_id, run, leg, account, str(entry_number), action.value, str(attempt), str(slice_number))
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return base64.b32encode(digest[:15]).decode()[:TAG_LENGTH]
