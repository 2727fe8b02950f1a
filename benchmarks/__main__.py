"""Run every benchmark of this folder, or those named: ``python -m benchmarks [NAME…]``.

A benchmark is a module with ``main()`` that measures and prints its table, side by side with a peer or a limit.
"""

import sys
import traceback
from importlib import import_module
from pathlib import Path

from rich.console import Console


def main(names: list[str]) -> int:
    """0 when all ran; 1 when one failed (the others still run); 2 for a name that is none."""
    console = Console()
    known = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    if unknown := sorted(set(names) - set(known)):
        console.print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    failed = []
    for name in names or known:
        console.rule(name)
        try:
            import_module(f"benchmarks.{name}").main()
        except Exception:  # the other figures are still wanted
            traceback.print_exc()
            failed.append(name)
    if failed:
        console.print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
