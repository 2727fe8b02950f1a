"""``baskets new``: a basket file from a template."""

from datetime import datetime
from pathlib import Path

import click


@click.command
@click.argument("template")
@click.option("--underlying", default="NIFTY", show_default=True, metavar="NAME", help="What to trade.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write; must not be there yet.",
)
@click.option(
    "--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), help="Strike steps as of this day.  [default: today]"
)
@click.option(
    "--facts",
    "facts_dir",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with later revisions of the market facts.",
)
def command(template: str, underlying: str, out: Path, day: datetime | None, facts_dir: Path | None) -> None:
    """Write a basket file from a template, to edit and to check.

    Distances in points are converted to the strike steps of the underlying: 100 points of NIFTY, two steps of 50, are
    200 points of BANKNIFTY. An existing file is never overwritten. `baskets templates` lists the templates.

    \b
    Examples:
      baskets new iron-condor --out my-condor.toml
      baskets new short-straddle --underlying SENSEX --out sensex.toml
      baskets new call-calendar --underlying BANKNIFTY --date 2024-06-03 --out june.toml
    """
    from option_baskets.adapters.basket_file import parse_basket
    from option_baskets.adapters.clock import RealClock
    from option_baskets.adapters.facts import load
    from option_baskets.adapters.templates import template as named
    from option_baskets.domain.instrument import strike_step
    from option_baskets.domain.session import IST

    facts = load(facts_dir)
    chosen, name = named(template), underlying.upper()
    on = day.date() if day else RealClock().now().astimezone(IST).date()
    step = strike_step(facts, name, on)
    text = chosen.fitted(name, step)
    basket = parse_basket(text, facts.names, file=str(out)).basket
    _write_new(out, text)
    click.echo(f"{out}: {basket.name}, strikes {step:f} points apart. Next: baskets check {out}")


def _write_new(out: Path, text: str) -> None:
    """Whole or not at all, and never over what is there."""
    from option_baskets.domain.errors import Invalid

    try:
        file = out.open("x", encoding="utf-8")
    except FileExistsError:
        raise Invalid(f"{out} is there already and is not overwritten; give another name", where="--out") from None
    except OSError as error:
        raise Invalid(f"cannot write {out}: {error.strerror}", where="--out") from error
    try:
        with file:
            file.write(text)
    except OSError as error:
        out.unlink(missing_ok=True)
        raise Invalid(f"cannot write {out}: {error.strerror}", where="--out") from error
