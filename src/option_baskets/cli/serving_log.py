"""What the serving process logs: a line a thing, for a person or as JSON for a collector of logs."""

import json
import logging
import sys
from datetime import UTC, datetime

_REQUEST = ("method", "path", "route", "status", "milliseconds", "bytes")


def log_to_stderr(*, as_json: bool) -> None:
    """Log what this package says from INFO on, and what the HTTP server warns of."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if as_json else _Lines())
    for name, level in (("option_baskets", logging.INFO), ("uvicorn", logging.WARNING), ("asyncio", logging.WARNING)):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(level)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = f"{datetime.fromtimestamp(record.created).astimezone():%H:%M:%S}"
        took = getattr(record, "milliseconds", None)
        said = record.getMessage() if took is None else f"{record.getMessage()} {took:.1f} ms"
        text = f"{at} {record.levelname:<8} {said}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _REQUEST if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)
