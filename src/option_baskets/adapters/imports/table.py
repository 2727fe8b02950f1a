"""Source files as tables of text or Parquet columns, every row with its file and row number."""

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

import polars as pl
from polars.exceptions import PolarsError

from option_baskets.domain.errors import Invalid, NotFound

_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, UnicodeDecodeError, csv.Error, PolarsError)


def read_table(path: Path, columns: Iterable[str]) -> pl.DataFrame:
    """A Parquet file, or a CSV (plain or gzipped) with every column as text.

    Three columns come first: ``file``; ``row``, the line of a CSV or the record of a Parquet file counted from 1; and
    ``reason``, set for a CSV row with too many or too few fields. Names and values lose surrounding blanks.

    Raises:
        NotFound: there is no such file.
        Invalid: it cannot be read, or lacks one of ``columns``.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            table = _numbered(pl.read_parquet(path).with_columns(pl.selectors.temporal().cast(pl.String)), path.name)
        else:
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
                table = _csv(text, path.name)
    except _DAMAGE as error:
        raise Invalid(f"cannot be read: {str(error).splitlines()[0]}", where=str(path)) from error
    return _with(table, columns, str(path))


def read_zip(path: Path, columns_by_prefix: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, pl.DataFrame]]:
    """The CSVs of a zip whose names begin with one of the prefixes and go on with eight digits, as ``read_table``.

    Yields:
        (name, table); ``file`` is ``archive/name``.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                stem, prefix = name.removesuffix(".csv"), name[:2]
                if prefix not in columns_by_prefix or not (len(stem) == 10 and stem[2:].isdigit()):
                    continue
                with archive.open(name) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
                    table = _csv(text, f"{path.name}/{name}")
                yield stem, _with(table, columns_by_prefix[prefix], f"{path}/{name}")
    except _DAMAGE as error:
        raise Invalid(f"cannot be read: {str(error).splitlines()[0]}", where=str(path)) from error


def _csv(text: TextIO, name: str) -> pl.DataFrame:
    reader = csv.reader(text)
    header = [column.strip() for column in next(reader, [])]
    width = len(header)
    rows = []
    for fields in reader:
        if not fields:
            continue
        reason = None if len(fields) == width else f"{len(fields)} fields, not {width}"
        values = [field.strip() or None for field in (fields + [""] * width)[:width]]
        rows.append((name, reader.line_num, reason, *values))
    # A trailing comma makes a nameless last column; it is kept out of the way of duplicates.
    names = [column or f"column {position}" for position, column in enumerate(header, 1)]
    schema = {"file": pl.String, "row": pl.Int64, "reason": pl.String, **dict.fromkeys(names, pl.String)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _numbered(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return table.select(
        pl.lit(name).alias("file"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"),
        pl.lit(None, pl.String).alias("reason"),
        pl.all(),
    )


def _with(table: pl.DataFrame, columns: Iterable[str], where: str) -> pl.DataFrame:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        has = ", ".join(table.columns[3:]) or "none"
        raise Invalid(f"has no column {', '.join(missing)} (its columns: {has}); is it another format?", where=where)
    return table
