"""Curves in a terminal, in braille: two dots across and four down in every character."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from option_baskets.pricing.kernels import Floats

if TYPE_CHECKING:
    from rich.text import Text

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800
_ACROSS, _DOWN = 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Heights over the drawing's x; nan where there is none. ``negative`` styles what lies below 0, if it differs."""

    y: Floats
    style: str
    negative: str | None = None


def draw(
    x: Floats,
    curves: Sequence[Curve],
    *,
    width: int,
    height: int,
    x_label: Callable[[float], str],
    y_label: Callable[[float], str],
    marks: Sequence[tuple[float, str]] = (),
) -> "Text":
    """The curves over ``x`` (ascending) with a line at 0 where they cross it; later curves lie over earlier ones.

    ``marks`` are characters on the x axis at given places.
    """
    from rich.text import Text

    heights = np.concatenate([curve.y[np.isfinite(curve.y)] for curve in curves])
    low, high = float(heights.min()), float(heights.max())
    margin = (high - low or abs(high) or 1.0) * 0.03
    low, high = low - margin, high + margin
    labels = {row: y_label(high - (high - low) * (row + 0.5) / height) for row in range(0, height, 4)}
    gutter = max(map(len, labels.values())) + 1
    across = max(width - gutter - 1, 10)
    zero = int(high / (high - low) * height) if low < 0 < high else -1
    cells = [[(0, "") for _ in range(across)] for _ in range(height)]
    columns = np.linspace(x[0], x[-1], across * _ACROSS)
    for curve in curves:
        _lay(cells, np.interp(columns, x, curve.y), curve, low, high)
    text = Text()
    for row, line in enumerate(cells):
        text.append(f"{labels.get(row, ''):>{gutter}}", style="dim")
        text.append("┼" if row == zero else "│", style="dim")
        for dots, style in line:
            if dots:
                text.append(chr(_BLANK + dots), style=style)
            else:
                text.append("─" if row == zero else " ", style="dim")
        text.append("\n")
    text.append(" " * gutter + "└", style="dim")
    text.append_text(_axis(across, x, marks))
    left, middle, right = (x_label(float(value)) for value in (x[0], 0.5 * (x[0] + x[-1]), x[-1]))
    room = across - len(left) - len(right)
    text.append("\n" + " " * (gutter + 1) + left + f"{middle:^{room}}" + right, style="dim")
    return text


def _lay(cells: list[list[tuple[int, str]]], heights: Floats, curve: Curve, low: float, high: float) -> None:
    """Put a curve's dots into the cells, joined where it is steep."""
    most = len(cells) * _DOWN - 1
    before: int | None = None
    for column, value in enumerate(heights.tolist()):
        if not np.isfinite(value):
            before = None
            continue
        dot = round((high - value) / (high - low) * most)
        steps = range(min(dot, before), max(dot, before) + 1) if before is not None else range(dot, dot + 1)
        style = curve.negative if curve.negative and value < 0 else curve.style
        for each in steps:
            row, cell = each // _DOWN, column // _ACROSS
            dots, old = cells[row][cell]
            over = dots if old in {curve.style, curve.negative} else 0
            cells[row][cell] = (over | _DOTS[column % _ACROSS][each % _DOWN], style)
        before = dot


def _axis(across: int, x: Floats, marks: Sequence[tuple[float, str]]) -> "Text":
    from rich.text import Text

    line = ["─"] * across
    for place, sign in marks:
        share = (place - float(x[0])) / float(x[-1] - x[0])
        if 0.0 <= share <= 1.0:
            line[round(share * (across - 1))] = sign
    return Text("".join(line), style="dim")
