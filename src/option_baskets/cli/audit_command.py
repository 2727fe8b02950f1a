"""``baskets audit``: the history of decisions, orders and deeds, as a table, CSV or JSON."""

from datetime import datetime
from pathlib import Path

import click

from option_baskets.cli.client.options import chosen, or_server
from option_baskets.cli.kill_options import data_folder

_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.command("audit")
@click.option("--from", "first", type=_DATE, required=True, help="The first day, e.g. 2026-11-24.")
@click.option("--to", "last", type=_DATE, help="The last day. Default: the first.")
@click.option("--run", default="", help="Only this run, e.g. 2026-11-24#income.condor#0.")
@click.option("--strategy", default="", help="Only this strategy: its name, or its id.")
@click.option("--account", default="", help="Only this account.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@data_folder
@or_server
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@click.pass_context
def command(
    ctx: click.Context,
    first: datetime,
    last: datetime | None,
    run: str,
    strategy: str,
    account: str,
    form: str,
    data: Path,
    server: str | None,
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
      baskets audit --from 2026-11-24 --server http://127.0.0.1:8000
    """
    import asyncio
    import sys
    from typing import TextIO

    from option_baskets.cli.audit_view import FORMS, written
    from option_baskets.cli.client.connection import connected
    from option_baskets.cli.client.history import history
    from option_baskets.cli.replaying import whole
    from option_baskets.domain.errors import Invalid
    from option_baskets.wiring import TRADING_FILE

    last = last or first
    if last < first:
        raise Invalid(f"{last:%Y-%m-%d} is before {first:%Y-%m-%d}", where="--to")
    days, address = (first.date(), last.date()), chosen(ctx)
    if address is None and not (data / TRADING_FILE).is_file():
        raise Invalid(f"{data} has no books; baskets run makes some", where="--data")

    async def work(file: TextIO) -> int:
        if address is None:
            return await written(data / TRADING_FILE, *days, run, strategy, account, form, file)
        async with connected(address) as api:
            return await FORMS[form](history(api, *days, run=run, strategy=strategy, account=account), file)

    if out is None:
        asyncio.run(work(sys.stdout))
        return
    with whole(out) as part:
        with part.open("w", encoding="utf-8", newline="") as file:
            count = asyncio.run(work(file))
        part.replace(out)
    click.echo(f"{count:,} rows written to {out}")
