"""``baskets chain``: one expiry's options at an instant, with volatilities and Greeks."""

from datetime import datetime, time
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from option_baskets.cli.valuing import FOLDER, RecordedDay, chosen_expiry, chosen_underlying, instant_options

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from option_baskets.engine.valuation import ExpiryChain
    from option_baskets.pricing.chain import Wing

_CALLS = ("vega", "theta", "delta", "IV %", "price")
_WIDE = ("OI", "gamma")
_WIDE_TABLE = 125
"""Columns of a terminal; narrower ones, and pipes, show it all the same."""


@click.command
@click.argument("directory", type=FOLDER)
@instant_options
@click.option("--underlying", metavar="NAME", help="Default: NIFTY, or what there is.")
@click.option("--expiry", metavar="DATE|N", help="A date, or 0 for the nearest, 1 for the next …  [default: 0]")
@click.option("--strikes", type=click.IntRange(min=1), default=10, show_default=True, help="On each side of the money.")
@click.option("--wide", is_flag=True, help="Gamma and open interest too.")
@click.option("--rank", "ranked", is_flag=True, help="Compare the volatility with all earlier recorded days.")
def command(
    directory: Path,
    day: datetime | None,
    at: time | None,
    rate: float,
    facts: Path | None,
    underlying: str | None,
    expiry: str | None,
    strikes: int,
    wide: bool,
    ranked: bool,
) -> None:
    """Show an option chain of a recorded day: price, implied volatility and Greeks of every strike near the money.

    Without --at: at the close. Theta is rupees per unit and calendar day, vega per volatility point.
    docs/chain-and-payoff.md says how the numbers are made.

    \b
    Examples:
      baskets chain data/nifty-2022 --date 2022-06-10 --at 09:20
      baskets chain data/daily --underlying BANKNIFTY --expiry 1 --strikes 6 --wide
      baskets chain data/chain-2026 --at 11:20 --rank
    """
    from rich.console import Console

    recorded = RecordedDay.opened(directory, day, rate=rate, facts=facts)
    valuation = recorded.valued(at)
    name = chosen_underlying(valuation, underlying)
    chain = valuation.chain(name, chosen_expiry(valuation, name, expiry))
    console = Console(highlight=False, soft_wrap=True)
    if wide:
        console.width = max(console.width, _WIDE_TABLE)
    history = _history(recorded, at, chain, valuation.expiries(name).index(chain.expiry)) if ranked else None
    console.print(heading(chain))
    console.print(_summary(chain, history))
    console.print(_table(chain, strikes, wide=wide))
    for note in _notes(chain):
        console.print(f"[dim]{note}[/]")


def heading(chain: "ExpiryChain") -> str:
    """Which chain, seen when, and how long it has to live."""
    days = chain.numbers.years * 365
    left = f"{days:.2f} days to its close at {chain.closes:%H:%M}" if days else "it has expired"
    return f"[bold]{chain.underlying} {chain.expiry:%d-%b-%Y}[/]  at {chain.at:%Y-%m-%d %H:%M:%S}, {left}"


def _summary(chain: "ExpiryChain", history: list[float] | None) -> str:
    from option_baskets.pricing.chain import percentile, rank

    numbers = chain.numbers
    spot = "none" if chain.spot is None else f"{chain.spot:,.2f}"
    lines = [
        f"spot {spot}  forward {_plain(numbers.forward, 2)}  straddle {_plain(numbers.straddle, 2)}  "
        f"IV {_percent(numbers.volatility)} %",
        f"25-delta risk reversal {_percent(numbers.risk_reversal, sign=True)}  "
        f"slope {_percent(numbers.slope, sign=True)}  PCR {_plain(numbers.put_call_ratio, 2)}  "
        f"max pain {_plain(numbers.max_pain, 0)}",
    ]
    if history is not None:
        place, below = (f"{value(history, numbers.volatility) * 100:.0f}" for value in (rank, percentile))
        enough = f"IV rank {place}, percentile {below}, of {len(history)} earlier days"
        lines.append(enough if len(history) > 1 else "IV rank: needs two earlier recorded days")
    return "\n".join(lines)


def _history(recorded: RecordedDay, at: time | None, chain: "ExpiryChain", number: int) -> list[float]:
    """The volatility at the money on earlier recorded days: same time, same number of expiry; days without are left
    out."""
    from dataclasses import replace

    from option_baskets.domain.errors import Invalid

    found = []
    for day in recorded.feed.sessions():
        if day >= recorded.date:
            break
        try:
            valuation = replace(recorded, date=day).valued(at)
        except Invalid:  # a special session, not open at that time
            continue
        expiries = valuation.expiries(chain.underlying)
        if number < len(expiries):
            volatility = valuation.chain(chain.underlying, expiries[number]).numbers.volatility
            found += [volatility] * isfinite(volatility)
    return found


def _table(chain: "ExpiryChain", strikes: int, *, wide: bool) -> "Table":
    from rich import box
    from rich.table import Table

    columns = (*_WIDE, *_CALLS) if wide else _CALLS
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column("call" if name == "price" else name, justify="right", no_wrap=True)
    table.add_column("strike", justify="center", no_wrap=True, style="bold")
    for name in reversed(columns):
        table.add_column("put" if name == "price" else name, justify="right", no_wrap=True)
    numbers = chain.numbers
    middle = numbers.at_the_money
    for row in range(max(middle - strikes, 0), min(middle + strikes + 1, len(chain.strikes))):
        strike = f"{chain.strikes[row]:f}"
        table.add_row(
            *_cells(chain, numbers.calls, row, columns),
            f"{strike} ATM" if row == middle else strike,
            *reversed(_cells(chain, numbers.puts, row, columns)),
            style="reverse" if row == middle else "",
        )
    return table


def _cells(chain: "ExpiryChain", wing: "Wing", row: int, columns: tuple[str, ...]) -> list["Text"]:
    from rich.text import Text

    from option_baskets.domain.contract import ContractType

    is_call = wing is chain.numbers.calls
    contract = chain.contract(chain.strikes[row], ContractType.CE if is_call else ContractType.PE)
    stale = contract in chain.stale
    interest = None if wing.open_interest is None else wing.open_interest[row]
    values = {
        "OI": _plain(float("nan") if interest is None else float(interest), 0),
        "gamma": _plain(float(wing.greeks.gamma[row]), 5),
        "vega": _plain(float(wing.greeks.vega[row]) / 100, 1),
        "theta": _plain(float(wing.greeks.theta[row]) / 365, 1),
        "delta": _plain(float(wing.greeks.delta[row]), 3),
        "IV %": _percent(float(wing.volatility[row])),
        "price": _plain(float(wing.price[row]), 2) + "*" * stale,
    }
    in_the_money = (chain.numbers.strikes[row] < chain.numbers.forward) == is_call
    return [Text(values[name], style="dim" if stale else "cyan" if in_the_money else "") for name in columns]


def _notes(chain: "ExpiryChain") -> list[str]:
    notes = []
    if isnan(chain.numbers.forward):
        notes.append("no price is known yet at that time; try a later --at")
    if chain.stale:
        notes.append(f"* {len(chain.stale)} prices of this expiry are older than the data's own interval")
    if chain.numbers.calls.open_interest is None:
        notes.append("no open interest is recorded, so there is no PCR and no max pain")
    if not chain.numbers.years:
        notes.append("the contracts have expired: there is no volatility, and Greeks are those of intrinsic value")
    return notes


def _plain(value: float, places: int) -> str:
    return "-" if isnan(value) else f"{value:,.{places}f}"


def _percent(value: float, *, sign: bool = False) -> str:
    return "-" if isnan(value) else f"{value * 100:{'+' if sign else ''}.2f}"
