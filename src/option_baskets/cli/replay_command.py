"""``baskets replay``: the same engine over recorded days, on a simulated clock."""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

_DAY = click.DateTime(formats=["%Y-%m-%d"])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _speed(_: click.Context, __: click.Parameter, value: str) -> float | None:
    if value == "max":
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(
            f"{value!r} is neither max nor a number above 0, e.g. --speed 60 for a minute a second"
        )
    return speed


def _points(_: click.Context, __: click.Parameter, value: str) -> Decimal:
    try:
        points = Decimal(value)
    except InvalidOperation:
        points = Decimal(-1)
    if not (points.is_finite() and points >= 0):
        raise click.BadParameter(f"{value!r} is not a number of points of 0 or more, e.g. --slippage 0.5")
    return points


@click.command("replay")
@click.argument("directory", type=_FOLDER)
@click.option("--basket", "files", type=_FILE, multiple=True, required=True, help="A basket file; may be repeated.")
@click.option("--date", "day", type=_DAY, help="One day. Default: every recorded day.")
@click.option("--from", "first", type=_DAY, help="First day.")
@click.option("--to", "last", type=_DAY, help="Last day, included.")
@click.option("--speed", default="max", callback=_speed, help="max, or how many times faster than real time.")
@click.option("--slippage", default="0", callback=_points, help="Rupees per unit by which every fill is worse.")
@click.option("--stale", type=click.IntRange(min=1), help="Seconds after which a price may not decide an entry.")
@click.option("--no-charges", is_flag=True, help="Leave charges out of the account.")
@click.option(
    "--state", type=click.Path(file_okay=False, path_type=Path), help="Keep the books here, and resume there."
)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the record of the days.")
@click.option("--facts", type=_FOLDER, help="Later revisions of the market facts.")
@click.option("--timeline/--no-timeline", default=None, help="Show every happening. Default: for a single day.")
def command(
    directory: Path,
    files: tuple[Path, ...],
    day: datetime | None,
    first: datetime | None,
    last: datetime | None,
    speed: float | None,
    slippage: Decimal,
    stale: int | None,
    no_charges: bool,
    state: Path | None,
    out: Path | None,
    facts: Path | None,
    timeline: bool | None,
) -> None:
    """Run baskets over the recorded days in DIRECTORY (made by ``baskets import`` or ``baskets simulate``).

    Nothing is guessed: entries see only what was known at their minute, marketable orders fill at the next open (or at
    the known price where the data has none), and two runs write the same bytes.

    \b
    Examples:
      baskets replay days --basket examples/straddle-0920.toml --date 2022-06-30
      baskets replay days --basket a.toml --basket b.toml --from 2022-06-08 --to 2022-07-13 --json out.json
      baskets replay days --basket a.toml --slippage 0.5 --state kept    # interrupted? the same line goes on
    """
    from option_baskets.cli.day_view import show_day, show_days, show_result
    from option_baskets.cli.progress import ticking
    from option_baskets.cli.replaying import Replay, require_writable, write_json
    from option_baskets.cli.terminal import tell_of_alerts, terminal

    if day and (first or last):
        raise click.UsageError("give --date, or --from and --to, not both")
    console = terminal()
    tell_of_alerts(console, quiet=True)
    if out is not None:
        require_writable(out)
    replay = Replay.prepare(
        directory,
        files,
        first=_date(day or first),
        last=_date(day or last),
        slippage=slippage,
        stale=stale,
        with_charges=not no_charges,
        facts=facts,
    )
    with ticking(console, replay.ticks) as watch:
        records = replay.run(state, speed=speed, watch=watch)
    if len(records) > 1:
        show_days(console, records)
    for record in records:
        if timeline or (timeline is None and len(records) == 1):
            show_day(console, record)
        elif record.alerts:
            show_result(console, record)
    if out is not None:
        write_json(records, out)
        console.print(f"written to {out}")


def _date(at: datetime | None) -> date | None:
    return at.date() if at else None
