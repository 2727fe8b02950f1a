"""``baskets serve``: API, timer, engine, paper exchange and live stream in one process."""

import gc
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from option_baskets.adapters.basket_file import BasketFile
    from option_baskets.cli.serving import Serving

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("serve")
@click.argument("files", type=_FILE, nargs=-1, metavar="[FILE]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: any that is free.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where books and users are kept (or OPTION_BASKETS_DATA).",
)
@click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_KEYS",
    help="Where the keys of tokens and secrets are kept (or OPTION_BASKETS_KEYS). Default: DATA/keys.",
)
@click.option("--market", default="simulated", show_default=True, help="simulated, or recorded:DIR.")
@click.option("--speed", default="1", show_default=True, help="How fast sessions pass, one after another; or real.")
@click.option("--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), help="First day of a new data folder.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the simulated market.")
@click.option(
    "--registration",
    type=click.Choice(["open", "approved", "closed"]),
    default="open",
    show_default=True,
    help="Who may make themselves a user: everybody, whoever is let in afterwards, or nobody.",
)
@click.option("--proxy", help="Address of a reverse proxy, whose X-Forwarded-For is then believed.")
@click.option(
    "--second-path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_SECOND_PATH",
    help="Where exits are kept while the books cannot be written, best on another disk. Default: in the data folder.",
)
@click.option("--facts", type=_FOLDER, help="Later revisions of the market facts.")
@click.option("--log-json", is_flag=True, help="Log JSON, a line a thing.")
def command(
    files: tuple[Path, ...],
    host: str,
    port: int,
    data: Path,
    keys: Path | None,
    market: str,
    speed: str,
    day: datetime | None,
    seed: int,
    registration: str,
    proxy: str | None,
    second_path: Path | None,
    facts: Path | None,
    log_json: bool,
) -> None:
    """Serve the API at http://127.0.0.1:8000 and trade what its users plan, on the paper exchange.

    At a --speed in numbers market time begins inside a session, runs that many times as fast as real time, and goes
    from one session's close straight to the next one's start, so that there is trading at any hour. At --speed real it
    is the exchange's own clock. Stopped or killed, it goes on where it was. The baskets in FILE... become plans of the
    command line's user, as with baskets run.

    \b
    Examples:
      baskets serve                                      a simulated market, from now on
      baskets serve examples/*.toml --speed 60           with plans, a minute a second
      baskets serve --market recorded:data/days          recorded days, as they happened
      baskets serve --speed real --host 0.0.0.0 --registration closed
    """
    gc.disable()  # a sixth of the start, in which nothing is garbage; on again once requests are answered
    click.get_current_context().call_on_close(gc.enable)
    from option_baskets.adapters.cadence import load_cadence
    from option_baskets.adapters.facts import load
    from option_baskets.adapters.identity.terms import Registration, Terms
    from option_baskets.cli.markets import recorded_folder
    from option_baskets.cli.running import Speed
    from option_baskets.cli.serving import Serving
    from option_baskets.cli.serving_log import log_to_stderr
    from option_baskets.domain.errors import Invalid

    folder = recorded_folder(market)
    pace = Speed(speed)
    if pace.is_simulated:
        raise Invalid("'max' leaves no time to ask anything: give a number, e.g. --speed 600, or real", where="--speed")
    known = load(facts)
    log_to_stderr(as_json=log_json)
    recorded = None
    if folder is not None:
        from option_baskets.adapters.feeds.recorded import RecordedFeed

        recorded = RecordedFeed(folder)
    baskets: tuple[BasketFile, ...] = ()
    if files:
        from option_baskets.cli.replaying import read_baskets

        baskets = read_baskets(files, known)
    serving = Serving(
        data=data,
        keys=keys,
        facts=known,
        speed=pace,
        seed=seed,
        recorded=recorded,
        first=day.date() if day else None,
        baskets=baskets,
        host=host,
        port=port,
        proxy=proxy,
        terms=Terms(registration=Registration(registration)),
        cadence=load_cadence(facts),
        second_path=second_path,
    )
    serving.run(lambda url, now: click.echo(_screen(serving, url, now, market)))
    click.echo(f"stopped; positions and books stay as they are in {data}: the same command goes on from here")


def _screen(serving: "Serving", url: str, now: datetime, market: str) -> str:
    """What a newcomer needs to know, at once."""
    pace = "the exchange's own clock" if serving.speed.is_real else f"{serving.speed.factor:g} times real time"
    keys = serving.keys or serving.data / "keys"
    rows = (
        ("API", f"{url}, docs at {url}/docs"),
        ("market", f"{market}, {now:%A %d %B %Y %H:%M:%S}, {pace}"),
        ("data", f"{serving.data}, keys in {keys}"),
        ("a user", f"baskets user add you@example.com{_data(serving.data)}"),
        ("stop", "Ctrl-C; the same command goes on from here"),
    )
    return "\n".join(("Option Baskets", *(f"  {name:<8}{said}" for name, said in rows)))


def _data(data: Path) -> str:
    return "" if data == Path("data") else f" --data {data}"
