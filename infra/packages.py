"""Packages the functions' code and layers without a container: ``python -m infra.packages``.

Writes ``out/lambda/code`` (the package) and two layers, ``events/`` (what every function needs) and ``api/`` (what
those of the API need besides), and says how large they are. Wheels are chosen for Lambda's platform, whatever machine
this runs on; ``--local`` chooses this machine's, for the emulator, which runs functions with its own interpreter.

Raises SystemExit if a function and its layers would not fit into Lambda.
"""

import argparse
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "option_baskets"
REQUIREMENTS = ROOT / "requirements"
LAYERS = ("events", "api")
PLATFORM, PYTHON = "x86_64-manylinux_2_28", "3.12"
MOST_UNZIPPED = 250 * 1024 * 1024
"""Bytes of a function with its layers, AWS's limit."""

SERVICES = {"apigatewaymanagementapi", "dynamodb", "events", "kms", "sqs", "stepfunctions", "sts"}
"""Services the functions speak to. Descriptions of the other 400 are most of botocore."""
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "cli")


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    target: Path = options.out
    interpreter = sys.executable if options.local else options.python or _interpreter(options.uv)
    if interpreter is None:
        warning = f"no Python {PYTHON} here to compile bytecode with; every cold start would compile anew"
        if options.deployable:
            sys.exit(f"{warning}. Name one with --python, or let uv install it: uv python install {PYTHON}")
        print(warning, file=sys.stderr)
    _empty(target)
    _copy_code(target / "code")
    for layer in LAYERS:
        place = target / layer / "python"
        _install(options.uv, REQUIREMENTS / f"lambda-{layer}.txt", place, local=options.local)
        _trim(place)
    _take_out_twins(target / "events" / "python", target / "api" / "python")
    if interpreter is not None:
        _compile(interpreter, target / "code", "/var/task")
        for layer in LAYERS:
            _compile(interpreter, target / layer / "python", "/opt/python")
    if not options.local:
        _report(target)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.packages", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "lambda")
    parser.add_argument("--uv", default=str(ROOT / ".venv" / "bin" / "uv"))
    parser.add_argument("--python", default="", help=f"a Python {PYTHON} to compile bytecode with")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--local", action="store_true", help="for this machine and interpreter, not for Lambda")
    kind.add_argument("--deployable", action="store_true", help="fail where bytecode cannot be made")
    return parser


def _interpreter(uv: str) -> str | None:
    """A Python of Lambda's version: bytecode of another is not read."""
    found = subprocess.run([uv, "python", "find", "--no-project", PYTHON], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None if found.returncode == 0 else None


def _empty(target: Path) -> None:
    for name in ("code", *LAYERS):
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).with_suffix(".zip").unlink(missing_ok=True)


def _copy_code(place: Path) -> None:
    """The package, and the name and version it is asked for."""
    shutil.copytree(SOURCE, place / "option_baskets", ignore=NOT_SHIPPED)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = place / f"option_baskets-{project['version']}.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )


def _install(uv: str, requirements: Path, place: Path, *, local: bool) -> None:
    chosen = ["--python", sys.executable] if local else ["--python-platform", PLATFORM, "--python-version", PYTHON]
    command = [uv, "pip", "install", "--quiet", "--target", str(place), *chosen, "--link-mode", "copy"]
    subprocess.run([*command, "--only-binary", ":all:", "--require-hashes", "-r", str(requirements)], check=True)


def _trim(place: Path) -> None:
    """Take out what no function reads: tests, scripts, and descriptions of services they do not speak to."""
    for folder in ("bin", "numpy/f2py", "numpy/_core/include"):
        shutil.rmtree(place / folder, ignore_errors=True)
    for tests in sorted(place.glob("*/**/tests")):
        shutil.rmtree(tests, ignore_errors=True)
    for stub in place.rglob("*.pyi"):
        stub.unlink()
    for service in (place / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)


def _take_out_twins(first: Path, second: Path) -> None:
    """Leave in the second layer what the first does not have; functions of the API get both."""
    for each in second.iterdir():
        if (first / each.name).exists():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    both = {_project(each) for each in first.glob("*.dist-info")} & {
        _project(each) for each in second.glob("*.dist-info")
    }
    if both:
        sys.exit(f"the layers have different versions of {', '.join(sorted(both))}; run make requirements")


def _project(distribution: Path) -> str:
    return distribution.name.partition("-")[0].lower()


def _compile(interpreter: str, place: Path, as_if: str) -> None:
    """Bytecode that is not looked after: a zip keeps no times, so dated bytecode would be taken for stale."""
    command = [interpreter, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, "-s", str(place), "-p", as_if, str(place)], check=True, stdout=subprocess.DEVNULL)


def _report(target: Path) -> None:
    sizes = {name: _size(target / name) for name in ("code", *LAYERS)}
    print(f"{'':8}{'unzipped':>10}{'zipped':>10}   MB")
    for name, (unzipped, zipped) in sizes.items():
        print(f"{name:8}{unzipped / 1e6:10.1f}{zipped / 1e6:10.1f}")
    together = sum(unzipped for unzipped, _ in sizes.values())
    if together > MOST_UNZIPPED:
        sys.exit(f"code and both layers are {together / 1e6:.0f} MB; Lambda takes {MOST_UNZIPPED / 1e6:.0f}")


def _size(folder: Path) -> tuple[int, int]:
    """Bytes as they are, and as a zip of the folder."""
    zipped = folder.with_suffix(".zip")
    write_zip(folder, zipped)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), zipped.stat().st_size


def write_zip(folder: Path, zipped: Path) -> None:
    """The folder as a zip that is the same whenever its files are."""
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = (file.stat().st_mode & 0o777) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


if __name__ == "__main__":
    main()
