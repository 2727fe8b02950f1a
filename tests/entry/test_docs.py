"""The pages are true: commands run or parse, samples are real, links lead somewhere, names exist."""

import ast
import contextlib
import gc
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from option_baskets.cli import main

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src" / "option_baskets"
PAGES = tuple(
    sorted(
        page for folder in (ROOT, ROOT / "docs", ROOT / "examples", SOURCE / "facts") for page in folder.glob("*.md")
    )
)
RUN_AS_WRITTEN = (ROOT / "README.md", ROOT / "docs" / "tour.md")
"""Pages whose console blocks a newcomer types one after another; a block of sh is only parsed."""
WIDTH = "116"

_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAME = re.compile(r"`([\w/]+\.py): ([\w.]+)`")
_FILE = re.compile(
    r"`((?:adapters|api|cli|domain|engine|lambdas|pricing|store|infra|tests|tools|benchmarks)/[\w/.-]*"
    r"|(?:ports|wiring|cloud|entrance)\.py)"
)
_NUMBER = re.compile(r"[-+]?\d[\d,.:]*")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


@dataclass(frozen=True, slots=True)
class Shown:
    """A command on a page, and the lines the page says it prints."""

    page: str
    words: tuple[str, ...]
    prints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: baskets {' '.join(self.words)}"


def shown_in(page: str, text: str) -> Iterator[Shown]:
    """Every line that calls baskets, with or without a prompt, and what follows it up to the next prompt."""
    for part in re.split(r"^ *(?:\$ )?baskets ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, *prints = part.splitlines()
        yield Shown(page, tuple(shlex.split(line, comments=True)), tuple(prints))


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is no group, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(main))
SHOWN = [each for page in PAGES for _, block in blocks(page) for each in shown_in(relative(page), block)]
IN_HELP = [each for path, command in COMMANDS.items() for each in shown_in(" ".join(path), command.help or "")]
IN_HELP += list(shown_in("baskets", main.help or ""))


def what_is_wrong(words: tuple[str, ...]) -> str:
    """Why the command line would not be taken; empty if it would. Files it names need not be there."""
    found = next(((path, known) for path, known in COMMANDS.items() if words[: len(path)] == path), None)
    if found is None:
        return f"there is no command {words[0]}"
    path, command = found
    with click.Context(command, **command.context_settings) as context:
        try:
            given, _, _ = command.make_parser(context).parse_args(list(words[len(path) :]))
        except click.UsageError as error:
            return error.format_message()
    missing = [each.name for each in command.params if each.required and given.get(each.name or "") in (None, ())]
    return f"missing {missing}" if missing else ""


@pytest.mark.parametrize("shown", [*SHOWN, *IN_HELP], ids=str)
def test_a_command_line_on_a_page_or_in_help_is_one_the_program_takes(shown: Shown) -> None:
    assert what_is_wrong(shown.words) == ""


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("replay days --basket a.toml --dates 2026-11-17", "No such option"),
        ("replay days", "missing ['files']"),
        ("import minute-close --options a --index b --out c", "missing ['underlying']"),
        ("trade a.toml", "there is no command trade"),
    ],
)
def test_a_command_line_the_program_would_not_take_is_found(line: str, wrong: str) -> None:
    assert wrong in what_is_wrong(tuple(line.split()))


def test_every_command_is_in_the_table_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = {tuple(name.split()) for name in re.findall(r"^\| `baskets ([a-z -]+)` \|", readme, re.MULTILINE)}
    assert told == set(COMMANDS)


def masked(line: str) -> str:
    """The line without what a processor's last digit may change: numbers, and the width they give a column."""
    return re.sub(r"─+", "─", re.sub(r"\s+", " ", _NUMBER.sub("#", line))).strip()


def not_printed(expected: tuple[str, ...], printed: str) -> list[str]:
    """Lines of the page that do not come in the output in their order. A line with … stands for any number of lines."""
    output = iter([masked(line) for line in printed.splitlines()])
    return [line for line in expected if line.strip() and "…" not in line and masked(line) not in output]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the examples, and in it."""
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(ROOT / "examples", folder / "examples")
    with contextlib.chdir(folder):
        yield folder


def test_what_a_newcomer_types_runs_and_prints_what_the_page_shows(newcomer: Path) -> None:
    typed = [
        shown
        for page in RUN_AS_WRITTEN
        for kind, block in blocks(page)
        if kind == "console"
        for shown in shown_in(relative(page), block)
    ]
    assert typed
    done = set()
    for shown in typed:
        if shown.words in done:
            continue
        done.add(shown.words)
        result = CliRunner(env={"COLUMNS": WIDTH}).invoke(main, shown.words)
        assert result.exit_code == 0, f"{shown}\n{result.output}"
        assert not_printed(shown.prints, result.output) == [], f"{shown} printed\n{result.output}"


def test_the_sample_of_make_run_is_what_it_prints_today() -> None:
    drawing = import_module("tools.draw_day")
    sample = next(block for kind, block in blocks(ROOT / "README.md") if kind == "text")
    printed = drawing.text_of(drawing.days(drawing.of_make_run()))
    left_out = next(int(count) for count in re.findall(r"^… (\d+) lines …$", sample, re.MULTILINE))
    assert not_printed(tuple(sample.splitlines()), "\n".join(printed)) == [], "run python tools/draw_day.py"
    assert left_out + len(sample.splitlines()) - 1 == len(printed), "run python tools/draw_day.py"
    assert what_is_wrong(tuple(shlex.split(drawing.DRAWN)[1:])) == ""


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            dead.append(target)
    assert dead == []


def test_every_page_is_listed_in_the_index_of_pages() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = {target for target in _LINK.findall(index) if "/" not in target}
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_pages_named_in_code_exist() -> None:
    named = {
        (relative(module), page)
        for module in SOURCE.rglob("*.py")
        for page in re.findall(r"docs/[\w-]+\.md", module.read_text(encoding="utf-8"))
    }
    assert named
    assert sorted(each for each in named if not (ROOT / each[1]).exists()) == []


@cache
def parsed(module: Path) -> list[ast.stmt]:
    """The module's statements. Python 3.11 loses count of its depth where the collector parses something in between."""
    gc.disable()
    try:
        return ast.parse(module.read_text(encoding="utf-8")).body
    finally:
        gc.enable()


def defines(module: Path, name: str) -> bool:
    """Whether the module defines the name; ``Class.method`` looks into the class, ``Class.field`` too."""
    body = parsed(module)
    for part in name.split("."):
        for node in body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            named = {target.id for target in targets if isinstance(target, ast.Name)}
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                named.add(node.name)
            if part in named:
                body = getattr(node, "body", [])
                break
        else:
            return False
    return True


@pytest.mark.parametrize(
    "page", [page for page in PAGES if _NAME.search(page.read_text(encoding="utf-8"))], ids=relative
)
def test_names_on_a_page_are_in_the_files_it_says(page: Path) -> None:
    names = _NAME.findall(page.read_text(encoding="utf-8"))
    missing = [
        f"{file}: {name}" for file, name in names if not ((SOURCE / file).is_file() and defines(SOURCE / file, name))
    ]
    assert missing == []


def test_a_name_that_is_not_there_is_found() -> None:
    assert defines(SOURCE / "engine" / "desk.py", "Desk.send")
    assert not defines(SOURCE / "engine" / "desk.py", "Desk.receive")
    assert not defines(SOURCE / "engine" / "desk.py", "send")


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_files_on_a_page_exist(page: Path) -> None:
    named = set(_FILE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))))
    assert (
        sorted(
            name for name in named if not ((SOURCE / name).exists() or (ROOT / name).exists()) and "NAME" not in name
        )
        == []
    )


def test_the_map_has_every_module() -> None:
    named = set(_FILE.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    modules = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "__init__.py" and path.parent != SOURCE
    ]
    assert len(modules) > 50
    missing = [each for each in modules if each not in named and not any(f"{up}/" in named for up in folders(each))]
    assert missing == [], "give each a line in ARCHITECTURE.md, under Modules"


def folders(module: str) -> list[str]:
    """The folders of a module that a line of the map may stand for."""
    parents = [parent.as_posix() for parent in Path(module).parents if parent.as_posix() != "."]
    return [parent for parent in parents if "/" in parent or parent in {"cli", "pricing"}]


def test_make_targets_on_a_page_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (relative(page), target)
        for page in PAGES
        for target in re.findall(r"(?:`|^|&& )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {target for _, target in named} >= {"setup", "run", "test", "check", "bench"}
    assert sorted(each for each in named if each[1] not in targets) == []


def test_the_exchange_s_zone_is_named_in_one_file() -> None:
    named = [
        relative(module) for module in SOURCE.rglob("*.py") if "Asia/Kolkata" in module.read_text(encoding="utf-8")
    ]
    assert named == ["src/option_baskets/domain/session.py"]
