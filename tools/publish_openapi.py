"""Write ``openapi.json``: what the routes make of themselves, set so that a change shows in a diff; servers answer it.

``python -m tools.publish_openapi`` writes it; ``--check`` says whether it is as it should be.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from tests.entry.served import serve

from option_baskets.api.app import make_app
from option_baskets.api.openapi import STORED

PUBLISHED = Path(__file__).parent.parent / "src" / "option_baskets" / "api" / STORED


def shown(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="baskets-openapi-") as folder, serve(Path(folder) / "data") as server:
        text = shown(msgspec.json.decode(msgspec.json.encode(make_app(server.platform).openapi())))
    if "--check" in arguments:
        same = PUBLISHED.exists() and PUBLISHED.read_text(encoding="utf-8") == text
        print("openapi.json is up to date" if same else "openapi.json is old: python -m tools.publish_openapi")
        return 0 if same else 1
    PUBLISHED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
