"""Write ``openapi.json``: what a server answers at ``/openapi.json``, set so that a change shows in a diff.

``python -m tools.publish_openapi`` writes it; ``--check`` says whether it is as it should be.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.entry.served import serve

PUBLISHED = Path(__file__).parent.parent / "openapi.json"


def shown(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="baskets-openapi-") as folder, serve(Path(folder) / "data") as server:
        text = shown(server.http.get("/openapi.json").json())
    if "--check" in arguments:
        same = PUBLISHED.exists() and PUBLISHED.read_text(encoding="utf-8") == text
        print("openapi.json is up to date" if same else "openapi.json is old: python -m tools.publish_openapi")
        return 0 if same else 1
    PUBLISHED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
