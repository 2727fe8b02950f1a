"""deploy.sh and destroy.sh, as far as they go without an account: what they would do, and what they refuse."""

import os
import subprocess

import pytest

from tests.infra.templates import ROOT

ARGUMENTS = ("-p", "options-strategy-platform", "-e", "dev", "-a", "account2")
CDK = "npx --yes aws-cdk@2.1148.1 --no-notices --app out/deploy-dev"
STACKS = "ql-algo-trading-dev-auth-broker-stack ql-algo-trading-dev-options-trading-stack"

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv-infra" / "bin" / "python").exists(), reason="no .venv-infra; make synth makes it"
)


def ran(script: str, *arguments: str, endpoint: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ENDPOINT_URL": endpoint} if endpoint else {}
    command = [str(ROOT / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")


def steps(answer: subprocess.CompletedProcess[str]) -> list[str]:
    assert answer.returncode == 0, answer.stderr
    return [line.removeprefix("+ ") for line in answer.stdout.splitlines() if line.startswith("+ ")]


def test_a_deployment_asks_for_the_account_then_packages_synthesizes_compares_deploys_and_looks() -> None:
    assert steps(ran("deploy.sh", *ARGUMENTS, "--dry-run")) == [
        ".venv/bin/python -m infra.preflight options-strategy-platform dev account2",
        ".venv/bin/python -m infra.packages --deployable --out out/lambda-deployable",
        "rm -rf out/deploy-dev",
        "env OPTION_BASKETS_ENVIRONMENTS=dev PYTHONPATH=src .venv-infra/bin/python -m infra.app",
        f"{CDK} diff {STACKS}",
        f"{CDK} deploy {STACKS} --require-approval never --outputs-file out/deploy-dev/outputs.json",
        ".venv/bin/python -m infra.smoke dev",
    ]


def test_a_local_deployment_is_the_same_with_packages_of_this_machine_and_a_bootstrap_of_its_own() -> None:
    on_aws = steps(ran("deploy.sh", *ARGUMENTS, "--dry-run"))
    local = steps(ran("deploy.sh", *ARGUMENTS, "--local", "--dry-run", endpoint="http://127.0.0.1:1"))
    others = {"--deployable": "--local", "out/lambda-deployable": "out/lambda-local", "out/deploy-dev": "out/local-dev"}
    for ours, theirs in others.items():
        on_aws = [step.replace(ours, theirs) for step in on_aws]
    assert set(on_aws) < set(local)
    (bootstrap,) = set(local) - set(on_aws)
    assert bootstrap.endswith("bootstrap aws://000000000000/ap-south-1")


def test_a_destruction_asks_for_the_account_first() -> None:
    assert steps(ran("destroy.sh", *ARGUMENTS, "--dry-run")) == [
        ".venv/bin/python -m infra.preflight options-strategy-platform dev account2",
        ".venv/bin/python -m infra.destruction dev",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-p", "another", "-e", "dev", "-a", "account2"), "no project 'another'"),
        (("-p", "options-strategy-platform", "-e", "test", "-a", "account2"), "give dev or staging or production"),
        (("-p", "options-strategy-platform", "-e", "dev", "-a", "account9"), "give account1 or account2"),
        (("-e", "dev", "-a", "account2"), "usage: "),
        ((*ARGUMENTS, "--quickly"), "usage: "),
        ((*ARGUMENTS, "--local"), "no endpoint"),
    ],
)
@pytest.mark.parametrize("script", ["deploy.sh", "destroy.sh"])
def test_what_a_script_cannot_do_it_refuses_before_it_does_anything(
    script: str, arguments: tuple[str, ...], told: str
) -> None:
    answer = ran(script, *arguments)
    assert answer.returncode != 0
    assert told in answer.stderr
    assert answer.stdout == ""


def test_the_smoke_test_looks_at_stacks_tables_functions_queues_alarms_and_the_api() -> None:
    answer = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-m", "infra.smoke", "dev", "--dry-run"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    looked = answer.stdout
    for what in ("stack ql-", "table options-dev-", "function options-dev-timer", "dead-letter", "alarm", "/health"):
        assert what in looked
    assert "without a token" in looked
