"""The synthesized templates, read as JSON: CDK is not needed here. ``make synth`` makes them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.environments import Environment, read

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "infra"
ENVIRONMENTS = read()
WITH_NETWORK = [name for name, environment in ENVIRONMENTS.items() if environment.egress.static]
NOT_IN_TEMPLATES = {
    "command_line",
    "destruction",
    "lint",
    "local_deployment",
    "packages",
    "preflight",
    "redrive",
    "smoke",
}
"""Modules that templates are not made of."""
Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    environment: Environment
    body: Mapping[str, Any]

    def all(self, type_: str) -> dict[str, Mapping[str, Any]]:
        """Resources of a type by logical id, e.g. ``SQS::Queue``."""
        return {
            name: resource for name, resource in self.body["Resources"].items() if resource["Type"] == f"AWS::{type_}"
        }

    def properties(self, type_: str) -> dict[str, Properties]:
        return {name: resource["Properties"] for name, resource in self.all(type_).items()}

    def functions(self) -> dict[str, Properties]:
        """By their names after the prefix."""
        prefix = self.environment.named("")
        return {
            str(function["FunctionName"]).removeprefix(prefix): function
            for function in self.properties("Lambda::Function").values()
        }

    def queue(self, name: str) -> Properties:
        """A queue by its name after the prefix."""
        wanted = self.environment.named(name)
        return next(queue for queue in self.properties("SQS::Queue").values() if queue["QueueName"] == wanted)

    def statements(self, role: str) -> Iterator[Properties]:
        """What the policies of a role say."""
        for policy in self.properties("IAM::Policy").values():
            if {"Ref": role} in policy["Roles"]:
                yield from policy["PolicyDocument"]["Statement"]


def text(value: object) -> str:
    """A value of a template on one line: ``<Id>``, ``<Id.Arn>`` and ``<import NAME>`` stand for references."""
    match value:
        case str():
            return value
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::ImportValue": name}:
            return f"<import {name}>"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(text, parts))
    raise TypeError(f"{value} is not known here")


def listed(value: object) -> Sequence[Any]:
    """Policies write one of a thing without a list."""
    return value if isinstance(value, list) else [value]


def missing() -> str:
    """Why the templates cannot be looked at; empty if they can."""
    wanted = [OUT / f"{stack}.template.json" for each in ENVIRONMENTS.values() for stack in stacks_of(each)]
    if any(not path.exists() for path in wanted):
        return "there are no templates; make synth makes them"
    made = min(path.stat().st_mtime for path in wanted)
    inputs = [path for path in (ROOT / "infra").glob("*") if path.is_file() and path.stem not in NOT_IN_TEMPLATES]
    newer = [path.name for path in inputs if path.stat().st_mtime > made]
    return f"{', '.join(sorted(newer))} changed since the templates were made; run make synth" if newer else ""


def stacks_of(environment: Environment) -> tuple[str, str]:
    return environment.auth_stack, environment.trading_stack


@cache
def _read(stack: str) -> Mapping[str, Any]:
    body: Mapping[str, Any] = json.loads((OUT / f"{stack}.template.json").read_text(encoding="utf-8"))
    return body


def _required() -> None:
    if why := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


def auth_of(name: str) -> Template:
    _required()
    environment = ENVIRONMENTS[name]
    return Template(environment.auth_stack, environment, _read(environment.auth_stack))


def trading_of(name: str) -> Template:
    _required()
    environment = ENVIRONMENTS[name]
    return Template(environment.trading_stack, environment, _read(environment.trading_stack))


@pytest.fixture(params=ENVIRONMENTS)
def auth(request: pytest.FixtureRequest) -> Template:
    return auth_of(request.param)


@pytest.fixture(params=ENVIRONMENTS)
def trading(request: pytest.FixtureRequest) -> Template:
    return trading_of(request.param)
