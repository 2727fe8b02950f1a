"""``baskets smile``: implied volatility over strikes, for one or several expiries."""

from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from option_baskets.cli.valuing import FOLDER, PICTURE, RecordedDay, chosen_expiry, chosen_underlying, instant_options

if TYPE_CHECKING:
    from rich.console import Console

    from option_baskets.engine.valuation import ExpiryChain

_STYLES = ("cyan", "yellow", "green", "magenta", "red", "white")
_WIDEST = 110


@click.command
@click.argument("directory", type=FOLDER)
@instant_options
@click.option("--underlying", metavar="NAME", help="Default: NIFTY, or what there is.")
@click.option(
    "--expiry", "expiries", metavar="DATE|N", multiple=True, help="May be repeated.  [default: the nearest three]"
)
@click.option(
    "--width", type=click.FloatRange(min=0.5, max=8), default=3.0, show_default=True,
    help="Standard deviations on each side of the forward.",
)  # fmt: skip
@click.option("--png", type=PICTURE, help="Draw it into this picture.")
def command(
    directory: Path,
    day: datetime | None,
    at: time | None,
    rate: float,
    facts: Path | None,
    underlying: str | None,
    expiries: tuple[str, ...],
    width: float,
    png: Path | None,
) -> None:
    """Draw the volatility smile of a recorded instant: out-of-the-money options over strikes.

    Without --at: at the close. An expiry that has ended, or without prices, is left out.

    \b
    Examples:
      baskets smile data/nifty-2022 --date 2022-06-10 --at 09:20
      baskets smile data/daily --underlying BANKNIFTY --expiry 0 --expiry 2 --png smile.png
    """
    from rich.console import Console

    from option_baskets.domain.errors import Invalid

    valuation = RecordedDay.opened(directory, day, rate=rate, facts=facts).valued(at)
    name = chosen_underlying(valuation, underlying)
    days = [chosen_expiry(valuation, name, wanted) for wanted in expiries] if expiries else valuation.expiries(name)[:3]
    chains = [chain for day in dict.fromkeys(days) if (chain := valuation.chain(name, day)).numbers.volatility > 0]
    if not chains:
        raise Invalid(f"no expiry of {name} has a volatility at {valuation.snapshot.at:%H:%M:%S}; choose another --at")
    console = Console(highlight=False)
    _draw(console, chains, width)
    if png:
        from option_baskets.cli.plotting import save_smile

        save_smile(png, chains, width)
        console.print(f"picture in {png}", markup=False, soft_wrap=True)


def _draw(console: "Console", chains: "list[ExpiryChain]", width: float) -> None:
    import numpy as np

    from option_baskets.cli.drawing import Curve, draw
    from option_baskets.domain.errors import Invalid

    first = chains[0]
    console.print(f"[bold]{first.underlying}[/] at {first.at:%Y-%m-%d %H:%M:%S}, implied volatility in %")
    smiles = []
    for chain in chains:
        numbers = chain.numbers
        off = np.log(numbers.strikes / numbers.forward) / (numbers.volatility * np.sqrt(numbers.years))
        known = np.isfinite(numbers.smile) & (np.abs(off) <= width)
        smiles.append((numbers.strikes[known], numbers.smile[known] * 100))
    every = np.concatenate([strikes for strikes, _ in smiles])
    if len(every) < 2:
        raise Invalid(f"fewer than two strikes lie within {width:g} standard deviations; widen it", where="--width")
    strikes = np.linspace(every.min(), every.max(), 401)
    curves = [
        Curve(y=np.interp(strikes, *smile, left=np.nan, right=np.nan), style=style)
        for smile, style in zip(smiles, _STYLES * len(chains), strict=False)
    ]
    console.print(
        draw(
            strikes, curves, width=min(console.width, _WIDEST), height=14, x_label=lambda level: f"{level:,.0f}",
            y_label=lambda percent: f"{percent:.1f}", marks=[(chain.numbers.forward, "▲") for chain in chains],
        )
    )  # fmt: skip
    for chain, style in zip(chains, _STYLES * len(chains), strict=False):
        numbers = chain.numbers
        console.print(
            f"[{style}]━[/] {chain.expiry:%d-%b-%Y}  {numbers.years * 365:6.2f} days  forward {numbers.forward:,.2f}  "
            f"IV {numbers.volatility * 100:.2f} %  25-delta risk reversal {numbers.risk_reversal * 100:+.2f}  "
            f"slope {numbers.slope * 100:+.2f}",
            soft_wrap=True,
        )
    console.print("[dim]▲ forward[/]")
