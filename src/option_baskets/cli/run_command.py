"""``baskets run``: the trading day as a long-running process."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
DISTORTS = 120
"""Beyond this speed the process is too slow for its market: entries miss their grace."""


@click.command("run")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where the books are kept (or OPTION_BASKETS_DATA).",
)
@click.option("--market", default="simulated", show_default=True, help="simulated, or recorded:DIR.")
@click.option("--speed", default="real", show_default=True, help="real, max, or how many times faster than real time.")
@click.option("--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), help="First day. Default: today.")
@click.option("--days", type=click.IntRange(min=1), help="How many. Default: one; at real speed for ever.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the simulated market.")
@click.option(
    "--second-path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_SECOND_PATH",
    help="Where exits are kept while the books cannot be written, best on another disk. Default: in the data folder.",
)
@click.option("--no-charges", is_flag=True, help="Leave charges out of the account.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the record of the days.")
@click.option("--facts", type=_FOLDER, help="Later revisions of the market facts.")
def command(
    files: tuple[Path, ...],
    data: Path,
    market: str,
    speed: str,
    day: datetime | None,
    days: int | None,
    seed: int,
    second_path: Path | None,
    no_charges: bool,
    out: Path | None,
    facts: Path | None,
) -> None:
    """Trade the baskets in FILE... on the paper exchange: enter at their minute, watch, exit, account.

    Stopped or killed, it goes on where it was when started again with the same --data folder. Baskets that the folder
    holds from earlier runs and that no FILE names are paused: what they hold is watched, and they enter nothing.

    \b
    Examples:
      baskets run examples/*.toml                                  from now on, a simulated market in real time
      baskets run examples/*.toml --speed 60 --date 2026-11-23     a minute a second
      baskets run examples/*.toml --speed max --data /tmp/try      a whole day in seconds
      baskets run a.toml --market recorded:days --speed 60         a recorded day, as it happened
    """
    from option_baskets.adapters.cadence import load_cadence
    from option_baskets.adapters.facts import load
    from option_baskets.adapters.feeds.recorded import RecordedFeed
    from option_baskets.cli.day_view import Live, show_day, show_result
    from option_baskets.cli.markets import recorded_folder
    from option_baskets.cli.progress import ticking
    from option_baskets.cli.replaying import read_baskets, require_writable, write_json
    from option_baskets.cli.running import Running, Speed
    from option_baskets.cli.terminal import tell_of_alerts, terminal
    from option_baskets.domain.session import IST, Session
    from option_baskets.engine.report import DayRecord

    folder = recorded_folder(market)
    if out is not None:
        require_writable(out)
    console = terminal()
    known = load(facts)
    running = Running(
        data=data,
        baskets=read_baskets(files, known),
        facts=known,
        speed=Speed(speed),
        recorded=RecordedFeed(folder) if folder else None,
        seed=seed,
        with_charges=not no_charges,
        second_path=second_path,
        cadence=load_cadence(facts),
    )
    tell_of_alerts(console, quiet=running.speed.is_simulated)
    if running.speed.factor > DISTORTS:
        console.print(
            f"[yellow]at more than {DISTORTS} times real time a millisecond of work is seconds of the market[/]"
        )
    sessions = running.days(day.date() if day else None, days or (None if running.speed.is_real else 1))
    records: list[DayRecord] = []

    def announced() -> Iterator[Session]:
        for session in sessions:
            if not running.speed.is_simulated:
                span = f"{session.open.astimezone(IST):%H:%M} to {session.close.astimezone(IST):%H:%M}"
                console.print(f"[bold]{session.date:%A %d %B %Y}[/], {span}; Ctrl-C stops, the books stay in {data}")
            yield session

    def done(record: DayRecord) -> None:
        records.append(record)
        if running.speed.is_simulated:
            show_day(console, record)
        else:
            show_result(console, record)

    try:
        if running.speed.is_simulated:
            with ticking(console, 400 * (days or 1)) as watch:
                running.trade(announced(), watch=watch, done=done)
        else:
            running.trade(announced(), watch=Live(console), done=done)
    except KeyboardInterrupt:
        console.print(f"stopped; positions and books stay as they are in {data}: the same command goes on from here")
    if out is not None and records:
        write_json(records, out)
        console.print(f"written to {out}")
