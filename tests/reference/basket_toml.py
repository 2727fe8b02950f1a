"""Random strategies as basket files, and as the person who has to understand a failure reads them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

Table = dict[str, Any]
OF_BASKET, OF_ACCOUNTS = "basket's", "accounts'"
"""Keys of a strategy's table for limits that stand outside of it; a strategy that has them has a basket of its own."""
CAPITAL = 10_000_000
"""Of every basket, rupees."""
BASKET = 10
"""The most strategies a file may have."""


def write_baskets(tables: list[Table], folder: Path) -> list[Path]:
    """Files for all of them; each basket has accounts nobody else has."""
    shared = [table for table in tables if not {OF_BASKET, OF_ACCOUNTS} & table.keys()]
    groups = [shared[first : first + BASKET] for first in range(0, len(shared), BASKET)]
    groups += [[table] for table in tables if {OF_BASKET, OF_ACCOUNTS} & table.keys()]
    files = []
    for number, group in enumerate(groups):
        files.append(folder / f"b{number}.toml")
        files[-1].write_text(_basket_file(f"b{number}", group), encoding="utf-8")
    return files


def _basket_file(name: str, strategies: list[Table]) -> str:
    lines = ["[basket]", f'name = "{name}"', f"capital = {CAPITAL}"]
    lines += [f"{key} = {_value(value)}" for key, value in strategies[0].get(OF_BASKET, {}).items()]
    for account in sorted({allocation["account"] for table in strategies for allocation in table["allocations"]}):
        lines += ["", "[[accounts]]", f'id = "{name}-{account}"']
        lines += [f"{key} = {_value(value)}" for key, value in strategies[0].get(OF_ACCOUNTS, {}).items()]
    for table in strategies:
        own = {**table, "allocations": [{**a, "account": f"{name}-{a['account']}"} for a in table["allocations"]]}
        lines += ["", as_toml(own)]
    return "\n".join(lines) + "\n"


def as_toml(table: Table) -> str:
    """A strategy."""
    parts = {key: table[key] for key in ("legs", "allocations")}
    outside = {key: table[key] for key in (OF_BASKET, OF_ACCOUNTS) if key in table}
    lines = [f"# {key} {_value(value)}" for key, value in outside.items()]
    lines += ["[[strategies]]"]
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if key not in {**parts, **outside}]
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
