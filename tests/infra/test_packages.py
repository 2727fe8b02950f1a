"""The packages hold what the functions import, and nothing of the web framework where no function serves it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.entry_points import ENTRY_POINTS, EntryPoint, Package
from infra.packages import ROOT, write_zip

LOCAL = ROOT / "out" / "lambda-local"
HEAVY = {"fastapi", "starlette", "pydantic", "mangum", "uvicorn", "polars", "numba", "rich", "click"}
BARE = {"AWS_DEFAULT_REGION": "ap-south-1", "PATH": ""}
POINTS = [pytest.param(point, id=point.name) for point in ENTRY_POINTS]


@pytest.fixture(autouse=True)
def packaged() -> None:
    if not (LOCAL / "api").is_dir():
        why = "there are no packages of this machine; make aws-test makes them"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


def imported(point: EntryPoint) -> set[str]:
    """Packages that are there once the handler is, with nothing to import from but its code and layers."""
    places = [LOCAL / "code", *(LOCAL / layer / "python" for layer in point.package.layers)]
    program = (
        "import importlib, json, sys\n"
        f"sys.path += {[str(place) for place in places]!r}\n"
        f"module = importlib.import_module({point.handler.removesuffix('.handler')!r})\n"
        "assert callable(module.handler)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False, env=BARE
    )
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize("point", POINTS)
def test_a_handler_is_imported_from_its_code_and_layers_alone(point: EntryPoint) -> None:
    found = imported(point)
    assert "option_baskets" in found
    if point.package is Package.EVENTS:
        assert found & HEAVY == set()


def test_a_zip_is_the_same_whenever_its_files_are(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "package").mkdir(parents=True)
    for name in ("b.py", "a.py"):
        (folder / "package" / name).write_text(f"# {name}\n")
    write_zip(folder, tmp_path / "first.zip")
    os.utime(folder / "package" / "a.py", (0, 0))
    write_zip(folder, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "first.zip").namelist() == ["package/a.py", "package/b.py"]
