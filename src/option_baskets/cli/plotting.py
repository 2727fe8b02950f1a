"""Pictures of payoffs and smiles, drawn by matplotlib (the extra ``option-baskets[plot]``)."""

from collections.abc import Sequence
from math import ceil, isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from option_baskets.cli.payoff_view import PayoffCurves
from option_baskets.domain.errors import Invalid, Unavailable
from option_baskets.engine.valuation import ExpiryChain

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
except ModuleNotFoundError as missing:
    raise Invalid("pictures need matplotlib: pip install 'option-baskets[plot]'", where="--png") from missing

if TYPE_CHECKING:
    from matplotlib.typing import ColorType

PROFIT, LOSS, NOW, INK, FAINT = "#2a8c55", "#c6433f", "#2f6fb5", "#30343a", "#9aa1aa"
_EXPIRIES = ("#2f6fb5", "#c7762b", "#2a8c55", "#8057a8", "#b8457a", "#5b6770")
_DPI = 160
_SMILE_KEY = "line: out-of-the-money options\n▲ calls, ▼ puts, dotted: forward"


def save_payoffs(path: Path, payoffs: Sequence[PayoffCurves]) -> None:
    """One panel a strategy.

    Raises:
        Invalid: the name's ending is no kind of picture.
        Unavailable: the file cannot be written.
    """
    across = 1 if len(payoffs) == 1 else 2
    down = ceil(len(payoffs) / across)
    size = (10.0, 5.8) if across == 1 else (15.0, 5.2 * down)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, curves in zip(panels, payoffs, strict=False):
        _payoff(panel, curves)
    for panel in panels[len(payoffs) :]:
        panel.set_visible(False)
    _save(figure, path)


def save_smile(path: Path, chains: Sequence[ExpiryChain], deviations: float) -> None:
    """The smiles of several expiries over strikes, within so many standard deviations of each forward. Raises as
    ``save_payoffs`` does."""
    figure = Figure(figsize=(10.0, 5.8), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    for chain, colour in zip(chains, _EXPIRIES * len(chains), strict=False):
        _smile(axes, chain, colour, deviations)
    first = chains[0]
    axes.set_title(f"{first.underlying}, {first.at:%d %b %Y %H:%M}", loc="left", fontweight="bold", color=INK)
    axes.set_ylabel("implied volatility, % a year")
    axes.set_xlabel("strike")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda level, _: f"{level:,.0f}"))
    axes.legend(frameon=False, fontsize=9, title=_SMILE_KEY, title_fontsize=8.5, alignment="left")
    _save(figure, path)


def _payoff(axes: Axes, curves: PayoffCurves) -> None:
    levels, expiry = curves.levels, curves.expiry
    _plain(axes)
    if curves.one_deviation:
        axes.axvspan(*curves.one_deviation, color="#e6ebf1", zorder=0, label="one standard deviation at expiry")
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.fill_between(levels, expiry, 0.0, where=(expiry >= 0.0).tolist(), color=PROFIT, alpha=0.14, linewidth=0)
    axes.fill_between(levels, expiry, 0.0, where=(expiry <= 0.0).tolist(), color=LOSS, alpha=0.12, linewidth=0)
    for part, colour in ((expiry >= 0.0, PROFIT), (expiry <= 0.0, LOSS)):
        axes.plot(levels, np.where(part, expiry, np.nan), color=colour, linewidth=2.0)
    axes.plot([], [], color=PROFIT, linewidth=2.0, label=curves.expiry_label)
    axes.plot(levels, curves.earlier, color=NOW, linewidth=1.6, linestyle=(0, (5, 2)), label=curves.earlier_label)
    spot = curves.position.spot
    axes.axvline(spot, color=INK, linewidth=1.0, linestyle=":", label=f"spot {spot:,.2f}")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.04 * (high - low), high + 0.12 * (high - low))
    for root in curves.break_evens:
        if levels[0] <= root <= levels[-1]:
            axes.plot([root], [0.0], marker="o", markersize=5, color=INK, zorder=4)
            axes.annotate(
                f"{root:,.2f}", (root, 0.0), (0, 8), textcoords="offset points", ha="center", fontsize=9, color=INK,
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )  # fmt: skip
    axes.set_xlim(float(levels[0]), float(levels[-1]))
    axes.set_title(curves.name, loc="left", fontweight="bold", color=INK, pad=34)
    axes.text(0.0, 1.055, curves.title, transform=axes.transAxes, fontsize=8.5, color=INK)
    axes.text(0.0, 1.015, _facts(curves), transform=axes.transAxes, fontsize=8.5, color=INK)
    axes.set_ylabel("profit after charges, rupees")
    axes.set_xlabel("index")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(frameon=False, fontsize=8.5, loc="best")


def _facts(curves: PayoffCurves) -> str:
    words = [
        f"most to {verb} {curves.limit(amount)}" for verb, amount in zip(("make", "lose"), curves.extremes, strict=True)
    ]
    if isfinite(curves.probability):
        words.append(f"probability of profit {curves.probability * 100:.0f} % (lognormal)")
    return "    ".join(words)


def _smile(axes: Axes, chain: ExpiryChain, colour: "ColorType", deviations: float) -> None:
    numbers = chain.numbers
    width = deviations * numbers.volatility * np.sqrt(numbers.years)
    near = np.abs(np.log(numbers.strikes / numbers.forward)) <= width
    shown = near & np.isfinite(numbers.smile)
    label = f"{chain.expiry:%d-%b-%Y}, {numbers.volatility * 100:.1f} % at the money"
    axes.plot(numbers.strikes[shown], numbers.smile[shown] * 100, color=colour, linewidth=1.6, label=label)
    for wing, marker in ((numbers.calls, "^"), (numbers.puts, "v")):
        seen = near & (wing.volatility > 0.0)
        inside = np.abs(wing.volatility - numbers.smile) < 0.05  # deep in the money a volatility is mostly noise
        axes.scatter(
            numbers.strikes[seen & inside], wing.volatility[seen & inside] * 100, s=12, marker=marker, color=colour,
            alpha=0.45, linewidth=0,
        )  # fmt: skip
    axes.axvline(numbers.forward, color=colour, linewidth=0.9, linestyle=":")
    axes.plot([numbers.forward], [numbers.volatility * 100], marker="o", markersize=5, color=colour)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(True, color="#e4e7eb", linewidth=0.6)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    kinds = figure.canvas.get_supported_filetypes()
    kind = path.suffix.removeprefix(".").lower()
    if kind not in kinds:
        raise Invalid(f"{path.name!r} does not end in a kind of picture, such as .png, .svg or .pdf", where="--png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
