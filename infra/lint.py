"""Looks at the synthesized templates: statelint at every state machine, cfn-lint at all: ``python -m infra.lint``.

Run by the interpreter of .venv-infra. Exits with 1 and says what was found.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from infra.environments import read

OUT = Path(__file__).parents[1] / "out" / "infra"
IGNORED = ("W3005",)
"""CDK writes dependencies that a reference implies already."""

LIKE_PRODUCTION = ("-dev-options-trading", "-staging-options-trading")
"""Templates that have no kind of resource that production's has not; a test holds that. cfn-lint is slow."""


def main() -> int:
    templates = sorted(OUT.glob("*.template.json"))
    if not templates:
        print(f"no templates in {OUT}; run make synth")
        return 1
    wrong = [f"{path.name}: {each}" for path in templates for each in _of_machines(path)]
    (region,) = {environment.region for environment in read().values()}
    linted = [path for path in templates if not any(part in path.name for part in LIKE_PRODUCTION)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in pool.map(partial(_cfn_lint, region), linted):
            wrong += said.splitlines()
    machines = sum(len(list(machines_of(path))) for path in templates)
    print(
        "\n".join([*wrong, f"{len(templates)} templates, {machines} state machines: {'wrong' if wrong else 'clean'}"])
    )
    return 1 if wrong else 0


def _cfn_lint(region: str, template: Path) -> str:
    """What it says; a process for each template, because it takes seconds of one core."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", region, "--ignore-checks", *IGNORED]
    lint = subprocess.run([*command, "--template", str(template)], capture_output=True, text=True, check=False)
    return lint.stdout + lint.stderr


def machines_of(template: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state machine of a template, with ARNs of the emulator's kind in the places of references."""
    resources: Mapping[str, Any] = json.loads(template.read_text(encoding="utf-8"))["Resources"]
    for name, resource in resources.items():
        if resource["Type"] != "AWS::StepFunctions::StateMachine":
            continue
        text: str = resource["Properties"]["DefinitionString"]
        for each in resource["Properties"].get("DefinitionSubstitutions", {}):
            text = text.replace(f"${{{each}}}", f"arn:aws:lambda:ap-south-1:000000000000:function:{each}")
        yield name, json.loads(text)


def _of_machines(template: Path) -> Iterator[str]:
    for name, machine in machines_of(template):
        for problem in problems_of(machine):
            yield f"{name}: {problem}"


def problems_of(machine: Mapping[str, Any]) -> list[str]:
    """What statelint says of a definition."""
    from statelint.linter import Linter

    found: list[str] = Linter.validate(dict(machine))
    return found


if __name__ == "__main__":
    sys.exit(main())
