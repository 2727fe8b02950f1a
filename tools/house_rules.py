"""Rules no linter knows: only clock adapters read the clock, rooms have names, modules stay small."""

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "option_baskets"
CLOCK_READ = re.compile(
    r"\b(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|monotonic|monotonic_ns|sleep))\s*\("
)
MAY_READ_THE_CLOCK = {"adapters/clock.py"}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
LONGEST_MODULE = 500


def complaints(path: Path) -> list[str]:
    relative = path.relative_to(SOURCE).as_posix()
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    if relative not in MAY_READ_THE_CLOCK:
        found += [
            f"{relative}:{number}: reads the clock; take the instant as an argument or use the Clock port"
            for number, line in enumerate(lines, 1)
            if CLOCK_READ.search(line.partition("#")[0])
        ]
    if path.stem in NAMELESS or path.parent.name in NAMELESS:
        found.append(f"{relative}: a room whose name says nothing; name what is in it")
    if len(lines) > LONGEST_MODULE:
        found.append(f"{relative}: {len(lines)} lines, over {LONGEST_MODULE}; split it by what changes together")
    return found


def main() -> int:
    found = [line for path in sorted(SOURCE.rglob("*.py")) for line in complaints(path)]
    print("\n".join(found) if found else "house rules: clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
