"""``python -m tests.fuzz``: schemathesis asks a server that trades, at least so many times, and counts its answers.

Fails where a check fails, where fewer requests were made, and where an operation never accepted one.
"""

import argparse
import secrets
import tempfile
import time
from pathlib import Path

from tests.fuzz.campaign import Campaign, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="requests at least; default 10000")
    parser.add_argument("--examples", type=int, default=60, help="most of an operation and a phase; default 60")
    parser.add_argument("--seed", type=int, help="default: a new one")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="baskets-fuzz-") as folder:
        found = fuzz(Path(folder), "--seed", str(seed), "-n", str(given.examples), time_passes=True)
    print(found.report)
    print(_table(found))
    for name in found.never_accepted:
        print(f"{name} never answered 2xx")
    print(f"seed {seed}: {found.cases} requests in {time.monotonic() - began:.0f} s")
    return 0 if found.clean and found.cases >= given.cases and not found.never_accepted else 1


def _table(found: Campaign) -> str:
    rows = (f"{name:26} {_shown(counts)}" for name, counts in sorted(found.answered.items()))
    return "\n".join(rows)


def _shown(counts: object) -> str:
    assert isinstance(counts, dict)
    return "  ".join(f"{status}: {count}" for status, count in sorted(counts.items()))


if __name__ == "__main__":
    raise SystemExit(main())
