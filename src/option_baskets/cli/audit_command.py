"""``baskets audit``: the history of decisions, orders and deeds, as a table, CSV or JSON."""

from datetime import datetime
from pathlib import Path

import click

_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.command("audit")
@click.option("--from", "first", type=_DATE, required=True, help="The first day, e.g. 2026-11-24.")
@click.option("--to", "last", type=_DATE, help="The last day. Default: the first.")
@click.option("--run", default="", help="Only this run, e.g. 2026-11-24#income.condor#0.")
@click.option("--strategy", default="", help="Only this strategy: its name, or its id.")
@click.option("--account", default="", help="Only this account.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where the books are kept (or OPTION_BASKETS_DATA).",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def command(
    first: datetime,
    last: datetime | None,
    run: str,
    strategy: str,
    account: str,
    form: str,
    data: Path,
    out: Path | None,
) -> None:
    """Everything from one day to another, in order of time: who did or decided what, for which strategy, and why.

    Decisions of rules, refusals, every step of every order, fills, edits of plans, limits, kills, restarts. It only
    reads, and may run while baskets run trades. docs/audit.md has the columns and every code.

    \b
    Examples:
      baskets audit --from 2026-11-24
      baskets audit --from 2026-11-24 --strategy "Iron condor" --account zerodha-1
      baskets audit --from 2026-11-01 --to 2026-11-30 --format csv --out november.csv
      baskets audit --from 2026-11-24 --run "2026-11-24#income.iron-condor#0" --format json
    """
    import asyncio
    import sys

    from option_baskets.cli.audit_view import written
    from option_baskets.cli.replaying import whole
    from option_baskets.domain.errors import Invalid
    from option_baskets.wiring import TRADING_FILE

    last = last or first
    if last < first:
        raise Invalid(f"{last:%Y-%m-%d} is before {first:%Y-%m-%d}", where="--to")
    if not (data / TRADING_FILE).is_file():
        raise Invalid(f"{data} has no books; baskets run makes some", where="--data")
    asked = (data / TRADING_FILE, first.date(), last.date(), run, strategy, account)
    if out is None:
        asyncio.run(written(*asked, form, sys.stdout))
        return
    with whole(out) as part:
        with part.open("w", encoding="utf-8", newline="") as file:
            count = asyncio.run(written(*asked, form, file))
        part.replace(out)
    click.echo(f"{count:,} rows written to {out}")
