"""Deploys the synthesized templates, as they are, to an emulator of AWS: ``python -m infra.local_deployment dev``.

What the CDK's command line does on AWS, for an endpoint that needs no roles: assets go into the bucket the templates
name, then the stacks are created or updated in order. Only the bytes of code and layers may be others than on AWS,
because the emulator runs functions with this machine's interpreter (``python -m infra.packages --local``).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.session import get_session

from infra.destruction import destroy
from infra.environments import Environment, read
from infra.packages import ROOT, write_zip

OUT = ROOT / "out" / "infra"
LOCAL = ROOT / "out" / "lambda-local"
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
BOOTSTRAP_VERSION = "21"
_LAYERS = {"EventsLayer/Code": "events", "ApiLayer/Code": "api"}
"""Assets by the names the templates' stacks give them; every other zip is the package."""
_OVER = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """An endpoint that speaks AWS, and takes any credentials."""

    endpoint: str
    region: str
    account: str = "000000000000"

    def client(self, service: str) -> Any:
        return get_session().create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


def deploy(
    emulator: Emulator,
    environment: Environment,
    *,
    out: Path = OUT,
    packages: Path = LOCAL,
    variables: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploy both stacks; returns the outputs of both.

    Args:
        packages: code and layers for this machine.
        variables: added to the environment of every function.

    Raises:
        RuntimeError: a stack was not made; the message has the emulator's reason.
    """
    outputs: dict[str, str] = {}
    emulator.client("ssm").put_parameter(Name=BOOTSTRAP, Value=BOOTSTRAP_VERSION, Type="String", Overwrite=True)
    for stack in (environment.auth_stack, environment.trading_stack):
        url = _publish(emulator, out, stack, packages, variables or {})
        _make(emulator, stack, url)
        outputs |= _outputs(emulator, stack)
    return outputs


def _publish(emulator: Emulator, out: Path, stack: str, packages: Path, variables: Mapping[str, str]) -> str:
    """Upload the stack's assets; returns the address of its template."""
    s3 = emulator.client("s3")
    assets: Mapping[str, Any] = json.loads((out / f"{stack}.assets.json").read_text(encoding="utf-8"))["files"]
    address = ""
    for asset in assets.values():
        (destination,) = asset["destinations"].values()
        bucket = _filled(destination["bucketName"], emulator)
        key: str = destination["objectKey"]
        _require_bucket(s3, bucket, emulator.region)
        if asset["source"]["packaging"] == "zip":
            body = _zip(packages / _LAYERS.get(asset["displayName"], "code"))
        else:
            body = _with(variables, (out / asset["source"]["path"]).read_bytes())
            address = f"{emulator.endpoint}/{bucket}/{key}"
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return address


def _zip(folder: Path) -> bytes:
    zipped = folder.with_suffix(".zip")
    if not zipped.exists():
        made = folder.with_name(f"{folder.name}-{os.getpid()}.zip")
        write_zip(folder, made)
        made.replace(zipped)  # whoever deploys beside us never reads half a file
    return zipped.read_bytes()


def _with(variables: Mapping[str, str], template: bytes) -> bytes:
    if not variables:
        return template
    document = json.loads(template)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"].setdefault("Environment", {}).setdefault("Variables", {}).update(variables)
    return json.dumps(document).encode()


def _filled(text: str, emulator: Emulator) -> str:
    return text.replace("${AWS::AccountId}", emulator.account).replace("${AWS::Region}", emulator.region)


def _require_bucket(s3: Any, bucket: str, region: str) -> None:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})


def _make(emulator: Emulator, stack: str, url: str) -> None:
    client = emulator.client("cloudformation")
    request = {"StackName": stack, "TemplateURL": url, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]}
    try:
        client.describe_stacks(StackName=stack)
    except ClientError:
        client.create_stack(**request)
    else:
        try:
            client.update_stack(**request)
        except ClientError as error:
            if "No updates" not in str(error):
                raise
    while (found := client.describe_stacks(StackName=stack)["Stacks"][0])["StackStatus"] not in _OVER:
        if not found["StackStatus"].endswith("_IN_PROGRESS"):
            raise RuntimeError(f"{stack}: {found['StackStatus']}\n{_reasons(client, stack)}")
        time.sleep(0.1)


def _reasons(client: Any, stack: str) -> str:
    events = client.describe_stack_events(StackName=stack)["StackEvents"]
    return "\n".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("FAILED")
    )


def _outputs(emulator: Emulator, stack: str) -> dict[str, str]:
    found = emulator.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local_deployment", description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--destroy", action="store_true")
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", ""), help="default: AWS_ENDPOINT_URL")
    options = parser.parse_args()
    if not options.endpoint:
        sys.exit("no endpoint; start the emulator and set AWS_ENDPOINT_URL to where it listens")
    environment = read()[options.environment]
    emulator = Emulator(endpoint=options.endpoint.rstrip("/"), region=environment.region)
    if options.destroy:
        destroy(emulator.client("cloudformation"), environment, every=1)
        return
    for name, value in sorted(deploy(emulator, environment).items()):
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
