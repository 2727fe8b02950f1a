"""The cadence table as a TOML file: the one in the package, or the user's own."""

import re
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from option_baskets.domain.cadence import Beat, Cadence, InPhase
from option_baskets.domain.errors import Invalid, Problem
from option_baskets.domain.events import EventType, MarketPhase, Priority

NAME = "cadence.toml"
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_SHORTEST_BOUNDARY = timedelta(milliseconds=50)
_BEAT_KEYS = {"every", "during", "priority", "look_ahead", "look_back", "in"}
_PHASE_KEYS = {"every", "priority"}
_SPANS = ("day", "trading")


def load_cadence(path: Path | None = None) -> Cadence:
    """The table of a file, or of a folder's cadence.toml; where there is none, the package's.

    Raises:
        Invalid: with every problem of the file, each naming its table, key and way out.
    """
    if path is not None and path.is_dir():
        path = path / NAME if (path / NAME).exists() else None
    source = files("option_baskets") / "facts" / NAME if path is None else path
    try:
        tables = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", where=str(source)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"is no TOML: {error}", where=str(source)) from error
    return _Reader(source.name).cadence(tables)


class _Reader:
    """Reads what it can and remembers every problem."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._problems: list[Problem] = []

    def cadence(self, tables: dict[str, Any]) -> Cadence:
        known = [type_.value for type_ in EventType]
        for name in tables.keys() - set(known):
            self._problem(name, f"is no event; write one of {', '.join(known)}")
        for name in set(known) - tables.keys():
            self._problem(name, f'is missing; add a table [{name}] with every = "1m" or the like')
        beats = [self._beat(EventType(name), table) for name, table in tables.items() if name in known]
        if not self._problems:
            cadence = Cadence(beats=tuple(beats))
            if cadence.boundary >= _SHORTEST_BOUNDARY:
                return cadence
            self._problem("every", f"together they need a tick every {cadence.boundary}; the shortest is 50 ms")
        raise Invalid(sorted(self._problems, key=str))

    def _beat(self, type_: EventType, table: object) -> Beat:
        where = type_.value
        values = self._table(where, table, _BEAT_KEYS)
        during = values.get("during", "day")
        if during not in _SPANS:
            self._problem(f"{where}.during", f"{during!r} is no part of a day; write one of {', '.join(_SPANS)}")
        look = "look_ahead" if type_ is EventType.SCHEDULE_STRATEGY_TRIGGER else "look_back"
        every = self._length(f"{where}.every", values.get("every"))
        horizon = self._length(f"{where}.{look}", values[look]) if look in values else timedelta()
        if type_ is EventType.SCHEDULE_STRATEGY_TRIGGER and horizon < every:
            self._problem(f"{where}.look_ahead", f"{horizon} is shorter than every = {every}: entries would be missed")
        return Beat(
            type=type_,
            every=every,
            priority=self._priority(f"{where}.priority", values.get("priority", "NORMAL")),
            trading_only=during == "trading",
            phases=self._phases(f"{where}.in", values.get("in", {})),
            horizon=horizon,
        )

    def _phases(self, where: str, table: object) -> dict[MarketPhase, InPhase]:
        phases = {}
        for name, values in self._table(where, table, set(MarketPhase)).items():
            here = f"{where}.{name}"
            row = self._table(here, values, _PHASE_KEYS)
            phases[MarketPhase(name)] = InPhase(
                every=self._length(f"{here}.every", row["every"]) if "every" in row else None,
                priority=self._priority(f"{here}.priority", row["priority"]) if "priority" in row else None,
            )
        return phases

    def _table(self, where: str, value: object, keys: set[str] | set[MarketPhase]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._problem(where, f"{value!r} is no table; write [{where}]")
            return {}
        for key in value.keys() - keys:
            self._problem(f"{where}.{key}", f"is not known here; write one of {', '.join(sorted(keys))}")
        return {key: item for key, item in value.items() if key in keys}

    def _length(self, where: str, value: object) -> timedelta:
        match = re.fullmatch(r"(\d+)\s*(ms|s|m|h)", value) if isinstance(value, str) else None
        length = int(match[1]) * _UNITS[match[2]] if match else timedelta()
        if length:
            return length
        self._problem(where, f'{value!r} is no length of time; write e.g. "5m", "90s" or "250ms"')
        return timedelta(minutes=1)

    def _priority(self, where: str, value: object) -> Priority:
        names = [priority.name for priority in Priority]
        if value in names:
            return Priority[str(value)]
        self._problem(where, f"{value!r} is no priority; write one of {', '.join(names)}")
        return Priority.NORMAL

    def _problem(self, where: str, message: str) -> None:
        self._problems.append(Problem(where=f"{self._name}: {where}", message=message))
