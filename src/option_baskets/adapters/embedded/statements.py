"""The SQL of the embedded table, and ranges of sort keys. The text is stable, so every statement is prepared once."""

import json
import sys
from functools import cache

from option_baskets.adapters.embedded.sqlite import Row
from option_baskets.domain.errors import Invalid
from option_baskets.ports import Index, TableName

_COLUMNS = "pk, sk, version, body, gsi1pk, gsi1sk, gsi2pk, gsi2sk, expires_at"
_KEYS = {
    Index.PRIMARY: ("pk", "sk"),
    Index.ALLOCATIONS_BY_STRATEGY: ("gsi1pk", "gsi1sk"),
    Index.USER_EXECUTION_SCHEDULE: ("gsi2pk", "gsi2sk"),
}
_SORT_COLUMN = {Index.PRIMARY: 1, Index.ALLOCATIONS_BY_STRATEGY: 5, Index.USER_EXECUTION_SCHEDULE: 7}

AFTER_ALL_TEXT = b""
"""SQLite sorts every blob after every text: an upper end that excludes no sort key."""


def bounds(begins_with: str, between: tuple[str, str] | None) -> tuple[str, str | bytes]:
    """[low, high) of the sort keys asked for. Text compares by code point, which is also the order of its UTF-8."""
    low, high = begins_with, _successor(begins_with)
    if between is not None:
        first, after_last = between[0], between[1] + "\x00"
        low = max(low, first)
        high = after_last if high is None else min(high, after_last)
    return low, AFTER_ALL_TEXT if high is None else high


def _successor(prefix: str) -> str | None:
    """The least text after all that begin with ``prefix``; None if there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code <= sys.maxunicode:
            return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)  # what lies between is no text
        prefix = prefix[:-1]
    return None


def cursor_after(row: Row, index: Index) -> str:
    return json.dumps([index, row[_SORT_COLUMN[index]], row[9]])


def place(cursor: str, index: Index) -> tuple[str, int]:
    """(sort key, row id) of the last item of the page before."""
    try:
        of, sort, row_id = json.loads(cursor)
    except ValueError:
        of = None
    if of != index:
        raise Invalid(
            f"{cursor!r} is no cursor of a query of {index}; give back the one a page came with", where="cursor"
        )
    return str(sort), int(row_id)


def name_of(table: TableName) -> str:
    return table.value.replace("-", "_")


_UNEXPIRED = "(expires_at IS NULL OR expires_at > ?)"


@cache
def get_sql(table: TableName) -> str:
    return f"SELECT {_COLUMNS} FROM {name_of(table)} WHERE pk = ? AND sk = ? AND {_UNEXPIRED}"


@cache
def query_sql(table: TableName, index: Index, descending: bool, continued: bool) -> str:
    pk, sk = _KEYS[index]
    way, beyond = ("DESC", "<") if descending else ("ASC", ">")
    rest = f"AND ({sk}, rowid) {beyond} (?, ?)" if continued else ""
    return (
        f"SELECT {_COLUMNS}, rowid FROM {name_of(table)} "
        f"WHERE {pk} = ? AND {sk} >= ? AND {sk} < ? AND {_UNEXPIRED} {rest} "
        f"ORDER BY {sk} {way}, rowid {way} LIMIT ?"
    )


@cache
def put_sql(table: TableName, rows: int) -> str:
    """Write ``rows`` items whose expectation holds (NULL: any; 0: none is there); the count of rows says how many."""
    name = name_of(table)
    columns = [column.strip() for column in _COLUMNS.split(",")]
    given = ", ".join(f"column{number}" for number in range(1, len(columns) + 1))
    expected = f"column{len(columns) + 1}"
    values = ", ".join([f"({', '.join('?' * (len(columns) + 1))})"] * rows)
    replaced = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
    found = f"SELECT version FROM {name} WHERE pk = column1 AND sk = column2 AND {_UNEXPIRED}"
    return (
        f"INSERT INTO {name} ({_COLUMNS}) SELECT {given} FROM (VALUES {values}) "
        f"WHERE {expected} IS NULL OR {expected} = coalesce(({found}), 0) "
        f"ON CONFLICT (pk, sk) DO UPDATE SET {replaced}"
    )


@cache
def delete_sql(table: TableName, rows: int) -> str:
    keys = ", ".join(["(?, ?)"] * rows)
    return f"DELETE FROM {name_of(table)} WHERE (pk, sk) IN (VALUES {keys})"


def _schema(table: TableName) -> str:
    # Not WITHOUT ROWID: bodies inside a tree of random keys split its pages, four times the time and log of this.
    name = name_of(table)
    return f"""
        CREATE TABLE IF NOT EXISTS {name} (
            pk TEXT NOT NULL, sk TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,
            gsi1pk TEXT, gsi1sk TEXT, gsi2pk TEXT, gsi2sk TEXT, expires_at INTEGER,
            PRIMARY KEY (pk, sk)
        );
        CREATE INDEX IF NOT EXISTS {name}_gsi1 ON {name} (gsi1pk, gsi1sk) WHERE gsi1pk IS NOT NULL;
        CREATE INDEX IF NOT EXISTS {name}_gsi2 ON {name} (gsi2pk, gsi2sk) WHERE gsi2pk IS NOT NULL;
        CREATE INDEX IF NOT EXISTS {name}_expiry ON {name} (expires_at) WHERE expires_at IS NOT NULL;
    """


SCHEMA = "".join(map(_schema, TableName))

MIGRATIONS = {
    # Runs that are over are found by their strategy; their key is RUN#date#strategy#cycle.
    2: SCHEMA
    + """
        UPDATE trading_configurations SET
            gsi2pk = pk || '#RUNS#' || substr(sk, 16, instr(substr(sk, 16), '#') - 1),
            gsi2sk = substr(sk, 5, 10) || '#'
                || printf('%04d', CAST(substr(sk, 16 + instr(substr(sk, 16), '#')) AS INTEGER))
        WHERE sk LIKE 'RUN#%' AND gsi2pk IS NULL
    """,
}
"""By the version they lead to."""
