"""One line a log record, as JSON, with the request and the tick it belongs to; and a segment of X-Ray's trace."""

import contextlib
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from option_baskets.engine.errand import errand

_request: ContextVar[str] = ContextVar("request", default="")


class _WhereItBelongs(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        current = errand()
        if current is not None and current.tick:
            record.correlation_id = current.tick
        if request := _request.get():
            record.function_request_id = request
        return True


def as_json(handler: logging.Handler) -> None:
    """Have the handler write each record as JSON, with what it belongs to."""
    handler.setFormatter(LambdaPowertoolsFormatter(use_rfc3339=True, utc=True))
    handler.addFilter(_WhereItBelongs())


@cache
def begin_logging() -> None:
    """Have Lambda's own handler write so, once a process; where there is none, nothing is touched."""
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        root = logging.getLogger()
        for handler in root.handlers:
            as_json(handler)
        root.setLevel(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))


@contextlib.contextmanager
def traced(context: object) -> Iterator[None]:
    """While a request is served. Only where this one is sampled, X-Ray's library is loaded: it takes long."""
    token = _request.set(str(getattr(context, "aws_request_id", "")))
    try:
        if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
            yield
            return
        from aws_lambda_powertools.tracing import Tracer

        tracer = Tracer(auto_patch=False)
        with tracer.provider.in_subsegment(name="## work") as segment:
            segment.put_annotation("function", os.environ.get("OPTION_BASKETS_FUNCTION", ""))
            yield
    finally:
        _request.reset(token)
