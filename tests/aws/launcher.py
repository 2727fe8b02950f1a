"""Starts ministack with what its bus lacks; runs in the environment of ministack, which has nothing of ours.

The bus of AWS invokes a function asynchronously: what fails is tried twice more, then it is put into the function's
dead letters. That of ministack forgets it. And nobody can ask ministack whether what the bus delivered was worked off,
so that is told at ``BUS_PORT``, beside the functions that run: ``{"under_way": 0, "delivered": 12, "running": []}``;
``batches`` are those of queues and streams that functions have or are about to get.
"""

import contextvars
import json
import os
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

TRIES, PAUSE = 3, 0.1
"""Pauses are minutes at AWS."""

_lock = threading.Lock()
_counts = {"under_way": 0, "delivered": 0}
_target: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("target")
"""Of the rule, with its dead letters: those of its function too, which the emulator's CloudFormation drops."""


def _deliver(arn: str, payload: str) -> None:
    functions = import_module("ministack.services.lambda_svc")
    function, settings, _ = functions._get_func_record_for_ref(arn)
    record = functions._execution_record_for_config(function, settings)
    context = contextvars.copy_context()
    with _lock:
        _counts["under_way"] += 1
        _counts["delivered"] += 1
    work = (_try, functions, record, json.loads(payload))
    threading.Thread(target=context.run, args=work, daemon=True).start()


def _try(functions: Any, record: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    try:
        for number in range(TRIES):
            time.sleep(PAUSE * number)
            result = functions._execute_function_with_config_scope(record, event)
            if not result.get("error"):
                return
        dead_letters = import_module("ministack.core.arn").parse_arn(_target.get()["DeadLetterConfig"]["Arn"])
        import_module("ministack.services.eventbridge")._dispatch_to_sqs(dead_letters, json.dumps(event))
    finally:
        with _lock:
            _counts["under_way"] -= 1


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for all that is asked

    def do_GET(self) -> None:
        functions = import_module("ministack.services.lambda_svc")
        batches = sum(functions._esm_inflight.values())
        running = sorted(name.rpartition(":")[2] for name in functions.executions_in_flight()[1])
        with _lock:
            body = json.dumps(_counts | {"running": running, "batches": batches}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: it is asked ten times a second."""


def main() -> None:
    bus: Any = import_module("ministack.services.eventbridge")
    invoke = bus._invoke_target

    def remembered(target: Mapping[str, Any], *others: object, **named: object) -> None:
        _target.set(target)
        invoke(target, *others, **named)

    bus._invoke_target, bus._dispatch_to_lambda = remembered, _deliver
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["BUS_PORT"])), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    import_module("ministack.app").main()


if __name__ == "__main__":
    main()
