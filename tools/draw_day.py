"""Draw what ``baskets run`` shows of a day: the picture and the sample in README.md, from a real run.

``python tools/draw_day.py`` writes both anew; a test compares the sample with a run, prices and amounts apart.
"""

import re
import shlex
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.adapters.facts import load
from option_baskets.cli.day_view import show_day
from option_baskets.cli.running import Running, Speed
from option_baskets.engine.report import DayRecord

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "day.svg"
WIDTH = 116
DRAWN = "baskets run examples/conservative-income.toml --date 2026-11-19 --speed max"
"""The command of the picture: one basket, so that it fits a screen."""
FIRST, LAST = 8, 16
"""Lines of the sample before and after the cut."""
_WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_SAMPLE = re.compile(r"(<!-- make run -->\n```text\n).*?(```\n)", re.DOTALL)


def days(arguments: list[str]) -> list[DayRecord]:
    """The records of a simulated run with the arguments of ``baskets run``, its books in a folder that goes."""
    from option_baskets.cli.run_command import command

    with tempfile.TemporaryDirectory() as folder:
        given = command.make_context("run", [*arguments, "--data", folder]).params
        known = load()
        running = Running(
            data=Path(folder),
            baskets=tuple(load_basket_file(path, known.names) for path in given["files"]),
            facts=known,
            speed=Speed(given["speed"]),
            recorded=None,
            seed=given["seed"],
            with_charges=True,
        )
        records: list[DayRecord] = []
        running.trade(running.days(given["day"].date(), 1), watch=lambda _, __: None, done=records.append)
        return records


def of_make_run() -> list[str]:
    """The arguments with which ``make run`` calls ``baskets run``, its data folder left out."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    line = next(line for line in recipe.splitlines() if "/baskets run " in line)
    words = shlex.split(line)
    start, data = words.index("run") + 1, words.index("--data")
    return words[start:data] + words[data + 2 :]


def shown(records: list[DayRecord], console: Console) -> None:
    for record in records:
        show_day(console, record)


def text_of(records: list[DayRecord]) -> list[str]:
    """The lines a terminal of ``WIDTH`` columns shows, without colours."""
    out = StringIO()
    shown(records, Console(file=out, width=WIDTH))
    return [line.rstrip() for line in out.getvalue().strip().splitlines()]


def sample(lines: list[str]) -> str:
    """The beginning and the end, and how many lines are left out between them."""
    cut = len(lines) - FIRST - LAST
    return "\n".join([*lines[:FIRST], f"… {cut} lines …", *lines[-LAST:]]) + "\n"


def main() -> None:
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(f"[bold green]$[/] {DRAWN}", highlight=False)
    shown(days(shlex.split(DRAWN)[2:]), console)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    drawn = console.export_svg(title="Option Baskets", theme=MONOKAI, unique_id="day")
    PICTURE.write_text(_WEB_FONTS.sub("", drawn), encoding="utf-8")
    readme = ROOT / "README.md"
    block = sample(text_of(days(of_make_run())))
    before = readme.read_text(encoding="utf-8")
    after, found = _SAMPLE.subn(lambda match: match[1] + block + match[2], before)
    if not found:
        raise SystemExit("README.md has no sample: a text block after the line <!-- make run -->")
    readme.write_text(after, encoding="utf-8")
    print(f"drawn: {PICTURE.relative_to(ROOT)} and the sample in {readme.name}")


if __name__ == "__main__":
    main()
