"""``baskets import``: market data files become sessions in the canonical form."""

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from option_baskets.domain.errors import Invalid

if TYPE_CHECKING:
    from rich.console import Console

    from option_baskets.adapters.imports.intake import Intake, Options
    from option_baskets.adapters.imports.saving import Report

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHOWN = 10
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(name="import")
def command() -> None:
    """Turn market data files into the canonical form: one Parquet file a session.

    Bad rows are never used: the first are shown, all are in OUT/rejected.csv with file, row and reason, and every
    session carries its counts. docs/canonical-form.md describes the form and each FORMAT.

    \b
    Examples:
      baskets import minute-close --options nifty_options.parquet --index nifty_index.csv.gz \\
          --underlying NIFTY --lot-size 50 --out data/nifty-2022
      baskets import ohlcv-vendor Bnf03042017.csv.gz --lot-size 40 --out data/banknifty-2017
      baskets import nse-chain nse_index_chain_5min_2026.parquet --out data/chain-2026
      baskets import udiff udiff_raw/2026-02-03/*.csv.gz --out data/daily
      baskets import bhavcopy fo26MAY2023bhav.csv.gz fo17112025.zip --out data/bhavcopy
    """


def _lot_sizes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    sizes = {}
    for value in values:
        underlying, _equals, size = value.rpartition("=")
        if not size.isdigit() or int(size) == 0:
            raise click.BadParameter(f"{value!r} is not a number of units, such as 50 or NIFTY=50")
        sizes[underlying.upper()] = int(size)
    return sizes


def _spans(_: click.Context, __: click.Parameter, value: str | None) -> tuple[Any, ...]:
    from option_baskets.domain.facts import Span

    if value is None:
        return ()
    try:
        spans = tuple(Span.parse(part) for part in value.split(","))
        if any(later.start < earlier.end for earlier, later in pairwise(spans)):
            raise ValueError(f"{value}: the windows overlap or are out of order")
    except ValueError as error:
        raise click.BadParameter(f"{error}; write 09:15-15:30, or 09:15-10:00,11:30-12:30") from error
    return spans


def _dates(_: click.Context, __: click.Parameter, values: tuple[datetime, ...]) -> frozenset[date]:
    return frozenset(value.date() for value in values)


_OPTIONS = (
    click.option("--out", type=_FOLDER, required=True, help="Folder of sessions; made if it is not there."),
    click.option(
        "--lot-size",
        "lot_sizes",
        multiple=True,
        callback=_lot_sizes,
        metavar="[UNDERLYING=]N",
        help="Units per lot, where the source has none; goes before our facts. May be repeated.",
    ),
    click.option(
        "--session",
        "spans",
        callback=_spans,
        metavar="HH:MM-HH:MM[,…]",
        help="The session's windows in IST, instead of those our facts know.",
    ),
    click.option(
        "--date",
        "dates",
        type=click.DateTime(["%Y-%m-%d"]),
        multiple=True,
        callback=_dates,
        metavar="YYYY-MM-DD",
        help="Only this date. May be repeated.",
    ),
    click.option("--facts", "facts_folder", type=_FOLDER, help="Folder with later revisions of market facts."),
    click.option("--replace", is_flag=True, help="Overwrite sessions that differ; without it they are an error."),
)


def _importing(read: Callable[..., "Intake"]) -> Callable[..., None]:
    """A command of the common options around a function (its own parameters, options) -> Intake."""

    @wraps(read)
    def run(
        out: Path,
        lot_sizes: dict[str, int],
        spans: tuple[Any, ...],
        dates: frozenset[date],
        facts_folder: Path | None,
        replace: bool,
        **own: object,
    ) -> None:
        from polars.exceptions import PolarsError

        from option_baskets.adapters.facts import load
        from option_baskets.adapters.imports.intake import Options

        options = Options(facts=load(facts_folder), lot_sizes=lot_sizes, spans=spans, dates=dates)
        try:
            intake = read(**own, options=options)
        except PolarsError as error:
            raise Invalid(f"a column has another type than this format's: {str(error).splitlines()[0]}") from error
        _save(intake, out, replace=replace)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def _save(intake: "Intake", out: Path, *, replace: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from option_baskets.adapters.imports.saving import save

    console = Console(highlight=False)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("importing", total=len(intake))
        report = save(intake, out, replace=replace, on_day=lambda _: progress.advance(task))
    _show(console, report, out)
    if not report.saved:
        raise click.ClickException(f"no session was imported; {report.rejected.height} rows were rejected")


def _show(console: "Console", report: "Report", out: Path) -> None:
    from rich.table import Table

    from option_baskets.adapters.imports.saving import REJECTED

    table = Table(box=None, header_style="bold")
    for heading in ("session", "contracts", "bars", "rejected"):
        table.add_column(heading, justify="left" if heading == "session" else "right")
    for day in report.saved:
        table.add_row(str(day.date), f"{day.contracts:,}", f"{day.bars:,}", f"{day.rejected:,}")
    console.print(table)
    bars, rejected = sum(day.bars for day in report.saved), report.rejected.height
    sessions = "1 session" if len(report.saved) == 1 else f"{len(report.saved)} sessions"
    console.print(f"{sessions}, {bars:,} bars in {out}; {rejected:,} rows rejected", soft_wrap=True)
    for reason, count in report.reasons:
        console.print(f"  {count:>7,}  {reason}")
    for file, row, reason in report.rejected.head(_SHOWN).select("file", "row", "reason").iter_rows():
        console.print(f"  {file} row {row}: {reason}", soft_wrap=True)
    if rejected > _SHOWN:
        console.print(f"  … all {rejected:,} are in {out / REJECTED}", soft_wrap=True)


@command.command("minute-close")
@click.option("--options", "options_file", type=_FILE, required=True, help="Option closes by minute (Parquet or CSV).")
@click.option("--index", "index_file", type=_FILE, help="Index and volatility index by minute (CSV or Parquet).")
@click.option("--underlying", required=True, type=str.upper, metavar="NAME", help="Underlying, e.g. NIFTY.")
@_importing
def minute_close_command(options: "Options", options_file: Path, index_file: Path | None, underlying: str) -> "Intake":
    """Option closes by minute in one table, with the index beside it.

    \b
    Columns of --options: epoch (UTC seconds, start of the minute), date,
      expiry_inferred, option_type, strike, close
    Columns of --index: epoch, date, nifty_open, nifty_high, nifty_low,
      nifty_close (the name is the underlying's), vix_close
    \b
    Example:
      baskets import minute-close --options nifty_options.parquet --index nifty_index.csv.gz \\
          --underlying NIFTY --lot-size 50 --out data/nifty-2022
    """
    from option_baskets.adapters.imports.minute_close import minute_close

    return minute_close(options_file, index_file, underlying, options)


@command.command("ohlcv-vendor")
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option(
    "--future-expiry",
    "future_expiries",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    metavar="YYYY-MM-DD",
    help="Expiry of the -I future, then of -II and -III, where the derived ones are wrong.",
)
@_importing
def ohlcv_vendor_command(
    options: "Options", files: tuple[Path, ...], future_expiries: tuple[datetime, ...]
) -> "Intake":
    """A vendor's one-minute bars of a whole chain, one CSV a day.

    \b
    Columns: Ticker, Date (DD/MM/YYYY), Time (end of the minute, 9:15:59), Open,
      High, Low, Close, Volume, Open Interest
    Tickers: BANKNIFTY06APR1721500CE.NFO; BANKNIFTY-I.NFO, -II and -III are the
      nearest three monthly futures
    \b
    Example:
      baskets import ohlcv-vendor Bnf03042017.csv.gz --lot-size 40 --out data/banknifty-2017
    """
    from option_baskets.adapters.imports.ohlcv_vendor import ohlcv_vendor

    return ohlcv_vendor(files, options, future_expiries=[expiry.date() for expiry in future_expiries])


@command.command("nse-chain")
@click.argument("files", type=_FILE, nargs=-1, required=True)
@_importing
def nse_chain_command(options: "Options", files: tuple[Path, ...]) -> "Intake":
    """Snapshots of the exchange's option chain, about every five minutes.

    \b
    Columns: timestamp (IST), Symbol, Expiry, Strike, Spot, and CE_LTP, CE_OI,
      CE_Volume, PE_LTP, PE_OI, PE_Volume; a price of 0 is missing
    \b
    Example:
      baskets import nse-chain nse_index_chain_5min_2026.parquet --date 2026-02-03 --out data/chain-2026
    """
    from option_baskets.adapters.imports.nse_chain import nse_chain

    return nse_chain(files, options)


@command.command("udiff")
@click.argument("files", type=_FILE, nargs=-1, required=True)
@_importing
def udiff_command(options: "Options", files: tuple[Path, ...]) -> "Intake":
    """The exchange's daily F&O file in the unified format; one bar a session.

    Takes the file as published (34 columns, CSV or gzipped), split by symbol, or many days in one Parquet file.
    Files of one date become one session.

    \b
    Example:
      baskets import udiff udiff_raw/2026-02-03/*.csv.gz --out data/daily
    """
    from option_baskets.adapters.imports.udiff import udiff

    return udiff(files, options)


@command.command("bhavcopy")
@click.argument("files", type=_FILE, nargs=-1, required=True)
@_importing
def bhavcopy_command(options: "Options", files: tuple[Path, ...]) -> "Intake":
    """The exchange's older daily F&O files; one bar a session.

    Takes foDDMMMYYYYbhav.csv (plain or gzipped) and foDDMMYYYY.zip.

    \b
    Example:
      baskets import bhavcopy fo26MAY2023bhav.csv.gz fo17112025.zip --out data/bhavcopy
    """
    from option_baskets.adapters.imports.bhavcopy import bhavcopy

    return bhavcopy(files, options)
