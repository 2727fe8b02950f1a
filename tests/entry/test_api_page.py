"""docs/api.md as a newcomer reads it: its session typed into a shell beside a server, its tables held against that."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from option_baskets.api.http.bodies import DEEPEST, MOST_BYTES
from option_baskets.api.http.pages import MOST, USUAL
from option_baskets.api.http.problems import KINDS
from option_baskets.api.http.rates import Allowance
from option_baskets.cli.client.operations import operations
from tests.entry.served import Server, serve

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
COMMANDS = Path(sys.executable).parent
"""Where ``baskets`` and ``python3`` are."""
PATIENCE = 120
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,.:]*")
_END = "--- end of a block ---"


def blocks() -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _BLOCK.finditer(PAGE)]


def typed() -> list[str]:
    """What is typed into the second terminal, block by block."""
    return [text for kind, text in blocks() if kind == "sh"][1:]


def shown() -> list[str]:
    """What the page shows behind each of these blocks; empty where it shows nothing."""
    found = blocks()[1:]
    following = [*found[1:], ("", "")]
    return [
        after if name == "json" else ""
        for (kind, _), (name, after) in zip(found, following, strict=True)
        if kind == "sh"
    ]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The server of the page's first block, on a free port: its URL."""
    kind, text = blocks()[0]
    assert kind == "sh"
    program, *words = shlex.split(text)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    line = [str(COMMANDS / program), *words, "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            found = next(match for text in process.stdout if (match := re.search(r"http://\S+:\d+", text)))
            yield found[0]
        finally:
            guard.cancel()
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each block printed, all of them typed into one shell."""
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(ROOT / "examples", folder / "examples")
    script = f"\necho; echo '{_END}'\n".join(typed())
    variables = {
        "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COLUMNS": "200",
    }
    with serving(folder) as url:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**os.environ, **variables, "API": url},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert (folder / "history.csv").read_text(encoding="utf-8").count("\n") > 10
    return [each.strip() for each in done.stdout.split(_END)]


def documents(text: str) -> list[Any]:
    """Every JSON document of a text, one behind the other."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def unlike(page: Any, real: Any, path: str = "") -> list[str]:
    """Where an answer is not as the page shows it. "…" stands for anything; digits may be others."""
    if page == "…":
        return []
    if isinstance(page, dict) and isinstance(real, dict):
        told = {key for key in page if key != "…"}
        keys = told if "…" in page else told | real.keys()
        missing = [f"{path}.{key}: only on one side" for key in sorted(keys) if key not in page or key not in real]
        return missing + [each for key in told & real.keys() for each in unlike(page[key], real[key], f"{path}.{key}")]
    if isinstance(page, list) and isinstance(real, list):
        if "…" in page:
            return [] if real else [f"{path}: is empty"]
        if len(page) != len(real):
            return [f"{path}: {len(page)} on the page and {len(real)} in truth"]
        return [
            each
            for place, pair in enumerate(zip(page, real, strict=True))
            for each in unlike(*pair, f"{path}[{place}]")
        ]
    return [] if masked(page) == masked(real) else [f"{path}: {page!r} on the page and {real!r} in truth"]


def masked(value: object) -> object:
    """A value without what differs from one session to the next."""
    if isinstance(value, float):
        return "#"
    if isinstance(value, str) and re.fullmatch(r"u[0-9a-f]{16}|[A-Z2-7]{20}|[\w-]{20,}", value):
        return "an id"
    return _NUMBER.sub("#", value) if isinstance(value, str) else value


def test_every_block_of_the_session_prints_what_the_page_shows(printed: list[str]) -> None:
    expected = shown()
    assert len(printed) == len(expected) > 12
    assert sum(map(bool, expected)) > 10
    wrong = [
        f"{text.splitlines()[0]} {each}"
        for text, page, real in zip(typed(), expected, printed, strict=True)
        if page
        for each in unlike(documents(page), documents(real))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_commands_of_the_page_do_the_same(printed: list[str]) -> None:
    said = printed[-1]
    for told in ("asha@example.org is logged in at", "+ strategy straddle.0920-straddle", "income.straddle", "closed"):
        assert told in said, said
    assert "everything is killed" in said
    assert "everything is armed" in said


def test_an_answer_that_is_not_as_shown_is_found() -> None:
    page = {"id": "income", "price": "79.80", "legs": ["…"], "state": "OPEN", "…": "…"}
    assert unlike(page, {"id": "income", "price": "80.15", "legs": [1], "state": "OPEN", "more": 1}) == []
    assert unlike(page, {"id": "income", "price": None, "legs": [], "state": "FILLED"}) != []
    assert unlike({"id": "a"}, {"id": "a", "more": 1}) == [".more: only on one side"]
    assert unlike([1], [1, 2]) == [": 1 on the page and 2 in truth"]


# ---------------------------------------------------------------- tables


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("page") / "data") as server:
        yield server


def test_the_page_lists_every_route_and_no_other(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    expected = [f"| `{each.method} {each.path}` | `{each.id}` | {each.summary} |" for each in operations(document)]
    _, _, table = PAGE.partition("| request | operation | |\n| --- | --- | --- |\n")
    assert table.splitlines() == expected, "paste these:\n" + "\n".join(expected)


def test_the_page_lists_every_kind_of_problem() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert {kind: int(status) for kind, status in rows} == {kind: each.status for kind, each in KINDS.items()}


def test_the_limits_of_the_page_are_those_of_the_server() -> None:
    rate = Allowance()
    told = (
        f"at most {MOST_BYTES:,} bytes and {DEEPEST} levels",
        f"`?limit=` is {USUAL} by default\nand at most {MOST}",
        f"may ask {rate.a_second:g} times a second in the long run and {rate.burst} times at once",
    )
    assert [each for each in told if each not in PAGE] == []
