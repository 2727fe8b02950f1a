"""Which secrets an account at a broker needs, and whether those given are they. No message has a value in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from option_baskets.domain.errors import Invalid, Problem
from option_baskets.domain.facts import Credential, Facts, Need, in_force

LONGEST = 4096
"""Characters of one value."""
VALUE = r"[!-~]([ -~]*[!-~])?"
"""What brokers hand out: printable ASCII, without blanks around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """One secret that a broker asks for."""

    field: str
    is_required: bool
    note: str = ""
    """What it is, for a person."""


def needed_by(facts: Facts, broker: str, on: date) -> tuple[Needed, ...]:
    """What reaches an account at the broker on a day, in the order of the table; nothing for the paper exchange."""
    fields = dict.fromkeys(row.field for row in facts.credentials if row.broker == broker)
    rows = (_row(facts, broker, field, on) for field in fields)
    return tuple(
        Needed(field=row.field, is_required=row.needed is Need.REQUIRED, note=row.note)
        for row in rows
        if row is not None and row.needed is not Need.NO
    )


def require_credentials(facts: Facts, broker: str, given: object, on: date, *, where: str = "secret") -> dict[str, str]:
    """The values by field, if they are what the broker needs.

    Args:
        given: as it came, e.g. from JSON.
        where: the path of it, for problems.

    Raises:
        Invalid: every field that is missing, unknown or no text one could paste. Neither values nor unknown names are
            told: somebody may have pasted a value in the place of a name.
    """
    needed = {each.field: each for each in needed_by(facts, broker, on)}
    if not needed:
        raise Invalid(f"{broker} accounts have no secrets; leave it out", where=where)
    listed = ", ".join(each.field if each.is_required else f"{each.field} (optional)" for each in needed.values())
    if not isinstance(given, Mapping):
        raise Invalid(f"give an object with {listed}", where=where)
    path = f"{where}." if where else ""
    values = {str(field): value for field, value in given.items() if value is not None or field not in needed}
    problems = [
        Problem(where=f"{path}{each.field}", message=f"is missing; {broker} needs {listed}")
        for each in needed.values()
        if each.is_required and each.field not in values
    ]
    for field, value in values.items():
        if field in needed:
            problems += [Problem(where=f"{path}{field}", message=wrong) for wrong in _wrong(value)]
        elif any(row.field == field for row in facts.credentials):
            message = f"is not asked for by {broker}; remove it: its fields are {listed}"
            problems.append(Problem(where=f"{path}{field}", message=message))
        else:
            message = f"has a field that no broker asks for; {broker} asks for {listed}"
            problems.append(Problem(where=where, message=message))
    if problems:
        raise Invalid(problems)
    return {field: str(value) for field, value in values.items()}


def _row(facts: Facts, broker: str, field: str, on: date) -> Credential | None:
    return in_force((row for row in facts.credentials if (row.broker, row.field) == (broker, field)), on)


def _wrong(value: object) -> list[str]:
    if not isinstance(value, str):
        return ["is not text; put it in quotes"]
    if not value.strip():
        return ["is empty; paste it as the broker shows it"]
    if value != value.strip():
        return ["begins or ends with blanks; remove them"]
    if not re.fullmatch(VALUE, value):
        return ["has line ends or characters that are not ASCII; paste it again"]
    if len(value) > LONGEST:
        return [f"has more than {LONGEST:,} characters; paste the value alone"]
    return []
