"""A server that trades, with something of everything, and schemathesis asking it; what was answered is counted."""

import contextlib
import json
import os
import string
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from option_baskets.adapters.identity.attempts import Limits, Window
from tests.entry.served import QUICK, Person, Server, serve

CONFIG = Path(__file__).with_name("schemathesis.toml")
OFTEN = (Window(most=1_000_000, span=timedelta(minutes=1)),)
TERMS = replace(QUICK, access=timedelta(hours=12), limits=Limits(by_email=OFTEN, by_client=OFTEN, registrations=OFTEN))
"""Nobody is locked out: who is answered 401 or 429 learns nothing else of the API. Limits have tests of their own."""
COUNTS = "FUZZ_COUNTS"
"""In the environment of schemathesis: the file its hooks count answers in, statuses by operationId."""
TOKEN = "FUZZ_TOKEN"
OTHER = "(another method)"
_WIDE = 1_000_000
_LOOKED_AFTER = 0.5
"""Seconds between two looks at whether what is asked for is still there."""

_CALL = {"side": "SELL", "type": "CE", "strike": {"rule": "atm", "offset": 3}}
_PUT = {"side": "SELL", "type": "PE", "strike": {"rule": "atm", "offset": 3}}
_WING = {"side": "BUY", "type": "PE", "strike": {"rule": "atm", "offset": 8}}
STANDING = {
    "Condor": [_CALL | {"id": "sold-call"}, _PUT | {"id": "sold-put"}, _WING | {"id": "wing"}],
    "Straddle": [_CALL | {"id": "short-call"}, _PUT | {"id": "short-put"}, _WING | {"id": "wing"}],
}
"""Legs by strategy. A leg like the published example's can be added to the first, and is in the second."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What came of it."""

    clean: bool
    """No check failed."""
    report: str
    """schemathesis's own."""
    answered: Mapping[str, Mapping[int, int]]
    """How often each status was answered, by operationId."""
    others: int
    """Requests with methods that no operation has."""

    @property
    def cases(self) -> int:
        return self.others + sum(sum(counts.values()) for counts in self.answered.values())

    @property
    def never_accepted(self) -> list[str]:
        """Operations that never answered 2xx: nothing was proved of what they do."""
        return sorted(
            name for name, counts in self.answered.items() if not any(200 <= status < 300 for status in counts)
        )


def fuzz(folder: Path, *arguments: str, time_passes: bool) -> Campaign:
    """Start a server in an empty folder and let schemathesis ask it.

    Args:
        arguments: of ``schemathesis run``.
        time_passes: whether the market goes on, a minute a second; else it stands at 09:25 and a run can be repeated.
    """
    counts = folder / "counts.json"
    with serve(folder / "data", terms=TERMS) as server:
        server.platform.allowance.burst = _WIDE
        server.platform.allowance.a_second = _WIDE
        asha = server.user("asha@example.org")
        _restore(asha.http)
        server.until("09:25")
        config = _config(folder, asha)
        command = [Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run", *arguments]
        surroundings = {**os.environ, TOKEN: asha.token, COUNTS: str(counts)}
        with (folder / "report.txt").open("wb") as told:
            process = subprocess.Popen(
                [*map(str, command), "--no-color", f"{server.url}/openapi.json"],
                stdout=told,
                stderr=subprocess.STDOUT,
                env=surroundings,
            )
            _look_after(process, server, asha, time_passes=time_passes)
    answered = {
        name: {int(status): count for status, count in statuses.items()}
        for name, statuses in json.loads(counts.read_text(encoding="utf-8")).items()
    }
    others = sum(answered.pop(OTHER, {}).values())
    report = (folder / "report.txt").read_text(encoding="utf-8")
    return Campaign(clean=process.returncode == 0, report=report, answered=answered, others=others)


def _config(folder: Path, asha: Person) -> Path:
    """With the names of what is there."""
    run = asha.http.get("/options/executions").json()["items"][0]["id"]
    order = asha.http.get("/options/orders").json()["items"][0]["id"]
    text = string.Template(CONFIG.read_text(encoding="utf-8"))
    config = folder / "schemathesis.toml"
    config.write_text(text.safe_substitute(RUN=run, ORDER=order), encoding="utf-8")
    return config


def _look_after(process: "subprocess.Popen[bytes]", server: Server, asha: Person, *, time_passes: bool) -> None:
    turns = 0
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOKED_AFTER)
            return
        turns += 1
        _restore(asha.http)
        if time_passes and turns % 2 == 0:
            server.later(timedelta(minutes=1))


def _restore(http: httpx.Client) -> None:
    """Make what is not there, and take switches off that would stop everything."""
    for account in ("paper-1", "paper-2", "spare"):
        _made(http, "/broker-accounts", {"id": account})
    _made(http, "/broker-accounts", {"id": "zerodha-1", "broker": "zerodha"})
    http.delete("/options/kill-switches/user")
    for name in ("Income", "Spare"):
        if http.get(f"/options/baskets/{name.lower()}").status_code == 404:
            _made(http, "/options/baskets", {"name": name, "capital": 5000000})
    for name, legs in STANDING.items():
        if http.get(f"/options/strategies/income.{name.lower()}").status_code == 404:
            _made(http, "/options/baskets/income/strategies", _plan(name, legs))
        if http.get(f"/options/strategies/income.{name.lower()}/legs/wing").status_code == 404:
            _made(http, f"/options/strategies/income.{name.lower()}/legs", _WING | {"id": "wing"})


def _plan(name: str, legs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "underlying": "NIFTY",
        "entry": "09:20",
        "exit": "15:15",
        "legs": legs,
        "naked": True,
        "allocations": [{"account": "paper-1", "lots": 1, "priority": 5}],
    }


def _made(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    """409 and 422: a request came before, or changed something it needs; there is another time."""
    answer = http.post(path, json=body)
    assert answer.status_code in {201, 404, 409, 422}, answer.text
